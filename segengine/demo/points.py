"""How did balances change? Members earn a point per yuan, spend some, and let some expire."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from segengine.demo.buyers import Buyers
from segengine.demo.columns import MOMENT, TEXT, moments, text, time_order, words
from segengine.demo.draws import happens, stream, waits
from segengine.demo.orders import Orders
from segengine.demo.rhythm import DAY
from segengine.demo.setting import Setting

EARN, SPEND, EXPIRE = range(3)
_KINDS = words(("earn", "spend", "expire"))

SCHEMA = pa.schema(
    [("customer_id", pa.int64()), ("time", MOMENT), ("kind", TEXT), ("amount", pa.int64())]
)


def point_batch(setting: Setting, chunk: int, buyers: Buyers, orders: Orders) -> pa.RecordBatch:
    """One chunk of the points table, by time; amounts are positive, the kind has the sign.

    At most half of what an order earned is spent and a quarter expires, later than it was
    earned: no balance is ever negative.
    """
    rng = stream(setting.seed, "points", chunk)
    statuses = orders.statuses
    earns = np.flatnonzero(
        (buyers.member_level[orders.owner] >= 1)
        & (statuses.paid <= setting.end)
        & (statuses.refund == 0)
    )
    n = len(earns)
    earned = orders.baskets.total[earns] // 100
    at = statuses.paid[earns]
    spends = np.flatnonzero(happens(rng, n, 0.14))
    expires = np.flatnonzero(happens(rng, n, 0.3))
    owner = orders.owner[earns]
    owners = np.concatenate((owner, owner[spends], owner[expires]))
    spent_at = at[spends] + DAY + waits(rng, len(spends), 40.0 * DAY)
    time = np.concatenate((at, spent_at, at[expires] + 365 * DAY))
    amount = np.concatenate((earned, earned[spends] // 2, earned[expires] // 4))
    kind = np.repeat(np.array([EARN, SPEND, EXPIRE], np.int32), [n, len(spends), len(expires)])

    kept = np.flatnonzero((time <= setting.end) & (amount > 0))
    order = kept[time_order(time[kept], setting.start)]
    return pa.record_batch(
        [
            pa.array(owners[order] + buyers.first_id),
            moments(time[order], setting.end),
            text(kind[order], _KINDS),
            pa.array(amount[order]),
        ],
        schema=SCHEMA,
    )
