"""Which order is a buyer's latest purchase?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


@kernel
def latest_purchases(
    rows: NDArray[np.int64],
    as_of: np.int64,
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
    time: NDArray[np.int64],
    is_purchase: NDArray[np.int8],
    out: NDArray[np.int64],
) -> None:
    """The order that is a buyer's last purchase up to as_of, by (time, arrival); -1 for none.

    rows: int64[n]  heads: int32[rows]  the others: [orders]  out: int64[n]
    """
    for index in range(rows.shape[0]):
        best = np.int64(-1)
        row = np.int64(heads[rows[index]])
        while row >= 0:
            if is_purchase[row] == 1 and time[row] <= as_of:
                is_later = best < 0 or time[row] > time[best]
                if is_later or (time[row] == time[best] and row > best):
                    best = row
            row = np.int64(previous[row])
        out[index] = best
