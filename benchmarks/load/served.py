"""What is under load? A shop's server, of one process or several, and an Echo beside it.

Both are asked the same messages. Answers of the shop are compared with those decided in process
before anything is timed.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from benchmarks.load.h2load import CONNECTIONS, Loaded, load
from benchmarks.load.mix import GET_PAGE
from benchmarks.load.outcomes import calls_by_end, since
from benchmarks.load.processes import say, started
from benchmarks.load.serving import token_in
from benchmarks.load.shop import placed_in

_WORKERS_SAY_SECONDS = 1.5
"""Workers say every second what they counted."""


class WrongPageError(Exception):
    """The server's page is not the one that the engine decides on."""


class NotCopiedError(Exception):
    """There is no room for a copy of the shop, or none may be made."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: where it is, its processes, who may ask it, and what it is asked.

    pids: the first is who writes. metrics_port: 0 where nobody counts. table_bytes: of the store.
    """

    target: str
    pids: list[int]
    token: str
    messages: list[bytes]
    as_of: str = ""
    metrics_port: int = 0
    table_bytes: int = 0

    def load(
        self, seconds: float, rate: float | None = None, connections: int = CONNECTIONS
    ) -> Loaded:
        """Ask it for so long; rate: requests a second, None for as many as it answers."""
        before = self._ended()
        found = load(self.target, GET_PAGE, self.messages, self.pids, seconds=seconds, rate=rate,
                     token=self.token, connections=connections)  # fmt: skip
        return replace(found, ended=since(before, self._ended()))

    def _ended(self) -> dict[str, int]:
        if self.metrics_port and len(self.pids) > 1:
            time.sleep(_WORKERS_SAY_SECONDS)
        return calls_by_end(self.metrics_port)


@contextmanager
def copy_of(folder: Path) -> Iterator[Path]:
    """A shop for who writes, beside the one in `folder`, which gets no event; gone with the block.

    One that is kept would age with every run, its buyers with ever more events of one moment, and
    be slower to append to than any shop. `NotCopiedError` where there is no room.
    """
    folder = folder.resolve()
    with ExitStack() as stack:
        say(f"copying the shop in {folder}: what is written stays out of it")
        try:
            name = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent)
            )
            copied = Path(shutil.copytree(folder, Path(name) / "shop"))
        except OSError as error:
            raise NotCopiedError(
                f"cannot copy the shop in {folder} to a place beside it, which takes as much room "
                f"again: {error.strerror or error}"
            ) from error
        yield copied


@contextmanager
def shop_served(
    folder: Path, customers: int, modules: int, workers: int = 0, refuse: bool = True
) -> Iterator[Server]:
    """A server over the shop in `folder`, its answers checked.

    modules: 0 for a bare shop. workers: 0: one process. refuse: whether pages are, as ever, where
    more are asked for than it can decide.
    """
    with tempfile.TemporaryDirectory(prefix="segengine-load-") as name:
        token, file = token_in(Path(name))
        kind = f" of {workers} workers" if workers else ""
        say(f"starting a server{kind} over {customers:,} buyers, a page of {modules:,} modules")
        with started(
            "benchmarks.load.serving", "store", "--folder", str(folder), "--tokens", str(file),
            "--customers", str(customers), "--modules", str(modules), "--workers", str(workers),
            *([] if refuse else ["--no-refusal"]),
        ) as running:  # fmt: skip
            visits = [(base64.b64decode(m), placed) for m, placed in running.said["visits"]]
            found = subprocess.run(
                ["/usr/bin/ps", "--ppid", str(running.pid), "-o", "pid="],
                capture_output=True, text=True, check=False,
            ).stdout.split() if workers else []  # fmt: skip
            server = Server(
                f"127.0.0.1:{running.said['port']}", [running.pid, *map(int, found)], token,
                [message for message, _ in visits], running.said["as_of"],
                running.said["metrics_port"], running.said["table_bytes"],
            )  # fmt: skip
            for _ in range(2 * workers or 1):
                # A channel of its own each time: another worker may have it.
                check_pages(server, [placed for _, placed in visits])
            say(f"{len(visits)} pages over the wire are those decided in process")
            yield server


def peak_of(folder: Path, customers: int, modules: int, seconds: float, workers: int = 0) -> float:
    """The most pages a second that a server answers, 16 of them waiting, of which none is refused.

    It is another server than those that are loaded: one that refuses answers fewer.
    """
    with shop_served(folder, customers, modules, workers, refuse=False) as page:
        page.load(1.0)
        say("as many as are answered, 16 connections")
        return page.load(seconds).answered_per_second


@contextmanager
def echo_served(like: Server, count: int = 1, *, floor: bool = False) -> Iterator[Server]:
    """An Echo that answers with a page of `like`'s, the one of median size.

    count: processes, which share a port. floor: it is the server that `like` is, without deciding.
    """
    sizes = sorted(replies_of(like), key=len)
    with tempfile.TemporaryDirectory(prefix="segengine-load-") as name, ExitStack() as stack:
        token, file = token_in(Path(name))
        reply = Path(name) / "reply"
        reply.write_bytes(sizes[len(sizes) // 2])
        pids, port = [], 0
        for _ in range(count):
            running = stack.enter_context(started(
                "benchmarks.load.serving", "echo", "--tokens", str(file), "--reply", str(reply),
                "--port", str(port), *(["--reuse-port"] if count > 1 else []),
                *(["--floor"] if floor else []),
            ))  # fmt: skip
            port = running.said["port"]
            pids.append(running.pid)
        echo = Server(f"127.0.0.1:{port}", pids, token, like.messages)
        if set(replies_of(echo)) != {reply.read_bytes()}:
            raise WrongPageError("the Echo does not answer with what it was given")
        say(
            f"{'the floor' if floor else 'an Echo'} beside it: requests of "
            f"{len(like.messages[0])} bytes or so, replies of {len(reply.read_bytes())}"
        )
        yield echo


def check_pages(server: Server, expected: Sequence[list[list[str]]]) -> None:
    """`WrongPageError` unless each of the server's messages is answered as expected."""
    for number, reply in enumerate(replies_of(server)):
        if placed_in(reply) != expected[number]:
            raise WrongPageError(
                f"visit {number}: the server says {placed_in(reply)}, the engine {expected[number]}"
            )


def replies_of(server: Server) -> list[bytes]:
    """The reply to each message of a server."""
    who = (("authorization", f"Bearer {server.token}"),)
    with grpc.insecure_channel(server.target) as channel:
        ask = channel.unary_unary(GET_PAGE)
        return [ask(message, metadata=who, timeout=10) for message in server.messages]
