"""Leaves of the catalogue are kept as bitmaps: is an answer ever another one for it?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pyarrow as pa
import pytest

import segengine as se
from tests.acceptance.leaf_stores import install
from tests.acceptance.test_all_leaves_against_duckdb import steps
from tests.reference.leaf_cases import leaf_case
from tests.reference.rules import rule_text

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("seed", [401, 402, 403, 404])
def test_a_segment_and_its_text_have_the_same_buyers_whatever_happens(seed: int) -> None:
    case = leaf_case(seed, 65)
    rules = [rule_text(rule) for rule in case.rules(12)]
    for step, engine in enumerate(steps(case)):
        install(engine, case.world.affinities)
        for place, rule in enumerate(rules):
            name = f"kept_{place}"
            if name not in engine.segments.definitions:
                engine.define_segment(name, rule)
            kept = engine.segment(f"segment('{name}')").ids().to_pylist()
            assert kept == engine.segment(rule).ids().to_pylist(), (step, rule)
            # Asked again it comes from bitmaps alone.
            assert kept == engine.segment(f"segment('{name}')").ids().to_pylist(), (step, rule)


def shop(*, budget: int = 256) -> se.Engine:
    engine = se.Engine(as_of=NOW, config={"store": {"standing_memory_mb": budget}})
    rng = Random(1)
    ids = list(range(1, 201))
    engine.load("customers", pa.table({
        "customer_id": ids, "city": [rng.choice("abc") for _ in ids],
        "tags": [rng.sample(["x", "y", "z"], rng.randrange(3)) for _ in ids],
    }))  # fmt: skip
    return engine


def standing_bytes(engine: se.Engine) -> int:
    rows = engine.memory().to_pylist()
    return sum(row["total_bytes"] for row in rows if row["table"] == "(standing leaves)")


def test_leaves_of_segments_are_kept_and_shared_within_the_budget() -> None:
    engine = shop()
    engine.define_segment("in_a", "city = 'a'")
    assert standing_bytes(engine) == 0
    before = engine.segment("segment('in_a')").count()
    held = standing_bytes(engine)
    assert held > 0
    assert engine.segment("city = 'a' AND TRUE").count() == before
    engine.define_segment("in_a_too", "city = 'a' AND customer_id > 0")
    engine.segment("segment('in_a_too')").count()
    assert standing_bytes(engine) == 2 * held
    assert standing_bytes(shop(budget=0)) == 0


def test_nothing_is_kept_without_a_budget() -> None:
    engine = shop(budget=0)
    engine.define_segment("in_a", "city = 'a'")
    assert engine.segment("segment('in_a')").count() == engine.segment("city = 'a'").count()
    assert standing_bytes(engine) == 0


def test_a_condition_on_tags_is_kept_whoever_asks() -> None:
    engine = shop()
    engine.segment("list_contains(tags, 'x')").count()
    assert standing_bytes(engine) > 0


def test_a_kept_leaf_follows_new_buyers_and_new_values() -> None:
    engine = shop()
    engine.define_segment("in_a", "city = 'a'")
    before = set(engine.segment("segment('in_a')").ids().to_pylist())
    engine.append("customers", pa.table({"customer_id": [1, 500], "city": ["a", "a"]}))
    assert set(engine.segment("segment('in_a')").ids().to_pylist()) == before | {1, 500}
    engine.append("customers", pa.table({"customer_id": [500], "city": ["b"]}))
    assert 500 not in engine.segment("segment('in_a')").ids().to_pylist()
    engine.delete_customer(1)
    assert 1 not in engine.segment("segment('in_a')").ids().to_pylist()


def test_a_kept_leaf_follows_the_clock() -> None:
    engine = shop()
    engine.append("orders", pa.table({
        "customer_id": [7], "order_id": [1], "time": [NOW], "amount": [5.0]}))  # fmt: skip
    engine.define_segment("today", "count(orders) FILTER (WHERE in_last_days(time, 1)) >= 1")
    engine.define_segment("new", "count(orders) FILTER (WHERE time > now() - INTERVAL 1 HOUR) >= 1")
    assert engine.segment("segment('today')").ids().to_pylist() == [7]
    assert engine.segment("segment('new')").ids().to_pylist() == [7]
    engine.advance(NOW + timedelta(hours=2))
    assert engine.segment("segment('today')").ids().to_pylist() == [7]
    assert engine.segment("segment('new')").ids().to_pylist() == []
    engine.advance(NOW + timedelta(days=1))
    assert engine.segment("segment('today')").ids().to_pylist() == []
    engine.advance(NOW)
    assert engine.segment("segment('today')").ids().to_pylist() == [7]
