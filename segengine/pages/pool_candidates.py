"""Which products are in this pool, whoever asks?

Those of its rule, in stock, not banned: a bit for each place of the shelf. They are kept until
products change or are fitted anew; where the rule reads the date, the clock or sales, no longer
than those stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import bits
from segengine.pages.pool import Pool
from segengine.pages.pool_ranker import Ranker
from segengine.pages.pool_shelf import Placed, rows_named
from segengine.rules.evaluate import bitmap
from segengine.rules.frame import Words
from segengine.rules.plan import plan_rule
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule
from segengine.traits.products import CURRENT

_NO_STOCK = np.iinfo(np.int64).min


class Candidates(NamedTuple):
    """Who is in a pool, whoever asks.

    words: uint64, a bit for each place  size: how many  pins: int32, the places of pins in stock
    """

    words: Words
    size: int
    pins: NDArray[np.int32]


@dataclass(slots=True, eq=False)
class ReadyPool:
    """A pool whose rule is checked, and its candidates as long as they stand."""

    pool: Pool
    rule: CheckedRule | None
    ranker: Ranker
    _kept: tuple[object, Placed, Candidates] | None = None

    @property
    def asks_stock(self) -> bool:
        """Whether the rule itself says which stock is enough."""
        return self.rule is not None and "stock" in self.rule.term.columns

    @property
    def asks_now(self) -> bool:
        """Whether the rule may change its answer from one moment to the next."""
        return self.rule is not None and any(t.op == "now" for t in self.rule.term.walk())

    @property
    def asks_sales(self) -> bool:
        """Whether the rule reads what any buyer may change."""
        return self.rule is not None and _reads_sales(self.rule)

    def candidates(self, view: View) -> Candidates:
        """The products in the pool: those of its rule, in stock, not banned."""
        placed, moment = self.ranker.shelves.placed(view), self._moment(view)
        kept = self._kept
        if kept is None or kept[1] is not placed or kept[0] != moment:
            with self.ranker.shelves.lock:
                kept = self._kept = (moment, placed, self._made(view, placed))
        return kept[2]

    def _moment(self, view: View) -> object:
        """What the candidates depend on beside the products and their fit."""
        if self.rule is None:
            return None
        if self.asks_sales:
            return view.data_version
        if self.rule.term.reads_clock:
            return view.clock.as_of if self.asks_now else view.clock.today
        return None

    def _made(self, view: View, placed: Placed) -> Candidates:
        products, count = view.population.products, len(placed.shelf.row)
        words = np.zeros(-(-count // 64), np.uint64)
        nothing = np.empty(0, np.int32)
        if not count:
            return Candidates(words, 0, nothing)
        stock = products.trait("stock").values[:count]
        in_stock = (stock == _NO_STOCK) | (stock > 0)
        holds = np.ones(count, np.bool_)
        if self.rule is not None:
            plan = plan_rule(self.rule.term, products.domain, view.clock, products.money_scale)
            found = bitmap(plan.root, products, view.clock)
            holds = np.unpackbits(found.view(np.uint8), bitorder="little")[:count] == 1
        if not self.asks_stock:
            holds &= in_stock
        banned, pinned = (rows_named(view, ids) for ids in (self.pool.ban, self.pool.pin))
        holds[banned[banned >= 0]] = False
        bits.set_rows(placed.shelf.place[np.flatnonzero(holds)].astype(np.int64), words)
        pinned = pinned[pinned >= 0]
        pins = placed.shelf.place[pinned[in_stock[pinned]]] if len(pinned) else nothing
        return Candidates(words, int(np.count_nonzero(holds)), pins)


def _reads_sales(rule: CheckedRule) -> bool:
    return not CURRENT.isdisjoint(rule.term.columns)
