"""What does a shop know about a product beside what it was told?

`ProductTraits` gives each trait as a column. Sales, views and margins are worked out when asked
and kept for one state of the data; growth, share, class and role are those of the last fit, and
a price is placed against the cuts of that fit. A class or role that the seller has given stands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.tables.column import Column, aligned, made_column, padded
from segengine.tables.dictionary import Dictionary
from segengine.tables.tables import Tables
from segengine.traits import product_loops
from segengine.traits.price_band import BANDS, PRICE_BAND, price_levels
from segengine.traits.product_classes import CLASSES, product_matrix
from segengine.traits.product_roles import ROLES, product_roles
from segengine.traits.product_sales import product_sales
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Fits, TraitSettings, Work

NAME = "product side"
SUM_DIGITS = 38
OVERRIDDEN = {"matrix_class": CLASSES, "role": ROLES}
"""What the seller may decide: a value in the products stands before the computed one."""

_NO_VALUE = np.iinfo(np.int64).min
_NO_EARLIER = "nothing sold on the 90 dates before those"
_LINES, _VIEWS, _FITTED = "order_lines", "behaviors", "order_lines, at the last fit"


def _sales(days: int) -> tuple[Trait, ...]:
    on = f"on the {days} dates that end today"
    return (
        _trait(f"units_{days}d", Kind.BIGINT, f"quantities of purchased lines {on}, summed",
               "items"),
        _trait(f"amount_{days}d", Kind.MONEY, f"amounts of purchased lines {on}, summed, as the "
               "lines give them: a refund in part is an order's, not a line's", "money"),
        _trait(f"buyers_{days}d", Kind.BIGINT, f"different buyers of purchased lines {on}",
               "buyers"),
        _trait(f"views_{days}d", Kind.BIGINT, f"behaviors of kind `view` {on}", "views",
               source=_VIEWS),
    )  # fmt: skip


def _trait(
    name: str, kind: Kind, definition: str, unit: str = "", missing: str = "never",
    source: str = _LINES, words: tuple[str, ...] = (),
) -> Trait:  # fmt: skip
    return Trait(name, NAME, kind, "products", definition, unit, missing, source, words=words)


PRODUCT_TRAITS: tuple[Trait, ...] = (
    *_sales(30),
    *_sales(90),
    _trait("growth", Kind.DOUBLE, "amount_90d over that of the 90 dates before, minus 1", "",
           _NO_EARLIER, _FITTED),
    _trait("share", Kind.DOUBLE, "amount_90d over that of all products of its category", "",
           "no category, or one that sold nothing", _FITTED),
    _trait("conversion_rate", Kind.DOUBLE, "buyers who viewed it on the 30 dates that end today "
           "and bought it on them / buyers who viewed it on them", "0 to 1", "nobody viewed it",
           f"{_VIEWS}, {_LINES}"),
    _trait("margin", Kind.DOUBLE, "(price - cost) / price", "", "no price, no cost, or price 0",
           "products"),
    _trait("price_level", Kind.VARCHAR, "low, middle or high by thirds of the prices in its "
           "category, the cuts of price_band", "",
           "no price above 0, no category, or one whose prices are all the same", "products",
           BANDS),
    _trait("matrix_class", Kind.VARCHAR, "growth above the store's, or sold now and not before, "
           "is high; share above the mean of its category's products is high: star (both), "
           "cash_cow (share), question (growth), dog (neither); the seller's own where given", "",
           "no category, or nothing sold on 180 dates", _FITTED, CLASSES),
    _trait("role", Kind.VARCHAR, "traffic: in the top fifth by buyers whose first purchase has it; "
           "profit: in the top fifth by margin; edge: price_level high; retention: price_level "
           "low, and more of its buyers are at_risk or sleeping than of all products'; the first "
           "that holds; the seller's own where given", "", "none of them holds",
           f"{_FITTED}, products", ROLES),
)  # fmt: skip
KINDS = {trait.name: trait.kind for trait in PRODUCT_TRAITS}
CURRENT = frozenset(
    {trait.name for trait in PRODUCT_TRAITS if trait.name[-3:] in ("30d", "90d")}
    | {"conversion_rate"}
)
"""Those that an event of any buyer may change."""
_SUMS = [f"{what}_{days}d" for what in ("units", "amount", "buyers", "views") for days in (30, 90)]
assert _SUMS.index("views_90d") == product_loops.VIEWS_90D


@dataclass(frozen=True, slots=True, eq=False)
class ProductFit:
    """What was fitted to all products; those that came since have nothing here.

    growth, share: float64[products]  classes, roles: int8[products], places in their words
    codes: those of each class and role in its column
    orders, lines: how many there were: what is fitted later to the same moment reads no others
    """

    growth: NDArray[np.float64]
    share: NDArray[np.float64]
    classes: NDArray[np.int8]
    roles: NDArray[np.int8]
    codes: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    shown: dict[str, tuple[float, ...]] = field(default_factory=dict)
    orders: int = 0
    lines: int = 0


def _fit(work: Work) -> ProductFit:
    products = work.tables.products
    count = products.rows
    orders, lines = (work.tables.events[name].rows for name in (ORDERS, ORDER_LINES))
    if not count:
        none, whole = np.empty(0, np.float64), np.empty(0, np.int8)
        return ProductFit(none, none, whole, whole, orders=orders, lines=lines)
    matrix = product_matrix(work, products.columns["category"].values[:count])
    roles = product_roles(work, margins_of(work.tables), _levels(work.tables, work.fits))
    # A class has a code of the seller's column, so that both are one text.
    codes = {
        name: work.dictionary("products", name).encode(pa.array(words))
        for name, words in OVERRIDDEN.items()
    }
    known = matrix.store_growth == matrix.store_growth
    return ProductFit(
        matrix.growth, matrix.share, matrix.classes, roles, codes,
        {"store_growth": (matrix.store_growth,)} if known else {}, orders, lines,
    )  # fmt: skip


def margins_of(tables: Tables) -> NDArray[np.float64]:
    """(price - cost) / price of every product, missing without either or at a price of 0."""
    price, cost = (
        tables.products.columns[name].values[: tables.products.rows] for name in ("price", "cost")
    )
    found = np.full(len(price), np.nan)
    known = (price != _NO_VALUE) & (cost != _NO_VALUE) & (price != 0)
    found[known] = (price[known] - cost[known]) / price[known]
    return found


def _levels(tables: Tables, fits: Mapping[str, Any]) -> NDArray[np.int32]:
    """The price band of every product against the fitted cuts, -1 for none."""
    category, price = (
        tables.products.columns[name].values[: tables.products.rows]
        for name in ("category", "price")
    )
    return price_levels(fits[PRICE_BAND.name], category, price)


PRODUCT_SIDE = Family(NAME, "", (), fit=_fit)
"""It has no trait of a buyer: what it fits is read by `ProductTraits`."""


class ProductTraits:
    """The traits of all products; `fits` gives what was fitted last.

    A column is made when it is first asked for and kept until the store's version changes.
    """

    def __init__(self, tables: Tables, settings: TraitSettings, fits: Callable[[], Fits]) -> None:
        self._tables, self._settings, self._fits = tables, settings, fits
        self._kept: dict[str, Column] = {}
        self._kept_of = -1
        self._lock = threading.Lock()
        self._bands = Dictionary(Kind.VARCHAR)
        self._bands.encode(pa.array(BANDS))

    @property
    def fits(self) -> Fits:
        """What was fitted last."""
        return self._fits()

    @property
    def fitted(self) -> ProductFit:
        """What was fitted last to all products."""
        found: ProductFit = self.fits.of[NAME]
        return found

    def at_fit(self) -> Work:
        """The moment of the last fit, for what is fitted later to the same events."""
        return self.work_at(self.fits.fitted_at)

    def work_at(self, as_of: int) -> Work:
        """A moment and its calendar, of no buyer's traits."""
        nobody = np.empty(0, np.int64)
        return Work(self._tables, self._settings, as_of, nobody, {}, all_rows=False)

    def column(self, name: str, version: int) -> Column:
        """The values of a trait in the store as it is, whose version is given."""
        with self._lock:
            if self._kept_of != version:
                self._kept, self._kept_of = {}, version
            if name not in self._kept:
                self._kept |= self._made(name)
            return self._kept[name]

    def nbytes(self) -> int:
        """Bytes of the columns that are kept."""
        with self._lock:
            return sum(int(column.values.nbytes) for column in self._kept.values())

    def _made(self, name: str) -> dict[str, Column]:
        """The column of a trait, and those that come with it."""
        if name in CURRENT:
            return self._sales(name)
        fits, rows = self._fits().of, self._tables.products.rows
        fit = fits[NAME]
        if name == "growth":
            return {name: _fitted(fit.growth, rows)}
        if name == "share":
            return {name: _fitted(fit.share, rows)}
        if name == "margin":
            return {name: _fitted(margins_of(self._tables), rows)}
        if name == "price_level":
            return {name: _coded(_levels(self._tables, fits), self._bands)}
        places = fit.classes if name == "matrix_class" else fit.roles
        return {name: self._decided(name, places, fit)}

    def _sales(self, name: str) -> dict[str, Column]:
        views = name.startswith(("views", "conversion"))
        work = self.work_at(self._tables.as_of)
        sums, rates = product_sales(work, views=views)
        made = {each: made_column(KINDS[each], sums[k]) for k, each in enumerate(_SUMS)}
        for column in made.values():
            column.digits = SUM_DIGITS
        if views:
            return made | {"conversion_rate": made_column(Kind.DOUBLE, rates)}
        return {each: column for each, column in made.items() if not each.startswith("views")}

    def _decided(self, name: str, places: NDArray[np.int8], fit: ProductFit) -> Column:
        """What the seller says, else what was fitted."""
        given = self._tables.products.columns[name]
        codes = np.full(self._tables.products.rows, -1, np.int32)
        if len(places):
            codes[: len(places)] = np.append(fit.codes[name], np.int32(-1))[places]
        if given.is_allocated:
            own = given.values[: len(codes)]
            codes = np.where(own >= 0, own, codes)
        assert given.dictionary is not None
        return _coded(codes, given.dictionary)


def _fitted(values: NDArray[np.float64], rows: int) -> Column:
    out = aligned(padded(rows), np.dtype(np.float64), np.nan)
    out[: len(values)] = values
    return made_column(Kind.DOUBLE, out)


def _coded(codes: NDArray[Any], dictionary: Dictionary) -> Column:
    out = aligned(padded(len(codes)), np.dtype(np.int32), -1)
    out[: len(codes)] = codes
    return made_column(Kind.VARCHAR, out, dictionary)
