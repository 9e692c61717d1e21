"""A server as a process of its own, whose memory, log and end a test can see."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Process:
    """A running `segengine serve`; `log` is what it has written to standard error so far."""

    def __init__(self, popen: subprocess.Popen[str], target: str, log: Path) -> None:
        self.popen, self.target = popen, target
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def memory(self) -> int:
        """Bytes that it has in memory now."""
        said = Path(f"/proc/{self.popen.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", said)
        assert found is not None
        return 1024 * int(found[1])


@contextmanager
def served(store: Path, log: Path, *options: str) -> Iterator[Process]:
    """`segengine serve` for a store, ready; killed at the end if it has not ended."""
    command = [sys.executable, "-m", "segengine.cli", "serve", "--store", str(store), "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready on "), log.read_text()
            yield Process(process, line.removeprefix("ready on ").strip(), log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()
