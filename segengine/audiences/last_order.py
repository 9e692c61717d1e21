"""What was a buyer's latest purchase: when, for how much, by which order?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.audiences import last_order_loops
from segengine.kernels import jit
from segengine.rules.segment import View
from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDERS
from segengine.tables.column import arrow_of


def latest_purchases(view: View, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row in `orders` of each buyer's last purchase up to as_of, -1 for none: int64[n].

    Of several at one moment it is the one that arrived last, as for `last_order_amount`.
    """
    population = view.population
    orders = population.tables.events[ORDERS]
    heads = population.customers.heads(ORDERS)
    out = np.empty(len(rows), np.int64)

    def work(begin: int, end: int) -> None:
        last_order_loops.latest_purchases(
            rows[begin:end], np.int64(view.clock.as_of), heads, orders.extra("previous"),
            orders.columns["time"].values, orders.columns["is_purchase"].values, out[begin:end],
        )  # fmt: skip

    jit.over_ranges(work, len(rows))
    return out


def values_of_orders(view: View, column: str, orders: NDArray[np.int64]) -> pa.Array:
    """A column of these orders, null at -1; `amount` is net of refunds, as in `purchases`."""
    population = view.population
    columns = population.tables.events[ORDERS].columns
    places = np.maximum(orders, 0)
    if column == "amount":
        missing = columns["amount"].missing
        amount, refund = columns["amount"].values[places], columns["refund_amount"].values[places]
        net = np.where((amount == missing) | (refund == missing), amount, amount - refund)
        found = arrow_of(net, Kind.MONEY, None, population.money_scale)
    else:
        found = columns[column].to_arrow(places, population.money_scale)
    if (orders >= 0).all():
        return found
    return pc.if_else(pa.array(orders >= 0), found, pa.scalar(None, found.type))
