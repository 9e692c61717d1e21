"""What does a table say of each row's code or value? One 64-bit word per 64 rows.

64 answers go to a buffer of a row each, which one comparison packs to a word: 0.45 ns a row for
10 million int16 codes, where shifting each answer to its bit takes 1.8 ns. A place is unsigned:
an index that may be negative costs a test of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, inlined, kernel
from segengine.kernels.scan import AND, SET, is_within, ones_of, trailing_zeros, word_within

_FEW = 8
"""Rows still in, up to which each is looked up by itself."""


@inlined
def _place(value: Any, least: np.uint64, last: np.uint64) -> np.uint64:
    """value - least, or `last` where that is beyond: for missing values."""
    place = np.uint64(np.int64(value)) - least
    return min(place, last)


@kernel
def scan_table(
    values: Any,
    least: np.uint64,
    table: NDArray[np.uint8],
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """Words [begin, end): rows for whose value the table says 1.

    values: whole numbers or codes[rows, padded to 64]  least: the value of the first entry, as
    unsigned  table: uint8[values + 1], the last entry for missing ones  out: uint64[words]
    """
    last = np.uint64(table.shape[0] - 1)
    said = np.empty(64, np.uint32)
    one, none = np.uint32(1), np.uint32(0)
    for word in range(begin, end):
        if mode == AND:
            rest = out[word]
            if rest == 0:
                continue
            if ones_of(rest) <= _FEW:
                hits = np.uint64(0)
                while rest != 0:
                    low_bit = rest & (~rest + np.uint64(1))
                    value = values[64 * word + trailing_zeros(rest)]
                    if table[_place(value, least, last)]:
                        hits |= low_bit
                    rest ^= low_bit
                out[word] = hits
                continue
        rows = values[64 * word : 64 * word + 64]
        for k in range(64):
            said[k] = table[_place(rows[k], least, last)]
        hits = word_within(said, 0, one, none)
        if mode == SET:
            out[word] = hits
        elif mode == AND:
            out[word] &= hits
        else:
            out[word] |= hits


@kernel
def scan_pairs(
    firsts: Any,
    first_least: np.uint64,
    first_last: np.uint64,
    seconds: Any,
    second_least: np.uint64,
    second_last: np.uint64,
    table: NDArray[np.uint8],
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """Words [begin, end): rows for whose two values the table says 1.

    firsts, seconds: whole numbers or codes[rows, padded to 64]  first_last, second_last: the
    places of missing values, one beyond those of values
    table: uint8[(first_last + 1) * (second_last + 1)]  out: uint64[words]
    """
    width = second_last + np.uint64(1)
    said = np.empty(64, np.uint32)
    for word in range(begin, end):
        if mode == AND and out[word] == 0:
            continue
        first_rows = firsts[64 * word : 64 * word + 64]
        second_rows = seconds[64 * word : 64 * word + 64]
        for k in range(64):
            first = _place(first_rows[k], first_least, first_last)
            second = _place(second_rows[k], second_least, second_last)
            said[k] = table[first * width + second]
        hits = word_within(said, 0, np.uint32(1), np.uint32(0))
        if mode == SET:
            out[word] = hits
        elif mode == AND:
            out[word] &= hits
        else:
            out[word] |= hits


@kernel
def scan_code_table(
    codes: NDArray[np.uint8],
    table: NDArray[np.uint8],
    values: Any,
    lows: Any,
    highs: Any,
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """Words [begin, end): rows whose value lies in one of many ranges, by their scan codes.

    table: uint8[256], 1 where a code holds hits alone, 2 where its rows look at their value
    values: T[rows]  lows, highs: T[ranges], ascending and disjoint  out: uint64[words]
    """
    one = np.uint64(1)
    said = np.empty(64, np.uint32)
    for word in range(begin, end):
        if mode == AND and out[word] == 0:
            continue
        rows = codes[64 * word : 64 * word + 64]
        for k in range(64):
            said[k] = table[rows[k]]
        hits = word_within(said, 0, np.uint32(1), np.uint32(0))
        open_rows = word_within(said, 0, np.uint32(2), np.uint32(0))
        if mode == AND:
            open_rows &= out[word]
        while open_rows != 0:
            low_bit = open_rows & (~open_rows + one)
            if is_within(values[64 * word + trailing_zeros(open_rows)], lows, highs):
                hits |= low_bit
            open_rows ^= low_bit
        if mode == SET:
            out[word] = hits
        elif mode == AND:
            out[word] &= hits
        else:
            out[word] |= hits
