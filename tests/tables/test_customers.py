"""Buyers in the order first seen: rows, growth, and ids of either kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.samples import customers, engine, orders


@settings(max_examples=10)
@given(
    st.lists(
        st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(0, 9), max_size=30), max_size=4
    )
)
def test_buyers_stand_in_the_order_first_seen(batches: list[list[int]]) -> None:
    found = engine()
    for batch in batches:
        if batch:
            found.append("orders", orders(*batch))
    seen = list(dict.fromkeys(one for batch in batches for one in batch))
    ids = found.segment("true").ids()
    assert ids.to_pylist() == seen
    assert found.table("customers", ["customer_id"])["customer_id"].to_pylist() == seen
    assert found.segment("order_count >= 1").count() == len(seen)


@pytest.mark.parametrize("make", [int, str])
def test_growth_keeps_every_value_trait_and_code(make: Any) -> None:
    found = engine()
    expected = {}
    for step in range(12):
        size = 3**step % 1000 + 1
        ids = [make(10_000 * step + i) for i in range(size)]
        found.append(
            "customers",
            customers(
                *ids, city=[f"c{i % 7}" for i in range(size)], score=[float(i) for i in range(size)]
            )
            if step == 0
            else customers(*ids, city=[f"c{i % 7}" for i in range(size)]),
        )
        found.append("orders", orders(*ids, amount=[float(i) for i in range(size)]))
        expected |= {one: (f"c{i % 7}", i) for i, one in enumerate(ids)}
        # Scans make codes early, and they have to follow.
        assert found.segment("amount_total >= 3 AND city = 'c3'").count() == sum(
            amount >= 3 and city == "c3" for city, amount in expected.values()
        )
    rows = found.table("customers", ["customer_id", "city", "amount_total"]).to_pylist()
    assert {r["customer_id"]: (r["city"], r["amount_total"]) for r in rows} == expected


def test_an_id_is_found_by_its_own_type_alone() -> None:
    numbers, texts = engine(), engine()
    numbers.load("customers", customers(1))
    texts.load("customers", customers("1"))
    assert numbers.segment("true").contains(1)
    assert numbers.segment("true").contains(np.int64(1))
    for found, others in ((numbers, ("1", True, 1.0, None, 2**63)), (texts, (1, "2", None))):
        assert not any(found.segment("true").contains(other) for other in others)
    assert texts.segment("true").ids().type == pa.large_string()
    assert numbers.segment("true").ids().type == pa.int64()
