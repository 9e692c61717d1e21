"""Values against fitted cuts -> scores, cells, groups, tiers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel

_NO_VALUE = np.int64(-(2**63))
_NO_COUNT = np.int32(-(2**31))
R_SCORE, F_SCORE, M_SCORE = range(3)
CELL, GROUP, TIER = range(3)


class Cuts(NamedTuple):
    """Whole cut points: a cut lies below a value if and only if its floor does."""

    recency: NDArray[np.int64]
    orders: NDArray[np.int64]
    amount: NDArray[np.int64]
    tier: NDArray[np.int64]
    means: NDArray[np.float64]


@inlined
def cuts_below(value: np.int64, cuts: NDArray[np.int64]) -> int:
    """How many cuts lie below the value."""
    below = 0
    for k in range(cuts.shape[0]):
        if cuts[k] < value:
            below += 1
    return below


@kernel
def rfm_facts(
    rows: NDArray[np.int64],
    cuts: Cuts,
    order_count: NDArray[np.int32],
    recency: NDArray[np.int32],
    amount: NDArray[np.int64],
    amount_365d: NDArray[np.int64],
    scores: NDArray[np.int32],
    codes: NDArray[np.int32],
) -> None:
    """Write scores, cell, group and tier of these buyers; no purchase: all missing.

    rows: int64[n]  order_count, recency: int32[rows]  amount, amount_365d: int64[rows]
    out: scores int32[3, rows]  codes int32[3, rows]
    """
    for index in range(rows.shape[0]):
        row = rows[index]
        yearly = amount_365d[row]
        codes[TIER, row] = -1
        if yearly != _NO_VALUE and yearly > 0 and cuts.tier.shape[0] > 0:
            codes[TIER, row] = cuts_below(yearly, cuts.tier)
        if order_count[row] == 0 or cuts.recency.shape[0] == 0 or amount[row] == _NO_VALUE:
            scores[R_SCORE, row] = _NO_COUNT
            scores[F_SCORE, row] = _NO_COUNT
            scores[M_SCORE, row] = _NO_COUNT
            codes[CELL, row] = -1
            codes[GROUP, row] = -1
            continue
        r = 5 - cuts_below(np.int64(recency[row]), cuts.recency)
        f = 1 + cuts_below(np.int64(order_count[row]), cuts.orders)
        m = 1 + cuts_below(amount[row], cuts.amount)
        scores[R_SCORE, row] = r
        scores[F_SCORE, row] = f
        scores[M_SCORE, row] = m
        codes[CELL, row] = 25 * (r - 1) + 5 * (f - 1) + m - 1
        high_r, high_f, high_m = r > cuts.means[0], f > cuts.means[1], m > cuts.means[2]
        codes[GROUP, row] = 4 * high_r + 2 * high_f + high_m if cuts.means[0] > 0 else -1
