"""An excerpt is some buyers alone: their rows, side by side, with whom and what they belong to."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

import segengine as se
from segengine.schema.kinds import Kind
from segengine.schema.tables import ColumnSpec
from segengine.tables.excerpt import Excerpt
from segengine.tables.lazy import Lazy

AS_OF = datetime(2024, 5, 20, 12, tzinfo=UTC)


@pytest.fixture
def engine() -> se.Engine:
    """Buyers 1 to 3 in rows 1 to 3; their orders lie mixed, and of each a line or two."""
    found = se.Engine(as_of=AS_OF)
    ids = {"customer_id": [1, 2, 3, 2, 1], "time": [AS_OF] * 5, "order_id": [10, 20, 30, 21, 11]}
    found.load("orders", pa.table(ids | {"amount": [1.0, 2.0, 3.0, 2.1, 1.1]}))
    lines = {"customer_id": [2, 1, 2, 3, 2], "time": [AS_OF] * 5, "order_id": [21, 10, 20, 30, 21]}
    found.load("order_lines", pa.table(lines | {"line_id": [1, 1, 1, 1, 2]}))
    return found


def excerpt_of(engine: se.Engine, *buyers: int) -> Excerpt:
    return Excerpt(engine._tables, np.array(buyers, np.int64))


def test_the_events_of_its_buyers_stand_side_by_side_in_the_order_of_arrival(
    engine: se.Engine,
) -> None:
    excerpt = excerpt_of(engine, 1, 2)
    begins, events = excerpt.history("orders")
    orders = excerpt.tables.events["orders"]
    assert begins.tolist() == [0, 2, 4]
    assert orders.columns["order_id"].values[events].tolist() == [10, 11, 20, 21]
    assert orders.extra("owner").tolist() == [0, 0, 1, 1]
    assert orders.extra("previous").tolist() == [-1, 0, -1, 2]
    assert excerpt.tables.customers.heads("orders").tolist() == [1, 3]
    assert excerpt.rows_of("orders", events).tolist() == [0, 4, 1, 3]
    assert excerpt.tables.customers.columns["customer_id"].values.tolist() == [1, 2]


def test_lines_know_their_orders_and_orders_their_lines(engine: se.Engine) -> None:
    tables = excerpt_of(engine, 1, 2).tables
    orders, lines = tables.events["orders"], tables.events["order_lines"]
    of = orders.columns["order_id"].values[lines.extra("order_row")]
    assert of.tolist() == [10, 21, 20, 21]
    assert orders.extra("last_line").tolist() == [0, -1, 2, 3]
    assert lines.extra("previous_in_order").tolist() == [-1, -1, -1, 1]


def test_of_buyers_without_events_and_of_nobody_there_is_nothing(engine: se.Engine) -> None:
    engine.append("customers", pa.table({"customer_id": [9]}))
    for excerpt in (excerpt_of(engine, 4), excerpt_of(engine)):
        begins, events = excerpt.history("orders")
        assert begins.tolist() == [0] * (1 + len(excerpt.buyers))
        assert events.tolist() == []
        assert excerpt.tables.events["order_lines"].extra("order_row").tolist() == []


def test_what_is_written_to_it_is_read_there_and_nowhere_else(engine: se.Engine) -> None:
    column = excerpt_of(engine, 2).tables.events["orders"].columns["amount"]
    never = engine._tables.events["orders"].add_column(ColumnSpec("never", Kind.BIGINT))
    unwritten = excerpt_of(engine, 2).tables.events["orders"].columns["never"]
    kept = engine._tables.events["orders"].columns["amount"].values[:5].tolist()
    # Before it is read for the first time, and after.
    column.write(np.array([0]), np.array([70_000]))
    assert column.values.tolist() == [70_000, 21_000]
    column.write(slice(1, 2), np.array([80_000]))
    assert column.to_arrow(slice(0, 2), 4).to_pylist() == [7, 8]
    assert column.standing()[0].tolist() == [70_000, 80_000]
    assert not unwritten.is_allocated
    assert unwritten.values.tolist() == [never.missing] * 2
    assert not never.is_allocated
    assert engine._tables.events["orders"].columns["amount"].values[:5].tolist() == kept


def test_what_is_lazy_is_made_once_when_it_is_asked_for() -> None:
    made: list[str] = []
    lazy = Lazy(("a", "b"), lambda name: made.append(name) or name.upper())  # type: ignore[func-returns-value]
    assert ("a" in lazy, "c" in lazy, len(lazy), made) == (True, False, 2, [])
    assert (lazy["a"], lazy.get("a"), lazy.get("c"), made) == ("A", "A", None, ["a"])
    with pytest.raises(KeyError):
        lazy["c"]
    lazy["c"] = "given"
    assert dict(lazy) == {"a": "A", "b": "B", "c": "given"}
