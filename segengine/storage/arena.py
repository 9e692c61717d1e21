"""Where do arrays lie that several processes read?

In a file without a name, of memory alone: it is never on a disk, needs no mount, and is gone with
the last process that has it open, however that ends. The process that made it maps it to write and
gives out pieces; others open it through that process and map it to read, so that a mistake of
theirs ends them before it changes anything.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from bisect import insort
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.errors import StoreError

_PAGE = 4096
_NORESERVE = 0x4000
"""MAP_NORESERVE of Linux, which Python 3.11 does not name."""
_TIMES_MEMORY = 16


def _whole(size: int) -> int:
    return max(_PAGE, -(-size // _PAGE) * _PAGE)


def _room() -> int:
    """Addresses to reserve, not memory: pieces that are let go leave gaps."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _whole(_TIMES_MEMORY * memory)


class Arena:
    """The memory of the process that writes; arrays in it are let go with their last reference."""

    def __init__(self, room: int | None = None) -> None:
        self.room = _room() if room is None else _whole(room)
        self.file = os.memfd_create("segengine-tables", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self.file, self.room)
            self._map = mmap.mmap(self.file, self.room, mmap.MAP_SHARED | _NORESERVE)
        except OSError as error:
            os.close(self.file)
            raise StoreError(
                f"{self.room >> 30} GiB of addresses for tables that several processes read cannot "
                f"be reserved: {error.strerror}; allow more virtual memory, or serve without "
                "workers",
                field="workers",
            ) from error
        self._begin = np.frombuffer(self._map, np.uint8, 1).ctypes.data
        self._gaps: list[tuple[int, int]] = [(0, self.room)]
        """(offset, size), ascending, no two side by side."""
        self._let_go: deque[tuple[int, int]] = deque()
        """By finalizers, which may run at any instant: nothing else is done there."""
        self._used = 0

    def array(self, rows: int, dtype: np.dtype[Any], fill: Any = None) -> NDArray[Any]:
        """A new array at the beginning of a page, filled if asked, else of zeros."""
        size = rows * dtype.itemsize
        offset = self._take(_whole(size))
        root = np.frombuffer(self._map, np.uint8, max(1, size), offset)
        weakref.finalize(root, self._let_go.append, (offset, _whole(size))).atexit = False
        found = root[:size].view(dtype)
        if fill is not None:
            found[:] = fill
        return found

    def _take(self, size: int) -> int:
        self.sweep()
        for place, (offset, there) in enumerate(self._gaps):
            if there >= size:
                self._gaps[place : place + 1] = (
                    [(offset + size, there - size)] if there > size else []
                )
                self._used += size
                return offset
        raise StoreError(
            f"{size >> 20} MiB more for tables that several processes read find no room beside "
            f"{self._used >> 20} MiB; start the server again, or serve without workers",
            field="workers",
        )

    def sweep(self) -> None:
        """Give what was let go back to the machine."""
        while self._let_go:
            offset, size = self._let_go.popleft()
            self._map.madvise(mmap.MADV_REMOVE, offset, size)
            self._used -= size
            insort(self._gaps, (offset, size))
            place = self._gaps.index((offset, size))
            if place + 1 < len(self._gaps) and self._gaps[place + 1][0] == offset + size:
                size += self._gaps.pop(place + 1)[1]
                self._gaps[place] = (offset, size)
            if place and sum(self._gaps[place - 1]) == offset:
                self._gaps[place - 1 : place + 1] = [
                    (self._gaps[place - 1][0], self._gaps[place - 1][1] + size)
                ]

    def offset_of(self, array: NDArray[Any]) -> int | None:
        """Where an array of this memory begins; None for one that lies elsewhere."""
        at = int(array.__array_interface__["data"][0]) - self._begin
        return at if 0 <= at < self.room else None

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._used

    def close(self) -> None:
        """Let go of the file; arrays that somebody still has stay as they are."""
        os.close(self.file)


class ReadArena:
    """The same memory in a process that reads; writing to it ends that process at once.

    path: of the open file, as `/proc/PID/fd/N`
    """

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.room = os.fstat(self.file).st_size
        self._map = mmap.mmap(self.file, self.room, mmap.MAP_SHARED | _NORESERVE, mmap.PROT_READ)
        self._begin = np.frombuffer(self._map, np.uint8, 1).ctypes.data

    def array(self, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The array that begins at an offset.

        For numpy it can be written to, as arrays of tables can: loops are compiled for such.
        """
        size = int(np.prod(shape)) * dtype.itemsize
        if not 0 <= offset <= offset + size <= self.room:
            raise ValueError(f"{offset} + {size} is not within {self.room}")
        memory = (ctypes.c_uint8 * size).from_address(self._begin + offset)
        memory._kept = self  # type: ignore[attr-defined] # noqa: SLF001 - the mapping stays
        return np.frombuffer(memoryview(memory), np.uint8).view(dtype).reshape(shape)

    def close(self) -> None:
        """Let go of the file; arrays that somebody still has stay as they are."""
        os.close(self.file)
