"""Whose events are whose: dealt for all buyers, followed along chains for some."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest

from segengine.kernels import history, jit
from segengine.traits import purchase_history_loops, work
from segengine.traits.work import TraitSettings, Work
from tests.traits.histories import Shop, engine_of

BUCKET = 1 << history.BUCKET_SHIFT


@pytest.fixture(params=[1, 2, 3], ids=lambda threads: f"{threads} threads")
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(work, "_MANY", 1)
    monkeypatch.setattr(jit, "THREADS", request.param)
    with ThreadPoolExecutor(request.param) as pool:
        monkeypatch.setattr(jit, "_pool", pool if request.param > 1 else None)
        yield


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("count", [1, 2, BUCKET - 1, BUCKET, BUCKET + 1, 3 * BUCKET + 5])
@pytest.mark.parametrize("rows", [0, 1, 7, 5000])
def test_events_are_dealt_to_their_owners_in_the_order_of_arrival(count: int, rows: int) -> None:
    rng = np.random.default_rng(count + rows)
    owners = rng.integers(-1, count, rows + 10).astype(np.int32)
    owners[rng.random(rows + 10) < 0.5] = rng.choice([-1, 0, count // 2, count - 1])
    found = work._dealt(owners, rows, count)
    order = np.argsort(owners[:rows], kind="stable")
    kept = order[owners[:rows][order] >= 0]
    assert found.events.tolist() == kept.tolist()
    assert found.begins[0] == 0
    sizes = np.bincount(owners[:rows][owners[:rows] >= 0], minlength=count)
    assert np.diff(found.begins).tolist() == sizes.tolist()


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("seed", range(3))
def test_all_buyers_at_once_and_one_by_one_have_the_same_history(seed: int) -> None:
    rng = Random(seed)
    shop = Shop.drawn(rng)
    shop.ties = True
    engine = engine_of(shop)
    for _ in range(6):
        batch = shop.batch(rng.choice(("orders", "order_lines")), 30)
        engine.load(batch.table, batch.to_arrow())
    tables, settings = engine._tables, TraitSettings(engine._zone, engine.config)
    everybody = np.arange(tables.customers.rows, dtype=np.int64)

    def of(rows: np.ndarray, *, all_rows: bool) -> Work:
        return Work(tables, settings, engine._current.as_of, rows, {}, all_rows=all_rows)

    whole = of(everybody, all_rows=True)
    for row in everybody:
        alone = of(everybody[row : row + 1], all_rows=False)
        for table in ("orders", "order_lines"):
            begins, events = whole.history(table)
            expected = events[begins[row] : begins[row + 1]]
            assert alone.history(table).events.tolist() == expected.tolist()
        ours, theirs = whole.purchases(), alone.purchases()
        begin, count = int(ours.begins[row]), int(ours.counts[row])
        assert int(theirs.counts[0]) == count
        assert theirs.placed[0] == ours.placed[row]
        for mine, other in ((ours.orders, theirs.orders), (ours.times, theirs.times)):
            assert mine[begin : begin + count].tolist() == other[:count].tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 50, 3000])
@pytest.mark.parametrize("disorder", ["none", "little", "reversed", "random"])
def test_purchases_are_in_order_of_time_and_ties_in_order_of_arrival(
    count: int, disorder: str
) -> None:
    rng = np.random.default_rng(count)
    time = np.sort(rng.integers(0, max(1, count // 3), count)).astype(np.int64)
    if disorder == "little":
        time[: count // 10] = rng.permutation(time[: count // 10])
    elif disorder == "reversed":
        time = time[::-1].copy()
    elif disorder == "random":
        time = rng.permutation(time)
    bought = (rng.random(count) < 0.8).astype(np.int8)
    as_of = int(time.max(initial=0)) - 1
    out = [np.full(count, -7, dtype) for dtype in (np.int32, np.int64)]
    counts, placed = np.zeros(1, np.int32), np.zeros(1, np.int32)
    purchase_history_loops.purchases_of(
        np.array([0, count]), np.arange(count, dtype=np.int32), np.int64(as_of), time, bought,
        counts, placed, *out,
    )  # fmt: skip
    rows = np.flatnonzero((time <= as_of) & (bought == 1))
    expected = rows[np.argsort(time[rows], kind="stable")]
    assert placed[0] == (time <= as_of).sum()
    assert out[0][: counts[0]].tolist() == expected.tolist()
    assert out[1][: counts[0]].tolist() == time[expected].tolist()
