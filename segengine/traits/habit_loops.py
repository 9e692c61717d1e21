"""One buyer's purchases and doings -> what they choose most often, and how often."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import segment_of
from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock
from segengine.traits.purchase_loops import plus

_NO_VALUE = np.int64(-(2**63))
_NO_COUNT = np.int32(-(2**31))
_HOUR = np.int64(3_600_000_000)
_DAY = 24 * _HOUR

# Rows of both outputs; `habit.py` names them in the same order.
CATEGORY, BRAND, PAYMENT, HOUR, WEEKDAY, DEVICE, DISCOUNT, PROMOTION = range(8)
BUYER, TIMES, LAST, EVENT = range(4)


class Lines(NamedTuple):
    """Order lines; a column that nothing was ever written to is an empty array."""

    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    order: NDArray[np.int32]
    category: NDArray[np.int32]
    brand: NDArray[np.int32]
    amount: NDArray[np.int64]
    list_amount: NDArray[np.int64]


class Orders(NamedTuple):
    """Orders; a column that nothing was ever written to is an empty array."""

    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    payment: NDArray[np.int32]
    promotion: NDArray[np.int32]


class Texts(NamedTuple):
    """The texts of a dictionary, of which a tie is won by the smaller."""

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]


class Tally(NamedTuple):
    """Scratch: what is counted of one buyer, by code; what is known of a code lies together.

    entries: int64[codes, 4], `BUYER`: whose the rest is, 0 for nobody's; `TIMES`; `LAST`: the
    latest time; `EVENT`: the event counted last  seen: int32[codes], the codes of the buyer
    """

    entries: NDArray[np.int64]
    seen: NDArray[np.int32]


@inlined
def counted(
    tally: Tally, seen: int, buyer: np.int64, code: np.int32, event: np.int32, at: np.int64
) -> int:
    """Count a code, once for each event in a row; how many codes the buyer has by then."""
    entry = tally.entries[code]
    # Entries begin at 0, and so do buyers.
    if entry[BUYER] != buyer + 1:
        entry[BUYER] = buyer + 1
        entry[TIMES] = 1
        entry[LAST] = at
        entry[EVENT] = event
        tally.seen[seen] = code
        return seen + 1
    if entry[EVENT] != event:
        entry[EVENT] = event
        entry[TIMES] += 1
    entry[LAST] = max(entry[LAST], at)
    return seen


@inlined
def is_smaller(a: np.int32, b: np.int32, texts: Texts) -> bool:
    """Whether the text of code `a` comes before that of `b`, byte by byte."""
    start, other = texts.offsets[a], texts.offsets[b]
    size, other_size = texts.offsets[a + 1] - start, texts.offsets[b + 1] - other
    for k in range(min(size, other_size)):
        if texts.data[start + k] != texts.data[other + k]:
            return bool(texts.data[start + k] < texts.data[other + k])
    return bool(size < other_size)


@inlined
def preferred(tally: Tally, seen: int, texts: Texts) -> np.int32:
    """The code counted most often; of equals the latest, of those the smaller text."""
    best = tally.seen[0]
    for k in range(1, seen):
        code = tally.seen[k]
        ahead = tally.entries[code, TIMES] - tally.entries[best, TIMES]
        if ahead == 0:
            # Times of two instants may be further apart than an int64 reaches.
            last, latest = tally.entries[code, LAST], tally.entries[best, LAST]
            ahead = np.int64(last > latest) - np.int64(last < latest)
        if ahead > 0 or (ahead == 0 and is_smaller(code, best, texts)):
            best = code
    return best


@inlined
def told(
    trait: int,
    buyer: np.int64,
    tally: Tally,
    seen: int,
    known: int,
    minimum: int,
    texts: Texts,
    habits: NDArray[np.int32],
    shares: NDArray[np.float64],
) -> None:
    """Write the preferred text and its share of `known` events, or that too little is known."""
    if seen == 0 or known < minimum:
        habits[trait, buyer] = -1
        shares[trait, buyer] = np.nan
        return
    best = preferred(tally, seen, texts)
    habits[trait, buyer] = best
    shares[trait, buyer] = tally.entries[best, TIMES] / known


@inlined
def purchased(
    begin: np.int64,
    end: np.int64,
    events: NDArray[np.int32],
    time: NDArray[np.int64],
    is_purchase: NDArray[np.int8],
    order: NDArray[np.int32],
    as_of: np.int64,
    found: NDArray[np.int32],
) -> int:
    """The purchased lines of a buyer up to `as_of`, those of an order together; how many.

    begin, end: the buyer's places in `events`  found: int32[end - begin or more]
    """
    count, before, is_sorted = 0, np.int32(-1), True
    for place in range(begin, end):
        line = events[place]
        if time[line] <= as_of and is_purchase[line] == 1:
            found[count] = line
            count += 1
            is_sorted = is_sorted and before <= order[line]
            before = order[line]
    if is_sorted:
        return count
    if count > 32:
        # Lines that came long after their orders: rare, and worth an allocation.
        lines = found[:count].copy()
        places = np.argsort(order[lines], kind="mergesort")
        for k in range(count):
            found[k] = lines[places[k]]
        return count
    for index in range(1, count):
        line = found[index]
        place = index
        while place > 0 and order[found[place - 1]] > order[line]:
            found[place] = found[place - 1]
            place -= 1
        found[place] = line
    return count


@kernel
def item_habits(
    rows: NDArray[np.int64],
    as_of: np.int64,
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    lines: Lines,
    minimum: int,
    categories: Texts,
    brands: Texts,
    by_category: Tally,
    by_brand: Tally,
    habits: NDArray[np.int32],
    shares: NDArray[np.float64],
) -> None:
    """Write category, brand and discount of these buyers.

    rows: int64[n]  begins, events: the `History` of their order lines
    minimum: the purchases that a habit is drawn from, at least
    out: habits int32[6, rows], -1 where too little is known; shares float64[8, rows], NaN there,
    and for the discount where the list amounts do not sum to more than 0, or leave the int64
    """
    found = np.empty(64, np.int32)
    has_category, has_brand = lines.category.shape[0] > 0, lines.brand.shape[0] > 0
    has_list = lines.list_amount.shape[0] > 0 and lines.amount.shape[0] > 0
    for index in range(rows.shape[0]):
        buyer = rows[index]
        most = begins[index + 1] - begins[index]
        if most > found.shape[0]:
            found = np.empty(2 * most, np.int32)
        count = purchased(
            begins[index], begins[index + 1], events,
            lines.time, lines.is_purchase, lines.order, as_of, found,
        )  # fmt: skip
        # Of each: the buyer's codes, the purchases where it is known, the last of those.
        categories_seen, category_known, category_order = 0, 0, np.int32(-1)
        brands_seen, brand_known, brand_order = 0, 0, np.int32(-1)
        listed, saved, list_known, list_order = np.int64(0), np.int64(0), 0, np.int32(-1)
        for place in range(count):
            line = found[place]
            order, at = lines.order[line], lines.time[line]
            if has_category and lines.category[line] >= 0:
                categories_seen = counted(
                    by_category, categories_seen, buyer, lines.category[line], order, at
                )
                category_known += order != category_order
                category_order = order
            if has_brand and lines.brand[line] >= 0:
                brands_seen = counted(by_brand, brands_seen, buyer, lines.brand[line], order, at)
                brand_known += order != brand_order
                brand_order = order
            if has_list:
                amount, full = lines.amount[line], lines.list_amount[line]
                if amount != _NO_VALUE and full != _NO_VALUE:
                    listed = plus(listed, full)
                    saved = plus(saved, full - amount)
                    list_known += order != list_order
                    list_order = order
        told(
            CATEGORY, buyer, by_category, categories_seen, category_known, minimum, categories,
            habits, shares,
        )  # fmt: skip
        told(BRAND, buyer, by_brand, brands_seen, brand_known, minimum, brands, habits, shares)
        shares[DISCOUNT, buyer] = np.nan
        if list_known >= minimum and listed > 0 and saved != _NO_VALUE:
            shares[DISCOUNT, buyer] = saved / listed


@kernel
def order_habits(
    rows: NDArray[np.int64],
    clock: Clock,
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    orders: Orders,
    minimum: int,
    payments: Texts,
    by_payment: Tally,
    habits: NDArray[np.int32],
    shares: NDArray[np.float64],
) -> None:
    """Write payment, hour, weekday and promotion share of these buyers.

    rows: int64[n]  begins, events: the `History` of their orders
    minimum: the purchases that a habit is drawn from, at least
    out: as of `item_habits`; hours 0 to 23, weekdays 1 (Monday) to 7, the smallest int32 for none
    """
    has_payment, has_promotion = orders.payment.shape[0] > 0, orders.promotion.shape[0] > 0
    # Hours stand at 0 to 23, weekdays at 24 to 30.
    count, last = np.zeros(31, np.int32), np.zeros(31, np.int64)
    for index in range(rows.shape[0]):
        buyer = rows[index]
        count[:] = 0
        purchases, promoted, seen, known = 0, 0, 0, 0
        for place in range(begins[index], begins[index + 1]):
            order = events[place]
            at = orders.time[order]
            if at > clock.as_of or orders.is_purchase[order] != 1:
                continue
            purchases += 1
            local = at + clock.offsets[segment_of(at, clock.starts)]
            # 1 January 1970 was a Thursday.
            for slot in (local // _HOUR % 24, 24 + (local // _DAY + 3) % 7):
                if count[slot] == 0 or at > last[slot]:
                    last[slot] = at
                count[slot] += 1
            if has_payment and orders.payment[order] >= 0:
                seen = counted(by_payment, seen, buyer, orders.payment[order], order, at)
                known += 1
            if has_promotion and orders.promotion[order] >= 0:
                promoted += 1
        told(PAYMENT, buyer, by_payment, seen, known, minimum, payments, habits, shares)
        if purchases == 0 or purchases < minimum:
            for trait in (HOUR, WEEKDAY):
                habits[trait, buyer] = _NO_COUNT
                shares[trait, buyer] = np.nan
            shares[PROMOTION, buyer] = np.nan
            continue
        hour, weekday = _most(0, 24, count, last), _most(24, 31, count, last)
        habits[HOUR, buyer] = hour
        habits[WEEKDAY, buyer] = weekday - 23
        shares[HOUR, buyer] = count[hour] / purchases
        shares[WEEKDAY, buyer] = count[weekday] / purchases
        shares[PROMOTION, buyer] = promoted / purchases


@inlined
def _most(begin: int, end: int, count: NDArray[np.int32], last: NDArray[np.int64]) -> int:
    """The slot counted most often, of equals the latest: no two have the same instant."""
    best = begin
    for slot in range(begin + 1, end):
        if count[slot] > count[best] or (count[slot] == count[best] and last[slot] > last[best]):
            best = slot
    return best


@kernel
def device_habit(
    rows: NDArray[np.int64],
    as_of: np.int64,
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    time: NDArray[np.int64],
    device: NDArray[np.int32],
    minimum: int,
    devices: Texts,
    by_device: Tally,
    habits: NDArray[np.int32],
    shares: NDArray[np.float64],
) -> None:
    """Write the device of these buyers.

    rows: int64[n]  begins, events: the `History` of their behaviors
    minimum: the behaviors that a habit is drawn from, at least
    out: as of `item_habits`
    """
    for index in range(rows.shape[0]):
        buyer = rows[index]
        seen, known = 0, 0
        for place in range(begins[index], begins[index + 1]):
            row = events[place]
            code = device[row]
            if code >= 0 and time[row] <= as_of:
                seen = counted(by_device, seen, buyer, code, row, time[row])
                known += 1
        told(DEVICE, buyer, by_device, seen, known, minimum, devices, habits, shares)
