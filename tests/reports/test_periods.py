"""Periods are numbers whose neighbours are neighbours, in SQL as in Python."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine.reports import periods
from tests.reports.stores import AS_OF, at, bought, following, name_of, rows, shop, start

GRAINS = ("day", "week", "month", "quarter")
_FIRST = date(1970, 1, 1)


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)), st.sampled_from(GRAINS))
def test_a_period_is_named_by_its_first_date_and_the_next_ones_number_is_one_more(
    day: date, grain: str
) -> None:
    number = periods.number_of(grain, (day - _FIRST).days)
    first = start(day, grain)
    assert periods.first_day(grain, number) == (first - _FIRST).days
    assert periods.label(grain, number) == name_of(first, grain)
    later = following(first, grain)
    assert periods.number_of(grain, (later - _FIRST).days) == number + 1


@given(st.lists(st.dates(date(1900, 1, 1), date(2199, 12, 31)), min_size=1, max_size=20))
def test_sql_and_python_give_a_date_the_same_period(days: list[date]) -> None:
    connection = se.Engine(as_of=AS_OF).connect([])
    for grain in GRAINS:
        sql = f"SELECT {periods.number_sql(grain, 'd')} FROM unnest($days::DATE[]) AS t(d)"
        found = [number for (number,) in connection.execute(sql, {"days": days}).fetchall()]
        assert found == [periods.number_of(grain, (day - _FIRST).days) for day in days]


def completeness(as_of: datetime) -> list[tuple[str, bool]]:
    engine = shop(bought(1, "2024-02-01", "2024-03-01"), as_of=as_of)
    return [(r["period"], r["complete"]) for r in rows(engine.report("overview"), "sales")]


def test_a_month_is_over_with_its_last_microsecond() -> None:
    end = at("2024-04-01")
    assert completeness(end) == [("2024-02", True), ("2024-03", True), ("2024-04", False)]
    assert completeness(end - timedelta(microseconds=1)) == [("2024-02", True), ("2024-03", True)]
    assert completeness(end - timedelta(microseconds=2)) == [("2024-02", True), ("2024-03", False)]


def test_a_month_begins_by_the_clock_of_the_store() -> None:
    orders = bought(1, "2024-02-29T16:30")
    month = rows(shop(orders, timezone="Asia/Shanghai").report("overview"), "sales")[0]
    assert month["period"] == "2024-03"
    assert rows(shop(orders).report("overview"), "sales")[0]["period"] == "2024-02"


def test_no_more_periods_are_shown_than_asked_for_and_none_before_the_first_order() -> None:
    engine = shop(bought(1, "2023-01-15", "2024-03-01"))
    shown = rows(engine.report("overview", last=2), "sales")
    assert [r["period"] for r in shown] == ["2024-02", "2024-03"]
    shown = rows(engine.report("overview", last=1_000), "sales")
    assert (len(shown), shown[0]["period"]) == (15, "2023-01")


@pytest.mark.parametrize("last", [0, -1, 1_001, True, "7", 2.0])
def test_a_number_of_periods_that_is_none_is_refused(last: object) -> None:
    for name in ("overview", "repurchase", "retention"):
        with pytest.raises(se.SegengineError, match=r"`last`: must be a whole number.*1 to 1,000"):
            shop().report(name, last=last)


@pytest.mark.parametrize("name", ["overview", "retention"])
def test_a_grain_that_is_none_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(se.SegengineError, match=r"`months` is no period; did you mean `month`\?"):
        shop().report(name, grain="months")
