"""How do several batches become lasting with one sync?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine import appending
from segengine.appending import Append
from segengine.errors import LoadError, StoreError
from segengine.storage.log import Log

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
TABLES = ("orders", "order_lines", "behaviors", "reviews", "messages")


def opened(folder: Path) -> se.Engine:
    (folder / "store.toml").write_text("[store]\nas_of = 2026-03-01T00:00:00Z\n")
    return se.Engine.open(folder)


def visits(*buyers: int, **columns: Sequence[Any]) -> pa.Table:
    count = len(buyers)
    return pa.table(
        {"customer_id": list(buyers), "time": [AS_OF] * count, "kind": ["visit"] * count, **columns}
    )


def drawn(rng: Random) -> Append:
    """A batch that may meet others of its like: few buyers, few ids."""
    table, rows = rng.choice(TABLES), rng.randrange(1, 4)
    columns: dict[str, list[Any]] = {
        "customer_id": [rng.randrange(1, 5) for _ in range(rows)],
        "time": [AS_OF - timedelta(hours=rng.randrange(50)) for _ in range(rows)],
    }
    if rng.random() < 0.5:
        columns["event_id"] = [f"e{rng.randrange(12)}" for _ in range(rows)]
    if table in ("orders", "order_lines"):
        columns["order_id"] = [rng.randrange(8) for _ in range(rows)]
        columns["amount"] = [float(rng.randrange(1, 90)) for _ in range(rows)]
    elif table == "reviews":
        columns["review_id"] = [f"r{rng.randrange(6)}" for _ in range(rows)]
        columns["rating"] = [rng.randrange(1, 6) for _ in range(rows)]
    else:
        columns["kind"] = [rng.choice(("visit", "sent")) for _ in range(rows)]
    if rng.random() < 0.2:
        columns[rng.choice(("extra", "more"))] = [rng.randrange(9) for _ in range(rows)]
    key = f"k{rng.randrange(8)}" if rng.random() < 0.4 else None
    return Append(table, pa.table(columns), rng.choice(("refuse", "skip")), key)


def state(engine: se.Engine) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for table in ("customers", *TABLES):
        rows = engine.table(table).to_pylist()
        found[table] = sorted((dict(sorted(row.items())) for row in rows), key=repr)
    return found


def events(engine: se.Engine) -> dict[str, list[dict[str, Any]]]:
    """Without what was fitted: a store that is opened fits anew."""
    return {name: rows for name, rows in state(engine).items() if name != "customers"}


def said(report: se.LoadReport) -> tuple[Any, ...]:
    problems = [(p.column, p.reason, p.rows) for p in report.problems]
    return (
        report.table, report.rows_read, report.rows_loaded, report.rows_skipped,
        report.rows_repeated, report.offset, problems,
    )  # fmt: skip


def assert_together_is_one_by_one(seed: int, folder: Path) -> None:
    rng = Random(seed)
    batches = [drawn(rng) for _ in range(10)]
    with opened_in(folder, "one") as one, opened_in(folder, "all") as together:
        expected: list[Any] = []
        for each in batches:
            try:
                report = one.append(each.table, each.data, on_error=each.on_error, key=each.key)
                expected.append(said(report))
            except LoadError as refused:
                expected.append(str(refused))
        found: list[Any] = []
        while len(found) < len(batches):
            reports, error = together.append_each(batches[len(found) :])
            found += map(said, reports)
            if error is not None:
                found.append(str(error))
        assert found == expected
        assert state(one) == state(together)
    with se.Engine.open(folder / "all") as again:
        assert events(again) == events(together)


def opened_in(folder: Path, name: str) -> se.Engine:
    (folder / name).mkdir()
    return opened(folder / name)


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_batches_that_are_taken_together_come_to_what_they_come_to_one_by_one(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert_together_is_one_by_one(seed, tmp_path_factory.mktemp("store"))


@pytest.mark.prove
@settings(max_examples=300)
@given(seed=st.integers(0, 2**32 - 1))
def test_many_batches_that_are_taken_together_come_to_what_they_come_to_one_by_one(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert_together_is_one_by_one(seed, tmp_path_factory.mktemp("store"))


def test_batches_of_one_call_share_a_sync_and_have_reports_of_their_own(tmp_path: Path) -> None:
    with opened(tmp_path) as engine:
        engine.append("behaviors", visits(1))
        before = engine._appending.syncs
        reports, error = engine.append_each(
            [Append("behaviors", visits(*range(k + 1))) for k in range(10)]
        )
        assert error is None
        assert [report.rows_loaded for report in reports] == list(range(1, 11))
        assert [report.offset for report in reports] == list(range(2, 12))
        assert engine._appending.syncs == before + 1


def brought_at_once(
    engine: se.Engine, buyers: Sequence[int], bring: Callable[[int], object]
) -> list[BaseException]:
    """What fails where a thread for each of these buyers brings something, and all wait in line."""
    failures: list[BaseException] = []

    def brought(buyer: int) -> None:
        try:
            bring(buyer)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=brought, args=(buyer,)) for buyer in buyers]
    with engine._writer:
        for each in threads:
            each.start()
        while len(engine._appending._line) + len(failures) < len(threads):
            pass
    for each in threads:
        each.join(30)
    assert not any(each.is_alive() for each in threads)
    return failures


def test_whoever_waits_is_known_by_who_they_are_not_by_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever is done leaves the line while others stand in it.
    monkeypatch.setattr(appending, "MOST_TOGETHER", 1)
    with opened(tmp_path) as engine:
        engine.append("behaviors", visits(1))

        def bring(_: int) -> None:
            # Frames of polars cannot be compared to others with `==` in a condition.
            engine.append("behaviors", pl.from_arrow(visits(2, 3)))

        assert brought_at_once(engine, range(8), bring) == []


def test_batches_that_wait_for_each_other_share_a_sync(tmp_path: Path) -> None:
    with opened(tmp_path) as engine:
        engine.append("behaviors", visits(1))
        before = engine._appending.syncs
        offsets: list[int | None] = []

        def bring(buyer: int) -> None:
            offsets.append(engine.append("behaviors", visits(buyer)).offset)

        assert brought_at_once(engine, range(2, 22), bring) == []
        assert sorted(o for o in offsets if o is not None) == list(range(2, 22))
        assert engine._appending.syncs == before + 1
        assert engine.segment("visits_7d = 1").count() == 21


def test_a_bad_batch_ends_its_call_and_nobody_elses(tmp_path: Path) -> None:
    with opened(tmp_path) as engine:
        bad = visits(1).set_column(1, "time", pa.array(["not a moment"]))
        reports, error = engine.append_each(
            [Append("behaviors", each) for each in (visits(1), bad, visits(2))]
        )
        assert len(reports) == 1
        assert isinstance(error, LoadError)
        assert engine.segment("visits_7d = 1").count() == 1
        assert engine.append("behaviors", visits(2)).rows_loaded == 1


def test_where_not_all_can_be_kept_each_is_tried_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as engine:
        engine.append("behaviors", visits(1))
        write = Log.write

        def short_of_room(log: Log, changes: Any) -> int:
            if sum(len(each.payload) for each in changes) > 3000:
                raise StoreError("no room", field="store")
            return write(log, changes)

        monkeypatch.setattr(Log, "write", short_of_room)
        large = visits(*range(1000, 2000))
        batches = [visits(2), visits(3), large, visits(4)]
        reports, error = engine.append_each([Append("behaviors", each) for each in batches])
        assert [report.offset for report in reports] == [2, 3]
        assert isinstance(error, StoreError)
        assert engine.segment("visits_7d = 1").count() == 3
        assert engine.append("behaviors", visits(4)).offset == 4
    with se.Engine.open(tmp_path) as again:
        assert again.segment("visits_7d = 1").count() == 4


def test_a_key_that_comes_twice_in_one_call_counts_once(tmp_path: Path) -> None:
    with opened(tmp_path) as engine:
        twice = [
            Append("behaviors", visits(1, 2), key="a"),
            Append("behaviors", visits(1, 2), key="a"),
        ]
        (first, second), error = engine.append_each(twice)
        assert error is None
        assert said(first) == said(second)
        assert engine.segment("TRUE").count() == 2


def test_a_stream_that_can_be_read_once_is_taken_in_whole_though_it_meets_one_before(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as engine:
        engine.append("behaviors", visits(1, event_id=["first"]))
        before = visits(2, 3, event_id=["a", "b"])
        stream = visits(4, 5, 6, event_id=["b", "c", "d"]).to_reader()
        reports, error = engine.append_each(
            [Append("behaviors", each) for each in (before, stream)]
        )
        assert error is None
        assert [(r.rows_loaded, r.rows_repeated) for r in reports] == [(2, 0), (2, 1)]
