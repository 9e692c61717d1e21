"""Which module fills each slot? Slot by slot, by trying everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time

from .bucketing import bucket, customer_id
from .bucketing import variant as variant_of
from .local_time import local_date, local_time
from .rules import Node, World
from .twin import Buyer, holds

Given = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Impression:
    """What a visitor saw or clicked; `kind` is `shown`, `clicked` or something else."""

    time: datetime
    module: str | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class Module:
    """A module as its author wrote it. `device`: the request must name this device.

    cap: at most so many impressions in so many dates. decay: the priority that is lost for every
    so many showings without a click, of so many dates.
    """

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
    cap: tuple[int, int] | None = None
    decay: tuple[int, int, int] | None = None


Slots = Sequence[tuple[str, Sequence[Module]]]
Placed = tuple[str, str | None, str | None, str]
Rejected = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks: the values that rules read, whether an id was given, the request, what was seen."""

    buyer: Buyer
    known: bool
    request: Given
    impressions: Sequence[Impression] = ()


def page(
    slots: Slots, visit: Visit, world: World, rule: Node | None = None
) -> tuple[list[Placed], list[Rejected]]:
    """(slot, module, variant, reason) of each slot, and (slot, module, reason) of the losers.

    The losers of a slot stand in its order, fallbacks last. rule: the page's own.
    """
    shown: set[str] = set()
    placed: list[Placed] = []
    rejected: list[Rejected] = []
    is_for = rule is None or holds(rule, visit.buyer, world) is True
    for slot, modules in slots:
        order = sorted(
            modules,
            key=lambda m: (m.fallback, -_priority(m, visit, world), -m.leaves, m.name),
        )
        winner: Module | None = None
        for module in order:
            why = _why_not(module, visit, world)
            if not is_for and not module.fallback:
                why = "NOT_ELIGIBLE"
            if module.name in shown:
                why = "ALREADY_SHOWN"
            if why is None and winner is not None:
                why = "OUTRANKED"
            if why is None:
                winner = module
            else:
                rejected.append((slot, module.name, why))
        if winner is None:
            placed.append((slot, None, None, "EMPTY"))
            continue
        shown.add(winner.name)
        placed.append((slot, winner.name, _variant(winner, visit),
                       "FALLBACK" if winner.fallback else "MATCHED"))  # fmt: skip
    return placed, rejected


def _variant(module: Module, visit: Visit) -> str | None:
    if not module.variants:
        return None
    if not visit.known:
        return next(iter(module.variants))
    return variant_of(module.variants, module.name, customer_id(visit.buyer))


def _priority(module: Module, visit: Visit, world: World) -> int:
    """The priority less what showings without a click have cost."""
    if module.decay is None:
        return module.priority
    lost, after, days = module.decay
    clicks = [i.time for i in _seen(module, "clicked", visit, world, None)]
    unclicked = [
        i
        for i in _seen(module, "shown", visit, world, days)
        if not any(click >= i.time for click in clicks)
    ]
    return module.priority - lost * (len(unclicked) // after)


def _seen(
    module: Module, kind: str, visit: Visit, world: World, days: int | None
) -> list[Impression]:
    """Impressions of a module that have happened, on so many dates that end today."""
    today = local_date(world.as_of, world.timezone)
    return [
        i
        for i in visit.impressions
        if i.module == module.name
        and i.kind == kind
        and i.time <= world.as_of
        and (days is None or (today - local_date(i.time, world.timezone)).days < days)
    ]


def _why_not(module: Module, visit: Visit, world: World) -> str | None:
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
    if module.rule is not None and holds(module.rule, visit.buyer, world) is not True:
        return "NOT_ELIGIBLE"
    if module.device is not None and visit.request.get("device") != module.device:
        return "NOT_ELIGIBLE"
    if module.cap is not None:
        limit, days = module.cap
        if len(_seen(module, "shown", visit, world, days)) >= limit:
            return "CAPPED"
    if visit.known and module.holdout > 0:
        share = bucket(f"{module.name}:holdout", str(customer_id(visit.buyer)))
        assert share is not None
        if share < module.holdout:
            return "HELD_OUT"
    return None
