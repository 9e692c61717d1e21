"""Rules over every kind of leaf: does a rule mean what DuckDB says, for all buyers and for each?

Together the tests marked `prove` put 10,000 rules to stores with both types of ids: of no buyer,
of one, about the edges of a 64-bit word and of a block of 16,384, with nulls in every column.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.leaf_stores import differences, loaded
from tests.reference.leaf_cases import leaf_case

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
    assert list(differences(leaf_case(seed, SIZES[seed % len(SIZES)]), 25)) == []


@pytest.mark.parametrize("rows", BLOCK)
def test_no_rule_over_any_leaf_differs_at_the_edges_of_a_block(rows: int) -> None:
    assert list(differences(leaf_case(rows, rows), 6)) == []


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 1097))
def test_ten_thousand_rules_over_all_leaves_do_not_differ_from_duckdb(seed: int) -> None:
    assert list(differences(leaf_case(seed, SIZES[seed % len(SIZES)]), 100)) == []


@pytest.mark.prove
@pytest.mark.parametrize("rows", BLOCK)
def test_the_last_three_hundred_of_them_do_not_differ_at_the_edges_of_a_block(rows: int) -> None:
    assert list(differences(leaf_case(7 * rows, rows), 100)) == []
