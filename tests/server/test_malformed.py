"""Whatever is sent, there is a proper answer, and the server is afterwards what it was."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from segengine_server import Client

import segengine as se
from tests.server.malformed_requests import Sent, malformed, methods
from tests.server.process import Process, served

SHOP = Path(__file__).resolve().parents[2] / "docs" / "shop"
PROPER = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED",
          "OUT_OF_RANGE", "ALREADY_EXISTS", "ABORTED"}  # fmt: skip
SECONDS = 60
OURS = "customer_id BETWEEN 1 AND 999"
MEGABYTE = 1 << 20


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    folder = tmp_path / "shop"
    shutil.copytree(SHOP, folder)
    with se.Engine.open(folder) as engine:
        engine.load_configured()
    with served(folder, tmp_path / "log.txt", "--insecure") as found:
        yield found


def code_of(channel: grpc.Channel, sent: Sent) -> str:
    method = sent.method
    name = f"/{method.containing_service.full_name}/{method.name}"
    asks: Any = {
        (False, False): channel.unary_unary, (False, True): channel.unary_stream,
        (True, False): channel.stream_unary, (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming](name)  # fmt: skip
    request = iter(sent.requests) if method.client_streaming else sent.requests[0]
    try:
        answer = asks(request, timeout=SECONDS)
        if method.server_streaming:
            for _ in answer:
                pass
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def answers(target: str) -> list[Any]:
    """What nobody who is asked about in this file can change."""
    with Client(target, timeout=30) as client:
        return [
            client.count(rule=f"{OURS} AND order_count >= 1").count,
            client.count(rule=f"{OURS} AND segment('vip')").count,
            client.stream(rule=OURS, columns=["amount_total"]).to_pylist(),
            client.match(1),
            [p.module for p in client.page("home", 2, {"device": "mobile"}).placements],
            client.explain(8, campaign="spring").step,
        ]


def check_all(process: Process, rng: Random, count: int) -> None:
    before = answers(process.target)
    found: Counter[str] = Counter()
    odd = []
    with grpc.insecure_channel(process.target) as channel:
        for sent in malformed(rng, count):
            code = code_of(channel, sent)
            found[code] += 1
            if code not in PROPER:
                odd.append((sent.method.name, sent.what, code, [r[:80] for r in sent.requests]))
    assert not odd
    assert found["INVALID_ARGUMENT"] > count // 4
    assert process.popen.poll() is None
    assert "Traceback" not in process.log
    assert answers(process.target) == before


def test_malformed_requests_of_every_method_are_refused_properly(process: Process) -> None:
    assert {sent.method.name for sent in malformed(Random(1), 300)} == {
        method.name for method in methods()
    }
    check_all(process, Random(2), 300)


@pytest.mark.prove
def test_10000_malformed_requests_leave_the_server_as_it_was(process: Process) -> None:
    # What a server keeps (texts, plans, buckets) is bounded: the first requests fill it.
    check_all(process, Random(3), 3_000)
    before = process.memory()
    began = time.perf_counter()
    check_all(process, Random(4), 10_000)
    after = process.memory()
    print(f"{before / MEGABYTE:.0f} MB before, {after / MEGABYTE:.0f} MB after, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    assert after < before + 64 * MEGABYTE
