"""One buyer's purchases in order of time -> how far they have come, since when, from where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import day_start, local_day
from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock, date_of

_NO_VALUE = np.int64(-(2**63))

# Rows of the output; `traits/life_cycle.py` names them in the same order.
STAGE, PREVIOUS_STAGE, TRADE_GROUP = range(3)
PROSPECT, NEW, ACTIVE, AT_RISK, SLEEPING, LAPSED = range(6)


@kernel
def purchase_gaps(
    clock: Clock,
    begins: NDArray[np.int64],
    counts: NDArray[np.int32],
    times: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Write the dates between each purchase date and the one before it.

    begins: int64[n + 1], counts: int32[n], times: int64[orders]: the `Purchases` of n buyers
    out: int32[orders], all 0: stays 0 for a first purchase and a further one on the same date
    """
    for k in range(counts.shape[0]):
        begin = begins[k]
        if counts[k] < 2:
            continue
        day = date_of(times[begin], clock)
        for place in range(begin + 1, begin + counts[k]):
            next_day = date_of(times[place], clock)
            # Not after it where a clock has gone back over midnight.
            if next_day > day:
                out[place] = next_day - day
                day = next_day


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


@kernel
def life_cycle(
    rows: NDArray[np.int64],
    clock: Clock,
    begins: NDArray[np.int64],
    counts: NDArray[np.int32],
    times: NDArray[np.int64],
    thresholds: NDArray[np.int64],
    codes: NDArray[np.int32],
    changed_at: NDArray[np.int64],
) -> None:
    """Write stage, stage before, trade group and the moment of the change of these buyers.

    rows: int64[n]  begins: int64[n + 1], counts: int32[n], times: int64[orders]: `Purchases`
    thresholds: int64[3], new, active, sleeping
    out: codes int32[3, rows]  changed_at int64[rows]
    """
    for index in range(rows.shape[0]):
        buyer, count = rows[index], counts[index]
        codes[TRADE_GROUP, buyer] = min(count, 2)
        if count == 0:
            codes[STAGE, buyer] = PROSPECT
            codes[PREVIOUS_STAGE, buyer] = -1
            changed_at[buyer] = _NO_VALUE
        else:
            found = times[begins[index] : begins[index] + count]
            _stages(buyer, found, clock, thresholds, codes, changed_at)


@inlined
def _stages(
    buyer: np.int64,
    times: NDArray[np.int64],
    clock: Clock,
    thresholds: NDArray[np.int64],
    codes: NDArray[np.int32],
    changed_at: NDArray[np.int64],
) -> None:
    had = times.shape[0]
    first_day, day = date_of(times[0], clock), date_of(times[had - 1], clock)
    limit = clock.today - day
    codes[STAGE, buyer] = stage_of(had, limit, day - first_day, thresholds)
    # Backwards through the purchases until the stage was another one.
    while True:
        span = day - first_day
        switch = last_switch(had, limit, span, thresholds)
        if switch > 0:
            changed_at[buyer] = day_start(day + switch, clock.starts, clock.offsets)
            codes[PREVIOUS_STAGE, buyer] = stage_of(had, switch - 1, span, thresholds)
            return
        at = times[had - 1]
        now = stage_of(had, np.int64(0), span, thresholds)
        before = had - 1
        while before > 0 and times[before - 1] == at:
            before -= 1
        if before == 0:
            changed_at[buyer] = at
            codes[PREVIOUS_STAGE, buyer] = PROSPECT
            return
        day = date_of(times[before - 1], clock)
        limit = local_day(at - 1, clock.starts, clock.offsets) - day
        stage = stage_of(before, limit, day - first_day, thresholds)
        if stage != now:
            changed_at[buyer] = at
            codes[PREVIOUS_STAGE, buyer] = stage
            return
        had = before
