"""A segment is a live question: counts, ids, tables, and when they were true."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

import segengine as se
from tests.rules.stores import AS_OF, little_store


@pytest.fixture
def store() -> se.Engine:
    return little_store()


def test_ids_stand_in_the_order_first_seen(store: se.Engine) -> None:
    store.append("customers", pa.table({"customer_id": [-7, 99, 2]}))
    assert store.segment("TRUE").ids().to_pylist() == [1, 2, 3, 4, -7, 99]
    assert store.segment("TRUE").ids().type == pa.int64()


def test_ids_of_texts_are_texts() -> None:
    engine = se.Engine()
    engine.load("customers", pa.table({"customer_id": ["é", "a", ""]}))
    assert engine.segment("TRUE").ids().to_pylist() == ["é", "a", ""]
    assert engine.segment("customer_id > 'a'").ids().to_pylist() == ["é"]


def test_a_table_has_the_id_first_and_the_columns_asked_for(store: se.Engine) -> None:
    table = store.segment("visits >= 0").table(["city", "customer_id", "spent", "city"])
    assert table.column_names == ["customer_id", "city", "spent"]
    assert [row["city"] for row in table.to_pylist()] == ["Hangzhou", "Shanghai"]
    assert store.segment("visits > 99").table(["city"]).num_rows == 0


def test_an_answer_says_when_and_of_which_data_it_is_true(store: se.Engine) -> None:
    segment = store.segment("days_since(joined_at) <= 1")
    answer = segment.answer()
    assert (answer.count, answer.as_of, answer.data_version) == (1, AS_OF, store.data_version)
    store.advance(AS_OF + timedelta(days=2))
    later = segment.answer()
    assert (later.count, later.as_of) == (0, AS_OF + timedelta(days=2))
    assert later.data_version > answer.data_version
    store.advance(AS_OF)
    assert segment.count() == 1


def test_an_empty_store_has_nobody_in_any_segment() -> None:
    engine = se.Engine()
    for rule in ("TRUE", "customer_id IS NULL", "NOT order_count > 3", "len(tags) = 0"):
        segment = engine.segment(rule)
        assert (segment.count(), segment.ids().to_pylist()) == (0, [])
        assert not segment.contains(1)


def test_a_segment_shows_its_rule(store: se.Engine) -> None:
    assert repr(store.segment("visits  > 3")) == "<segment visits  > 3>"
    assert store.segment(se.col("visits") > 3).rule == "visits > 3"
