"""The kernels alone, at 10 million rows on one thread: answers first, then times."""

import numpy as np
import pytest

from segengine.kernels import bits, encode, hashing, scan, table_scan

ROWS = 10_000_000 // 64 * 64
WORDS = ROWS // 64


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(1).integers(0, 256, ROWS).astype(np.uint8)


@pytest.fixture
def out():
    return np.zeros(WORDS, np.uint64)


@pytest.fixture(scope="module")
def blocks(codes):
    """The least and greatest code of each block of 16,384 rows."""
    starts = np.arange(0, ROWS, 64 * scan.BLOCK_WORDS)
    return np.minimum.reduceat(codes, starts), np.maximum.reduceat(codes, starts)


def packed(hits):
    return np.packbits(hits, bitorder="little").view(np.uint64)


def test_a_range_of_byte_codes(benchmark, codes, blocks, out):
    call = (codes, *blocks, np.uint8(5), np.uint8(90), 0, WORDS, scan.SET, out)
    scan.scan_codes(*call)
    assert np.array_equal(out, packed((codes >= 5) & (codes <= 95)))
    benchmark(scan.scan_codes, *call)


def test_a_range_that_cuts_through_two_intervals(benchmark, codes, blocks, out):
    values = codes + np.random.default_rng(2).random(ROWS)
    low, high = 5.25, 95.75
    call = (
        *(codes, *blocks, np.uint8(5), np.uint8(90), np.uint8(5), np.uint8(95)),
        *(values, low, high, 0, WORDS, scan.SET, out),
    )
    scan.scan_codes_exact(*call)
    assert np.array_equal(out, packed((values >= low) & (values <= high)))
    benchmark(scan.scan_codes_exact, *call)


def test_a_lookup_by_dictionary_code(benchmark, codes, out):
    wide = codes.astype(np.int32) - 1
    table = (np.arange(257) % 3 == 0).astype(np.uint8)
    call = (wide, np.uint64(0), table, 0, WORDS, scan.SET, out)
    table_scan.scan_table(*call)
    assert np.array_equal(out, packed(table[wide] == 1))
    benchmark(table_scan.scan_table, *call)


def test_a_lookup_by_two_values(benchmark, codes, out):
    first, second = codes.astype(np.int64), (codes % 50).astype(np.int32)
    table = (np.arange(257 * 51) % 3 == 0).astype(np.uint8)
    last = np.uint64(256), np.uint64(50)
    call = (first, np.uint64(0), last[0], second, np.uint64(0), last[1], table)
    table_scan.scan_pairs(*call, 0, WORDS, scan.SET, out)
    assert np.array_equal(out, packed(table[first * 51 + second] == 1))
    benchmark(table_scan.scan_pairs, *call, 0, WORDS, scan.SET, out)


def test_and_of_two_bitmaps(benchmark, codes, out):
    words = packed(codes < 100)
    out[:] = packed(codes > 50)
    bits.and_into(words, 0, WORDS, out)
    assert np.array_equal(out, packed((codes > 50) & (codes < 100)))
    benchmark(bits.and_into, words, 0, WORDS, out)


def test_count_of_a_bitmap(benchmark, codes):
    words = packed(codes < 77)
    assert bits.count_bits(words) == int((codes < 77).sum())
    benchmark(bits.count_bits, words)


def test_rows_of_three_in_ten(benchmark, codes):
    hits = codes < 77
    words = packed(hits)
    rows = np.empty(int(hits.sum()), np.int64)
    bits.rows_of(words, rows)
    assert np.array_equal(rows, np.flatnonzero(hits))
    benchmark(bits.rows_of, words, rows)


def test_coding_a_float_column(benchmark):
    values = np.random.default_rng(3).normal(size=ROWS)
    edges = np.full(255, np.inf)
    edges[:254] = np.quantile(values[::1000], np.arange(1, 255) / 255)
    least, greatest = np.full(256, np.inf), np.full(256, -np.inf)
    found = np.zeros(ROWS, np.uint8)
    count = -(-ROWS // (64 * scan.BLOCK_WORDS))
    bounds = np.full(count, 255, np.uint8), np.zeros(count, np.uint8)
    call = (values, np.nan, edges, 0, ROWS, least, greatest, *bounds, found)
    encode.encode_values(*call)
    assert np.array_equal(found, 1 + np.searchsorted(edges, values))
    benchmark(encode.encode_values, *call)


def test_buckets_of_ids(benchmark):
    ids = np.arange(1_000_000)
    found = np.empty(len(ids), np.int16)
    hashing.bucket_numbers(np.frombuffer(b"spring", np.uint8), ids, found)

    def fnv(text):
        state = 0x811C9DC5
        for byte in text.encode():
            state = ((state ^ byte) * 0x01000193) & 0xFFFFFFFF
        return state

    assert found[:100].tolist() == [fnv(str(fnv(f"spring{i}"))) % 10_000 for i in range(100)]
    benchmark(hashing.bucket_numbers, np.frombuffer(b"spring", np.uint8), ids, found)
