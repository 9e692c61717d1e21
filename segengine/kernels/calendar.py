"""Which local date is this instant, and where does a date begin? For loops; see `days.py`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel

YEAR, MONTH, DAY_OF_MONTH, WEEKDAY = range(4)
"""Parts of a date; weekdays from 0, a Sunday."""
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


@inlined
def civil(day: int) -> tuple[int, int, int]:
    """Year, month, day of month of a date in days since 1970 (proleptic Gregorian)."""
    z = day + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (1 if month <= 2 else 0), month, doy - (153 * mp + 2) // 5 + 1


@inlined
def date_part(part: int, day: int) -> int:
    """One part of a date in days since 1970."""
    if part == WEEKDAY:
        return (day + 4) % 7
    year, month, day_of_month = civil(day)
    if part == YEAR:
        return year
    return month if part == MONTH else day_of_month


@kernel
def date_parts(dates: NDArray[np.int64], part: int, missing: int, out: NDArray[np.int64]) -> None:
    """One part of each date; a missing one stays missing.  dates, out: int64[n]"""
    for place in range(dates.shape[0]):
        day = dates[place]
        out[place] = missing if day == missing else date_part(part, day)


@inlined
def day_number(year: int, month: int, day: int) -> int:
    """Days since 1970 of a calendar date (proleptic Gregorian)."""
    y = year - (1 if month <= 2 else 0)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719_468


@inlined
def until_birthday(born: int, today: int) -> int:
    """Dates until the next return of a date; 29 February returns on the 28th in other years."""
    year = civil(today)[0]
    _, month, day = civil(born)
    back = today
    for ahead in range(2):
        that = year + ahead
        is_leap = that % 4 == 0 and (that % 100 != 0 or that % 400 == 0)
        back = day_number(that, month, 28 if month == 2 and day == 29 and not is_leap else day)
        if back >= today:
            break
    return back - today


@kernel
def birthdays(dates: NDArray[np.int64], missing: int, today: int, out: NDArray[np.int64]) -> None:
    """Dates until the next return of each date; a missing one stays missing.

    dates, out: int64[n]
    """
    for place in range(dates.shape[0]):
        born = dates[place]
        out[place] = missing if born == missing else until_birthday(born, today)
