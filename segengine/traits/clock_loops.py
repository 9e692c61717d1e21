"""Which moment are traits true for, and how many dates ago was an instant? For loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import local_day
from segengine.kernels.jit import inlined

_DAY = np.int64(86_400_000_000)
_NEAR = 8
"""Changes of the clock that are tried one by one: four years where it changes twice a year."""


class Clock(NamedTuple):
    """The moment traits are true for, and the calendar they count by."""

    as_of: np.int64
    today: np.int64
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    segment: np.int64 = np.int64(0)
    """The index of the start that as_of lies behind: where the search for a date begins."""


@inlined
def date_of(at: np.int64, clock: Clock) -> np.int64:
    """The local date of an instant, in days since 1970; at once for the years up to as_of."""
    starts, segment = clock.starts, clock.segment
    if segment + 1 < starts.shape[0] and at >= starts[segment + 1]:
        return local_day(at, starts, clock.offsets)
    oldest = segment - _NEAR
    while segment > oldest and at < starts[segment]:
        segment -= 1
    if at < starts[segment]:
        return local_day(at, starts, clock.offsets)
    return (at + clock.offsets[segment]) // _DAY


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
    age = clock.today - date_of(at, clock)
    return bool(0 <= age < days)
