"""Can this buyer still be reached on a channel, as far as its messages tell?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


@kernel
def unreachable(
    rows: NDArray[np.int64],
    as_of: np.int64,
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
    time: NDArray[np.int64],
    channel: NDArray[np.int32],
    kind: NDArray[np.int32],
    wanted_channel: np.int32,
    delivered: np.int32,
    failed: np.int32,
    unsubscribed: np.int32,
    out: NDArray[np.bool_],
) -> None:
    """Whether a failed or unsubscribed message is later than the last delivered one.

    Later by (time, arrival). The four last inputs are codes, -2 for one that never occurs.
    rows: int64[n]  heads: int32[rows]  the others: [messages]  out: bool[n]
    """
    least = np.int64(-(2**63))
    for index in range(rows.shape[0]):
        good_at, good_row, bad_at, bad_row = least, -1, least, -1
        row = heads[rows[index]]
        while row >= 0:
            if time[row] <= as_of and channel[row] == wanted_channel:
                at = time[row]
                if kind[row] == delivered:
                    if at > good_at or (at == good_at and row > good_row):
                        good_at, good_row = at, row
                elif (kind[row] in (failed, unsubscribed)) and (
                    at > bad_at or (at == bad_at and row > bad_row)
                ):
                    bad_at, bad_row = at, row
            row = previous[row]
        out[index] = bad_row >= 0 and (
            good_row < 0 or bad_at > good_at or (bad_at == good_at and bad_row > good_row)
        )
