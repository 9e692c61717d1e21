"""Calendar dates in a timezone: against zoneinfo, and against DuckDB where DuckDB decides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segengine import days
from segengine.errors import ConfigError
from segengine.kernels import calendar
from tests.reference.local_time import local_date, start_of_date, transitions
from tests.reference.random_customers import TIMEZONES

ODD_ZONES = (
    *TIMEZONES,
    "America/St_Johns",  # the clock went back over midnight until 2011
    "Pacific/Apia",  # had no 30 December 2011
    "Africa/Casablanca",  # winter time for the month of Ramadan
    "America/Asuncion",
    "Asia/Beirut",
    "Europe/Dublin",
    "Antarctica/Casey",
)
FIRST, LAST = date(1970, 1, 1), date(2037, 12, 31)
instants = st.integers(-(2**31) * days.SECOND, 2**31 * days.SECOND)


def number(day: date) -> int:
    return (day - days.EPOCH_DATE).days


def near_changes(name: str) -> list[int]:
    """Instants at, just before and around each change of a zone's clock since 2000."""
    steps = (-86_400, -7200, -3600, -1, 0, 1, 1799, 3600, 7200, 86_400)
    return [
        days.micros(change, days.zone("UTC")) + step * days.SECOND
        for change in transitions(name, date(2000, 1, 1), date(2027, 1, 1))
        for step in steps
    ]


@given(st.sampled_from(ODD_ZONES), instants)
def test_an_instant_has_the_offset_and_date_that_zoneinfo_gives(name: str, instant: int) -> None:
    zone, moment = days.zone(name), days.moment(instant)
    offset = moment.astimezone(ZoneInfo(name)).utcoffset()
    assert offset is not None
    assert zone.offset_at(instant) == offset // timedelta(microseconds=1)
    assert zone.day_of(instant) == number(local_date(moment, name))


@pytest.mark.parametrize("name", ODD_ZONES)
def test_around_every_clock_change_the_date_is_zoneinfos(name: str) -> None:
    zone = days.zone(name)
    asked = np.array([*near_changes(name), 0], np.int64)
    expected = [number(local_date(days.moment(int(i)), name)) for i in asked]
    assert zone.days_of(asked).tolist() == expected
    assert [zone.day_of(int(i)) for i in asked] == expected
    locals_ = [int(i) + zone.offset_at(int(i)) for i in asked]
    assert zone.locals_of(asked).tolist() == locals_
    in_loops = [int(calendar.local_day(i, zone.starts, zone.offsets)) for i in asked]
    assert in_loops == expected


@pytest.mark.parametrize("name", ODD_ZONES)
def test_a_date_starts_at_its_first_instant_also_where_midnight_is_skipped_or_comes_twice(
    name: str,
) -> None:
    zone = days.zone(name)
    changed = {zone.day_of(i) for i in near_changes(name)}
    some = Random(1).sample(range(number(FIRST), number(LAST)), 50)
    for day in sorted({d + step for d in changed for step in (-1, 0, 1)} | set(some)):
        start = zone.start_of_day(day)
        assert days.moment(start) == start_of_date(date(1970, 1, 1) + timedelta(days=day), name)
        assert zone.day_of(start) >= day > zone.day_of(start - 1)
        in_loops = calendar.day_start(np.int64(day), zone.starts, zone.offsets)
        assert int(in_loops) == start


@pytest.mark.parametrize(
    ("name", "day", "starts"),
    [
        ("America/Havana", "2024-03-10", "2024-03-10T05:00:00Z"),  # 00:00 is skipped
        ("America/Havana", "2024-11-03", "2024-11-03T04:00:00Z"),  # 00:00 comes twice
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00Z"),
        ("America/Sao_Paulo", "2017-10-15", "2017-10-15T03:00:00Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),  # a date that never was
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
        ("Asia/Shanghai", "2024-01-01", "2023-12-31T16:00:00Z"),
    ],
)
def test_known_dates_start_when_they_did(name: str, day: str, starts: str) -> None:
    found = days.zone(name).start_of_day(number(date.fromisoformat(day)))
    assert days.moment(found) == datetime.fromisoformat(starts)


def test_only_a_clock_that_goes_back_over_midnight_shows_a_date_twice() -> None:
    twice = {name for name in ODD_ZONES if not days.zone(name).monotone}
    assert twice == {"America/St_Johns", "Antarctica/Casey"}


@pytest.mark.parametrize("name", ODD_ZONES)
def test_a_wall_time_in_a_gap_or_an_overlap_is_the_instant_that_duckdb_gives(name: str) -> None:
    zone = days.zone(name)
    walls = sorted({i + zone.offset_at(i) for i in near_changes(name)} | {0, days.DAY * 20_000})
    texts = [str(days.moment(wall).replace(tzinfo=None)) for wall in walls]
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{name}'")
    rows = connection.execute(
        "SELECT epoch_us(CAST(CAST(w AS TIMESTAMP) AS TIMESTAMPTZ)) FROM unnest($1) AS t(w)",
        [texts],
    ).fetchall()
    assert [zone.instant_of(wall) for wall in walls] == [row[0] for row in rows]


@given(
    st.sampled_from(ODD_ZONES),
    st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001
    st.sampled_from([(0, 1), (0, -1), (1, 0), (-1, 0), (12, 0), (-13, 3), (0, 40), (25, -9)]),
)
def test_months_and_days_are_added_as_duckdb_adds_them(
    name: str, wall: datetime, step: tuple[int, int]
) -> None:
    zone = days.zone(name)
    months, count = step
    start = zone.instant_of(days.micros(wall.replace(tzinfo=UTC), zone))
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{name}'")
    # One interval each, as a rule has one: months first, then days.
    query = (
        "SELECT epoch_us(make_timestamptz($1::BIGINT) + to_months($2::INTEGER)"
        " + to_days($3::INTEGER))"
    )
    found = connection.execute(query, [start, months, count]).fetchone()
    assert found is not None
    expected = int(found[0])
    after_months = zone.add(start, months=months) if months else start
    assert (zone.add(after_months, days=count) if count else after_months) == expected


@pytest.mark.parametrize(
    ("day", "months", "becomes"),
    [
        ("2024-01-31", 1, "2024-02-29"),
        ("2023-01-31", 1, "2023-02-28"),
        ("2024-03-31", -1, "2024-02-29"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", -48, "2020-02-29"),
        ("1999-12-31", 2, "2000-02-29"),
        ("2024-05-31", 13, "2025-06-30"),
    ],
)
def test_a_day_that_the_month_lacks_is_its_last(day: str, months: int, becomes: str) -> None:
    found = days.add_to_day(number(date.fromisoformat(day)), months=months)
    assert days.day_text(found) == becomes


@given(st.dates())
def test_a_date_and_its_number_are_one(day: date) -> None:
    assert days.civil(number(day)) == (day.year, day.month, day.day)
    assert days.day_number(day.year, day.month, day.day) == number(day)
    assert days.day_text(number(day)) == day.isoformat()


def test_hours_are_exact_and_days_are_by_the_clock() -> None:
    zone = days.zone("America/New_York")
    noon = days.micros(datetime(2024, 3, 9, 12), zone)  # noqa: DTZ001
    assert zone.add(noon, days=1) - noon == 23 * days.HOUR
    assert zone.add(noon, micros=24 * days.HOUR) - noon == 24 * days.HOUR


def test_a_moment_without_a_zone_is_in_the_stores() -> None:
    shanghai = days.zone("Asia/Shanghai")
    naive = datetime(2024, 1, 1, 8)  # noqa: DTZ001
    aware = datetime(2024, 1, 1, tzinfo=UTC)
    assert days.micros(naive, shanghai) == days.micros(aware, shanghai)
    assert days.moment(days.micros(aware, shanghai)) == aware


@pytest.mark.parametrize(
    ("moment", "name", "text"),
    [
        ("2024-03-01T00:00:00Z", "Asia/Shanghai", "2024-03-01 08:00:00+08:00"),
        ("2024-03-01T00:00:00Z", "Asia/Kolkata", "2024-03-01 05:30:00+05:30"),
        ("2024-07-01T00:00:00.000001Z", "America/St_Johns", "2024-06-30 21:30:00.000001-02:30"),
        ("1970-01-01T00:00:00Z", "Africa/Monrovia", "1969-12-31 23:15:30-00:44:30"),
    ],
)
def test_an_instant_prints_as_the_stores_clock_shows_it(moment: str, name: str, text: str) -> None:
    zone = days.zone(name)
    shown = days.instant_text(days.micros(datetime.fromisoformat(moment), zone), zone)
    assert shown == text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Asia/Shanghia", "did you mean `Asia/Shanghai`?"),
        ("asia/shanghai", "did you mean `Asia/Shanghai`?"),
        ("Mars/Olympus_Mons", "use an IANA name such as `Asia/Shanghai`"),
        ("", "use an IANA name such as `Asia/Shanghai`"),
        ("../etc/passwd", "use an IANA name such as `Asia/Shanghai`"),
        ("America", "did you mean"),
    ],
)
def test_an_unknown_timezone_is_named_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        days.zone(name)
    assert f"unknown timezone `{name}`" in str(caught.value)
    assert hint in str(caught.value)
    assert caught.value.field == "timezone"
