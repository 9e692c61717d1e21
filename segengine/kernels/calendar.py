"""Which local date is this instant, and where does a date begin? For loops; see `days.py`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined

_DAY = np.int64(86_400_000_000)


@inlined
def segment_of(instant: np.int64, starts: NDArray[np.int64]) -> int:
    """The index of the last start at or before an instant."""
    low, high = 0, starts.shape[0]
    while high - low > 1:
        middle = (low + high) >> 1
        if starts[middle] <= instant:
            low = middle
        else:
            high = middle
    return low


@inlined
def local_day(instant: np.int64, starts: NDArray[np.int64], offsets: NDArray[np.int64]) -> np.int64:
    """The local date of an instant, in days since 1970."""
    return (instant + offsets[segment_of(instant, starts)]) // _DAY


@inlined
def day_start(day: np.int64, starts: NDArray[np.int64], offsets: NDArray[np.int64]) -> np.int64:
    """The first instant of a local date: the first midnight of two, the jump over a skipped one."""
    midnight = day * _DAY
    index = segment_of(midnight - 2 * _DAY, starts)
    while index + 1 < starts.shape[0] and midnight - offsets[index] >= starts[index + 1]:
        index += 1
    return max(starts[index], midnight - offsets[index])
