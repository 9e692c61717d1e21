"""Which orders and lines are there, and which are purchases? By tables.md, from event dicts.

A row's keys are the columns of the batch that brought it: a key that is absent was not loaded, a
key whose value is None was loaded as null.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import cast

from .local_time import instant_of
from .rules import World

Row = Mapping[str, object]
CustomerId = int | str
STATUS_TIMES = (
    "paid_at",
    "shipped_at",
    "arrived_at",
    "delivered_at",
    "confirmed_at",
    "closed_at",
    "refunded_at",
)
_ONE_CENTIMIL = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands. `net` is the amount less refunds; None where the amount is."""

    customer_id: CustomerId
    time: datetime
    amount: Decimal | None
    net: Decimal | None
    promotion: str | None
    is_purchase: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands."""

    customer_id: CustomerId
    time: datetime
    category: str | None
    brand: str | None
    quantity: int | float | Decimal | None
    amount: Decimal | None
    is_purchase: bool


def orders_and_lines(
    order_rows: Iterable[Row],
    line_rows: Iterable[Row],
    world: World,
    products: Mapping[object, Row] | None = None,
) -> tuple[list[Order], list[Line]]:
    """The orders, derived ones last, and the lines, each by (time, arrival), up to `as_of`.

    An order_id with lines and no visible order row gives a derived order: the first line's time
    and customer, the sum of the line amounts; it is a purchase unless its lines say otherwise. A
    row without an order_id, in either table, is an order of its own.
    """
    orders: dict[object, Order] = {}
    for key, first, row in fold(order_rows, ("order_id",)):
        if _moment(row["time"], world) <= world.as_of:
            orders[key] = _order(first, row, world)
    lines_of: dict[object, list[Row]] = defaultdict(list)
    for key, _, row in fold(line_rows, ("order_id", "line_id")):
        if _moment(row["time"], world) <= world.as_of:
            own = row.get("order_id") is None
            lines_of[("line", key) if own else (row["order_id"],)].append(row)
    lines = []
    for key, rows in lines_of.items():
        if key not in orders:
            orders[key] = _derived_order(rows, world)
        lines += [_line(row, orders[key], world, products or {}) for row in rows]
    in_time = sorted(orders.values(), key=lambda order: order.time)
    return in_time, sorted(lines, key=lambda line: line.time)


def fold(rows: Iterable[Row], key_columns: Sequence[str]) -> list[tuple[object, Row, Row]]:
    """(key, first row, row as it stands) in order of first arrival.

    A row with a known key overwrites the columns it has; a row that lacks a part of the key is
    its own; a row with a known event_id is a repeat and counts for nothing.
    """
    found: dict[object, tuple[Row, Row]] = {}
    seen: set[object] = set()
    for arrival, row in enumerate(rows):
        event_id = row.get("event_id")
        if event_id is not None and event_id in seen:
            continue
        seen.add(event_id)
        key: object = tuple(row.get(column) for column in key_columns)
        if None in cast("tuple[object, ...]", key):
            key = ("row", arrival)
        first, standing = found.get(key, (row, {}))
        found[key] = (first, {**standing, **row})
    return [(key, first, row) for key, (first, row) in found.items()]


def _order(first: Row, row: Row, world: World) -> Order:
    amount, refund = as_money(row.get("amount")), as_money(row.get("refund_amount"))
    return Order(
        cast("CustomerId", row["customer_id"]),
        _moment(row["time"], world),
        amount,
        None if amount is None else amount - (refund or 0),
        cast("str | None", row.get("promotion")),
        is_purchase(first, row),
    )


def is_purchase(first: Row, row: Row) -> bool:
    """Given, else: not closed, not fully refunded, and paid.

    `first` is the row that first brought the order: where it has no status time at all, an order
    need not be paid.
    """
    given = row.get("is_purchase")
    if given is not None:
        return bool(given)
    amount, refund = as_money(row.get("amount")), as_money(row.get("refund_amount"))
    if refund is None:
        refunded = row.get("refunded_at") is not None
    else:
        refunded = refund > 0 and amount is not None and refund >= amount
    has_status = any(column in first for column in STATUS_TIMES)
    paid = row.get("paid_at") is not None or not has_status
    return paid and not refunded and row.get("closed_at") is None


def _derived_order(rows: Sequence[Row], world: World) -> Order:
    amounts = [as_money(row.get("amount")) for row in rows]
    known = [amount for amount in amounts if amount is not None]
    total = sum(known, Decimal(0)) if known else None
    given = [bool(row["is_purchase"]) for row in rows if row.get("is_purchase") is not None]
    first = min(rows, key=lambda row: _moment(row["time"], world))
    return Order(
        cast("CustomerId", first["customer_id"]),
        _moment(first["time"], world),
        total,
        total,
        None,
        any(given) if given else True,
    )


def _line(row: Row, order: Order, world: World, products: Mapping[object, Row]) -> Line:
    product = products.get(row.get("product_id"), {})
    given = row.get("is_purchase")
    category, brand = (
        row.get(column) if row.get(column) is not None else product.get(column)
        for column in ("category", "brand")
    )
    return Line(
        cast("CustomerId", row["customer_id"]),
        _moment(row["time"], world),
        cast("str | None", category),
        cast("str | None", brand),
        cast("int | float | Decimal | None", row.get("quantity")),
        as_money(row.get("amount")),
        order.is_purchase if given is None else bool(given),
    )


def visible(rows: Iterable[Row], world: World) -> list[tuple[datetime, Row]]:
    """(instant, row) of the events up to `as_of`, by (time, arrival), repeats left out."""
    timed = [(_moment(row["time"], world), row) for _, _, row in fold(rows, ("event_id",))]
    return sorted((pair for pair in timed if pair[0] <= world.as_of), key=lambda pair: pair[0])


def as_money(value: object) -> Decimal | None:
    """Four places, half away from zero; a double as DuckDB casts it: its product with 10,000."""
    if value is None:
        return None
    if isinstance(value, float):
        return Decimal(value * 10_000).quantize(Decimal(1), ROUND_HALF_UP).scaleb(-4)
    return Decimal(cast("int", value)).quantize(_ONE_CENTIMIL, ROUND_HALF_UP)


def _moment(value: object, world: World) -> datetime:
    """An instant in UTC; a time without a zone is the store's."""
    assert isinstance(value, datetime)
    return value.astimezone(UTC) if value.tzinfo else instant_of(value, world.timezone)
