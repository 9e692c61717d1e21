"""Campaigns that compete get whom the written order gives them, and say who took the others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.audiences.ledger import STEPS
from tests.audiences.stores import AS_OF, store

ONE = [{"limit": 1, "days": 7}]


def shop(rows: int = 8, caps: Any = ONE, **config: Any) -> se.Engine:
    return store(rows, caps=caps, **config)


def define(engine: se.Engine, **campaigns: dict[str, Any]) -> None:
    for name, options in campaigns.items():
        engine.define_campaign(se.Campaign(name, options.pop("segment", "TRUE"), **options))


def got(plan: se.CampaignPlan) -> dict[str, list[int]]:
    return {name: audience.ids().to_pylist() for name, audience in plan.audiences.items()}


def test_a_higher_priority_takes_first_and_equal_ones_go_by_name() -> None:
    engine = shop()
    define(engine, a={"segment": "spent <= 50"}, b={"priority": 1, "segment": "spent <= 20"}, c={})
    plan = engine.plan_campaigns(["c", "a", "b"])
    assert plan.order == ("b", "a", "c")
    assert got(plan) == {"b": [1, 2], "a": [3, 4, 5], "c": [6, 7, 8]}


def test_values_decide_between_equal_priorities_buyer_by_buyer() -> None:
    engine = shop()
    define(engine, low={"value": "50 - spent"}, high={"value": "spent - 50"}, none={})
    found = got(engine.plan_campaigns(["low", "high", "none"]))
    assert found == {"high": [5, 6, 7, 8], "low": [1, 2, 3, 4], "none": []}
    define(engine, none={"priority": 1, "segment": "spent >= 70"})
    assert got(engine.plan_campaigns(["low", "high", "none"]))["none"] == [7, 8]
    assert got(engine.plan_campaigns(["low", "high", "none"], "value"))["none"] == []


def test_a_missing_value_comes_last_then_priority_then_name() -> None:
    engine = shop()
    define(engine, a={"value": "CASE WHEN spent > 40 THEN 1 END"}, b={"value": "0"},
           c={"priority": 5})  # fmt: skip
    plan = engine.plan_campaigns(["a", "b", "c"], by="value")
    assert got(plan) == {"c": [], "a": [5, 6, 7, 8], "b": [1, 2, 3, 4]}
    define(engine, b={"priority": 9})
    plan = engine.plan_campaigns(["a", "b", "c"], by="value")
    assert got(plan) == {"b": [1, 2, 3, 4], "c": [], "a": [5, 6, 7, 8]}


def test_without_a_cap_nobody_competes() -> None:
    engine = shop(caps=[])
    define(engine, a={}, b={"value": "spent"}, c={"value": "1"})
    for by in ("priority", "value"):
        assert set(map(len, got(engine.plan_campaigns(["a", "b", "c"], by)).values())) == {8}


def test_what_was_sent_before_leaves_less_room_and_two_campaigns_share_it() -> None:
    engine = shop(caps=[{"limit": 3, "days": 7}])
    engine.append("messages", pa.table({
        "customer_id": [1, 1, 1, 2, 2, 3], "kind": ["sent"] * 6,
        "time": [AS_OF - timedelta(hours=1)] * 6,
    }))  # fmt: skip
    define(engine, a={}, b={}, c={}, d={})
    found = got(engine.plan_campaigns(["a", "b", "c", "d"]))
    assert found["a"] == [2, 3, 4, 5, 6, 7, 8]
    assert found["b"] == [3, 4, 5, 6, 7, 8]
    assert found["c"] == [4, 5, 6, 7, 8]
    assert found["d"] == []


@pytest.mark.parametrize("cut", [{"limit": 3}, {"budget": 3}])
def test_whom_a_limit_or_a_budget_cuts_is_free_for_the_next(cut: dict[str, Any]) -> None:
    engine = shop()
    define(engine, first={"priority": 2, "order_by": "spent DESC", **cut}, next={"limit": 4})
    plan = engine.plan_campaigns(["next", "first"])
    assert got(plan) == {"first": [6, 7, 8], "next": [1, 2, 3, 4]}
    told = {name: plan.audiences[name].explain(5).step for name in plan.order}
    assert told == {"first": "limit", "next": "limit"}


def test_whom_a_limit_cuts_goes_to_their_next_by_value_too() -> None:
    engine = shop()
    define(engine, a={"value": "2", "limit": 2, "order_by": "spent DESC"}, b={"value": "1"})
    assert got(engine.plan_campaigns(["a", "b"], "value")) == {"a": [7, 8], "b": [1, 2, 3, 4, 5, 6]}


@pytest.mark.parametrize("by", ["priority", "value"])
def test_nobody_is_rejected_for_one_who_then_does_not_come(by: str) -> None:
    """6 is rejected by the first, goes to the second, and leaves its place in the third to 5."""
    engine = shop(caps=[{"limit": 1, "days": 7, "channel": "sms"}], consent={"missing": "allow"})
    both = {"segment": "spent IN (50, 60)"}
    define(engine, first={"priority": 3, "value": "3", "limit": 1, "channel": "email", **both},
           second={"priority": 2, "value": "2", "channel": "sms",
                   "caps": [se.Cap(1, 7, "email")], **both},
           third={"priority": 1, "value": "1", "channel": "sms", "limit": 1,
                  "order_by": "spent DESC", **both})  # fmt: skip
    found = got(engine.plan_campaigns(["first", "second", "third"], by))
    assert found == {"first": [5], "second": [6], "third": [5]}


def test_the_held_out_count_as_if_sent_and_the_globally_held_out_never_come() -> None:
    engine = shop(300, holdout={"share": 0.2})
    define(engine, a={"holdout": 0.5, "priority": 1}, b={})
    plan = engine.plan_campaigns(["a", "b"])
    ledger = {row["step"]: row for row in plan.audiences["a"].ledger.to_pylist()}
    assert ledger["global_holdout"]["dropped"] > 30
    assert ledger["holdout"]["dropped"] > 80
    assert plan.audiences["b"].count() == 0
    held = set(plan.audiences["a"].held_out().to_pylist())
    assert len(held) == ledger["holdout"]["dropped"]
    assert held.isdisjoint(plan.audiences["a"].ids().to_pylist())
    assert all(plan.audiences["b"].explain(who).step == "arbitration" for who in held)


def test_kinds_do_not_take_from_each_other_and_service_is_never_in_the_way() -> None:
    engine = shop(caps=[{"limit": 1, "days": 7}, {"limit": 1, "days": 7, "kind": "care"}])
    define(engine, a={"priority": 3}, b={"kind": "care", "priority": 2}, c={"kind": "service"},
           d={}, e={"kind": "care"})  # fmt: skip
    found = got(engine.plan_campaigns(list("edcba")))
    assert {name: len(ids) for name, ids in found.items()} == {
        "a": 8,
        "b": 8,
        "c": 8,
        "d": 0,
        "e": 0,
    }


def test_a_campaigns_own_cap_counts_what_others_of_the_plan_win() -> None:
    engine = shop(caps=[])
    define(engine, shy={"caps": [se.Cap(1, 7)]}, loud={"priority": 1, "segment": "spent <= 30"})
    assert got(engine.plan_campaigns(["shy", "loud"])) == {
        "loud": [1, 2, 3], "shy": [4, 5, 6, 7, 8]
    }  # fmt: skip
    define(engine, shy={"caps": [se.Cap(1, 7)], "priority": 2})
    assert got(engine.plan_campaigns(["shy", "loud"]))["loud"] == [1, 2, 3]


def test_the_order_of_the_names_says_nothing() -> None:
    engine = shop(40, caps=[{"limit": 2, "days": 7}])
    for number in range(6):
        value = f"(spent * {7 * number + 3}) % 11"
        define(engine, **{f"c{number}": {"value": value, "limit": 9 + number, "holdout": 0.2}})
    names = [f"c{number}" for number in range(6)]
    for by in ("priority", "value"):
        plans = [
            engine.plan_campaigns(each, by) for each in (names, names[::-1], names[3:] + names[:3])
        ]
        assert plans[0].ledger == plans[1].ledger == plans[2].ledger
        assert got(plans[0]) == got(plans[1]) == got(plans[2])


def test_the_ledger_of_a_plan_is_that_of_its_audiences_and_says_who_won() -> None:
    engine = shop()
    define(engine, a={"priority": 2, "segment": "spent <= 20"},
           b={"priority": 1, "segment": "spent <= 50"}, c={})  # fmt: skip
    plan = engine.plan_campaigns(["a", "b", "c"])
    assert plan.ledger.column_names == [
        "campaign",
        "step",
        "entered",
        "dropped",
        "remaining",
        "reasons",
    ]
    rows = plan.ledger.to_pylist()
    assert [row["campaign"] for row in rows] == [n for n in plan.order for _ in STEPS]
    said = {row["campaign"]: row["reasons"] for row in rows if row["step"] == "arbitration"}
    assert said == {"a": "no cap was used up before it", "b": "caps used up by a: 2",
                    "c": "caps used up by a: 2, b: 3"}  # fmt: skip
    told = plan.explain(3)
    assert told.targeted == ("b",)
    assert "`3` is dropped at arbitration (caps used up by b)" in str(told)
    assert (plan.as_of, plan.data_version) == (AS_OF, engine.data_version)


def test_a_plan_of_one_is_its_audience() -> None:
    engine = shop(60)
    define(engine, a={"limit": 20, "order_by": "spent % 7", "holdout": 0.3, "channel": "sms"})
    plan, alone = engine.plan_campaigns(["a"]), engine.audience("a")
    assert plan.audiences["a"].ids() == alone.ids()
    columns = ["step", "entered", "dropped", "remaining"]
    assert plan.audiences["a"].ledger.select(columns) == alone.ledger.select(columns)


def test_a_plan_is_frozen_also_when_a_buyer_is_deleted_before_anybody_looks() -> None:
    engine = shop(caps=[{"limit": 2, "days": 7}])
    define(engine, a={"variants": {"x": 0.5, "y": 0.5}, "holdout": 0.3}, b={})
    same = engine.plan_campaigns(["a", "b"]).audiences["a"]
    before = (same.ids(), same.table(), same.held_out(), same.arms)
    plan = engine.plan_campaigns(["a", "b"])
    engine.delete_customer(before[0][0].as_py())
    engine.append("customers", pa.table({"customer_id": [99], "spent": [1]}))
    later = plan.audiences["a"]
    assert (later.ids(), later.table(), later.held_out(), later.arms) == before
    assert later.count() == len(before[0])
    assert len(engine.plan_campaigns(["a"]).audiences["a"].ids()) >= len(before[0]) - 1


@pytest.mark.parametrize(
    ("names", "by", "kind", "said"),
    [
        ([], "priority", se.DefinitionError, "name one at least"),
        (["a"], "size", se.DefinitionError, "`by` is one of priority, value, not `size`"),
        ("ab", "priority", se.DefinitionError, "a list of campaigns"),
        (["a", "a", "b", "b"], "value", se.DefinitionError, "(?s)`a` is named twice.*`b` is named"),
        (["a", "spring", "sprnig"], "priority", se.UnknownNameError, "(?s)`spring`.*`sprnig`"),
    ],
)
def test_a_plan_that_cannot_be_says_everything_that_is_wrong(
    names: Any, by: str, kind: type[Exception], said: str
) -> None:
    engine = shop()
    define(engine, a={}, b={})
    with pytest.raises(kind, match=said):
        engine.plan_campaigns(names, by)


def test_an_unknown_buyer_is_unknown_to_a_plan() -> None:
    engine = shop()
    define(engine, a={})
    with pytest.raises(se.UnknownCustomer):
        engine.plan_campaigns(["a"]).explain(999)
