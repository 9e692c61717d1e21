"""Are these the bytes that were written?

A number of 64 bits that tells them from any others: 64 lanes, each of which takes every 64th word
by an exclusive or, a multiplication with an odd number and a shift onto itself. Every step can be
undone, so a change within one word is always seen; any other escapes once in 2 to the 64. It runs
as fast as memory is read. It is no seal against whoever means to deceive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel

LANES = 64
_WORD = 8
_BEGIN = np.uint64(0x243F6A8885A308D3)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@kernel
def _take_words(words: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Let the lanes take these words, a whole number of rounds.

    words: uint64[n * LANES]  out: uint64[LANES]
    """
    for begin in range(0, words.shape[0], LANES):
        for lane in range(LANES):
            taken = (out[lane] ^ words[begin + lane]) * _ODD
            out[lane] = taken ^ (taken >> _HALF)


class Checksum:
    """The number of the bytes that were given so far, piece by piece.

    A piece that is not the last has a whole number of rounds: a multiple of `ROUND` bytes.
    """

    ROUND = LANES * _WORD

    def __init__(self) -> None:
        with np.errstate(over="ignore"):
            self._lanes = _BEGIN * np.arange(1, LANES + 1, dtype=np.uint64)
        self._bytes = 0

    def take(self, data: NDArray[np.uint8]) -> None:
        """Take these bytes: uint8[n], contiguous."""
        whole = len(data) // self.ROUND * self.ROUND
        _take_words(data[:whole].view(np.uint64), self._lanes)
        if whole < len(data):
            rest = np.zeros(self.ROUND, np.uint8)
            rest[: len(data) - whole] = data[whole:]
            _take_words(rest.view(np.uint64), self._lanes)
        self._bytes += len(data)

    def value(self) -> str:
        """The number, as 16 hexadecimal digits; what is too short by zeros is another."""
        found = _BEGIN ^ np.uint64(self._bytes)
        with np.errstate(over="ignore"):
            for lane in self._lanes:
                found = (found ^ lane) * _ODD
                found ^= found >> _HALF
        return f"{int(found):016x}"


def checksum(data: NDArray[np.uint8]) -> str:
    """The number of these bytes, as 16 hexadecimal digits."""
    found = Checksum()
    found.take(data)
    return found.value()
