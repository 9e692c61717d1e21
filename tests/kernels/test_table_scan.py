"""A table's answers become words: for any values, missing ones, few rows still in, any mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segengine.kernels import scan, table_scan
from tests.kernels.test_kernels import joined

MODES = (scan.SET, scan.AND, scan.OR)
WORDS = 3


def drawn(rng: np.random.Generator, dtype: str) -> tuple[NDArray[Any], int, int, NDArray[np.int64]]:
    """Values with missing ones among them, the least, how many there can be, and their places."""
    count = int(rng.integers(1, 90))
    least = 0 if dtype in ("uint8", "int16") else int(rng.integers(-40, 40))
    missing = 255 if dtype == "uint8" else -1 if dtype == "int16" else int(np.iinfo(dtype).min)
    places = rng.integers(0, count, 64 * WORDS)
    values = (least + places).astype(dtype)
    gone = rng.random(64 * WORDS) < 0.2
    values[gone] = missing
    return values, least, count, np.where(gone, count, places)


def unsigned(value: int) -> np.uint64:
    return np.array([value], np.int64).view(np.uint64)[0]


def before(rng: np.random.Generator) -> NDArray[np.uint64]:
    """Words with many rows, with a few, and with none."""
    few = np.uint64(0)
    for row in rng.integers(0, 64, 5):
        few |= np.uint64(1) << np.uint64(row)
    return np.array([rng.integers(0, 2**64, dtype=np.uint64), few, 0], np.uint64)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(MODES))
def test_a_row_has_what_the_table_says_of_its_value(dtype: str, seed: int, mode: int) -> None:
    rng = np.random.default_rng(seed)
    values, least, count, places = drawn(rng, dtype)
    table = rng.integers(0, 2, count + 1).astype(np.uint8)
    words = before(rng)
    out = words.copy()
    table_scan.scan_table(values, unsigned(least), table, 0, WORDS, mode, out)
    assert np.array_equal(out, joined(mode, words, table[places] == 1))


@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(MODES),
    kinds=st.tuples(*[st.sampled_from(["int32", "int64"])] * 2),
)
def test_a_row_has_what_the_table_says_of_its_two_values(
    seed: int, mode: int, kinds: tuple[str, str]
) -> None:
    rng = np.random.default_rng(seed)
    first, first_least, first_count, first_places = drawn(rng, kinds[0])
    second, second_least, second_count, second_places = drawn(rng, kinds[1])
    table = rng.integers(0, 2, (first_count + 1) * (second_count + 1)).astype(np.uint8)
    words = before(rng)
    out = words.copy()
    table_scan.scan_pairs(
        first, unsigned(first_least), np.uint64(first_count),
        second, unsigned(second_least), np.uint64(second_count), table, 0, WORDS, mode, out,
    )  # fmt: skip
    hits = table[first_places * (second_count + 1) + second_places] == 1
    assert np.array_equal(out, joined(mode, words, hits))


@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(MODES))
def test_a_code_is_in_or_out_or_its_rows_look_at_their_value(seed: int, mode: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, 64 * WORDS).astype(np.uint8)
    table = rng.integers(0, 3, 256).astype(np.uint8)
    values = rng.integers(0, 100, 64 * WORDS)
    lows, highs = np.array([10, 50]), np.array([30, 55])
    within = ((values >= 10) & (values <= 30)) | ((values >= 50) & (values <= 55))
    words = before(rng)
    out = words.copy()
    table_scan.scan_code_table(codes, table, values, lows, highs, 0, WORDS, mode, out)
    hits = (table[codes] == 1) | ((table[codes] == 2) & within)
    assert np.array_equal(out, joined(mode, words, hits))
