"""Which of the campaigns that compete for a buyer come first, and are within the caps?

Arrays of campaigns have a row for each campaign: whoever fills one fills it in one go.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, inlined, kernel


@inlined
def _before(value: np.float64, other: np.float64, campaign: np.int64, rival: np.int64) -> bool:
    """Whether a buyer goes to a campaign before a rival: by value, NaN last, then by place."""
    if value > other:
        return True
    if value < other:
        return False
    # Equal, or one of them is missing.
    known, others = not np.isnan(value), not np.isnan(other)
    return bool(campaign < rival) if known == others else bool(known)


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

    which: int64[n], buyers  values, is_open: [campaigns, buyers]  used: int32[caps, buyers]
    limits: int32[caps]  binds, counts: bool[campaigns, caps]  out: bool[campaigns, buyers]
    """
    campaigns, caps = is_open.shape[0], limits.shape[0]
    spent = np.empty(caps, np.int32)
    left = np.empty(campaigns, np.bool_)
    for index in range(which.shape[0]):
        buyer = which[index]
        for campaign in range(campaigns):
            left[campaign] = is_open[campaign, buyer]
            out[campaign, buyer] = False
        for cap in range(caps):
            spent[cap] = used[cap, buyer]
            if spent[cap] >= limits[cap]:
                for campaign in range(campaigns):
                    left[campaign] &= not binds[campaign, cap]
        while True:
            best = np.int64(-1)
            for campaign in range(campaigns):
                if left[campaign] and (
                    best < 0
                    or _before(
                        values[campaign, buyer], values[best, buyer], np.int64(campaign), best
                    )
                ):
                    best = np.int64(campaign)
            if best < 0:
                break
            left[best] = False
            out[best, buyer] = True
            for cap in range(caps):
                if counts[best, cap]:
                    spent[cap] += 1
                    if spent[cap] == limits[cap]:
                        # Whom a full cap binds is out, so nobody has to be tried for it.
                        for campaign in range(campaigns):
                            left[campaign] &= not binds[campaign, cap]


@kernel
def winners(
    campaign: np.int64,
    lost: NDArray[np.int64],
    rows: NDArray[np.int64],
    values: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    used: NDArray[np.int32],
    limits: NDArray[np.int32],
    binds: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    out: Words,
) -> None:
    """Who came before a campaign for the buyers it lost, and used up a cap that binds it.

    lost: int64[n], buyers  rows: int64[buyers], the row of each  the others as for `choose`
    out: uint64[campaigns, words], begins at 0: rows that each rival won
    """
    campaigns, caps = chosen.shape[0], limits.shape[0]
    ahead = np.empty(campaigns, np.int64)
    won = np.empty(campaigns, np.int64)
    one = np.uint64(1)
    for index in range(lost.shape[0]):
        buyer = lost[index]
        mine = values[campaign, buyer]
        firsts = every = 0
        for rival in range(campaigns):
            if chosen[rival, buyer]:
                won[every] = rival
                every += 1
                if _before(values[rival, buyer], mine, np.int64(rival), campaign):
                    ahead[firsts] = rival
                    firsts += 1
        if firsts == 0:
            continue
        word, bit = rows[buyer] >> 6, one << np.uint64(rows[buyer] & 63)
        for cap in range(caps):
            if not binds[campaign, cap]:
                continue
            spent = used[cap, buyer]
            for place in range(every):
                spent += counts[won[place], cap]
            if spent < limits[cap]:
                continue
            for place in range(firsts):
                if counts[ahead[place], cap]:
                    out[ahead[place], word] |= bit
