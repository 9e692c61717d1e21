"""Which products are in this pool, whoever asks?

Those of its rule, in stock, not banned: a bit for each place of the shelf. They are kept until
products change or are fitted anew; where the rule reads the date, the clock or sales, no longer
than those stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import bits
from segengine.pages.active import NEVER
from segengine.pages.certificate import Reads, meets, reads_of, standing
from segengine.pages.pool import Pool
from segengine.pages.pool_ranker import Ranker
from segengine.pages.pool_shelf import Placed, rows_named
from segengine.rules.compute import compute
from segengine.rules.evaluate import bitmap
from segengine.rules.frame import Words
from segengine.rules.plan import plan_rule
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule
from segengine.traits.products import CURRENT

_EVER = np.iinfo(np.int64).min
_NO_STOCK = np.iinfo(np.int64).min


class Candidates(NamedTuple):
    """Who is in a pool, whoever asks.

    words: uint64, a bit for each place  size: how many  pins: int32, the places of pins in stock
    since, until: instants; they stand from the one until before the other, as far as time goes
    """

    words: Words
    size: int
    pins: NDArray[np.int32]
    since: int
    until: int


@dataclass(slots=True, eq=False)
class ReadyPool:
    """A pool whose rule is checked, and its candidates as long as they stand.

    asks_stock: the rule itself says which stock is enough. asks_sales: it reads what any buyer may
    change.
    """

    pool: Pool
    rule: CheckedRule | None
    ranker: Ranker
    asks_stock: bool = field(init=False, default=False)
    asks_sales: bool = field(init=False, default=False)
    _reads: Reads | None = field(init=False, default=None)
    _kept: tuple[int, Placed, Candidates] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.rule is not None:
            term = self.rule.term
            self.asks_stock = "stock" in term.columns
            self.asks_sales = not CURRENT.isdisjoint(term.columns)
            self._reads = reads_of([term], (), capped=False) if term.reads_clock else None

    def candidates(self, view: View) -> Candidates:
        """The products in the pool: those of its rule, in stock, not banned."""
        placed = self.ranker.shelves.placed(view)
        version = view.data_version if self.asks_sales else 0
        kept = self._kept
        if (
            kept is None
            or kept[1] is not placed
            or kept[0] != version
            or not kept[2].since <= view.clock.as_of < kept[2].until
        ):
            with self.ranker.shelves.lock:
                kept = self._kept = (version, placed, self._made(view, placed))
        return kept[2]

    def _until(self, view: View) -> int:
        """The first moment at which time alone could change what the rule says."""
        if self._reads is None:
            return NEVER
        until, products = standing(self._reads, view).until, view.population.products
        if self._reads.crossings and products.rows:
            block = products.block(slice(0, products.rows), view.clock)
            for crossing in self._reads.crossings:
                times = compute(crossing.other, block)
                until = min(until, meets(crossing, times, block, view.clock))
        return until

    def _made(self, view: View, placed: Placed) -> Candidates:
        products, count = view.population.products, len(placed.shelf.row)
        words = np.zeros(-(-count // 64), np.uint64)
        nothing = np.empty(0, np.int32)
        until = self._until(view)
        since = _EVER if until == NEVER else view.clock.as_of
        if not count:
            return Candidates(words, 0, nothing, since, until)
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
        return Candidates(words, int(np.count_nonzero(holds)), pins, since, until)
