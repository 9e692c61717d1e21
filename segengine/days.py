"""Which calendar date is this instant, in the store's timezone, and where does a date begin?

Instants are int64 microseconds since 1970 in UTC, dates are days since 1970. Nothing here knows
what time it is now. Offsets are tabulated from 1900 to 2200; outside, the nearest offset holds.
"""

from __future__ import annotations

import bisect
import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from segengine.errors import ConfigError, did_you_mean

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DATE = date(1970, 1, 1)

# The instants a store can hold: years 1 to 9999, as Python and Arrow print them.
FIRST_INSTANT = -62_135_596_800 * SECOND
LAST_INSTANT = 253_402_300_800 * SECOND - 1


@dataclass(frozen=True, eq=False)
class Zone:
    """A timezone as a table of offsets: from `starts[i]` on, local time is UTC + `offsets[i]`."""

    name: str
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    monotone: bool
    """False where the clock once went back over midnight, so that a date came twice."""

    def offset_at(self, instant: int) -> int:
        """Microseconds that local time is ahead of UTC at an instant."""
        starts, offsets = self._changes
        return offsets[bisect.bisect_right(starts, instant) - 1]

    @cached_property
    def _changes(self) -> tuple[list[int], list[int]]:
        """`starts` and `offsets` for a look at one instant, which arrays take ten times as long."""
        return self.starts.tolist(), self.offsets.tolist()

    def day_of(self, instant: int) -> int:
        """The local calendar date of an instant, in days since 1970."""
        return (instant + self.offset_at(instant)) // DAY

    def days_of(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        """The local calendar dates of many instants: int64[n] -> int64[n]."""
        if len(self.offsets) == 1:
            return (instants + self.offsets[0]) // DAY
        index = np.searchsorted(self.starts, instants, side="right") - 1
        return (instants + self.offsets[index]) // DAY

    def locals_of(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        """Wall-clock microseconds since 1970 of many instants."""
        index = np.searchsorted(self.starts, instants, side="right") - 1
        return instants + self.offsets[index]

    def instant_of(self, local: int) -> int:
        """The instant of a wall-clock time, as DuckDB (ICU) resolves it.

        A time that came twice is its later instant; one that was skipped takes the offset
        from before the change.
        """
        index = len(self.starts) - 1
        low = int(np.searchsorted(self.starts, local + 2 * DAY, side="right")) - 1
        index = min(index, low)
        while index > 0 and int(self.starts[index]) + int(self.offsets[index]) > local:
            index -= 1
        return local - int(self.offsets[index])

    def start_of_day(self, day: int) -> int:
        """The first instant whose local date is `day`, or later where the date was skipped.

        Where midnight came twice it is the first one; where it was skipped, the jump.
        """
        local = day * DAY
        index = int(np.searchsorted(self.starts, local - 2 * DAY, side="right")) - 1
        last = len(self.starts) - 1
        while index < last and local - int(self.offsets[index]) >= int(self.starts[index + 1]):
            index += 1
        return max(int(self.starts[index]), local - int(self.offsets[index]))

    def next_change(self, instant: int) -> int:
        """When the clock is next put forward or back; the greatest int64 where it never is."""
        starts, _ = self._changes
        index = bisect.bisect_right(starts, instant)
        return starts[index] if index < len(starts) else 2**63 - 1

    def next_date(self, instant: int) -> int:
        """The first moment after an instant at which the local date is another one."""
        today, at = self.day_of(instant), instant
        while True:
            midnight = (today + 1) * DAY - self.offset_at(at)
            change = self.next_change(at)
            if midnight <= change:
                return midnight
            if self.day_of(change) != today:
                return change
            at = change

    def add(self, instant: int, *, months: int = 0, days: int = 0, micros: int = 0) -> int:
        """Calendar arithmetic in this zone for months and days, exact for microseconds.

        A day that its month does not have becomes the month's last.
        """
        if months or days:
            local = instant + self.offset_at(instant)
            day, within = divmod(local, DAY)
            instant = self.instant_of(add_to_day(day, months=months, days=days) * DAY + within)
        return instant + micros


def add_to_day(day: int, *, months: int = 0, days: int = 0) -> int:
    """A date some months, then some days later; the 31st becomes its month's last day."""
    if months:
        year, month, of_month = civil(day)
        index = year * 12 + (month - 1) + months
        year, month = divmod(index, 12)
        month += 1
        last = calendar.monthrange(2000 + year % 400, month)[1]
        day = day_number(year, month, min(of_month, last))
    return day + days


def civil(day: int) -> tuple[int, int, int]:
    """Year, month, day of month of a date given in days since 1970 (proleptic Gregorian)."""
    z = day + 719_468
    era, doe = divmod(z, 146_097)
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1


def day_number(year: int, month: int, day: int) -> int:
    """Days since 1970 of a calendar date (proleptic Gregorian)."""
    y = year - (month <= 2)
    era, yoe = divmod(y, 400)
    doy = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719_468


def micros(moment: datetime, zone: Zone) -> int:
    """A datetime as microseconds UTC; one without a zone is in the store's timezone."""
    if moment.tzinfo is None:
        delta = moment.replace(tzinfo=UTC) - EPOCH
        return zone.instant_of(delta // timedelta(microseconds=1))
    return (moment - EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def moment(instant: int) -> datetime:
    """Microseconds UTC as an aware datetime."""
    return EPOCH + timedelta(microseconds=instant)


def day_text(day: int) -> str:
    """A date as `2024-02-29`."""
    year, month, of_month = civil(day)
    return f"{year:04d}-{month:02d}-{of_month:02d}"


def instant_text(instant: int, zone: Zone) -> str:
    """An instant as local wall-clock time with its offset, to the microsecond where needed."""
    offset = zone.offset_at(instant)
    stamp = moment(instant + offset).replace(tzinfo=None).isoformat(sep=" ")
    sign = "-" if offset < 0 else "+"
    hours, rest = divmod(abs(offset) // SECOND, 3600)
    minutes, seconds = divmod(rest, 60)
    tail = f"{sign}{hours:02d}:{minutes:02d}"
    return stamp + tail + (f":{seconds:02d}" if seconds else "")


@lru_cache(maxsize=64)
def zone(name: str) -> Zone:
    """The zone with this IANA name; an unknown one is a `ConfigError` that names the nearest."""
    try:
        info: tzinfo = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        import zoneinfo  # noqa: PLC0415 - listing all zones is slow and rarely needed

        nearest = did_you_mean_zone(name, sorted(zoneinfo.available_timezones()))
        raise ConfigError(
            f"unknown timezone `{name}`\n  {nearest or 'use an IANA name such as `Asia/Shanghai`'}",
            field="timezone",
        ) from error
    return _tabulated(name, info)


def did_you_mean_zone(name: str, known: list[str]) -> str:
    """The suggestion for a mistyped zone, letter case aside."""
    by_lower = {k.lower(): k for k in known}
    text = did_you_mean(name, list(by_lower))
    for lower, proper in by_lower.items():
        if f"`{lower}`" in text:
            return text.replace(lower, proper)
    return text


def _tabulated(name: str, info: tzinfo) -> Zone:
    """All offset changes, found by asking each week and halving the weeks where it changed."""

    def offset(second: int) -> int:
        found = (EPOCH + timedelta(seconds=second)).astimezone(info).utcoffset()
        assert found is not None
        return found // timedelta(microseconds=1)

    first = day_number(1900, 1, 1) * 86_400
    last = day_number(2200, 1, 1) * 86_400
    starts, offsets = [np.iinfo(np.int64).min], [offset(first)]
    week = 7 * 86_400
    for second in range(first, last, week):
        if offset(second + week) != offsets[-1]:
            here = second + bisect.bisect_left(
                range(week), True, key=lambda s: offset(second + s) != offsets[-1]
            )
            starts.append(here * SECOND)
            offsets.append(offset(here))
            # INVARIANT: no zone changes its offset twice within a week.
    monotone = all(
        (at - 1 + before) // DAY <= (at + after) // DAY
        for at, before, after in zip(starts[1:], offsets, offsets[1:], strict=False)
    )
    return Zone(name, np.array(starts, np.int64), np.array(offsets, np.int64), monotone)
