"""What became of an order? Paid, shipped, arrived, delivered, confirmed; or closed; refunded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.demo.columns import NEVER
from segengine.demo.draws import draw, happens, lottery, waits
from segengine.demo.names import CATEGORIES, PLACES
from segengine.demo.rhythm import DAY, HOUR, cells_of, season
from segengine.demo.setting import Setting

PAYMENTS = ("alipay", "wechat", "card", "cod")
COD = 3
CHANNELS = ("app", "web", "store")
STORE = 2
CLOSE_REASONS = ("not_paid_in_time", "cancelled_by_buyer", "out_of_stock")

LATE = 5 * DAY
"""A parcel that takes longer than this from the order to the door is late."""

_UNPAID = 0.07
_REFUND_CHANCE = np.array(
    [0.09 if c.name in {"womenswear", "menswear", "shoes"} else 0.03 for c in CATEGORIES]
)
_FULL_SHARE = 0.65
_ROAD_DAYS = np.array([p[2] for p in PLACES])


@dataclass(frozen=True, slots=True, eq=False)
class Statuses:
    """When each thing happened to each order; all arrays are int64[orders].

    Seconds since 1970; what is later than as_of, or NEVER, has not happened. refund: cents,
    0 for none. reason: code of CLOSE_REASONS, -1 for none.
    """

    paid: NDArray[np.int64]
    shipped: NDArray[np.int64]
    arrived: NDArray[np.int64]
    delivered: NDArray[np.int64]
    confirmed: NDArray[np.int64]
    closed: NDArray[np.int64]
    refunded: NDArray[np.int64]
    refund: NDArray[np.int64]
    reason: NDArray[np.int64]


def follow_orders(
    rng: np.random.Generator,
    setting: Setting,
    *,
    placed: NDArray[np.int64],
    channel: NDArray[np.int64],
    payment: NDArray[np.int64],
    region: NDArray[np.int64],
    amount: NDArray[np.int64],
    category: NDArray[np.int64],
) -> Statuses:
    """The life of each order up to as_of; all arguments are [orders].

    Paid at once in a store, at the door for cash on delivery, else minutes after placing.
    Parcels take longer when the shop is busy and when the region is far.
    """
    n = len(placed)
    in_store = channel == STORE
    at_door = payment == COD
    unpaid = ~in_store & ~at_door & happens(rng, n, _UNPAID)
    accepted = placed + np.where(in_store, 0, 8 + waits(rng, n, 170.0))

    clock = setting.buying
    by_date = np.array([season(day) for day in setting.dates])
    busy = by_date[clock.day[cells_of(clock, placed)]]
    packing = 2 * HOUR + (waits(rng, n, 13.0 * HOUR) * np.maximum(busy, 0.8)).astype(np.int64)
    road = (16 * HOUR + _ROAD_DAYS[region] * (19 * HOUR)) + waits(rng, n, 9.0 * HOUR)
    shipped = accepted + packing
    arrived = shipped + road
    delivered = arrived + HOUR + waits(rng, n, 7.0 * HOUR)
    patience = np.where(happens(rng, n, 0.3), 10 * DAY, waits(rng, n, 2.5 * DAY))
    confirmed = delivered + np.minimum(patience, 10 * DAY) + 60
    paid = np.where(at_door, delivered, accepted)

    returns = (rng.random(n) < _REFUND_CHANCE[category]) & ~in_store & ~unpaid
    full = happens(rng, n, _FULL_SHARE)
    before = returns & full & ~at_door & happens(rng, n, 0.3)
    refunded = np.where(before, paid + 600 + packing // 2, delivered + waits(rng, n, 3.0 * DAY))
    refunded = np.where(returns, refunded, NEVER)
    part = np.maximum(amount * rng.integers(10, 60, n) // 100, 1)
    refund = np.where(full, amount, part) * (refunded <= setting.end)

    reason = draw(rng, lottery([58, 34, 8]), n).astype(np.int64)
    wait = np.where(reason == 0, DAY, np.minimum(waits(rng, n, 2.5 * HOUR) + 120, DAY - 60))
    closed = np.where(unpaid, placed + wait, NEVER)

    moved = ~unpaid & ~before
    by_parcel = moved & ~in_store
    delivered = np.where(in_store, paid, delivered)
    return Statuses(
        paid=np.where(unpaid, NEVER, paid),
        shipped=np.where(by_parcel, shipped, NEVER),
        arrived=np.where(by_parcel, arrived, NEVER),
        delivered=np.where(moved, delivered, NEVER),
        confirmed=np.where(moved & ~(returns & full), np.where(in_store, paid, confirmed), NEVER),
        closed=closed,
        refunded=refunded,
        refund=refund,
        reason=np.where(closed <= setting.end, reason, -1),
    )
