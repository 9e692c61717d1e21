"""What lies in the baskets? The lines of a chunk's orders: products, quantities, exact cents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.demo.catalogue import Catalogue, on_sale, pick_products
from segengine.demo.draws import draw, lottery
from segengine.demo.promotions import percents

_COUNT_CHANCES = (46, 27, 14, 8, 5)  # of 1 to 5 lines
_QUANTITIES = np.array([1, 2, 3, 4, 6])
_BRAND_SHARE, _CATEGORY_SHARE = 0.24, 0.38
"""Shares of lines chosen from the buyer's preferred brand; from the category; else from all."""


@dataclass(frozen=True, slots=True, eq=False)
class Baskets:
    """The lines of orders, order by order.

    starts: int64[orders], the first line of each order. order, number, product, quantity,
    amount, list_amount: int64[lines]; number counts from 1 in each order, amounts are cents.
    total: int64[orders], the sum of an order's amounts.
    """

    starts: NDArray[np.int64]
    order: NDArray[np.int64]
    number: NDArray[np.int64]
    product: NDArray[np.int64]
    quantity: NDArray[np.int64]
    amount: NDArray[np.int64]
    list_amount: NDArray[np.int64]
    total: NDArray[np.int64]


def fill_baskets(
    rng: np.random.Generator,
    catalogue: Catalogue,
    *,
    placed: NDArray[np.int64],
    promotion: NDArray[np.int64],
    category: NDArray[np.int64],
    brand_start: NDArray[np.int64],
    brand_end: NDArray[np.int64],
    in_bulk: NDArray[np.bool_],
) -> Baskets:
    """1 to 5 lines for each order; all arguments are [orders] and the buyer's habits.

    An amount is quantity x unit price, the unit price being the list price less the discount,
    rounded to a cent; so lines and orders are exact.
    """
    n = len(placed)
    counts = 1 + draw(rng, lottery(_COUNT_CHANCES), n).astype(np.int64)
    order = np.repeat(np.arange(n), counts)
    starts = np.cumsum(counts) - counts
    lines = len(order)
    number = np.arange(1, lines + 1) - starts[order]

    whim = rng.random(lines, dtype=np.float32)
    by_brand = whim < _BRAND_SHARE
    by_category = whim < _BRAND_SHARE + _CATEGORY_SHARE
    ends = catalogue.category_ends
    wanted = category[order]
    low = np.where(by_brand, brand_start[order], np.where(by_category, ends[wanted], 0))
    high = np.where(by_brand, brand_end[order], np.where(by_category, ends[wanted + 1], ends[-1]))
    product = pick_products(rng, catalogue, low, high)
    product = on_sale(catalogue, _without_repeats(catalogue, product, number), placed[order])

    quantity = _QUANTITIES[draw(rng, lottery([84, 11, 3, 1, 1]), lines)]
    quantity = np.where(in_bulk[order], quantity * 4 + 2, quantity)
    price = catalogue.price[product]
    unit = (price * percents(rng, promotion[order]) + 50) // 100
    amount = unit * quantity
    total = np.add.reduceat(amount, starts) if n else amount
    return Baskets(starts, order, number, product, quantity, amount, price * quantity, total)


def _without_repeats(
    catalogue: Catalogue, product: NDArray[np.int64], number: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The products, but a neighbour in its category where a line repeats the line before."""
    repeats = np.flatnonzero((product[1:] == product[:-1]) & (number[1:] > 1)) + 1
    category = catalogue.category[product[repeats]]
    ends = catalogue.category_ends
    following = product[repeats] + 1
    result = product.copy()
    result[repeats] = np.where(following < ends[category + 1], following, ends[category])
    return result
