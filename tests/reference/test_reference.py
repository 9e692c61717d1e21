"""The twin, DuckDB and the published vectors agree with one another, and with known answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import bucketing, duckdb_oracle, traits, twin
from .local_time import start_of_date
from .random_customers import COLUMNS, buyers_of, random_customers
from .random_rules import Options, random_rule, random_world, rules
from .rules import (
    Arithmetic,
    Between,
    Call,
    Column,
    Compare,
    Constant,
    In,
    Like,
    Node,
    Not,
    Now,
    Shift,
    Today,
    Type,
    Value,
    World,
    rule_text,
)

VECTORS = Path(__file__).parents[3] / "shared/suites/growthbook/bucketing_vectors.json"
needs_vectors = pytest.mark.skipif(
    not VECTORS.exists(), reason=f"no {VECTORS}: ../shared is absent"
)
NEW_YORK = World(datetime(2024, 3, 11, 12, tzinfo=UTC), "America/New_York")


def disagreements(seeds: range, *, extremes: bool) -> Iterator[str]:
    """The rules to which twin and DuckDB give different sets, ten rules to a table."""
    for seed in seeds[::10]:
        rng = Random(seed)
        bare = random_world(rng)
        customers = random_customers(
            rng,
            60,
            timezone=bare.timezone,
            as_of=bare.as_of,
            text_ids=rng.random() < 0.2,
            extremes=extremes,
        )
        buyers = buyers_of(customers)
        vip = random_rule(rng, COLUMNS, buyers, bare, Options(depth=2))
        world = World(bare.as_of, bare.timezone, {"vip": vip})
        connection = duckdb_oracle.open_customers(customers)
        for _ in range(10):
            options = Options(
                depth=rng.choice((1, 2, 3, 5)),
                avoid_overflow=not extremes,
                segments=("vip",),
                null_literals=extremes,
            )
            rule = random_rule(rng, COLUMNS, buyers, world, options)
            ours = twin.true_ids(rule, buyers, world)
            theirs = duckdb_oracle.true_ids(
                connection, rule, world.timezone, world.as_of, world.segments
            )
            if ours != theirs:
                yield f"seed {seed}, {world.timezone}, {world.as_of}: {rule_text(rule)}"


def test_twin_and_duckdb_give_the_same_buyers() -> None:
    assert list(disagreements(range(240), extremes=False)) == []


def test_twin_and_duckdb_agree_beyond_every_range() -> None:
    assert list(disagreements(range(60), extremes=True)) == []


@pytest.mark.prove
@pytest.mark.parametrize("extremes", [False, True])
def test_twin_and_duckdb_give_the_same_buyers_at_length(extremes: bool) -> None:
    assert list(disagreements(range(1_000_000, 1_003_000), extremes=extremes)) == []


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_twin_and_duckdb_agree_on_what_hypothesis_draws(data: st.DataObject) -> None:
    customers = random_customers(Random(7), 40, timezone=NEW_YORK.timezone, as_of=NEW_YORK.as_of)
    buyers = buyers_of(customers)
    rule = data.draw(rules(COLUMNS, buyers, NEW_YORK, Options(depth=3)))
    connection = duckdb_oracle.open_customers(customers)
    theirs = duckdb_oracle.true_ids(connection, rule, NEW_YORK.timezone, NEW_YORK.as_of)
    assert twin.true_ids(rule, buyers, NEW_YORK) == theirs, rule_text(rule)


def test_a_seed_gives_the_same_rule_and_the_same_table() -> None:
    def drawn() -> tuple[object, str]:
        rng = Random(3)
        customers = random_customers(rng, 30)
        return customers, rule_text(random_rule(rng, COLUMNS, buyers_of(customers), NEW_YORK))

    assert drawn() == drawn()


def test_rule_text_parses_in_duckdbs_dialect() -> None:
    buyers = buyers_of(random_customers(Random(1), 30))
    for seed in range(100):
        text = rule_text(random_rule(Random(seed), COLUMNS, buyers, NEW_YORK))
        assert sqlglot.parse_one(text, dialect="duckdb") is not None


def test_text_has_the_parentheses_that_precedence_needs() -> None:
    x, one = Column("x", Type.BIGINT), Constant(1, Type.BIGINT)
    nested = Arithmetic("-", x, Arithmetic("-", x, Arithmetic("*", Constant(-2, Type.BIGINT), one)))
    rule = Not(Between(nested, one, one, negated=True))
    assert rule_text(rule) == "NOT x - (x - -2 * 1) NOT BETWEEN 1 AND 1"


def integer(value: int | None) -> Constant:
    return Constant(value, Type.BIGINT)


def point(text: str) -> Constant:
    return Constant(Decimal(text), Type.DOUBLE)


def text(value: str) -> Constant:
    return Constant(value, Type.VARCHAR)


MONEY, NUMBER = Column("money", Type.MONEY), Column("number", Type.BIGINT)
TIME, DAY, TAGS = (
    Column("time", Type.TIMESTAMP),
    Column("day", Type.DATE),
    Column("tags", Type.TEXTS),
)
BUYER: dict[str, Value] = {
    "money": Decimal("0.1000"),
    "number": 2**63 - 1,
    "time": datetime(2024, 3, 10, 7, 30, tzinfo=UTC),
    "day": date(1992, 2, 29),
    "tags": ["a"],
}
KNOWN: list[tuple[Node, Value]] = [
    (Arithmetic("+", NUMBER, integer(1)), None),
    (Arithmetic("//", integer(-7), integer(2)), -3),
    (Arithmetic("%", integer(-7), integer(3)), -1),
    (Arithmetic("/", integer(7), integer(2)), 3.5),
    (Arithmetic("//", integer(7), integer(0)), None),
    (Arithmetic("/", point("7.0"), point("0.0")), None),
    (Arithmetic("*", Constant(1e308, Type.DOUBLE), integer(10)), None),
    (Compare("=", Arithmetic("+", MONEY, point("0.2")), point("0.3")), True),
    (Compare("=", Arithmetic("*", MONEY, integer(3)), point("0.3")), True),
    (Compare("=", Arithmetic("*", MONEY, point("3.0")), point("0.3")), False),
    (Compare("=", MONEY, point("0.10001")), False),
    (Compare("=", NUMBER, Constant(2.0**63, Type.DOUBLE)), True),  # both as DOUBLE
    (In(integer(2), (integer(1), integer(None))), None),
    (In(integer(1), (integer(1), integer(None)), negated=True), False),
    (Call("least", (integer(None), integer(2))), 2),
    (Call("upper", (text("ßﬁé"),)), "ẞﬁÉ"),
    (Call("lower", (text("İΑΣ"),)), "iασ"),
    (Like(text("a%b"), "a!%_", "!"), True),
    (Like(text("a\\b"), "a\\b"), True),
    (Like(text("É"), "é", folded=True), True),
    (Compare("<", text("\uffff"), text("😀")), True),
    (Call("list_has_all", (TAGS, Constant((), Type.TEXTS))), True),
    (Call("list_has_all", (Column("null", Type.TEXTS), Constant((), Type.TEXTS))), None),
    (Call("hour", (TIME,)), 3),
    (Compare("=", TIME, Constant(datetime(2024, 3, 10, 2, 30), Type.TIMESTAMP)), True),  # noqa: DTZ001
    (Compare("=", Shift(Now(), -1, "DAY"), Shift(Now(), -24, "HOUR")), True),
    (Compare("=", Shift(Now(), -2, "DAY"), Shift(Now(), -47, "HOUR")), True),
    (Compare("=", Shift(Constant(date(2024, 1, 31), Type.DATE), 1, "MONTH"), Today()), False),
    (Call("days_since", (TIME,)), 1),
    (Call("days_until_birthday", (DAY,)), 354),
    (Call("in_last_days", (TIME, integer(1))), False),
    (Call("in_last_days", (TIME, integer(2))), True),
]


@pytest.mark.parametrize(("node", "expected"), KNOWN, ids=[rule_text(node) for node, _ in KNOWN])
def test_known_answers_hold(node: Node, expected: Value) -> None:
    assert twin.evaluate(node, BUYER | {"null": None}, NEW_YORK) == expected


def test_a_leap_day_birthday_is_28_february_in_other_years() -> None:
    born = date(1992, 2, 29)
    assert twin.days_until_birthday(born, date(2023, 2, 28)) == 0
    assert twin.days_until_birthday(born, date(2023, 3, 1)) == 365
    assert twin.days_until_birthday(born, date(2024, 2, 28)) == 1


def test_a_date_starts_at_the_first_midnight_and_after_a_skipped_one() -> None:
    assert start_of_date(date(2024, 11, 3), "America/Havana").hour == 4
    assert start_of_date(date(2024, 3, 10), "America/Havana").hour == 5


# Bucketing


@needs_vectors
def test_bucketing_agrees_with_the_published_vectors() -> None:
    vectors = json.loads(VECTORS.read_text())
    for seed, value, version, expected in vectors["hash"]:
        assert bucketing.bucket(seed, value, version) == expected
    for name, (count, coverage, weights), expected in vectors["getBucketRange"]:
        ranges = bucketing.bucket_ranges(count, coverage, weights)
        flat = [edge for pair in expected for edge in pair]
        assert [edge for pair in ranges for edge in pair] == pytest.approx(flat, abs=1e-8), name
    for name, number, ranges, expected in vectors["chooseVariation"]:
        assert bucketing.choose_variation(number, ranges) == expected, name
    for name, user_id, namespace, expected in vectors["inNamespace"]:
        assert bucketing.in_namespace(user_id, tuple(namespace)) == expected, name
    for count, expected in vectors["getEqualWeights"]:
        assert bucketing.equal_weights(count) == pytest.approx(expected, abs=1e-8)


def test_every_step_drops_whom_it_should_and_the_ledger_sums() -> None:
    def message(customer_id: int, kind: str, hour: int) -> bucketing.Message:
        moment = datetime(2024, 3, 1, hour, tzinfo=UTC)
        return bucketing.Message(customer_id, "sms", kind, moment)

    buyers: list[dict[str, Value]] = [
        {"customer_id": i, "n": i % 50 or None, "sms_consent": i % 7 != 0, "has_sms": i % 11 != 0}
        for i in range(400)
    ]
    number = Column("n", Type.BIGINT)
    campaign = bucketing.Campaign(
        "spring",
        Compare("<", number, integer(45)),
        exclusions=(Compare("=", number, integer(1)),),
        channel="sms",
        variants={"a": 0.5, "b": 0.5},
        holdout=0.2,
        limit=100,
        order_by=number,
        descending=True,
    )
    store = bucketing.Store(
        suppressions=(Compare("=", number, integer(2)),),
        global_holdout=0.1,
        messages=(
            message(3, "failed", 9),
            message(4, "failed", 9),
            message(4, "delivered", 10),
        ),
    )
    answer = bucketing.audience(campaign, buyers, NEW_YORK, store)
    assert [row.step for row in answer.ledger] == list(bucketing.STEPS)
    entered = len(buyers)
    for row in answer.ledger:
        assert row.entered == entered
        assert row.entered - row.dropped == row.remaining
        entered = row.remaining
    assert entered == len(answer.targeted)
    assert len(answer.targeted) + len(answer.held_out) == 100
    wanted = {0: "rule", 50: "rule", 1: "exclusions", 7: "consent", 11: "consent", 3: "consent"}
    assert {i: answer.dropped_at[i] for i in wanted} == wanted
    assert answer.dropped_at[2] == "suppression"
    assert answer.dropped_at[4] == "limit"
    assert set(answer.variants.values()) == {"a", "b"}
    service = bucketing.Campaign("late", Compare("=", number, integer(2)), kind="service")
    assert 2 in bucketing.audience(service, buyers, NEW_YORK, store).targeted


# Traits

SHANGHAI = World(datetime(2024, 4, 1, 4, tzinfo=UTC), "Asia/Shanghai")


def days_ago(days: int) -> datetime:
    return SHANGHAI.as_of - timedelta(days=days)


def test_orders_follow_from_lines_until_their_row_arrives() -> None:
    lines = [
        {"customer_id": 1, "order_id": "a", "time": days_ago(9), "amount": 1.5, "quantity": 2},
        {"customer_id": 1, "order_id": "a", "time": days_ago(10), "amount": 2.25, "quantity": 1},
        {"customer_id": 1, "order_id": "b", "time": days_ago(5), "amount": 9, "quantity": 1},
        {"customer_id": 1, "order_id": "c", "time": days_ago(-1), "amount": 9, "quantity": 1},
    ]
    orders = [
        {"customer_id": 1, "order_id": "b", "time": days_ago(4), "amount": 8, "paid_at": None}
    ]
    events = traits.Events(orders=orders, order_lines=lines)
    found = traits.customer_traits(events, SHANGHAI)[1]
    assert found["first_order_at"] == days_ago(10)
    assert (found["order_count"], found["orders_placed_count"]) == (1, 2)
    assert (found["item_count"], found["amount_total"]) == (3, Decimal("3.75"))
    paid = [
        *orders,
        {"customer_id": 1, "order_id": "b", "time": days_ago(4), "paid_at": days_ago(4)},
    ]
    found = traits.customer_traits(traits.Events(orders=paid, order_lines=lines), SHANGHAI)[1]
    assert (found["order_count"], found["amount_total"]) == (2, Decimal("11.75"))
    assert found["item_count"] == 4


def order(customer_id: int, days: int, **columns: object) -> dict[str, object]:
    return {"customer_id": customer_id, "time": days_ago(days), "amount": Decimal(10), **columns}


def test_purchases_are_paid_open_and_not_fully_refunded() -> None:
    orders = [
        order(1, 50, promotion="x", refund_amount=Decimal(4)),
        order(1, 40, refund_amount=Decimal(10)),
        order(1, 30, refunded_at=days_ago(1)),
        order(1, 20, paid_at=days_ago(20), closed_at=days_ago(19)),
        order(1, 10, paid_at=days_ago(10), promotion="y"),
        order(1, 5, is_purchase=False),
    ]
    found = traits.customer_traits(traits.Events(orders), SHANGHAI, [{"customer_id": 2}])
    assert (found[1]["order_count"], found[1]["orders_placed_count"]) == (2, 6)
    assert found[1]["amount_total"] == 16
    assert found[1]["gross_amount_total"] == 20
    assert (found[1]["promotions_count"], found[1]["first_promotion"]) == (2, "x")
    assert (found[1]["average_gap_days"], found[1]["gap_ratio"]) == (40.0, 0.25)
    assert (found[1]["orders_30d"], found[1]["amount_90d"]) == (1, 16)
    assert found[2]["order_count"] == 0
    assert found[2]["amount_total"] == 0
    assert found[2]["last_order_at"] is None
    assert found[2]["rfm_cell"] is None


def test_ties_share_a_score_and_the_most_recent_fifth_scores_five() -> None:
    assert traits.cuts_of([1, 2, 3, 4, 5, 6], [Fraction(1, 5)]) == (Fraction(2),)
    orders = [order(i, i) for i in range(1, 7)]
    found = traits.customer_traits(traits.Events(orders), SHANGHAI)
    assert [found[i]["r_score"] for i in range(1, 7)] == [5, 5, 4, 3, 2, 1]
    assert {found[i]["f_score"] for i in range(1, 7)} == {1}
    assert found[1]["rfm_cell"] == "511"
    assert found[1]["rfm_group"] == "general_develop"


@pytest.mark.parametrize(
    ("days", "stage", "changed", "before"),
    [
        ([], "prospect", None, None),
        ([5], "new", 5, "prospect"),
        ([31], "active", 0, "new"),
        ([61], "sleeping", 0, "active"),
        ([181], "lapsed", 0, "sleeping"),
        ([260, 255, 250, 50], "active", 50, "lapsed"),
        ([40, 30, 20], "at_risk", 4, "active"),
        ([40, 30, 15], "active", 30, "new"),
    ],
)
def test_the_stage_changes_at_a_purchase_or_at_local_midnight(
    days: list[int], stage: str, changed: int | None, before: str | None
) -> None:
    events = traits.Events([order(1, ago) for ago in days])
    found = traits.customer_traits(events, SHANGHAI, [{"customer_id": 1}])[1]
    moment = None if changed is None else days_ago(changed)
    if moment is not None and moment not in {days_ago(ago) for ago in days}:
        moment = start_of_date(SHANGHAI.today - timedelta(days=changed or 0), SHANGHAI.timezone)
    assert found["lifecycle_stage"] == stage
    assert (found["stage_changed_at"], found["previous_stage"]) == (moment, before)


@pytest.mark.parametrize(
    ("kinds", "tags", "expected"),
    [
        (["cart"], ["never"], "never"),
        (["quote", "cart"], [], "quoted_no_reply"),
        (["quote", "reply"], [], None),
        (["quote", "reply", "favorite"], [], "interested"),
        (["view", "view", "view", "visit"], [], "hesitating"),
        (["view", "view", "visit"], [], "not_now"),
        (["view"], [], None),
    ],
)
def test_intent_is_the_first_that_holds(
    kinds: list[str], tags: list[str], expected: str | None
) -> None:
    behaviors = [
        {"customer_id": 1, "time": days_ago(9 - i), "kind": kind, "product_id": "p"}
        for i, kind in enumerate(kinds)
    ]
    given_rows = [{"customer_id": 1, "tags": tags}]
    found = traits.customer_traits(traits.Events(behaviors=behaviors), SHANGHAI, given_rows)
    assert found[1]["intent_stage"] == expected
