"""Who owns which event? Chains from each owner's latest event to the one before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


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


@kernel
def count_owned(owners: NDArray[np.int32], rows: int, out: NDArray[np.int64]) -> None:
    """Add the number of rows of owner k to out[k + 1]; an owner of -1 has none.

    owners: int32[rows]  out: int64[owners + 1]
    """
    for row in range(rows):
        owner = owners[row]
        if owner >= 0:
            out[owner + 1] += 1


@kernel
def place_owned(
    owners: NDArray[np.int32], rows: int, places: NDArray[np.int64], out: NDArray[np.int32]
) -> None:
    """Write each row to the place of its owner, in order; the places move on.

    owners: int32[rows]  places: int64[owners + 1], the first place of each  out: int32[rows]
    """
    for row in range(rows):
        owner = owners[row]
        if owner >= 0:
            out[places[owner]] = row
            places[owner] += 1


@kernel
def count_chains(
    asked: NDArray[np.int64],
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """Write the length of the chain of asked[k] to out[k + 1].

    asked: int64[n]  heads: int32[owners]  previous: int32[rows]  out: int64[n + 1]
    """
    for k in range(asked.shape[0]):
        count = 0
        row = heads[asked[k]]
        while row >= 0:
            count += 1
            row = previous[row]
        out[k + 1] = count


@kernel
def place_chains(
    asked: NDArray[np.int64],
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
    begins: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Write the chain of asked[k] to out[begins[k] : begins[k + 1]], the first arrival first."""
    for k in range(asked.shape[0]):
        place = begins[k + 1]
        row = heads[asked[k]]
        while row >= 0:
            place -= 1
            out[place] = row
            row = previous[row]
