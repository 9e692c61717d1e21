"""Scan codes decide exactly what the values would: any values, any updates, any bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segengine.kernels import scan
from segengine.tables.scan_codes import ScanCodes

DTYPES = ("int8", "int32", "int64", "float64", "codes")
CROWDS = ("few", "many", "ties", "ends")


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype("int32" if name == "codes" else name)


def missing_of(name: str) -> int | float:
    if name == "codes":
        return -1
    return float("nan") if name == "float64" else int(np.iinfo(name).min)


def drawn(rng: np.random.Generator, name: str, count: int, crowd: str) -> NDArray[Any]:
    """Values of a column: a few, more than a byte holds, nearly all the same, or extreme."""
    dtype = dtype_of(name)
    top = 1e308 if name == "float64" else int(np.iinfo(dtype).max)
    low = 0 if name == "codes" else -top
    span = {"few": 20, "many": 100_000, "ties": 3, "ends": 2}[crowd]
    span = min(span, 120) if name == "int8" else span
    values = rng.integers(0 if name == "codes" else -span, span, count).astype(dtype)
    if name == "float64":
        values = values / 8
    if crowd == "ends":
        edge = rng.random(count)
        values[edge < 0.3], values[edge > 0.7] = top, low
    values[rng.random(count) < 0.15] = missing_of(name)
    return values


def padded(values: NDArray[Any], name: str) -> NDArray[Any]:
    room = -(-max(len(values), 1) // 64) * 64
    array = np.full(room, missing_of(name), values.dtype)
    array[: len(values)] = values
    return array


def hits_of(codes: ScanCodes, values: NDArray[Any], low: Any, high: Any) -> NDArray[np.bool_]:
    """What a scan finds, through the kernels that rules run; beyond the rows, anything."""
    found = codes.between(low, high)
    kept = codes.codes, codes.block_least, codes.block_greatest
    words = np.zeros(len(values) // 64, np.uint64)
    if found is not None:
        first, span = np.uint8(found.first), np.uint8(found.last - found.first)
        if found.edges:
            ends = np.uint8(found.edges[0]), np.uint8(found.edges[-1])
            scan.scan_codes_exact(
                *kept, first, span, *ends, values, low, high, 0, len(words), scan.SET, words
            )
        else:
            scan.scan_codes(*kept, first, span, 0, len(words), scan.SET, words)
    return np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_)


def known(values: NDArray[Any], name: str) -> NDArray[np.bool_]:
    return ~np.isnan(values) if name == "float64" else values != missing_of(name)


def assert_exact(
    codes: ScanCodes, values: NDArray[Any], rows: int, name: str, rng: np.random.Generator
) -> None:
    dtype, some = values.dtype, values[known(values, name)]
    top = np.finfo(dtype).max if dtype.kind == "f" else np.iinfo(dtype).max
    bounds = [dtype.type(-top if name != "codes" else 0), dtype.type(top), dtype.type(0)]
    bounds += list(rng.choice(some, 8)) if len(some) else []
    for _ in range(12):
        low, high = sorted(rng.choice(np.array(bounds, dtype), 2))
        if rng.random() < 0.5 and -top < low < top:
            low = np.nextafter(low, -top) if dtype.kind == "f" else dtype.type(low + 1)
        expected = known(values, name) & (values >= low) & (values <= high)
        hits = hits_of(codes, values, low, high)
        assert np.array_equal(hits[:rows], expected[:rows]), (low, high)


@pytest.mark.parametrize("name", DTYPES)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 3000), data=st.data())
def test_codes_agree_with_values_through_every_update(
    name: str, seed: int, count: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    values = padded(drawn(rng, name, count, data.draw(st.sampled_from(CROWDS))), name)
    codes, rows = ScanCodes(values, missing_of(name), count), count
    assert_exact(codes, values, rows, name, rng)
    for crowd in data.draw(st.lists(st.sampled_from(CROWDS), max_size=4)):
        if data.draw(st.booleans()) and rows:
            changed = rng.integers(0, rows, rng.integers(1, rows + 1)).astype(np.int64)
            values[changed] = drawn(rng, name, len(changed), crowd)
        else:
            more = drawn(rng, name, int(rng.integers(1, 200)), crowd)
            grown = padded(np.concatenate([values[:rows], more]), name)
            codes.follow(grown, rows)
            changed = np.arange(rows, rows + len(more), dtype=np.int64)
            values, rows = grown, rows + len(more)
        codes.touch(changed)
        assert_exact(codes, values, rows, name, rng)


def test_few_distinct_values_need_no_look_at_the_values() -> None:
    values = np.arange(6400, dtype=np.int64) % 250
    codes = ScanCodes(values, missing_of("int64"), len(values))
    for low, high in ((3, 3), (0, 249), (17, 200), (-5, 10_000)):
        found = codes.between(np.int64(low), np.int64(high))
        assert found is not None
        assert found.edges == ()
    assert codes.between(np.int64(250), np.int64(10_000)) is None


def test_many_distinct_values_look_behind_two_codes_at_most() -> None:
    values = np.random.default_rng(1).permutation(64_000).astype(np.int64)
    codes = ScanCodes(values, missing_of("int64"), len(values))
    found = codes.between(np.int64(1000), np.int64(50_000))
    assert found is not None
    assert 1 <= len(found.edges) <= 2
    behind = sum(int(np.sum(codes.codes == edge)) for edge in found.edges)
    assert behind < 64_000 * 2.5 / 255
