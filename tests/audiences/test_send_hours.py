"""When each buyer is written to, beside plain Python that looks at every minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine import days
from segengine.audiences.send_hours import send_times
from segengine.tables.tables import Tables

EXAMPLES = settings(max_examples=12, deadline=None, derandomize=True)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe")
CHANGES = (datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC),
           datetime(2026, 3, 8, 3, tzinfo=UTC), datetime(2026, 11, 1, 2, tzinfo=UTC),
           datetime(2026, 6, 15, 9, 30, tzinfo=UTC))  # fmt: skip
MINUTE = timedelta(minutes=1)


def admits(parts: Sequence[tuple[time, time]], at: time) -> bool:
    """Whether a time of day is in one of the parts [from, to), written out once more."""
    if not parts:
        return True
    for start, end in parts:
        if start < end and start <= at < end:
            return True
        if start >= end and (at >= start or at < end):
            return True
    return False


def chosen_hour(hour: int, parts: Sequence[tuple[time, time]]) -> int:
    """The nearest hour with a minute that is admitted; of two equally near the later."""
    good = {m // 60 for m in range(24 * 60) if admits(parts, time(m // 60, m % 60))}
    for off in range(13):
        for other in ((hour + off) % 24, (hour - off) % 24):
            if other in good:
                return other
    raise AssertionError


def plain(hour: int, parts: Sequence[tuple[time, time]], as_of: datetime, zone: str) -> datetime:
    """The first minute at or after as_of in that hour of the local clock that is admitted."""
    wanted, at = chosen_hour(hour, parts), as_of
    while True:
        local = at.astimezone(ZoneInfo(zone))
        if local.hour == wanted and admits(parts, local.time()):
            return at
        at += MINUTE


minutes = st.integers(0, 24 * 60 - 1).map(lambda m: time(m // 60, m % 60))
parts_drawn = st.lists(st.tuples(minutes, minutes), max_size=2)


@EXAMPLES
@given(st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 40 * 60), parts_drawn)
def test_every_hour_has_the_next_moment_of_the_clock_in_it(
    zone: str, around: datetime, later: int, parts: list[tuple[time, time]]
) -> None:
    as_of = around + later * MINUTE
    campaign = se.Campaign("c", "TRUE", hours=parts or None)
    found = send_times(campaign, empty(), micros(as_of), days.zone(zone))
    for hour in range(24):
        at = days.moment(int(found.moments[hour]))
        wanted = plain(hour, parts, as_of, zone)
        local = at.astimezone(ZoneInfo(zone))
        assert at >= as_of
        assert admits(parts, local.time())
        if not any(is_shifted(each, zone) for each in (at, wanted)):
            assert at == wanted
        else:
            # An hour that the clock skips is the one after it; of one that comes twice, either.
            assert (local.hour - chosen_hour(hour, parts)) % 24 in (0, 1)


def is_shifted(at: datetime, zone: str) -> bool:
    """Whether the clock is changed within three hours of a moment."""
    near = (at + timedelta(minutes=30 * k) for k in range(-6, 7))
    return len({each.astimezone(ZoneInfo(zone)).utcoffset() for each in near}) > 1


@cache
def empty() -> Tables:
    return se.Engine(as_of=CHANGES[0])._tables


def micros(at: datetime) -> int:
    return days.micros(at, days.zone("UTC"))


def shop(zone: str, as_of: datetime, orders: list[tuple[int, datetime]], **options: Any) -> Any:
    engine = se.Engine(timezone=zone, as_of=as_of)
    engine.load("customers", pa.table({"customer_id": [1, 2, 3]}))
    if orders:
        engine.load("orders", pa.table({
            "customer_id": [who for who, _ in orders],
            "time": pa.array([at for _, at in orders], pa.timestamp("us", "UTC")),
            "amount": [1.0] * len(orders),
        }))  # fmt: skip
    engine.define_campaign(se.Campaign("c", "TRUE", **options))
    return engine


def hours_of(engine: Any) -> dict[int, int]:
    return {r["hour"]: r["buyers"] for r in engine.send_hours("c").to_pylist() if r["buyers"]}


NOON = datetime(2026, 6, 15, 4, tzinfo=UTC)
"""12:00 in Shanghai."""


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 6, day, hour, tzinfo=ZoneInfo("Asia/Shanghai"))


def test_a_habit_comes_before_the_peak_of_the_store() -> None:
    own = [(1, at(day, 20)) for day in range(1, 6)]
    peak = [(2, at(day, 9)) for day in range(1, 2)] + [(3, at(day, 9)) for day in range(1, 7)]
    engine = shop("Asia/Shanghai", NOON, own + peak)
    assert engine.segment("preferred_hour = 20").ids().to_pylist() == [1]
    assert engine.segment("preferred_hour IS NULL").ids().to_pylist() == [2]
    rows = {r["customer_id"]: r["send_at"] for r in engine.run_campaign("c").table().to_pylist()}
    assert rows == {1: at(15, 20), 2: at(16, 9), 3: at(16, 9)}
    assert hours_of(engine) == {20: 1, 9: 2}


def test_without_any_purchase_all_are_written_to_at_once() -> None:
    engine = shop("Asia/Shanghai", NOON, [])
    assert {r["send_at"] for r in engine.run_campaign("c").table().to_pylist()} == {NOON}


def test_of_two_peaks_the_later_is_taken() -> None:
    engine = shop("Asia/Shanghai", NOON, [(1, at(1, 9)), (2, at(2, 21))])
    assert hours_of(engine) == {21: 3}


def test_purchases_to_come_and_orders_never_paid_make_no_peak() -> None:
    engine = shop("Asia/Shanghai", NOON, [(1, at(1, 9)), (2, at(20, 21)), (3, at(20, 21))])
    assert hours_of(engine) == {9: 3}
    engine.load("orders", pa.table({
        "customer_id": [1, 1], "time": [at(2, 18), at(3, 18)],
        "paid_at": pa.array([None, None], pa.timestamp("us", "UTC")),
    }))  # fmt: skip
    assert hours_of(engine) == {9: 3}


def test_the_hour_that_is_now_is_now() -> None:
    engine = shop("Asia/Shanghai", NOON + timedelta(minutes=20), [(1, at(1, 12))])
    assert {r["send_at"] for r in engine.run_campaign("c").table().to_pylist()} == {
        NOON + timedelta(minutes=20)
    }


def test_what_would_come_after_the_end_is_sent_at_once() -> None:
    own = [(1, at(day, 20)) for day in range(1, 6)]
    engine = shop("Asia/Shanghai", NOON, own, ends_at=at(15, 20))
    assert {r["send_at"] for r in engine.run_campaign("c").table().to_pylist()} == {NOON}
    longer = shop("Asia/Shanghai", NOON, own, ends_at=at(15, 20) + timedelta(minutes=1))
    assert hours_of(longer) == {20: 3}


def test_before_its_start_a_campaign_is_shown_as_of_its_start() -> None:
    engine = shop("Asia/Shanghai", NOON, [(1, at(1, 9))], starts_at=at(20, 9))
    assert hours_of(engine) == {9: 3}
    with pytest.raises(se.RunError):
        engine.run_campaign("c")


def test_the_histogram_has_all_hours_and_all_targeted() -> None:
    engine = shop("Asia/Shanghai", NOON, [(1, at(1, 9))], holdout=0.9)
    run = engine.run_campaign("c")
    hours = run.hours()
    assert hours["hour"].to_pylist() == list(range(24))
    assert sum(hours["buyers"].to_pylist()) == run.count() < 3
    assert hours == engine.send_hours("c")
