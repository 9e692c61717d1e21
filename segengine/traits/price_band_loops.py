"""Purchased lines -> unit prices by category, and the band that a buyer's lines lie in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel
from segengine.traits.habit_loops import purchased

NO_PRICE = np.int64(-(2**63))
LOW, MIDDLE, HIGH = range(3)


class PricedLines(NamedTuple):
    """Order lines; a column that nothing was ever written to is an empty array."""

    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    order: NDArray[np.int32]
    category: NDArray[np.int32]
    amount: NDArray[np.int64]
    quantity: NDArray[np.int64]


class Cuts(NamedTuple):
    """Whole cut points by category code, NO_PRICE for a category without bands.

    A price is above a cut if and only if it is above the cut's floor; these are the floors.
    low: int64[categories], between low and middle  high: int64[categories]
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]


@inlined
def unit_price(line: int, lines: PricedLines) -> np.int64:
    """Amount / quantity in the store's smallest decimal, half up; NO_PRICE unless both are > 0."""
    amount, quantity = lines.amount[line], lines.quantity[line]
    if amount <= 0 or quantity <= 0:
        return NO_PRICE
    # An amount has 18 digits, so that the sum fits; half of an odd quantity is never in between.
    return (amount + quantity // 2) // quantity


@kernel
def count_prices(
    count: int,
    as_of: np.int64,
    owner: NDArray[np.int32],
    lines: PricedLines,
    asked: NDArray[np.bool_],
    out: NDArray[np.int64],
) -> None:
    """Add the number of unit prices of category k to out[k + 1].

    count: the rows of the table  owner: int32[rows], -1 for nobody's
    asked: bool[categories]  out: int64[categories + 1]
    """
    for line in range(count):
        code = lines.category[line]
        if (
            code >= 0
            and asked[code]
            and owner[line] >= 0
            and lines.is_purchase[line] == 1
            and lines.time[line] <= as_of
            and unit_price(line, lines) != NO_PRICE
        ):
            out[code + 1] += 1


@kernel
def place_prices(
    count: int,
    as_of: np.int64,
    owner: NDArray[np.int32],
    lines: PricedLines,
    asked: NDArray[np.bool_],
    places: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Write each unit price to the place of its category; the places move on.

    As `count_prices`.  places: int64[categories + 1], the first place of each  out: int64[prices]
    """
    for line in range(count):
        code = lines.category[line]
        if (
            code >= 0
            and asked[code]
            and owner[line] >= 0
            and lines.is_purchase[line] == 1
            and lines.time[line] <= as_of
        ):
            price = unit_price(line, lines)
            if price != NO_PRICE:
                out[places[code]] = price
                places[code] += 1


@kernel
def price_bands(
    rows: NDArray[np.int64],
    as_of: np.int64,
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    lines: PricedLines,
    cuts: Cuts,
    minimum: int,
    out: NDArray[np.int32],
) -> None:
    """Write the band of the median line of these buyers, of two the lower; -1 for none.

    rows: int64[n]  begins, events: the `History` of their order lines
    minimum: the purchases with a line in a band, at least  out: int32[rows]
    """
    found = np.empty(64, np.int32)
    for index in range(rows.shape[0]):
        buyer = rows[index]
        most = begins[index + 1] - begins[index]
        if most > found.shape[0]:
            found = np.empty(2 * most, np.int32)
        count = purchased(
            begins[index], begins[index + 1], events,
            lines.time, lines.is_purchase, lines.order, as_of, found,
        )  # fmt: skip
        low, middle, placed, purchases, before = 0, 0, 0, 0, np.int32(-1)
        for place in range(count):
            line = found[place]
            code = lines.category[line]
            if code < 0 or code >= cuts.low.shape[0] or cuts.low[code] == NO_PRICE:
                continue
            price = unit_price(line, lines)
            if price == NO_PRICE:
                continue
            placed += 1
            low += price <= cuts.low[code]
            middle += cuts.low[code] < price <= cuts.high[code]
            purchases += lines.order[line] != before
            before = lines.order[line]
        if placed == 0 or purchases < minimum:
            out[buyer] = -1
        elif (placed - 1) // 2 < low:
            out[buyer] = LOW
        else:
            out[buyer] = MIDDLE if (placed - 1) // 2 < low + middle else HIGH
