"""What did a run earn? The same figures, from plain rows, one buyer after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]


@dataclass
class Buyer:
    """One buyer of a run, and what became of them."""

    customer: Any
    variant: str | None
    held_out: bool
    start: datetime | None = None
    delivered: bool = False
    parts: int = 0
    responded: bool = False
    unasked: bool = False
    orders: int = 0
    sales: Decimal = Decimal(0)
    open: bool = False
    day: date | None = None


def answers(
    goal: str | None, campaign: str, tables: dict[str, list[Row]]
) -> list[tuple[Row, bool]]:
    """The rows that answer a message, each with whether it is a click."""
    clicks = [
        (row, True)
        for row in tables["messages"]
        if row["kind"] == "clicked" and row["campaign"] in (campaign, None)
    ]
    behaviors = tables.get("behaviors", [])
    bought = [row for row in tables.get("orders", []) if row["is_purchase"]]
    if goal is None:
        visits = [row for row in behaviors if row["kind"] == "visit"]
        return clicks + [(row, False) for row in (*visits, *bought)]
    if goal == "messages":
        return clicks
    if goal == "purchases":
        return [(row, False) for row in bought]
    if "cart" in goal:
        return [(row, False) for row in behaviors if row["kind"] == "cart"]
    return [(row, False) for row in tables.get(goal, [])]


def buyers_of(
    members: Sequence[Row],
    run: str,
    campaign: str,
    goal: str | None,
    window_days: int,
    tables: dict[str, list[Row]],
    as_of: datetime,
    timezone: str,
) -> list[Buyer]:
    """Every buyer of a run, by what the store's tables say up to as_of."""
    seen = {name: [r for r in rows if r["time"] <= as_of] for name, rows in tables.items()}
    mine = [row for row in seen["messages"] if row["run"] == run]
    is_told = any(row["kind"] == "delivered" for row in mine)
    span = timedelta(days=window_days)
    found = []
    for member in members:
        who = member["customer_id"]
        buyer = Buyer(who, member["variant"], member["arm"] == "holdout")
        own = [row for row in mine if row["customer_id"] == who]
        first = "held_out" if buyer.held_out else "sent"
        begun = [row["time"] for row in own if row["kind"] == first]
        buyer.start = min(begun) if begun else None
        if not buyer.held_out:
            buyer.parts = sum(row["parts"] or 0 for row in own if row["kind"] == "sent")
        start = buyer.start
        if start is not None:
            if not buyer.held_out:
                if is_told:
                    buyer.delivered = any(row["kind"] == "delivered" for row in own)
                else:
                    buyer.delivered = not any(
                        row["kind"] == "failed" and row["time"] >= start for row in own
                    )
            for row, is_click in answers(goal, campaign, seen):
                if row["customer_id"] == who and start <= row["time"] < start + span:
                    buyer.responded = True
                    buyer.unasked |= not is_click
            for row in seen.get("orders", []):
                is_his = row["customer_id"] == who and row["is_purchase"]
                if is_his and start <= row["time"] < start + span:
                    buyer.orders += 1
                    buyer.sales += row["net"] or 0
            buyer.open = as_of < start + span
            buyer.day = start.astimezone(ZoneInfo(timezone)).date()
        found.append(buyer)
    return found


def measures(buyers: Sequence[Buyer], price: Decimal | None) -> Row:
    """The figures of a group of targeted buyers."""
    there = [b for b in buyers if not b.held_out]
    reached = [b for b in there if b.delivered]
    bought = [b for b in reached if b.orders]
    sales = sum((b.sales for b in reached), Decimal(0))
    orders = sum(b.orders for b in reached)
    parts = sum(b.parts for b in there)
    cost = None if price is None else parts * price
    responded = sum(b.responded for b in reached)
    return {
        "targeted": len(there),
        "sent": sum(b.start is not None for b in there),
        "delivered": len(reached),
        "responded": responded,
        "response_rate": responded / len(reached) if reached else None,
        "parts": parts,
        "cost": cost,
        "buyers": len(bought),
        "orders": orders,
        "sales": sales,
        "sales_per_buyer": float(sales) / len(bought) if bought else None,
        "sales_per_order": float(sales) / orders if orders else None,
        "conversion": len(bought) / len(reached) if reached else None,
        "return_on_cost": float(sales) / float(cost) if cost else None,
        "open": sum(b.open for b in there),
    }
