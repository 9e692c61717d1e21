"""One buyer's orders and reviews -> what went wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock, is_within

_NO_VALUE = np.int64(-(2**63))
_WORST_DAYS = 90
_BAD = 3

# Rows of the outputs; `traits/service.py` names them in the same order.
UNPAID, CLOSED, BAD_REVIEWS = range(3)


class Orders(NamedTuple):
    """The orders of these buyers, by their `History`."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    has_status: NDArray[np.int8]
    paid_at: NDArray[np.int64]
    closed_at: NDArray[np.int64]
    refunded_at: NDArray[np.int64]
    refund: NDArray[np.int64]


class Reviews(NamedTuple):
    """The reviews of these buyers, by their `History`."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    rating: NDArray[np.int64]


@kernel
def service_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    since_90d: np.int64,
    orders: Orders,
    reviews: Reviews,
    counts: NDArray[np.int32],
    worst: NDArray[np.int64],
    rates: NDArray[np.float64],
) -> None:
    """Write every fact of these buyers.

    rows: int64[n]  since_90d: the first instant of these dates
    out: counts int32[3, rows]  worst int64[1, rows]  rates float64[1, rows]
    """
    for index in range(rows.shape[0]):
        buyer = rows[index]
        refunded, counted, unpaid, closed = 0, 0, 0, 0
        for place in range(orders.begins[index], orders.begins[index + 1]):
            row = orders.events[place]
            if orders.time[row] > clock.as_of:
                continue
            bought = orders.is_purchase[row] == 1
            if _is_refunded(row, orders):
                refunded += 1
                counted += 1
            elif bought:
                counted += 1
            if orders.closed_at[row] != _NO_VALUE:
                closed += 1
            elif orders.has_status[row] and orders.paid_at[row] == _NO_VALUE and not bought:
                unpaid += 1
        bad, least = 0, _NO_VALUE
        for place in range(reviews.begins[index], reviews.begins[index + 1]):
            row = reviews.events[place]
            rating, at = reviews.rating[row], reviews.time[row]
            if rating == _NO_VALUE or at > clock.as_of:
                continue
            bad += rating <= _BAD
            if (least == _NO_VALUE or rating < least) and is_within(
                at, since_90d, _WORST_DAYS, clock
            ):
                least = rating
        counts[UNPAID, buyer] = unpaid
        counts[CLOSED, buyer] = closed
        counts[BAD_REVIEWS, buyer] = bad
        worst[0, buyer] = least
        rates[0, buyer] = refunded / counted if counted > 0 else np.nan


@inlined
def _is_refunded(row: int, orders: Orders) -> bool:
    """Whether money went back: an amount above 0, or a moment without an amount."""
    if orders.refund[row] == _NO_VALUE:
        return bool(orders.refunded_at[row] != _NO_VALUE)
    return bool(orders.refund[row] > 0)
