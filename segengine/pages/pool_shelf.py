"""What do the products look like when pools rank them, and which of them are in this pool?

Products stand on a shelf by sales: the best seller of the last fit first, of equals the smaller
product_id. A product's number there, its *place*, settles every tie, and a pool is a bit for each
place. The shelf is kept until products change or are fitted anew, so an append costs it nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.kernels import bits
from segengine.pages.pool import Pool
from segengine.pages.pool_loops import Shelf
from segengine.rules.evaluate import bitmap
from segengine.rules.frame import Words
from segengine.rules.plan import plan_rule
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule
from segengine.schema.pool_settings import DOINGS, PoolSettings
from segengine.schema.tables import ORDER_LINES
from segengine.tables.column import Column
from segengine.tables.tables import Tables
from segengine.traits.product_places import product_places
from segengine.traits.product_sales import rows_since
from segengine.traits.products import CURRENT
from segengine.traits.work import Fits, Work

_NO_STOCK = np.iinfo(np.int64).min
BEHAVIORS = "behaviors"


class Placed(NamedTuple):
    """The shelf, and which row of the products stands where.

    revision, fits: what it was made of  row: int64[places]  place: int32[rows]
    """

    revision: int
    fits: Fits
    shelf: Shelf
    row: NDArray[np.int64]
    place: NDArray[np.int32]

    def places_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The places of these products: int32[n], -1 for a row of -1."""
        if not len(self.place):
            return np.full(len(rows), -1, np.int32)
        return np.where(rows >= 0, self.place[rows], np.int32(-1))


class Shelves:
    """What pools rank by, kept for the state of the products it was made of.

    settings: those of `[pools]`
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        """Held while something is made, so that two visitors do not make it twice."""
        self._placed: Placed | None = None
        self._weights = np.empty(0, np.float64)

    def placed(self, view: View) -> Placed:
        """The shelf as the products are."""
        tables, fits = view.population.tables, view.population.product_traits.fits
        found = self._placed
        if found is None or found.revision != tables.products_revision or found.fits is not fits:
            with self.lock:
                found = self._placed = _placed(view, self.settings)
        return found

    def weights_of_kinds(self, tables: Tables) -> NDArray[np.float64]:
        """What a behaviour of each kind counts for: float64[1 + kinds], entry 0 for a missing."""
        kinds = tables.column(BEHAVIORS, "kind").dictionary
        assert kinds is not None
        if len(self._weights) != 1 + kinds.size:
            weights = np.zeros(1 + kinds.size)
            codes = kinds.find(pa.array(DOINGS, pa.large_string()))
            for code, name in zip(codes, DOINGS, strict=True):
                if code >= 0:
                    weights[code + 1] = getattr(self.settings, name)
            self._weights = weights
        return self._weights


def _placed(view: View, settings: PoolSettings) -> Placed:
    products, fits = view.population.products, view.population.product_traits.fits
    tables, count = view.population.tables, products.rows
    units = _units(view, settings.best_seller_days)
    order = np.lexsort((id_order(products.trait("product_id"), count), -units))
    place = np.empty(count, np.int32)
    place[order] = np.arange(count, dtype=np.int32)

    def codes(name: str) -> NDArray[np.int32]:
        return np.asarray(products.trait(name).values[:count][order], np.int32)

    shelf = Shelf(
        codes("category"), codes("brand"), codes("price_level"), np.int64(np.sum(units > 0))
    )
    return Placed(tables.products_revision, fits, shelf, order.astype(np.int64), place)


def _units(view: View, days: int) -> NDArray[np.float64]:
    """Items that each product has sold on the dates that ended at the last fit: float64[products].

    A line whose quantity is unknown is one item.
    """
    tables, traits = view.population.tables, view.population.product_traits
    out = np.zeros(view.population.products.rows)
    sold = sold_lines(traits.at_fit(), days, traits.fitted.lines)
    places = product_places(tables, ORDER_LINES, sold)
    sold, places = sold[places >= 0], places[places >= 0]
    quantity = tables.column(ORDER_LINES, "quantity")
    items = quantity.values[sold]
    np.add.at(out, places, np.where(items == int(quantity.missing), 1, items).astype(np.float64))
    return out


def sold_lines(work: Work, days: int, lines: int) -> NDArray[np.int64]:
    """The rows, of the first `lines`, of purchased lines on the `days` dates that end at a work's.

    Lines of nobody, whose buyer was deleted, are not among them.
    """
    table = work.tables.events[ORDER_LINES]
    rows = rows_since(work, ORDER_LINES, days)
    rows = rows[rows < lines]
    if not len(rows):
        return rows
    ages = work.today - work.settings.zone.days_of(table.columns["time"].values[rows])
    counts = (table.columns["is_purchase"].values[rows] == 1) & (table.extra("owner")[rows] >= 0)
    return rows[counts & (ages >= 0) & (ages < days)]


def id_order(ids: Column, count: int) -> NDArray[np.int64]:
    """The number of each product when they stand by product_id: int64[products].

    Numbers by size, texts by their bytes.
    """
    values: Any = ids.values[:count]
    if ids.dictionary is not None:
        values = ids.dictionary.texts().take(pa.array(values))
        order = pc.sort_indices(values).to_numpy()
    else:
        order = np.argsort(values, kind="stable")
    found = np.empty(count, np.int64)
    found[order] = np.arange(count)
    return found


class Candidates(NamedTuple):
    """Who is in a pool, whoever asks.

    words: uint64, a bit for each place  count: how many  pins: int32, the places of pins in stock
    """

    words: Words
    count: int
    pins: NDArray[np.int32]


@dataclass(slots=True, eq=False)
class ReadyPool:
    """A pool whose rule is checked, and its candidates as long as they stand."""

    pool: Pool
    rule: CheckedRule | None
    shelves: Shelves
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
        placed, moment = self.shelves.placed(view), self._moment(view)
        kept = self._kept
        if kept is None or kept[1] is not placed or kept[0] != moment:
            with self.shelves.lock:
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
        products, count = view.population.products, len(placed.row)
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
        bits.set_rows(placed.place[np.flatnonzero(holds)].astype(np.int64), words)
        pinned = pinned[pinned >= 0]
        pins = placed.place[pinned[in_stock[pinned]]] if len(pinned) else nothing
        return Candidates(words, int(np.count_nonzero(holds)), pins)


def _reads_sales(rule: CheckedRule) -> bool:
    return not CURRENT.isdisjoint(rule.term.columns)


def rows_named(view: View, ids: tuple[int | str, ...]) -> NDArray[np.int64]:
    """The row of each product that a pool names, -1 where the shop has no such product."""
    tables = view.population.tables
    column = tables.products.columns["product_id"]
    found = np.full(len(ids), -1, np.int64)
    wanted = int if column.dictionary is None else str
    fitting = [k for k, each in enumerate(ids) if isinstance(each, wanted) and _is_kept(each)]
    if fitting and tables.products.rows:
        some = [ids[k] for k in fitting]
        if column.dictionary is None:
            keys: NDArray[Any] = np.array(some, np.int64)
        else:
            keys = column.dictionary.find(pa.array(some, pa.large_string()))
        found[fitting] = tables.product_rows(keys)
    return found


def _is_kept(product_id: int | str) -> bool:
    """Whether a store could have a product with this id."""
    return isinstance(product_id, str) or -(2**63) < product_id < 2**63
