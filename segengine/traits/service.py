"""What went wrong between a buyer and the shop?

Status columns are read as they stand, whatever the moment. A revised review has its latest rating
and time.
"""

from __future__ import annotations

from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDERS
from segengine.traits import service_loops as loops
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

_NAME = "service"
_TRAITS = (
    Trait("unpaid_orders_count", _NAME, Kind.BIGINT, "complaints",
          "orders of a source with statuses that are not paid, not closed and no purchase",
          "orders", source="orders", narrow=True),
    Trait("closed_orders_count", _NAME, Kind.BIGINT, "complaints", "orders with a `closed_at`",
          "orders", source="orders", narrow=True),
    Trait("bad_reviews_count", _NAME, Kind.BIGINT, "complaints",
          "reviews with a rating of 3 or less", "reviews", source="reviews", narrow=True),
    Trait("worst_rating_90d", _NAME, Kind.BIGINT, "worst",
          "lowest rating on the 90 dates that end today", "1 to 5", "no such rating", "reviews"),
    Trait("refund_rate", _NAME, Kind.DOUBLE, "refunding",
          "orders with a refund / orders that are a purchase or have a refund; a refund is a "
          "refund_amount above 0, or a refunded_at without any refund_amount", "0 to 1",
          "no such order", "orders"),
)  # fmt: skip


def _facts(work: Work) -> None:
    orders, reviews = work.history(ORDERS), work.history("reviews")
    names = ("time", "is_purchase", "paid_at", "closed_at", "refunded_at", "refund_amount")
    values = {name: work.values(ORDERS, name) for name in names}
    placed = loops.Orders(
        *orders, values["time"], values["is_purchase"],
        work.extra(ORDERS, "has_status"), values["paid_at"], values["closed_at"],
        values["refunded_at"], values["refund_amount"],
    )  # fmt: skip
    written = loops.Reviews(
        *reviews, work.values("reviews", "time"), work.values("reviews", "rating")
    )

    def loop(begin: int, end: int) -> None:
        loops.service_facts(
            work.rows[begin:end], work.clock, work.since(90),
            placed._replace(begins=orders.begins[begin:]),
            written._replace(begins=reviews.begins[begin:]),
            *(work.blocks[block] for block in ("complaints", "worst", "refunding")),
        )  # fmt: skip

    work.over_buyers(loop)


SERVICE = Family(
    _NAME, "What went wrong between a buyer and the shop.", _TRAITS, facts=_facts,
    reads=(ORDERS, "reviews"),
)  # fmt: skip
