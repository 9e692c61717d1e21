"""What do the events of products come to, and those of their buyers? The loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel
from segengine.traits.clock_loops import Clock, date_of, is_within
from segengine.traits.purchase_loops import plus

_NO_VALUE = np.int64(-(2**63))
_BLOCK_SHIFT = 14

# Rows of the outputs; `traits/products.py` names them in the same order.
(
    UNITS_30D,
    UNITS_90D,
    AMOUNT_30D,
    AMOUNT_90D,
    BUYERS_30D,
    BUYERS_90D,
    VIEWS_30D,
    VIEWS_90D,
) = range(8)


class Dealt(NamedTuple):
    """Events of products: product p has those at places[begins[p] : begins[p + 1]].

    begins: int64[products + 1]  places: int32[n], into the two below, in order of arrival
    rows: int64[events], rows of their table  recent: int8[events], whether of the last 30 dates
    owner: int32[table], the buyer of each row
    """

    begins: NDArray[np.int64]
    places: NDArray[np.int32]
    rows: NDArray[np.int64]
    recent: NDArray[np.int8]
    owner: NDArray[np.int32]


@kernel
def rows_between(
    times: NDArray[np.int64],
    low: np.int64,
    high: np.int64,
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    first: int,
    last: int,
    rows: int,
    out: NDArray[np.int64],
) -> int:
    """The rows with low <= time <= high, ascending, as many as fit; how many there are.

    Blocks of 16,384 rows none of whose codes lies in [first, last] are passed over.
    times: int64[rows]  block_least, block_greatest: uint8[blocks]  out: int64[n]
    """
    count = 0
    for block in range((rows + (1 << _BLOCK_SHIFT) - 1) >> _BLOCK_SHIFT):
        if block_greatest[block] < first or block_least[block] > last:
            continue
        for row in range(block << _BLOCK_SHIFT, min(rows, (block + 1) << _BLOCK_SHIFT)):
            if low <= times[row] <= high:
                if count < out.shape[0]:
                    out[count] = row
                count += 1
    return count


@kernel
def sort_out(
    rows: NDArray[np.int64],
    owner: NDArray[np.int32],
    times: NDArray[np.int64],
    marks: NDArray[np.int32],
    wanted: int,
    clock: Clock,
    since_30: np.int64,
    since_90: np.int64,
    products: NDArray[np.int32],
    recent: NDArray[np.int8],
) -> None:
    """Keep the product of an event that counts, -1 for any other, and say whether it is recent.

    An event counts if a buyer who is there has it, its mark is the wanted one and it is on one of
    the 90 dates that end today; recent: on one of 30.
    rows: int64[n]  owner, times, marks: [table]  out: products int32[n], given; recent int8[n]
    """
    for k in range(rows.shape[0]):
        row = rows[k]
        recent[k] = 0
        if owner[row] < 0 or marks[row] != wanted or not is_within(times[row], since_90, 90, clock):
            products[k] = -1
        elif is_within(times[row], since_30, 30, clock):
            recent[k] = 1


@kernel
def count_by_product(products: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """Add the number of events of product p to out[p + 1].

    products: int32[n], -1 for none  out: int64[products + 1]
    """
    for k in range(products.shape[0]):
        if products[k] >= 0:
            out[products[k] + 1] += 1


@kernel
def place_by_product(
    products: NDArray[np.int32], places: NDArray[np.int64], out: NDArray[np.int32]
) -> None:
    """Write the number of each event to the place of its product, in order; the places move on.

    products: int32[n], -1 for none  places: int64[products + 1], the first of each
    out: int32[events of products]
    """
    for k in range(products.shape[0]):
        product = products[k]
        if product >= 0:
            out[places[product]] = k
            places[product] += 1


@kernel
def product_sales(
    sold: Dealt,
    seen: Dealt,
    quantity: NDArray[np.int64],
    amount: NDArray[np.int64],
    stamps: NDArray[np.int32],
    sums: NDArray[np.int64],
    rates: NDArray[np.float64],
) -> None:
    """Units, amounts, buyers and views of each product, and who of its viewers bought.

    sold: purchased lines of 90 dates  seen: views of 90 dates  quantity, amount: int64[lines]
    stamps: int32[3, buyers], all 0: scratch
    out: sums int64[8, products]  rates float64[products], missing without a viewer
    """
    for product in range(sold.begins.shape[0] - 1):
        stamp = product + 1
        for k in range(8):
            sums[k, product] = 0
        for place in range(sold.begins[product], sold.begins[product + 1]):
            at = sold.places[place]
            row, recent = sold.rows[at], sold.recent[at] == 1
            buyer = sold.owner[row]
            if quantity[row] != _NO_VALUE:
                sums[UNITS_90D, product] = plus(sums[UNITS_90D, product], quantity[row])
                if recent:
                    sums[UNITS_30D, product] = plus(sums[UNITS_30D, product], quantity[row])
            if amount[row] != _NO_VALUE:
                sums[AMOUNT_90D, product] = plus(sums[AMOUNT_90D, product], amount[row])
                if recent:
                    sums[AMOUNT_30D, product] = plus(sums[AMOUNT_30D, product], amount[row])
            if stamps[0, buyer] != stamp:
                stamps[0, buyer] = stamp
                sums[BUYERS_90D, product] += 1
            if recent and stamps[1, buyer] != stamp:
                stamps[1, buyer] = stamp
                sums[BUYERS_30D, product] += 1
        viewers, converted = 0, 0
        for place in range(seen.begins[product], seen.begins[product + 1]):
            at = seen.places[place]
            sums[VIEWS_90D, product] += 1
            if seen.recent[at] == 0:
                continue
            sums[VIEWS_30D, product] += 1
            buyer = seen.owner[seen.rows[at]]
            if stamps[2, buyer] != stamp:
                stamps[2, buyer] = stamp
                viewers += 1
                if stamps[1, buyer] == stamp:
                    converted += 1
        rates[product] = converted / viewers if viewers > 0 else np.nan


@kernel
def amounts_by_window(
    rows: NDArray[np.int64],
    owner: NDArray[np.int32],
    times: NDArray[np.int64],
    is_purchase: NDArray[np.int8],
    amount: NDArray[np.int64],
    products: NDArray[np.int32],
    clock: Clock,
    lines: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> None:
    """Add up what each product sold for on the last 90 dates, and on the 90 before those.

    rows: int64[n], lines up to as_of  products: int32[n]
    out: lines int64[products], how many were sold on the 180 dates  sums int64[2, products]
    """
    for k in range(rows.shape[0]):
        row, product = rows[k], products[k]
        if product < 0 or owner[row] < 0 or is_purchase[row] != 1:
            continue
        age = clock.today - date_of(times[row], clock)
        if age < 0 or age >= 180:
            continue
        lines[product] += 1
        window = 0 if age < 90 else 1
        if amount[row] != _NO_VALUE:
            sums[window, product] = plus(sums[window, product], amount[row])


@kernel
def grouped_sums(
    groups: NDArray[np.int32], values: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    """Add each value to the sum of its group; missing where one is, or where the sum is too large.

    groups: int32[n], -1 for none  values: int64[n]  out: int64[groups]
    """
    for k in range(groups.shape[0]):
        group = groups[k]
        if group >= 0:
            out[group] = _NO_VALUE if values[k] == _NO_VALUE else plus(out[group], values[k])


@kernel
def first_orders_of(
    as_of: np.int64,
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    times: NDArray[np.int64],
    is_purchase: NDArray[np.int8],
    last_line: NDArray[np.int32],
    previous: NDArray[np.int32],
    line_times: NDArray[np.int64],
    line_is_purchase: NDArray[np.int8],
    products: NDArray[np.int32],
    stamps: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """Count, for each product, the buyers whose first purchase has it.

    begins: int64[buyers + 1]  events: int32[orders], each buyer's in order of arrival
    last_line: int32[orders]  previous: int32[lines], the line before in the same order
    products: int32[lines]  stamps: int32[products], all 0: scratch  out: int64[products]
    """
    for buyer in range(begins.shape[0] - 1):
        first, at = -1, as_of
        for place in range(begins[buyer], begins[buyer + 1]):
            order = events[place]
            time = times[order]
            if is_purchase[order] == 1 and (time < at or (time == at and first < 0)):
                first, at = order, time
        if first < 0:
            continue
        line = last_line[first]
        while line >= 0:
            product = products[line]
            counts = line_is_purchase[line] == 1 and line_times[line] <= as_of
            if counts and product >= 0 and stamps[product] != buyer + 1:
                stamps[product] = buyer + 1
                out[product] += 1
            line = previous[line]


@kernel
def buyers_of(
    as_of: np.int64,
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    times: NDArray[np.int64],
    is_purchase: NDArray[np.int8],
    products: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    stamps: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """Count, for each product, the buyers who ever bought it, and those of them who are wanted.

    begins: int64[buyers + 1]  events: int32[lines]  products: int32[lines]  wanted: bool[buyers]
    stamps: int32[products], all 0: scratch  out: int64[2, products]
    """
    for buyer in range(begins.shape[0] - 1):
        for place in range(begins[buyer], begins[buyer + 1]):
            line = events[place]
            product = products[line]
            if product < 0 or is_purchase[line] != 1 or times[line] > as_of:
                continue
            if stamps[product] != buyer + 1:
                stamps[product] = buyer + 1
                out[0, product] += 1
                out[1, product] += wanted[buyer]
