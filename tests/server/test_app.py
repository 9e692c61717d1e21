"""Claims about a running server: where it listens, what it bounds, and its clock."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from segengine_server import Client, Limits, ListenError, ServerError, app
from segengine_server.listening import check_apart
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import PageServiceStub

from tests.server.fake_engine import FakeEngine
from tests.server.ports import free_port
from tests.server.serving import Served, serving


@contextmanager
def listening(
    family: socket.AddressFamily = socket.AF_INET, host: str = "127.0.0.1"
) -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket(family) as other:
        other.bind((host, 0))
        other.listen()
        yield other.getsockname()[1]


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    known = ProtoReflectionDescriptorDatabase(channel)
    assert sorted(known.get_services()) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "segengine.v1.AudienceService",
        "segengine.v1.CampaignService",
        "segengine.v1.CatalogService",
        "segengine.v1.IngestService",
        "segengine.v1.PageService",
    ]
    file = known.FindFileContainingSymbol("segengine.v1.PageService")
    assert "GetPageRequest" in [message.name for message in file.message_type]


def test_a_taken_port_is_a_clear_error(
    engine: FakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    with listening() as port:
        with pytest.raises(ListenError) as refused, serving(engine, port=port):
            pass
        assert str(refused.value) == (
            f"port `{port}` of `127.0.0.1` is taken by another program; "
            "choose another port, or 0 for any free one"
        )
    assert refused.value.reason == "CANNOT_LISTEN"
    assert capfd.readouterr() == ("", "")


def test_a_second_server_on_the_same_port_is_refused(served: Served) -> None:
    port = int(served.target.rpartition(":")[2])
    with pytest.raises(ListenError, match="is taken"), serving(FakeEngine(), port=port):
        pass


def test_a_port_that_is_taken_between_look_and_bind_is_the_same_error(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "check_address", lambda host, port: None)
    with (
        listening() as port,
        pytest.raises(ListenError, match="is taken"),
        serving(engine, port=port),
    ):
        pass


def test_a_name_of_which_one_address_is_taken_is_refused(engine: FakeEngine) -> None:
    found = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    if "127.0.0.1" not in found:
        pytest.skip("localhost has no IPv4 address here")
    with (
        listening() as port,
        pytest.raises(ListenError, match="is taken"),
        serving(engine, host="localhost", port=port),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 99_999, r"^port `99999` is not from 0 to 65535$"),
        ("127.0.0.1", -1, r"^port `-1` is not from 0 to 65535$"),
        ("no.such.host.invalid", 0, r"^host `no.such.host.invalid` is not known[;:] [a-z ]+$"),
        ("192.0.2.1", 0, r"^cannot listen on `192.0.2.1`, port `0`: cannot assign"),
        ("", 0, r"^no host is given"),
        ("a" * 70, 0, r"is not known; give a name or an address of this machine$"),
    ],
)
def test_an_address_that_cannot_be_is_a_clear_error(
    engine: FakeEngine, host: str, port: int, message: str
) -> None:
    with pytest.raises(ListenError, match=message), serving(engine, host=host, port=port):
        pass


@pytest.mark.parametrize(
    ("host", "metrics_host"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "localhost")],
)
def test_one_port_for_calls_and_metrics_is_a_clear_error(
    engine: FakeEngine, host: str, metrics_host: str
) -> None:
    port = free_port()
    message = rf"^port `{port}` of `{host}` is asked for twice, for calls and for metrics; choose"
    with (
        pytest.raises(ListenError, match=message),
        serving(engine, host=host, port=port, metrics_host=metrics_host, metrics_port=port),
    ):
        pass


def test_one_port_of_two_addresses_is_no_mistake() -> None:
    check_apart("127.0.0.1", 9_100, "127.0.0.2", 9_100, " for metrics")
    check_apart("127.0.0.1", 0, "127.0.0.1", 0, " for metrics")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_hosts_are_names_and_addresses_of_both_kinds(engine: FakeEngine, host: str) -> None:
    if host == "::1":
        try:
            with listening(socket.AF_INET6, "::1"):
                pass
        except OSError:
            pytest.skip("no IPv6 here")
    with serving(engine, host=host) as served, Client(served.target) as client:
        assert client.page("home").data_version == 7


def test_a_server_has_its_host_and_port_when_it_is_ready(served: Served) -> None:
    host, _, port = served.target.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


def test_the_moment_advances_unless_it_is_fixed(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "TICK_SECONDS", 0.02)
    with serving(engine):
        time.sleep(0.2)
    assert engine.ticks == 0
    engine.as_of_is_fixed = False
    with serving(engine):
        time.sleep(0.3)
    ticks = engine.ticks
    assert ticks > 1
    time.sleep(0.1)
    assert engine.ticks == ticks


def test_a_clock_that_fails_is_logged_once_and_tried_again(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "TICK_SECONDS", 0.02)
    engine.as_of_is_fixed = False
    engine.tick_error = ValueError("no clock")
    with caplog.at_level(logging.ERROR), serving(engine) as served:
        time.sleep(0.3)
        with Client(served.target) as client:
            assert client.page("home").data_version == 7
    assert engine.ticks > 1
    assert caplog.text.count("the moment does not advance") == 1


def test_a_clock_that_was_set_back_is_said_once_and_in_words(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "TICK_SECONDS", 0.02)
    steps = iter([1, 1, -7_200, 1, -0.25])

    def tick() -> None:
        engine.ticks += 1
        engine.as_of += timedelta(seconds=next(steps, 1))

    monkeypatch.setattr(engine, "tick", tick)
    engine.as_of_is_fixed = False
    with caplog.at_level(logging.WARNING), serving(engine):
        while engine.ticks < 10:
            time.sleep(0.02)
    assert caplog.text.count("was set back") == 1
    assert "the clock of this machine was set back by 2:00:00: answers are for " in caplog.text


def test_pages_go_on_while_audiences_are_counted(engine: FakeEngine) -> None:
    engine.free = threading.Event()
    limits = Limits(audience_threads=2)
    with serving(engine, limits) as served, Client(served.target) as client:
        counts = [threading.Thread(target=client.count, kwargs={"rule": "x"}) for _ in range(6)]
        for count in counts:
            count.start()
        assert engine.at_work.acquire(timeout=10)
        assert engine.at_work.acquire(timeout=10)
        for _ in range(50):
            assert client.page("home", 17).placements[0].module == "for 17"
        assert not engine.at_work.acquire(blocking=False), "more threads than allowed"
        engine.free.set()
        for count in counts:
            count.join()


def test_more_audience_calls_than_allowed_are_refused_and_pages_are_not(engine: FakeEngine) -> None:
    engine.free = threading.Event()
    with serving(engine, Limits(audience_calls=1)) as served, Client(served.target) as client:
        count = threading.Thread(target=client.count, kwargs={"rule": "x"})
        count.start()
        assert engine.at_work.acquire(timeout=10)
        for ask in (client.count, client.stream):
            with pytest.raises(ServerError, match="try again later") as refused:
                ask(rule="x")
            assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "BUSY")
        assert client.page("home").data_version == 7
        engine.free.set()
        count.join()
        assert client.count(rule="x").count == 10


def test_a_place_is_free_again_however_a_call_ends(engine: FakeEngine) -> None:
    with serving(engine, Limits(audience_calls=1)) as served, Client(served.target) as client:
        for _ in range(5):
            next(client.batches(rule="x"))
            with pytest.raises(ServerError, match="unknown campaign"):
                asked_until_free(client)
        assert client.count(rule="x").count == 10


def asked_until_free(client: Client) -> None:
    """A question about a campaign that is not there, once the server has a place for it."""
    for _ in range(100):
        try:
            client.count(campaign="none")
        except ServerError as error:
            if error.reason != "BUSY":
                raise
            time.sleep(0.02)


def test_more_calls_than_allowed_are_refused(engine: FakeEngine) -> None:
    engine.free = threading.Event()
    with serving(engine, Limits(calls=1)) as served, Client(served.target) as client:
        count = threading.Thread(target=client.count, kwargs={"rule": "x"})
        count.start()
        assert engine.at_work.acquire(timeout=10)
        for ask in (lambda: client.page("home"), lambda: client.match(1)):
            with pytest.raises(ServerError, match="try again later") as refused:
                ask()
            assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "BUSY")
        engine.free.set()
        count.join()
        # Its caller has the answer a moment before the server hears that it was sent.
        for _ in range(100):
            with suppress(ServerError):
                assert client.page("home").data_version == 7
                break
            time.sleep(0.02)
        else:
            pytest.fail("the place is not free again")


def test_a_request_that_is_too_large_is_refused(engine: FakeEngine) -> None:
    with serving(engine, Limits(request_bytes=1_000)) as served, Client(served.target) as client:
        with pytest.raises(ServerError) as refused:
            client.count(rule="x" * 2_000)
        assert refused.value.code == "RESOURCE_EXHAUSTED"
        assert "the request has 2,003 bytes, at most 1,000 are taken; send less" in str(
            refused.value
        )
        assert client.count(rule="x").count == 10
    assert engine.asked == [("segment", "x")]


def test_a_batch_of_pages_lets_other_calls_through(
    engine: FakeEngine, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    page = engine.page

    def slow(*arguments: object, **named: object) -> object:
        time.sleep(0.002)
        return page(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "page", slow)
    everybody = [pb.CustomerId(number=i) for i in range(300)]
    request = pb.BatchGetPagesRequest(page="home", customers=everybody)
    batch = PageServiceStub(channel).BatchGetPages.future(request, timeout=20)
    while not engine.asked:
        time.sleep(0.001)
    assert client.count(rule="x").count == 10
    assert not batch.done()
    assert len(batch.result().pages) == 300


def test_threads_are_switched_quickly_only_while_serving(engine: FakeEngine) -> None:
    before = sys.getswitchinterval()
    with serving(engine):
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before
