"""A client that is slow, that stops in the middle or never reads takes nothing from the others."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pyarrow as pa
import pytest
from segengine_server import Client, Limits
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceStub, IngestServiceStub

import segengine as se
from tests.server.serving import Served, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BUYERS = 300_000


@pytest.fixture(scope="module")
def engine() -> se.Engine:
    engine = se.Engine(as_of=NOW)
    engine.load("customers", pa.table({"customer_id": range(BUYERS)}))
    engine.define_page(se.Page("home", [se.Slot("top", [se.Module("all")])]))
    return engine


@pytest.fixture
def served(engine: se.Engine) -> Iterator[Served]:
    limits = Limits(audience_threads=2, audience_calls=4, ingest_calls=8, drain_seconds=2)
    with serving(engine, limits) as found:
        yield found


def events(first: int) -> pb.AppendRequest:
    table = pa.table({"customer_id": [first], "time": [NOW], "kind": ["view"],
                      "event_id": [f"e{first}"]})  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pb.AppendRequest(table="behaviors", ipc=sink.getvalue().to_pybytes())


def others_are_answered(served: Served) -> None:
    with Client(served.target, timeout=20) as client:
        for _ in range(3):
            assert client.page("home", 5).placements[0].module == "all"
            assert client.count(rule="customer_id < 10").count == 10
            number = time.monotonic_ns()
            rows = {"customer_id": [1], "time": [NOW], "kind": ["view"], "event_id": [f"x{number}"]}
            assert client.append("behaviors", rows).rows_loaded == 1


def test_streams_of_batches_that_stand_still_keep_nobody_from_writing(served: Served) -> None:
    go_on = threading.Event()

    def slowly(first: int) -> Iterator[pb.AppendRequest]:
        yield events(first)
        go_on.wait(30)
        yield events(first + 1)

    options = (("grpc.use_local_subchannel_pool", 1),)
    with grpc.insecure_channel(served.target, options=options) as channel:
        stub = IngestServiceStub(channel)  # type: ignore[no-untyped-call]
        calls = [stub.Append.future(slowly(10 * k), timeout=60) for k in range(1, 9)]
        others_are_answered(served)
        go_on.set()
        for call in calls:
            assert [each.rows_loaded for each in call.result(30).receipts] == [1, 1]


def test_a_stream_that_ends_in_the_middle_keeps_what_had_come(
    served: Served, engine: se.Engine
) -> None:
    sent, never = threading.Event(), threading.Event()

    def broken() -> Iterator[pb.AppendRequest]:
        yield events(5_001)
        sent.set()
        never.wait(20)

    channel = grpc.insecure_channel(served.target)
    call = IngestServiceStub(channel).Append.future(broken())  # type: ignore[no-untyped-call]
    assert sent.wait(10)
    seen = engine.segment("count(behaviors) > 0 AND customer_id = 5001")
    for _ in range(1_000):
        if seen.count():
            break
        time.sleep(0.01)
    call.cancel()
    channel.close()
    never.set()
    assert seen.count() == 1
    others_are_answered(served)


def test_clients_that_never_read_hold_no_thread(served: Served) -> None:
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.lookahead_bytes", 65_536))
    with grpc.insecure_channel(served.target, options=options) as channel:
        stub = AudienceServiceStub(channel)  # type: ignore[no-untyped-call]
        # One place for calls at work is left for those who do read.
        calls = [stub.StreamAudience(pb.StreamAudienceRequest(rule="true")) for _ in range(3)]
        for call in calls:
            next(iter(call))
        others_are_answered(served)
        for call in calls:
            call.cancel()
    others_are_answered(served)


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return (
        struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body
    )


def _begun(path: str) -> bytes:
    """An HTTP/2 connection with the headers of one call, and half of its message."""
    fields: Any = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
                   ("te", "trailers"), ("content-type", "application/grpc"))  # fmt: skip
    headers = b"".join(
        bytes([0, len(k)]) + k.encode() + bytes([len(v)]) + v.encode() for k, v in fields
    )
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 4, 1, headers)
        + _frame(0, 0, 1, b"\x00" + (1_000).to_bytes(4, "big") + b"half")
    )  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        b"", b"P", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(range(256)) * 16,
        _begun("/segengine.v1.AudienceService/CountAudience"),
        _begun("/segengine.v1.IngestService/Append"), _begun("/segengine.v1.PageService/GetPage"),
    ],
    ids=["nothing", "a letter", "HTTP/1.1", "noise", "half a question", "half a batch",
         "half a page"],
)  # fmt: skip
def test_connections_that_stop_in_the_middle_take_nothing_from_others(
    served: Served, said: bytes
) -> None:
    host, _, port = served.target.partition(":")
    raw = [socket.create_connection((host, int(port)), timeout=10) for _ in range(30)]
    try:
        for each in raw:
            each.sendall(said)
        others_are_answered(served)
    finally:
        for each in raw:
            each.close()
    others_are_answered(served)


def test_a_client_that_is_gone_without_a_word_is_noticed(engine: se.Engine) -> None:
    with serving(engine, Limits(silence_seconds=1)) as served:
        host, _, port = served.target.partition(":")
        with socket.create_connection((host, int(port)), timeout=40) as gone:
            gone.sendall(_begun("/segengine.v1.IngestService/Append"))
            # It reads what comes, and answers nothing: neither does a machine without power.
            while gone.recv(65_536):
                pass
        with Client(served.target) as client:
            assert client.page("home", 5).placements[0].module == "all"
