"""Which moment are traits true for, and how many dates ago was an instant? For loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import local_day
from segengine.kernels.jit import inlined

_DAY = np.int64(86_400_000_000)


class Clock(NamedTuple):
    """The moment traits are true for, and the calendar they count by."""

    as_of: np.int64
    today: np.int64
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]


@inlined
def is_within(at: np.int64, since: np.int64, days: int, clock: Clock) -> bool:
    """Whether an instant up to as_of is on one of the `days` dates that end today.

    since: the first instant of those dates
    """
    if at < since or at > clock.as_of:
        return False
    if since + _DAY <= at <= clock.as_of - _DAY:
        return True
    # Near either end a clock that went back over midnight shows a date outside.
    age = clock.today - local_day(at, clock.starts, clock.offsets)
    return bool(0 <= age < days)
