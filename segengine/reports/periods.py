"""Which day, week, month or quarter is this, and which are the last n of them?

A period is a number: the next one's is one more, so that "the month before" is M - 1, in SQL as in
Python. Dates are those of the store's timezone. A week begins on Monday and is named by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from segengine import days
from segengine.errors import ReportError, did_you_mean
from segengine.reports.report import Source

LAST = {"day": 30, "week": 26, "month": 13, "quarter": 8}
"""The kinds of period, and how many of the latest are shown where nobody says: with 13 months and
with 8 quarters, last year's stands beside this year's."""
MOST = 1_000
"""More periods than this are no report any more: a thousand days are nearly three years."""


@dataclass(frozen=True, slots=True)
class Window:
    """The periods `first` to `last`, both included; those up to `complete` are over."""

    grain: str
    first: int
    last: int
    complete: int

    def numbers(self) -> range:
        """The periods, earliest first."""
        return range(self.first, self.last + 1)

    def latest_complete(self) -> int:
        """The latest period that is over, or where none is, the latest."""
        return self.complete if self.first <= self.complete else self.last


def checked_grain(grain: str) -> str:
    """The kind of period, or a `ReportError` that names those there are."""
    if grain not in LAST:
        known = did_you_mean(str(grain), list(LAST)) or "known: " + ", ".join(LAST)
        raise ReportError(f"`grain`: `{grain}` is no period; {known}", field="grain")
    return grain


def checked_last(last: int | None, grain: str) -> int:
    """How many periods are shown; None is the grain's own number."""
    if last is None:
        return LAST[grain]
    if isinstance(last, bool) or not isinstance(last, int) or not 1 <= last <= MOST:
        raise ReportError(
            f"`last`: must be a whole number of periods from 1 to {MOST:,}, not `{last}`",
            field="last",
        )
    return last


def window(source: Source, grain: str, last: int | None, earliest: int | None) -> Window:
    """The last periods up to that of as_of, none before `earliest`, the first with any event.

    earliest: None where there was no event; then no period is shown. A period is over when the
    microsecond after as_of is in a later one.
    """
    current, following = (
        number_of(grain, local_day(source, later=microseconds)) for microseconds in (0, 1)
    )
    first = current - checked_last(last, grain) + 1
    first = max(first, current + 1 if earliest is None else earliest)
    return Window(grain, first, current, following - 1)


def local_day(source: Source, *, later: int = 0) -> int:
    """The date of as_of in the store's timezone, in days since 1970; `later` in microseconds."""
    zone = days.zone(source.timezone)
    return zone.day_of(days.micros(source.as_of, zone) + later)


def number_of(grain: str, day: int) -> int:
    """The number of the period of a date given in days since 1970."""
    year, month, _ = days.civil(day)
    if grain == "day":
        return day
    if grain == "week":
        return (day + 3) // 7
    return year * 12 + month - 1 if grain == "month" else year * 4 + (month - 1) // 3


def number_sql(grain: str, date: str) -> str:
    """The same as a DuckDB expression over one of type DATE."""
    if grain == "day":
        return f"({date} - DATE '1970-01-01')"
    if grain == "week":
        return f"floor(({date} - DATE '1970-01-01' + 3) / 7)::BIGINT"
    if grain == "month":
        return f"(year({date}) * 12 + month({date}) - 1)"
    return f"(year({date}) * 4 + quarter({date}) - 1)"


def first_day(grain: str, number: int) -> int:
    """The first date of a period, in days since 1970."""
    if grain == "day":
        return number
    if grain == "week":
        return number * 7 - 3
    per_year = 12 if grain == "month" else 4
    year, within = divmod(number, per_year)
    return days.day_number(year, within * (12 // per_year) + 1, 1)


def label(grain: str, number: int) -> str:
    """A period's name: `2011-11-07` for a day or a week, `2011-11`, `2011-Q4`."""
    start = days.day_text(first_day(grain, number))
    if grain in {"day", "week"}:
        return start
    return start[:7] if grain == "month" else f"{start[:4]}-Q{number % 4 + 1}"
