"""What time is it on the store's clock? Instants to wall time and back, with zoneinfo alone."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def local_time(instant: datetime, timezone: str) -> datetime:
    """The wall time, without a zone, that the store's clock shows at an instant."""
    return instant.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


def local_date(instant: datetime, timezone: str) -> date:
    """The calendar date that the store's clock shows at an instant."""
    return local_time(instant, timezone).date()


def instant_of(wall: datetime, timezone: str) -> datetime:
    """The instant, in UTC, that a wall time without a zone names.

    A time that the clock skips counts on with the offset before the gap (02:30 is 03:30); a time
    that the clock shows twice is the second one. Both are what DuckDB does, and both mean: the
    smaller of the two offsets.
    """
    zone = ZoneInfo(timezone)
    offsets = [wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)]
    return (wall - min(offset for offset in offsets if offset is not None)).replace(tzinfo=UTC)


def midnight(day: date, timezone: str) -> datetime:
    """The instant that a date stands for beside instants: 00:00 read as any other wall time."""
    return instant_of(datetime.combine(day, time()), timezone)


def start_of_date(day: date, timezone: str) -> datetime:
    """The first instant of a local date, also where the clock skips or repeats midnight."""
    wall = datetime.combine(day, time(), ZoneInfo(timezone))
    return wall.replace(fold=0).astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """The same day some months on, or the last day of that month where it is too short."""
    years, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(years, month0 + 1)[1]
    return date(years, month0 + 1, min(day.day, last))


def transitions(timezone: str, first: date, last: date) -> list[datetime]:
    """The instants, in UTC, from which a zone's offset from UTC differs from before."""
    zone = ZoneInfo(timezone)

    def offset(moment: datetime) -> timedelta:
        return moment.astimezone(zone).utcoffset() or timedelta()

    found = []
    before = datetime.combine(first, time(), UTC)
    while before.date() < last:
        after = before + timedelta(days=1)
        if offset(before) != offset(after):
            low, high = before, after
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if offset(middle) == offset(before) else (low, middle)
            found.append(high)
        before = after
    return found
