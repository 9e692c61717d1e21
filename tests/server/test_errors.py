"""Claims about what a caller learns when something goes wrong, over a real socket."""

from __future__ import annotations

import logging
import pickle
import threading
import time
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from segengine_server import Client, ServerError
from segengine_server.errors import Violation
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceStub, PageServiceStub

from segengine.errors import (
    ConfigError,
    DefinitionError,
    LoadError,
    NotBuiltYetError,
    Problem,
    RuleError,
    SegengineError,
    StoreError,
    UnknownCustomer,
    UnknownNameError,
)
from tests.server.fake_engine import FakeEngine
from tests.server.serving import Served, serving

RULE = "recency_day < 30\nAND  spend > 'x'"
MISTAKES = RuleError(
    [
        Problem("unknown trait `recency_day`", 1, 1, 11, "did you mean `recency_days`?"),
        Problem("`spend` is a number, `'x'` a text", 2, 14, 3),
    ],
    RULE,
    place="segment `vip`",
)


def told(channel: grpc.Channel, method: str, request: Any) -> tuple[str, str, list[Any]]:
    """Code, message and details that a plain gRPC client gets in place of an answer."""
    service = PageServiceStub if "Page" in method else AudienceServiceStub

    def ask() -> None:
        answer = getattr(service(channel), method)(request, timeout=10)
        list(answer)

    with pytest.raises(grpc.RpcError) as failed:
        ask()
    status = rpc_status.from_call(failed.value)
    assert status is not None
    details = []
    for packed in status.details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
            detail = kind()
            if packed.Unpack(detail):
                details.append(detail)
    return failed.value.code().name, status.message, details


METHODS = {
    "CountAudience": pb.CountAudienceRequest(rule="x"),
    "StreamAudience": pb.StreamAudienceRequest(rule="x"),
    "ExplainCustomer": pb.ExplainCustomerRequest(rule="x", customer=pb.CustomerId(number=1)),
    "MatchCustomer": pb.MatchCustomerRequest(customer=pb.CustomerId(number=1)),
    "GetPage": pb.GetPageRequest(page="home"),
    "BatchGetPages": pb.BatchGetPagesRequest(page="home", customers=[pb.CustomerId(number=1)]),
}
KINDS: list[tuple[SegengineError, str, str, dict[str, str]]] = [
    (
        UnknownCustomer(5),
        "NOT_FOUND",
        "UNKNOWN_CUSTOMER",
        {"field": "customer_id", "customer_id": "5"},
    ),
    (UnknownNameError("no `x`", field="page"), "NOT_FOUND", "UNKNOWN_NAME", {"field": "page"}),
    (MISTAKES, "INVALID_ARGUMENT", "BAD_RULE", {"field": "rule", "place": "segment `vip`"}),
    (DefinitionError("no slots"), "INVALID_ARGUMENT", "BAD_DEFINITION", {}),
    (
        ConfigError("no zone", field="store.timezone"),
        "INVALID_ARGUMENT",
        "BAD_CONFIG",
        {"field": "store.timezone"},
    ),
    (NotBuiltYetError("pools are not built yet"), "UNIMPLEMENTED", "NOT_BUILT_YET", {}),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("error", "code", "reason", "metadata"), KINDS, ids=[k[2] for k in KINDS])
def test_every_error_has_its_code_and_details_from_every_method(
    engine: FakeEngine,
    channel: grpc.Channel,
    method: str,
    error: SegengineError,
    code: str,
    reason: str,
    metadata: dict[str, str],
) -> None:
    engine.error = error
    found, message, details = told(channel, method, METHODS[method])
    assert (found, message) == (code, str(error))
    assert details[0] == error_details_pb2.ErrorInfo(
        reason=reason, domain="segengine", metadata=metadata
    )
    assert len(details) == (2 if error is MISTAKES else 1)


def test_every_mistake_in_a_rule_is_a_violation_with_its_place(
    engine: FakeEngine, channel: grpc.Channel
) -> None:
    engine.error = MISTAKES
    _, _, details = told(channel, "CountAudience", METHODS["CountAudience"])
    assert [(v.field, v.description) for v in details[1].field_violations] == [
        ("rule", "line 1, column 1: unknown trait `recency_day`; did you mean `recency_days`?"),
        ("rule", "line 2, column 14: `spend` is a number, `'x'` a text"),
    ]


@pytest.mark.parametrize(
    ("method", "request_", "fields"),
    [
        ("CountAudience", pb.CountAudienceRequest(), ["audience"]),
        ("StreamAudience", pb.StreamAudienceRequest(columns=["x"]), ["audience"]),
        ("ExplainCustomer", pb.ExplainCustomerRequest(), ["customer", "audience"]),
        ("ExplainCustomer", pb.ExplainCustomerRequest(rule="x"), ["customer"]),
        (
            "ExplainCustomer",
            pb.ExplainCustomerRequest(customer=pb.CustomerId(text="a")),
            ["audience"],
        ),
        ("MatchCustomer", pb.MatchCustomerRequest(), ["customer"]),
        ("MatchCustomer", pb.MatchCustomerRequest(customer=pb.CustomerId()), ["customer"]),
        (
            "BatchGetPages",
            pb.BatchGetPagesRequest(customers=[pb.CustomerId()] * 1001),
            ["customers"],
        ),
    ],
)
def test_a_request_that_lacks_something_is_told_the_fields(
    engine: FakeEngine, channel: grpc.Channel, method: str, request_: Any, fields: list[str]
) -> None:
    code, _, (info, bad) = told(channel, method, request_)
    assert code == "INVALID_ARGUMENT"
    assert info.reason == "BAD_REQUEST"
    assert [v.field for v in bad.field_violations] == fields
    assert engine.asked == []


def test_of_a_oneof_written_twice_the_last_is_what_arrives(
    engine: FakeEngine, channel: grpc.Channel
) -> None:
    """protobuf's own law; a server cannot see the first one."""
    first = pb.CountAudienceRequest(campaign="spring").SerializeToString()
    second = pb.CountAudienceRequest(rule="x").SerializeToString()
    both = channel.unary_unary(
        "/segengine.v1.AudienceService/CountAudience",
        response_deserializer=pb.CountAudienceReply.FromString,
    )
    assert both(first + second, timeout=10).count == 10
    assert engine.asked == [("segment", "x")]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret /etc/passwd"),
        StoreError("secret"),
        LoadError("secret"),
        SegengineError("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_foresaw_is_logged_and_not_told(
    engine: FakeEngine,
    channel: grpc.Channel,
    caplog: pytest.LogCaptureFixture,
    method: str,
    error: Exception,
) -> None:
    engine.error = error
    with caplog.at_level(logging.ERROR):
        code, message, (info,) = told(channel, method, METHODS[method])
    assert (code, info.reason) == ("INTERNAL", "INTERNAL")
    assert message == "the server failed to answer; its log says why"
    assert "secret" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("letter", ["x", "规", "\n"])
def test_a_thousand_mistakes_reach_a_client_with_default_limits(
    engine: FakeEngine, channel: grpc.Channel, letter: str
) -> None:
    engine.error = RuleError([Problem(letter * 300, i) for i in range(1, 1001)], letter * 500)
    for _ in range(30):  # above 8 KB gRPC drops the details now and then
        _, _, (_, bad) = told(channel, "CountAudience", METHODS["CountAudience"])
    assert bad.field_violations[0].description.startswith("line 1, column 1: ")
    shown = len(bad.field_violations) - 1
    assert shown >= 1
    assert bad.field_violations[-1].description == f"and {1000 - shown:,} more mistakes"


def test_a_very_long_value_is_cut(engine: FakeEngine, channel: grpc.Channel) -> None:
    engine.error = UnknownCustomer("客" * 10_000)
    _, message, (info,) = told(channel, "MatchCustomer", METHODS["MatchCustomer"])
    assert message.endswith("客 ...")
    assert info.metadata["customer_id"].endswith("客 ...")


def test_the_client_raises_what_the_server_says(engine: FakeEngine, client: Client) -> None:
    engine.error = MISTAKES
    with pytest.raises(ServerError) as refused:
        client.count(rule=RULE)
    error = refused.value
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "BAD_RULE")
    assert str(error) == error.message == str(MISTAKES)
    assert error.violations[1] == Violation(
        "rule", "line 2, column 14: `spend` is a number, `'x'` a text"
    )
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_name_that_is_not_there_reads_well(client: Client) -> None:
    with pytest.raises(ServerError, match=r"^unknown campaign `sprng`$") as refused:
        client.stream(campaign="sprng")
    assert (refused.value.code, refused.value.reason) == ("NOT_FOUND", "UNKNOWN_NAME")
    with pytest.raises(ServerError, match=r"^unknown customer `404`$"):
        client.match(404)


def test_no_server_reads_well(served: Served) -> None:
    served.stop()
    assert served.ended()
    with (
        Client(served.target) as client,
        pytest.raises(
            ServerError, match=f"^cannot reach a server at `{served.target}`: "
        ) as failed,
    ):
        client.count(rule="x")
    assert failed.value.code == "UNAVAILABLE"


def test_an_answer_that_takes_too_long_reads_well(engine: FakeEngine) -> None:
    engine.free = threading.Event()
    with serving(engine) as served, Client(served.target, timeout=0.3) as client:
        message = f"^no answer from `{served.target}` within 0.3 s$"
        for ask in (client.count, client.stream):
            began = time.monotonic()
            with pytest.raises(ServerError, match=message) as late:
                ask(rule="x")
            assert late.value.code == "DEADLINE_EXCEEDED"
            assert time.monotonic() - began < 5
        engine.free.set()


def test_an_error_in_the_middle_of_a_stream_reaches_the_reader(
    engine: FakeEngine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segengine_server import audience_service, ipc_stream

    def broken(table: Any) -> Any:
        yield next(ipc_stream.pieces_of(table))
        raise UnknownNameError("gone")

    monkeypatch.setattr(audience_service, "pieces_of", broken)
    with pytest.raises(ServerError, match=r"^gone$"):
        client.stream(rule="x")
