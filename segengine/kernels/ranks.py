"""Where do values stand among the values of their group?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, kernel
from segengine.kernels.scan import trailing_zeros


@kernel
def only_known(values: Any, missing: Any, out: Words) -> None:
    """Clear the bits of rows without a value.  values: T[rows]  out: uint64[words]"""
    one = np.uint64(1)
    for word in range(out.shape[0]):
        rest = out[word]
        while rest != 0:
            low_bit = rest & (~rest + one)
            value = values[64 * word + trailing_zeros(rest)]
            if value == missing or value != value:
                out[word] &= ~low_bit
            rest ^= low_bit


@kernel
def distribute(values: Any, groups: NDArray[np.int32], places: NDArray[np.int64], out: Any) -> None:
    """The values group by group.

    values: T[n]  groups: int32[n]  places: int64[groups], where each group begins; moved on
    out: T[n]
    """
    for index in range(values.shape[0]):
        group = groups[index]
        out[places[group]] = values[index]
        places[group] += 1


@kernel
def sum_groups(
    values: Any, groups: NDArray[np.int32], highs: NDArray[np.int64], lows: NDArray[np.int64]
) -> None:
    """The sums of the upper and lower 32 bits of each group's whole numbers."""
    for index in range(values.shape[0]):
        value = np.int64(values[index])
        highs[groups[index]] += value >> 32
        lows[groups[index]] += value & 0xFFFFFFFF


@kernel
def within_one(values: Any, low: Any, high: Any, begin: int, end: int, out: Words) -> None:
    """Set the bits of rows [begin, end) with low <= value <= high; `begin` begins a word."""
    for word in range(begin // 64, (end + 63) // 64):
        hits = np.uint64(0)
        for bit in range(min(64, end - 64 * word)):
            value = values[64 * word + bit]
            hits |= np.uint64(low <= value <= high) << np.uint64(bit)
        out[word] |= hits


@kernel
def within_groups(
    values: Any,
    groups: NDArray[np.int32],
    lows: Any,
    highs: Any,
    begin: int,
    end: int,
    out: Words,
) -> None:
    """As `within_one`, by the bounds of each row's group.  lows, highs: T[groups]"""
    for word in range(begin // 64, (end + 63) // 64):
        hits = np.uint64(0)
        for bit in range(min(64, end - 64 * word)):
            row = 64 * word + bit
            group = groups[row]
            hits |= np.uint64(lows[group] <= values[row] <= highs[group]) << np.uint64(bit)
        out[word] |= hits


@kernel
def spread(
    base: Words,
    groups: NDArray[np.int32],
    table: Any,
    missing: Any,
    begin: int,
    end: int,
    out: Any,
) -> None:
    """For rows [begin, end) what their group comes to; `missing` outside the base.

    groups: int32[rows], empty for one group  table: T[groups]  out: T[rows]
    """
    one = np.uint64(1)
    single = groups.shape[0] == 0
    for row in range(begin, end):
        if (base[row >> 6] >> np.uint64(row & 63)) & one:
            out[row] = table[0] if single else table[groups[row]]
        else:
            out[row] = missing


@kernel
def percent_ranks(
    values: Any,
    rows: NDArray[np.int64],
    groups: NDArray[np.int32],
    starts: NDArray[np.int64],
    ordered: Any,
    out: NDArray[np.float64],
) -> None:
    """(smaller values in the group) / (values in the group - 1) of these rows; 0 in one of one.

    ordered: T[n], ascending within each group, which begins at starts[group]
    """
    for index in range(rows.shape[0]):
        group = groups[index]
        begin, end = starts[group], starts[group + 1]
        size = end - begin
        if size == 1:
            out[index] = 0.0
            continue
        value = values[rows[index]]
        low, high = begin, end
        while low < high:
            middle = (low + high) // 2
            if ordered[middle] < value:
                low = middle + 1
            else:
                high = middle
        out[index] = (low - begin) / (size - 1)
