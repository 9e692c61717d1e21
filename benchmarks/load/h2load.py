"""How fast does a server answer requests that do not wait for each other? h2load asks and logs.

Each connection is an h2load of its own, which sends its request at the moments of a script: open
loop, gaps drawn from an exponential distribution, so that connections do not fire together and a
slow answer delays no later request. Without a rate each connection asks anew as it is answered
(closed loop): that finds the most a server does. h2load sees HTTP alone: a refusal of gRPC is an
answer to it; `mix.py probe` tells them apart.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.processes import Use, use_of

CONNECTIONS = 16
# At most so many requests of a connection are under way; a server allows fewer (32). Further ones
# wait within h2load, which does not count that: a connection of 16 comes there when nothing is
# answered for 190 ms at 2,700 a second in all, for 63 ms at 8,100.
STREAMS = 100
INSTALL = (
    "h2load is not installed; it is in the package nghttp2-client of Debian and Ubuntu "
    "(`apt-get install nghttp2-client`), or nghttp2 elsewhere"
)
# Open loop asks nothing at first: to begin as many programs as there are connections takes both
# cores of a small machine some 80 ms, and would be measured as the server's.
QUIET_SECONDS = 0.5
# What h2load waits for answers when its last request is sent.
_GRACE_SECONDS = 20.0


class NoLoadError(Exception):
    """Load cannot be made, or was not what was asked for."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a load: when each request was sent, and how long its answer took.

    sent_us: int64[requests], of a common clock, in order. taken_us: float64[requests].
    failed: requests without an answer, or an answer of HTTP other than 200. use: what the
    server's process took meanwhile. ended: calls by the name of their status, as the server counts.
    """

    sent_us: NDArray[np.int64]
    taken_us: NDArray[np.float64]
    failed: int
    seconds: float
    use: Use
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many were answered."""
        return len(self.taken_us)

    @property
    def per_second(self) -> float:
        """Answers a second, while requests were sent."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def answered_per_second(self) -> float:
        """Of them those that are no refusals, where the server counts."""
        return self.ended["OK"] / self.seconds if self.ended.get("OK") else self.per_second

    @property
    def untaken(self) -> int:
        """Of them those that ended before the server heard of them, where it counts."""
        return max(0, self.requests - sum(self.ended.values())) if self.ended else 0

    @property
    def cpu_us(self) -> float:
        """Processor time of the server for one request, user and system, all its threads."""
        return 1e6 * self.use.cpu_seconds / self.requests if self.requests else float("nan")

    def ms(self, percent: float) -> float:
        """The percentile of the answers' times."""
        if not self.requests:
            return float("nan")
        return float(np.percentile(self.taken_us, percent)) / 1000


def framed(message: bytes) -> bytes:
    """A message as gRPC writes it in a body: not compressed, its length, itself."""
    return b"\0" + struct.pack(">I", len(message)) + message


def script(path: str, rate: float, seconds: float, seed: int) -> str:
    """Moments in milliseconds and the address to ask, one request a line: a Poisson process.

    rate: requests a second, of one connection. seconds: for which it asks, after a quiet begin.
    """
    rng = Random(seed)
    lines, at = [], rng.expovariate(rate)
    while at < seconds:
        lines.append(f"{1000 * (QUIET_SECONDS + at):.3f}\t{path}\n")
        at += rng.expovariate(rate)
    return "".join(lines)


def read_log(lines: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Of h2load's log: when each request was sent, how long it took, and how many failed.

    A line is the moment of sending in microseconds, the HTTP status (negative where the stream
    broke) and the microseconds it took, separated by tabs. A line that is cut off, as the last
    may be, is nobody's.
    """
    sent, taken, failed = [], [], 0
    for line in lines:
        fields = line.rstrip("\n").split("\t")
        if not line.endswith("\n") or len(fields) != 3:
            continue
        if fields[1] != "200":
            failed += 1
            continue
        sent.append(int(fields[0]))
        taken.append(float(fields[2]))
    moments = np.array(sent, np.int64)
    order = np.argsort(moments, kind="stable")
    return moments[order], np.array(taken, np.float64)[order], failed


def load(
    target: str,
    path: str,
    messages: Sequence[bytes],
    pids: Sequence[int],
    *,
    seconds: float,
    rate: float | None = None,
    token: str | None = None,
    connections: int = CONNECTIONS,
    streams: int | None = None,
) -> Loaded:
    """Ask the server at `target` for so long; connection k sends message k, again from the front.

    path: the method, `/service/name`. pids: the server's processes, whose use is measured. rate:
    requests a second in all; None: as fast as they are answered. streams: requests of a connection
    that wait at once.
    """
    found = shutil.which("h2load")
    if found is None:
        raise NoLoadError(INSTALL)
    streams = streams or (1 if rate is None else STREAMS)
    with tempfile.TemporaryDirectory(prefix="segengine-load-") as name:
        folder = Path(name)
        commands = []
        for number in range(connections):
            body, log = folder / f"body-{number}", folder / f"log-{number}"
            body.write_bytes(framed(messages[number % len(messages)]))
            command = [
                found, "-c1", f"-m{streams}", f"-d{body}", f"--log-file={log}",
                "-H", "content-type: application/grpc", "-H", "te: trailers",
            ]  # fmt: skip
            if token is not None:
                command += ["-H", f"authorization: Bearer {token}"]
            address = f"http://{target}{path}"
            if rate is None:
                command += [f"-D{round(1000 * seconds)}ms", address]
            else:
                plan = folder / f"script-{number}"
                plan.write_text(script(address, rate / connections, seconds, number))
                command.append(f"--timing-script-file={plan}")
            commands.append(command)
        before, began = use_of(pids), time.perf_counter()
        running = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for command in commands
        ]
        try:
            until = time.monotonic() + QUIET_SECONDS + seconds + _GRACE_SECONDS
            complaints = [
                each.communicate(timeout=max(0.1, until - time.monotonic()))[1] for each in running
            ]
        except subprocess.TimeoutExpired as error:
            raise NoLoadError(
                f"the server at `{target}` has not answered everything {_GRACE_SECONDS:g} s after "
                "the last request"
            ) from error
        finally:
            for each in running:
                if each.poll() is None:
                    each.kill()
                    each.communicate()
        taken, use = time.perf_counter() - began, use_of(pids).since(before)
        bad = [text for each, text in zip(running, complaints, strict=True) if each.returncode]
        if bad:
            raise NoLoadError(f"h2load failed: {bad[0].decode(errors='replace').strip()}")
        lines: list[str] = []
        for number in range(connections):
            with (folder / f"log-{number}").open(encoding="ascii") as log:
                lines += log
        sent, times, failed = read_log(lines)
    return Loaded(sent, times, failed, seconds if rate is not None else min(taken, seconds), use)
