"""A server of several processes, driven as its callers drive it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from segengine_server import Client
from segengine_server.app import run
from segengine_server.errors import ListenError, ServerError
from segengine_server.listening import check_address
from segengine_server.rates import SharedRates
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.worker_lines import Task
from segengine_server.workers import Crew as CrewOf
from segengine_server.workers import held_port

import segengine as se
from tests.server.ports import free_port
from tests.server.process import Process, served

GET_PAGE = "/segengine.v1.PageService/GetPage"
CHANNELS = 24
"""So many connections meet both workers, but once in eight million runs."""
STORE = """
[store]
timezone = "Asia/Shanghai"
as_of = 2026-03-15T12:00:00+08:00

[segments]
buyers = "order_count > 0"

[pages.home.slots.top.modules.again]
rule = "segment('buyers') AND sum(orders.amount) > 20"
priority = 9
cap = {limit = 2, days = 3}

[pages.home.slots.top.modules.fresh]
rule = "visits_7d > 0 AND bucket('fresh') < 0.7"

[pages.home.slots.top.modules.mobile]
rule = "context.device = 'mobile'"

[pages.best.slots.top.modules.best]
rule = "percent_rank(amount_total) OVER () > 0.5"
"""
AS_OF = "2026-03-15T04:00:00Z"


def rows(**columns: list[Any]) -> pa.Table:
    count = len(next(iter(columns.values())))
    moment = pa.scalar(AS_OF).cast(pa.timestamp("us", "UTC"))
    return pa.table({**columns, "time": pa.array([moment.as_py()] * count)})


def made(folder: Path) -> Path:
    """A store of a few buyers."""
    folder.mkdir()
    (folder / "store.toml").write_text(STORE)
    with se.Engine.open(folder) as engine:
        engine.load("customers", pa.table({"customer_id": range(1, 301)}))
        engine.load("orders", rows(
            customer_id=[1 + k % 200 for k in range(400)], order_id=list(range(400)),
            amount=[float(k % 37) for k in range(400)],
        ))  # fmt: skip
    return folder


class Crew:
    """A server with workers, a channel for each of many connections, and the same store here."""

    def __init__(self, process: Process, engine: se.Engine, metrics: int, stack: ExitStack) -> None:
        self.process, self.engine, self.metrics = process, engine, metrics
        self._stack = stack
        self.channels: list[grpc.Channel] = []
        self.connect()

    def connect(self) -> None:
        alone = [("grpc.use_local_subchannel_pool", 1)]
        self.channels = [
            self._stack.enter_context(grpc.insecure_channel(self.process.target, options=alone))
            for _ in range(CHANNELS)
        ]
        for each in self.channels:
            grpc.channel_ready_future(each).result(20)
        assert self.serving() == set(self.workers())

    def workers(self) -> list[int]:
        command = ["ps", "--ppid", str(self.process.popen.pid), "-o", "pid="]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return [int(word) for word in said.split()]

    def serving(self) -> set[int]:
        """The processes that have a connection to the port."""
        port = f":{int(self.process.target.rpartition(':')[2]):04X}"
        lines = [
            line.split()
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        ]
        inodes = {f[9] for f in lines if f[1].endswith(port) and f[3] == "01"}
        found = set()
        for pid in self.workers():
            for each in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if each.readlink().name[8:-1] in inodes:
                        found.add(pid)
                except OSError:
                    continue
        return found

    def append(self, table: str, data: pa.Table) -> None:
        """To the server, acknowledged, and to the store here."""
        with Client(self.process.target) as client:
            client.append(table, data)
        self.engine.append(table, data)

    def agree(self, customer: int | None, page: str = "home", **context: str) -> None:
        """Over every connection the page is the one that is decided here."""
        request = pb.GetPageRequest(page=page, context=context)
        if customer is not None:
            request.customer.number = customer
        expected = self.engine.page(page, customer, context)
        for each in self.channels:
            ask = each.unary_unary(GET_PAGE)
            reply = pb.GetPageReply.FromString(ask(request.SerializeToString(), timeout=20))
            assert [(p.slot, p.module, p.reason) for p in reply.placements] == [
                (p.slot, p.module or "", str(p.reason)) for p in expected.placements
            ]

    def counted(self) -> dict[str, float]:
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics").read().decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to be copied: to make one takes longer."""
    return made(tmp_path_factory.mktemp("shop") / "store")


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory, shop: Path) -> Iterator[Crew]:
    folder = tmp_path_factory.mktemp("workers")
    for name in ("twin", "store"):
        shutil.copytree(shop, folder / name)
    port = free_port()
    options = ("--insecure", "--workers", "2", "--metrics-port", str(port))
    with (
        se.Engine.open(folder / "twin") as engine,
        served(folder / "store", folder / "log", *options) as process,
        ExitStack() as stack,
    ):
        yield Crew(process, engine, port, stack)


def test_two_workers_answer_as_one_process_does(crew: Crew) -> None:
    rng = random.Random(1)
    for customer in [*rng.sample(range(1, 301), 6), 12345, None]:
        crew.agree(customer)
        crew.agree(customer, device="mobile")


def test_an_acknowledged_event_is_on_the_next_page_of_every_worker(crew: Crew) -> None:
    for step in range(8):
        customer, new = 250 + step, 1_000 + step
        crew.append("behaviors", rows(customer_id=[customer, new], kind=["visit"] * 2))
        crew.agree(customer)
        crew.agree(new)
        crew.append("orders", rows(customer_id=[customer], order_id=[5000 + step], amount=[99.0]))
        crew.agree(customer)
        module = crew.engine.page("home", customer).placements[0].module
        crew.append("impressions", rows(
            customer_id=[customer] * 2, module=[module] * 2, kind=["shown"] * 2,
        ))  # fmt: skip
        crew.agree(customer)


def test_many_new_buyers_move_the_tables_under_their_readers(crew: Crew) -> None:
    new = list(range(10_000, 14_000))
    crew.append("behaviors", rows(customer_id=new, kind=["visit"] * len(new)))
    for customer in (10_000, 12_345, 13_999):
        crew.agree(customer)


def test_what_compares_buyers_is_passed_on(crew: Crew) -> None:
    for customer in (1, 36, 200):
        crew.agree(customer, "best")


def test_one_address_answers_everything(crew: Crew) -> None:
    engine = crew.engine
    for _ in range(6):
        with Client(crew.process.target) as client:
            assert client.match(1) == engine.match(1)
            assert client.count(rule="order_count > 1").count == engine.segment(
                "order_count > 1").count()  # fmt: skip
            assert client.stream(rule="TRUE").num_rows == engine.segment("TRUE").count()
            with pytest.raises(ServerError) as refused:
                client.count(rule="nothing > 1")
            assert refused.value.code == "INVALID_ARGUMENT"
            assert "nothing" in refused.value.message
            with pytest.raises(ServerError) as unknown:
                client.match(99_999)
            assert unknown.value.code == "NOT_FOUND"
    for channel in crew.channels:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == 1


def test_metrics_are_of_all_processes_together(crew: Crew) -> None:
    name = 'segengine_calls_total{code="OK",method="PageService/GetPage"}'
    time.sleep(1.5)
    before = crew.counted()[name]
    crew.agree(1)
    assert within(20, lambda: crew.counted()[name] == before + CHANNELS)
    said = crew.counted()
    assert said['segengine_worker_up{worker="1"}'] == said['segengine_worker_up{worker="2"}'] == 1


def test_the_tables_are_in_memory_once(crew: Crew) -> None:
    for customer in (1, 10_500):
        crew.agree(customer)
    for pid in crew.workers():
        tables, own = 0, 0
        inside = False
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            words = line.split()
            if "-" in words[0] and ":" not in words[0]:
                inside = "segengine-tables" in line
            elif inside and words[0] == "Rss:":
                tables += int(words[1])
            elif inside and words[0] in ("Private_Dirty:", "Anonymous:"):
                own += int(words[1])
        assert tables > 0
        assert own == 0


def test_another_server_is_refused_the_port(crew: Crew) -> None:
    host, _, port = crew.process.target.rpartition(":")
    with pytest.raises(ListenError, match=f"port `{port}` of `{host}` is taken"):
        check_address(host, int(port))
    with pytest.raises(ListenError, match="taken"), se.Engine() as engine:
        serve_here(engine, None, int(port))


def test_a_worker_that_is_killed_is_replaced(crew: Crew) -> None:
    before = crew.workers()
    os.kill(before[0], signal.SIGKILL)
    # Its sockets are there until the last of its threads is not.
    assert within(20, lambda: "ended with -9" in crew.process.log)
    # The other one answers whoever comes now.
    for _ in range(10):
        with Client(crew.process.target) as client:
            assert client.page("home", 1).placements
    up = 'segengine_worker_up{worker="1"}', 'segengine_worker_up{worker="2"}'
    assert within(60, lambda: all(crew.counted()[name] == 1 for name in up))
    after = crew.workers()
    assert len(after) == 2
    assert before[0] not in after
    assert before[1] in after
    crew.connect()
    crew.append("behaviors", rows(customer_id=[299], kind=["visit"]))
    crew.agree(299)


def test_told_to_end_all_processes_end(crew: Crew) -> None:
    workers = crew.workers()
    crew.process.popen.terminate()
    assert crew.process.popen.wait(30) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert "drained, and gone" in crew.process.log


def test_connections_that_an_earlier_server_ended_keep_no_port_from_its_workers() -> None:
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)) as earlier,
        socket.create_connection(("127.0.0.1", port)) as caller,
    ):
        connection, _ = earlier.accept()
        # Whoever ends a connection first keeps its address for a minute.
        connection.close()
        assert caller.recv(1) == b""
    with held_port("127.0.0.1", port) as held:
        assert held == port


def test_nothing_is_answered_from_what_a_dead_server_left(shop: Path, tmp_path: Path) -> None:
    port = free_port()
    with (
        se.Engine.open(shutil.copytree(shop, tmp_path / "store")) as engine,
        closing(SharedRates()) as rates,
    ):
        task = Task(
            1, engine.share(), f"unix:{tmp_path / 'inside' / 'server'}", "127.0.0.1", port, None,
            None, {"drain_seconds": 1.0}, rates.path,
        )  # fmt: skip
        (tmp_path / "inside").mkdir()
        worker = subprocess.Popen(
            [sys.executable, "-m", "segengine.cli.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert worker.stdin
            assert worker.stdout
            worker.stdin.write(task.line())
            worker.stdin.flush()
            assert json.loads(worker.stdout.readline()) == {"ready": True}
            with Client(f"127.0.0.1:{port}") as client:
                assert client.page("home", 1).placements
                with pytest.raises(ServerError) as passed:
                    client.page("best", 1)
                assert passed.value.reason == "WRITER_GONE"
                # All that a server's death is to a worker: the end of the pipe.
                _, log = worker.communicate(timeout=30)
                with pytest.raises(ServerError) as refused:
                    client.page("home", 1)
        finally:
            worker.kill()
            worker.communicate()
    assert refused.value.code == "UNAVAILABLE"
    assert worker.returncode == 0
    assert "the server that keeps the store is gone" in log
    assert not (tmp_path / "inside").exists()


def test_a_worker_that_cannot_begin_ends_the_server_with_its_reason() -> None:
    crew = CrewOf(2, (sys.executable, "-c", "raise SystemExit(7)"), "1:2:3:4")
    with se.Engine() as engine, pytest.raises(ListenError, match=r"worker [12] ended with 7"):
        serve_here(engine, crew)


def serve_here(engine: se.Engine, crew: CrewOf | None, port: int = 0) -> None:
    async def serve() -> None:
        await run(engine, "127.0.0.1", port, stop=asyncio.Event(), insecure=True, crew=crew)

    asyncio.run(serve())
