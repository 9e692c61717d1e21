"""Which module fills each slot for this visitor, and why not the others?

Slots are filled in order. Among the candidates of a slot the order is total: higher priority
first, then more leaves, then name. A fallback shows only where nobody else wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.bucketing import BUCKETS, bucket_of, share_limit, variant_table
from segengine.audiences.campaign import within_hours
from segengine.pages.page import Module, Page
from segengine.rules.block import Clock
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule
from segengine.tables.customers import NOBODY


class Reason(StrEnum):
    """Why a module was placed, or was not."""

    MATCHED = "MATCHED"
    FALLBACK = "FALLBACK"
    EMPTY = "EMPTY"
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    OUTRANKED = "OUTRANKED"
    CAPPED = "CAPPED"
    HELD_OUT = "HELD_OUT"
    INACTIVE = "INACTIVE"
    ALREADY_SHOWN = "ALREADY_SHOWN"


@dataclass(frozen=True, slots=True)
class Placement:
    """What a slot shows; `module` is None where it stays empty."""

    slot: str
    module: str | None
    variant: str | None
    reason: Reason
    products: tuple[Any, ...] = ()
    payload: Any = None


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A frozen answer: one placement per slot in slot order, and why the others lost.

    valid_until: the moment at which time alone could change the answer; None while it is not
    computed. traits: those that the page's rules read.
    """

    page: str
    placements: tuple[Placement, ...]
    rejected: tuple[tuple[str, str, Reason], ...]
    as_of: datetime
    data_version: int
    valid_until: datetime | None
    traits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckedModule:
    """A module with its rule checked and its windows as instants, ready to be asked."""

    module: Module
    rule: CheckedRule | None
    starts: int
    ends: int
    arms: NDArray[np.int16] | None
    held_out_below: int

    @property
    def rank(self) -> tuple[int, int, str]:
        """Lower comes first."""
        leaves = self.rule.leaves if self.rule is not None else 0
        return (-self.module.priority, -leaves, self.module.name)


@dataclass(frozen=True, slots=True)
class CheckedPage:
    """A page whose rules are checked; each slot's candidates stand in their order."""

    page: Page
    rule: CheckedRule | None
    slots: tuple[tuple[str, tuple[CheckedModule, ...]], ...]
    traits: tuple[str, ...]


def ready_module(module: Module, rule: CheckedRule | None, zone: days.Zone) -> CheckedModule:
    """The module with everything worked out that no visitor changes."""
    starts, ends = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    if module.starts_at is not None:
        starts = days.micros(module.starts_at, zone)
    if module.ends_at is not None:
        ends = days.micros(module.ends_at, zone)
    arms = variant_table([v.weight for v in module.variants]) if module.variants else None
    below = share_limit(module.holdout) if module.holdout > 0 else 0
    return CheckedModule(module, rule, starts, ends, arms, below)


def decide(
    checked: CheckedPage, view: View, customer_id: int | str | None, context: Mapping[str, str]
) -> PageAnswer:
    """The page for one visitor; an unknown one is a buyer with no history."""
    row = None
    if customer_id is not None:
        row = view.population.customers.row_of(customer_id)
    visitor = _Visitor(view, NOBODY if row is None else row, customer_id, context)
    page_holds = checked.rule is None or visitor.satisfies(checked.rule)
    shown: set[str] = set()
    placements: list[Placement] = []
    rejected: list[tuple[str, str, Reason]] = []
    for slot, candidates in checked.slots:
        winner: CheckedModule | None = None
        fallbacks: list[CheckedModule] = []
        for candidate in candidates:
            name = candidate.module.name
            if name in shown:
                rejected.append((slot, name, Reason.ALREADY_SHOWN))
            elif candidate.module.fallback:
                fallbacks.append(candidate)
            else:
                why = visitor.refuses(candidate) if page_holds else Reason.NOT_ELIGIBLE
                if why is None and winner is None:
                    winner = candidate
                else:
                    rejected.append((slot, name, why or Reason.OUTRANKED))
        reason = Reason.MATCHED
        for candidate in fallbacks:
            why = visitor.refuses(candidate)
            if why is None and winner is None:
                winner, reason = candidate, Reason.FALLBACK
            else:
                rejected.append((slot, candidate.module.name, why or Reason.OUTRANKED))
        if winner is None:
            placements.append(Placement(slot, None, None, Reason.EMPTY))
            continue
        shown.add(winner.module.name)
        placements.append(visitor.place(slot, winner, reason))
    return PageAnswer(
        checked.page.name, tuple(placements), tuple(rejected), days.moment(view.clock.as_of),
        view.data_version, None, checked.traits,
    )  # fmt: skip


class _Visitor:
    """One request: its row, its id for buckets, its context."""

    def __init__(
        self, view: View, row: int, customer_id: int | str | None, context: Mapping[str, str]
    ) -> None:
        self._view = view
        self._row = row
        self._id = customer_id
        self._context = context
        clock: Clock = view.clock
        self._as_of = clock.as_of
        local = clock.as_of + clock.zone.offset_at(clock.as_of)
        self._time = days.moment(local).time()
        self._buckets = self._own_buckets if row == NOBODY else None

    def _own_buckets(self, salt: str) -> NDArray[np.float64]:
        """The bucket of an unknown visitor's id; without an id it is missing."""
        known = np.nan if self._id is None else bucket_of(salt, self._id) / BUCKETS
        return np.array([known])

    def satisfies(self, rule: CheckedRule) -> bool:
        """Whether a rule holds for the visitor."""
        population = self._view.population
        return population.holds(self._view.plan(rule), self._row, self._context, self._buckets)

    def refuses(self, candidate: CheckedModule) -> Reason | None:
        """Why the module may not be shown; None where it may."""
        if not candidate.starts <= self._as_of < candidate.ends:
            return Reason.INACTIVE
        if not within_hours(candidate.module.hours, self._time):
            return Reason.INACTIVE
        if candidate.rule is not None and not self.satisfies(candidate.rule):
            return Reason.NOT_ELIGIBLE
        if candidate.held_out_below and self._id is not None:
            salt = candidate.module.salt + ":holdout"
            if bucket_of(salt, self._id) < candidate.held_out_below:
                return Reason.HELD_OUT
        return None

    def place(self, slot: str, winner: CheckedModule, reason: Reason) -> Placement:
        """The placement of a winner; a visitor without an id gets the first variant."""
        module = winner.module
        variant, payload = None, module.payload
        if winner.arms is not None:
            arm = 0 if self._id is None else int(winner.arms[bucket_of(module.salt, self._id)])
            variant = module.variants[arm].name
            if module.variants[arm].payload is not None:
                payload = module.variants[arm].payload
        return Placement(slot, module.name, variant, reason, (), payload)
