"""Claims about the end of a server, and about its health."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from segengine_server import Client, Limits, ServerError
from segengine_server.app import SERVICES

from tests.server.fake_engine import FakeEngine
from tests.server.serving import Served, channel_to, serving

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ROOT = Path(__file__).parents[2]


class Asking(threading.Thread):
    """A count that is under way in the server."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.served = served
        self.outcome: object = None
        self.start()
        assert served.engine.at_work.acquire(timeout=10)

    def run(self) -> None:
        with Client(self.served.target) as client:
            try:
                self.outcome = client.count(rule="x").count
            except ServerError as error:
                self.outcome = error.code


@pytest.fixture
def busy(engine: FakeEngine) -> FakeEngine:
    engine.free = threading.Event()
    return engine


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_a_server_that_answers_is_serving(channel: grpc.Channel, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    assert HealthStub(channel).Check(request, timeout=10).status == SERVING


def test_a_service_that_is_not_here_has_no_health(channel: grpc.Channel) -> None:
    request = health_pb2.HealthCheckRequest(service="segengine.v1.NoSuchService")
    with pytest.raises(grpc.RpcError) as failed:
        HealthStub(channel).Check(request, timeout=10)
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    watch = HealthStub(channel).Watch(request, timeout=10)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_a_watcher_hears_of_the_end_and_does_not_delay_it(
    served: Served, channel: grpc.Channel, service: str
) -> None:
    watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service), timeout=20)
    assert next(watch).status == SERVING
    began = time.monotonic()
    served.stop()
    assert [reply.status for reply in watch] == [NOT_SERVING]
    assert served.ended()
    assert time.monotonic() - began < 5


def test_health_is_not_serving_while_calls_are_finished(busy: FakeEngine) -> None:
    with serving(busy) as served, channel_to(served.target) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(watch).status == SERVING
        call = Asking(served)
        served.stop()
        assert next(watch).status == NOT_SERVING
        assert not served.ended(0.1)
        with Client(served.target) as late, pytest.raises(ServerError) as refused:
            late.page("home")
        assert refused.value.code == "UNAVAILABLE"
        assert busy.free
        busy.free.set()
        call.join(10)
        assert call.outcome == 10
        assert served.ended(5)


def test_a_call_that_outlasts_the_drain_is_ended(busy: FakeEngine) -> None:
    with serving(busy, Limits(drain_seconds=0.2)) as served:
        call = Asking(served)
        served.stop()
        call.join(10)
        assert call.outcome == "UNAVAILABLE"
        assert not served.ended(0.1), "a thread is still in the engine"
        assert busy.free
        busy.free.set()
        assert served.ended(5)


def test_a_second_signal_ends_the_drain(busy: FakeEngine) -> None:
    with serving(busy, Limits(drain_seconds=30)) as served:
        call = Asking(served)
        served.stop()
        assert not served.ended(0.2)
        served.hurry()
        call.join(5)
        assert call.outcome == "UNAVAILABLE"
        assert busy.free
        busy.free.set()
        assert served.ended(5)


PROGRAM = """
import sys
from segengine_server import serve
from tests.server.fake_engine import FakeEngine

def ready(host, port):
    with open(sys.argv[1], "w") as file:
        file.write(f"{host}:{port}")

status = serve(FakeEngine(), port=0, ready=ready, insecure=True)
assert status == 0
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_process_which_prints_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(ready)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'server'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        deadline = time.monotonic() + 30
        while not (ready.exists() and ready.read_text()):
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with Client(ready.read_text()) as client:
            assert client.page("home").data_version == 7
            process.send_signal(number)
            output, _ = process.communicate(timeout=20)
    assert output == b""
    assert process.returncode == 0
