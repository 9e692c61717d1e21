"""No log and no error of a server names a buyer, whatever method is asked with one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from segengine_server.watch import JsonLines

import segengine as se
from tests.server.malformed_requests import methods
from tests.server.serving import Served, serving

MARKER = "marker-4be1@example.com"
NUMBER = 987_654_321_012
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(params=["text ids", "number ids"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[se.Engine]:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2026-01-31T12:00:00Z\n")
    ids = ["a", MARKER] if request.param == "text ids" else [1, NUMBER]
    with se.Engine.open(tmp_path) as found:
        found.load("customers", pa.table({"customer_id": ids, "nickname": ["n", MARKER]}))
        found.define_campaign(se.Campaign("spring", f"nickname <> '{MARKER}x'"))
        found.define_page(se.Page("home", [se.Slot("top", [se.Module("all")])]))
        found.claim()
        yield found


@pytest.fixture
def served(engine: se.Engine) -> Iterator[Served]:
    with serving(engine) as found:
        yield found


def rows(number: int) -> bytes:
    """Rows that name the buyer: sound, bad in their time, or of a table that is not asked for."""
    made: list[dict[str, Any]] = [
        {"customer_id": [MARKER], "time": [NOW], "kind": ["view"]},
        {"customer_id": [MARKER], "time": [MARKER], "kind": [MARKER]},
        {"customer_id": [NUMBER], "nickname": [MARKER], "birthday": [MARKER]},
        {"customer_id": [MARKER], "run": [MARKER], "kind": [MARKER]},
    ]
    table = pa.table(made[number % len(made)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def about(kind: Any, number: int) -> Message:
    """A request in which everything that may name somebody names the buyer."""
    texts = (MARKER, "spring", f"nickname = '{MARKER}'", "behaviors", f"{MARKER} > 'x' AND", "home")
    made: Message = GetMessageClass(kind)()
    for place, field in enumerate(kind.fields):
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(made, field.name)["who"] = MARKER
        elif field.message_type is not None:
            part = about(field.message_type, number)
            if field.is_repeated:
                getattr(made, field.name).append(part)
            else:
                getattr(made, field.name).MergeFrom(part)
        elif field.type == Field.TYPE_BYTES:
            setattr(made, field.name, rows(number))
        elif field.cpp_type == Field.CPPTYPE_STRING:
            text = texts[(number + place) % len(texts)]
            if field.is_repeated:
                getattr(made, field.name).append(text)
            else:
                setattr(made, field.name, text)
        elif field.cpp_type in (Field.CPPTYPE_INT64, Field.CPPTYPE_UINT64):
            setattr(made, field.name, NUMBER)
    if number % 2 and kind.full_name.endswith("CustomerId"):
        made.ClearField("number")
        made.text = MARKER  # type: ignore[attr-defined]
    return made


def ask(channel: grpc.Channel, method: MethodDescriptor, request: bytes) -> str:
    """Make the call; how it ended."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    make: Any = {
        (False, False): channel.unary_unary, (False, True): channel.unary_stream,
        (True, False): channel.stream_unary, (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming](name)  # fmt: skip
    given = iter([request]) if method.client_streaming else request
    try:
        answer = make(given, timeout=20)
        if method.server_streaming:
            list(answer)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_nothing_that_is_logged_names_a_buyer(
    served: Served, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG, "segengine_server")
    caplog.set_level(logging.DEBUG, "segengine")
    with grpc.insecure_channel(served.target) as channel:
        for method in methods():
            for number in range(6):
                code = ask(channel, method, about(method.input_type, number).SerializeToString())
                assert code not in ("INTERNAL", "UNKNOWN")
    lines = JsonLines()
    said = [lines.format(record) for record in caplog.records if record.name.startswith("seg")]
    assert any("IngestService/Append" in line for line in said)
    for line in said:
        assert MARKER not in line
        assert MARKER.partition("@")[0] not in line
        assert str(NUMBER) not in line
    audited = (tmp_path / "audit.jsonl").read_text()
    assert "DeleteCustomer" in audited
    assert MARKER not in audited
    assert str(NUMBER) not in audited
