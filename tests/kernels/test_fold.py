"""Rows that are dealt to buckets and folded there come to what a loop over owners comes to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segengine.kernels import fold, jit
from segengine.rules import dealing, history
from segengine.rules.dealing import dealt
from tests.kernels.test_kernels import rows_in, words_of

COUNT = 70_000
OWNERS = (-1, 0, 1, 32_767, 32_768, 32_769, 65_535, 65_536, 69_999)
"""Nobody, and owners on both sides of the edges between buckets of 32,768."""
NONE = -(2**63)
SEEDS = st.integers(0, 2**32 - 1)
ROWS = st.sampled_from([1, 63, 64, 65, 300])


@pytest.fixture(params=[1, 2, 3], ids=lambda threads: f"{threads} threads", autouse=True)
def _hands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hands of two words, so that there are several, and so many threads."""
    monkeypatch.setattr(dealing, "_HAND_WORDS", 2)
    monkeypatch.setattr(dealing, "_free", [])
    monkeypatch.setattr(jit, "THREADS", request.param)
    with ThreadPoolExecutor(request.param) as pool:
        monkeypatch.setattr(jit, "_pool", pool if request.param > 1 else None)
        yield


class Drawn:
    """Some rows, who owns each, and which of them are in."""

    def __init__(self, seed: int, rows: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rows = rows
        crowd = self.rng.choice(OWNERS, self.rng.integers(1, len(OWNERS)))
        self.owners = self.rng.choice(crowd, rows).astype(np.int32)
        self.hits = self.rng.random(rows) < self.rng.choice([0.0, 0.1, 0.5, 1.0])
        self.words = words_of(self.hits)

    def by_owner(self) -> dict[int, list[int]]:
        """The rows of each owner that are in, in arrival order."""
        found: dict[int, list[int]] = {}
        for row in range(self.rows):
            if self.hits[row] and self.owners[row] >= 0:
                found.setdefault(int(self.owners[row]), []).append(row)
        return found


def of_owners(out: NDArray[Any], nothing: Any) -> dict[int, Any]:
    """What each owner came to, of those that came to anything."""
    differs = out != nothing if nothing == nothing else ~np.isnan(out)
    return {int(owner): out[owner].item() for owner in np.flatnonzero(differs)}


@given(seed=SEEDS, rows=ROWS)
def test_every_row_is_dealt_once_to_its_owner_in_arrival_order(seed: int, rows: int) -> None:
    drawn = Drawn(seed, rows)
    values = drawn.rng.integers(-(2**40), 2**40, rows)
    seen: dict[int, list[int]] = {}

    def take(share: dealing.Share, begin: int, end: int, low: int) -> None:
        for place in range(begin, end):
            row = int(share.rows[place])
            assert share.values[place] == values[row]
            seen.setdefault(low + int(share.slots[place]), []).append(row)

    for hand in dealt(drawn.words, drawn.owners, COUNT, values, with_rows=True):
        hand.each(take)
    assert seen == drawn.by_owner()


@pytest.mark.parametrize(("most", "dtype"), [(2**31 - 1, np.int32), (3, np.uint8)])
@given(seed=SEEDS, rows=ROWS)
def test_counts_stop_at_the_most_that_is_asked(seed: int, rows: int, most: int, dtype: Any) -> None:
    drawn, out = Drawn(seed, rows), np.zeros(COUNT, dtype)
    for hand in dealt(drawn.words, drawn.owners, COUNT):
        hand.each(lambda h, a, b, low: fold.count(h.slots, a, b, most, out[low:]))
    expected = {owner: min(len(own), most) for owner, own in drawn.by_owner().items()}
    assert of_owners(out, 0) == expected


def test_a_byte_counts_to_255_and_stays_there() -> None:
    owners, out = np.zeros(640, np.int32), np.zeros(64, np.uint8)
    for hand in dealt(words_of(np.ones(640, np.bool_)), owners, 1):
        hand.each(lambda h, a, b, low: fold.count(h.slots, a, b, 255, out[low:]))
    assert of_owners(out, 0) == {0: 255}


@given(seed=SEEDS, rows=ROWS, large=st.booleans())
def test_sums_of_whole_numbers_are_exact_and_say_when_they_passed(
    seed: int, rows: int, *, large: bool
) -> None:
    drawn = Drawn(seed, rows)
    pool = [NONE, NONE + 1, 2**63 - 1, 2**62, -(2**62), 1, -1, 0] if large else [NONE, -7, 0, 9]
    values = drawn.rng.choice(np.array(pool, np.int64), rows)
    sums, counts = np.zeros(COUNT, np.int64), np.zeros(COUNT, np.int32)
    passed: list[bool] = []
    for hand in dealt(drawn.words, drawn.owners, COUNT, values):
        hand.each(lambda h, a, b, low: passed.append(bool(fold.sum_whole(
            h.slots, h.values, np.int64(NONE), a, b, sums[low:], counts[low:]
        ))))  # fmt: skip
    exact = history._exact_sums(drawn.words, drawn.owners, values, np.int64(NONE), COUNT)
    is_beyond = False
    for owner, own in drawn.by_owner().items():
        known = [int(values[row]) for row in own if values[row] != NONE]
        running = [sum(known[: n + 1]) for n in range(len(known))]
        is_beyond |= any(not NONE <= total < 2**63 for total in running)
        total = sum(known)
        assert counts[owner] == len(known)
        assert (int(sums[owner]) - total) % 2**64 == 0
        assert exact[owner] == (total if NONE < total < 2**63 else NONE)
    assert any(passed) == is_beyond
    assert set(of_owners(counts, 0)) <= set(drawn.by_owner())


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
@given(seed=SEEDS, rows=ROWS)
def test_narrow_numbers_are_summed_without_counts_too(seed: int, rows: int, dtype: Any) -> None:
    drawn = Drawn(seed, rows)
    missing = np.iinfo(dtype).min
    values = drawn.rng.choice(np.array([missing, -3, 5, np.iinfo(dtype).max], dtype), rows)
    sums, none = np.zeros(COUNT, np.int64), np.empty(0, np.int32)
    for hand in dealt(drawn.words, drawn.owners, COUNT, values):
        hand.each(lambda h, a, b, low: fold.sum_whole(
            h.slots, h.values, dtype(missing), a, b, sums[low:], none[low:]
        ))  # fmt: skip
    for owner, own in drawn.by_owner().items():
        assert sums[owner] == sum(int(values[row]) for row in own if values[row] != missing)


@given(seed=SEEDS, rows=ROWS)
def test_floats_are_added_in_arrival_order_and_nan_is_missing(seed: int, rows: int) -> None:
    drawn = Drawn(seed, rows)
    values = drawn.rng.choice([np.nan, 0.1, 0.2, -0.3, 1e16, -1e16, 1e308, np.inf], rows)
    sums, counts = np.zeros(COUNT), np.zeros(COUNT, np.int32)
    for hand in dealt(drawn.words, drawn.owners, COUNT, values):
        hand.each(lambda h, a, b, low: fold.sum_float(
            h.slots, h.values, a, b, sums[low:], counts[low:]
        ))  # fmt: skip
    for owner, own in drawn.by_owner().items():
        known = [float(values[row]) for row in own if not math.isnan(values[row])]
        total = 0.0
        for value in known:
            total += value
        assert counts[owner] == len(known)
        assert sums[owner] == total or (math.isnan(sums[owner]) and math.isnan(total))


POOLS = [
    (np.int8, -128, [-127, -1, 0, 1, 127]),
    (np.int32, -1, [0, 1, 2, 2**31 - 1]),
    (np.int64, NONE, [NONE + 1, -5, 0, 2**63 - 1]),
    (np.float64, math.nan, [-math.inf, -1.5, 0.0, 2.5, math.inf]),
]


@pytest.mark.parametrize("greatest", [False, True], ids=["least", "greatest"])
@pytest.mark.parametrize(("dtype", "missing", "pool"), POOLS)
@given(seed=SEEDS, rows=ROWS)
def test_extremes_pass_over_missing_values(
    seed: int, rows: int, dtype: Any, missing: Any, pool: list[Any], *, greatest: bool
) -> None:
    drawn = Drawn(seed, rows)
    values = drawn.rng.choice(np.array([missing, *pool], dtype), rows)
    out = np.full(COUNT, missing, dtype)
    for hand in dealt(drawn.words, drawn.owners, COUNT, values):
        hand.each(lambda h, a, b, low: fold.extremes(
            h.slots, h.values, dtype(missing), greatest, a, b, out[low:]
        ))  # fmt: skip
    expected = {}
    for owner, own in drawn.by_owner().items():
        known = [v for v in values[own].tolist() if v != missing and not math.isnan(v)]
        if known:
            expected[owner] = max(known) if greatest else min(known)
    assert of_owners(out, missing) == expected


@pytest.mark.parametrize("latest", [False, True], ids=["first", "last"])
@given(seed=SEEDS, rows=ROWS)
def test_the_first_and_the_last_row_go_by_time_and_then_by_arrival(
    seed: int, rows: int, *, latest: bool
) -> None:
    drawn = Drawn(seed, rows)
    times = drawn.rng.integers(-3, 4, rows)
    best, out = np.empty(COUNT, np.int64), np.full(COUNT, -1, np.int32)
    for hand in dealt(drawn.words, drawn.owners, COUNT, times, with_rows=True):
        hand.each(lambda h, a, b, low: fold.edges(
            h.slots, h.values, h.rows, latest, a, b, best[low:], out[low:]
        ))  # fmt: skip
    pick = max if latest else min
    expected = {
        owner: pick(own, key=lambda row: (times[row], row))
        for owner, own in drawn.by_owner().items()
    }
    assert of_owners(out, -1) == expected


@given(seed=SEEDS, rows=ROWS)
def test_places_are_marked_once_and_another_owner_is_noticed(seed: int, rows: int) -> None:
    drawn = Drawn(seed, rows)
    place_owners = drawn.rng.choice(OWNERS[1:], 70).astype(np.int32)
    places = drawn.rng.integers(-1, 70, rows).astype(np.int32)
    owners = np.where(places >= 0, place_owners[places], 0).astype(np.int32)
    owners[drawn.rng.random(rows) < 0.2] = -1
    out = np.zeros(2, np.uint64)
    assert fold.mark_places(drawn.words, places, owners, place_owners, out)
    hits = drawn.hits & (places >= 0) & (owners >= 0)
    assert np.array_equal(np.flatnonzero(rows_in(out)), np.unique(places[hits]))
    if hits.any():
        owners[np.flatnonzero(hits)[-1]] += 1
        assert not fold.mark_places(drawn.words, places, owners, place_owners, out)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**32 - 1) | st.integers(0, 2))))
def test_different_values_are_counted_once_an_owner(pairs: list[tuple[int, int]]) -> None:
    array = np.sort(np.array([owner << 32 | value for owner, value in pairs], np.int64))
    out = np.zeros(5, np.int32)
    fold.count_changes(array, out)
    assert out.tolist() == [len({pair for pair in pairs if pair[0] == owner}) for owner in range(5)]
