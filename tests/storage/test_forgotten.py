"""A buyer who was deleted is in no file of the store once it was compacted, byte by byte."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from segengine_server import Client, ServerError

import segengine as se
from segengine.errors import LoadError
from tests.server.serving import serving

ID, EMAIL = "buyer-9f3c77aa", "unique.marker.5d1e@example.com"
MARKERS = (ID.encode(), EMAIL.encode(), EMAIL.encode("utf-16-le"), ID.encode("utf-16-le"))
TOML = """
[store]
as_of = 2026-01-31T12:00:00Z
channels = ["sms"]
[tables.tickets]
topic = "VARCHAR"
"""
NOW = datetime(2026, 1, 31, 11, tzinfo=UTC)


def found_in(folder: Path) -> list[str]:
    """The files that hold the buyer's id or email, in any of the forms that a file may have."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(marker in path.read_bytes() for marker in MARKERS)
    ]


def lived(engine: se.Engine, *, rounds: int) -> None:
    """A buyer who has left something everywhere, among others who have too."""
    engine.load(
        "customers",
        pa.table({"customer_id": ["a", ID, "b"], "email": ["a@x", EMAIL, "b@x"],
                  "nickname": ["A", EMAIL, "B"], "tags": [["t"], [ID, EMAIL], None]}),
        columns={"email": "email"},
    )  # fmt: skip
    for number in range(rounds):
        who, time, kind = ["a", ID], [NOW, NOW], ["view"] * 2
        events = {"customer_id": who, "time": time, "kind": kind,
                  "event_id": [f"e{number}", f"{ID}{number}"]}  # fmt: skip
        engine.append("behaviors", pa.table(events))
        engine.append("orders", pa.table({"customer_id": who, "time": time,
                                          "order_id": [f"o{number}", f"{EMAIL}-{number}"],
                                          "amount": [5, 7]}))  # fmt: skip
        engine.append("tickets", pa.table({"customer_id": who, "time": time,
                                           "topic": ["late", f"mail {EMAIL}"]}))  # fmt: skip
        engine.append("customers", pa.table({"customer_id": [ID], "nickname": [EMAIL + "2"]}))
    # Rows that are refused, with the buyer among the examples, under a key that is kept.
    bad = pa.table({"customer_id": ["a", ID], "time": ["2026-01-30", EMAIL], "kind": ["view"] * 2})
    engine.append("behaviors", bad, on_error="skip", key=f"batch-{rounds}")
    with suppress(LoadError):
        engine.append("behaviors", bad, key="refused")
    engine.define_segment("all", "true")
    engine.define_campaign(se.Campaign("spring", "segment('all')"))
    engine.record_messages(engine.run_campaign("spring"))


def test_the_deleted_are_in_no_file_after_compact(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text(TOML)
    with se.Engine.open(tmp_path) as engine:
        lived(engine, rounds=40)
        # A second snapshot, so that there is one before it, and a tail of the log after it.
        engine.load("products", pa.table({"product_id": ["p"]}))
        engine.append("tickets", pa.table({"customer_id": [ID], "time": [NOW], "topic": [EMAIL]}))
        assert any("log" in name for name in found_in(tmp_path))
        assert any("snapshots" in name for name in found_in(tmp_path))
        assert any("runs" in name for name in found_in(tmp_path))
        engine.delete_customer(ID)
        engine.compact()
        # Also while the store is open, with the side files that SQLite has then.
        assert found_in(tmp_path) == []
        engine.append("customers", pa.table({"customer_id": ["c"]}))
        assert found_in(tmp_path) == []
    assert found_in(tmp_path) == []
    with se.Engine.open(tmp_path) as again:
        assert again.segment("true").ids().to_pylist() == ["a", "b", "c"]
        assert again.segment("count(behaviors) >= 1").ids().to_pylist() == ["a"]


def test_no_other_process_brings_them_back(tmp_path: Path) -> None:
    """A process that is killed after the compaction leaves nothing either."""
    (tmp_path / "store.toml").write_text(TOML)
    program = (
        "import sys, os, signal\nfrom pathlib import Path\nimport segengine as se\n"
        "from tests.storage.test_forgotten import ID, lived\n"
        "engine = se.Engine.open(Path(sys.argv[1]))\nlived(engine, rounds=3)\n"
        "engine.delete_customer(ID)\nengine.compact()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, str(Path(root) / "server"), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False,
                   env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert found_in(tmp_path) == []
    with se.Engine.open(tmp_path) as engine:
        assert engine.segment("true").ids().to_pylist() == ["a", "b"]
        engine.append("customers", pa.table({"customer_id": ["c"]}))
    assert found_in(tmp_path) == []


def test_a_server_says_what_is_left_and_leaves_nothing_in_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text(TOML)
    with se.Engine.open(tmp_path) as engine:
        lived(engine, rounds=2)
        engine.claim()
        with serving(engine) as served, Client(served.target) as client:
            client.stream(rule=f"customer_id = '{ID}'")
            with pytest.raises(ServerError):
                client.stream(campaign=EMAIL)
            client.append("customers", {"customer_id": [ID], "nickname": [EMAIL]}, key="k")
            assert client.delete_customer(ID)
            client.compact()
            assert found_in(tmp_path) == []
    assert found_in(tmp_path) == []
