"""Which counts of events the loop that matches makes itself, and which it leaves to Python."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import segengine as se
from segengine.rules import mark_loops as at
from segengine.rules.match import Bound

AS_OF = datetime(2024, 3, 11, 12, tzinfo=UTC)
BY_COLUMNS = (
    "count(behaviors) >= 2",
    "count(behaviors) FILTER (WHERE kind = 'cart') = 1",
    "count(behaviors) FILTER (WHERE kind = 'cart' AND in_last_days(time, 3)) BETWEEN 1 AND 2",
    "NOT count(orders) = 0",
)
BY_MORE = (
    "count(behaviors) FILTER (WHERE time > now() - INTERVAL 25 HOUR) >= 1",
    "count(behaviors) FILTER (WHERE product.price > 5) >= 1",
    "max(orders.amount) >= 5",
    "sum(orders.amount) >= 5",
)


def store(rules: tuple[str, ...]) -> se.Engine:
    engine = se.Engine("UTC", AS_OF)
    engine.load("products", pa.table({"product_id": [3], "price": [9.0]}))
    times = pa.array(
        [AS_OF - timedelta(days=days) for days in (1, 1, 9)], pa.timestamp("us", "UTC")
    )
    engine.load("behaviors", pa.table({"customer_id": [1, 2, 1], "time": times,
                                       "kind": ["cart", "view", "view"],
                                       "product_id": [3, 3, 3]}))  # fmt: skip
    for number, rule in enumerate(rules):
        engine.define_segment(f"s{number}", rule)
    return engine


def bound(engine: se.Engine) -> Bound:
    """Where the segments of a store are asked."""
    current = engine._segment_matcher._current
    assert current is not None
    found = current.matcher._bound
    assert found is not None
    return found


def test_counts_by_the_columns_of_events_are_counted_by_the_loop() -> None:
    engine = store(BY_COLUMNS)
    assert engine.match(1) == ["s0", "s1", "s2"]
    assert engine.match(2) == []
    found = bound(engine)
    assert len(found.layout.counted.sources) == len(BY_COLUMNS)
    assert found.counts.table[:, at.IS_COUNTED].tolist() == [1, 1, 1, 1]
    assert (found.layout.counted.open_leaves[:, 0] >= 0).all()


def test_a_count_that_asks_more_is_left_to_python() -> None:
    engine = store(BY_MORE)
    assert engine.match(1) == ["s0", "s1"]
    found = bound(engine)
    # A count that no column decides has a number, and what says that it is not made here.
    assert found.counts.table[:, at.IS_COUNTED].tolist() == [0]
    left = found.layout.counted.open_leaves[:, 0] == at.NOT_COUNTED
    assert left.sum() == len(BY_MORE) - 1


def test_two_conditions_on_one_count_share_it() -> None:
    both = ("count(behaviors) >= 1", "count(behaviors) >= 2", "count(behaviors) = 3")
    engine = store(both)
    assert (engine.match(1), engine.match(2)) == (["s0", "s1"], ["s0"])
    assert len(bound(engine).layout.counted.sources) == 1


def test_what_a_count_is_tested_by_stays_while_it_is_matched() -> None:
    rules = ("count(behaviors) FILTER (WHERE brand IS NULL AND kind <> 'cart') = 1",)
    engine = store(rules)
    assert engine.match(1) == engine.match(2) == ["s0"]
    engine._population.events_of("behaviors").few.clear()
    engine._population.entries.clear()
    gc.collect()
    taken = [np.full(64, n, np.int32) for n in range(500)]
    assert engine.match(1) == engine.match(2) == ["s0"]
    del taken


@pytest.mark.parametrize(("hours", "counts"), [(0, True), (11, True), (12, False)])
def test_a_count_of_dates_follows_the_date_and_nothing_else(hours: int, counts: bool) -> None:
    engine = store(("count(behaviors) FILTER (WHERE in_last_days(time, 2)) = 1",))
    assert engine.match(1) == ["s0"]
    before = bound(engine).counts
    engine.advance(AS_OF + timedelta(hours=hours))
    assert engine.match(1) == (["s0"] if counts else [])
    assert (bound(engine).counts is before) is counts
