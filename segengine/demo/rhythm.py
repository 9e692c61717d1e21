"""When is this shop busy? Its seasons, weeks and hours as a clock that runs faster when it is.

`work` is time measured by that clock: one unit is an average day. Moments drawn evenly in work
come as often as the season, weekday and local hour say, and never after as_of, where work ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from segengine.demo.draws import happens

HISTORY_DATES = 730
HOUR = 3600
DAY = 86_400

_HOURS = (
    *(0.50, 0.28, 0.15, 0.10, 0.09, 0.14, 0.32, 0.60, 0.90, 1.20, 1.45, 1.30),
    *(1.25, 1.30, 1.20, 1.15, 1.10, 1.05, 1.10, 1.35, 1.80, 1.95, 1.60, 0.95),
)
_WEEKDAYS = (0.95, 0.94, 0.95, 0.97, 1.02, 1.10, 1.07)

_FESTIVALS = {
    (3, 8): 2.2,
    (6, 1): 2.2,
    (6, 16): 1.8,
    (6, 17): 2.2,
    (6, 18): 6.0,
    (6, 19): 1.6,
    (9, 9): 1.7,
    (11, 1): 2.8,
    (11, 10): 2.2,
    (11, 11): 9.0,
    (11, 12): 1.8,
    (12, 12): 2.6,
}
_LUNAR_NEW_YEARS = (
    *((2015, 2, 19), (2016, 2, 8), (2017, 1, 28), (2018, 2, 16), (2019, 2, 5), (2020, 1, 25)),
    *((2021, 2, 12), (2022, 2, 1), (2023, 1, 22), (2024, 2, 10), (2025, 1, 29), (2026, 2, 17)),
    *((2027, 2, 6), (2028, 1, 26), (2029, 2, 13), (2030, 2, 3), (2031, 1, 23), (2032, 2, 11)),
)
"""First days of the lunar year; parcels rest around them, and so do buyers."""

_NEW_YEAR_DATES = frozenset(
    date(*first) + timedelta(days=offset) for first in _LUNAR_NEW_YEARS for offset in range(-5, 8)
)


@dataclass(frozen=True, slots=True, eq=False)
class Rhythm:
    """The clock of one kind of event over the store's history.

    start, end: the first midnight of the history and as_of, seconds since 1970.
    work: float64[cells + 1], work done at the edge of each hour cell; the last edge is `end`.
    hour, day: int64[cells], local hour and date number of each cell.
    """

    start: int
    end: int
    edges: NDArray[np.float64]
    work: NDArray[np.float64]
    hour: NDArray[np.int64]
    day: NDArray[np.int64]

    @property
    def total(self) -> float:
        """All the work of the history: about its number of dates."""
        return float(self.work[-1])


def history_dates(as_of: datetime, zone: ZoneInfo) -> list[date]:
    """The local dates of the history, the last being that of as_of."""
    last = as_of.astimezone(zone).date()
    return [last - timedelta(days=back) for back in range(HISTORY_DATES - 1, -1, -1)]


def rhythm(as_of: datetime, zone: ZoneInfo, weight: Callable[[date], float]) -> Rhythm:
    """The clock that runs with `weight` on a date, and with the shop's hours within it.

    Cells are 3600 s from the first midnight on, so that a moment's cell is a division; on the
    days of a clock change the local hour of a cell is the hours since that midnight.
    """
    dates = history_dates(as_of, zone)
    midnights = np.array([_midnight(d, zone) for d in dates], np.int64)
    start, end = int(midnights[0]), int(as_of.timestamp())
    edges = np.append(np.arange(start, end, HOUR), end)
    day = np.searchsorted(midnights, edges[:-1], side="right") - 1
    hour = np.minimum((edges[:-1] - midnights[day]) // HOUR, 23)
    rate = np.array([weight(d) for d in dates])
    rate *= HISTORY_DATES / rate.sum()
    per_second = rate[day] * np.array(_HOURS)[hour] / (sum(_HOURS) * HOUR)
    work = np.concatenate(([0.0], np.cumsum(per_second * np.diff(edges))))
    return Rhythm(start, end, (edges - start).astype(np.float64), work, hour, day)


def season(day: date) -> float:
    """How much is bought on a date, in plain days: festivals, New Year, weekday."""
    weight = _WEEKDAYS[day.weekday()] * _FESTIVALS.get((day.month, day.day), 1.0)
    if (day.month, day.day) in {(1, 1), (1, 2), (10, 1), (10, 2)}:
        weight *= 0.7
    if season_of_new_year(day):
        weight *= 0.4
    if (day.month == 11 and 2 <= day.day <= 9) or (day.month == 6 and 2 <= day.day <= 15):
        weight *= 1.25
    return weight


def season_of_new_year(day: date) -> bool:
    """Whether the lunar New Year is at most 5 days ahead or 7 days past."""
    return day in _NEW_YEAR_DATES


def cells_of(clock: Rhythm, moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """The hour cell each moment of the history lies in: int64[n]."""
    return np.minimum((moments - clock.start) // HOUR, len(clock.hour) - 1)


def work_at(clock: Rhythm, moments: NDArray[np.int64]) -> NDArray[np.float64]:
    """The work done up to each moment; nothing before the history, all of it after as_of."""
    return np.interp(moments - clock.start, clock.edges, clock.work)


def moment_at(clock: Rhythm, work: NDArray[np.float64]) -> NDArray[np.int64]:
    """The whole second at which so much work was done, the inverse of `work_at`."""
    return np.interp(work, clock.work, clock.edges).astype(np.int64) + clock.start


def move_to_hour(
    rng: np.random.Generator,
    clock: Rhythm,
    moments: NDArray[np.int64],
    hour: NDArray[np.int64],
    earliest: NDArray[np.int64],
    chance: float,
) -> NDArray[np.int64]:
    """The moments, some of them at the buyer's own hour of the same date.

    hour, earliest: of each moment's buyer. A move to before `earliest` or past as_of is not made.
    """
    moved = moments + (hour - clock.hour[cells_of(clock, moments)]) * HOUR
    fits = (moved >= earliest) & (moved <= clock.end) & happens(rng, len(moments), chance)
    return np.where(fits, moved, moments)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
