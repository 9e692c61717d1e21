"""Scans that pass over whole blocks of rows find what a plain comparison finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segengine.kernels import scan
from segengine.schema.kinds import Kind
from segengine.tables.column import Column
from tests.kernels.test_kernels import rows_in, words_of

ROWS = (63, 64, 65, 16_383, 16_384, 16_385)
MODES = (scan.SET, scan.AND, scan.OR)
KINDS = (Kind.BIGINT, Kind.DOUBLE, Kind.DATE, Kind.BOOLEAN)
SEEDS = st.integers(0, 2**32 - 1)
Ranges = list[tuple[Any, Any]]


def drawn(rng: np.random.Generator, column: Column, count: int) -> NDArray[Any]:
    """Values that rise from row to row, so that blocks differ; or few; or any; some missing."""
    if column.kind is Kind.BOOLEAN:
        values: NDArray[Any] = rng.integers(0, 2, count)
    else:
        form = rng.integers(0, 3)
        rising = np.arange(count) // 7 + rng.integers(0, 5, count)
        values = (rising, rng.integers(0, 9, count), rng.integers(-9999, 9999, count))[form]
    values = values.astype(column.dtype)
    if column.kind is Kind.DOUBLE:
        values = values / 4
    values[rng.random(count) < rng.choice([0.0, 0.1])] = column.missing
    return values


def ranges_of(rng: np.random.Generator, column: Column, rows: int, count: int) -> Ranges:
    """Ascending, disjoint ranges between values of the column and beside them."""
    known = column.values[:rows][~missing(column, rows)]
    bounds = rng.choice(known, 2 * count) if len(known) else np.zeros(2 * count, column.dtype)
    ordered = np.unique(bounds + rng.integers(-1, 2, 2 * count).astype(column.dtype))
    if rng.random() < 0.2:
        ordered[-1] = np.inf if column.dtype.kind == "f" else np.iinfo(column.dtype).max
    return [(low, high) for low, high in zip(ordered[::2], ordered[1::2], strict=False)]


def missing(column: Column, rows: int) -> NDArray[np.bool_]:
    values = column.values[:rows]
    return np.isnan(values) if values.dtype.kind == "f" else values == column.missing


def scanned(
    column: Column, rows: int, ranges: Ranges, span: tuple[int, int], mode: int, out: Any
) -> None:
    """The scan of one range, or of several, as rules run it."""
    codes = column.scan_codes(rows)
    kept = codes.codes, codes.block_least, codes.block_greatest
    lows, highs = (np.array(side, column.dtype) for side in zip(*ranges, strict=True))
    if len(ranges) > 1:
        inside, edges = (found.astype(np.uint8) for found in codes.among(lows, highs))
        runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1) if len(inside) else []
        firsts = np.array([run[0] for run in runs], np.uint8)
        spans = np.array([run[-1] - run[0] for run in runs], np.uint8)
        scan.scan_ranges(*kept, firsts, spans, edges, column.values, lows, highs, *span, mode, out)
        return
    found = codes.between(lows[0], highs[0])
    if found is None:
        scan.scan_codes(*kept, np.uint8(255), np.uint8(0), *span, mode, out)
        return
    first = np.uint8(found.first), np.uint8(found.last - found.first)
    if not found.edges:
        scan.scan_codes(*kept, *first, *span, mode, out)
        return
    ends = np.uint8(found.edges[0]), np.uint8(found.edges[-1])
    scan.scan_codes_exact(*kept, *first, *ends, column.values, lows[0], highs[0], *span, mode, out)


def joined(mode: int, before: NDArray[np.bool_], hits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return {scan.SET: hits, scan.AND: before & hits, scan.OR: before | hits}[mode]


def assert_scans(column: Column, rows: int, rng: np.random.Generator) -> None:
    values = column.values[:rows]
    words = -(-rows // 64)
    for count in (1, 1, 3):
        ranges = ranges_of(rng, column, rows, count)
        if not ranges:
            continue
        hits = np.zeros(rows, np.bool_)
        for low, high in ranges:
            hits |= (values >= low) & (values <= high)
        hits &= ~missing(column, rows)
        for mode in MODES:
            before = rng.random(rows) < rng.choice([0.0, 0.01, 0.5, 1.0])
            begin = int(rng.choice([0, words // 2, words]))
            out = words_of(before, words)
            scanned(column, rows, ranges, (0, begin), mode, out)
            scanned(column, rows, ranges, (begin, words), mode, out)
            expected = joined(mode, before, hits)
            assert np.array_equal(rows_in(out)[:rows], expected), (ranges, mode, begin)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(seed=SEEDS)
def test_ranges_of_codes_are_ranges_of_values_after_every_change(
    kind: Kind, rows: int, seed: int
) -> None:
    """Changed rows, then rows that came and hold nothing but their default."""
    rng = np.random.default_rng(seed)
    column = Column("x", kind, default=int(rng.integers(0, 2)), capacity=rows)
    column.write(slice(0, rows), drawn(rng, column, rows))
    assert_scans(column, rows, rng)
    changed = np.unique(rng.integers(0, rows, rng.choice([1, 40]))).astype(np.int64)
    column.write(changed, drawn(rng, column, len(changed)))
    assert_scans(column, rows, rng)
    grown = rows + int(rng.choice([1, 63, 64, 65, 16_384]))
    column.reserve(grown, rows)
    assert_scans(column, grown, rng)
    column.write(np.array([grown - 1]), drawn(rng, column, 1))
    assert_scans(column, grown, rng)


def test_a_column_that_was_never_written_is_found_by_its_default() -> None:
    column = Column("x", Kind.BIGINT, default=0, capacity=64)
    for rows in (64, 65, 16_400, 40_000):
        column.reserve(rows, min(rows, 64))
        for low, high, found in ((0, 0, rows), (1, 9, 0)):
            out = np.zeros(-(-rows // 64), np.uint64)
            scanned(column, rows, [(low, high)], (0, len(out)), scan.SET, out)
            assert rows_in(out)[:rows].sum() == found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("bounds", "found"), [((20, 30), 1), ((11, 40), 1), ((10, 40), None), ((41, 50), 0),
                          ((0, 10), 0), ((255, 0), 0)],
)  # fmt: skip
def test_a_block_that_lies_inside_or_outside_is_not_read(
    bounds: tuple[int, int], found: int | None, mode: int
) -> None:
    """The codes say otherwise than the block's bounds, and only what is read believes them."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 80, 16_384).astype(np.uint8)
    before = rng.random(16_384) < 0.5
    hits = (codes >= 11) & (codes <= 40) if found is None else np.full(16_384, bool(found))
    out = words_of(before)
    least, greatest = (np.array([bound], np.uint8) for bound in bounds)
    scan.scan_codes(codes, least, greatest, np.uint8(11), np.uint8(29), 0, 256, mode, out)
    assert np.array_equal(rows_in(out), joined(mode, before, hits))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("mode", MODES)
def test_values_without_codes_are_compared_one_by_one(rows: int, mode: int) -> None:
    rng = np.random.default_rng(rows)
    words = -(-rows // 64)
    for dtype, low, high in (("u1", 3, 200), ("u4", 7, 7), ("u8", 2**63 - 5, 2**63 + 5)):
        near = rng.integers(-9, 10, 64 * words)
        values = (near.astype(dtype) + np.dtype(dtype).type(low)).astype(dtype)
        before = rng.random(64 * words) < 0.5
        out = words_of(before, words)
        first, span = (np.dtype(dtype).type(x) for x in (low, high - low))
        for begin, end in ((0, words // 2), (words // 2, words)):
            scan.scan_within(values, first, span, begin, end, mode, out)
        expected = joined(mode, before, (values >= first) & (values <= first + span))
        assert np.array_equal(rows_in(out), expected)
    doubles = rng.choice([np.nan, -0.0, 0.0, 1.5, np.inf, -np.inf], rows)
    before = rng.random(rows) < 0.5
    out = words_of(before, words)
    for begin, end in ((0, words // 2), (words // 2, words)):
        scan.scan_values(doubles, np.float64(0), np.float64(1.5), rows, begin, end, mode, out)
    expected = joined(mode, before, (doubles >= 0) & (doubles <= 1.5))
    assert np.array_equal(rows_in(out)[:rows], expected)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("unplaced", [False, True])
def test_a_row_is_in_where_its_place_is(rows: int, mode: int, *, unplaced: bool) -> None:
    rng = np.random.default_rng(rows)
    words = -(-rows // 64)
    there = rng.random(200) < 0.5
    places = rng.integers(-1, 200, 64 * words).astype(np.int32)
    hits = np.where(places < 0, unplaced, there[places])
    before = rng.random(64 * words) < 0.2
    out = words_of(before, words)
    for begin, end in ((0, words // 2), (words // 2, words)):
        scan.probe(places, words_of(there), unplaced, begin, end, mode, out)
    assert np.array_equal(rows_in(out), joined(mode, before, hits))
