"""One buyer's purchases in order of time -> facts of the purchase and life-cycle families.

The same loop builds all buyers and brings up to date those whom a batch touched, so that
incremental equals full by construction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import day_start, local_day
from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock

_NO_VALUE = np.int64(-(2**63))
_NO_COUNT = np.int32(-(2**31))

# Rows of the outputs; `traits/catalogue.py` names them in the same order.
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
    STAGE_CHANGED_AT,
) = range(13)
AVERAGE_AMOUNT, AVERAGE_GAP, GAP_RATIO = range(3)
FIRST_PROMOTION, STAGE, PREVIOUS_STAGE, TRADE_GROUP = range(4)
PROSPECT, NEW, ACTIVE, AT_RISK, SLEEPING, LAPSED = range(6)


class Orders(NamedTuple):
    """The orders and their chains per buyer."""

    heads: NDArray[np.int32]
    previous: NDArray[np.int32]
    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    amount: NDArray[np.int64]
    refund: NDArray[np.int64]
    promotion: NDArray[np.int32]


class Lines(NamedTuple):
    """The order lines and their chains per buyer."""

    heads: NDArray[np.int32]
    previous: NDArray[np.int32]
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


@inlined
def stage_of(count: int, recency: np.int64, span: np.int64, thresholds: NDArray[np.int64]) -> int:
    """The life-cycle stage after `count` purchases over `span` dates, `recency` dates later."""
    if count == 0:
        return PROSPECT
    if count == 1 and recency <= thresholds[0]:
        return NEW
    if recency <= thresholds[1]:
        # recency / (span / (count - 1)) > 1.5, in whole numbers.
        if count >= 3 and span > 0 and 2 * recency * (count - 1) > 3 * span:
            return AT_RISK
        return ACTIVE
    if recency <= thresholds[2]:
        return SLEEPING
    return LAPSED


@inlined
def last_switch(
    count: int, limit: np.int64, span: np.int64, thresholds: NDArray[np.int64]
) -> np.int64:
    """The latest recency in [1, limit] at which the stage differs from the date before; 0: none."""
    best = np.int64(0)
    for index in range(4):
        if index < 3:
            switch = thresholds[index] + 1
        elif count >= 3 and span > 0:
            switch = 3 * span // (2 * (count - 1)) + 1
        else:
            continue
        if best < switch <= limit and stage_of(count, switch, span, thresholds) != stage_of(
            count, switch - 1, span, thresholds
        ):
            best = switch
    return best


@inlined
def gathered(
    head: int, orders: Orders, as_of: np.int64, found: NDArray[np.int32], take: bool
) -> tuple[int, int]:
    """How many orders a buyer has placed and bought up to `as_of`; the purchases if asked."""
    placed, bought = 0, 0
    row = head
    while row >= 0:
        if orders.time[row] <= as_of:
            placed += 1
            if orders.is_purchase[row] == 1:
                if take:
                    found[bought] = row
                bought += 1
        row = orders.previous[row]
    return placed, bought


@inlined
def in_time_order(found: NDArray[np.int32], count: int, time: NDArray[np.int64]) -> None:
    """Sort by (time, arrival); the chain gave the latest arrival first."""
    for index in range(count // 2):
        found[index], found[count - 1 - index] = found[count - 1 - index], found[index]
    moves = 0
    for index in range(1, count):
        row = found[index]
        at = time[row]
        place = index
        while place > 0 and time[found[place - 1]] > at:
            found[place] = found[place - 1]
            place -= 1
            moves += 1
        found[place] = row
        if moves > 64 * count:
            # Far from sorted: a buyer with many orders that arrived in disorder. Arrival is the
            # row's number, so sorting rows first and times stably next restores (time, arrival).
            rows = np.sort(found[:count])
            order = np.argsort(time[rows], kind="mergesort")
            for k in range(count):
                found[k] = rows[order[k]]
            return


@kernel
def purchase_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    orders: Orders,
    lines: Lines,
    thresholds: NDArray[np.int64],
    scale: np.int64,
    stamps: NDArray[np.int32],
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
    ratios: NDArray[np.float64],
    codes: NDArray[np.int32],
) -> None:
    """Write every fact of these buyers.

    rows: int64[n]  thresholds: int64[3], new, active, sleeping  scale: 10 ** digits of money
    stamps: int32[3, largest dictionary], all -1: scratch
    out: counts int32[10, rows]  wides int64[13, rows]  ratios float64[3, rows]
    codes int32[4, rows]
    """
    found = np.empty(64, np.int32)
    for index in range(rows.shape[0]):
        buyer = rows[index]
        placed, count = gathered(orders.heads[buyer], orders, clock.as_of, found, False)
        if count > found.shape[0]:
            found = np.empty(2 * count, np.int32)
        gathered(orders.heads[buyer], orders, clock.as_of, found, True)
        in_time_order(found, count, orders.time)
        counts[PLACED_COUNT, buyer] = placed
        counts[ORDER_COUNT, buyer] = count
        _sums(buyer, found, count, clock, orders, scale, stamps, counts, wides, ratios, codes)
        _items(buyer, clock.as_of, lines, stamps, counts, wides)
        _life(buyer, found, count, clock, orders.time, thresholds, counts, wides, ratios, codes)


@inlined
def _sums(
    buyer: np.int64,
    found: NDArray[np.int32],
    count: int,
    clock: Clock,
    orders: Orders,
    scale: np.int64,
    stamps: NDArray[np.int32],
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
    ratios: NDArray[np.float64],
    codes: NDArray[np.int32],
) -> None:
    amount, gross, best = np.int64(0), np.int64(0), _NO_VALUE
    known, promotions, first_promotion = 0, 0, np.int32(-1)
    for k in range(4):
        counts[ORDERS_7D + k, buyer] = 0
        wides[AMOUNT_7D + k, buyer] = 0
    net = _NO_VALUE
    for place in range(count):
        row = found[place]
        net = orders.amount[row]
        if net != _NO_VALUE:
            gross = plus(gross, net)
            if orders.refund[row] != _NO_VALUE:
                net -= orders.refund[row]
            amount = plus(amount, net)
            best = max(best, net)
            known += 1
        promotion = orders.promotion[row]
        if promotion >= 0:
            if first_promotion < 0:
                first_promotion = promotion
            if stamps[0, promotion] != buyer:
                stamps[0, promotion] = buyer
                promotions += 1
        age = clock.today - local_day(orders.time[row], clock.starts, clock.offsets)
        for k in range(4):
            window = 7 if k == 0 else 30 if k == 1 else 90 if k == 2 else 365
            # Below 0 where the clock has gone back over midnight since.
            if 0 <= age < window:
                counts[ORDERS_7D + k, buyer] += 1
                if net != _NO_VALUE:
                    wides[AMOUNT_7D + k, buyer] = plus(wides[AMOUNT_7D + k, buyer], net)
    wides[AMOUNT, buyer] = amount
    wides[GROSS, buyer] = gross
    wides[LAST_AMOUNT, buyer] = net
    wides[MAX_AMOUNT, buyer] = best
    counts[PROMOTIONS, buyer] = promotions
    codes[FIRST_PROMOTION, buyer] = first_promotion
    ratios[AVERAGE_AMOUNT, buyer] = (
        amount / (known * scale) if known > 0 and amount != _NO_VALUE else np.nan
    )


@inlined
def _items(
    buyer: np.int64,
    as_of: np.int64,
    lines: Lines,
    stamps: NDArray[np.int32],
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
) -> None:
    items, categories, brands = np.int64(0), 0, 0
    row = lines.heads[buyer]
    while row >= 0:
        if lines.time[row] <= as_of and lines.is_purchase[row] == 1:
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
        row = lines.previous[row]
    wides[ITEMS, buyer] = items
    counts[CATEGORIES, buyer] = categories
    counts[BRANDS, buyer] = brands


@inlined
def _life(
    buyer: np.int64,
    found: NDArray[np.int32],
    count: int,
    clock: Clock,
    time: NDArray[np.int64],
    thresholds: NDArray[np.int64],
    counts: NDArray[np.int32],
    wides: NDArray[np.int64],
    ratios: NDArray[np.float64],
    codes: NDArray[np.int32],
) -> None:
    wides[FIRST_AT, buyer] = time[found[0]] if count > 0 else _NO_VALUE
    wides[SECOND_AT, buyer] = time[found[1]] if count > 1 else _NO_VALUE
    wides[LAST_AT, buyer] = time[found[count - 1]] if count > 0 else _NO_VALUE
    wides[STAGE_CHANGED_AT, buyer] = _NO_VALUE
    counts[RECENCY, buyer] = _NO_COUNT
    ratios[AVERAGE_GAP, buyer] = np.nan
    ratios[GAP_RATIO, buyer] = np.nan
    codes[STAGE, buyer] = PROSPECT
    codes[PREVIOUS_STAGE, buyer] = -1
    codes[TRADE_GROUP, buyer] = min(count, 2)
    if count == 0:
        return
    first_day = local_day(time[found[0]], clock.starts, clock.offsets)
    last_day = local_day(time[found[count - 1]], clock.starts, clock.offsets)
    recency, span = clock.today - last_day, last_day - first_day
    counts[RECENCY, buyer] = recency
    if count > 1:
        gap = span / (count - 1)
        ratios[AVERAGE_GAP, buyer] = gap
        if span > 0:
            ratios[GAP_RATIO, buyer] = recency / gap
    codes[STAGE, buyer] = stage_of(count, recency, span, thresholds)
    # Backwards through the purchases until the stage was another one.
    had, limit, day = count, recency, last_day
    while True:
        span = day - first_day
        switch = last_switch(had, limit, span, thresholds)
        if switch > 0:
            wides[STAGE_CHANGED_AT, buyer] = day_start(day + switch, clock.starts, clock.offsets)
            codes[PREVIOUS_STAGE, buyer] = stage_of(had, switch - 1, span, thresholds)
            return
        at = time[found[had - 1]]
        now = stage_of(had, np.int64(0), span, thresholds)
        before = had - 1
        while before > 0 and time[found[before - 1]] == at:
            before -= 1
        if before == 0:
            wides[STAGE_CHANGED_AT, buyer] = at
            codes[PREVIOUS_STAGE, buyer] = PROSPECT
            return
        day = local_day(time[found[before - 1]], clock.starts, clock.offsets)
        limit = local_day(at - 1, clock.starts, clock.offsets) - day
        stage = stage_of(before, limit, day - first_day, thresholds)
        if stage != now:
            wides[STAGE_CHANGED_AT, buyer] = at
            codes[PREVIOUS_STAGE, buyer] = stage
            return
        had = before
