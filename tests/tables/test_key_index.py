"""A key finds its row: as a Python dict would say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segengine.tables.key_index import KeyIndex, KeySet, first_places

MISSING = -(2**63)
keys = st.integers(-3, 3) | st.integers(MISSING + 1, 2**63 - 1)
pairs = st.lists(st.tuples(keys, keys), max_size=60)


def arrays(found: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    columns = np.array(found, np.int64).reshape(-1, 2)
    return np.ascontiguousarray(columns[:, 0]), np.ascontiguousarray(columns[:, 1])


@given(pairs, pairs)
def test_a_key_finds_the_row_that_has_it(
    rows: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    kept = list(dict.fromkeys(rows))
    places = {key: row for row, key in enumerate(kept)}
    index = KeyIndex((MISSING, MISSING))
    columns = arrays(kept)
    for begin in range(0, len(kept), 7):
        index.add(columns, begin, min(begin + 7, len(kept)))
    found = index.find(arrays([*kept, *asked]), columns)
    assert found.tolist() == [places.get(key, -1) for key in [*kept, *asked]]


@given(pairs)
def test_the_first_place_of_a_key_is_where_it_first_appears(rows: list[tuple[int, int]]) -> None:
    assert first_places(arrays(rows)).tolist() == [rows.index(row) for row in rows]


@given(st.lists(keys, max_size=80), st.lists(keys, max_size=10))
def test_a_set_has_what_was_added_and_a_missing_key_is_none(
    kept: list[int], asked: list[int]
) -> None:
    found = KeySet(MISSING)
    for begin in range(0, len(kept), 9):
        found.add(np.array([*kept[begin : begin + 9], MISSING], np.int64))
    assert found.keys.tolist() == kept
    every = np.array([*kept, *asked], np.int64)
    assert found.has(every).tolist() == [key in kept for key in every.tolist()]


def test_rows_without_a_key_are_not_entered() -> None:
    index = KeyIndex((MISSING, MISSING))
    first, second = arrays([(1, MISSING), (MISSING, 2), (3, 4)])
    index.add((first, second), 0, 3)
    assert index.find((first, second), (first, second)).tolist() == [-1, -1, 2]
