"""Groups of values, and where a value stands in its own, as a loop over rows finds them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segengine.kernels import ranks
from segengine.rules.windows import _cut, _first_rank
from tests.kernels.test_kernels import rows_in, words_of

NONE = -(2**63)
SEEDS = st.integers(0, 2**32 - 1)
ROWS = st.sampled_from([1, 63, 64, 65, 200])


def drawn(rng: np.random.Generator, dtype: str, rows: int) -> NDArray[Any]:
    """Values with many ties, some missing."""
    pool = {"f8": [math.nan, -1.5, 0.0, 0.25, 3.0], "i8": [NONE, -5, 0, 7, 2**62]}
    return rng.choice(np.array(pool.get(dtype, [-(2**31), -1, 0, 5]), dtype), rows)


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else values == np.iinfo(values.dtype).min


def missing_of(values: NDArray[Any]) -> Any:
    return values.dtype.type(math.nan if values.dtype.kind == "f" else np.iinfo(values.dtype).min)


@pytest.mark.parametrize("dtype", ["i4", "i8", "f8"])
@given(seed=SEEDS, rows=ROWS)
def test_rows_without_a_value_leave_the_base(dtype: str, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    values, base = drawn(rng, dtype, rows), rng.random(rows) < 0.7
    out = words_of(base)
    ranks.only_known(values, missing_of(values), out)
    assert np.array_equal(rows_in(out)[:rows], base & ~is_missing(values))


@pytest.mark.parametrize("dtype", ["i4", "i8", "f8"])
@given(seed=SEEDS, rows=ROWS, count=st.integers(1, 5))
def test_values_are_handed_to_their_groups_in_order(
    dtype: str, seed: int, rows: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    values, groups = drawn(rng, dtype, rows), rng.integers(0, count, rows).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=count))])
    places, out = starts[:-1].copy(), np.empty_like(values)
    ranks.distribute(values, groups, places, out)
    assert places.tolist() == starts[1:].tolist()
    for group in range(count):
        own = out[starts[group] : starts[group + 1]]
        assert np.array_equal(own, values[groups == group], equal_nan=dtype == "f8")


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@given(seed=SEEDS, rows=ROWS, count=st.integers(1, 5))
def test_halves_of_sums_make_a_sum_of_any_size(
    dtype: str, seed: int, rows: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    values, groups = drawn(rng, dtype, rows), rng.integers(0, count, rows).astype(np.int32)
    highs, lows = np.zeros(count, np.int64), np.zeros(count, np.int64)
    ranks.sum_groups(values, groups, highs, lows)
    for group in range(count):
        expected = sum(int(value) for value in values[groups == group])
        assert (int(highs[group]) << 32) + int(lows[group]) == expected


@pytest.mark.parametrize("dtype", ["i4", "i8", "f8"])
@given(seed=SEEDS, rows=ROWS, count=st.integers(1, 5))
def test_rows_lie_within_the_bounds_of_their_group(
    dtype: str, seed: int, rows: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    values, groups = drawn(rng, dtype, rows), rng.integers(0, count, rows).astype(np.int32)
    lows, highs = drawn(rng, dtype, count), drawn(rng, dtype, count)
    cut = 64 * int(rng.integers(0, -(-rows // 64)))
    before = rng.random(rows) < 0.1
    one, several = words_of(before), words_of(before)
    for begin, end in ((0, cut), (cut, rows)):
        ranks.within_one(values, lows[0], highs[0], begin, end, one)
        ranks.within_groups(values, groups, lows, highs, begin, end, several)
    expected = before | ((values >= lows[0]) & (values <= highs[0]))
    assert np.array_equal(rows_in(one)[:rows], expected)
    expected = before | ((values >= lows[groups]) & (values <= highs[groups]))
    assert np.array_equal(rows_in(several)[:rows], expected)


@pytest.mark.parametrize("dtype", ["i4", "i8", "f8"])
@given(seed=SEEDS, rows=ROWS, count=st.integers(1, 5))
def test_a_rank_is_the_share_of_smaller_values_among_the_others(
    dtype: str, seed: int, rows: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    values = drawn(rng, dtype, rows)
    known = np.flatnonzero(~is_missing(values))
    groups = rng.integers(0, count, len(known)).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=count))])
    ordered = values[known[np.lexsort((values[known], groups))]]
    out = np.full(len(known), -1.0)
    ranks.percent_ranks(values, known, groups, starts, ordered, out)
    for place, row in enumerate(known):
        own = values[known[groups == groups[place]]].tolist()
        smaller = sum(value < values[row] for value in own)
        assert out[place] == (smaller / (len(own) - 1) if len(own) > 1 else 0.0)


SHARES = st.sampled_from([0.0, 0.25, 0.5, 1.0, -0.5, 2.0]) | st.floats(-0.5, 1.5)


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12), SHARES, SHARES,
    st.sampled_from([np.float64, np.int64]),
)  # fmt: skip
def test_bounds_of_a_rank_are_bounds_of_the_value(
    found: list[int], low: float, high: float, dtype: Any
) -> None:
    """A rank rises with the value, so one cut of the values stands for one of the ranks."""
    values = np.sort(np.array(found, dtype))
    count = len(values)
    first, beyond = _first_rank(count, low), _first_rank(count, math.nextafter(high, math.inf))
    least, most = _cut(values, first, beyond)
    for value in values:
        rank = sum(other < value for other in values) / (count - 1) if count > 1 else 0.0
        assert (least <= value <= most) == (low <= rank <= high)
