"""How often did a visitor see each module, and when is the next of their events in sight?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import brief_kernel, inlined

CODE, CAP_SINCE, DECAY_SINCE, PLACE, FIELDS = range(5)
"""The columns of a table of watches, ascending by CODE: the module's, since when it counts for a
cap and for a decay, and the row of what comes out.
"""


@inlined
def _first(watches: NDArray[np.int64], code: int) -> int:
    """The first watch whose code is at least this one."""
    low, high = 0, watches.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if watches[middle, CODE] < code:
            low = middle + 1
        else:
            high = middle
    return low


@brief_kernel
def count_seen(
    head: int,
    previous: NDArray[np.int32],
    times: NDArray[np.int64],
    modules: NDArray[np.int32],
    kinds: NDArray[np.int32],
    shown: int,
    clicked: int,
    as_of: int,
    watches: NDArray[np.int64],
    clicks: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Impressions of each watched module up to as_of: under its cap, and since its last click.

    head: the visitor's latest row, -1 for none  previous, times, modules, kinds: T[rows]
    shown, clicked: codes of `kinds`  watches: int64[watches, FIELDS]
    clicks: int64[watches], written over with the last clicks
    out: int32[watches of the page, 2], begins at 0
    """
    for watch in range(watches.shape[0]):
        clicks[watch] = -(2**63)
    # Rows stand in the order of arrival, which need not be that of time: clicks come first.
    row = head
    while row >= 0:
        kind, time = kinds[row], times[row]
        if time <= as_of and kind in (shown, clicked):
            code = modules[row]
            watch = _first(watches, code)
            while watch < watches.shape[0] and watches[watch, CODE] == code:
                if kind == clicked:
                    clicks[watch] = max(clicks[watch], time)
                elif time >= watches[watch, CAP_SINCE]:
                    out[watches[watch, PLACE], 0] += 1
                watch += 1
        row = previous[row]
    row = head
    while row >= 0:
        time = times[row]
        if kinds[row] == shown and time <= as_of:
            code = modules[row]
            watch = _first(watches, code)
            while watch < watches.shape[0] and watches[watch, CODE] == code:
                if time >= watches[watch, DECAY_SINCE] and time > clicks[watch]:
                    out[watches[watch, PLACE], 1] += 1
                watch += 1
        row = previous[row]


@brief_kernel
def next_time(head: int, previous: NDArray[np.int32], times: NDArray[np.int64], after: int) -> int:
    """The earliest time after a moment in a chain of rows; the greatest int64 for none.

    head: the latest row, -1 for none  previous: int32[rows]  times: int64[rows]
    """
    found = 2**63 - 1
    row = head
    while row >= 0:
        if times[row] > after:
            found = min(found, times[row])
        row = previous[row]
    return found
