"""How do the rows of a bitmap come to their owners without a cache miss for each?

Rows are dealt a hand at a time: every thread deals a share of the hand's rows to buckets of
neighbouring owners, then every thread goes through a share of the buckets, in which the rows of
all threads stand in arrival order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine import stopping
from segengine.kernels import fold, jit
from segengine.rules.frame import Words

_HAND_WORDS = 1 << 16
"""Four million rows: what is dealt of them stays in the outer cache."""

_FREE_SETS = 2
_free: list[Scratch] = []
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Share:
    """The rows that one thread has dealt: those of bucket b are from starts[b] on.

    slots: uint16[rows], the owner within its bucket  values: T[rows]  rows: int32[rows]
    """

    starts: NDArray[np.int64]
    slots: NDArray[np.uint16]
    values: Any
    rows: NDArray[np.int32]


Take = Callable[[Share, int, int, int], object]
"""take(share, first row, end row, first owner of the bucket)"""


@dataclass(frozen=True, slots=True)
class Hand:
    """Some rows, dealt."""

    shares: list[Share]

    def each(self, take: Take) -> None:
        """Let `take` go through every bucket, shares in order, buckets side by side."""
        buckets = len(self.shares[0].starts) - 1

        def work(part: int) -> None:
            first = part * buckets // jit.THREADS
            for bucket in range(first, (part + 1) * buckets // jit.THREADS):
                for share in self.shares:
                    begin, end = int(share.starts[bucket]), int(share.starts[bucket + 1])
                    if end > begin:
                        take(share, begin, end, bucket << fold.BUCKET_SHIFT)

        jit.each(work, jit.THREADS)


class Scratch:
    """Memory that is used again: fresh pages would cost as much as the work."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, int], NDArray[np.uint8]] = {}

    def array(self, name: str, part: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array for one thread's share; what it held is lost."""
        size = count * dtype.itemsize
        found = self._arrays.get((name, part))
        if found is None or len(found) < size:
            found = self._arrays[name, part] = np.empty(max(size, 1 << 16), np.uint8)
        return found[:size].view(dtype)


@contextmanager
def _scratch() -> Iterator[Scratch]:
    with _lock:
        taken = _free.pop() if _free else Scratch()
    try:
        yield taken
    finally:
        with _lock:
            if len(_free) < _FREE_SETS:
                _free.append(taken)


def dealt(
    words: Words,
    owners: NDArray[np.int32],
    count: int,
    values: NDArray[Any] | None = None,
    *,
    with_rows: bool = False,
) -> Iterator[Hand]:
    """The rows of a bitmap by owner, a hand after the other; each is used before the next.

    owners: int32[rows], below `count`, -1 for none
    """
    buckets = (count >> fold.BUCKET_SHIFT) + 1
    with _scratch() as scratch:
        for begin in range(0, len(words), _HAND_WORDS):
            end = min(begin + _HAND_WORDS, len(words))
            stopping.go_on()
            if not words[begin:end].any():
                continue
            shares: list[Share | None] = [None] * jit.THREADS

            def work(part: int, begin: int = begin, size: int = end - begin) -> None:
                first = begin + part * size // jit.THREADS
                last = begin + (part + 1) * size // jit.THREADS
                sizes = np.zeros(buckets, np.int64)
                fold.sizes(words, first, last, owners, sizes)
                shares[part] = _share(  # noqa: B023
                    words, (first, last), owners, values, sizes, with_rows,
                    lambda name, size, dtype: scratch.array(name, part, size, np.dtype(dtype)),
                )  # fmt: skip

            jit.each(work, jit.THREADS)
            yield Hand([share for share in shares if share is not None])


def _share(
    words: Words,
    span: tuple[int, int],
    owners: NDArray[np.int32],
    values: NDArray[Any] | None,
    sizes: NDArray[np.int64],
    with_rows: bool,
    array: Callable[[str, int, Any], NDArray[Any]],
) -> Share:
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    count, places = int(starts[-1]), starts[:-1].copy()
    slots = array("slots", count, np.uint16)
    rows = array("rows", count if with_rows else 0, np.int32)
    if values is None:
        fold.deal(words, *span, owners, places, slots)
        return Share(starts, slots, None, rows)
    given = array("values", count, values.dtype)
    if with_rows:
        fold.deal_rows(words, *span, owners, values, places, slots, given, rows)
    else:
        fold.deal_values(words, *span, owners, values, places, slots, given)
    return Share(starts, slots, given, rows)
