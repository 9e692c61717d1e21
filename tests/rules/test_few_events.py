"""What one buyer's events are tested by follows the columns and the texts of their table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

import segengine as se

AS_OF = datetime(2024, 3, 11, 12, tzinfo=UTC)
RULES = (
    "count(behaviors) FILTER (WHERE kind = 'cart' AND in_last_days(time, 3)) = {}",
    "count(behaviors) FILTER (WHERE kind <> 'view') = {}",
    "count(behaviors) FILTER (WHERE brand IS NULL) = {}",
    "count(behaviors) FILTER (WHERE product_id IN (3, 7)) = {}",
    "count(behaviors) FILTER (WHERE time > now() - INTERVAL 25 HOUR) = {}",
    "count(behaviors) FILTER (WHERE product.price > 5 AND kind = 'view') = {}",
)


def behaviors(rows: list[tuple[int, float, str, int]]) -> pa.Table:
    customers, ages, kinds, products = (list(column) for column in zip(*rows, strict=True))
    times = pa.array([AS_OF - timedelta(days=age) for age in ages], pa.timestamp("us", "UTC"))
    return pa.table({"customer_id": customers, "time": times, "kind": kinds,
                     "product_id": products})  # fmt: skip


def store() -> se.Engine:
    engine = se.Engine("UTC", AS_OF)
    engine.load("products", pa.table({"product_id": [3, 5, 7], "price": [1.0, 6.0, 9.0]}))
    engine.load("behaviors", behaviors([
        (1, 0.5, "view", 3), (1, 1.0, "cart", 5), (1, 5.0, "cart", 7), (2, 2.0, "view", 7),
        (2, -1.0, "cart", 7),
    ]))  # fmt: skip
    return engine


def check(engine: se.Engine, expected: list[list[int]]) -> None:
    """Each rule counts so many events of buyers 1 and 2: asked of one, of all, and by a match."""
    for number, (rule, counts) in enumerate(zip(RULES, expected, strict=True)):
        for customer_id, count in zip((1, 2), counts, strict=True):
            for asked in {count, count + 1, 0}:
                segment = engine.segment(rule.format(asked))
                assert segment.contains(customer_id) == (asked == count)
                assert (customer_id in segment.ids().to_pylist()) == (asked == count)
                engine.define_segment(f"{number} {asked}", rule.format(asked))
    for place, customer_id in enumerate((1, 2)):
        wanted = {f"{n} {counts[place]}" for n, counts in enumerate(expected)}
        assert set(engine.match(customer_id)) == wanted


def test_a_buyer_alone_counts_as_all_buyers_do() -> None:
    check(store(), [[1, 0], [2, 0], [3, 1], [2, 1], [2, 0], [0, 1]])


def test_events_ahead_come_into_sight_and_dates_leave_it() -> None:
    engine = store()
    engine.advance(AS_OF + timedelta(days=1))
    check(engine, [[1, 1], [2, 1], [3, 2], [2, 2], [0, 1], [0, 1]])


@pytest.mark.parametrize("many", [1, 600])
def test_new_texts_and_moved_columns_are_tested_anew(many: int) -> None:
    engine = store()
    check(engine, [[1, 0], [2, 0], [3, 1], [2, 1], [2, 0], [0, 1]])
    engine.append("behaviors", behaviors([(1, 9.0, f"other {n}", 5) for n in range(many)]))
    check(engine, [[1, 0], [2 + many, 0], [3 + many, 1], [2, 1], [2, 0], [0, 1]])


def test_a_column_that_is_written_for_the_first_time_is_read_then() -> None:
    engine = store()
    check(engine, [[1, 0], [2, 0], [3, 1], [2, 1], [2, 0], [0, 1]])
    branded = behaviors([(2, 3.0, "view", 5)]).append_column("brand", pa.array(["Wukong"]))
    engine.append("behaviors", branded)
    check(engine, [[1, 0], [2, 0], [3, 1], [2, 1], [2, 0], [0, 2]])
