"""Which products grow, and which are large in their category: star, cash cow, question or dog?

Growth is amount_90d over that of the 90 dates before, minus 1; it is high above the store's own,
which is the same formula over all its products. A product that sold nothing before and sells now
grows without bound, so its growth is missing and high. Share is of the category's amount_90d; it
is high above the mean share of the category's products, those that sold nothing among them. A
product without a category, or that sold nothing on the 180 dates, is in no class.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import ORDER_LINES
from segengine.traits import product_loops
from segengine.traits.product_places import product_places
from segengine.traits.product_sales import rows_since
from segengine.traits.work import Work

CLASSES = ("star", "cash_cow", "question", "dog")
_NO_VALUE = np.iinfo(np.int64).min


class Matrix(NamedTuple):
    """growth, share: float64[products]  classes: int8[products], in CLASSES, -1 for none."""

    growth: NDArray[np.float64]
    share: NDArray[np.float64]
    classes: NDArray[np.int8]
    store_growth: float


def product_matrix(work: Work, categories: NDArray[np.int32]) -> Matrix:
    """The matrix of all products at the moment of a work.

    categories: int32[products], -1 for none
    """
    count = len(categories)
    lines, (now, before) = _amounts(work, count)
    groups = int(categories.max(initial=-1)) + 1
    totals = np.zeros(groups, np.int64)
    product_loops.grouped_sums(categories, now, totals)
    members = np.bincount(categories[categories >= 0], minlength=groups)
    everything = np.zeros((2, 1), np.int64)
    for sums, total in zip((now, before), everything, strict=True):
        product_loops.grouped_sums(np.zeros(count, np.int32), sums, total)
    store_growth = float(growth_of(everything[0], everything[1])[0])

    growth = growth_of(now, before)
    inside = np.flatnonzero(categories >= 0)
    total = np.full(count, _NO_VALUE, np.int64)
    total[inside] = totals[categories[inside]]
    share = np.full(count, np.nan)
    known = total > 0
    share[known] = now[known] / total[known]
    is_large = np.zeros(count, np.bool_)
    # The shares of a category sum to 1: the mean is 1 / members, and in whole numbers exact.
    is_large[known] = now[known] > total[known] // members[categories[known]]
    grows = np.where(before > 0, growth > store_growth, now > 0)
    places = np.where(is_large, np.where(grows, 0, 1), np.where(grows, 2, 3))
    placed = (categories >= 0) & (lines > 0) & (now != _NO_VALUE) & (before != _NO_VALUE)
    return Matrix(growth, share, np.where(placed, places, -1).astype(np.int8), store_growth)


def growth_of(now: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.float64]:
    """now / before - 1; missing where nothing was sold before: float64[n]."""
    found = np.full(len(now), np.nan)
    known = (before > 0) & (now != _NO_VALUE)
    found[known] = now[known] / before[known] - 1
    return found


def _amounts(work: Work, products: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lines sold on the last 180 dates, and amounts of the later and the earlier half of them."""
    lines, sums = np.zeros(products, np.int64), np.zeros((2, products), np.int64)
    rows = rows_since(work, ORDER_LINES, 180)
    owner = work.tables.events[ORDER_LINES].extra("owner")
    time, is_purchase, amount = (
        work.values(ORDER_LINES, name) for name in ("time", "is_purchase", "amount")
    )
    places = product_places(work.tables, ORDER_LINES, rows)
    product_loops.amounts_by_window(
        rows, owner, time, is_purchase, amount, places, work.clock, lines, sums
    )
    return lines, sums
