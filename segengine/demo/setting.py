"""What do all tables of one demo store share? Its size, its moment, its clocks, its catalogue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from segengine.demo.catalogue import Catalogue, build_catalogue
from segengine.demo.rhythm import Rhythm, history_dates, rhythm, season

GROWTH = 0.6
"""Yearly growth, as an exponent, of the number of buyers who join on a date."""

RECENT_DATES = 60
RECENT_BOOST = 2.2
"""Browsing of the last 60 dates against what it would be: old clicks are not kept for ever."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Everything a chunk of any table is made from, beside its number.

    joining, buying, browsing: the clocks of new buyers, of orders and of visits.
    """

    customers: int
    seed: int
    chunk: int
    as_of: datetime
    zone: ZoneInfo
    joining: Rhythm
    buying: Rhythm
    browsing: Rhythm
    dates: tuple[date, ...]
    catalogue: Catalogue

    @property
    def start(self) -> int:
        """The first second of the history, since 1970."""
        return self.buying.start

    @property
    def end(self) -> int:
        """as_of in whole seconds since 1970: no event is later."""
        return self.buying.end

    @property
    def chunks(self) -> int:
        """How many chunks of buyers there are."""
        return -(-self.customers // self.chunk)

    def size_of(self, chunk: int) -> int:
        """The buyers in a chunk: `chunk`, in the last one what is left."""
        return min(self.chunk, self.customers - chunk * self.chunk)


def build_setting(
    customers: int, *, seed: int, as_of: datetime, timezone: str, chunk: int
) -> Setting:
    """The setting of one demo store; refuses what no store can be made from."""
    if customers < 1:
        raise ValueError(f"a store needs buyers: `customers` is `{customers}`, use 1 or more")
    if chunk < 1:
        raise ValueError(f"`chunk` is `{chunk}` buyers at a time, use 1 or more")
    if as_of.tzinfo is None:
        raise ValueError(f"`as_of` `{as_of}` has no timezone: add one, such as `+08:00`")
    zone = ZoneInfo(timezone)
    dates = history_dates(as_of, zone)

    def joins(day: date) -> float:
        years = (day - dates[0]).days / 365
        return math.exp(GROWTH * years) * math.pow(season(day), 0.6)

    def browses(day: date) -> float:
        recent = (dates[-1] - day).days < RECENT_DATES
        return math.pow(season(day), 0.7) * (RECENT_BOOST if recent else 1.0)

    buying = rhythm(as_of, zone, season)
    return Setting(
        customers=customers,
        seed=seed,
        chunk=chunk,
        as_of=as_of,
        zone=zone,
        joining=rhythm(as_of, zone, joins),
        buying=buying,
        browsing=rhythm(as_of, zone, browses),
        dates=tuple(dates),
        catalogue=build_catalogue(seed, customers, buying.start, buying.end),
    )
