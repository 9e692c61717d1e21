"""Without a token that is for it, no call is answered but those about health."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from segengine_server import Client, ListenError, ServerError, guard
from segengine_server.guard import Rate, scope_of
from segengine_server.tls import Tls
from segengine_server.tokens import SCOPES, Tokens, created, removed
from segengine_server.wire import segengine_pb2 as pb

from tests.server.certificates import certificate, needs_openssl
from tests.server.fake_engine import FakeEngine
from tests.server.serving import Served, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
METHODS = [
    f"/{service.full_name}/{method.name}"
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, str]:
    """The text of a token for each scope, one that has expired, and one that may call seldom."""
    path = tmp_path / "tokens.toml"
    found = {scope: created(path, scope, [scope], NOW) for scope in SCOPES}
    found["old"] = created(path, "old", ["admin"], NOW - timedelta(days=9), days=8)
    found["gone"] = created(path, "gone", ["admin"], NOW)
    found["slow"] = created(path, "slow", ["read:page"], NOW, calls_per_second=2)
    found["slowest"] = created(path, "slowest", ["read:page"], NOW, calls_per_second=1)
    return found


class Watched(FakeEngine):
    """Says which of its parts a call came to."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: set[str] = set()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name not in ("touched", "as_of_is_fixed"):
            super().__getattribute__("__dict__").get("touched", set()).add(name)
        return super().__getattribute__(name)


@pytest.fixture
def engine() -> Watched:
    return Watched()


@pytest.fixture
def served(engine: Watched, tmp_path: Path, texts: dict[str, str]) -> Iterator[Served]:
    with serving(engine, tokens=Tokens(tmp_path / "tokens.toml", lambda: NOW)) as found:
        yield found


def code_of(served: Served, method: str, token: str | None, sent: bytes = b"") -> str:
    """The status name of a call of any kind with some bytes."""
    service, _, name = method.strip("/").partition("/")
    kind = pb.DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods_by_name[name]
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(served.target) as channel:
        try:
            if kind.client_streaming:
                make = channel.stream_stream if kind.server_streaming else channel.stream_unary
                call = make(method)(iter([sent]), timeout=10, metadata=metadata)
            else:
                make = channel.unary_stream if kind.server_streaming else channel.unary_unary
                call = make(method)(sent, timeout=10, metadata=metadata)
            if kind.server_streaming:
                list(call)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


@pytest.mark.parametrize("method", METHODS)
def test_no_method_answers_without_a_token_that_is_for_it(
    served: Served, engine: Watched, texts: dict[str, str], tmp_path: Path, method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(guard, "_LOOK_SECONDS", 0.0)
    removed(tmp_path / "tokens.toml", "gone")
    scope = scope_of(method)
    assert scope in SCOPES
    engine.touched.clear()
    for token in (None, "", "seg_00000000_" + "A" * 43, texts["old"], texts["gone"]):
        # Bytes that are no message: what is refused is not read.
        assert code_of(served, method, token, b"\xff\xff") == "UNAUTHENTICATED"
    for other in SCOPES:
        if other not in (scope, "admin"):
            assert code_of(served, method, texts[other], b"\xff\xff") == "PERMISSION_DENIED"
    assert engine.touched == set()
    for other in (str(scope), "admin"):
        code = code_of(served, method, texts[other])
        assert code not in ("UNAUTHENTICATED", "PERMISSION_DENIED")


def test_reflection_is_for_whoever_has_a_token(served: Served, texts: dict[str, str]) -> None:
    def listed(token: str) -> Any:
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10,
            metadata=(("authorization", f"Bearer {token}"),),
        )  # fmt: skip
        return next(iter(call)).list_services_response.service

    with grpc.insecure_channel(served.target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        assert len(listed(texts["read:page"])) > len(pb.DESCRIPTOR.services_by_name)
        with pytest.raises(grpc.RpcError) as refused:
            listed("nobody's")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_answers_everybody(served: Served) -> None:
    with grpc.insecure_channel(served.target) as channel:
        found = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert found.status == health_pb2.HealthCheckResponse.SERVING


def test_a_client_with_its_token_is_answered(served: Served, texts: dict[str, str]) -> None:
    with Client(served.target, token=texts["read:audience"]) as client:
        assert client.match(17) == client.match(17)
        with pytest.raises(ServerError, match="is not for `read:page`") as refused:
            client.page("home")
    assert (refused.value.code, refused.value.reason) == ("PERMISSION_DENIED", "FORBIDDEN")


def test_a_token_that_calls_too_often_is_refused_at_once(
    served: Served, texts: dict[str, str]
) -> None:
    for name, often in (("slow", "2 times a second"), ("slowest", "once a second")):
        with Client(served.target, token=texts[name]) as client:
            client.page("home")
            refused: list[ServerError] = []
            for _ in range(5):
                try:
                    client.page("home")
                except ServerError as error:
                    refused.append(error)
        assert refused[-1].code == "RESOURCE_EXHAUSTED"
        assert f"may call {often}; try again later" in str(refused[-1])


def test_a_rate_fills_as_time_goes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    at = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: at[0])
    rate = Rate(10)
    assert [rate.takes() for _ in range(11)] == [True] * 10 + [False]
    at[0] += 0.25
    assert [rate.takes() for _ in range(3)] == [True, True, False]


@needs_openssl
def test_tls_lets_in_whom_it_knows(engine: FakeEngine, tmp_path: Path) -> None:
    certificate(tmp_path, "ca")
    certificate(tmp_path, "server", "ca")
    certificate(tmp_path, "client", "ca")
    certificate(tmp_path, "stranger")
    pem = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    tls = Tls(tmp_path / "server.pem", tmp_path / "server.key")
    with serving(engine, tls=tls) as served:
        with Client(served.target, tls=pem["ca.pem"]) as client:
            assert client.match(17) == client.match(17)
        with Client(served.target, timeout=3) as plain, pytest.raises(ServerError):
            plain.match(17)
    mutual = Tls(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem")
    with serving(engine, tls=mutual) as served:
        with Client(
            served.target, tls=pem["ca.pem"], cert=pem["client.pem"], key=pem["client.key"]
        ) as client:
            assert client.match(17) == client.match(17)
        with (
            Client(
                served.target, timeout=3, tls=pem["ca.pem"], cert=pem["stranger.pem"],
                key=pem["stranger.key"],
            ) as stranger,
            pytest.raises(ServerError),
        ):  # fmt: skip
            stranger.match(17)


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"none.pem` cannot be read: No such file"):
        Tls(tmp_path / "none.pem", tmp_path / "none.key").credentials()
    (tmp_path / "bad.pem").write_text("nothing")
    with pytest.raises(ListenError, match=r"bad.pem` holds no certificate in PEM"):
        Tls(tmp_path / "bad.pem", tmp_path / "bad.pem").credentials()


def test_a_token_file_that_is_no_good_any_more_is_said_once_a_minute_while_tokens_hold(
    served: Served,
    texts: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(guard, "_LOOK_SECONDS", 0.0)
    now = [time.perf_counter()]
    monkeypatch.setattr(guard, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    path = tmp_path / "tokens.toml"
    good = path.read_text()

    def broken(change: Callable[[], object], minute: int) -> None:
        change()
        for _ in range(3):
            now[0] += 10.0
            assert client.page("home").data_version == 7
        assert caplog.text.count("the tokens stay as they were") == minute

    with Client(served.target, token=texts["read:page"]) as client:
        broken(lambda: path.chmod(0o644), 1)
        assert "may be read by others than its owner" in caplog.text
        # Another mistake, and none in between, within the minute.
        path.chmod(0o600)
        assert client.page("home").data_version == 7
        broken(lambda: path.write_text("tokens = ["), 1)
        broken(path.unlink, 2)
        assert f"`{path}` cannot be read: No such file" in caplog.text
        broken(lambda: None, 2)
        broken(lambda: None, 3)
        # As soon as it is there again, it is followed.
        path.touch(0o600)
        with pytest.raises(ServerError, match="not known"):
            client.page("home")
        path.write_text(good)
        assert client.page("home").data_version == 7
