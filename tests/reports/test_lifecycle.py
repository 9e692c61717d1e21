"""Stages at two moments, by the definition in plain Python and by the trait itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine.errors import ReportError
from tests.reports.stores import AS_OF, Drawn, bought, drawn_shops, figure, rows, shop

NEW, ACTIVE, SLEEPING = 30, 60, 180


def stage(days: list[date], today: date) -> str:
    if not days:
        return "prospect"
    recency = (today - max(days)).days
    if len(days) == 1 and recency <= NEW:
        return "new"
    if recency > ACTIVE:
        return "sleeping" if recency <= SLEEPING else "lapsed"
    gap = (max(days) - min(days)).days / (len(days) - 1) if len(days) > 1 else 0
    return "at_risk" if len(days) >= 3 and gap and recency / gap > 1.5 else "active"


def end_of(day: date, timezone: str) -> datetime:
    following = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(timezone))
    return following.astimezone(UTC) - timedelta(microseconds=1)


@given(drawn_shops(), st.integers(1, 200))
def test_stages_and_flow_are_those_of_plain_python(drawn: Drawn, back: int) -> None:
    since = drawn.today - timedelta(days=back)
    report = drawn.engine().report("lifecycle", since=since)
    buyers = {row["customer_id"] for row in [*drawn.orders, *drawn.customers]}
    flow: Counter[tuple[str, str]] = Counter()
    sales: Counter[str] = Counter()
    new = returning = 0
    for buyer in buyers:
        days = [day for b, day in drawn.seen(drawn.orders) if b == buyer]
        before = [day for day in days if day <= since]
        then, now = stage(before, since), stage(days, drawn.today)
        flow[then, now] += 1
        new += bool(days and not before)
        returning += bool(before and len(days) > len(before))
        sales[now] += sum(  # type: ignore[assignment]
            row["amount"] or 0 for row in drawn.orders
            if row["customer_id"] == buyer and row["time"] <= drawn.as_of
        )  # fmt: skip
    assert {(r["then"], r["now"]): r["buyers"] for r in rows(report, "matrix") if r["buyers"]} == {
        pair: count for pair, count in flow.items() if count
    }
    assert [tuple(r.values()) for r in rows(report, "flow")] == [
        (r["then"], r["now"], r["buyers"])
        for r in rows(report, "matrix")
        if r["buyers"] and r["now"] != "prospect"
    ]
    assert figure(report, "new").value == new
    assert figure(report, "returning").value == returning
    for row in rows(report, "stages"):
        assert row["then"] == sum(n for (then, _), n in flow.items() if then == row["stage"])
        assert row["now"] == sum(n for (_, now), n in flow.items() if now == row["stage"])
        assert row["change"] == row["now"] - row["then"]
        assert row["sales"] == Decimal(sales[row["stage"]])


@given(drawn_shops())
def test_stages_are_those_of_the_trait_now_and_of_an_engine_set_back(drawn: Drawn) -> None:
    engine = drawn.engine()
    report = engine.report("lifecycle")
    then = end_of(drawn.today - timedelta(days=30), drawn.timezone)
    assert figure(report, "then").value == then.replace(tzinfo=None).isoformat() + "Z"
    now = Counter(engine.table("customers", ["lifecycle_stage"])["lifecycle_stage"].to_pylist())
    engine.advance(then)
    before = Counter(engine.table("customers", ["lifecycle_stage"])["lifecycle_stage"].to_pylist())
    for row in rows(report, "stages"):
        assert (row["then"], row["now"]) == (before[row["stage"]], now[row["stage"]])


def test_who_fell_quiet_and_who_came_back_are_counted() -> None:
    quiet = bought(1, "2024-01-20", "2024-01-25")
    woken = bought(2, "2023-10-01", "2024-03-30")
    report = shop(quiet + woken + bought(3, "2024-03-20")).report("lifecycle")
    names = ("fell_quiet", "woken", "new", "returning", "buyers_with_a_purchase")
    assert [figure(report, name).value for name in names] == [1, 1, 1, 1, 3]


def test_the_date_of_the_store_s_clock_ends_the_earlier_moment() -> None:
    # Half past four in Shanghai on 2 March is still 1 March in UTC.
    orders = bought(1, "2024-03-01 20:30")
    for timezone, then in (("UTC", "new"), ("Asia/Shanghai", "prospect")):
        report = shop(orders, timezone=timezone).report("lifecycle", since=date(2024, 3, 1))
        assert [r["then"] for r in rows(report, "flow")] == [then]


def test_thresholds_are_those_of_the_store() -> None:
    config = {"lifecycle": {"new_days": 1, "active_days": 2, "sleeping_days": 3}}
    engine = se.Engine(as_of=AS_OF, config=config)
    import pyarrow as pa

    times = [AS_OF - timedelta(days=n) for n in range(5)]
    engine.load("orders", pa.table({"customer_id": list(range(5)), "time": times}))
    report = engine.report("lifecycle")
    assert {r["stage"]: r["now"] for r in rows(report, "stages") if r["now"]} == {
        "new": 2, "active": 1, "sleeping": 1, "lapsed": 1,
    }  # fmt: skip
    assert figure(report, "sleeping_days").value == 3


def test_fitted_thresholds_are_those_of_the_fit_and_said_to_be() -> None:
    import pyarrow as pa

    gaps = [3 + n % 40 for n in range(400)]
    rows_of = [(n % 20, AS_OF - timedelta(days=sum(gaps[n % 20 : n : 20]))) for n in range(400)]
    engine = se.Engine(as_of=AS_OF, config={"lifecycle": {"thresholds": "fit"}})
    orders = {"customer_id": [c for c, _ in rows_of], "time": [t for _, t in rows_of]}
    engine.load("orders", pa.table(orders))
    report = engine.report("lifecycle")
    fitted = engine.fits.shown["lifecycle"]
    assert "fitted to" in fitted["source"]
    for name in ("new_days", "active_days", "sleeping_days"):
        assert figure(report, name).value == fitted[name]
        assert fitted["source"] in figure(report, name).formula
    stages = Counter(engine.table("customers", ["lifecycle_stage"])["lifecycle_stage"].to_pylist())
    assert {r["stage"]: r["now"] for r in rows(report, "stages") if r["now"]} == stages


@pytest.mark.parametrize(
    ("since", "said"),
    [
        (date(2024, 3, 31), "does not end before `2024-03-31T21:30:00Z`"),
        (date(2025, 1, 1), "give an earlier date"),
        (datetime(2024, 3, 1), "has no timezone"),  # noqa: DTZ001 - that is what is asked
        ("yesterday", "must be a date"),
    ],
)
def test_an_earlier_moment_that_is_not_earlier_is_refused(since: object, said: str) -> None:
    with pytest.raises(ReportError, match="`since`") as caught:
        shop(bought(1, "2024-03-01")).report("lifecycle", since=since)
    assert said in str(caught.value)


def test_a_store_without_purchases_has_prospects_alone() -> None:
    report = shop(customers=[{"customer_id": 1}, {"customer_id": 2}]).report("lifecycle")
    assert report.notes == ("no purchase up to this moment: everybody is a prospect",)
    assert rows(report, "flow") == []
    assert rows(report, "stages")[0]["now"] == 2
    empty = se.Engine(as_of=AS_OF).report("lifecycle")
    assert figure(empty, "buyers").value == 0
