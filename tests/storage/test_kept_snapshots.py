"""Several snapshots are kept, made by processes of their own; the newest good one is opened."""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest

import segengine as se
from segengine import snapshot_maker, snapshots
from segengine.schema.store_config import read_config
from segengine.storage.verify import verified
from segengine.traits import depends
from tests.ingest.samples import AS_OF, customers, orders
from tests.storage.kept import HereMaker, emptied, names_of, the_state
from tests.storage.test_snapshot import state, store


def test_snapshots_are_kept_with_the_log_that_the_oldest_needs(used: Path, made_here: None) -> None:
    with se.Engine.open(used) as engine:
        for amount in (60.0, 70.0):
            engine.append("orders", orders(6, amount=[amount]))
            engine.snapshot()
        assert len(names_of(used)) == 2
        assert names_of(used) == sorted(
            (p.name for p in (used / "snapshots").iterdir() if p.is_dir()), reverse=True
        )
        expected = state(engine)
    shutil.rmtree(used / "snapshots" / names_of(used)[0])
    assert the_state(used) == expected


def test_a_damaged_snapshot_is_named_and_the_one_before_opened(
    used: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected, newest = the_state(used), names_of(used)[0]
    rng = Random(3)
    for path in sorted((used / "snapshots" / newest).iterdir()):
        data = path.read_bytes()
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert the_state(used) == expected
        assert f"`{path}` is damaged" in caplog.text
        if path.name in {"manifest.json", "orders.arrow"}:
            path.write_bytes(data[: len(data) // 2])
            assert the_state(used) == expected
            path.unlink()
            assert the_state(used) == expected
        path.write_bytes(data)
    with se.Engine.open(used) as engine:
        emptied(used / "snapshots" / newest / "orders.arrow")
        engine.append("orders", orders(9, amount=[90.0]))
    with se.Engine.open(used) as engine:
        assert engine.segment("amount_total = 90").ids().to_pylist() == [9]
        engine.snapshot()
        assert engine.segment("amount_total >= 40").ids().to_pylist() == [4, 5, 9]


def test_where_every_snapshot_is_damaged_the_newest_is_named(used: Path) -> None:
    for name in names_of(used):
        emptied(used / "snapshots" / name / "orders.arrow")
    with pytest.raises(se.StoreError, match=rf"{names_of(used)[0]}/orders.arrow` is damaged"):
        se.Engine.open(used)
    errors = [each.error for each in verified(used) if each.error is not None]
    assert len(errors) == 2


def test_a_damaged_list_of_snapshots_costs_nothing_while_the_newest_is_sound(used: Path) -> None:
    expected = the_state(used)
    path = used / "snapshots" / "KEPT"
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x11
        path.write_bytes(changed)
        assert names_of(used) == [names_of(used)[0]]
        assert [each.error for each in verified(used) if each.file == path] != [None], place
    assert the_state(used) == expected


def test_an_older_snapshot_does_not_stand_in_for_one_with_a_load(used: Path) -> None:
    with se.Engine.open(used) as engine:
        engine.load("customers", customers(77))
    assert len(names_of(used)) == 1


def test_a_snapshot_that_was_stopped_leaves_the_one_before(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> int:
        raise se.StoreError("cannot write a snapshot: stopped", field="store")

    before = names_of(used)
    with se.Engine.open(used) as engine, monkeypatch.context() as patch:
        patch.setattr(HereMaker, "wait", stopped)
        with pytest.raises(se.StoreError, match="stopped"):
            engine.snapshot()
        assert names_of(used) == before
        assert engine.snapshot_written is None
        engine.append("orders", orders(8, amount=[80.0]))
    assert the_state(used)


def test_a_process_of_its_own_writes_it_and_ends_with_a_complaint_where_it_cannot(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "Maker", snapshot_maker.Maker)
    with se.Engine.open(used) as engine:
        told: list[tuple[int, int]] = []
        assert engine.snapshot(lambda *said: told.append(said)) == 2
        assert told
        assert told[-1][0] > 100
        expected = state(engine)
        (newest, before) = names_of(used)
        for name in (newest, before):
            emptied(used / "snapshots" / name / "orders.arrow")
        with pytest.raises(
            se.StoreError, match=rf"cannot write a snapshot .*{newest}/orders.arrow"
        ):
            engine.snapshot()
        assert sorted(p.name for p in (used / "snapshots").iterdir() if p.is_dir()) == [
            before, newest,
        ]  # fmt: skip
        assert state(engine) == expected


def test_settings_edited_for_the_next_start_are_in_no_snapshot_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "Maker", snapshot_maker.Maker)
    folder = store(tmp_path / "edited")
    ids = np.arange(60)
    bought = pa.table({
        "customer_id": ids, "time": [AS_OF] * 60, "amount": (ids * 7 % 50 + 1).astype(float),
    })  # fmt: skip
    edited = (folder / "store.toml").read_text() + (
        '[rfm]\nmode = "fixed"\nrecency = [10, 20, 30, 40]\norders = [2, 4, 6, 8]\n'
        "amount = [5, 10, 20, 30]\n"
    )
    with se.Engine.open(folder) as engine:
        engine.load("customers", pa.table({"customer_id": ids}))
        engine.load("orders", bought)
        engine.append("customers", pa.table({"customer_id": [60]}))
        (folder / "store.toml").write_text(edited)
        engine.snapshot()
        # What is half written there stops no snapshot either.
        (folder / "store.toml").write_text("[store")
        engine.append("customers", pa.table({"customer_id": [61]}))
        assert engine.snapshot() == 2
    (folder / "store.toml").write_text(edited)
    fresh = se.Engine(config=read_config(folder / "store.toml"))
    fresh.load("customers", pa.table({"customer_id": np.arange(62)}))
    fresh.load("orders", bought)
    with se.Engine.open(folder) as found:
        names = ["r_score", "f_score", "m_score"]
        scores = fresh.table("customers").select(names)
        assert found.table("customers").select(names) == scores
        assert set(scores["m_score"].to_pylist()) == {1, 2, 3, 4, 5, None}


def test_what_another_program_would_derive_the_owner_writes_itself(
    used: Path, made_here: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with se.Engine.open(used) as engine:
        engine.append("orders", orders(8, amount=[80.0]))
        expected = state(engine)
        with monkeypatch.context() as patch:
            # The program on disk is another by now.
            patch.setattr(snapshot_maker, "fingerprint", lambda _: "another")
            assert engine.snapshot() == 3
        assert "is another on disk than the one that runs" in caplog.text
        assert engine._lasting.durable.tail_bytes == 0  # type: ignore[union-attr]
    derived = json.loads((used / "snapshots" / names_of(used)[0] / "manifest.json").read_text())
    assert derived["derived"]["depends"] == depends.fingerprint(engine._current.settings)
    with se.Engine.open(used) as found:
        assert state(found) == expected


def test_a_process_says_that_it_is_another_program_by_its_status(
    used: Path, tmp_path: Path
) -> None:
    with se.Engine.open(used) as engine:
        asked = engine._lasting._asked()
        other = replace(asked, depends="another")
        (tmp_path / "target").mkdir()
        with pytest.raises(snapshot_maker.OtherProgramError, match="start it again"):
            snapshot_maker.Maker(used, tmp_path / "target", other).wait()
        assert not (tmp_path / "target").exists()


def test_a_snapshot_is_due_by_the_bytes_after_the_last_or_its_age(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file = used / "store.toml"
    settings_file.write_text(
        settings_file.read_text() + "[storage]\nsnapshot_log_mb = 1\nsnapshot_minutes = 30\n"
    )
    with se.Engine.open(used) as engine:
        assert engine.snapshot_due() is None
        engine._lasting.durable.tail_bytes += 1 << 20  # type: ignore[union-attr]
        assert engine.snapshot_due() == "1 MB of changes since the last"
        engine._lasting.durable.tail_bytes -= 1 << 20  # type: ignore[union-attr]
        later = engine._lasting.snapshots._began + 31 * 60  # type: ignore[union-attr]
        monkeypatch.setattr("segengine.snapshots.time.perf_counter", lambda: later)
        assert engine.snapshot_due() == "31 minutes since the last"
        engine.snapshot()
        assert engine._lasting.durable.tail_bytes == 0  # type: ignore[union-attr]
        assert engine.snapshot_due() is None
    assert se.Engine().snapshot() is None


def test_a_manifest_that_was_rewritten_for_another_format_is_refused_by_name(used: Path) -> None:
    newest = names_of(used)[0]
    path = used / "snapshots" / newest / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    said = f"{newest} {zlib.crc32(path.read_bytes()):08x}"
    (used / "CURRENT").write_text(said + "\n")
    with pytest.raises(se.StoreError, match="has format 99, and this version reads up to 4"):
        se.Engine.open(used)
