"""One buyer's doings of the last 30 dates -> how far they have come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import local_day
from segengine.kernels.jit import inlined, kernel
from segengine.traits.purchase_loops import Clock

OTHER, VISIT, VIEW, CART, FAVORITE, INQUIRY, QUOTE, REPLY = range(8)
DAYS = 30
_DAY = np.int64(86_400_000_000)
NOT_NOW, HESITATING, INTERESTED, QUOTED_NO_REPLY, NEVER = range(5)


@inlined
def _is_recent(at: np.int64, since: np.int64, clock: Clock) -> bool:
    """Whether an instant up to as_of is on one of the 30 dates that end today."""
    if at < since or at > clock.as_of:
        return False
    if since + _DAY <= at <= clock.as_of - _DAY:
        return True
    # Near either end a clock that went back over midnight shows a date outside.
    age = clock.today - local_day(at, clock.starts, clock.offsets)
    return bool(0 <= age < DAYS)


@kernel
def intent_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    since: np.int64,
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    product: Any,
    no_product: Any,
    meaning: NDArray[np.int8],
    order_heads: NDArray[np.int32],
    order_previous: NDArray[np.int32],
    order_time: NDArray[np.int64],
    tags: NDArray[np.int32],
    never: NDArray[np.int8],
    out: NDArray[np.int32],
) -> None:
    """Write the stage of these buyers, -1 for none.

    rows: int64[n]  since: the first instant of the 30 dates  kind: int32[events]
    product: int64 or int32[events]
    meaning: int8[1 + kinds], what a kind's code means, entry 0 for a missing one
    tags: int32[rows]  never: int8[1 + lists], whether a list holds the tag, entry 0 for missing
    out: int32[rows]
    """
    viewed = np.empty(64, np.int64)
    for index in range(rows.shape[0]):
        buyer = rows[index]
        if never[tags[buyer] + 1]:
            out[buyer] = NEVER
            continue
        visited, wanted, asked, views = False, False, False, 0
        quote, reply = np.int64(-(2**63)), np.int64(-(2**63))
        row = heads[buyer]
        while row >= 0:
            at = time[row]
            if _is_recent(at, since, clock):
                did = meaning[kind[row] + 1]
                if did == VISIT:
                    visited = True
                elif did in (CART, FAVORITE):
                    wanted = True
                elif did == INQUIRY:
                    asked = True
                elif did == QUOTE:
                    quote = max(quote, at)
                elif did == REPLY:
                    reply = max(reply, at)
                elif did == VIEW and product[row] != no_product:
                    if views == viewed.shape[0]:
                        more = np.empty(2 * views, np.int64)
                        more[:views] = viewed
                        viewed = more
                    viewed[views] = product[row]
                    views += 1
            row = previous[row]
        if quote >= since:
            order = order_heads[buyer]
            while order >= 0:
                if order_time[order] <= clock.as_of:
                    reply = max(reply, order_time[order])
                order = order_previous[order]
            if reply <= quote:
                out[buyer] = QUOTED_NO_REPLY
                continue
        if wanted:
            out[buyer] = INTERESTED
            continue
        if not asked and views >= 3:
            ordered = np.sort(viewed[:views])
            for k in range(views - 2):
                if ordered[k] == ordered[k + 2]:
                    asked = True
                    break
        if asked:
            out[buyer] = HESITATING
        else:
            out[buyer] = NOT_NOW if visited else -1
