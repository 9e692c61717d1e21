"""One buyer's purchases in order of time -> what, when and how much they bought.

The same loop builds all buyers and brings up to date those whom a batch touched, so that
incremental equals full by construction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock, date_of, is_within

_NO_VALUE = np.int64(-(2**63))
_NO_COUNT = np.int32(-(2**31))

# Rows of the outputs; `traits/purchase.py` names them in the same order.
(
    ORDER_COUNT,
    PLACED_COUNT,
    RECENCY,
    ORDERS_7D,
    ORDERS_30D,
    ORDERS_90D,
    ORDERS_365D,
    CATEGORIES,
    BRANDS,
    PROMOTIONS,
) = range(10)
(
    ITEMS,
    AMOUNT,
    GROSS,
    LAST_AMOUNT,
    MAX_AMOUNT,
    AMOUNT_7D,
    AMOUNT_30D,
    AMOUNT_90D,
    AMOUNT_365D,
    FIRST_AT,
    SECOND_AT,
    LAST_AT,
) = range(12)
AVERAGE_AMOUNT, AVERAGE_GAP, GAP_RATIO = range(3)
WINDOWS = (365, 90, 30, 7)
"""The windows of `orders_` and `amount_`, the widest first: who is not in it is in no other."""


class Bought(NamedTuple):
    """The `Purchases` of some buyers, and what is known of every order."""

    begins: NDArray[np.int64]
    counts: NDArray[np.int32]
    placed: NDArray[np.int32]
    orders: NDArray[np.int32]
    times: NDArray[np.int64]
    amount: NDArray[np.int64]
    refund: NDArray[np.int64]
    promotion: NDArray[np.int32]


class Lines(NamedTuple):
    """The `History` of the same buyers' order lines, and what is known of every line."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    quantity: NDArray[np.int64]
    category: NDArray[np.int32]
    brand: NDArray[np.int32]


@inlined
def plus(total: np.int64, value: np.int64) -> np.int64:
    """A sum that stays missing once it has left the int64."""
    if total == _NO_VALUE:
        return total
    # Unsigned, so that the compiler may not assume that the sum fits.
    added = np.int64(np.uint64(total) + np.uint64(value))
    if ((total ^ added) & (value ^ added)) < 0:
        return _NO_VALUE
    return added


@kernel
def purchase_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    bought: Bought,
    lines: Lines,
    none_ahead: bool,
    since: NDArray[np.int64],
    scale: np.int64,
    stamps: NDArray[np.int32],
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
    ratios: NDArray[np.float64],
    promotions: NDArray[np.int32],
) -> None:
    """Write every fact of these buyers.

    rows: int64[n]  none_ahead: no line is after as_of  since: int64[4], where each of the
    `WINDOWS` begins  scale: 10 ** digits of money
    stamps: int32[3, largest dictionary], all -1: scratch
    out: counts int32[10, rows]  wides int64[12, rows]  ratios float64[3, rows]
    promotions int32[rows], the first
    """
    window_counts, window_amounts = np.zeros(4, np.int32), np.zeros(4, np.int64)
    for index in range(rows.shape[0]):
        buyer = rows[index]
        counts[PLACED_COUNT, buyer] = bought.placed[index]
        counts[ORDER_COUNT, buyer] = bought.counts[index]
        _dates(buyer, index, clock, bought, counts, wides, ratios)
        promotions[buyer] = _sums(
            buyer, index, clock, bought, since, scale, stamps, window_counts, window_amounts,
            counts, wides, ratios,
        )  # fmt: skip
        _items(buyer, index, clock.as_of, lines, none_ahead, stamps, counts, wides)


@inlined
def _dates(
    buyer: np.int64,
    index: int,
    clock: Clock,
    bought: Bought,
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
    ratios: NDArray[np.float64],
) -> None:
    times, begin, count = bought.times, bought.begins[index], bought.counts[index]
    wides[SECOND_AT, buyer] = times[begin + 1] if count > 1 else _NO_VALUE
    ratios[AVERAGE_GAP, buyer] = np.nan
    ratios[GAP_RATIO, buyer] = np.nan
    if count == 0:
        wides[FIRST_AT, buyer] = _NO_VALUE
        wides[LAST_AT, buyer] = _NO_VALUE
        counts[RECENCY, buyer] = _NO_COUNT
        return
    first, last = times[begin], times[begin + count - 1]
    wides[FIRST_AT, buyer] = first
    wides[LAST_AT, buyer] = last
    last_day = date_of(last, clock)
    recency = clock.today - last_day
    counts[RECENCY, buyer] = recency
    if count > 1:
        span = last_day - date_of(first, clock)
        gap = span / (count - 1)
        ratios[AVERAGE_GAP, buyer] = gap
        if span > 0:
            ratios[GAP_RATIO, buyer] = recency / gap


@inlined
def _sums(
    buyer: np.int64,
    index: int,
    clock: Clock,
    bought: Bought,
    since: NDArray[np.int64],
    scale: np.int64,
    stamps: NDArray[np.int32],
    window_counts: NDArray[np.int32],
    window_amounts: NDArray[np.int64],
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
    ratios: NDArray[np.float64],
) -> np.int32:
    amount, gross, best = np.int64(0), np.int64(0), _NO_VALUE
    known, promotions, first_promotion = 0, 0, np.int32(-1)
    window_counts[:] = 0
    window_amounts[:] = 0
    net = _NO_VALUE
    begin = bought.begins[index]
    for place in range(begin, begin + bought.counts[index]):
        row = bought.orders[place]
        net = bought.amount[row]
        if net != _NO_VALUE:
            gross = plus(gross, net)
            if bought.refund[row] != _NO_VALUE:
                net -= bought.refund[row]
            amount = plus(amount, net)
            best = max(best, net)
            known += 1
        promotion = bought.promotion[row]
        if promotion >= 0:
            if first_promotion < 0:
                first_promotion = promotion
            if stamps[0, promotion] != buyer:
                stamps[0, promotion] = buyer
                promotions += 1
        at = bought.times[place]
        for k in range(4):
            if not is_within(at, since[k], WINDOWS[k], clock):
                break
            window_counts[k] += 1
            if net != _NO_VALUE:
                window_amounts[k] = plus(window_amounts[k], net)
    for k in range(4):
        counts[ORDERS_7D + 3 - k, buyer] = window_counts[k]
        wides[AMOUNT_7D + 3 - k, buyer] = window_amounts[k]
    wides[AMOUNT, buyer] = amount
    wides[GROSS, buyer] = gross
    wides[LAST_AMOUNT, buyer] = net
    wides[MAX_AMOUNT, buyer] = best
    counts[PROMOTIONS, buyer] = promotions
    ratios[AVERAGE_AMOUNT, buyer] = (
        amount / (known * scale) if known > 0 and amount != _NO_VALUE else np.nan
    )
    return first_promotion


@inlined
def _items(
    buyer: np.int64,
    index: int,
    as_of: np.int64,
    lines: Lines,
    none_ahead: bool,
    stamps: NDArray[np.int32],
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
) -> None:
    items, categories, brands = np.int64(0), 0, 0
    for place in range(lines.begins[index], lines.begins[index + 1]):
        row = lines.events[place]
        # A column that need not be read is a cache miss saved for every line.
        if lines.is_purchase[row] == 1 and (none_ahead or lines.time[row] <= as_of):
            if lines.quantity[row] != _NO_VALUE:
                items = plus(items, lines.quantity[row])
            code = lines.category[row]
            if code >= 0 and stamps[1, code] != buyer:
                stamps[1, code] = buyer
                categories += 1
            code = lines.brand[row]
            if code >= 0 and stamps[2, code] != buyer:
                stamps[2, code] = buyer
                brands += 1
    wides[ITEMS, buyer] = items
    counts[CATEGORIES, buyer] = categories
    counts[BRANDS, buyer] = brands
