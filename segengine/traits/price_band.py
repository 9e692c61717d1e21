"""Does a buyer choose the cheap, the middle or the dear of a category, and what is that?

A category's prices are those of its products; where none has a price above 0, or all have the
same, the unit prices of its purchased lines. Two continuous quantiles cut them into thirds. A
category whose prices are all the same has no bands: they would say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDER_LINES
from segengine.traits import price_band_loops
from segengine.traits.habit import HABITS, written
from segengine.traits.price_band_loops import HIGH, LOW, MIDDLE, NO_PRICE, Cuts, PricedLines
from segengine.traits.quantiles import quantiles
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

BANDS = ("low", "middle", "high")
assert (BANDS[LOW], BANDS[MIDDLE], BANDS[HIGH]) == BANDS
_MOST_SHOWN = 20

Prices = Iterator[tuple[int, NDArray[np.int64]]]
"""Category codes, and the prices known of each."""

_TRAITS = (
    Trait("price_band", HABITS, Kind.VARCHAR, "price_band",
          "low, middle or high by thirds of the prices in a category: that of the median purchased "
          "line, of two the lower", "",
          "fewer than minimum_evidence purchases with a unit price in a category with bands",
          words=BANDS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PriceFit:
    """Cut points by category; `shown` are those of the categories with the most prices."""

    cuts: Cuts
    shown: dict[str, dict[str, tuple[float, float]]]


def price_levels(
    fitted: PriceFit, categories: NDArray[np.int32], prices: NDArray[np.int64]
) -> NDArray[np.int32]:
    """The band of each price in its category: codes of BANDS, -1 for none.

    categories: int32[n], codes, -1 for none  prices: int64[n], money as it is kept
    None: a price that is missing or not above 0, a category without bands.
    """
    low, high = (np.append(cut, NO_PRICE) for cut in fitted.cuts)
    # The last entry is that of no category, and of one that came after the fit.
    places = np.where((categories >= 0) & (categories < len(low) - 1), categories, len(low) - 1)
    is_placed = (prices > 0) & (low[places] != NO_PRICE)
    levels = (prices > low[places]).astype(np.int32) + (prices > high[places])
    return np.where(is_placed, levels, -1).astype(np.int32)


def _fit(work: Work) -> PriceFit:
    dictionary = work.dictionary(ORDER_LINES, "category")
    cuts = Cuts(*(np.full(dictionary.size, NO_PRICE) for _ in range(2)))
    sizes: dict[int, int] = {}
    exact: dict[int, tuple[float, float]] = {}
    unit = 10**work.tables.money_scale
    for prices_by_category in (_of_products, _of_lines):
        is_open = cuts.low == NO_PRICE
        for code, prices in prices_by_category(work, is_open):
            if len(prices) == 0 or prices.min() == prices.max():
                continue
            low, high = quantiles(prices, 3)
            cuts.low[code] = low.numerator // low.denominator
            cuts.high[code] = high.numerator // high.denominator
            sizes[code] = len(prices)
            exact[code] = float(low / unit), float(high / unit)
    largest = sorted(sizes, key=lambda code: (-sizes[code], code))[:_MOST_SHOWN]
    texts = dictionary.texts()
    return PriceFit(cuts, {"price_bands": {str(texts[code]): exact[code] for code in largest}})


def _of_products(work: Work, is_open: NDArray[np.bool_]) -> Prices:
    """The prices of the products of each category."""
    products = work.tables.products
    category, price = products.columns["category"], products.columns["price"]
    if not (category.is_allocated and price.is_allocated):
        return
    codes, prices = category.values[: products.rows], price.values[: products.rows]
    kept = (codes >= 0) & (prices > 0)
    codes, prices = codes[kept], prices[kept]
    prices = prices[np.argsort(codes, kind="stable")]
    counts = np.bincount(codes, minlength=len(is_open))
    ends = np.cumsum(counts)
    for code in np.flatnonzero(counts):
        yield int(code), prices[ends[code] - counts[code] : ends[code]]


def _of_lines(work: Work, is_open: NDArray[np.bool_]) -> Prices:
    """The unit prices of the purchased lines of each category that is still open."""
    table, lines = work.tables.events[ORDER_LINES], _lines(work)
    if lines is None:
        return
    owner, as_of = table.extra("owner"), np.int64(work.as_of)
    begins = np.zeros(len(is_open) + 1, np.int64)
    price_band_loops.count_prices(table.rows, as_of, owner, lines, is_open, begins)
    counts = begins[1:].copy()
    np.cumsum(begins, out=begins)
    prices = np.empty(int(begins[-1]), np.int64)
    price_band_loops.place_prices(table.rows, as_of, owner, lines, is_open, begins.copy(), prices)
    for code in np.flatnonzero(counts):
        yield int(code), prices[begins[code] : begins[code + 1]]


def _lines(work: Work) -> PricedLines | None:
    """The order lines; None where no line has a category, an amount or a quantity."""
    names = ("category", "amount", "quantity")
    category, amount, quantity = (written(work, ORDER_LINES, name) for name in names)
    if 0 in (len(category), len(amount), len(quantity)):
        return None
    return PricedLines(
        work.values(ORDER_LINES, "time"), work.values(ORDER_LINES, "is_purchase"),
        work.extra(ORDER_LINES, "order_row"), category, amount, quantity,
    )  # fmt: skip


def _place(work: Work, fitted: PriceFit) -> None:
    lines, bands = _lines(work), work.blocks["price_band"][0]
    if lines is None or not (fitted.cuts.low != NO_PRICE).any():
        bands[work.rows] = -1
        return
    history = work.history(ORDER_LINES)

    def loop(begin: int, end: int) -> None:
        price_band_loops.price_bands(
            work.rows[begin:end], np.int64(work.as_of), history.begins[begin:], history.events,
            lines, fitted.cuts, work.config.habit.minimum_evidence, bands,
        )  # fmt: skip

    work.over_buyers(loop)


PRICE_BAND = Family("price band", "", _TRAITS, fit=_fit, place=_place, reads=(ORDER_LINES,))
