"""A curve says of every threshold what the rule with that threshold would count."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from tests.reference.rules import rule_text
from tests.rules.agreement import case
from tests.rules.stores import AS_OF, little_store

OPS = ("<", "<=", ">", ">=")
SHAPES = (
    "{leaf}",
    "NOT {leaf}",
    "{leaf} AND ({other})",
    "({other}) OR {leaf}",
    "NOT ({leaf} OR ({other}))",
    "({more}) AND NOT (({other}) AND NOT {leaf})",
    "({more}) OR (({other}) AND {leaf})",
    "segment('inner') AND {leaf}",
)


def written(value: Any) -> str:
    """A threshold as the language writes it."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC).isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return f"{value!r}e0" if isinstance(value, float) and "e" not in repr(value) else repr(value)


def wrong_points(
    engine: se.Engine, shape: str, trait: str, op: str, now: str, rng: Random, **parts: str
) -> list[str]:
    """The points of a curve whose count is not that of the rule with their threshold."""
    rule = shape.format(leaf=f"{trait} {op} {now}", **parts)
    curve = engine.segment(rule).curve(trait)
    assert curve.schema.names == ["threshold", "count"]
    rows = curve.to_pylist()
    thresholds = [row["threshold"] for row in rows]
    assert thresholds == sorted(set(thresholds))
    assert len(rows) <= 1_000
    few = rng.sample(rows, min(len(rows), 12)) + rows[:1] + rows[-1:]
    wrong = []
    for row in few:
        asked = shape.format(leaf=f"{trait} {op} {written(row['threshold'])}", **parts)
        count = engine.segment(asked).count()
        if count != row["count"]:
            wrong.append(f"{asked}: {count}, and the curve of {rule} says {row['count']}")
    return wrong


@pytest.mark.parametrize("seed", range(300, 306))
def test_every_point_is_what_the_rule_with_that_threshold_counts(seed: int) -> None:
    found = case(seed, 130)
    rng = found.rng
    now = {
        "c_int": "3", "c_small": "2", "c_double": "0.5e0", "c_money": "1.25",
        "c_date": "DATE '2024-02-29'", "c_time": "now()",
    }  # fmt: skip
    wrong: list[str] = []
    for shape in SHAPES:
        trait = rng.choice(list(now))
        without = (text for rule in found.rules(99) if trait not in (text := rule_text(rule))
                   and "vip" not in text)  # fmt: skip
        other, more, inner = (next(without) for _ in range(3))
        found.engine.define_segment("inner", inner)
        op = rng.choice(OPS)
        wrong += wrong_points(
            found.engine, shape, trait, op, now[trait], rng, other=other, more=more
        )
    assert wrong == []


def wide_store() -> se.Engine:
    """3,000 buyers with more values than scan codes, some missing; then changed and deleted."""
    rng = Random(5)
    start = datetime(2023, 1, 1, tzinfo=UTC)

    def some(make: Any) -> list[Any]:
        return [None if rng.random() < 0.1 else make() for _ in range(3_000)]

    columns = {
        "customer_id": pa.array(range(3_000)),
        "narrow": pa.array(some(lambda: rng.randrange(600)), pa.int64()),
        "wide": pa.array(some(lambda: int(rng.expovariate(0.0001))), pa.int64()),
        "share": pa.array(some(rng.random), pa.float64()),
        "paid": pa.array(some(lambda: Decimal(rng.randrange(10**7)) / 100),
                         pa.decimal128(18, 2)),
        "born": pa.array(some(lambda: date(1950, 1, 1) + timedelta(rng.randrange(20_000))),
                         pa.date32()),
        "seen": pa.array(some(lambda: start + timedelta(minutes=rng.randrange(500_000))),
                         pa.timestamp("us", "UTC")),
        "flag": pa.array(some(lambda: rng.random() < 0.5), pa.bool_()),
    }  # fmt: skip
    engine = se.Engine(as_of=AS_OF)
    added = {name: name for name in columns if name != "customer_id"}
    engine.load("customers", pa.table(columns), columns=added)
    engine.define_trait("doubled", "wide * 2")
    engine.prepare()
    engine.append("customers", pa.table({"customer_id": [7, 8, 9], "wide": [10**9, -5, None]}))
    for who in range(100, 160):
        engine.delete_customer(who)
    return engine


@pytest.fixture(scope="module")
def wide() -> se.Engine:
    return wide_store()


@pytest.mark.parametrize(
    ("trait", "now"),
    [
        ("narrow", "300"), ("wide", "5000"), ("share", "0.25e0"), ("paid", "777.77"),
        ("born", "DATE '1980-01-01'"), ("seen", "TIMESTAMP '2023-06-01'"), ("doubled", "999"),
        ("recency_days", "30"), ("customer_id", "44"),
    ],
)  # fmt: skip
def test_wide_traits_have_exact_points_too(wide: se.Engine, trait: str, now: str) -> None:
    rng = Random(9)
    for op in OPS:
        shape = rng.choice(SHAPES[:-1])
        wrong = wrong_points(
            wide, shape, trait, op, now, rng, other="flag", more="bucket('x') < 0.6"
        )
        assert wrong == []


def test_whole_numbers_are_all_there_where_they_are_few(wide: se.Engine) -> None:
    curve = wide.segment("flag AND narrow <= 17").curve("narrow")
    known = wide.segment("flag AND narrow IS NOT NULL").table(["narrow"])["narrow"].to_pylist()
    assert curve["threshold"].to_pylist() == list(range(min(known), max(known) + 1))
    assert curve["count"].to_pylist()[-1] == len(known)


def test_the_rules_own_threshold_is_among_the_points(wide: se.Engine) -> None:
    for rule, own in (("wide < 12345", 12345), ("wide > -999999", -999999), ("narrow < 5", 5)):
        segment = wide.segment(rule)
        rows = {r["threshold"]: r["count"] for r in segment.curve(rule.split()[0]).to_pylist()}
        assert rows[own] == segment.count()


def test_thresholds_are_of_the_traits_kind() -> None:
    store = little_store()
    kinds = {
        "visits > 3": pa.int64(), "rate > 0.5": pa.float64(), "birthday > DATE '2000-01-01'":
        pa.date32(), "joined_at < now()": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    for rule, kind in kinds.items():
        assert store.segment(rule).curve(rule.split()[0]).schema.field("threshold").type == kind
    paid = store.segment("spent < 19.99999").curve("spent")
    assert paid.to_pylist() == [
        {"threshold": Decimal("-5.25"), "count": 0},
        {"threshold": Decimal(0), "count": 1},
        {"threshold": Decimal("19.9"), "count": 2},
    ]


def test_a_missing_trait_counts_where_the_rule_holds_without_it() -> None:
    store = little_store()
    curve = store.segment("visits >= 0 OR city IS NULL").curve("visits")
    assert dict(zip(*curve.to_pydict().values(), strict=True)) == {
        visits: 1 + sum(v >= visits for v in (10, 0, -3)) for visits in range(-3, 11)
    }
    both = store.segment("NOT visits >= 0").curve("visits").to_pylist()
    assert both[-1] == {"threshold": 10, "count": 2}


def test_the_constant_may_stand_on_the_left_and_be_computed() -> None:
    store = little_store()
    right = store.segment("visits > store.magic_number").curve("visits")
    assert store.segment("store.magic_number < visits").curve("visits") == right
    assert store.segment("visits > 2 * 3").curve("VISITS") == right


def test_leaf_chooses_among_several_thresholds_as_written() -> None:
    store = little_store()
    store.define_segment("some", "visits > 0 AND is_gold")
    segment = store.segment("visits <= 5 OR segment('some')")
    assert segment.curve("visits", leaf=0) == segment.curve("visits")
    opened = "visits <= 5 OR (visits > {} AND is_gold)"
    for row in segment.curve("visits", leaf=1).to_pylist():
        assert store.segment(opened.format(row["threshold"])).count() == row["count"]
    with pytest.raises(se.DefinitionError, match="has 2 thresholds of `visits`, counted from 0"):
        segment.curve("visits", leaf=2)


def test_nobody_to_decide_leaves_the_rules_own_threshold() -> None:
    store = little_store()
    curve = store.segment("visits > 3 AND FALSE").curve("visits")
    assert curve.to_pylist() == [{"threshold": 3, "count": 0}]
    assert se.Engine().segment("order_count > 3").curve("order_count").to_pylist() == [
        {"threshold": 3, "count": 0}
    ]


@pytest.mark.parametrize(
    ("rule", "trait", "said"),
    [
        ("visits BETWEEN 1 AND 3", "visits",
         ("`visits BETWEEN 1 AND 3` has no threshold to move: a curve moves the threshold of one "
         "comparison with a value, by <, <=, > or >=; write `visits >= 1 AND visits <= 3`")),
        ("visits = 3 AND rate > 1", "visits", "`visits = 3` has no threshold to move"),
        ("visits > rate", "visits", "`visits > rate` has no threshold to move"),
        ("abs(visits) > 3", "visits", r"`abs\(visits\) > 3` has no threshold to move"),
        ("rate > 1", "visits", "the rule does not ask for `visits`: a curve moves"),
        ("city > 'a'", "city", "a curve is of a number, a date or a time, and `city` is text"),
        ("visits > 1", "visist", "unknown trait `visist`; did you mean `visits`"),
    ],
)  # fmt: skip
def test_what_has_no_curve_says_why(rule: str, trait: str, said: str) -> None:
    with pytest.raises(se.SegengineError, match=said):
        little_store().segment(rule).curve(trait)
