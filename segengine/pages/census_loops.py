"""Loops over buyers: who is placed, who stood in the way, how many different pages are there?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, kernel
from segengine.kernels.scan import trailing_zeros


@kernel
def place_words(
    words: Words,
    begin: int,
    end: int,
    choice: int,
    key: np.uint64,
    winner: NDArray[np.int32],
    pages: NDArray[np.uint64],
) -> None:
    """Let the rows of a bitmap, words [begin, end), see a choice.

    winner: int32[rows], the choice  pages: uint64[rows], into which the choice's key is mixed
    """
    one = np.uint64(1)
    for word in range(begin, end):
        rest = words[word]
        while rest != 0:
            row = 64 * word + trailing_zeros(rest)
            winner[row] = choice
            pages[row] ^= key
            rest &= rest - one


@kernel
def place_rows(
    rows: NDArray[np.int64],
    arms: NDArray[np.int16],
    choice: int,
    keys: NDArray[np.uint64],
    winner: NDArray[np.int32],
    pages: NDArray[np.uint64],
    reach: NDArray[np.int64],
) -> None:
    """Let these rows see a choice, each in its variant.

    rows: int64[n]  arms: int16[n], into keys: uint64[variants]
    winner: int32[rows]  pages: uint64[rows]  reach: int64[variants], to which they are added
    """
    for index in range(rows.shape[0]):
        row, arm = rows[index], arms[index]
        winner[row] = choice
        pages[row] ^= keys[arm]
        reach[arm] += 1


@kernel
def tally_words(words: Words, winner: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """Add up what the rows of a bitmap see.  winner: int32[rows]  out: int64[choices]"""
    one = np.uint64(1)
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            out[winner[64 * word + trailing_zeros(rest)]] += 1
            rest &= rest - one


@kernel
def count_watched(
    owners: NDArray[np.int32],
    times: NDArray[np.int64],
    modules: NDArray[np.int32],
    kinds: NDArray[np.int32],
    rows: int,
    shown: int,
    clicked: int,
    as_of: int,
    group_of: NDArray[np.int32],
    since: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """How many impressions bear on each group of watches: shown since a moment, or clicked ever.

    owners, times, modules, kinds: T[rows at least]  shown, clicked: codes of `kinds`
    group_of: int32[codes + 1] by the module's code, -1 for none; the last is of a missing one
    since: int64[groups]  out: int64[groups]
    """
    for row in range(rows):
        group = group_of[modules[row]]
        if group >= 0 and owners[row] > 0 and times[row] <= as_of:
            kind = kinds[row]
            if kind == clicked or (kind == shown and times[row] >= since[group]):
                out[group] += 1


@kernel
def group_watched(
    owners: NDArray[np.int32],
    times: NDArray[np.int64],
    modules: NDArray[np.int32],
    kinds: NDArray[np.int32],
    rows: int,
    shown: int,
    clicked: int,
    as_of: int,
    group_of: NDArray[np.int32],
    since: NDArray[np.int64],
    places: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """The rows that `count_watched` counts, group by group.

    places: int64[groups], where each begins; moved to where it ends  out: int32[all of them]
    """
    for row in range(rows):
        group = group_of[modules[row]]
        if group >= 0 and owners[row] > 0 and times[row] <= as_of:
            kind = kinds[row]
            if kind == clicked or (kind == shown and times[row] >= since[group]):
                out[places[group]] = row
                places[group] += 1


@kernel
def count_shown(
    events: NDArray[np.int32],
    owners: NDArray[np.int32],
    times: NDArray[np.int64],
    kinds: NDArray[np.int32],
    shown: int,
    cap_since: int,
    decay_since: int,
    clicks: NDArray[np.int64],
    counts: NDArray[np.int32],
    buyers: NDArray[np.int64],
    out: NDArray[np.int32],
) -> int:
    """Impressions of one module by buyer: under its cap, and since the last click.

    events: int32[n], rows of owners, times, kinds: T[rows]  shown: code of `kinds`
    clicks: int64[buyers], the least int64 everywhere  counts: int32[buyers, 2], zero everywhere;
    both are left so  buyers: int64[n], who has any, and out: int32[n, 2], their counts
    Returns how many those are.
    """
    for index in range(events.shape[0]):
        event = events[index]
        if kinds[event] != shown:
            owner = owners[event]
            clicks[owner] = max(clicks[owner], times[event])
    for index in range(events.shape[0]):
        event = events[index]
        if kinds[event] == shown:
            owner, time = owners[event], times[event]
            if time >= cap_since:
                counts[owner, 0] += 1
            if time >= decay_since and time > clicks[owner]:
                counts[owner, 1] += 1
    found = 0
    for index in range(events.shape[0]):
        owner = owners[events[index]]
        clicks[owner] = -(2**63)
        if counts[owner, 0] + counts[owner, 1] > 0:
            buyers[found] = owner
            out[found, 0] = counts[owner, 0]
            out[found, 1] = counts[owner, 1]
            found += 1
            counts[owner, 0] = 0
            counts[owner, 1] = 0
    return found
