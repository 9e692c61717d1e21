"""Lists of rows in shared arrays: written where they stand, moved where they have grown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel


class Lists(NamedTuple):
    """Where the list of each row is.

    begins: int64[rows], a place in `codes`; below 0, ~begin is a place in `new_codes`
    counts: int32[rows]  codes, new_codes: int32  scores, new_scores: float64, as long or empty
    """

    begins: NDArray[np.int64]
    counts: NDArray[np.int32]
    codes: NDArray[np.int32]
    scores: NDArray[np.float64]
    new_codes: NDArray[np.int32]
    new_scores: NDArray[np.float64]


@inlined
def code_at(lists: Lists, begin: np.int64, k: int) -> np.int32:
    """The k-th code of the list that begins at `begin`."""
    if begin >= 0:
        return lists.codes[begin + k]
    return lists.new_codes[~begin + k]


@inlined
def score_at(lists: Lists, begin: np.int64, k: int) -> np.float64:
    """The k-th score of the list that begins at `begin`."""
    if begin >= 0:
        return lists.scores[begin + k]
    return lists.new_scores[~begin + k]


@kernel
def write_lists(
    rows: NDArray[np.int64],
    counts: NDArray[np.int32],
    codes: NDArray[np.int32],
    scores: NDArray[np.float64],
    used: int,
    out: Lists,
) -> int:
    """Give each of these rows its list; how much of the new arrays is used then.

    A list that is no longer than the one before stands where that stood; another goes to the
    end of the new arrays, which have room.
    rows: int64[n]  counts: int32[n]  codes: int32, list after list  scores: float64 or empty
    """
    scored = scores.shape[0] > 0
    place = 0
    for index in range(rows.shape[0]):
        row, count = rows[index], counts[index]
        if count > out.counts[row]:
            out.begins[row] = ~np.int64(used)
            used += count
        out.counts[row] = count
        begin = out.begins[row]
        for k in range(count):
            if begin >= 0:
                out.codes[begin + k] = codes[place + k]
                if scored:
                    out.scores[begin + k] = scores[place + k]
            else:
                out.new_codes[~begin + k] = codes[place + k]
                if scored:
                    out.new_scores[~begin + k] = scores[place + k]
        place += count
    return used


@kernel
def count_new(begins: NDArray[np.int64], counts: NDArray[np.int32]) -> int:
    """How many codes stand in lists of the new arrays."""
    found = 0
    for row in range(begins.shape[0]):
        if begins[row] < 0:
            found += counts[row]
    return found


@kernel
def move_new(lists: Lists, new_codes: NDArray[np.int32], new_scores: NDArray[np.float64]) -> int:
    """Move the lists of the new arrays to other ones, without gaps; how much of them is used.

    Writes lists.begins.  new_codes: int32, long enough  new_scores: float64, as long or empty
    """
    used = 0
    scored = new_scores.shape[0] > 0
    for row in range(lists.begins.shape[0]):
        begin = lists.begins[row]
        if begin < 0:
            for k in range(lists.counts[row]):
                new_codes[used + k] = lists.new_codes[~begin + k]
                if scored:
                    new_scores[used + k] = lists.new_scores[~begin + k]
            lists.begins[row] = ~np.int64(used)
            used += lists.counts[row]
    return used


@kernel
def take_codes(rows: NDArray[np.int64], lists: Lists, out: NDArray[np.int32]) -> None:
    """The codes of the lists of these rows, list after list; a row below 0 has none."""
    place = 0
    for index in range(rows.shape[0]):
        row = rows[index]
        if 0 <= row < lists.counts.shape[0]:
            begin = lists.begins[row]
            for k in range(lists.counts[row]):
                out[place] = code_at(lists, begin, k)
                place += 1


@kernel
def scores_of(lists: Lists, code: int, out: NDArray[np.float64]) -> None:
    """The score of one code for each row that has a list; 0 where others are in it.

    out: float64[rows or more], begins at NaN
    """
    for row in range(min(lists.counts.shape[0], out.shape[0])):
        count = lists.counts[row]
        if count > 0:
            begin, found = lists.begins[row], 0.0
            for k in range(count):
                if code_at(lists, begin, k) == code:
                    found = score_at(lists, begin, k)
            out[row] = found
