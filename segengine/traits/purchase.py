"""What, when and how much did a buyer buy?"""

from __future__ import annotations

import numpy as np

from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.traits import purchase_loops
from segengine.traits.trait import NO_PURCHASE, Family, Trait
from segengine.traits.work import Work

_COUNTS = (
    ("order_count", "purchases", "purchases", "never"),
    ("orders_placed_count", "orders placed, paid or not", "orders", "never"),
    ("recency_days", "dates from the last purchase to today", "days", NO_PURCHASE),
    ("orders_7d", "purchases on the 7 dates that end today", "purchases", "never"),
    ("orders_30d", "purchases on the 30 dates that end today", "purchases", "never"),
    ("orders_90d", "purchases on the 90 dates that end today", "purchases", "never"),
    ("orders_365d", "purchases on the 365 dates that end today", "purchases", "never"),
    ("category_count", "different known categories bought", "categories", "never"),
    ("brand_count", "different known brands bought", "brands", "never"),
    ("promotions_count", "different known promotions bought under", "promotions", "never"),
)
_MONEY = "net of refunds"
_TIE = "of several at one moment the one that arrived"
_WIDES = (
    ("item_count", Kind.BIGINT, "quantities of all purchased lines, summed", "items", "never"),
    ("amount_total", Kind.MONEY, f"amounts of all purchases, {_MONEY}", "money", "never"),
    ("gross_amount_total", Kind.MONEY, "amounts of all purchases before refunds", "money",
     "never"),
    ("last_order_amount", Kind.MONEY, f"amount of the last purchase, {_MONEY}; {_TIE} last",
     "money", NO_PURCHASE),
    ("max_order_amount", Kind.MONEY, f"greatest amount of a purchase, {_MONEY}", "money",
     NO_PURCHASE),
    ("amount_7d", Kind.MONEY, f"amounts on the 7 dates that end today, {_MONEY}", "money",
     "never"),
    ("amount_30d", Kind.MONEY, f"amounts on the 30 dates that end today, {_MONEY}", "money",
     "never"),
    ("amount_90d", Kind.MONEY, f"amounts on the 90 dates that end today, {_MONEY}", "money",
     "never"),
    ("amount_365d", Kind.MONEY, f"amounts on the 365 dates that end today, {_MONEY}", "money",
     "never"),
    ("first_order_at", Kind.TIMESTAMP, "moment of the first purchase", "instant", NO_PURCHASE),
    ("second_order_at", Kind.TIMESTAMP, "moment of the second purchase", "instant",
     "fewer than 2 purchases"),
    ("last_order_at", Kind.TIMESTAMP, "moment of the last purchase", "instant", NO_PURCHASE),
)  # fmt: skip
_RATIOS = (
    ("average_order_amount", f"amount_total / purchases with a known amount, {_MONEY}", "money",
     NO_PURCHASE),
    ("average_gap_days", "dates from first to last purchase / (order_count - 1)", "days",
     "fewer than 2 purchases"),
    ("gap_ratio", "recency_days / average_gap_days", "",
     "fewer than 2 purchases, or all on one date"),
)  # fmt: skip


def _purchase_traits() -> tuple[Trait, ...]:
    traits = [
        Trait(n, "purchase", Kind.BIGINT, "counts", d, u, m,
              "orders" if u == "orders" else "purchases", narrow=True)
        for n, d, u, m in _COUNTS
    ]  # fmt: skip
    traits += [Trait(n, "purchase", k, "wides", d, u, m) for n, k, d, u, m in _WIDES]
    traits += [Trait(n, "purchase", Kind.DOUBLE, "ratios", d, u, m) for n, d, u, m in _RATIOS]
    return (
        *traits,
        Trait("first_promotion", "purchase", Kind.VARCHAR, "codes",
              f"promotion of the earliest purchase that has one; {_TIE} first", "",
              "no such purchase", column=(ORDERS, "promotion")),
    )  # fmt: skip


def _facts(work: Work) -> None:
    tables, blocks, purchases = work.tables, work.blocks, work.purchases()
    lines = work.history(ORDER_LINES)
    of_order = [work.values(ORDERS, name) for name in ("amount", "refund_amount", "promotion")]
    of_line = [
        work.values(ORDER_LINES, name)
        for name in ("time", "is_purchase", "quantity", "category", "brand")
    ]
    none_ahead = tables.events[ORDER_LINES].latest <= work.as_of
    since = np.array([work.since(days) for days in purchase_loops.WINDOWS], np.int64)
    sizes = [work.dictionary(ORDERS, "promotion").size]
    sizes += [work.dictionary(ORDER_LINES, name).size for name in ("category", "brand")]
    unit = np.int64(10**tables.money_scale)

    def loop(begin: int, end: int) -> None:
        stamps = np.full((3, max(1, *sizes)), -1, np.int32)
        bought = purchase_loops.Bought(
            purchases.begins[begin:], purchases.counts[begin:], purchases.placed[begin:],
            purchases.orders, purchases.times, *of_order,
        )  # fmt: skip
        purchase_loops.purchase_facts(
            work.rows[begin:end], work.clock, bought,
            purchase_loops.Lines(lines.begins[begin:], lines.events, *of_line), none_ahead,
            since, unit, stamps,
            blocks["counts"], blocks["wides"], blocks["ratios"], blocks["codes"][0],
        )  # fmt: skip

    work.over_buyers(loop)


PURCHASE = Family(
    "purchase", "What, when and how much a buyer bought.", _purchase_traits(), facts=_facts,
    reads=(ORDERS, ORDER_LINES),
)  # fmt: skip
