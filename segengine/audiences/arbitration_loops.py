"""Which of the campaigns that compete for a buyer come first, and are within the caps?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


@kernel
def choose(
    which: NDArray[np.int64],
    values: NDArray[np.float64],
    is_open: NDArray[np.bool_],
    used: NDArray[np.int32],
    limits: NDArray[np.int32],
    binds: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    out: NDArray[np.bool_],
) -> None:
    """The campaigns that each of some buyers goes to, each within the caps that bind it.

    A buyer goes through its open campaigns by value, NaN last, then by their order here.
    which: int64[n], buyers  values, is_open: [buyers, campaigns]  used: int32[buyers, caps]
    limits: int32[caps]  binds, counts: bool[campaigns, caps]  out: bool[buyers, campaigns]
    """
    campaigns, caps = is_open.shape[1], limits.shape[0]
    spent = np.empty(caps, np.int32)
    seen = np.empty(campaigns, np.bool_)
    for index in range(which.shape[0]):
        buyer = which[index]
        for cap in range(caps):
            spent[cap] = used[buyer, cap]
        for campaign in range(campaigns):
            seen[campaign] = not is_open[buyer, campaign]
            out[buyer, campaign] = False
        while True:
            best = -1
            for campaign in range(campaigns):
                if seen[campaign]:
                    continue
                value = values[buyer, campaign]
                if best < 0:
                    best = campaign
                elif not np.isnan(value):
                    other = values[buyer, best]
                    if np.isnan(other) or value > other:
                        best = campaign
            if best < 0:
                break
            seen[best] = True
            fits = True
            for cap in range(caps):
                if binds[best, cap] and spent[cap] >= limits[cap]:
                    fits = False
                    break
            if fits:
                out[buyer, best] = True
                for cap in range(caps):
                    if counts[best, cap]:
                        spent[cap] += 1
