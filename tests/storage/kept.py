"""A store with snapshots, as tests of what is kept look at it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import segengine as se
from segengine import snapshot_maker
from segengine.storage import snapshot
from tests.storage.test_snapshot import state


class HereMaker:
    """Makes the snapshot in this process: the same code, without a second's start."""

    def __init__(self, store: Path, target: Path, asked: snapshot_maker.Asked) -> None:
        self.store, self.target = store, target
        self.asked: snapshot_maker.Asked = pickle.loads(pickle.dumps(asked))

    def wait(self, progress: Any = None) -> int:
        return snapshot_maker.make(
            self.store, self.target, self.asked, progress or (lambda *_: None), lambda _: None
        )

    def stop(self) -> None:
        pass


def names_of(folder: Path) -> list[str]:
    return [each.name for each in snapshot.kept_snapshots(folder)]


def emptied(path: Path) -> None:
    """Another file in its place: one that is mapped is not to be cut short."""
    path.unlink()
    path.write_bytes(b"")


def the_state(folder: Path) -> dict[str, Any]:
    with se.Engine.open(folder, read_only=True) as found:
        return state(found)
