"""Rules over every kind of leaf: does a rule mean what DuckDB says, for all buyers and for each?

Together the tests marked `prove` put 10,000 rules to stores with both types of ids: of no buyer,
of one, about the edges of a 64-bit word and of a block of 16,384, with nulls in every column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import segengine as se
from tests.acceptance.leaf_stores import (
    differences,
    empty,
    install,
    load,
    loaded,
    standing,
    with_definitions,
)
from tests.reference import duckdb_oracle
from tests.reference.leaf_cases import LeafCase, leaf_case
from tests.reference.random_events import EVENTS
from tests.reference.rules import Node, rule_text

SIZES = (0, 1, 63, 64, 65, 300)
BLOCK = (16_383, 16_384, 16_385)


@pytest.mark.parametrize("seed", range(6))
def test_the_engine_holds_the_tables_that_duckdb_is_asked_about(seed: int) -> None:
    case = leaf_case(seed, SIZES[seed])
    engine = loaded(case.shop, case.world)
    for name, expected in case.shop.standing.items():
        names = [n for n in expected.column_names if "." not in n and n != "arrival"]
        rows: list[dict[str, Any]] = expected.select(names).to_pylist()
        found = engine.table(name, names).to_pylist()
        if name == "customers":
            assert {row["customer_id"]: row for row in found} == {
                row["customer_id"]: row for row in rows
            }
        else:
            assert found == [row for row in rows if row["time"] <= case.world.as_of], name


@pytest.mark.parametrize("seed", range(12))
def test_no_rule_over_any_leaf_differs_from_duckdb(seed: int) -> None:
    assert list(differences(leaf_case(seed, SIZES[seed % len(SIZES)]), 20)) == []


@pytest.mark.parametrize("rows", BLOCK)
def test_no_rule_over_any_leaf_differs_at_the_edges_of_a_block(rows: int) -> None:
    assert list(differences(leaf_case(rows, rows), 5)) == []


@pytest.mark.parametrize("seed", [300, 312])
def test_rules_follow_events_that_come_moments_that_pass_and_buyers_who_go(seed: int) -> None:
    case = leaf_case(seed, 65)
    rules = list(case.rules(10))
    for step in steps(case):
        assert list(differences_now(case, step, rules)) == []


def test_orders_that_change_after_a_rule_was_asked_are_seen_as_they_stand() -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    engine = se.Engine(as_of=now)

    def rows(customer_id: int, **columns: object) -> pa.Table:
        given = {"customer_id": customer_id, "order_id": customer_id, "time": now, **columns}
        return pa.table({name: [value] for name, value in given.items()})

    bought = engine.segment("count(purchases) FILTER (WHERE amount > 0) >= 1")
    large = engine.segment("count(orders) FILTER (WHERE amount >= 15) >= 1")
    for customer_id in (1, 2):
        engine.append("orders", rows(customer_id, amount=5.0))
    engine.append("order_lines", rows(3, amount=10.0))
    assert bought.ids().to_pylist() == [1, 2, 3]
    assert large.ids().to_pylist() == []
    engine.append("orders", rows(2, closed_at=now))
    engine.append("order_lines", rows(3, amount=10.0))
    assert bought.ids().to_pylist() == [1, 3]
    assert large.ids().to_pylist() == [3]


def steps(case: LeafCase) -> Iterator[se.Engine]:
    """One engine, time and again, after each thing that may happen to what it holds."""
    engine, given, rng = empty(case.world), case.shop.given, case.maker.rng
    for name, table in given.items():
        half = table.num_rows // 2 if name in EVENTS else table.num_rows
        load(engine, name, table.slice(0, half))
    yield with_definitions(engine, case)
    for name in EVENTS:
        rest = given[name].slice(given[name].num_rows // 2)
        is_past = pc.less_equal(rest["time"], pa.scalar(case.world.as_of))
        engine.append(name, rest.filter(is_past).slice(0, 9))
        yield engine
        load(engine, name, rest.filter(is_past).slice(9))
    yield engine
    if given["products"].num_rows:
        other = leaf_case(case.seed + 1, 1).shop.given["products"]
        ids = given["products"]["product_id"].combine_chunks()
        load(engine, "products", other.set_column(0, "product_id", ids[: other.num_rows]))
        yield engine
    for moment in (timedelta(hours=3), -timedelta(days=40), timedelta(days=33)):
        engine.advance(case.world.as_of + moment)
        yield engine
    for one in rng.sample(given["customers"]["customer_id"].to_pylist(), 5):
        engine.delete_customer(one)
    yield engine
    load(engine, "customers", given["customers"].slice(0, 20))
    yield engine


def differences_now(case: LeafCase, engine: se.Engine, rules: list[Node]) -> Iterator[str]:
    """Where the engine differs from what DuckDB says about the engine's own tables."""
    install(engine, case.world.affinities)
    world = replace(case.world, as_of=engine.as_of)
    connection = duckdb_oracle.open_tables(standing(engine, case.shop), world)
    for rule in rules:
        segment = engine.segment(rule_text(rule))
        ours, theirs = set(segment.ids().to_pylist()), duckdb_oracle.ids_in(connection, rule, world)
        if ours != theirs:
            one = min(ours ^ theirs, key=str)
            yield f"{one!r} {one in ours}: {world.timezone} {world.as_of} {rule_text(rule)}"
        for one in list(ours)[:2]:
            if not (segment.contains(one) and segment.explain(one).holds):
                yield f"{one!r} is in ids alone: {rule_text(rule)}"


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(310, 326))
def test_rules_follow_whatever_happens_at_length(seed: int) -> None:
    case = leaf_case(seed, 65)
    rules = list(case.rules(25))
    for step in steps(case):
        assert list(differences_now(case, step, rules)) == []


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(3000, 3006))
def test_no_rule_differs_where_a_buyer_has_thousands_of_events(seed: int) -> None:
    assert list(differences(leaf_case(seed, 5, most_events=9000), 40)) == []


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 1097))
def test_ten_thousand_rules_over_all_leaves_do_not_differ_from_duckdb(seed: int) -> None:
    assert list(differences(leaf_case(seed, SIZES[seed % len(SIZES)]), 100)) == []


@pytest.mark.prove
@pytest.mark.parametrize("rows", BLOCK)
def test_the_last_three_hundred_of_them_do_not_differ_at_the_edges_of_a_block(rows: int) -> None:
    assert list(differences(leaf_case(7 * rows, rows), 100)) == []
