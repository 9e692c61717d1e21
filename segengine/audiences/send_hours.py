"""When is each buyer written to?

At the hour in which they buy most, the trait `preferred_hour`; where that is missing, at the hour
in which most of the store's purchases are made, of equals the later; where nothing was bought, at
once. An hour that the campaign's day-parts leave out becomes the nearest one that they do not, of
two the later. The moment is the first within that hour that the day-parts admit, at or after as_of;
as_of itself, where it lies in the hour already. What would come at or after the campaign's end is
sent at as_of instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.campaign import Campaign, within_hours
from segengine.tables.tables import Tables

HOURS = 24
_AT_ONCE = HOURS
"""The place of buyers without any hour in a table of moments."""
_BLOCK = 1 << 20
_MOST_DAYS = 4
"""Two dates on, a part of the day that a change of the clock skipped is there again."""


@dataclass(frozen=True, slots=True)
class SendTimes:
    """The moment for each hour, and for those without one: int64[25], instants."""

    moments: NDArray[np.int64]
    peak: int | None

    def of(self, hours: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """The moment of each buyer by `preferred_hour`: int64[n], of n hours with nulls."""
        fallback = _AT_ONCE if self.peak is None else self.peak
        return self.moments[hours.fill_null(fallback).to_numpy(zero_copy_only=False)]


def send_times(campaign: Campaign, tables: Tables, as_of: int, zone: days.Zone) -> SendTimes:
    """When a campaign writes to whom, asked at a moment; before its start, as of its start."""
    begin = as_of
    if campaign.starts_at is not None:
        begin = max(begin, days.micros(campaign.starts_at, zone))
    end = None if campaign.ends_at is None else days.micros(campaign.ends_at, zone)
    allowed = _allowed(campaign.hours)
    moments = [_next(_nearest(hour, allowed), begin, campaign, zone) for hour in range(HOURS)]
    moments.append(begin)
    if end is not None:
        moments = [begin if at >= end else at for at in moments]
    return SendTimes(np.array(moments, np.int64), peak_hour(tables, as_of, zone))


def peak_hour(tables: Tables, as_of: int, zone: days.Zone) -> int | None:
    """The hour of the store's clock with the most purchases up to a moment; None without any."""
    orders = tables.events["orders"]
    counts = np.zeros(HOURS, np.int64)
    times, bought = orders.columns["time"].values, orders.columns["is_purchase"].values
    owners = orders.extra("owner")
    for begin in range(0, orders.rows, _BLOCK):
        part = slice(begin, min(begin + _BLOCK, orders.rows))
        seen = (bought[part] == 1) & (owners[part] >= 0) & (times[part] <= as_of)
        local = zone.locals_of(times[part][seen])
        counts += np.bincount((local % days.DAY) // days.HOUR, minlength=HOURS)
    return None if not counts.any() else int(HOURS - 1 - np.argmax(counts[::-1]))


def histogram(moments: NDArray[np.int64], zone: days.Zone) -> pa.Table:
    """Table(hour, buyers): how many moments fall into each hour of the store's clock, all 24."""
    hours = (zone.locals_of(moments) % days.DAY) // days.HOUR
    return pa.table(
        {
            "hour": pa.array(range(HOURS), pa.int64()),
            "buyers": pa.array(np.bincount(hours, minlength=HOURS), pa.int64()),
        }
    )


def _allowed(hours: tuple[tuple[time, time], ...]) -> dict[int, int]:
    """For each hour with an admitted moment, the first one: microseconds of the day."""
    found = {}
    for hour in range(HOURS):
        starts = [time(hour), *sorted(start for start, _ in hours if start.hour == hour)]
        for at in starts:
            if within_hours(hours, at):
                found[hour] = _of_day(at)
                break
    return found


def _of_day(at: time) -> int:
    return at.hour * days.HOUR + at.minute * days.MINUTE + at.second * days.SECOND + at.microsecond


def _nearest(hour: int, allowed: dict[int, int]) -> int:
    """The admitted moment of the day in the nearest hour around the clock, of two the later."""
    best = min(
        allowed,
        key=lambda other: (min((other - hour) % HOURS, (hour - other) % HOURS),
                           (other - hour) % HOURS),
    )  # fmt: skip
    return allowed[best]


def _next(of_day: int, begin: int, campaign: Campaign, zone: days.Zone) -> int:
    """The next such moment at or after `begin`; `begin` itself where it is within the hour."""
    local = begin + zone.offset_at(begin)
    today, within = divmod(local, days.DAY)
    same_hour = within // days.HOUR == of_day // days.HOUR
    if same_hour and within_hours(campaign.hours, _clock(local)):
        return begin
    for day in range(today, today + _MOST_DAYS):
        at = zone.instant_of(day * days.DAY + of_day)
        if at >= begin and within_hours(campaign.hours, _clock(at + zone.offset_at(at))):
            return at
    return begin


def _clock(local: int) -> time:
    return days.moment(local).time()
