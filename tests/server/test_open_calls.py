"""A stream that is open ends when its token is taken out or has expired, and no other does."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import grpc
import numpy as np
import pyarrow as pa
import pytest
from segengine_server import guard, open_calls
from segengine_server.campaign_convert import to_proto_messages
from segengine_server.tokens import Tokens, created, removed
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceStub, IngestServiceStub

import segengine as se
from segengine.storage.audit_file import read_audit
from tests.server.fake_engine import FakeEngine
from tests.server.serving import channel_to, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LOOKS = 0.02
BUYERS = 3_000_000


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_calls, "LOOK_SECONDS", LOOKS)
    monkeypatch.setattr(guard, "_LOOK_SECONDS", 0.0)


class Moment:
    """What the clock says."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Moment:
    return Moment()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


@pytest.fixture
def texts(path: Path) -> dict[str, str]:
    return {
        "tool": created(path, "tool", ["read:audience"], NOW),
        "other": created(path, "other", ["read:audience"], NOW),
        "day": created(path, "day", ["read:audience", "write:events"], NOW, days=1),
    }


@pytest.fixture
def engine() -> FakeEngine:
    found = FakeEngine()
    # More than a client that does not read is sent ahead.
    found.buyers = pa.table({"customer_id": np.arange(BUYERS)})
    return found


@contextmanager
def reached(engine: FakeEngine | se.Engine, path: Path, clock: Moment) -> Iterator[grpc.Channel]:
    """A channel to a server of this engine, which asks for the tokens of a file."""
    with (
        serving(engine, tokens=Tokens(path, clock)) as served,
        channel_to(served.target) as channel,
    ):
        yield channel


@pytest.fixture
def channel(
    engine: FakeEngine, path: Path, clock: Moment, texts: dict[str, str]
) -> Iterator[grpc.Channel]:
    with reached(engine, path, clock) as found:
        yield found


def stream(channel: grpc.Channel, text: str) -> Any:
    call: Any = AudienceServiceStub(channel).StreamAudience(  # type: ignore[no-untyped-call]
        pb.StreamAudienceRequest(rule="true"), timeout=60,
        metadata=(("authorization", f"Bearer {text}"),),
    )  # fmt: skip
    return call


def begun(channel: grpc.Channel, text: str) -> Any:
    """A stream whose first buyers have come."""
    call = stream(channel, text)
    assert len(next(call).ipc) > 0
    return call


def let_look() -> None:
    """Wait as long as several looks at the tokens take."""
    time.sleep(10 * LOOKS)


def ended(call: Any) -> tuple[str, str]:
    """How a stream ends that is read to its end."""
    with suppress(grpc.RpcError):
        for _ in call:
            pass
    return call.code().name, call.details()


class Sent:
    """What a client of Append sends, one batch after the other."""

    def __init__(self) -> None:
        self._batches: SimpleQueue[pb.AppendRequest | None] = SimpleQueue()

    def send(self, customer: int) -> None:
        rows = pa.table({"customer_id": [customer], "time": pa.array([NOW]), "kind": ["visit"]})
        self._batches.put(pb.AppendRequest(table="behaviors", ipc=to_proto_messages(rows)))

    def close(self) -> None:
        self._batches.put(None)

    def __iter__(self) -> Iterator[pb.AppendRequest]:
        return iter(self._batches.get, None)


def append(channel: grpc.Channel, sent: Sent, text: str) -> Any:
    call: Any = IngestServiceStub(channel).Append.future(  # type: ignore[no-untyped-call]
        iter(sent), timeout=60, metadata=(("authorization", f"Bearer {text}"),)
    )
    return call


def test_a_stream_ends_when_its_token_is_taken_out_and_no_other_does(
    channel: grpc.Channel, path: Path, texts: dict[str, str]
) -> None:
    mine, others = begun(channel, texts["tool"]), begun(channel, texts["other"])
    removed(path, "tool")
    let_look()
    assert ended(mine) == ("UNAUTHENTICATED", "the token is not known")
    assert ended(others) == ("OK", "")


def test_a_stream_ends_when_its_token_expires(
    channel: grpc.Channel, clock: Moment, texts: dict[str, str]
) -> None:
    mine, others = begun(channel, texts["day"]), begun(channel, texts["tool"])
    clock.now = NOW + timedelta(days=1)
    let_look()
    assert ended(mine) == ("UNAUTHENTICATED", "the token has expired")
    assert ended(others) == ("OK", "")


def test_a_stream_ends_when_its_token_is_for_it_no_more(
    channel: grpc.Channel, path: Path, texts: dict[str, str]
) -> None:
    mine = begun(channel, texts["tool"])
    said = path.read_text()
    path.write_text(said.replace('["read:audience"]', '["read:page"]', 1))
    let_look()
    code, words = ended(mine)
    assert code == "PERMISSION_DENIED"
    assert "the token `tool` is not for `read:audience`" in words


def test_a_stream_whose_answer_is_still_being_made_ends_too(
    engine: FakeEngine, channel: grpc.Channel, path: Path, texts: dict[str, str]
) -> None:
    engine.free = threading.Event()
    try:
        call = stream(channel, texts["tool"])
        assert engine.at_work.acquire(timeout=10)
        removed(path, "tool")
        assert ended(call)[0] == "UNAUTHENTICATED"
    finally:
        engine.free.set()


def test_a_token_file_that_cannot_be_read_ends_nobody(
    channel: grpc.Channel, path: Path, texts: dict[str, str]
) -> None:
    mine = begun(channel, texts["tool"])
    path.write_text("[[tokens")
    let_look()
    assert ended(mine) == ("OK", "")


@pytest.mark.parametrize("how", ["taken out", "expired"])
def test_an_append_ends_with_its_token_and_keeps_what_was_taken_in(
    clock: Moment, path: Path, texts: dict[str, str], how: str
) -> None:
    sent = Sent()
    with se.Engine(as_of=NOW) as engine, reached(engine, path, clock) as channel:
        call = append(channel, sent, texts["day"])
        sent.send(7)
        while not engine.segment("true").count():
            time.sleep(LOOKS)
        # A stream without anything to send lasts, as long as its token does.
        let_look()
        assert not call.done()
        if how == "expired":
            clock.now = NOW + timedelta(days=1)
        else:
            removed(path, "day")
        assert call.code().name == "UNAUTHENTICATED"
        sent.send(8)
        sent.close()
        assert engine.segment("true").ids().to_pylist() == [7]


def test_the_audit_log_says_why_a_stream_ended(
    engine: FakeEngine, tmp_path: Path, path: Path, clock: Moment, texts: dict[str, str]
) -> None:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2026-01-31T12:00:00Z\n")
    se.Engine.open(tmp_path).close()
    engine.folder = tmp_path  # type: ignore[assignment]
    with reached(engine, path, clock) as channel:
        call = begun(channel, texts["tool"])
        removed(path, "tool")
        let_look()
        assert ended(call)[0] == "UNAUTHENTICATED"
    (line,) = (each for each in read_audit(tmp_path) if each["how"] == "UNAUTHENTICATED")
    assert (line["who"], line["what"]) == ("tool", "AudienceService/StreamAudience")
    assert line["rows"] == BUYERS


def test_nobody_looks_when_no_stream_is_open(
    channel: grpc.Channel, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []
    look = Tokens.look_again

    def noting(tokens: Tokens) -> Any:
        looked.append(0.0)
        return look(tokens)

    monkeypatch.setattr(Tokens, "look_again", noting)
    assert ended(stream(channel, texts["tool"]))[0] == "OK"
    let_look()
    before = len(looked)
    let_look()
    assert len(looked) == before
    assert ended(stream(channel, texts["tool"]))[0] == "OK"
    assert len(looked) > before


def test_a_message_that_fails_after_its_caller_left_is_nothing_to_log() -> None:
    said: list[Any] = []

    class Broken:
        async def write(self, message: bytes) -> None:
            await asyncio.sleep(0)
            raise RuntimeError("the connection is gone")

    async def leaving() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
        written = open_calls._Written(cast("Any", Broken()))
        call = asyncio.ensure_future(written.write(b"x"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait((call,))
        await written.all()
        del written, call
        # What failed is told when nobody can ask for it any more.
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(leaving())
    assert said == []
