"""A store with two snapshots and a tail, made once a module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import segengine as se
from segengine import snapshots
from tests.ingest.samples import orders
from tests.storage.kept import HereMaker
from tests.storage.test_snapshot import fill, store


@pytest.fixture
def made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "Maker", HereMaker)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two snapshots and a tail, which nobody changes: tests copy it."""
    folder = store(tmp_path_factory.mktemp("made") / "store")
    with pytest.MonkeyPatch.context() as patch, se.Engine.open(folder) as engine:
        patch.setattr(snapshots, "Maker", HereMaker)
        with engine.built_once():
            fill(engine, (1, 2, 3))
        engine.append("orders", orders(4, amount=[40.0]))
        assert engine.snapshot() == 1
        engine.append("orders", orders(5, amount=[50.0]))
    return folder


@pytest.fixture
def used(made: Path, tmp_path: Path, made_here: None) -> Path:
    return Path(shutil.copytree(made, tmp_path / "used"))
