"""One walk along a chain keeps the rows that satisfy every test, as plain Python would."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segengine.kernels import chain
from segengine.kernels.matching import NO_KEY
from segengine.kernels.memory import FLOAT64, INT8, INT32, INT64
from segengine.rules.value_keys import float_key

ROWS = 40
ITEMS = {"int8": INT8, "int32": INT32, "int64": INT64, "float64": FLOAT64}


def chained(rng: np.random.Generator) -> tuple[int, np.ndarray[Any, Any], list[int]]:
    """A chain over some rows: its head, what precedes each row, and its rows, the latest first."""
    rows = sorted(rng.choice(ROWS, int(rng.integers(0, ROWS)), replace=False).tolist())
    previous = np.full(ROWS, -1, np.int32)
    for before, after in pairwise(rows):
        previous[after] = before
    return (rows[-1] if rows else -1), previous, rows[::-1]


@given(st.integers(0, 2**32))
def test_the_rows_of_a_chain_are_those_that_satisfy_every_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    head, previous, rows = chained(rng)
    times = rng.integers(0, 10, ROWS)
    as_of = int(rng.integers(0, 12))
    table, bounds, kept, expected = [], [], [], [r for r in rows if times[r] <= as_of]
    for _ in range(int(rng.integers(0, 4))):
        dtype = str(rng.choice(list(ITEMS)))
        values = rng.integers(-3, 4, ROWS).astype(dtype)
        missing = float("nan") if dtype == "float64" else np.iinfo(dtype).min
        values[rng.random(ROWS) < 0.2] = missing
        low, high = sorted(rng.integers(-4, 5, 2).tolist())
        keeps_missing = bool(rng.random() < 0.5)
        key = float_key if dtype == "float64" else int
        test = np.zeros(chain.WIDTH, np.int64)
        test[chain.ADDRESS], test[chain.STRIDE] = values.ctypes.data, values.itemsize
        test[chain.ITEM] = ITEMS[dtype]
        test[chain.FIRST], test[chain.END] = len(bounds), len(bounds) + 1
        test[chain.MISSING] = NO_KEY if dtype == "float64" else missing
        test[chain.MISSING_HOLDS] = keeps_missing
        bounds.append((key(low), key(high)))
        table.append(test)
        kept.append(values)
        expected = [
            r for r in expected
            if (keeps_missing if values[r] != values[r] or values[r] == missing
                else low <= values[r] <= high)
        ]  # fmt: skip
    out = np.full(int(rng.integers(0, ROWS)), -9, np.int64)
    count = chain.rows_where(
        head, previous, times, as_of, np.array(table, np.int64).reshape(-1, chain.WIDTH),
        np.array(bounds, np.int64).reshape(-1, 2), out,
    )  # fmt: skip
    assert count == len(expected)
    assert out[:count].tolist() == expected[: len(out)]


@pytest.mark.parametrize("wanted", [0, 1])
def test_a_text_is_tested_by_the_truth_of_its_code_and_a_missing_one_by_the_first(
    wanted: int,
) -> None:
    codes = np.array([-1, 0, 1, 2], np.int32)
    truths = np.array([-128, 1, 0, 1], np.int8)
    previous = np.array([-1, 0, 1, 2], np.int32)
    test = np.zeros((1, chain.WIDTH), np.int64)
    test[0, chain.ADDRESS], test[0, chain.STRIDE] = codes.ctypes.data, codes.itemsize
    test[0, chain.ITEM] = INT32
    test[0, chain.TRUTHS], test[0, chain.WANTED] = truths.ctypes.data, wanted
    out = np.empty(4, np.int64)
    nothing = np.empty((0, 2), np.int64)
    count = chain.rows_where(3, previous, np.zeros(4, np.int64), 0, test, nothing, out)
    assert out[:count].tolist() == ([3, 1] if wanted else [2])
