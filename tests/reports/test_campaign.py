"""What a campaign earned, beside plain Python over the same rows, and beside scipy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

import segengine as se
from segengine.reports.html import to_html
from segengine.reports.report import Report, to_json
from tests.reference.effect import Buyer, Row, buyers_of, measures
from tests.reports.pages import assert_page_is_its_data
from tests.reports.stores import figure, rows

AS_OF = datetime(2026, 3, 27, 9, tzinfo=UTC)
ZONE = "Europe/Berlin"
PRICE = Decimal("0.05")
CART = "count(behaviors) FILTER (WHERE kind = 'cart')"
GOALS = (None, "messages", "purchases", "orders", "behaviors", "tickets", CART)
CONFIG = {
    "store": {"channels": ["sms"]},
    "text": {"price_per_part": 0.05},
    "tables": {"tickets": {"topic": "VARCHAR"}},
}
_INSTANT = pa.timestamp("us", "UTC")


def engine_of(buyers: int = 16, config: dict[str, Any] | None = None) -> se.Engine:
    engine = se.Engine(timezone=ZONE, as_of=AS_OF, config=config or CONFIG)
    engine.load("customers", pa.table({
        "customer_id": list(range(1, buyers + 1)),
        "region": [("north", "south", None)[k % 3] for k in range(buyers)],
        "member_level": [k % 4 for k in range(buyers)],
    }))  # fmt: skip
    return engine


def put(engine: se.Engine, table: str, found: list[Row]) -> None:
    if found:
        names = list(found[0])
        types = {"time": _INSTANT, "amount": pa.decimal128(18, 2)}
        types |= {"refund_amount": pa.decimal128(18, 2)}
        engine.load(table, pa.table({
            n: pa.array([row[n] for row in found], types.get(n)) for n in names
        }))  # fmt: skip


# --- against plain Python --------------------------------------------------------------------

STEP = timedelta(hours=6)
moments = st.integers(-4, 40).map(lambda k: AS_OF + k * STEP)
after = st.integers(0, 24).map(lambda k: AS_OF + k * STEP)
cents = st.none() | st.integers(-300, 9_000)


@st.composite
def histories(draw: st.DrawFn) -> dict[str, Any]:
    buyers = st.integers(1, 16)
    contacts = st.tuples(
        buyers, st.sampled_from(["sent", "sent", "delivered", "failed", "clicked"]), after,
        st.none() | st.integers(0, 3),
    )  # fmt: skip
    return {
        "goal": draw(st.sampled_from(GOALS)),
        "days": draw(st.sampled_from([1, 3])),
        "contacts": draw(st.lists(contacts, max_size=30)),
        "told": draw(st.booleans()),
        "orders": draw(st.lists(st.tuples(buyers, moments, cents, cents), max_size=25)),
        "behaviors": draw(
            st.lists(st.tuples(buyers, moments, st.sampled_from(["visit", "cart"])), max_size=25)
        ),
        "tickets": draw(st.lists(st.tuples(buyers, moments), max_size=6)),
        "now": draw(st.integers(24, 44)),
    }


class Made:
    """A store with a drawn history, two runs of one campaign, and its plain rows."""

    def __init__(self, drawn: dict[str, Any]) -> None:
        self.drawn = drawn
        engine = self.engine = engine_of()
        engine.define_campaign(se.Campaign(
            "spring", "customer_id < 14", holdout=0.3, variants={"a": 0.5, "b": 0.5},
            goal=drawn["goal"], window_days=drawn["days"], text="hello",
        ))  # fmt: skip
        self.runs = [engine.run_campaign("spring"), engine.run_campaign("spring")]
        self.as_of = AS_OF + drawn["now"] * STEP
        engine.advance(self.as_of)
        self._record()
        orders = [
            {"customer_id": c, "time": t, "amount": None if a is None else Decimal(a) / 100,
             "refund_amount": None if r is None else Decimal(r) / 100}
            for c, t, a, r in drawn["orders"]
        ]  # fmt: skip
        put(engine, "orders", orders)
        behaviors = [{"customer_id": c, "time": t, "kind": k} for c, t, k in drawn["behaviors"]]
        put(engine, "behaviors", behaviors)
        tickets = [{"customer_id": c, "time": t} for c, t in drawn["tickets"]]
        put(engine, "tickets", tickets)
        for row in orders:
            amount, refund = row["amount"], row["refund_amount"]
            known = amount is not None and refund is not None
            row["net"] = amount - refund if known else amount
            gone = refund is not None and refund > 0 and amount is not None and refund >= amount
            row["is_purchase"] = not gone
        self.tables = {
            "messages": engine.table("messages").to_pylist(), "orders": orders,
            "behaviors": behaviors, "tickets": tickets,
        }  # fmt: skip

    def _record(self) -> None:
        for number, run in enumerate(self.runs):
            known = set(run.ids().to_pylist())
            found = [
                {"customer_id": who, "run": run.run, "kind": kind, "time": at, "parts": parts}
                for place, (who, kind, at, parts) in enumerate(self.drawn["contacts"])
                if who in known and place % 2 == number and at <= self.as_of
                and (kind != "delivered" or self.drawn["told"])
            ]  # fmt: skip
            if found:
                columns = {n: [row[n] for row in found] for n in found[0]}
                self.engine.record_messages(pa.table({
                    **columns, "time": pa.array(columns["time"], _INSTANT),
                    "parts": pa.array(columns["parts"], pa.int64()),
                }))  # fmt: skip

    def buyers(self, run: se.Run) -> list[Buyer]:
        return buyers_of(
            run.table().to_pylist(), run.run, "spring", self.drawn["goal"], self.drawn["days"],
            self.tables, self.as_of, ZONE,
        )  # fmt: skip


def assert_measures(row: Row, wanted: Row) -> None:
    for name, value in wanted.items():
        got = row[name]
        assert got == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name


@settings(
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(histories())
def test_every_figure_is_that_of_plain_python(drawn: dict[str, Any]) -> None:
    assert_as_plain_python(drawn)


@pytest.mark.prove
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_every_figure_is_that_of_plain_python_at_length(drawn: dict[str, Any]) -> None:
    assert_as_plain_python(drawn)


def assert_as_plain_python(drawn: dict[str, Any]) -> None:
    made = Made(drawn)
    report = made.engine.report("campaign", campaign="spring", by="region")
    everybody: list[Buyer] = []
    by_run = {row["run"]: row for row in rows(report, "runs")}
    by_variant = {(row["run"], row["variant"]): row for row in rows(report, "variants")}
    by_day = {(r["run"], r["variant"], r["day"]): r for r in rows(report, "days")}
    for run in made.runs:
        buyers = made.buyers(run)
        everybody += buyers
        assert_measures(by_run[run.run], measures(buyers, PRICE))
        assert by_run[run.run]["held_out"] == len(run.held_out())
        for variant in ("a", "b"):
            mine = [b for b in buyers if b.variant == variant]
            assert_measures(by_variant[run.run, variant], measures(mine, PRICE))
            for day in {b.day for b in mine}:
                of_day = [b for b in mine if b.day == day]
                key = (run.run, variant, None if day is None else day.isoformat())
                assert_measures(by_day.pop(key), measures(of_day, PRICE))
    assert by_day == {}
    whole = measures(everybody, PRICE)
    for name, value in whole.items():
        assert_measures({name: figure(report, name).value}, {name: value})
    regions = made.engine.table("customers", ["customer_id", "region"]).to_pylist()
    region = {row["customer_id"]: row["region"] or "(missing)" for row in regions}
    for row in rows(report, "cells"):
        mine = [b for b in everybody if region[b.customer] == row["region"]]
        assert_measures(row, measures(mine, PRICE))
        sent = [float(b.sales) for b in mine if b.start is not None and not b.held_out]
        held = [float(b.sales) for b in mine if b.start is not None and b.held_out]
        extra = (np.mean(sent) - np.mean(held)) * len(sent) if sent and held else None
        assert row["held_out"] == len(held)
        assert row["extra_sales"] == (None if extra is None else pytest.approx(extra, abs=1e-9))
    assert_lift(made, report)
    assert_kept(made, report, everybody, region)
    assert_page_is_its_data(to_html(to_json(report)), to_json(report))


def assert_lift(made: Made, report: Report) -> None:
    """Arms beside the held-out: everybody whose window has begun, as they were dealt."""
    sales = {row["arm"]: row for row in rows(report, "lift_in_sales")}
    response = {row["arm"]: row for row in rows(report, "lift_in_response")}
    conversion = {row["arm"]: row for row in rows(report, "lift_in_conversion")}
    for run in made.runs:
        begun = [b for b in made.buyers(run) if b.start is not None]
        held = [b for b in begun if b.held_out]
        for arm, mine in (
            ("all", [b for b in begun if not b.held_out]),
            *((v, [b for b in begun if b.variant == v]) for v in ("a", "b")),
        ):
            label = f"{run.run}, {arm}"
            if not mine or not held:
                assert label not in sales
                continue
            assert (label in response) is (made.drawn["goal"] != "messages")
            for table, value in ((response, "unasked"), (conversion, "orders")):
                if label in table:
                    row = table[label]
                    ones = [bool(getattr(b, value)) for b in mine]
                    zeros = [bool(getattr(b, value)) for b in held]
                    assert (row["treated"], row["held_out"]) == (len(ones), len(zeros))
                    assert row["value"] == pytest.approx(sum(ones) / len(ones))
                    assert row["held_out_value"] == pytest.approx(sum(zeros) / len(zeros))
                    a = stats.binomtest(sum(ones), len(ones)).proportion_ci(method="wilson")
                    b = stats.binomtest(sum(zeros), len(zeros)).proportion_ci(method="wilson")
                    d = row["value"] - row["held_out_value"]
                    low = d - np.hypot(row["value"] - a.low, b.high - row["held_out_value"])
                    assert row["low"] == pytest.approx(low, abs=1e-9)
            one = [float(b.sales) for b in mine]
            other = [float(b.sales) for b in held]
            assert sales[label]["value"] == pytest.approx(np.mean(one))
            spread = len(one) > 1 and len(other) > 1 and np.var(one) + np.var(other) > 1e-9
            if spread and min(np.var(one), np.var(other)) > 1e-9:
                between = stats.ttest_ind(one, other, equal_var=False).confidence_interval()
                assert sales[label]["low"] == pytest.approx(between.low, rel=1e-6, abs=1e-9)
                assert sales[label]["high"] == pytest.approx(between.high, rel=1e-6, abs=1e-9)


def assert_kept(made: Made, report: Report, everybody: list[Buyer], region: dict[int, str]) -> None:
    """The rule that is printed selects whoever is in a cell that paid, and nobody else."""
    paid = {row["region"] for row in rows(report, "cells") if row["paid"]}
    rule = figure(report, "keep").value
    assert (rule is None) is (not paid)
    if rule is not None:
        chosen = set(made.engine.segment(str(rule)).ids().to_pylist())
        assert {b.customer for b in everybody} & chosen == {
            b.customer for b in everybody if region[b.customer] in paid
        }


# --- in particular ---------------------------------------------------------------------------


def small(**options: Any) -> tuple[se.Engine, se.Run]:
    engine = engine_of(400, options.pop("config", None))
    given = {"holdout": 0.25, "text": "hello", **options}
    engine.define_campaign(se.Campaign("spring", "TRUE", **given))
    return engine, engine.run_campaign("spring")


def buy(engine: se.Engine, who: list[int], at: datetime, amount: str = "10") -> None:
    put(engine, "orders", [
        {"customer_id": c, "time": at, "amount": Decimal(amount)} for c in who
    ])  # fmt: skip


def test_the_window_begins_with_the_message_and_ends_before_so_many_times_24_hours() -> None:
    engine, run = small()
    engine.record_messages(run)
    one, two, three = run.ids().to_pylist()[:3]
    end = AS_OF + timedelta(hours=72)
    buy(engine, [one], AS_OF)
    buy(engine, [two], end)
    buy(engine, [three], end - timedelta(microseconds=1))
    engine.advance(end + timedelta(days=1))
    found = engine.report("campaign", run=run.run)
    assert figure(found, "buyers").value == 2
    assert figure(found, "open").value == 0
    by_day = rows(found, "response_by_day")
    assert [(row["day"], row["responses"]) for row in by_day] == [(1, 1), (2, 0), (3, 1)]
    assert by_day[-1]["delivered"] == pytest.approx(2 / run.count())


def test_days_are_24_hours_when_the_clock_changes_too() -> None:
    """Berlin loses an hour on 29 March 2026: three dates later is an hour early."""
    engine, run = small()
    engine.record_messages(run)
    buy(engine, run.ids().to_pylist()[:1], AS_OF + timedelta(hours=71, minutes=59))
    engine.advance(AS_OF + timedelta(days=5))
    assert figure(engine.report("campaign", run=run.run), "buyers").value == 1


def test_what_has_not_happened_is_in_no_figure_and_open_windows_are_said_to_be() -> None:
    engine, run = small()
    engine.record_messages(run)
    buy(engine, run.ids().to_pylist()[:9], AS_OF + timedelta(hours=1))
    found = engine.report("campaign", run=run.run)
    assert figure(found, "buyers").value == 0
    assert figure(found, "open").value == run.count()
    assert any("windows are still open" in note for note in found.notes)
    engine.advance(AS_OF + timedelta(hours=2))
    assert figure(engine.report("campaign", run=run.run), "buyers").value == 9


def test_a_lift_that_is_there_is_found_and_one_that_is_not_is_not_claimed() -> None:
    engine, run = small()
    engine.record_messages(run)
    targets, held = run.ids().to_pylist(), run.held_out().to_pylist()
    buy(engine, [*targets[: len(targets) // 2], *held[: len(held) // 10]], AS_OF)
    found = engine.report("campaign", run=run.run)
    (row,) = rows(found, "lift_in_conversion")
    assert row["verdict"] == "more"
    assert row["low"] > 0.2
    engine, run = small()
    engine.record_messages(run)
    targets, held = run.ids().to_pylist(), run.held_out().to_pylist()
    buy(engine, [*targets[: len(targets) // 10], *held[: len(held) // 10]], AS_OF)
    found = engine.report("campaign", run=run.run)
    (row,) = rows(found, "lift_in_conversion")
    assert row["verdict"] == "too small to measure"
    assert row["needed"] > 10 * run.count()
    said = f"about {row['needed']:,} buyers"
    assert any("lift in conversion: too small to measure" in n and said in n for n in found.notes)


def test_clicks_are_responses_and_no_lift() -> None:
    engine, run = small()
    engine.record_messages(run)
    targets = run.ids().to_pylist()
    clicks = {"customer_id": targets[:50], "run": [run.run] * 50, "kind": ["clicked"] * 50}
    engine.record_messages(pa.table(clicks))
    found = engine.report("campaign", run=run.run)
    assert figure(found, "responded").value == 50
    (row,) = rows(found, "lift_in_response")
    assert row["value"] == 0
    assert any("a click is a response, and is left out of lift" in note for note in found.notes)


def test_arms_that_were_not_dealt_as_designed_are_said_to_be() -> None:
    engine, run = small()
    engine.record_messages(run)
    found = rows(engine.report("campaign", run=run.run), "sample_ratio")
    observed = [row["observed"] for row in found]
    wanted = stats.chisquare(observed, [300, 100])
    assert found[0]["chi_square"] == pytest.approx(float(wanted.statistic))
    assert found[0]["p"] == pytest.approx(float(wanted.pvalue))
    assert {row["verdict"] for row in found} == {"as designed"}
    engine.define_campaign(se.Campaign("tilted", "bucket('tilted:holdout') >= 0.15", holdout=0.25))
    tilted = engine.run_campaign("tilted")
    report = engine.report("campaign", run=tilted.run)
    assert {row["verdict"] for row in rows(report, "sample_ratio")} == {"not as designed"}
    assert "not dealt as designed" in report.notes[0]


def test_an_arm_of_weight_0_hides_no_fault_of_the_others() -> None:
    engine, _ = small()
    arms = {"a": 0.5, "off": 0.0, "b": 0.5}
    for name, wanted, verdict in (
        ("fair", "TRUE", "as designed"), ("tilt", "bucket('tilt') < 0.6", "not as designed"),
    ):  # fmt: skip
        engine.define_campaign(se.Campaign(name, wanted, variants=arms))
        run = engine.run_campaign(name)
        found = rows(engine.report("campaign", run=run.run), "sample_ratio")
        a, _, b = (row["observed"] for row in found)
        test = stats.chisquare([a, b])
        assert [row["p"] for row in found] == pytest.approx([float(test.pvalue)] * 3)
        assert {row["verdict"] for row in found} == {verdict}


def test_deleted_buyers_are_numbers_alone() -> None:
    engine, run = small()
    engine.record_messages(run)
    before = rows(engine.report("campaign", run=run.run), "sample_ratio")
    engine.delete_customer(run.ids()[0].as_py())
    found = engine.report("campaign", run=run.run)
    (row,) = rows(found, "runs")
    assert row["deleted"] == 1
    assert figure(found, "targeted").value == run.count()
    assert rows(found, "sample_ratio") == before


def test_the_price_and_the_rule_are_those_of_the_run() -> None:
    engine, run = small()
    engine.record_messages(run)
    engine.define_campaign(se.Campaign("spring", "FALSE", goal="reviews", window_days=9))
    (row,) = rows(engine.report("campaign", run=run.run), "runs")
    assert (row["segment"], row["window_days"], row["goal"]) == (
        "TRUE", 3, "click, visit or purchase",
    )  # fmt: skip
    assert row["cost"] == PRICE * run.count()


def test_without_a_price_cost_is_not_known() -> None:
    engine, run = small(config={"store": {"channels": ["sms"]}})
    engine.record_messages(run)
    found = engine.report("campaign", run=run.run, by=["region"])
    assert figure(found, "cost").value is None
    assert figure(found, "return_on_cost").value is None
    assert figure(found, "keep").value is None
    assert any("text.price_per_part" in note for note in found.notes)


def test_a_run_without_messages_or_without_a_holdout_says_so() -> None:
    engine, run = small(holdout=0.0)
    found = engine.report("campaign", run=run.run)
    assert any("have no message yet" in note for note in found.notes)
    assert any("held nobody out" in note for note in found.notes)
    assert rows(found, "lift_in_sales") == []
    assert rows(found, "sample_ratio") == []


def test_variants_beside_each_other_are_corrected_for_their_number() -> None:
    engine, run = small(variants={"a": 0.4, "b": 0.3, "c": 0.3})
    engine.record_messages(run)
    variant = {r["customer_id"]: r["variant"] for r in run.table().to_pylist()}
    a = [c for c, v in variant.items() if v == "a"]
    buy(engine, a[: len(a) // 2], AS_OF)
    found = rows(engine.report("campaign", run=run.run), "variants_in_conversion")
    assert [(r["variant"], r["other"]) for r in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    level = 1 - 0.05 / 3
    hits, size = len(a) // 2, len(a)
    others = sum(v == "b" for v in variant.values())
    one = stats.binomtest(hits, size).proportion_ci(level, method="wilson")
    other = stats.binomtest(0, others).proportion_ci(level, method="wilson")
    low = hits / size - np.hypot(hits / size - one.low, other.high)
    assert found[0]["low"] == pytest.approx(low)
    table = [[hits, size - hits], [0, others]]
    p = float(stats.chi2_contingency(table, correction=False).pvalue)
    assert found[0]["p"] == pytest.approx(min(1, 3 * p))
    assert found[2]["p"] is None


def test_a_rule_of_several_traits_selects_the_cells_that_paid() -> None:
    engine, run = small()
    engine.record_messages(run)
    everybody = engine.table("customers", ["customer_id", "region", "member_level"]).to_pylist()
    rich = {r["customer_id"] for r in everybody if (r["region"], r["member_level"]) in
            {("north", 1), (None, 2)}}  # fmt: skip
    buy(engine, [c for c in run.ids().to_pylist() if c in rich], AS_OF)
    found = engine.report("campaign", run=run.run, by="region, member_level")
    rule = figure(found, "keep").value
    assert set(engine.segment(str(rule)).ids().to_pylist()) == rich
    assert len([row for row in rows(found, "cells") if row["paid"]]) == 2


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, se.SegengineError, "asked about a `run` or a `campaign`; the latest runs: spring-"),
        ({"run": "nope"}, se.UnknownNameError, "unknown run `nope`"),
        ({"campaign": "tea"}, se.SegengineError, "campaign `tea` has no run; these have: spring"),
        ({"campaign": "tea", "run": 1}, se.SegengineError, "is of campaign `spring`, not of `tea`"),
        ({"run": 1, "by": "regoin"}, se.UnknownNameError, "did you mean `region`"),
        ({"run": 1, "by": "tags"}, se.SegengineError, "`tags` is a list"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    engine, run = small()
    given = {**options, **({"run": run.run} if options.get("run") == 1 else {})}
    with pytest.raises(error, match=said):
        engine.report("campaign", **given)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("order", "no event table; did you mean `orders`"),
        ("recency_days", "is no aggregate of events; write the name"),
        ("order_count > 3", "is no aggregate of events"),
        ("count(behaviors) >= 1", "is no aggregate of events"),
        ("count(nothing)", "nothing"),
        ("count(", "goal"),
    ],
)
def test_a_goal_that_cannot_be_is_refused_when_the_campaign_is_defined(
    goal: str, said: str
) -> None:
    with pytest.raises(se.SegengineError, match=said):
        engine_of().define_campaign(se.Campaign("c", "TRUE", goal=goal))


@pytest.mark.parametrize("goal", ["count(DISTINCT behaviors.product_id)", "max(behaviors.time)"])
def test_an_aggregate_of_a_column_means_the_rows_that_have_it(goal: str) -> None:
    engine, run = small(goal=goal)
    engine.record_messages(run)
    who = run.ids().to_pylist()
    engine.append("behaviors", pa.table({
        "customer_id": who[:3], "time": [AS_OF] * 3, "kind": ["view"] * 3,
        "product_id": pa.array([1, None, 2], pa.int64()),
    }))  # fmt: skip
    wanted = 2 if "product_id" in goal else 3
    assert figure(engine.report("campaign", run=run.run), "responded").value == wanted
