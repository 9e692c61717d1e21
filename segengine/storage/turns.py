"""When may another process read what this one changes?

A reader holds a shared lock for as long as it looks, the writer an exclusive one while it changes
something. They are locks of the kernel on open files: whoever dies lets go of his. A writer that
waits is given way to, else busy readers would keep it out for ever; and a counter, odd while
something changes, tells a reader whether anything has changed since it last looked, and whether a
writer has died halfway.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading

import numpy as np

from segengine.errors import ElsewhereError, StoreError

FORMAT = 1
_NUMBERS = 512
"""int64 in the page that both sides map."""
_FORMAT, _CHANGES, _WANTED, _STALE = range(4)
FREE = 8
"""From here on numbers mean what the caller says."""


class TornError(StoreError):
    """The process that writes died halfway through a change."""


def _new_file(name: str) -> int:
    made = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(made, 8 * _NUMBERS)
    return made


def _opened_again(file: int) -> int:
    # A lock belongs to an opening of a file: nobody else may ever have this one.
    return os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC)


class WriterTurns:
    """The side that changes things, one change at a time."""

    def __init__(self) -> None:
        self.file, self.queue = _new_file("segengine-turns"), _new_file("segengine-queue")
        self._lock, self._queue_lock = _opened_again(self.file), _opened_again(self.queue)
        self._map = mmap.mmap(self.file, 8 * _NUMBERS)
        self.numbers = np.frombuffer(self._map, np.int64)
        """int64[512]; those from FREE on are the caller's."""
        self.numbers[_FORMAT] = FORMAT

    def begin(self) -> None:
        """Wait for the readers inside, and keep all others out."""
        self.numbers[_WANTED] = 1
        fcntl.flock(self._queue_lock, fcntl.LOCK_EX)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.numbers[_CHANGES] += 1

    def end(self, *, told: bool) -> None:
        """Let readers in; told: whether the numbers say what has changed."""
        self.numbers[_STALE] = 0 if told else 1
        self.numbers[_CHANGES] += 1
        self.numbers[_WANTED] = 0
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        fcntl.flock(self._queue_lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the files; a reader that has them open keeps what is there."""
        for each in (self._lock, self._queue_lock, self.file, self.queue):
            os.close(each)


class ReaderTurns:
    """The side that looks.  file, queue: paths of the writer's open files."""

    def __init__(self, file: str, queue: str) -> None:
        self._lock = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        self._queue = os.open(queue, os.O_RDONLY | os.O_CLOEXEC)
        self._map = mmap.mmap(self._lock, 8 * _NUMBERS, mmap.MAP_SHARED, mmap.PROT_READ)
        self.numbers = memoryview(self._map).cast("q")
        """int64[512]; those from FREE on are the caller's."""
        if self.numbers[_FORMAT] != FORMAT:
            raise StoreError(
                f"the tables are shared in format {self.numbers[_FORMAT]}, and this version reads "
                f"{FORMAT}; start the server anew with one version",
                field="workers",
            )
        self._inside = threading.Lock()
        self.seen = -1
        """The change after which `numbers` were last read; the caller says so."""

    def begin(self) -> bool:
        """Keep the writer out; whether anything has changed since `seen`.

        Raises `TornError` or `ElsewhereError`, with nothing held.
        """
        # One lock for all threads: the kernel's belongs to the open file, not to a thread.
        self._inside.acquire()
        try:
            if self.numbers[_WANTED]:
                fcntl.flock(self._queue, fcntl.LOCK_SH)
                fcntl.flock(self._queue, fcntl.LOCK_UN)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            changes = self.numbers[_CHANGES]
            if changes == self.seen:
                return False
            if changes % 2:
                raise TornError(
                    "the process that writes died halfway through a change; start the server again",
                    field="workers",
                )
            if self.numbers[_STALE]:
                raise ElsewhereError("only the process that writes can answer now", field="workers")
        except BaseException:
            self.end()
            raise
        return True

    def now_seen(self) -> None:
        """What has changed so far was read; called between `begin` and `end`."""
        self.seen = self.numbers[_CHANGES]

    def end(self) -> None:
        """Let the writer in."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._inside.release()

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._lock)
        os.close(self._queue)
