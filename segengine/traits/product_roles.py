"""What is a product for: does it bring buyers, earn, crown its category, or keep buyers?

traffic: among the top fifth by how many buyers had it in their first purchase; profit: among the
top fifth by margin; edge: of the high price level; retention: of the low one, and the share of its
buyers who are at risk or sleeping is above that share over the buyers of all products. The first
that holds, in this order. A top fifth is what lies above the continuous quantile at .8 of those
products that have the value at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.traits import life_cycle_loops, product_loops
from segengine.traits.life_cycle import STAGES
from segengine.traits.price_band_loops import HIGH, LOW
from segengine.traits.product_places import product_places
from segengine.traits.work import Work

ROLES = ("traffic", "profit", "edge", "retention")
_LEAVING = ("at_risk", "sleeping")


def product_roles(
    work: Work, margins: NDArray[np.float64], levels: NDArray[np.int32]
) -> NDArray[np.int8]:
    """The place in ROLES of every product, -1 for none: int8[products].

    margins: float64[products]  levels: int32[products], codes of price bands
    """
    lines = work.tables.events[ORDER_LINES]
    places = product_places(work.tables, ORDER_LINES, slice(0, lines.rows))
    firsts = _first_orders(work, places, len(margins))
    buyers, leaving = _buyers(work, places, len(margins))
    # leaving / buyers > all leaving / all buyers, in whole numbers.
    keeps = leaving * buyers.sum() > leaving.sum() * buyers
    held = (
        in_top_fifth(firsts, firsts > 0),
        in_top_fifth(margins, ~np.isnan(margins)),
        levels == HIGH,
        (levels == LOW) & keeps,
    )
    return np.select(held, range(len(ROLES)), -1).astype(np.int8)


def in_top_fifth(values: NDArray[Any], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which values lie above the continuous quantile at .8 of those among them: bool[n]."""
    base = values[among]
    if not len(base):
        return among
    # The quantile lies at or after this place and before the next value: what is above one is
    # above the other.
    place = 4 * (len(base) - 1) // 5
    return among & (values > np.partition(base, place)[place])


def _first_orders(work: Work, places: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """How many buyers had each product in their first purchase."""
    history = work.history(ORDERS)
    orders, lines = work.tables.events[ORDERS], work.tables.events[ORDER_LINES]
    parts: list[NDArray[np.int64]] = []

    def loop(begin: int, end: int) -> None:
        out = np.zeros(count, np.int64)
        product_loops.first_orders_of(
            np.int64(work.as_of), history.begins[begin : end + 1], history.events,
            work.values(ORDERS, "time"), work.values(ORDERS, "is_purchase"),
            orders.extra("last_line"), lines.extra("previous_in_order"),
            work.values(ORDER_LINES, "time"), work.values(ORDER_LINES, "is_purchase"),
            places, np.zeros(count, np.int32), out,
        )  # fmt: skip
        parts.append(out)

    work.over_buyers(loop)
    return np.sum(parts, axis=0, dtype=np.int64)


def _buyers(work: Work, places: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """How many buyers each product ever had, and how many of them are at risk or sleeping."""
    history = work.history(ORDER_LINES)
    stages = work.blocks["life"][life_cycle_loops.STAGE]
    leaving = np.isin(stages, [STAGES.index(stage) for stage in _LEAVING])
    parts: list[NDArray[np.int64]] = []

    def loop(begin: int, end: int) -> None:
        out = np.zeros((2, count), np.int64)
        product_loops.buyers_of(
            np.int64(work.as_of), history.begins[begin : end + 1], history.events,
            work.values(ORDER_LINES, "time"), work.values(ORDER_LINES, "is_purchase"),
            places, leaving[work.rows[begin:end]], np.zeros(count, np.int32), out,
        )  # fmt: skip
        parts.append(out)

    work.over_buyers(loop)
    return np.sum(parts, axis=0, dtype=np.int64)
