"""A served store's snapshots are written when they are due, and nobody is told too little."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from segengine_server.snapshots import snapshots_written

import segengine as se
from segengine.errors import StoreError
from segengine.storage.snapshot import current_name

SOON = 0.001


class Fake:
    """A store whose snapshot is due so many times, and succeeds or not."""

    def __init__(self, due: int, *, fails: int = 0) -> None:
        self.left, self.fails, self.made = due, fails, 0
        self.done, self.stopped = threading.Event(), threading.Event()

    def snapshot_due(self) -> str | None:
        if self.left == 0:
            self.done.set()
            return None
        return "it is time"

    def snapshot(self, progress: Callable[[int, int], None] | None = None, /) -> int | None:
        if self.fails:
            self.fails -= 1
            raise StoreError("the disk is full", field="store")
        assert progress is not None
        for part in (10, 30, 31, 99, 100):
            progress(part, 100)
        self.left -= 1
        self.made += 1
        return 7

    def stop_snapshot(self) -> None:
        self.stopped.set()


def test_what_is_due_is_written_and_how_far_it_is_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Fake(2)
    with caplog.at_level(logging.INFO), snapshots_written(store, SOON, SOON):
        assert store.done.wait(30)
    assert store.made == 2
    assert "writing a snapshot: it is time" in caplog.text
    assert "30 % of 0.0 MB" in caplog.text
    assert "31 %" not in caplog.text
    assert "holds the changes up to 7" in caplog.text


def test_what_could_not_be_written_is_said_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Fake(1, fails=2)
    with caplog.at_level(logging.INFO), snapshots_written(store, SOON, SOON):
        assert store.done.wait(30)
    assert caplog.text.count("no snapshot was written: the disk is full") == 2
    assert store.made == 1


def test_one_in_the_making_is_given_up_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    store = Fake(1)
    begun = threading.Event()

    def never_ends(_: object = None, /) -> int | None:
        begun.set()
        assert store.stopped.wait(30)
        raise StoreError("it was stopped", field="store")

    store.snapshot = never_ends  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING), snapshots_written(store, SOON, SOON):
        assert begun.wait(30)
    assert not caplog.text


def test_a_served_store_has_its_snapshot_written_beside_appends(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text(
        '[store]\ntimezone = "UTC"\nas_of = 2024-03-01T12:00:00Z\n[storage]\nsnapshot_log_mb = 1\n'
    )
    with se.Engine.open(tmp_path) as engine:
        texts = pa.array([f"{k:040d}" for k in range(30_000)])
        engine.append("customers", pa.table({"customer_id": texts, "city": texts}))
        assert engine.snapshot_due() is not None
        with snapshots_written(engine, SOON, SOON):
            engine.append("customers", pa.table({"customer_id": ["a"]}))
            while engine.snapshot_due() is not None:
                assert engine.segment("customer_id = 'a'").count() == 1
        # Asked only now: while the first is written, its folder is there and it is not in use.
        assert current_name(tmp_path) is not None
        count = engine.segment("true").count()
    with se.Engine.open(tmp_path) as found:
        assert found.segment("true").count() == count == 30_001
