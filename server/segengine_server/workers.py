"""How are workers begun, watched and ended? By the one process that keeps the store.

Each is a process of its own, begun anew when it ends unasked, so that its callers lose the calls in
flight at most. They share a port, which this process holds without listening; it answers what they
pass on, on a socket that only its user can open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from segengine_server.errors import ListenError
from segengine_server.summed import Summed
from segengine_server.worker_lines import COUNTED, DRAIN, HURRY, READY, Task

START_SECONDS = 120.0
# A worker that ends at once is begun again ever more slowly: something is wrong with all of them.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_STEADY_SECONDS = 30.0
_END_SECONDS = 5.0
"""What a worker is given to end in, beyond the time to drain."""
_TRIES = 50
_LINE_BYTES = 4 << 20

_log = logging.getLogger("segengine_server")


class WorkerError(ListenError):
    """A worker does not come to answer."""

    reason = "NO_WORKER"


@dataclass(frozen=True, slots=True)
class Crew:
    """How many workers, and what begins one.

    command: what is run; it reads a `Task` from its standard input  tables: where the store is
    followed  tokens: the file of those who may ask
    """

    count: int
    command: Sequence[str]
    tables: str
    tokens: str | None = None
    log_json: bool = False


@contextmanager
def held_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for workers; 0: a free one. Nobody is answered by this.

    `ListenError` where another program has it.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for left in reversed(range(_TRIES if port == 0 else 1)):
        with ExitStack() as stack:
            bound = port
            try:
                for family, kind, protocol, _, address in found:
                    held = stack.enter_context(socket.socket(family, kind, protocol))
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    if bound:
                        # Calls that a server here ended linger for a minute. Where the port is
                        # any, this would let two share one.
                        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    held.bind((address[0], bound, *address[2:]))
                    bound = held.getsockname()[1]
            except OSError as error:
                if left:
                    continue
                raise ListenError(
                    f"port `{port}` of `{host}` cannot be kept for workers: {error.strerror}",
                    field="port",
                ) from error
            yield bound
            return


@contextmanager
def private_socket() -> Iterator[str]:
    """An address, for gRPC, that programs of this user alone can reach; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="segengine-") as folder:
        yield f"unix:{Path(folder) / 'server'}"


class Workers:
    """The workers of one server.  task: of each, but for its number"""

    def __init__(self, crew: Crew, task: Task, summed: Summed) -> None:
        self._crew, self._task, self._summed = crew, task, summed
        self._keeping: list[asyncio.Task[None]] = []
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._ready = [asyncio.Event() for _ in range(crew.count)]
        self._ending = False
        self._failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def pids(self) -> list[int]:
        """The processes there are."""
        return [process.pid for process in self._running.values()]

    async def start(self) -> None:
        """Begin all, and wait until each answers; `WorkerError` where one does not."""
        numbers = range(1, self._crew.count + 1)
        self._keeping = [asyncio.ensure_future(self._keep(number)) for number in numbers]
        ready = asyncio.ensure_future(self._all_ready())
        await asyncio.wait(
            (ready, self._failed), timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if not ready.done():
            ready.cancel()
            why = self._failed.result() if self._failed.done() else f"after {START_SECONDS:g} s"
            await self.end(hurry=None)
            raise WorkerError(f"a worker does not answer: {why}; see the log", field="workers")

    async def _all_ready(self) -> None:
        for each in self._ready:
            await each.wait()

    async def _keep(self, number: int) -> None:
        """Have a worker of this number until the end."""
        pause = _FIRST_PAUSE
        while not self._ending:
            began = time.perf_counter()
            code = await self._live(number)
            if self._ending:
                return
            is_first = not self._ready[number - 1].is_set()
            if is_first:
                if not self._failed.done():
                    self._failed.set_result(f"worker {number} ended with {code}")
                return
            if time.perf_counter() - began >= _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            _log.error("worker %d ended with %d; another one is begun", number, code)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _live(self, number: int) -> int:
        """One worker from its beginning to its end; how it ended."""
        self._summed.begins(number)
        process = await asyncio.create_subprocess_exec(
            *self._crew.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )  # fmt: skip
        self._running[number] = process
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            _tell(process, self._of(number).line())
            while line := await process.stdout.readline():
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if COUNTED in said:
                        self._summed.take(number, said[COUNTED])
                    if READY in said:
                        self._summed.answers(number)
                        self._ready[number - 1].set()
            return await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            del self._running[number]
            self._summed.ended(number)

    def _of(self, number: int) -> Task:
        return replace(self._task, number=number)

    async def end(self, hurry: asyncio.Event | None) -> None:
        """Let every worker drain, until `hurry` is set; all are gone afterwards."""
        self._ending = True
        self._tell_all(DRAIN)
        going = asyncio.ensure_future(asyncio.gather(*self._keeping))
        hurried = asyncio.ensure_future((hurry or asyncio.Event()).wait())
        limit = self._task.limits["drain_seconds"] + _END_SECONDS
        await asyncio.wait((going, hurried), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if hurried.done():
            self._tell_all(HURRY)
            await asyncio.wait((going,), timeout=_END_SECONDS)
        hurried.cancel()
        if not going.done():
            _log.error("workers did not end in time, and are ended")
            for each in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    each.kill()
        await going

    def _tell_all(self, word: str) -> None:
        for each in self._running.values():
            _tell(each, word + "\n")


def _tell(process: asyncio.subprocess.Process, line: str) -> None:
    # Whoever is gone hears nothing, and its end is seen elsewhere.
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        process.stdin.write(line.encode())
