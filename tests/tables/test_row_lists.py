"""Lists of rows are those last written, whatever was written before and in which order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segengine.tables import list_loops
from segengine.tables.list_column import ListColumn
from segengine.tables.row_lists import RowLists

Written = dict[int, list[int]]
batches = st.lists(
    st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 9), max_size=6), min_size=1),
    max_size=12,
)


def put(lists: RowLists, batch: Written, *, everyone: bool = False) -> None:
    rows = sorted(batch)
    counts = np.array([len(batch[row]) for row in rows], np.int32)
    codes = np.array([code for row in rows for code in batch[row]], np.int32)
    scores = codes / 10 if lists.is_scored else np.empty(0, np.float64)
    if everyone:
        lists.fill(counts, codes, scores)
    else:
        lists.write(np.array(rows, np.int64), counts, codes, scores)


@given(st.booleans(), st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=9), batches)
def test_a_row_has_the_list_it_was_last_given(
    is_scored: bool, first: list[list[int]], later: list[Written]
) -> None:
    lists, expected = RowLists(scored=is_scored), dict(enumerate(first))
    put(lists, expected, everyone=True)
    for batch in later:
        put(lists, batch)
        expected |= batch
    for row in range(-1, 15):
        codes, scores = lists.of(row)
        assert codes.tolist() == expected.get(row, [])
        assert scores.tolist() == [code / 10 for code in codes if is_scored]
    asked = np.array([3, -1, 0, 14, 12, 3], np.int64)
    counts = lists.counts_of(asked)
    assert counts.tolist() == [len(expected.get(int(row), [])) for row in asked]
    together = [code for row in asked for code in expected.get(int(row), [])]
    assert lists.codes_of(asked, len(together)).tolist() == together


def test_lists_that_grow_and_shrink_take_no_more_room_than_twice_what_there_is() -> None:
    lists = RowLists(scored=True)
    put(lists, {row: [row] for row in range(500)}, everyone=True)
    for step in range(2000):
        put(lists, {step % 500: list(range(step % 40))})
    live = sum(len(lists.of(row)[0]) for row in range(500))
    assert len(lists.lists.new_codes) <= max(1024, 2 * (live + 40))
    assert lists.of(0)[0].tolist() == list(range(1500 % 40))


def test_a_row_with_other_scores_has_none_of_this_and_one_without_any_is_missing() -> None:
    lists = RowLists(scored=True)
    put(lists, {0: [4, 1], 1: [], 2: [3]}, everyone=True)
    put(lists, {3: [7, 1, 2]})
    out = np.full(6, np.nan)
    list_loops.scores_of(lists.lists, 1, out)
    assert out[[0, 2, 3]].tolist() == [0.1, 0.0, 0.1]
    assert np.isnan(out[[1, 4, 5]]).all()
    list_loops.scores_of(lists.lists, -1, out)
    assert out[[0, 2, 3]].tolist() == [0.0, 0.0, 0.0]


def test_a_column_of_lists_gives_texts_and_no_list_where_there_is_no_row() -> None:
    words = pa.array(["a", "b", "c"], pa.large_string())
    column = ListColumn("lists", lambda codes: words.take(pa.array(codes)), lambda: 64)
    put(column.kept, {0: [2, 0], 1: [], 2: [1]}, everyone=True)
    assert column.to_arrow(slice(0, 4), 4).to_pylist() == [["c", "a"], [], ["b"], []]
    taken = column.values[[2, 0]]
    assert column.lists_of(taken).to_pylist() == [["b"], ["c", "a"]]
    assert column.lists_of(np.array([-1, 2])).to_pylist() == [None, ["b"]]
    assert len(column.lists_of(np.empty(0, np.int64))) == 0
    assert not column.is_allocated
    assert column.nbytes()[0] >= column.kept.nbytes() > 0


@pytest.mark.parametrize("rows", [1, 63, 64, 65])
def test_a_column_of_lists_grows_with_its_table(rows: int) -> None:
    room = [64]
    column = ListColumn("lists", lambda codes: pa.array([], pa.large_string()), lambda: room[0])
    assert len(column.values) == 64
    room[0] = 64 * rows
    assert column.values.tolist() == list(range(64 * rows))
