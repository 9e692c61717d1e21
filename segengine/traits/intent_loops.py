"""One buyer's doings of the last 30 dates -> how far they have come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel
from segengine.traits.clock_loops import Clock, is_within

OTHER, VISIT, VIEW, CART, FAVORITE, INQUIRY, QUOTE, REPLY = range(8)
DAYS = 30
NOT_NOW, HESITATING, INTERESTED, QUOTED_NO_REPLY, NEVER = range(5)


@kernel
def intent_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    since: np.int64,
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    product: Any,
    no_product: Any,
    meaning: NDArray[np.int8],
    order_begins: NDArray[np.int64],
    order_events: NDArray[np.int32],
    order_time: NDArray[np.int64],
    tags: NDArray[np.int32],
    never: NDArray[np.int8],
    out: NDArray[np.int32],
) -> None:
    """Write the stage of these buyers, -1 for none.

    rows: int64[n]  since: the first instant of the 30 dates  kind: int32[events]
    begins, events; order_begins, order_events: the `History` of these buyers
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
        for place in range(begins[index], begins[index + 1]):
            row = events[place]
            at = time[row]
            if is_within(at, since, DAYS, clock):
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
        if quote >= since:
            for place in range(order_begins[index], order_begins[index + 1]):
                order = order_events[place]
                if order_time[order] <= clock.as_of:
                    reply = max(reply, order_time[order])
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
