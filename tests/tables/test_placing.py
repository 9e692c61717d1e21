"""What is found, grown and coded before the gate is closed is what would be behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine import current
from segengine.schema.kinds import Kind
from segengine.tables.column import Column, aligned, padded
from segengine.tables.row_lists import RowLists
from segengine.tables.table import Room, Table
from tests.traits.histories import differences, traits_of
from tests.traits.test_incremental import Life

NUMBERS = st.lists(st.integers(-300, 300) | st.just(np.iinfo(np.int64).min), max_size=80)


def column_of(values: list[int], capacity: int = 64) -> Column:
    column = Column("amount", Kind.BIGINT, capacity=capacity)
    array = aligned(padded(max(capacity, len(values))), np.dtype(np.int64), column.missing)
    array[: len(values)] = values
    column.install(array, None)
    column.scan_codes(len(values))
    return column


def assert_codes_are_sound(column: Column, rows: int) -> None:
    """As those that are made anew, but for bounds, which may be wider."""
    codes = column.scan_codes(rows)
    values, least, greatest = column.values[:rows], *codes.bounds()
    kept = codes.codes[:rows]
    missing = values == column.missing
    assert np.array_equal(kept == 0, missing)
    assert (least[kept[~missing]] <= values[~missing]).all()
    assert (greatest[kept[~missing]] >= values[~missing]).all()
    seen = np.flatnonzero(least[1:] <= greatest[1:]) + 1
    assert (least[seen[1:]] > greatest[seen[:-1]]).all()
    if rows:
        assert codes.block_least[0] <= kept.min()
        assert codes.block_greatest[0] >= kept.max()


@given(NUMBERS.filter(bool), NUMBERS, st.randoms(use_true_random=False))
def test_codes_that_were_worked_out_ahead_are_those_of_the_values(
    before: list[int], fresh: list[int], rng: Any
) -> None:
    column, count = column_of(before), min(len(before), len(fresh))
    rows = np.array(sorted(rng.sample(range(len(before)), count)), np.int64)
    values = np.array(fresh[:count], np.int64)
    ahead = column.codes_ahead(values)
    assert column.values[: len(before)].tolist() == before
    assert_codes_are_sound(column, len(before))
    column.put(rows, values, ahead)
    assert column.values[rows].tolist() == values.tolist()
    assert_codes_are_sound(column, len(before))


def test_codes_that_a_scan_makes_meanwhile_follow_what_is_put() -> None:
    column = Column("amount", Kind.BIGINT)
    column.write(slice(0, 3), np.array([1, 2, 3]))
    rows, values = np.array([1]), np.array([9])
    ahead = column.codes_ahead(values)
    assert ahead is None
    column.scan_codes(3)
    column.put(rows, values, ahead)
    assert_codes_are_sound(column, 3)


@given(NUMBERS.filter(bool), st.integers(0, 80), st.integers(65, 300))
def test_a_longer_copy_has_what_scans_coded_meanwhile(
    values: list[int], coded: int, capacity: int
) -> None:
    rows = len(values)
    column = column_of(values[:coded], 128)
    column.write(slice(0, rows), np.array(values))
    longer = column.longer(capacity, rows)
    column.scan_codes(rows)
    column.take_longer(longer, rows)
    assert column.values[:rows].tolist() == values
    assert (column.values[rows:] == column.missing).all()
    assert len(column.values) >= min(capacity, 128)
    assert_codes_are_sound(column, rows)


def test_a_column_that_is_read_for_the_first_time_meanwhile_is_as_long_as_its_table() -> None:
    column = Column("amount", Kind.BIGINT)
    longer = column.longer(640, 10)
    assert len(column.values) == 64
    column.take_longer(longer, 10)
    assert len(column.values) == 640
    assert (column.values == column.missing).all()


LISTS = st.dictionaries(st.integers(0, 40), st.lists(st.integers(0, 9), max_size=4), max_size=9)


def write(kept: RowLists, lists: dict[int, list[int]], *, ahead: bool) -> None:
    rows = np.array(sorted(lists), np.int64)
    counts = np.array([len(lists[int(row)]) for row in rows], np.int32)
    codes = np.array([code for row in rows for code in lists[int(row)]], np.int32)
    if ahead and len(rows):
        before = [kept.of(row)[0].tolist() for row in range(41)]
        room = kept.room(int(rows[-1]) + 1, len(codes))
        assert [kept.of(row)[0].tolist() for row in range(41)] == before
        if room is not None:
            kept.take_room(room)
        assert kept.room(int(rows[-1]) + 1, len(codes)) is None
    kept.write(rows, counts, codes, np.empty(0))


@given(st.lists(LISTS, max_size=8), st.integers(0, 1020))
def test_lists_in_room_that_was_made_ahead_are_those_in_their_own(
    batches: list[dict[int, list[int]]], much: int
) -> None:
    ahead, by_itself = RowLists(), RowLists()
    for lists in [{3: [1] * much, 5: [2] * 4}, *batches]:
        write(ahead, lists, ahead=True)
        write(by_itself, lists, ahead=False)
        for row in range(41):
            assert ahead.of(row)[0].tolist() == by_itself.of(row)[0].tolist()


def everything(engine: se.Engine) -> dict[str, Any]:
    tables = ("customers", "products", "orders", "order_lines", "behaviors", "reviews", "points")
    return {name: engine.table(name).to_pylist() for name in tables}


@pytest.mark.parametrize("seed", [3, 4])
def test_a_batch_that_was_placed_ahead_is_in_the_tables_as_one_that_was_not(seed: int) -> None:
    lives = Life(seed, steps=3, rows=6), Life(seed, steps=3, rows=6)
    engines = [life.engine for life in lives]
    for table in ("orders", "order_lines", "behaviors", "customers", "reviews", "orders") * 2:
        batch = lives[0].shop.batch(table, 7)
        rows = batch.to_arrow()
        lives[0].engine.append(table, rows, on_error="skip")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(current, "placed_ahead", lambda *_: None)
            patch.setattr(current, "worked_out_ahead", lambda *_: None)
            lives[1].engine.append(table, rows, on_error="skip")
        assert everything(engines[0]) == everything(engines[1])
        assert differences(traits_of(engines[0]), traits_of(engines[1])) == []


def test_what_grows_is_copied_before_the_gate_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = se.Engine()
    grown: list[bool] = []
    closed = False
    gate = engine._tables.gate
    writing = gate.writing

    @contextmanager
    def noting() -> Iterator[None]:
        nonlocal closed
        with writing():
            closed = True
            yield
            closed = False

    monkeypatch.setattr(gate, "writing", noting)
    make_room = Table.room

    def room(self: Table, rows: int, *, exact: bool = False) -> Room | None:
        found = make_room(self, rows, exact=exact)
        if found is not None:
            grown.append(closed)
        return found

    monkeypatch.setattr(Table, "room", room)

    def rows(first: int, count: int) -> pa.Table:
        ids = np.arange(first, first + count)
        order = {"customer_id": ids, "order_id": ids, "amount": [1.0] * count}
        return pa.table({**order, "time": [engine.as_of] * count})

    def lines(first: int, count: int) -> pa.Table:
        return rows(first, count).append_column("line_id", pa.array([1] * count))

    # The first batches settle what columns are.
    engine.append("orders", rows(0, 10))
    engine.append("order_lines", lines(10_000, 10))
    grown.clear()
    for first in range(10, 700, 90):
        engine.append("orders", rows(first, 90))
        engine.append("order_lines", lines(first + 10_000, 90))
    assert len(grown) >= 8
    assert not any(grown)
    assert engine.segment("orders_placed_count = 1").count() == 20 + 2 * 8 * 90
