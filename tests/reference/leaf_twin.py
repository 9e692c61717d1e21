"""What is the value of a leaf that looks beyond one buyer's traits? Plain loops over rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from .leaves import History, Population
from .rules import CustomerId, Node, Row, Type, Value, World

Evaluate = Callable[[Node, Row, World], Value]
_MONEY_PARTS = 10_000


def history_value(node: History, buyer: Row, world: World, evaluate: Evaluate) -> Value:
    """The aggregate over the buyer's events, which are in order; those of nobody are none."""
    customer_id = cast("CustomerId", buyer["customer_id"])
    events = world.history.get(node.table, {}).get(customer_id, ())
    if node.where is not None:
        events = [event for event in events if evaluate(node.where, event, world) is True]
    if node.column is None:
        return len(events)
    values = [event[node.column.name] for event in events]
    if node.function in {"first", "last"}:
        return values[0 if node.function == "first" else -1] if values else None
    return _folded(node.function, [v for v in values if v is not None], node.column.type)


def _folded(function: str, known: Sequence[Value], kind: Type) -> Value:
    if function == "count_distinct":
        return len(set(known))
    if function == "sum":
        zero: Any = {Type.BIGINT: 0, Type.DOUBLE: 0.0, Type.MONEY: Decimal(0)}[kind]
        return cast("Value", sum(cast("Sequence[Any]", known), zero))
    if not known:
        return None
    if function == "avg":
        return average(known)
    return (min if function == "min" else max)(known, key=sortable)


def average(known: Sequence[Value]) -> float | None:
    """The exact sum divided once as float64; None of nothing."""
    if not known:
        return None
    numbers = cast("Sequence[Any]", known)
    if isinstance(numbers[0], Decimal):
        parts = int(sum(numbers) * _MONEY_PARTS)
        return float(parts) / float(len(numbers) * _MONEY_PARTS)
    return float(sum(numbers)) / float(len(numbers))


def population_values(
    node: Population, world: World, evaluate: Evaluate
) -> Mapping[CustomerId, Value]:
    """The leaf's value of each buyer in the base, by customer_id."""
    groups: dict[tuple[object, ...], list[tuple[CustomerId, Value]]] = {}
    for buyer in world.everyone:
        value = evaluate(node.operand, buyer, world)
        if value is None or (node.where and evaluate(node.where, buyer, world) is not True):
            continue
        key = tuple(sortable(buyer[column.name]) for column in node.partition)
        groups.setdefault(key, []).append((cast("CustomerId", buyer["customer_id"]), value))
    found: dict[CustomerId, Value] = {}
    for members in groups.values():
        found |= _among(node, members)
    return found


def _among(
    node: Population, members: Sequence[tuple[CustomerId, Value]]
) -> dict[CustomerId, Value]:
    """The leaf within one partition of the base."""
    ordered = sorted((value for _, value in members), key=sortable)
    if node.function == "percent_rank":
        below: dict[object, int] = {}
        for rank, value in enumerate(ordered):
            below.setdefault(sortable(value), rank)
        others = len(ordered) - 1
        return {one: below[sortable(v)] / others if others else 0.0 for one, v in members}
    shared: Value
    match node.function:
        case "min" | "max":
            shared = ordered[0 if node.function == "min" else -1]
        case "avg":
            shared = average(ordered)
        case _:
            share = 0.5 if node.share is None else float(node.share)
            shared = quantile([float(cast("Any", value)) for value in ordered], share)
    return {one: shared for one, _ in members}


def quantile(ordered: Sequence[float], share: float) -> float:
    """The continuous quantile: linear between the two nearest, all in float64."""
    place = (len(ordered) - 1) * share
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def sortable(value: object) -> Any:  # Python's order within one type
    """Text by its UTF-8 bytes, instants in UTC: Python compares wall times within one zone."""
    if isinstance(value, str):
        return value.encode()
    return value.astimezone(UTC) if isinstance(value, datetime) else value
