"""How fast does an audience of millions leave, and what does it take of the server meanwhile?

1. Whole audiences through the client, their ids checked against the engine's count: ids a second.
2. The server's memory while they stream, and while a client reads slowly.
3. A client that leaves in the middle: how long until the server takes no more processor time for
   it, and its memory after.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from segengine_server import Client
from segengine_server.wire import segengine_pb2 as pb

from benchmarks.load.processes import memory_watched, say, use_of
from benchmarks.load.served import Server, WrongPageError, shop_served

RULE = "TRUE"
_STREAM = "/segengine.v1.AudienceService/StreamAudience"
_SLOW_SECONDS = 3.0


def measure_stream(folder: Path, customers: int, rounds: int) -> dict[str, Any]:
    """The figures of StreamAudience over all buyers of a shop, who have no history."""
    with shop_served(folder, customers, 0) as server:
        with Client(server.target, token=server.token, timeout=60) as client:
            if client.count(rule=RULE).count != customers:
                raise WrongPageError("the server does not count all buyers")
            first = client.stream(rule=RULE)
            if len(set(first.column("customer_id").to_pylist())) != customers:
                raise WrongPageError("the stream does not hold every buyer once")
            del first
        say("streaming")
        before = use_of([server.pids[0]]).resident_bytes
        with memory_watched(server.pids[0]) as held:
            taken = [_all_of(server, customers) for _ in range(rounds)]
        raw = [_bytes_of(server) for _ in range(rounds)]
        say("a client that reads slowly")
        with memory_watched(server.pids[0]) as slowly:
            _slow(server)
        say("clients that leave in the middle")
        left = [_left(server) for _ in range(5)]
        time.sleep(1.0)
        after = use_of([server.pids[0]]).resident_bytes
    seconds = median(taken)
    return {
        "ids": customers,
        "seconds": [round(each, 4) for each in taken],
        "ids_per_second": round(customers / seconds),
        "ids_per_second_as_bytes": round(customers / median(raw)),
        "memory_mb": {
            "before": _mb(before), "most_while_streaming": _mb(max(held)),
            "most_with_a_slow_client": _mb(max(slowly)), "after": _mb(after),
        },
        "cpu_ms_after_leaving": round(1000 * median(left), 1),
    }  # fmt: skip


def _all_of(server: Server, customers: int) -> float:
    """Seconds from asking until the last id is in memory as Arrow."""
    with Client(server.target, token=server.token, timeout=60) as client:
        client.count(rule="customer_id = 1")
        began = time.perf_counter()
        rows = sum(batch.num_rows for batch in client.batches(rule=RULE))
        taken = time.perf_counter() - began
    if rows != customers:
        raise WrongPageError(f"{rows:,} ids came of {customers:,}")
    return taken


def _pieces(server: Server, channel: grpc.Channel) -> Any:
    who = (("authorization", f"Bearer {server.token}"),)
    ask = channel.unary_stream(
        _STREAM, response_deserializer=pb.StreamAudienceReply.FromString,
        request_serializer=pb.StreamAudienceRequest.SerializeToString,
    )  # fmt: skip
    return ask(pb.StreamAudienceRequest(rule=RULE), metadata=who, timeout=60)


def _bytes_of(server: Server) -> float:
    """Seconds of the same, when the client only takes the bytes."""
    with grpc.insecure_channel(server.target) as channel:
        grpc.channel_ready_future(channel).result(10)
        began = time.perf_counter()
        for _ in _pieces(server, channel):
            pass
        return time.perf_counter() - began


def _slow(server: Server) -> None:
    """Take a piece now and then."""
    with grpc.insecure_channel(server.target) as channel:
        pieces = _pieces(server, channel)
        until = time.perf_counter() + _SLOW_SECONDS
        for _ in pieces:
            time.sleep(0.2)
            if time.perf_counter() > until:
                break
        pieces.cancel()


def _left(server: Server) -> float:
    """Processor seconds that the server uses after a client has left after the first piece."""
    with grpc.insecure_channel(server.target) as channel:
        pieces = _pieces(server, channel)
        next(iter(pieces))
        pieces.cancel()
        before = use_of([server.pids[0]])
        time.sleep(0.5)
        return use_of([server.pids[0]]).since(before).cpu_seconds


def _mb(count: int) -> float:
    return round(count / 1e6, 1)
