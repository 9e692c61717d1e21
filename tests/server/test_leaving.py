"""Whoever leaves, or waits no longer, frees the thread that was at work for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pyarrow as pa
import pytest
from segengine_server import Client, Limits, ServerError
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import AudienceServiceStub

import segengine as se
from segengine.rules import evaluate
from tests.server.serving import Served, serving

BUYERS = 4_000
SLOW = "score % 7 < 3"


class Slow:
    """Waits at each block of rows that the slow rule looks at, until a test lets all go."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.looks = 0
        self.began, self.free = threading.Semaphore(0), threading.Event()
        patch.setattr(evaluate, "_PIECE", 64)
        step_of = evaluate._step

        def slowly(node: object, run: evaluate.Scan) -> object:
            step = step_of(node, run)  # type: ignore[arg-type]

            def waiting(begin: int, end: int, mode: int, out: object) -> None:
                self.looks += 1
                self.began.release()
                self.free.wait(0.05)
                step(begin, end, mode, out)  # type: ignore[arg-type]

            return waiting

        patch.setattr(evaluate, "_step", slowly)


@pytest.fixture
def engine() -> se.Engine:
    engine = se.Engine(as_of=se.days.moment(1_700_000_000_000_000))
    score = np.arange(BUYERS) % 100
    engine.load(
        "customers", pa.table({"customer_id": range(BUYERS), "score": score}),
        columns={"score": "score"},
    )  # fmt: skip
    engine.define_campaign(se.Campaign("slow", SLOW))
    return engine


@pytest.fixture
def served(engine: se.Engine) -> Iterator[Served]:
    with serving(engine, Limits(audience_threads=1, audience_calls=2)) as found:
        yield found


def stopped(slow: Slow) -> int:
    """How many blocks of rows were looked at when nobody waited any more."""
    for _ in range(200):
        before = slow.looks
        time.sleep(0.15)
        if slow.looks == before:
            return before
    raise AssertionError("the scan goes on")


@pytest.mark.parametrize("asked", ["rule", "campaign"])
def test_a_call_that_is_cancelled_ends_its_scan(
    served: Served, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    whole = BUYERS // 64
    slow = Slow(monkeypatch)
    with grpc.insecure_channel(served.target) as channel:
        stub = AudienceServiceStub(channel)  # type: ignore[no-untyped-call]
        given = {"rule": SLOW} if asked == "rule" else {"campaign": "slow"}
        call = stub.CountAudience.future(pb.CountAudienceRequest(**given), timeout=60)
        assert slow.began.acquire(timeout=20)
        call.cancel()
        assert stopped(slow) < whole
    slow.free.set()
    with Client(served.target) as client:
        # The one thread there is answers again, and rightly.
        assert client.count(rule=SLOW).count == sum((n % 100) % 7 < 3 for n in range(BUYERS))


def test_a_deadline_that_has_passed_ends_the_scan(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    with Client(served.target, timeout=0.3) as client:
        with pytest.raises(ServerError) as late:
            client.count(rule=SLOW)
        assert late.value.code == "DEADLINE_EXCEEDED"
        assert stopped(slow) < BUYERS // 64
        slow.free.set()
    with Client(served.target) as client:
        assert client.count(rule="score < 50").count == BUYERS // 2


def test_a_stream_whose_client_vanishes_ends_its_scan(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    channel = grpc.insecure_channel(served.target)
    stub = AudienceServiceStub(channel)  # type: ignore[no-untyped-call]
    stream = stub.StreamAudience(pb.StreamAudienceRequest(rule=SLOW), timeout=60)
    assert slow.began.acquire(timeout=20)
    channel.close()
    assert stopped(slow) < BUYERS // 64
    del stream


def test_whoever_left_before_a_thread_was_free_is_never_asked_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    with grpc.insecure_channel(served.target) as channel:
        stub = AudienceServiceStub(channel)  # type: ignore[no-untyped-call]
        first = stub.CountAudience.future(pb.CountAudienceRequest(rule=SLOW), timeout=60)
        assert slow.began.acquire(timeout=20)
        second = stub.CountAudience.future(pb.CountAudienceRequest(rule=SLOW), timeout=60)
        time.sleep(0.2)
        second.cancel()
        first.cancel()
        assert stopped(slow) < BUYERS // 64
