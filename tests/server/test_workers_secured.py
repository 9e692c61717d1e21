"""A server of several processes with TLS, certificates of clients and tokens, from end to end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from segengine_server import Client, ServerError, clock
from segengine_server.catalog_answers import Put
from segengine_server.guard import scope_of
from segengine_server.tokens import SCOPES, created, removed
from segengine_server.wire import segengine_pb2 as pb

from tests.server.certificates import certificate, needs_openssl
from tests.server.process import Process, served
from tests.server.test_workers import GET_PAGE, made, within

pytestmark = needs_openssl

CONNECTIONS = 16
"""So many meet both workers, but once in 32,000 runs."""
HERE = (GET_PAGE, "/segengine.v1.PageService/BatchGetPages",
        "/segengine.v1.AudienceService/MatchCustomer")  # fmt: skip
"""What a worker answers itself."""
METHODS = [
    f"/{service.full_name}/{method.name}"
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


class Secured:
    """The server, what is known of it, and the texts of tokens."""

    def __init__(self, folder: Path, process: Process, texts: dict[str, str]) -> None:
        self.folder, self.process, self.texts = folder, process, texts
        self.tokens = folder / "store" / "tokens.toml"
        self._pem = {each.name: each.read_bytes() for each in folder.glob("*.*")}
        self._stack = ExitStack()
        self.channels = [
            self._stack.enter_context(self.channel("client")) for _ in range(CONNECTIONS)
        ]
        for each in self.channels:
            grpc.channel_ready_future(each).result(20)

    def close(self) -> None:
        self._stack.close()

    def channel(self, who: str | None) -> grpc.Channel:
        """A connection of its own, with somebody's certificate."""
        keys = (None, None) if who is None else (self._pem[f"{who}.key"], self._pem[f"{who}.pem"])
        credentials = grpc.ssl_channel_credentials(self._pem["ca.pem"], *keys)
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(self.process.target, credentials, options=options)

    def client(self, token: str) -> Client:
        pem = self._pem
        return Client(
            self.process.target, token=self.texts[token], tls=pem["ca.pem"],
            cert=pem["client.pem"], key=pem["client.key"],
        )  # fmt: skip

    def workers(self) -> set[int]:
        task = Path(f"/proc/{self.process.popen.pid}/task")
        said = " ".join((each / "children").read_text() for each in task.iterdir())
        return {int(word) for word in said.split()}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    made(folder / "store")
    certificate(folder, "ca")
    certificate(folder, "server", "ca")
    certificate(folder, "client", "ca")
    certificate(folder, "stranger")
    path, now = folder / "store" / "tokens.toml", clock.now()
    texts = {scope: created(path, scope, [scope], now) for scope in SCOPES}
    texts["old"] = created(path, "old", ["admin"], now - timedelta(days=9), days=8)
    texts["leaving"] = created(path, "leaving", ["admin"], now)
    texts["nobody's"] = "seg_00000000_" + "A" * 43
    options = (
        "--workers", "2", "--tls-cert", str(folder / "server.pem"),
        "--tls-key", str(folder / "server.key"), "--tls-client-ca", str(folder / "ca.pem"),
    )  # fmt: skip
    with served(folder / "store", folder / "log", *options) as process:
        found = Secured(folder, process, texts)
        try:
            yield found
        finally:
            found.close()


def call(
    channel: grpc.Channel, method: str, text: str | None, sent: bytes = b""
) -> tuple[str, Any]:
    """How a call of any kind ends, and what came of it.

    A call with one message is, on the wire, a stream of one.
    """
    metadata = () if text is None else (("authorization", f"Bearer {text}"),)
    came: list[bytes] = []
    asked = channel.stream_stream(method)(iter([sent]), timeout=20, metadata=metadata)
    with suppress(grpc.RpcError):
        came += asked
    return asked.code().name, came


def page(channel: grpc.Channel, text: str | None, name: str = "home", customer: int = 1) -> Any:
    request = pb.GetPageRequest(page=name)
    request.customer.number = customer
    code, came = call(channel, GET_PAGE, text, request.SerializeToString())
    return (code, pb.GetPageReply.FromString(came[0]).placements[0].module) if came else (code, "")


def listening(port: int) -> set[int]:
    """The processes that listen at a port, of those of this test."""
    tables = (Path(f"/proc/net/{each}").read_text().splitlines()[1:] for each in ("tcp", "tcp6"))
    lines = [line.split() for table in tables for line in table]
    inodes = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "0A"}
    found = set()
    for each in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(each.readlink()).removeprefix("socket:[").rstrip("]") in inodes:
                found.add(int(each.parts[2]))
    return found


def test_workers_alone_listen_and_answer_pages_and_pass_all_else_on(secured: Secured) -> None:
    workers = secured.workers()
    assert len(workers) == 2
    assert listening(int(secured.process.target.rpartition(":")[2])) == workers
    count = pb.CountAudienceRequest(rule="order_count > 0").SerializeToString()
    listed = pb.ListDefinitionsRequest().SerializeToString()
    for channel in secured.channels:
        assert page(channel, secured.texts["read:page"], customer=250) == ("OK", "")
        assert page(channel, secured.texts["admin"])[0] == "OK"
        # What compares buyers, a worker passes on, with the token.
        assert page(channel, secured.texts["read:page"], "best")[0] == "OK"
        asked = call(channel, "/segengine.v1.AudienceService/CountAudience",
                     secured.texts["read:audience"], count)  # fmt: skip
        assert pb.CountAudienceReply.FromString(asked[1][0]).count == 200
        found = call(channel, "/segengine.v1.CatalogService/List",
                     secured.texts["read:audience"], listed)  # fmt: skip
        names = {each.name for each in pb.ListDefinitionsReply.FromString(found[1][0]).definitions}
        assert names == {"buyers", "home", "best"}


def test_workers_refuse_whoever_has_no_token_that_is_for_the_call(secured: Secured) -> None:
    for channel in secured.channels:
        for method in HERE:
            for text in (None, secured.texts["old"], secured.texts["nobody's"]):
                assert call(channel, method, text, b"\xff")[0] == "UNAUTHENTICATED"
            wrong = next(s for s in SCOPES if s not in (scope_of(method), "admin"))
            assert call(channel, method, secured.texts[wrong], b"\xff")[0] == "PERMISSION_DENIED"


@pytest.mark.parametrize("method", [each for each in METHODS if each not in HERE])
def test_what_is_passed_on_is_refused_as_by_one_process(secured: Secured, method: str) -> None:
    channel, texts = secured.channels[len(method) % CONNECTIONS], secured.texts
    for text in (None, texts["old"], texts["nobody's"]):
        assert call(channel, method, text, b"\xff")[0] == "UNAUTHENTICATED"
    wrong = next(each for each in SCOPES if each not in (scope_of(method), "admin"))
    assert call(channel, method, texts[wrong], b"\xff")[0] == "PERMISSION_DENIED"
    # Let in, and read: these bytes are no message.
    assert call(channel, method, texts[str(scope_of(method))], b"\xff")[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("who", [None, "stranger", "plain"])
def test_no_worker_lets_in_a_client_without_a_certificate(
    secured: Secured, who: str | None
) -> None:
    for _ in range(CONNECTIONS // 2):
        opened = (
            grpc.insecure_channel(
                secured.process.target, options=[("grpc.use_local_subchannel_pool", 1)]
            )
            if who == "plain"
            else secured.channel(who)
        )
        with opened as channel:
            assert page(channel, secured.texts["admin"]) == ("UNAVAILABLE", "")
            check = health_pb2_grpc.HealthStub(channel).Check
            with pytest.raises(grpc.RpcError) as refused:
                check(health_pb2.HealthCheckRequest(), timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_health_needs_a_certificate_and_no_token(secured: Secured) -> None:
    for channel in secured.channels:
        check = health_pb2_grpc.HealthStub(channel).Check
        assert check(health_pb2.HealthCheckRequest(), timeout=10).status == 1


def test_what_is_put_through_a_worker_is_on_the_next_page_of_every_worker(
    secured: Secured,
) -> None:
    with secured.client("write:catalog") as client:
        for turn in range(3):
            modules = {f"put-{turn}": {"rule": "segment('newest')"}}
            client.catalog.put_all([
                Put("segment", "newest", {"rule": f"order_count > 0 AND {turn} >= 0"}),
                Put("page", "newest", {"slots": {"top": {"modules": modules}}}),
            ])  # fmt: skip
            for channel in secured.channels:
                assert page(channel, secured.texts["read:page"], "newest") == (
                    "OK", f"put-{turn}")  # fmt: skip
                assert page(channel, secured.texts["read:page"], "newest", 299) == ("OK", "")
        client.catalog.delete(("page", "newest"), ("segment", "newest"))
        for channel in secured.channels:
            assert page(channel, secured.texts["read:page"], "newest") == ("NOT_FOUND", "")
        with pytest.raises(ServerError) as refused:
            client.page("home", 1)
        assert refused.value.code == "PERMISSION_DENIED"


def test_a_token_that_is_taken_out_is_refused_by_every_worker_and_its_stream_ended(
    secured: Secured,
) -> None:
    text = secured.texts["leaving"]
    for channel in secured.channels:
        assert page(channel, text)[0] == "OK"

    def never() -> Iterator[bytes]:
        time.sleep(60)
        yield b""

    stream = secured.channels[0].stream_stream("/segengine.v1.IngestService/Append")(
        never(), timeout=60, metadata=(("authorization", f"Bearer {text}"),)
    )
    time.sleep(0.2)
    removed(secured.tokens, "leaving")
    assert within(20, lambda: all(
        page(each, text)[0] == "UNAUTHENTICATED" for each in secured.channels
    ))  # fmt: skip
    assert within(20, stream.done)
    assert stream.code() is grpc.StatusCode.UNAUTHENTICATED
