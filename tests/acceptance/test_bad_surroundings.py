"""What a store and its server meet outside: each is said clearly, and nothing is lost."""

from __future__ import annotations

import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from segengine_server import Client, ListenError, ServerError
from segengine_server.listening import check_address
from segengine_server.tokens import TokenFileError, Tokens, created

import segengine as se
from segengine import engine as engine_module
from tests.server.serving import serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SETTINGS = "[store]\nas_of = 2026-01-31T12:00:00Z\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of three buyers, one of whom came after the snapshot."""
    found = tmp_path / "store"
    found.mkdir()
    (found / "store.toml").write_text(SETTINGS)
    with se.Engine.open(found) as engine:
        engine.load("customers", pa.table({"customer_id": [1, 2]}))
        engine.append("customers", pa.table({"customer_id": [3]}))
    return found


def buyers(folder: Path) -> list[int]:
    with se.Engine.open(folder) as engine:
        found: list[int] = engine.segment("true").ids().to_pylist()
        return found


def test_a_directory_that_another_process_writes_to_may_be_read_and_not_written(
    folder: Path,
) -> None:
    program = (
        "import sys, segengine as se\nengine = se.Engine.open(sys.argv[1])\nengine.claim()\n"
        "print('claimed', flush=True)\nsys.stdin.read()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(folder)], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "claimed\n"
        with se.Engine.open(folder) as engine:
            assert engine.segment("true").count() == 3
            for change in (
                lambda: engine.append("customers", pa.table({"customer_id": [4]})),
                lambda: engine.delete_customer(1),
                lambda: engine.load("products", pa.table({"product_id": ["p"]})),
                engine.compact,
            ):
                with pytest.raises(se.StoreError, match="is in use by another process"):
                    change()
        serve = [sys.executable, "-m", "segengine.cli", "serve", "--insecure", "--port", "0"]
        told = subprocess.run([*serve, "--store", str(folder)], capture_output=True, text=True,
                              timeout=60, check=False)  # fmt: skip
        assert told.returncode != 0
        assert "is in use by another process" in told.stderr
        assert "Traceback" not in told.stderr
    finally:
        other.kill()
        other.communicate()
    assert buyers(folder) == [1, 2, 3]


def test_a_clock_that_goes_backwards_loses_nothing_and_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store.toml").write_text("[store]\n")
    at = [NOW]
    monkeypatch.setattr(engine_module, "_now", lambda: at[0])
    with se.Engine.open(tmp_path) as engine:
        events = {"customer_id": [1], "time": [NOW], "kind": ["view"]}
        assert engine.append("behaviors", pa.table(events)).rows_loaded == 1
        version = engine.data_version
        for back in (timedelta(seconds=30), timedelta(hours=2), timedelta(days=40)):
            at[0] = NOW - back
            engine.tick()
            assert engine.as_of == NOW - back
            # What has not happened yet is in no count, and is not gone.
            assert engine.segment("count(behaviors) > 0").count() == 0
            later = {"customer_id": [2], "time": [at[0]], "kind": ["view"]}
            assert engine.append("behaviors", pa.table(later)).rows_loaded == 1
        at[0] = NOW + timedelta(seconds=1)
        engine.tick()
        assert engine.segment("count(behaviors) > 0").ids().to_pylist() == [1, 2]
        assert engine.data_version > version
    with se.Engine.open(tmp_path) as again:
        assert len(again.table("behaviors")) == 4


def test_a_token_holds_by_the_clock_as_it_is(tmp_path: Path) -> None:
    at = [NOW]
    path = tmp_path / "tokens.toml"
    text = created(path, "till", ["admin"], NOW, days=1)
    tokens = Tokens(path, lambda: at[0])
    assert tokens.bearer_of(f"Bearer {text}").name == "till"
    at[0] = NOW + timedelta(days=2)
    with pytest.raises(se.errors.SegengineError, match="has expired"):
        tokens.bearer_of(f"Bearer {text}")


@pytest.mark.parametrize(
    ("table", "rows", "words"),
    [
        ("nosuch", {"customer_id": [9]}, "nosuch"),
        ("behaviours", {"customer_id": [9]}, "did you mean `behaviors`?"),
        ("behaviors", {"customer_id": ["text"], "time": [NOW], "kind": ["view"]}, "customer_id"),
        ("behaviors", {"customer_id": [9], "time": ["no time"], "kind": ["view"]}, "time"),
        ("behaviors", {"customer_id": [9], "kind": ["view"]}, "time"),
        ("customers", {"id": [9]}, "customer_id"),
    ],
)  # fmt: skip
def test_a_batch_that_fits_no_table_is_refused_and_nothing_of_it_is_there(
    folder: Path, table: str, rows: dict[str, list[object]], words: str
) -> None:
    with se.Engine.open(folder) as engine:
        version = engine.data_version
        with pytest.raises(se.errors.SegengineError) as refused:
            engine.append(table, pa.table(rows))
        assert words in str(refused.value)
        assert (engine.data_version, engine.segment("true").count()) == (version, 3)
        engine.claim()
        with serving(engine) as served, Client(served.target) as client:
            with pytest.raises(ServerError) as far:
                client.append(table, rows)
            assert far.value.code in ("INVALID_ARGUMENT", "NOT_FOUND")
            assert words in str(far.value) + "".join(v.field for v in far.value.violations)
    assert buyers(folder) == [1, 2, 3]


def test_a_column_that_became_another_kind_is_refused_when_the_store_is_opened(
    tmp_path: Path,
) -> None:
    declared = "[tables.tickets]\ntopic = {kind}\n"
    (tmp_path / "store.toml").write_text(SETTINGS + declared.format(kind='"VARCHAR"'))
    with se.Engine.open(tmp_path) as engine:
        late = {"customer_id": [1], "time": [NOW], "topic": ["late"]}
        engine.append("tickets", pa.table(late))
    (tmp_path / "store.toml").write_text(SETTINGS + declared.format(kind='"BIGINT"'))
    with pytest.raises(se.StoreError, match=r"holds `tickets.topic` as VARCHAR, which store.toml"):
        se.Engine.open(tmp_path)
    (tmp_path / "store.toml").write_text(SETTINGS)
    with pytest.raises(se.StoreError, match=r"put its `\[tables.tickets\]` back"):
        se.Engine.open(tmp_path)
    (tmp_path / "store.toml").write_text(SETTINGS + declared.format(kind='"VARCHAR"'))
    with se.Engine.open(tmp_path) as engine:
        assert engine.table("tickets")["topic"].to_pylist() == ["late"]


def test_a_batch_beyond_the_size_of_a_request_is_refused_before_it_is_read(folder: Path) -> None:
    with se.Engine.open(folder) as engine:
        engine.claim()
        with serving(engine) as served, Client(served.target, timeout=30) as client:
            rows = pa.table({"customer_id": [5], "city": ["x" * (8 << 20)]})
            with pytest.raises(ServerError) as refused:
                client.append("customers", rows)
            assert refused.value.code == "RESOURCE_EXHAUSTED"
            assert client.append("customers", {"customer_id": [6]}).rows_loaded == 1
    assert buyers(folder) == [1, 2, 3, 6]


def test_a_batch_that_says_it_has_2_gb_is_refused_and_nothing_is_allocated(folder: Path) -> None:
    """The length of a gRPC message is told before its bytes: what it promises is not believed."""
    with se.Engine.open(folder) as engine:
        engine.claim()
        with serving(engine) as served:
            host, _, port = served.target.partition(":")
            with socket.create_connection((host, int(port)), timeout=20) as raw:
                raw.sendall(_http2_call("/segengine.v1.IngestService/UpsertCustomers", 2**31 - 1))
                answer = b""
                while b"\x00\x00" not in answer or len(answer) < 60:
                    got = raw.recv(65_536)
                    if not got:
                        break
                    answer += got
            with Client(served.target) as client:
                assert client.count(rule="true").count == 3


def _http2_call(path: str, length: int) -> bytes:
    """The first frames of a call whose message claims a length."""

    def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
        head = len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        return head + body

    def literal(name: str, value: str) -> bytes:
        return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    headers = b"".join(literal(name, value) for name, value in (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
        ("te", "trailers"), ("content-type", "application/grpc"),
    ))  # fmt: skip
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    data = frame(0, 0, 1, b"\x00" + length.to_bytes(4, "big") + b"x" * 100)
    return preface + frame(1, 4, 1, headers) + data


def test_a_token_file_that_others_may_read_starts_no_server(folder: Path) -> None:
    created(folder / "tokens.toml", "till", ["admin"], NOW)
    (folder / "tokens.toml").chmod(0o644)
    with pytest.raises(TokenFileError, match="may be read by others than its owner; `chmod 600"):
        Tokens(folder / "tokens.toml", lambda: NOW)
    serve = [sys.executable, "-m", "segengine.cli", "serve", "--port", "0"]
    told = subprocess.run([*serve, "--store", str(folder)], capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    assert told.returncode == 2
    assert "may be read by others than its owner" in told.stderr


def test_a_port_that_is_taken_is_said_and_the_store_is_not_touched(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"port `{port}` of `127.0.0.1` is taken"):
            check_address("127.0.0.1", port)
        before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
        serve = [sys.executable, "-m", "segengine.cli", "serve", "--insecure", "--port", str(port)]
        told = subprocess.run([*serve, "--store", str(folder)], capture_output=True, text=True,
                              timeout=60, check=False)  # fmt: skip
        assert told.returncode == 2
        assert "is taken by another program" in told.stderr
        assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
