"""Who owns which event? Chains from each owner's latest event to the one before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel


@kernel
def link_rows(
    owners: NDArray[np.int32],
    begin: int,
    end: int,
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
) -> None:
    """Put rows [begin, end) at the front of their owners' chains; an owner of -1 has none.

    owners: int32[rows]  heads: int32[owners], -1 is an empty chain  previous: int32[rows]
    """
    for row in range(begin, end):
        owner = owners[row]
        if owner < 0:
            previous[row] = -1
        else:
            previous[row] = heads[owner]
            heads[owner] = row


BUCKET_SHIFT = 15
"""A bucket has 32,768 owners: their places stay in cache while its rows are placed."""


@kernel
def count_dealt(owners: NDArray[np.int32], begin: int, end: int, out: NDArray[np.int64]) -> None:
    """Add the rows [begin, end) of each bucket of owners; an owner of -1 has none.

    owners: int32[rows]  out: int64[buckets]
    """
    for row in range(begin, end):
        owner = owners[row]
        if owner >= 0:
            out[owner >> BUCKET_SHIFT] += 1


@kernel
def deal_owned(
    owners: NDArray[np.int32],
    begin: int,
    end: int,
    places: NDArray[np.int64],
    slots: NDArray[np.uint16],
    dealt: NDArray[np.int32],
) -> None:
    """Write rows [begin, end) to the places of their buckets, in order; the places move on.

    places: int64[buckets]  out: slots uint16[rows], the owner within the bucket; dealt int32[rows]
    """
    for row in range(begin, end):
        owner = owners[row]
        if owner >= 0:
            bucket = owner >> BUCKET_SHIFT
            place = places[bucket]
            slots[place] = owner & 0x7FFF
            dealt[place] = row
            places[bucket] = place + 1


@kernel
def place_dealt(
    slots: NDArray[np.uint16],
    dealt: NDArray[np.int32],
    begin: int,
    end: int,
    begins: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Put the rows of one bucket, dealt to [begin, end), in the order of their owners.

    slots, dealt: as `deal_owned` has written them  out: begins int64[owners of the bucket], where
    each owner's rows begin; out int32[rows], an owner's rows in the order they were dealt
    """
    places = np.zeros(1 << BUCKET_SHIFT, np.int64)
    for k in range(begin, end):
        places[slots[k]] += 1
    place = begin
    for slot in range(begins.shape[0]):
        begins[slot] = place
        count = places[slot]
        places[slot] = place
        place += count
    for k in range(begin, end):
        slot = slots[k]
        out[places[slot]] = dealt[k]
        places[slot] += 1


@kernel
def count_chains(
    asked: NDArray[np.int64],
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """Write the length of the chain of asked[k] to out[k + 1], which is 0 before.

    All chains are followed at once, a step of each after the other: the next row of a chain is
    known only when memory has answered, and so the answers of many are waited for together.
    asked: int64[n]  heads: int32[owners]  previous: int32[rows]  out: int64[n + 1]
    """
    reached, going, count = _begun(asked, heads)
    while count > 0:
        left = 0
        for index in range(count):
            k = going[index]
            out[k + 1] += 1
            row = previous[reached[k]]
            if row >= 0:
                reached[k] = row
                going[left] = k
                left += 1
        count = left


@inlined
def _begun(
    asked: NDArray[np.int64], heads: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
    """The last row of each chain, the chains that have one, and how many those are."""
    reached, going = np.empty(asked.shape[0], np.int32), np.empty(asked.shape[0], np.int32)
    count = 0
    for k in range(asked.shape[0]):
        row = heads[asked[k]]
        reached[k] = row
        if row >= 0:
            going[count] = k
            count += 1
    return reached, going, count


@kernel
def place_chains(
    asked: NDArray[np.int64],
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
    begins: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Write the chain of asked[k] to out[begins[k] : begins[k + 1]], the first arrival first."""
    reached, going, count = _begun(asked, heads)
    step = 1
    while count > 0:
        left = 0
        for index in range(count):
            k = going[index]
            row = reached[k]
            out[begins[k + 1] - step] = row
            row = previous[row]
            if row >= 0:
                reached[k] = row
                going[left] = k
                left += 1
        count = left
        step += 1


@kernel
def find_owned(
    begins: NDArray[np.int64],
    rows: NDArray[np.int64],
    owners: NDArray[np.int64],
    wanted: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Write where wanted[k] stands among the rows of owners[k], -1 for nowhere.

    begins: int64[owners + 1]  rows: int64, an owner's ascending  out: int64[wanted], places in rows
    """
    for k in range(wanted.shape[0]):
        low, high = begins[owners[k]], begins[owners[k] + 1]
        end = high
        while low < high:
            middle = (low + high) >> 1
            if rows[middle] < wanted[k]:
                low = middle + 1
            else:
                high = middle
        out[k] = low if low < end and rows[low] == wanted[k] else -1
