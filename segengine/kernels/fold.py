"""What do the rows of a bitmap come to, owner by owner?

Every thread looks at all rows and takes those whose owner is in its range: so no two threads
write one place, nothing is merged, and an owner's rows come in arrival order. What costs is the
way to the owner's place; half the range is half the cache it needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, kernel
from segengine.kernels.scan import _trailing_zeros

NO_ROW = -1


@kernel
def count_rows(
    words: Words, owners: NDArray[np.int32], first: int, last: int, most: int, out: Any
) -> None:
    """How many rows each owner in [first, last) has, at most `most`.

    owners: int32[rows], -1 for none  out: uint8 or int32[owners], begins at 0
    """
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            owner = owners[64 * word + _trailing_zeros(rest)]
            rest &= rest - one
            if first <= owner < last and out[owner] < most:
                out[owner] += 1


@kernel
def sum_whole(
    words: Words,
    owners: NDArray[np.int32],
    values: Any,
    missing: Any,
    first: int,
    last: int,
    sums: NDArray[np.int64],
    counts: NDArray[np.int32],
) -> bool:
    """The sum of each owner's known values and how many; True when a sum passed the int64.

    values: whole numbers[rows]  sums: int64[owners]  counts: int32[owners] or empty
    """
    one = np.uint64(1)
    beyond = False
    counted = counts.shape[0] > 0
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            row = 64 * word + _trailing_zeros(rest)
            rest &= rest - one
            owner = owners[row]
            if first <= owner < last:
                value = values[row]
                if value != missing:
                    before = sums[owner]
                    total = np.int64(np.uint64(before) + np.uint64(np.int64(value)))
                    # Both have one sign and the sum has the other.
                    if ((before ^ total) & (np.int64(value) ^ total)) < 0:
                        beyond = True
                    sums[owner] = total
                    if counted:
                        counts[owner] += 1
    return beyond


@kernel
def sum_halves(
    words: Words,
    owners: NDArray[np.int32],
    values: Any,
    missing: Any,
    first: int,
    last: int,
    highs: NDArray[np.int64],
    lows: NDArray[np.int64],
) -> None:
    """The sums of the upper and lower 32 bits of each owner's known values, which never pass."""
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            row = 64 * word + _trailing_zeros(rest)
            rest &= rest - one
            owner = owners[row]
            if first <= owner < last:
                value = np.int64(values[row])
                if values[row] != missing:
                    highs[owner] += value >> 32
                    lows[owner] += value & 0xFFFFFFFF


@kernel
def sum_float(
    words: Words,
    owners: NDArray[np.int32],
    values: NDArray[np.float64],
    first: int,
    last: int,
    sums: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """As `sum_whole` for float64, added in arrival order; NaN is missing."""
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            row = 64 * word + _trailing_zeros(rest)
            rest &= rest - one
            owner = owners[row]
            if first <= owner < last:
                value = values[row]
                if value == value:
                    sums[owner] += value
                    counts[owner] += 1


@kernel
def extremes(
    words: Words,
    owners: NDArray[np.int32],
    values: Any,
    missing: Any,
    greatest: bool,
    first: int,
    last: int,
    out: Any,
) -> None:
    """The least or greatest known value of each owner.

    values, out: T; out begins at `missing`, which is NaN for floats
    """
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            row = 64 * word + _trailing_zeros(rest)
            rest &= rest - one
            owner = owners[row]
            if first <= owner < last:
                value = values[row]
                if value == value and value != missing:
                    best = out[owner]
                    if (
                        best == missing
                        or best != best
                        or (value > best if greatest else value < best)
                    ):
                        out[owner] = value


@kernel
def edges(
    words: Words,
    owners: NDArray[np.int32],
    times: NDArray[np.int64],
    latest: bool,
    first: int,
    last: int,
    out: NDArray[np.int32],
) -> None:
    """The row of each owner's first or last event by (time, arrival).

    times: int64[rows]  out: int32[owners], begins at -1
    """
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            row = 64 * word + _trailing_zeros(rest)
            rest &= rest - one
            owner = owners[row]
            if first <= owner < last:
                best = out[owner]
                if best < 0 or (times[row] >= times[best] if latest else times[row] < times[best]):
                    out[owner] = row


@kernel
def mark_places(
    words: Words,
    places: NDArray[np.int32],
    owners: NDArray[np.int32],
    place_owners: NDArray[np.int32],
    out: Words,
) -> bool:
    """Set the bit of each row's place; False when a place has another owner than its row.

    places: int32[rows], -1 for none  out: uint64[words of the places]
    """
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            row = 64 * word + _trailing_zeros(rest)
            rest &= rest - one
            place = places[row]
            if place >= 0 and owners[row] >= 0:
                if place_owners[place] != owners[row]:
                    return False
                out[place >> 6] |= one << np.uint64(place & 63)
    return True


@kernel
def count_changes(pairs: NDArray[np.int64], out: NDArray[np.int32]) -> None:
    """How many different pairs each owner has.

    pairs: int64[n], ascending, the owner in the upper 32 bits  out: int32[owners]
    """
    for place in range(pairs.shape[0]):
        if place == 0 or pairs[place] != pairs[place - 1]:
            out[pairs[place] >> 32] += 1


@kernel
def chain_rows(head: int, previous: NDArray[np.int32], out: NDArray[np.int64]) -> int:
    """The rows of a chain, latest arrival first, as many as fit; how many there are."""
    count, row = 0, head
    while row >= 0:
        if count < out.shape[0]:
            out[count] = row
        count += 1
        row = previous[row]
    return count


@kernel
def scores_of(
    offsets: NDArray[np.int64],
    codes: NDArray[np.int32],
    scores: NDArray[np.float64],
    code: int,
    out: NDArray[np.float64],
) -> None:
    """The score of one code for each row that has any; 0 where it has others.  out: float64"""
    for row in range(min(offsets.shape[0] - 1, out.shape[0])):
        begin, end = offsets[row], offsets[row + 1]
        if begin < end:
            found = 0.0
            for place in range(begin, end):
                if codes[place] == code:
                    found = scores[place]
            out[row] = found
