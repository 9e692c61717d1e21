"""Which modules are within their window and their hours, and until when does that stand?

Worked out once and kept until the next border: between two borders no module changes. Hours are
of the store's clock; where the clock is put forward or back is a border too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time

import numpy as np
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.campaign import within_hours

NEVER = int(np.iinfo(np.int64).max)
"""No such moment."""
Hours = tuple[tuple[time, time], ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """When each module may show.

    starts, ends: int64[modules]  hours: the modules of each set of day-parts that is not empty
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    hours: Mapping[Hours, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Active:
    """bits: uint8[modules], 1 where a module may show, the same throughout [since, until)."""

    since: int
    until: int
    bits: NDArray[np.uint8]


def windows(of: Sequence[tuple[int, int, Hours]]) -> Windows:
    """The windows of modules, each given as its start, its end and its day-parts."""
    by_hours: dict[Hours, list[int]] = {}
    for place, (_, _, hours) in enumerate(of):
        if hours:
            by_hours.setdefault(hours, []).append(place)
    return Windows(
        np.array([start for start, _, _ in of], np.int64),
        np.array([end for _, end, _ in of], np.int64),
        {hours: np.array(places, np.int64) for hours, places in by_hours.items()},
    )


def active_at(of: Windows, as_of: int, zone: days.Zone) -> Active:
    """Which modules may show at a moment, and until which moment that stands."""
    bits = ((of.starts <= as_of) & (as_of < of.ends)).astype(np.uint8)
    until = NEVER
    for borders in (of.starts, of.ends):
        ahead = borders[borders > as_of]
        if len(ahead):
            until = min(until, int(ahead.min()))
    local = days.moment(as_of + zone.offset_at(as_of)).time()
    for hours, places in of.hours.items():
        if not within_hours(hours, local):
            bits[places] = 0
        until = min(until, next_border(hours, as_of, zone))
    return Active(as_of, until, bits)


def next_border(hours: Hours, as_of: int, zone: days.Zone) -> int:
    """The next moment at which day-parts begin or end, or the clock is put forward or back."""
    offset = zone.offset_at(as_of)
    today = (as_of + offset) // days.DAY
    found = zone.next_change(as_of)
    for start, end in hours:
        if start == end:
            continue
        for edge in (start, end):
            at = today * days.DAY + _micros(edge) - offset
            found = min(found, at if at > as_of else at + days.DAY)
    return found


def _micros(at: time) -> int:
    seconds = (at.hour * 60 + at.minute) * 60 + at.second
    return seconds * days.SECOND + at.microsecond
