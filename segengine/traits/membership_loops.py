"""One buyer's points, check-ins and card -> where they stand in the shop's club."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import local_day
from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock, is_within

_NO_VALUE = np.int64(-(2**63))
_NO_COUNT = np.int32(-(2**31))
_LOW_HALF = np.int64(2**32 - 1)
_HIGHEST = np.int64(2**31)

# Rows of the outputs; `traits/membership.py` names them in the same order.
CHECK_INS_30D, STREAK, LEVEL = range(3)
MEMBER, CARD_HOLDER = range(2)


class Points(NamedTuple):
    """The changes of these buyers' balances, by their `History`; the last three are kinds."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    kind: NDArray[np.int32]
    amount: NDArray[np.int64]
    earn: np.int32
    spend: np.int32
    expire: np.int32


class CheckIns(NamedTuple):
    """What these buyers did, by its `History`; `check_in` is a kind."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    kind: NDArray[np.int32]
    check_in: np.int32


@kernel
def membership_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    since_30d: np.int64,
    points: Points,
    behaviors: CheckIns,
    balances: NDArray[np.int64],
    counts: NDArray[np.int32],
) -> None:
    """Write balances, check-ins and streaks of these buyers.

    rows: int64[n]  since_30d: the first instant of these dates
    out: balances int64[1, rows]  counts int32[3, rows], of which LEVEL is for `levels`
    """
    for index in range(rows.shape[0]):
        buyer = rows[index]
        balances[0, buyer] = _balance(index, clock.as_of, points)
        last_30d = 0
        for place in range(behaviors.begins[index], behaviors.begins[index + 1]):
            row = behaviors.events[place]
            if behaviors.kind[row] == behaviors.check_in:
                last_30d += is_within(behaviors.time[row], since_30d, 30, clock)
        counts[CHECK_INS_30D, buyer] = last_30d
        # A streak that counts has a date among these 30.
        counts[STREAK, buyer] = _streak(index, clock, behaviors) if last_30d > 0 else 0


@inlined
def _balance(index: int, as_of: np.int64, points: Points) -> np.int64:
    """What was earned less what was spent or has expired; missing where it leaves the int64."""
    # Halves are summed apart: no sum in between can leave the int64, in whichever order.
    high, low = np.int64(0), np.int64(0)
    for place in range(points.begins[index], points.begins[index + 1]):
        row = points.events[place]
        amount, kind = points.amount[row], points.kind[row]
        if amount == _NO_VALUE or points.time[row] > as_of:
            continue
        if kind == points.earn:
            pass
        elif kind in (points.spend, points.expire):
            amount = -abs(amount)
        else:
            continue
        high += amount >> 32
        low += amount & _LOW_HALF
    high += low >> 32
    if not -_HIGHEST <= high < _HIGHEST:
        return _NO_VALUE
    return np.int64((high << 32) | (low & _LOW_HALF))


@inlined
def _streak(index: int, clock: Clock, behaviors: CheckIns) -> int:
    """How many dates in a row have a check-in, up to today or, where today has none, yesterday."""
    streak, begun = 0, np.int64(0)
    while True:
        # 64 dates at a time, the latest in the lowest bit.
        found = np.uint64(0)
        for place in range(behaviors.begins[index], behaviors.begins[index + 1]):
            row = behaviors.events[place]
            if behaviors.kind[row] == behaviors.check_in and behaviors.time[row] <= clock.as_of:
                day = local_day(behaviors.time[row], clock.starts, clock.offsets)
                back = clock.today - day - begun
                if 0 <= back < 64:
                    found |= np.uint64(1) << np.uint64(back)
        days = 0
        if begun == 0 and found & np.uint64(1) == np.uint64(0):
            found >>= np.uint64(1)
            begun = np.int64(1)
        while days < 64 and (found >> np.uint64(days)) & np.uint64(1) == np.uint64(1):
            days += 1
        streak += days
        begun += days
        # The run goes on beyond what was looked at only where it reached the end of it.
        if days < 63:
            return streak


@kernel
def places_in_club(
    rows: NDArray[np.int64],
    orders: NDArray[np.int32],
    member_level: NDArray[np.int64],
    card_claimed_at: NDArray[np.int64],
    out: NDArray[np.int8],
) -> None:
    """Who is a member, and who holds a card.

    rows: int64[n]  orders: int32[rows], purchases  member_level, card_claimed_at: int64[rows]
    out: int8[2, rows]
    """
    for index in range(rows.shape[0]):
        row = rows[index]
        # A missing level is the least number, and so below 1.
        out[MEMBER, row] = orders[row] > 0 and member_level[row] >= 1
        out[CARD_HOLDER, row] = card_claimed_at[row] != _NO_VALUE


@kernel
def levels(
    rows: NDArray[np.int64],
    measure: NDArray[np.int32] | NDArray[np.int64],
    missing: np.int32 | np.int64,
    thresholds: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """How many thresholds the measure of these buyers has reached; missing where there is none.

    rows: int64[n]  measure: int32 or int64[rows]  thresholds: int64[levels], rising
    out: int32[rows]
    """
    for index in range(rows.shape[0]):
        row = rows[index]
        value = measure[row]
        if thresholds.shape[0] == 0 or value == missing:
            out[row] = _NO_COUNT
            continue
        level = 0
        while level < thresholds.shape[0] and value >= thresholds[level]:
            level += 1
        out[row] = level
