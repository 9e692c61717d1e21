"""How many rows of a bitmap have each code or value, and how many does each pair share?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, kernel
from segengine.kernels.scan import ones_of, trailing_zeros

LANES = 4
"""Counters a code has: a row that counts where its neighbour just did would wait for it."""

_BLOCK_WORDS = 256
"""Words of a block, of which those of a hundred bitmaps stay in the cache beside each other."""


@kernel
def tally_codes(
    codes: NDArray[np.uint8], words: Words, begin: int, end: int, out: NDArray[np.int64]
) -> None:
    """Count the rows of words [begin, end) by their code.

    codes: uint8[rows, padded to 64]  words: uint64[words]  out: int64[LANES, 256], added to
    """
    one = np.uint64(1)
    for word in range(begin, end):
        rest = words[word]
        first = 64 * word
        if rest == ~np.uint64(0):
            for row in range(first, first + 64, 4):
                out[0, codes[row]] += 1
                out[1, codes[row + 1]] += 1
                out[2, codes[row + 2]] += 1
                out[3, codes[row + 3]] += 1
            continue
        while rest != 0:
            bit = trailing_zeros(rest)
            out[bit & 3, codes[first + bit]] += 1
            rest &= rest - one


@kernel
def tally_values(
    values: Any, words: Words, least: int, begin: int, end: int, out: NDArray[np.int64]
) -> None:
    """Count the rows of words [begin, end) by their value, from `least` on; others not at all.

    values: int32 or int64[rows]  words: uint64[words]  out: int64[LANES, n], added to
    """
    one = np.uint64(1)
    count = out.shape[1]
    for word in range(begin, end):
        rest = words[word]
        while rest != 0:
            bit = trailing_zeros(rest)
            value = np.int64(values[64 * word + bit])
            if least <= value and value - least < count:
                out[bit & 3, value - least] += 1
            rest &= rest - one


@kernel
def tally_pairs(bitmaps: NDArray[np.uint64], begin: int, end: int, out: NDArray[np.int64]) -> None:
    """Count the rows of words [begin, end) that each two bitmaps share, block by block.

    bitmaps: uint64[n, words]  out: int64[n, n], added to where column >= row
    """
    count = bitmaps.shape[0]
    for first in range(begin, end, _BLOCK_WORDS):
        last = min(first + _BLOCK_WORDS, end)
        for left in range(count):
            one = bitmaps[left, first:last]
            for right in range(left, count):
                other = bitmaps[right, first:last]
                shared = 0
                for word in range(last - first):
                    shared += ones_of(one[word] & other[word])
                out[left, right] += shared
