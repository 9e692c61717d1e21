"""Which of a buyer's orders did they buy, in which order?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel

_MOVES = 64
"""Moves per purchase after which sorting by insertion is given up."""


@inlined
def in_time_order(
    begin: np.int64, end: np.int64, orders: NDArray[np.int32], times: NDArray[np.int64]
) -> None:
    """Sort the purchases of a buyer, given in order of arrival, by (time, arrival)."""
    moves = 0
    for index in range(begin + 1, end):
        row, at, place = orders[index], times[index], index
        while place > begin and times[place - 1] > at:
            orders[place] = orders[place - 1]
            times[place] = times[place - 1]
            place -= 1
            moves += 1
        orders[place] = row
        times[place] = at
        if moves > _MOVES * (end - begin):
            # Many orders that arrived in disorder. What is sorted so far has kept the arrival of
            # equals, so a stable sort goes on from here.
            order = np.argsort(times[begin:end], kind="mergesort")
            orders[begin:end] = orders[begin:end][order]
            times[begin:end] = times[begin:end][order]
            return


@kernel
def purchases_of(
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    as_of: np.int64,
    time: NDArray[np.int64],
    is_purchase: NDArray[np.int8],
    counts: NDArray[np.int32],
    placed: NDArray[np.int32],
    orders: NDArray[np.int32],
    times: NDArray[np.int64],
) -> None:
    """Write the purchases of buyer k from begins[k] on, sorted by (time, arrival).

    begins: int64[n + 1], events: int32[events]: the `History` of n buyers
    time: int64[rows]  is_purchase: int8[rows], 1 for yes
    out: counts, placed int32[n]  orders int32[events]  times int64[events]
    """
    for k in range(counts.shape[0]):
        begin = begins[k]
        end, all_placed = begin, 0
        for place in range(begin, begins[k + 1]):
            row = events[place]
            at = time[row]
            if at <= as_of:
                all_placed += 1
                if is_purchase[row] == 1:
                    orders[end] = row
                    times[end] = at
                    end += 1
        in_time_order(begin, end, orders, times)
        counts[k] = end - begin
        placed[k] = all_placed
