"""Which module fills each slot? Slot by slot, by trying everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time

from .bucketing import bucket, customer_id
from .bucketing import variant as variant_of
from .local_time import local_time
from .rules import Node, World
from .twin import Buyer, holds

Given = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Module:
    """A module as its author wrote it. `device`: the request must name this device."""

    name: str
    rule: Node | None = None
    leaves: int = 0
    device: str | None = None
    priority: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    hours: tuple[tuple[time, time], ...] = ()
    variants: Mapping[str, float] = field(default_factory=dict)
    holdout: float = 0.0
    fallback: bool = False


Slots = Sequence[tuple[str, Sequence[Module]]]
Placed = tuple[str, str | None, str | None, str]
Rejected = tuple[str, str, str]


def page(
    slots: Slots, buyer: Buyer, world: World, request: Given, *, known: bool
) -> tuple[list[Placed], set[Rejected]]:
    """(slot, module, variant, reason) of each slot, and (slot, module, reason) of the losers.

    `buyer` holds the values rules read; `known` tells whether the visitor gave an id.
    """
    shown: set[str] = set()
    placed: list[Placed] = []
    rejected: set[Rejected] = set()
    for slot, modules in slots:
        order = sorted(modules, key=lambda m: (m.fallback, -m.priority, -m.leaves, m.name))
        winner: Module | None = None
        for module in order:
            why = _why_not(module, buyer, world, request, known=known)
            if module.name in shown:
                why = "ALREADY_SHOWN"
            if why is None and winner is not None:
                why = "OUTRANKED"
            if why is None:
                winner = module
            else:
                rejected.add((slot, module.name, why))
        if winner is None:
            placed.append((slot, None, None, "EMPTY"))
            continue
        shown.add(winner.name)
        variant = None
        if winner.variants:
            first = next(iter(winner.variants))
            variant = (
                variant_of(winner.variants, winner.name, customer_id(buyer)) if known else first
            )
        placed.append((slot, winner.name, variant, "FALLBACK" if winner.fallback else "MATCHED"))
    return placed, rejected


def _why_not(
    module: Module, buyer: Buyer, world: World, request: Given, *, known: bool
) -> str | None:
    if module.starts_at is not None and world.as_of < module.starts_at:
        return "INACTIVE"
    if module.ends_at is not None and world.as_of >= module.ends_at:
        return "INACTIVE"
    clock = local_time(world.as_of, world.timezone).time()
    inside = [
        (start <= clock < end) if start < end else (clock >= start or clock < end)
        for start, end in module.hours
    ]
    if module.hours and not any(inside):
        return "INACTIVE"
    if module.rule is not None and holds(module.rule, buyer, world) is not True:
        return "NOT_ELIGIBLE"
    if module.device is not None and request.get("device") != module.device:
        return "NOT_ELIGIBLE"
    if known and module.holdout > 0:
        share = bucket(f"{module.name}:holdout", str(customer_id(buyer)))
        assert share is not None
        if share < module.holdout:
            return "HELD_OUT"
    return None
