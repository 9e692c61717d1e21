"""The engine, DuckDB and the slow twin give every rule the same buyers."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from tests.reference import duckdb_oracle, twin
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.rules import rule_text
from tests.rules.agreement import SIZES, case, one_truth, with_duckdb, with_twin
from tests.rules.stores import ids, load


@pytest.mark.parametrize("seed", range(6))
def test_engine_and_duckdb_give_the_same_buyers(seed: int) -> None:
    assert list(with_duckdb(case(seed, SIZES[seed % len(SIZES)]), 18)) == []


def test_not_of_an_and_is_the_or_of_the_nots() -> None:
    found = case(5, 130)
    for one, other in pairwise(rule_text(rule) for rule in found.rules(20)):
        for join, dual in (("AND", "OR"), ("OR", "AND")):
            ours = ids(found.engine, f"NOT (({one}) {join} ({other}))")
            assert ours == ids(found.engine, f"NOT ({one}) {dual} NOT ({other})"), (one, other)
            true = ids(found.engine, f"({one}) {join} ({other})")
            both = ids(found.engine, one), ids(found.engine, other)
            assert true == (both[0] & both[1] if join == "AND" else both[0] | both[1])


@pytest.mark.parametrize("rows", [16_383, 16_384, 16_385])
def test_engine_and_duckdb_agree_at_the_edges_of_a_block(rows: int) -> None:
    assert list(with_duckdb(case(rows, rows), 10)) == []


@pytest.mark.parametrize("seed", range(100, 104))
def test_engine_and_twin_agree_beyond_every_range(seed: int) -> None:
    assert list(with_twin(case(seed, 80, extremes=True), 40)) == []


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_engine_and_duckdb_give_the_same_buyers_to_2000_rules(seed: int) -> None:
    assert list(with_duckdb(case(seed, SIZES[seed % len(SIZES)]), 20)) == []


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(2000, 2040))
def test_engine_and_twin_agree_beyond_every_range_at_length(seed: int) -> None:
    assert list(with_twin(case(seed, 120, extremes=True), 50)) == []


@pytest.mark.parametrize("seed", [200, 201])
def test_answers_follow_buyers_who_change_come_and_go(seed: int) -> None:
    """Scans have made their codes before; dictionaries grow; deleted buyers are gone."""
    found = case(seed, 130)
    world, rng = found.world, found.rng
    rules = list(found.rules(12))
    for rule in rules:
        ids(found.engine, rule_text(rule))
    standing = {b["customer_id"]: b for b in buyers_of(found.customers)}
    is_text = isinstance(next(iter(standing)), str)
    for step in range(3):
        some = random_customers(
            Random(1000 * seed + step), 60, timezone=world.timezone, as_of=world.as_of,
            text_ids=is_text,
        )  # fmt: skip
        load(found.engine, some)
        standing |= {b["customer_id"]: b for b in buyers_of(some)}
        gone = rng.sample(sorted(standing, key=str), 5)
        for who in gone:
            found.engine.delete_customer(who)
            del standing[who]
        for rule in rules:
            ours = ids(found.engine, rule_text(rule))
            assert ours == twin.true_ids(rule, standing.values(), world), rule_text(rule)
            assert not any(found.engine.segment(rule_text(rule)).contains(who) for who in gone)
        connection = duckdb_oracle.open_customers(found.engine.table("customers"))
        for rule in rules:
            theirs = duckdb_oracle.true_ids(
                connection, rule, world.timezone, world.as_of, world.segments
            )
            assert ids(found.engine, rule_text(rule)) == theirs, rule_text(rule)
    assert set(COLUMNS) <= set(found.engine.table("customers").column_names)


def test_computing_never_writes_into_a_trait() -> None:
    """Explaining and computing conditions over bare booleans leaves the table as it was."""
    found = case(7, 65)
    before = found.engine.table("customers")
    texts = [
        "segment('flag') AND c_int * 2 > c_double",
        "segment('flag') OR c_int * 2 > c_double",
        "coalesce(c_flag) AND c_flag2 OR c_int > c_int2",
        "CASE WHEN c_flag THEN c_flag2 ELSE c_flag END AND c_flag2",
        "nullif(c_flag, c_flag2) OR c_int > c_int2",
    ]
    found.engine.define_segment("flag", "c_flag")
    for text in texts:
        segment = found.engine.segment(text)
        segment.ids()
        for who in before["customer_id"].to_pylist():
            segment.explain(who)
            segment.contains(who)
    assert found.engine.table("customers").equals(before)


def test_one_truth_holds_where_a_segment_stands_in_a_segment() -> None:
    found = case(9, 30)
    found.engine.define_segment("outer", "segment('vip') OR NOT segment('vip')")
    for rule in found.rules(3):
        text = f"segment('outer') AND ({rule_text(rule)})"
        ours = ids(found.engine, text)
        assert ours == {i for i in found.customers["customer_id"].to_pylist()
                        if found.engine.segment(text).explain(i).holds}  # fmt: skip
        assert list(one_truth(found, rule, ids(found.engine, rule_text(rule)))) == []
