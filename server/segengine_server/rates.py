"""How often may a token still call, whichever process is asked? A bucket in memory that all share.

It holds a second's worth of calls and fills as time goes by, by the machine's steady clock, which
is the same for every process. A file of memory holds the buckets: whoever takes from one has its
lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Callable
from zlib import crc32

import numpy as np

BUCKETS = 4096
"""More than there are tokens with a bound; a full file has room for nobody new."""
_NOBODY = 0


class SharedRates:
    """What tokens have left, in this process or several.

    path: of the open file of the process that began; None: this is the one. clock: seconds.
    """

    def __init__(
        self, path: str | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        if path is None:
            made = os.memfd_create("segengine-rates", os.MFD_CLOEXEC)
            os.ftruncate(made, 24 * BUCKETS)
            self.path = f"/proc/{os.getpid()}/fd/{made}"
            self._made: int | None = made
        else:
            self.path, self._made = path, None
        # A lock belongs to an opening of a file: each process has its own.
        self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self._map = mmap.mmap(self._file, 24 * BUCKETS)
        self._owners = np.frombuffer(self._map, np.int64, BUCKETS)
        self._left = np.frombuffer(self._map, np.float64, BUCKETS, 8 * BUCKETS)
        self._at = np.frombuffer(self._map, np.float64, BUCKETS, 16 * BUCKETS)
        self._clock = clock

    def takes(self, token: str, per_second: float) -> bool:
        """Whether a token of this id, 8 hexadecimal digits, may call once more now."""
        owner = int(token, 16) + 1
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            place = self._place(owner)
            if place is None:
                return False
            most, now = max(1.0, per_second), self._clock()
            if self._owners[place] != owner:
                self._owners[place], self._left[place] = owner, most
            else:
                gained = (now - float(self._at[place])) * per_second
                self._left[place] = min(most, float(self._left[place]) + gained)
            self._at[place] = now
            if self._left[place] < 1:
                return False
            self._left[place] -= 1
            return True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _place(self, owner: int) -> int | None:
        """The bucket of a token; a free one for a new token, None where there is none."""
        first = crc32(owner.to_bytes(8, "little")) % BUCKETS
        for step in range(BUCKETS):
            place = (first + step) % BUCKETS
            if self._owners[place] in (owner, _NOBODY):
                return place
        return None

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
        if self._made is not None:
            os.close(self._made)
