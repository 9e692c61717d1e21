"""What do the products look like when pools rank them?

Products stand on a shelf by sales: the best seller of the last fit first, of equals the smaller
product_id. A product's number there, its *place*, settles every tie, and a pool is a bit for each
place. The shelf is kept until products change or are fitted anew, so an append costs it nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.pages.pool_loops import Scratch, scratch_of
from segengine.pages.pool_visit_loops import Shelf
from segengine.rules.segment import View
from segengine.schema.pool_settings import DOINGS, PoolSettings
from segengine.schema.tables import ORDER_LINES
from segengine.tables.column import Column
from segengine.tables.tables import Tables
from segengine.traits.product_places import product_places
from segengine.traits.product_sales import rows_since
from segengine.traits.work import Fits, Work

BEHAVIORS = "behaviors"


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The shelf, and what it was made of.

    revision: of the products  scratch: for the next ranking; each is used by one at a time
    """

    revision: int
    fits: Fits
    shelf: Shelf
    scratch: list[Scratch] = field(default_factory=list)
    _ids: list[list[int | str]] = field(default_factory=list)

    def take_scratch(self) -> Scratch:
        """What a ranking writes to; whoever is done puts it back into `scratch`."""
        try:
            return self.scratch.pop()
        except IndexError:
            return scratch_of(len(self.shelf.row))

    def ids_of(self, view: View, places: NDArray[np.int32]) -> list[int | str]:
        """The product_ids at some places."""
        if not self._ids:
            self._ids.append(_ids(view, self.shelf.row))
        every = self._ids[0]
        return [every[place] for place in places.tolist()]

    def places_of(self, rows: NDArray[Any]) -> NDArray[np.int32]:
        """The places of these products: int32[n], -1 for a row of -1."""
        if not len(self.shelf.place):
            return np.full(len(rows), -1, np.int32)
        return np.where(rows >= 0, self.shelf.place[rows], np.int32(-1))


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

        def is_current(found: Placed | None) -> TypeGuard[Placed]:
            if found is None or found.fits is not fits:
                return False
            return found.revision == tables.products_revision

        found = self._placed
        if not is_current(found):
            with self.lock:
                # Who has waited finds what another visitor has made.
                found = self._placed
                if not is_current(found):
                    found = self._placed = _placed(view, self.settings)
        return found

    def nbytes(self) -> int:
        """Bytes of the shelf."""
        kept = self._placed
        arrays = () if kept is None else kept.shelf
        return sum(int(array.nbytes) for array in arrays if isinstance(array, np.ndarray))

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

    ids = products.trait("product_id").values[:count].astype(np.int64)
    by_id = np.argsort(ids, kind="stable")
    looks = codes("category"), codes("brand"), codes("price_level")
    shelf = Shelf(
        *looks, _selling(units), order.astype(np.int64), place, ids[by_id], place[by_id],
        *_sorts(looks),
    )  # fmt: skip
    return Placed(tables.products_revision, fits, shelf)


def _sorts(looks: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The places of each sort, ascending, sort by sort, and where each begins: int32[sorts + 1]."""
    members = np.lexsort(looks).astype(np.int32)
    changes = np.zeros(len(members), np.bool_)
    for look in looks:
        changes[1:] |= look[members[1:]] != look[members[:-1]]
    changes[:1] = True
    return members, np.append(np.flatnonzero(changes), len(members)).astype(np.int32)


def _ids(view: View, rows: NDArray[np.int64]) -> list[int | str]:
    column = view.population.tables.products.columns["product_id"]
    codes: NDArray[Any] = column.values[rows]
    found: list[int | str] = codes.tolist()
    if column.dictionary is not None:
        found = column.dictionary.texts().take(pa.array(codes)).to_pylist()
    return found


def _selling(units: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1 for the place that sells best, step by step, to 0 for those that sold nothing."""
    sold = int(np.sum(units > 0))
    return np.maximum(sold - np.arange(len(units)), 0) / max(sold, 1)


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


def rows_named(view: View, ids: Sequence[int | str]) -> NDArray[np.int64]:
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
