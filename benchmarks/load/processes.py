"""Which processes serve, and what do they use? Started here, ended here by their ids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_END_SECONDS = 20.0


class NotStartedError(Exception):
    """A process ended, or was silent, before it was ready."""


@dataclass(frozen=True, slots=True)
class Use:
    """Processor time in seconds, user and system of all threads, and resident bytes."""

    cpu_seconds: float
    resident_bytes: int

    def since(self, before: Use) -> Use:
        """What was used since then; the memory as it is now."""
        return Use(self.cpu_seconds - before.cpu_seconds, self.resident_bytes)


@dataclass(frozen=True, slots=True)
class Started:
    """A process that said it is ready, and what it said."""

    pid: int
    said: dict[str, Any]
    process: subprocess.Popen[str]


def use_of(pids: Sequence[int]) -> Use:
    """What these processes have used so far, in all."""
    cpu, memory = 0, 0
    for pid in pids:
        # The name of a process, in brackets, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu += int(fields[11]) + int(fields[12])
        memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Use(cpu / _TICKS, memory * os.sysconf("SC_PAGE_SIZE"))


@contextmanager
def started(module: str, *arguments: str, seconds: float = 600.0) -> Iterator[Started]:
    """`python -m module arguments`, once it has written a line of JSON; ended with the block.

    `NotStartedError` after so many seconds, or where it ends before.
    """
    # A group of its own: Ctrl-C is for us, who end it in our own time. No session of its own: where
    # Linux shares processors out by session, the load would wait milliseconds for the server.
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        assert process.stdout is not None
        given_up = threading.Timer(seconds, process.kill)
        given_up.start()
        try:
            line = process.stdout.readline()
        finally:
            given_up.cancel()
        if not line:
            raise NotStartedError(
                f"`{module} {' '.join(arguments)}` was not ready within {seconds:g} s, or failed; "
                "what it said stands above"
            )
        yield Started(process.pid, json.loads(line), process)
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def memory_watched(pid: int, every_seconds: float = 0.01) -> Iterator[list[int]]:
    """The resident bytes of a process while the block runs, one number a sample."""
    samples: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every_seconds):
            samples.append(use_of([pid]).resident_bytes)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def say(text: str) -> None:
    """A line of progress on standard error, with the time since the program began."""
    sys.stderr.write(f"[{time.perf_counter() - _BEGAN:7.1f} s] {text}\n")
    sys.stderr.flush()


_BEGAN = time.perf_counter()
