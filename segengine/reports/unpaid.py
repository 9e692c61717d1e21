"""How many of the orders placed were not paid within 24 hours?

An order is due when it was placed 24 hours or more before as_of: a younger one may still be paid,
and is in neither number. Left out too are orders whose moment of payment nobody wrote down: they
have no paid_at and yet count as purchases, or were refunded. Status columns are read as they
stand, whatever as_of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segengine.reports.periods import Window, first_day, label, local_day
from segengine.reports.rates import ratio
from segengine.reports.report import SHARE, Figure, Picture, Source, Table
from segengine.reports.wording import said

COLUMNS = "time paid_at refunded_at refund_amount is_purchase"
FORMULA = (
    "unpaid: not paid within 24 h of being placed; due: placed 24 h or more ago; "
    "rate = unpaid / due"
)
NO_STATUS = "no order has a `paid_at`: which orders stayed unpaid is not known"


@dataclass(frozen=True, slots=True)
class Unpaid:
    """By date, in days since 1970: orders placed, due, and unpaid. known: some order was paid."""

    days: Mapping[int, tuple[int, int, int]]
    known: bool

    def due(self) -> int:
        """Orders due on all dates."""
        return sum(due for _, due, _ in self.days.values())

    def unpaid(self) -> int:
        """Orders unpaid on all dates."""
        return sum(unpaid for _, _, unpaid in self.days.values())


def unpaid_orders(source: Source, shown: Window) -> Unpaid:
    """Orders placed, due and unpaid on every date of the periods shown."""
    first = first_day(shown.grain, shown.first)
    (known,) = source.row("SELECT count(paid_at) > 0 FROM orders")
    rows = source.rows(
        """
        WITH placed AS (
            SELECT time::DATE - DATE '1970-01-01' AS day,
                   coalesce(paid_at > time + to_hours(24), TRUE) AS is_unpaid,
                   time <= $as_of - to_hours(24)
                   AND (paid_at IS NOT NULL OR NOT (
                       coalesce(is_purchase, FALSE) OR refunded_at IS NOT NULL
                       OR coalesce(refund_amount, 0) > 0
                   )) AS is_due
            FROM orders
        )
        SELECT day, count(*), count(*) FILTER (is_due), count(*) FILTER (is_due AND is_unpaid)
        FROM placed WHERE day >= $first GROUP BY day
        """,
        {"as_of": source.as_of, "first": first},
    )
    days = {int(day): (int(placed), int(due), int(unpaid)) for day, placed, due, unpaid in rows}
    if not known:
        days = {day: (placed, 0, 0) for day, (placed, _, _) in days.items()}
    return Unpaid(days, bool(known))


def unpaid_table(source: Source, found: Unpaid, shown: Window) -> Table:
    """The rate of every date of the periods shown; no rows where payment is not known."""
    rows = []
    for day in range(first_day(shown.grain, shown.first), local_day(source) + 1):
        placed, due, unpaid = found.days.get(day, (0, 0, 0))
        rows.append((label("day", day), placed, due, unpaid, ratio(unpaid, due)))
    return Table(
        "unpaid",
        "Orders not paid within 24 hours, by day",
        f"{FORMULA}; orders whose moment of payment is not known are not due",
        ("day", "placed", "due", "unpaid", "rate"),
        tuple(rows) if found.known else (),
        Picture("lines", "day", ("rate",)),
        ("", "orders", "orders", "orders", SHARE),
    )


def unpaid_figure(found: Unpaid) -> Figure:
    """The rate over all periods shown."""
    return Figure(
        "unpaid_rate",
        "Orders not paid within 24 hours",
        ratio(found.unpaid(), found.due()),
        SHARE,
        f"{FORMULA}; all periods shown: {said(found.unpaid(), found.due())}",
    )
