"""A server whose store is still being opened says so, and is there when it is open."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from segengine_server import Client, ListenError, ServerError
from segengine_server.app import SERVICES, run
from segengine_server.opening import not_serving_yet
from segengine_server.workers import Crew

from tests.server.fake_engine import FakeEngine
from tests.server.ports import free_port
from tests.server.serving import serving

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING
SHOP = Path(__file__).resolve().parents[2] / "docs" / "shop"


def health(port: int, service: str = "") -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return int(HealthStub(channel).Check(request, timeout=10).status)


def test_while_a_store_is_opened_health_says_so_and_all_else_is_refused_in_words() -> None:
    port = free_port()
    with not_serving_yet("127.0.0.1", port, None, SERVICES):
        for service in ("", *SERVICES):
            assert health(port, service) == NOT_SERVING
        with Client(f"127.0.0.1:{port}") as client:
            for ask in (lambda: client.page("home"), lambda: client.stream(rule="true"),
                        lambda: client.append("customers", {"customer_id": [1]}),
                        lambda: client.match(1)):  # fmt: skip
                with pytest.raises(ServerError, match="the store is being opened") as early:
                    ask()
                assert (early.value.code, early.value.reason) == ("UNAVAILABLE", "OPENING")


def test_the_server_takes_the_port_over() -> None:
    port = free_port()
    with not_serving_yet("127.0.0.1", port, None, SERVICES) as make_room:
        assert health(port) == NOT_SERVING
        make_room()
        with serving(FakeEngine(), port=port):
            assert health(port) == SERVING
        make_room()


def test_a_port_that_is_taken_is_said_before_the_store_is_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ListenError, match="is taken by another program"),
            not_serving_yet("127.0.0.1", port, None, SERVICES),
        ):
            pass


def test_where_the_port_is_any_nobody_listens() -> None:
    before = threading.active_count()
    with not_serving_yet("127.0.0.1", 0, None, SERVICES) as make_room:
        make_room()
        assert threading.active_count() == before


@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_command_says_both_in_turn(tmp_path: Path, workers: str) -> None:
    shutil.copytree(SHOP, tmp_path / "shop")
    port = free_port()
    command = [sys.executable, "-m", "segengine.cli", "serve", "--store", str(tmp_path / "shop"),
               "--insecure", "--port", str(port), "--workers", workers]  # fmt: skip
    log = tmp_path / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    seen: list[int] = []
    try:
        late = time.monotonic() + 120
        while SERVING not in seen:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < late, log.read_text()
            # Before the first and between the two nobody listens.
            with suppress(grpc.RpcError):
                seen.append(health(port))
            # The processors are for the server to begin with.
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
    assert seen[0] == NOT_SERVING
    assert seen == sorted(seen, reverse=True)


def test_until_every_worker_is_ready_the_port_says_that_it_is_not_serving(tmp_path: Path) -> None:
    port, go_on = free_port(), tmp_path / "go on"
    slow = f"import os, time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)\nexit(7)"
    crew = Crew(2, (sys.executable, "-c", slow), "1:2:3:4")
    failures: list[ListenError] = []

    def serve() -> None:
        try:
            asyncio.run(run(
                FakeEngine(), "127.0.0.1", port, stop=asyncio.Event(), insecure=True, crew=crew
            ))  # fmt: skip
        except ListenError as error:
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(20)
        assert health(port) == NOT_SERVING
        with Client(f"127.0.0.1:{port}") as client, pytest.raises(ServerError) as early:
            client.page("home")
        assert (early.value.code, early.value.reason) == ("UNAVAILABLE", "OPENING")
    finally:
        go_on.touch()
        thread.join(30)
    assert not thread.is_alive()
    assert "ended with 7" in str(failures[0])
    with pytest.raises(grpc.RpcError):
        health(port)
