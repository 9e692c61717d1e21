"""What was the last number that was acknowledged, even where the file it counts lost its end?

A side file with two slots, each a number and its checksum, written in turn: a write that is torn
leaves the other. It is written after what it counts is lasting, so it may say less, never more.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from segengine.errors import StoreError

_SLOT = struct.Struct("<qI")
_SLOT_BYTES = 512
"""The two slots lie in sectors of their own."""


class Acknowledged:
    """The open side file of whoever writes. synced: a note outlives a loss of power."""

    def __init__(self, path: Path, *, synced: bool) -> None:
        self._synced = synced
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._slot = 1

    def note(self, number: int) -> None:
        """Note the newest number, which is lasting already.

        A note that fails leaves an older one, which is still true.
        """
        self._slot = 1 - self._slot
        data = struct.pack("<q", number)
        with suppress(OSError):
            packed = _SLOT.pack(number, zlib.crc32(data))
            os.pwrite(self._file, packed, self._slot * _SLOT_BYTES)
            if self._synced:
                os.fdatasync(self._file)

    def read(self, path: Path) -> int:
        """The number that stands in the file; the next note goes beside it."""
        number, self._slot = _read(path)
        return number

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def last_acknowledged(path: Path) -> int:
    """The number in a side file, 0 where there is none; `StoreError` where it says nothing."""
    return _read(path)[0]


def _read(path: Path) -> tuple[int, int]:
    """The number, and the slot it stands in."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0, 1
    if not data:
        return 0, 1
    found = []
    for slot in (0, 1):
        part = data[slot * _SLOT_BYTES : slot * _SLOT_BYTES + _SLOT.size]
        if len(part) == _SLOT.size:
            number, crc = _SLOT.unpack(part)
            if crc == zlib.crc32(part[:8]) and number > 0:
                found.append((number, slot))
    if not found:
        raise StoreError(
            f"`{path}` is damaged: it says what was acknowledged last; restore it from a backup, "
            "or remove it to take what is there as it stands",
            field="store",
        )
    return max(found)
