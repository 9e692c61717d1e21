"""A copy of a store in use is a store; a damaged file is found; who was deleted stays deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

import segengine as se
from segengine.cli.app import app
from segengine.storage import catalogue_file
from segengine.storage.backup import copy_store
from segengine.storage.log import ACKNOWLEDGED, FILE
from segengine.storage.snapshot import KEPT
from segengine.storage.verify import verified
from tests.storage.test_log import tables_of
from tests.storage.test_snapshot import fill, store


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A store with a snapshot, a log and a run."""
    folder = store(tmp_path / "used")
    with se.Engine.open(folder) as engine:
        fill(engine, ("a", "b", "c"))
        engine.define_campaign(se.Campaign("spring", "true"))
        engine.run_campaign("spring")
        engine.append("customers", pa.table({"customer_id": ["d"]}))
    return folder


def ask(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(each) for each in arguments])
    return found.exit_code, found.output


def test_a_copy_of_a_store_in_use_is_that_store(used: Path, tmp_path: Path) -> None:
    with se.Engine.open(used) as engine:
        engine.append("customers", pa.table({"customer_id": ["e"]}))
        code, said = ask("store", "backup", tmp_path / "copy", "--store", used)
        assert code == 0, said
        engine.append("customers", pa.table({"customer_id": ["later"]}))
        with se.Engine.open(tmp_path / "copy") as copy:
            assert copy.segment("true").ids().to_pylist() == ["a", "b", "c", "d", "e"]
            assert list(copy.runs) == list(engine.runs)
            # It is a store of its own.
            copy.append("customers", pa.table({"customer_id": ["other"]}))
            assert not engine.segment("customer_id = 'other'").count()


def test_what_is_not_empty_is_not_copied_into(used: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    code, said = ask("store", "backup", tmp_path / "full", "--store", used)
    assert code == 2
    assert "is not empty; name a new directory" in said
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("inside", [".", "backup", "snapshots/backup"])
def test_a_backup_is_not_made_within_its_store(used: Path, inside: str) -> None:
    before = sorted(used.rglob("*"))
    code, said = ask("store", "backup", used / inside, "--store", used)
    assert code == 2
    assert "is within the store that is copied; name a directory elsewhere" in said
    assert sorted(used.rglob("*")) == before


def test_a_damaged_file_is_not_backed_up_and_is_found(used: Path, tmp_path: Path) -> None:
    assert all(each.error is None for each in verified(used))
    code, said = ask("store", "verify", "--store", used)
    assert code == 0
    assert "all sound" in said
    files = [each.file for each in verified(used)]
    assert {FILE, ACKNOWLEDGED, "CURRENT"} <= {path.name for path in files}
    assert any(path.parent.name == "runs" for path in files)
    for path in files:
        if path.name in (ACKNOWLEDGED, catalogue_file.ACKNOWLEDGED):
            continue  # either of its slots is enough
        data = path.read_bytes()
        changed = bytearray(data)
        # Much of a SQLite file is room: bytes of its head are not.
        heads = {FILE: 20, catalogue_file.FILE: 68}
        changed[heads.get(path.name, len(data) // 2)] ^= 0xFF
        path.write_bytes(changed)
        found = {each.file.name: each.error for each in verified(used)}
        if path.name != FILE:
            assert found[path.name] is not None, path
            if path.name != KEPT:  # the copy is of the snapshot in use
                with pytest.raises(se.StoreError, match="damaged"):
                    copy_store(used, tmp_path / "copy")
            assert not (tmp_path / "copy").exists()
            code, said = ask("store", "verify", "--store", used, "--json")
            assert code == 1
            assert json.loads(said)["damaged"] >= 1
        path.write_bytes(data)
    assert all(each.error is None for each in verified(used))


def test_a_load_during_the_copy_is_in_it_with_what_came_after_or_neither_is(
    used: Path, tmp_path: Path
) -> None:
    with se.Engine.open(used) as engine:
        turns: list[int] = []

        def load(path: Path) -> None:
            # Between the snapshot and the log; what is appended rests on the load.
            if path == used:
                turns.append(len(turns))
                if turns == [0]:
                    engine.load("customers", pa.table({"customer_id": ["e"], "city": ["x"]}))
                    engine.append("customers", pa.table({"customer_id": ["e", "f"]}))

        copy_store(used, tmp_path / "copy", load)
        assert turns == [0, 1]
        with se.Engine.open(tmp_path / "copy") as copy:
            assert tables_of(copy) == tables_of(engine)

        def always(path: Path) -> None:
            if path == used:
                engine.load("products", pa.table({"product_id": ["p"]}))

        with pytest.raises(se.StoreError, match=r"was loaded into, .* make the backup when"):
            copy_store(used, tmp_path / "other", always)
        assert not (tmp_path / "other").exists()


def test_snapshots_and_compacting_during_the_copy_leave_no_gap_in_it(
    used: Path, tmp_path: Path
) -> None:
    with se.Engine.open(used) as engine:
        for number, change in enumerate((
            lambda: [engine.snapshot(beside=False) for _ in range(3)],
            engine.compact,
        )):  # fmt: skip
            turns: list[Path] = []

            def meanwhile(
                path: Path, change: Callable[[], object] = change, turns: list[Path] = turns
            ) -> None:
                if path == used:
                    turns.append(path)
                    if len(turns) == 1:
                        engine.append("customers", pa.table({"customer_id": ["g", "h"]}))
                        change()

            copy_store(used, tmp_path / f"copy-{number}", meanwhile)
            assert len(turns) == 2
            with se.Engine.open(tmp_path / f"copy-{number}") as copy:
                assert tables_of(copy) == tables_of(engine)


def test_who_was_deleted_after_the_backup_is_deleted_from_it_again(
    used: Path, tmp_path: Path
) -> None:
    copy_store(used, tmp_path / "backup")
    with se.Engine.open(used) as engine:
        engine.delete_customer("b")
        engine.compact()
        expected = tables_of(engine)
    code, said = ask(
        "store", "restore", tmp_path / "backup", "--store", tmp_path / "again",
        "--deletions", used,
    )  # fmt: skip
    assert code == 0, said
    assert "1 buyer deleted again" in said
    with se.Engine.open(tmp_path / "again") as again:
        assert again.segment("true").ids().to_pylist() == ["a", "c", "d"]
        assert tables_of(again) == expected
    assert not any(b'"b"' in p.read_bytes() for p in used.rglob("*.sqlite*"))


def test_deletions_of_another_store_are_refused(used: Path, tmp_path: Path) -> None:
    other = store(tmp_path / "other")
    with se.Engine.open(other) as engine:
        engine.append("customers", pa.table({"customer_id": ["a"]}))
        engine.delete_customer("a")
    code, said = ask("store", "restore", used, "--store", tmp_path / "again", "--deletions", other)
    assert code == 2
    assert "is no copy of the store" in said
    assert not (tmp_path / "again").exists()


def test_a_directory_without_a_log_says_of_nobody_that_they_were_deleted(
    used: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    said_no = tmp_path / "none"
    for what in (said_no, store(tmp_path / "new")):
        code, said = ask(
            "store", "restore", used, "--store", tmp_path / "again", "--deletions", what
        )
        assert code == 2
        assert "has no log of a store, `log.sqlite`" in said
        assert not (tmp_path / "again").exists()
        with se.Engine.open(used) as engine, pytest.raises(se.StoreError, match="has no log of a"):
            engine.delete_again(what)


def test_who_came_back_before_the_backup_stays_and_who_was_deleted_again_does_not(
    used: Path, tmp_path: Path
) -> None:
    with se.Engine.open(used) as engine:
        for name in ("b", "c"):
            engine.delete_customer(name)
            engine.append("customers", pa.table({"customer_id": [name]}))
        copy_store(used, tmp_path / "backup")
        engine.delete_customer("c")
        engine.append("customers", pa.table({"customer_id": ["c"]}))
        for name in ("c", "d"):
            engine.delete_customer(name)
    with se.Engine.open(tmp_path / "backup") as again:
        assert sorted(again.segment("true").ids().to_pylist()) == ["a", "b", "c", "d"]
        assert again.delete_again(used) == 2
        assert sorted(again.segment("true").ids().to_pylist()) == ["a", "b"]
        # The numbers of both go on by themselves from here: who was deleted is, though it is early.
        for name in ("x", "y", "z"):
            again.append("customers", pa.table({"customer_id": [name]}))
        with se.Engine.open(used) as engine:
            engine.delete_customer("a")
        assert again.delete_again(used) == 1
        assert sorted(again.segment("true").ids().to_pylist()) == ["b", "x", "y", "z"]


def test_compacting_makes_a_store_smaller(tmp_path: Path) -> None:
    folder = store(tmp_path / "long")
    with se.Engine.open(folder) as engine:
        for part in range(20):
            ids = [f"{part}-{each}" for each in range(300)]
            engine.append("customers", pa.table({"customer_id": ids, "nickname": ids}))
        for each in engine.segment("true").ids().to_pylist()[:20]:
            engine.delete_customer(each)
    code, said = ask("store", "compact", "--store", folder)
    assert code == 0, said
    assert b"0-19" not in (folder / FILE).read_bytes()
    with se.Engine.open(folder) as engine:
        assert engine.segment("true").count() == 20 * 300 - 20
