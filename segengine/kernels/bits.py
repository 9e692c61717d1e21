"""The algebra of bitmaps: and, or, not, count, and which rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, kernel
from segengine.kernels.scan import ones_of, trailing_zeros


@kernel
def and_into(words: Words, begin: int, end: int, out: Words) -> None:
    """out &= words, for words [begin, end)."""
    for word in range(begin, end):
        out[word] &= words[word]


@kernel
def or_into(words: Words, begin: int, end: int, out: Words) -> None:
    """out |= words, for words [begin, end)."""
    for word in range(begin, end):
        out[word] |= words[word]


@kernel
def count_bits(words: Words) -> int:
    """How many rows are in the bitmap."""
    total = 0
    for word in range(words.shape[0]):
        total += ones_of(words[word])
    return total


@kernel
def rows_of(words: Words, out: NDArray[np.int64]) -> None:
    """The rows in the bitmap, ascending.  out: int64[count_bits(words)]"""
    place = 0
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            out[place] = 64 * word + trailing_zeros(rest)
            place += 1
            rest &= rest - one


@kernel
def take_rows(values: Any, words: Words, out: Any) -> None:
    """The values of the rows in the bitmap, ascending.  values: T[rows]  out: T[count]"""
    place = 0
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            out[place] = values[64 * word + trailing_zeros(rest)]
            place += 1
            rest &= rest - one


@kernel
def set_rows(rows: NDArray[np.int64], out: Words) -> None:
    """Set the bits of these rows.  rows: int64[n]  out: uint64[words]"""
    one = np.uint64(1)
    for index in range(rows.shape[0]):
        row = rows[index]
        out[row >> 6] |= one << np.uint64(row & 63)


@kernel
def clear_rows(rows: NDArray[np.int64], out: Words) -> None:
    """Clear the bits of these rows.  rows: int64[n]  out: uint64[words]"""
    one = np.uint64(1)
    for index in range(rows.shape[0]):
        row = rows[index]
        out[row >> 6] &= ~(one << np.uint64(row & 63))


@kernel
def bits_at(words: Words, rows: NDArray[np.int64], out: NDArray[np.bool_]) -> None:
    """Whether each of these rows is in the bitmap.  rows: int64[n]  out: bool[n]"""
    one = np.uint64(1)
    for index in range(rows.shape[0]):
        row = rows[index]
        out[index] = (words[row >> 6] >> np.uint64(row & 63)) & one != 0
