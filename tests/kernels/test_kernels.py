"""Each kernel does what a line of NumPy or a loop of Python does."""

from __future__ import annotations

import operator
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segengine.audiences.bucketing import bucket_of
from segengine.kernels import arithmetic, bits, calendar, encode, hashing, history, scan, truth
from segengine.kernels.jit import JIT_OFF
from tests.reference import bucketing
from tests.reference.local_time import local_date, start_of_date
from tests.reference.random_customers import TIMEZONES, random_instant

NONE = -(2**63)
INT64S = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
    [NONE, NONE + 1, 2**63 - 1, -1, 0, 1, 2**62, -(2**62), 2**31, -(2**31), 3_037_000_500]
)
BITMAPS = st.lists(st.booleans(), max_size=200)


def words_of(rows: list[bool] | NDArray[np.bool_], words: int | None = None) -> NDArray[np.uint64]:
    count = -(-len(rows) // 64) if words is None else words
    full = np.zeros(64 * count, np.bool_)
    full[: len(rows)] = rows
    return np.packbits(full, bitorder="little").view(np.uint64).copy()


def rows_in(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_)


# --- arithmetic


def whole(op: str, a: int, b: int) -> int:
    if NONE in (a, b) or (op in "//%" and b == 0):
        return NONE
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if b else 0
    found = {"+": a + b, "-": a - b, "*": a * b, "//": quotient, "%": a - quotient * b}[op]
    return found if -(2**63) <= found < 2**63 else NONE


@given(st.lists(st.tuples(INT64S, INT64S), min_size=1, max_size=50))
@pytest.mark.parametrize("op", ["+", "-", "*", "//", "%"])
def test_whole_arithmetic_is_pythons_within_64_bits(op: str, pairs: list[tuple[int, int]]) -> None:
    kernels = {"+": arithmetic.ADD, "-": arithmetic.SUBTRACT, "*": arithmetic.MULTIPLY,
               "//": arithmetic.DIVIDE, "%": arithmetic.REMAINDER}  # fmt: skip
    left, right = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    out = np.empty(len(pairs), np.int64)
    arithmetic.whole(kernels[op], left, right, out)
    assert out.tolist() == [whole(op, a, b) for a, b in pairs]


# --- three-valued logic


RELATIONS = {truth.EQUAL: operator.eq, truth.NOT_EQUAL: operator.ne, truth.LESS: operator.lt,
             truth.LESS_EQUAL: operator.le, truth.GREATER: operator.gt,
             truth.GREATER_EQUAL: operator.ge}  # fmt: skip
TRUTHS = st.lists(st.tuples(*[st.sampled_from([1, 0, -128])] * 2), min_size=1, max_size=40)


@given(st.lists(st.tuples(INT64S, INT64S), min_size=1, max_size=30))
@pytest.mark.parametrize("relation", RELATIONS)
def test_a_comparison_with_missing_is_unknown(relation: int, pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    out = np.empty(len(pairs), np.int8)
    truth.compare(relation, left, right, np.int64(NONE), out)
    expected = [-128 if NONE in pair else int(RELATIONS[relation](*pair)) for pair in pairs]
    assert out.tolist() == expected
    doubles = [np.where(side == NONE, np.nan, side) for side in (left, right)]
    truth.compare(relation, *doubles, np.nan, out)
    known = [NONE not in pair for pair in pairs]
    assert [t != -128 for t in out.tolist()] == known


@given(TRUTHS)
def test_and_and_or_are_sqls(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array(side, np.int8) for side in zip(*pairs, strict=True))
    both, either = left.copy(), left.copy()
    truth.both(right, both)
    truth.either(right, either)
    for a, b, found_both, found_either in zip(left, right, both, either, strict=True):
        assert found_both == (0 if 0 in (a, b) else (-128 if -128 in (a, b) else 1))
        assert found_either == (1 if 1 in (a, b) else (-128 if -128 in (a, b) else 0))


# --- bitmaps


@given(BITMAPS, BITMAPS, st.data())
def test_the_algebra_of_bitmaps_is_numpys(
    one: list[bool], other: list[bool], data: st.DataObject
) -> None:
    count = max(len(one), len(other)) // 64 + 1
    a, b = words_of(one, count), words_of(other, count)
    begin = data.draw(st.integers(0, count))
    end = data.draw(st.integers(begin, count))
    for kernel, expected in ((bits.and_into, a & b), (bits.or_into, a | b)):
        out = b.copy()
        kernel(a, begin, end, out)
        whole_words = np.where((np.arange(count) >= begin) & (np.arange(count) < end), expected, b)
        assert np.array_equal(out, whole_words)


@given(BITMAPS)
def test_rows_of_a_bitmap_are_counted_listed_set_and_cleared(rows: list[bool]) -> None:
    words, expected = words_of(rows, len(rows) // 64 + 1), np.flatnonzero(rows)
    at = np.empty(len(rows), np.bool_)
    bits.bits_at(words, np.arange(len(rows)), at)
    assert at.tolist() == rows
    assert bits.count_bits(words) == len(expected)
    out = np.empty(len(expected), np.int64)
    bits.rows_of(words, out)
    assert np.array_equal(out, expected)
    values = np.arange(64 * len(words), dtype=np.int64) * 3
    taken = np.empty(len(expected), np.int64)
    bits.take_rows(values, words, taken)
    assert np.array_equal(taken, expected * 3)
    built = np.zeros(len(words), np.uint64)
    bits.set_rows(out, built)
    assert np.array_equal(built, words)
    bits.clear_rows(out[::2].copy(), built)
    assert np.array_equal(np.flatnonzero(rows_in(built)), expected[1::2])


# --- scans


def joined(mode: int, before: NDArray[np.uint64], hits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    words = words_of(hits)
    return {scan.SET: words, scan.AND: before & words, scan.OR: before | words}[mode]


@given(st.integers(0, 2**32 - 1), st.sampled_from([scan.SET, scan.AND, scan.OR]))
def test_scans_find_what_a_comparison_finds(seed: int, mode: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, 192).astype(np.uint8)
    blocks = np.array([codes.min()]), np.array([codes.max()])
    before = rng.integers(0, 2**64, 3, dtype=np.uint64)
    first, last = sorted(rng.integers(0, 256, 2).tolist())
    hits = (codes >= first) & (codes <= last)
    out = before.copy()
    scan.scan_codes(codes, *blocks, np.uint8(first), np.uint8(last - first), 0, 3, mode, out)
    assert np.array_equal(out, joined(mode, before, hits))
    values = codes.astype(np.int64) * 10 + rng.integers(0, 10, 192)
    low, high = 10 * first + 3, 10 * last + 6
    out = before.copy()
    scan.scan_codes_exact(
        codes, *blocks, np.uint8(first), np.uint8(last - first), np.uint8(first), np.uint8(last),
        values, np.int64(low), np.int64(high), 0, 3, mode, out,
    )  # fmt: skip
    assert np.array_equal(out, joined(mode, before, (values >= low) & (values <= high)))
    truths = rng.choice(np.array([1, 0, -128], np.int8), 150)
    out = before.copy()
    scan.words_of_truth(truths, np.int8(0), 0, mode, out)
    assert np.array_equal(out, joined(mode, before, np.append(truths == 0, np.zeros(42, bool))))


@pytest.mark.skipif(JIT_OFF, reason="there is no intrinsic with the JIT off")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_the_vector_comparison_agrees_with_its_python_twin(dtype: Any) -> None:
    import numba

    @numba.njit
    def one_word(codes: Any, word: int, first: Any, span: Any) -> Any:
        return scan.word_within(codes, word, first, span)

    rng = np.random.default_rng(4)
    codes = rng.integers(0, 200, 256).astype(dtype)
    for _ in range(30):
        first, span = (dtype(x) for x in rng.integers(0, 200, 2))
        word = int(rng.integers(0, 4))
        expected = scan._word_within_twin(codes, word, first, span)
        assert one_word(codes, word, first, span) == expected


# --- codes of values


@given(st.integers(0, 2**32 - 1))
def test_a_code_is_one_more_than_the_edges_below(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.full(255, 2**63 - 1, np.int64)
    some = np.unique(rng.integers(-1000, 1000, rng.integers(1, 255)))
    edges[: len(some)] = some
    values = rng.integers(-1200, 1200, 300)
    values[::7] = NONE
    least, greatest = np.full(256, 2**63 - 1, np.int64), np.full(256, NONE, np.int64)
    blocks = np.full(1, 255, np.uint8), np.zeros(1, np.uint8)
    out = np.full(300, 99, np.uint8)
    encode.encode_values(values, np.int64(NONE), edges, 0, 300, least, greatest, *blocks, out)
    expected = np.where(values == NONE, 0, 1 + np.searchsorted(edges, values, side="left"))
    assert np.array_equal(out, expected)
    for code in set(out[values != NONE].tolist()):
        own = values[(out == code) & (values != NONE)]
        assert (least[code], greatest[code]) == (own.min(), own.max())
    assert [int(bound[0]) for bound in blocks] == [out.min(), out.max()]
    again, seen = np.full(300, 99, np.uint8), (np.full(1, 255, np.uint8), np.zeros(1, np.uint8))
    encode.encode_rows(values, np.int64(NONE), edges, np.arange(300), least, greatest, *seen, again)
    assert np.array_equal(again, out)
    assert [int(bound[0]) for bound in seen] == [out.min(), out.max()]


# --- keys and texts


@given(st.lists(st.tuples(st.integers(-5, 5) | INT64S, st.integers(0, 3)), max_size=100))
def test_keys_are_found_where_they_were_entered(keys: list[tuple[int, int]]) -> None:
    first = np.array([a for a, _ in keys], np.int64)
    second = np.array([b for _, b in keys], np.int64)
    slots = np.full(256, -1, np.int32)
    numbers = np.empty(len(keys), np.int64)
    hashing.number_keys(first, second, slots, numbers)
    assert numbers.tolist() == [keys.index(key) for key in keys]
    leaders = np.flatnonzero(numbers == np.arange(len(keys)))
    kept = first[leaders], second[leaders]
    table = np.full(256, -1, np.int32)
    hashing.add_places(*kept, np.int64(NONE), np.int64(-1), 0, len(leaders), table)
    entered = [keys[i] for i in leaders]
    asked = [*keys, (77, 77)]
    found = np.empty(len(asked), np.int64)
    hashing.find_keys(np.array([a for a, _ in asked], np.int64),
                      np.array([b for _, b in asked], np.int64), *kept, table, found)  # fmt: skip
    assert found.tolist() == [
        -1 if key[0] == NONE or key not in entered else entered.index(key) for key in asked
    ]


def buffers(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    data = "".join(texts).encode()
    lengths = [len(t.encode()) for t in texts]
    return np.cumsum([0, *lengths]).astype(np.int64), np.frombuffer(data, np.uint8).copy()


TEXTS = st.lists(st.text(max_size=6), max_size=40)


@given(TEXTS, TEXTS)
def test_texts_keep_the_code_they_got_first(first: list[str], more: list[str]) -> None:
    every = [*first, *more, *first]
    offsets, data = buffers(every)
    kept_offsets, kept_data = np.zeros(len(every) + 1, np.int64), np.zeros(len(data), np.uint8)
    slots, out = np.full(256, -1, np.int32), np.empty(len(every), np.int32)
    kept = hashing.encode_texts(offsets, data, kept_offsets, kept_data, 0, slots, out)
    order = list(dict.fromkeys(every))
    assert kept == len(order)
    assert out.tolist() == [order.index(t) for t in every]
    moved = np.full(512, -1, np.int32)
    hashing.place_texts(kept_offsets, kept_data, kept, moved)
    asked = [*every, "not among them, surely"]
    found = np.empty(len(asked), np.int32)
    hashing.find_texts(*buffers(asked), kept_offsets, kept_data, moved, found)
    assert found.tolist() == [*out.tolist(), -1]


@given(st.text(max_size=8), st.lists(INT64S, max_size=20))
def test_buckets_of_numbers_are_those_of_their_decimal_text(salt: str, ids: list[int]) -> None:
    out = np.empty(len(ids), np.int16)
    hashing.bucket_numbers(np.frombuffer(salt.encode(), np.uint8), np.array(ids, np.int64), out)
    expected = [round((bucketing.bucket(salt, str(i)) or 0) * 10_000) for i in ids]
    assert out.tolist() == expected == [bucket_of(salt, i) for i in ids]


@given(st.text(max_size=8), st.lists(st.text(max_size=8), min_size=1, max_size=20))
def test_buckets_of_texts_are_those_of_their_bytes(salt: str, ids: list[str]) -> None:
    seed = np.frombuffer(salt.encode(), np.uint8)
    offsets, data = buffers(ids)
    codes = np.arange(len(ids), dtype=np.int32)[::-1].copy()
    out = np.empty(len(ids), np.int16)
    hashing.bucket_texts(seed, offsets, data, codes, out)
    expected = [round((bucketing.bucket(salt, i) or 0) * 10_000) for i in reversed(ids)]
    assert out.tolist() == expected == [bucket_of(salt, i) for i in reversed(ids)]


# --- history and messages


@given(st.lists(st.integers(-1, 5), max_size=60), st.integers(0, 60))
def test_chains_lead_from_the_latest_event_to_the_first(owners: list[int], cut: int) -> None:
    array = np.array(owners, np.int32)
    heads, previous = np.full(6, -1, np.int32), np.full(len(owners), -9, np.int32)
    cut = min(cut, len(owners))
    history.link_rows(array, 0, cut, heads, previous)
    history.link_rows(array, cut, len(owners), heads, previous)
    for owner in range(6):
        chain, row = [], int(heads[owner])
        while row >= 0:
            chain.append(row)
            row = int(previous[row])
        assert chain == [i for i, o in enumerate(owners) if o == owner][::-1]


# --- the calendar


@pytest.mark.parametrize("timezone", TIMEZONES)
def test_dates_of_instants_and_their_beginnings_are_the_zones(timezone: str) -> None:
    from datetime import UTC, datetime, timedelta

    from segengine import days

    zone, rng = days.zone(timezone), Random(5)
    as_of = datetime(2024, 3, 10, 5, tzinfo=UTC)
    for _ in range(200):
        instant = random_instant(rng, as_of, timezone)
        micros = (instant - days.EPOCH) // timedelta(microseconds=1)
        day = calendar.local_day(np.int64(micros), zone.starts, zone.offsets)
        here = local_date(instant, timezone)
        assert day == (here - days.EPOCH_DATE).days
        begin = calendar.day_start(np.int64(day), zone.starts, zone.offsets)
        start = start_of_date(here, timezone)
        assert begin == (start - days.EPOCH) // timedelta(microseconds=1)
