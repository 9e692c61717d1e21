"""Retention, counted again in plain Python."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from tests.reports.stores import (
    Drawn,
    bought,
    drawn_shops,
    figure,
    following,
    name_of,
    previous,
    rows,
    shop,
    start,
)

GRAINS = ("day", "week", "month", "quarter")
STEPS = {"day": (1, 3, 7, 30), "week": (1, 2, 4, 8), "month": (1, 2, 3, 6), "quarter": (1, 2, 3, 4)}
LAST = {"day": 90, "week": 26, "month": 13, "quarter": 8}
ACTIVITIES = ("visit", "behaviour", "purchase")


def active(drawn: Drawn, activity: str, grain: str) -> dict[int, set[date]]:
    """The periods each buyer was active in."""
    done = drawn.orders if activity == "purchase" else drawn.behaviors
    chosen = [row for row in done if activity != "visit" or row["kind"] == "visit"]
    found = defaultdict(set)
    for buyer, day in drawn.seen(chosen):
        found[buyer].add(start(day, grain))
    return found


def retained(
    periods: dict[int, set[date]], buyers: set[int], drawn: Drawn, grain: str, n: int
) -> tuple[int, int, int]:
    """Cohorts old enough, their new buyers, and those active N periods later."""
    now = start(drawn.today, grain)
    oldest = previous(now, grain, LAST[grain] - 1)
    old = [
        (buyer, min(seen))
        for buyer, seen in periods.items()
        if buyer in buyers and min(seen) >= oldest and following(min(seen), grain, n) <= now
    ]
    stayed = [b for b, first in old if following(first, grain, n) in periods[b]]
    return len({first for _, first in old}), len(old), len(stayed)


@given(drawn_shops(behaviors=True), st.sampled_from(GRAINS), st.sampled_from(ACTIVITIES))
def test_day_n_retention_is_the_share_of_the_old_enough_that_are_active(
    drawn: Drawn, grain: str, activity: str
) -> None:
    report = drawn.engine().report("retention", grain=grain, activity=activity)
    periods = active(drawn, activity, grain)
    everybody = {n: retained(periods, set(periods), drawn, grain, n) for n in STEPS[grain]}
    found = {r["n"]: (r["cohorts"], r["new"], r["active"]) for r in rows(report, "retention")}
    assert found == {n: counts for n, counts in everybody.items() if counts[0]}
    for n, (_, new, stayed) in everybody.items():
        assert stayed <= new
        assert figure(report, f"{grain}_{n}_retention").value == (stayed / new if new else None)


@given(drawn_shops(behaviors=True), st.sampled_from(GRAINS))
def test_channels_are_retention_of_the_buyers_of_each(drawn: Drawn, grain: str) -> None:
    report = drawn.engine().report("retention", grain=grain)
    periods = active(drawn, "purchase", grain)
    channels = {c["customer_id"]: c["acquisition_channel"] for c in drawn.customers}
    tables = [t for t in report.tables if t.name == "channels"]
    for row in rows(report, "channels") if tables else []:
        named = None if row["channel"] == "(missing)" else row["channel"]
        members = {b for b, channel in channels.items() if channel == named}
        expected = retained(periods, members, drawn, grain, row["n"])
        assert (row["cohorts"], row["new"], row["active"]) == expected


@given(drawn_shops(behaviors=True), st.sampled_from(GRAINS), st.sampled_from(ACTIVITIES))
def test_returning_users_were_there_before_the_period_before(
    drawn: Drawn, grain: str, activity: str
) -> None:
    report = drawn.engine().report("retention", grain=grain, activity=activity)
    periods = active(drawn, activity, grain)
    by_name = {name_of(p, grain): p for seen in periods.values() for p in seen}
    by_name |= {name_of(f, grain): f for f in [following(p, grain) for p in by_name.values()]}
    for row in rows(report, "returning"):
        period = by_name.get(row["period"])
        returning = set()
        if period is not None:
            before = previous(period, grain)
            returning = {b for b, seen in periods.items() if before in seen and min(seen) < before}
        assert row["returning"] == len(returning)
        assert row["active"] == sum(period in periods[b] for b in returning)


def test_cohorts_younger_than_n_are_in_neither_number() -> None:
    # as_of is on 31 March: the cohort of the 30th is one day old, that of the 31st none.
    orders = [
        *bought(1, "2024-03-29", "2024-03-30"),
        *bought(2, "2024-03-30"),
        *bought(3, "2024-03-31"),
    ]
    report = shop(orders).report("retention")
    (one,) = [r for r in rows(report, "retention") if r["n"] == 1]
    assert one == {"n": 1, "cohorts": 2, "new": 2, "active": 1, "rate": 0.5}
    assert any("not over" in note for note in report.notes)
    complete = shop(orders).report("retention", complete=True)
    (one,) = [r for r in rows(complete, "retention") if r["n"] == 1]
    assert one == {"n": 1, "cohorts": 1, "new": 1, "active": 1, "rate": 1.0}
    cohorts = {r["cohort"]: (r["new"], r["rate_1"]) for r in rows(complete, "cohorts")}
    assert cohorts == {"2024-03-29": (1, 1.0), "2024-03-30": (1, None), "2024-03-31": (1, None)}


def test_who_never_visited_is_not_new_by_visits() -> None:
    behaviors = [
        {"customer_id": 1, "time": row["time"], "kind": kind}
        for row, kind in zip(bought(1, "2024-03-01", "2024-03-02"), ("view", "visit"), strict=True)
    ]
    engine = shop(bought(2, "2024-03-01"), behaviors)
    new = {
        activity: [(r["cohort"], r["new"]) for r in rows(
            engine.report("retention", activity=activity), "cohorts")]
        for activity in ACTIVITIES
    }  # fmt: skip
    assert new == {
        "visit": [("2024-03-02", 1)],
        "behaviour": [("2024-03-01", 1)],
        "purchase": [("2024-03-01", 1)],
    }


def test_a_store_without_behaviours_says_that_nobody_visited() -> None:
    report = shop(bought(1, "2024-03-01")).report("retention", activity="visit")
    assert rows(report, "retention") == rows(report, "cohorts") == rows(report, "returning") == []
    assert "nobody visited up to this moment: there is nothing to count" in report.notes
    assert rows(report, "triangle")[0]["buyers"] == 1


def test_an_activity_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(se.SegengineError, match=r"`visits` is none; did you mean `visit`\?"):
        shop().report("retention", activity="visits")
