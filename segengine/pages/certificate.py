"""Until when does a page's answer hold, if nothing but time passes?

Until the first of: a border of a window or of hours; the next local date, where something reads
the date; the visitor's next event that is stored ahead of as_of; and for conditions on `now()`
the moment at which one of the visitor's own times meets it. What cannot be bounded exactly is
bounded earlier, never later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine import days
from segengine.pages.active import NEVER
from segengine.rules.block import NO_INT, Block, Clock
from segengine.rules.compute import compute
from segengine.rules.events import ALL
from segengine.rules.frame import BucketsOf
from segengine.rules.population import Population
from segengine.rules.segment import View
from segengine.rules.term import SOURCES, Term
from segengine.schema.kinds import Kind
from segengine.tables.column import Column
from segengine.traits.products import CURRENT
from segengine.traits.products import KINDS as PRODUCT_TRAITS

_CALENDAR = "calendar"
_NEAR = 2 * days.DAY
_FAR = 2**62
_COMPARES = ("=", "<>", "<", "<=", ">", ">=", "distinct")
_OF_DATES = ("year", "month", "day", "dayofweek")
_FROM_TODAY = ("days_since", "days_until", "in_last_days", "days_until_birthday")


@dataclass(frozen=True, slots=True)
class Crossing:
    """A comparison of now(), some span away, with a time that stands.

    span: microseconds, None where it is of days or months. table: the event table that `other`
    is a time of, for those of the visitor's events that `where` holds for; None: the buyer's.
    """

    moving: Term
    span: int | None
    other: Term
    table: str | None = None
    where: Term = ALL


@dataclass(frozen=True, slots=True)
class Reads:
    """What in a page's rules moves with time.

    dates, hours: spans in microseconds from now() whose local date, or hour, is read. own, all:
    whether events of the visitor, or of any buyer, that come into sight may change something.
    boundless: something moves in a way that nothing bounds.
    """

    dates: frozenset[int]
    hours: frozenset[int]
    own: bool
    all: bool
    boundless: bool
    crossings: tuple[Crossing, ...]


def reads_of(conditions: Iterable[Term], derived: Collection[str], *, capped: bool) -> Reads:
    """What moves with time in some conditions; derived: the traits that are computed.

    capped: impressions of the last dates are counted too.
    """
    reader = _Reader(derived)
    for condition in conditions:
        reader.visit(condition, None, ALL)
    if capped:
        reader.dates.add(0)
        reader.own = True
    return reader.found()


class _Reader:
    """What was found so far; `visit` goes through a condition."""

    def __init__(self, derived: Collection[str]) -> None:
        self._derived = derived
        self.dates: set[int] = set()
        self.hours: set[int] = set()
        self.own = self.all = self.boundless = False
        self.crossings: dict[Crossing, None] = {}

    def found(self) -> Reads:
        return Reads(
            frozenset(self.dates), frozenset(self.hours), self.own, self.all, self.boundless,
            tuple(self.crossings),
        )  # fmt: skip

    def visit(self, term: Term, table: str | None, where: Term) -> None:
        """Go through a condition over buyers, or over the events of a table."""
        match term.op:
            case "now" | "shift" if _moves(term):
                self.boundless = True
            case "today":
                self.dates.add(0)
            case "column" | "affinity" | "product":
                self._source(term)
            case "history":
                self.own = True
                for arg in term.args:
                    self.visit(arg, term.value.table, _still(arg))
            case "window":
                self._window(term)
            case op if op in _FROM_TODAY:
                self.dates.add(0)
                self._part(term, self.dates, table, where)
            case op if op in _OF_DATES:
                self._part(term, self.dates, table, where)
            case "hour":
                self._part(term, self.hours, table, where)
            case "is_null" if _span(term.args[0]) is not None:
                pass
            case "in" if _span(term.args[0]) is not None:
                for value in term.value[0]:
                    other = Term("const", Kind.TIMESTAMP, value=value)
                    self._cross(term.args[0], other, table, where)
            case op if op in _COMPARES:
                self._compare(term, table, where)
            case _:
                for arg in term.args:
                    self.visit(arg, table, where)

    def _source(self, term: Term) -> None:
        if term.op == "product":
            self.all |= term.value in CURRENT
            moves = term.value in PRODUCT_TRAITS
        else:
            moves = term.op == "affinity" or term.value in self._derived
            self.own |= moves
        if moves:
            self.dates.add(0)

    def _window(self, term: Term) -> None:
        """A place among buyers: what moves for one of them moves for all."""
        inner = _Reader(self._derived)
        for arg in term.args:
            inner.visit(arg, None, ALL)
        self.dates |= inner.dates
        self.hours |= inner.hours
        self.all |= inner.own or inner.all
        self.boundless |= inner.boundless or bool(inner.crossings)

    def _part(self, term: Term, parts: set[int], table: str | None, where: Term) -> None:
        """A function of the local date or hour of its first argument."""
        span = _span(term.args[0])
        if isinstance(span, int):
            parts.add(span)
            rest = term.args[1:]
        else:
            rest = term.args
        for arg in rest:
            self.visit(arg, table, where)

    def _compare(self, term: Term, table: str | None, where: Term) -> None:
        left, right = term.args
        moving, other = (left, right) if _moves(left) else (right, left)
        span = _span(moving)
        if span is None:
            self.visit(left, table, where)
            self.visit(right, table, where)
        elif _moves(other):
            # Both move alike, or nothing is known of how they do.
            self.boundless |= not (isinstance(span, int) and isinstance(_span(other), int))
        else:
            self.visit(other, table, where)
            self._cross(moving, other, table, where)

    def _cross(self, moving: Term, other: Term, table: str | None, where: Term) -> None:
        span = _span(moving)
        if not isinstance(span, int):
            begins = _begins(moving)
            if begins is None:
                self.boundless = True
                return
            # A span of days is one of microseconds for as long as the date it begins at stays.
            self.dates.add(begins)
        crossing = Crossing(moving, span if isinstance(span, int) else None, other, table, where)
        self.crossings[crossing] = None


def _moves(term: Term) -> bool:
    """Whether a value is another one at every moment."""
    if term.op == "now":
        return True
    return term.op not in SOURCES and any(map(_moves, term.args))


def _span(term: Term) -> int | str | None:
    """How far from now() a time is, in microseconds; `calendar` for days and months."""
    if term.op == "now":
        return 0
    if term.op == "declared":
        return _span(term.args[0])
    if term.op != "shift":
        return None
    inner, (months, dates, micros) = _span(term.args[0]), term.value
    if inner is None or isinstance(inner, str) or months or dates:
        return None if inner is None else _CALENDAR
    return inner + int(micros)


def _begins(moving: Term) -> int | None:
    """How far from now() a span of days or months begins, in microseconds.

    None where further days or months come after hours: those begin at a date of their own.
    """
    begins, after, is_calendar = 0, False, False
    for step in _steps(moving):
        months, dates, micros = step.value
        if months or dates:
            if after:
                return None
            is_calendar = True
        after |= is_calendar and bool(micros)
        begins += 0 if is_calendar else int(micros)
    return begins


def _steps(moving: Term) -> list[Term]:
    """The spans by which a time is away from now(), the first one first."""
    steps = []
    while moving.op != "now":
        if moving.op == "shift":
            steps.append(moving)
        moving = moving.args[0]
    return steps[::-1]


def _still(condition: Term) -> Term:
    """The parts of a condition over events that no clock moves, all of which must hold."""
    parts = [part for part in _conjuncts(condition) if not _moves(part)]
    if condition.kind is not Kind.BOOLEAN or not parts:
        return ALL
    return parts[0] if len(parts) == 1 else Term("and", Kind.BOOLEAN, tuple(parts))


def _conjuncts(term: Term) -> list[Term]:
    if term.op == "and":
        return [part for arg in term.args for part in _conjuncts(arg)]
    return [term]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What bounds every visitor's answer at one moment, and where else to look.

    until: the least bound of all visitors. ahead: event tables with rows later than as_of.
    """

    until: int
    ahead: tuple[str, ...]


def standing(reads: Reads, view: View) -> Standing:
    """What bounds every visitor at the moment of a view."""
    as_of, zone = view.clock.as_of, view.clock.zone
    until = as_of + 1 if reads.boundless else NEVER
    for span in reads.dates:
        until = min(until, zone.next_date(as_of + span) - span)
    for span in reads.hours:
        until = min(until, _next_hour(as_of + span, zone) - span)
    tables = view.population.tables.events
    ahead = [name for name, table in tables.items() if table.latest > as_of]
    if reads.all:
        for name in ahead:
            times = tables[name].columns["time"].values[: tables[name].rows]
            until = min(until, int(times[times > as_of].min()))
    return Standing(until, tuple(ahead) if reads.own else ())


def _next_hour(instant: int, zone: days.Zone) -> int:
    offset = zone.offset_at(instant)
    border = ((instant + offset) // days.HOUR + 1) * days.HOUR - offset
    return min(border, zone.next_change(instant))


def met_by_columns(
    crossings: Iterable[Crossing], population: Population
) -> tuple[list[tuple[Column, int]], tuple[Crossing, ...]]:
    """Of crossings those of a column of the buyer's with their spans, and the others.

    now() meets a value of the column where it is the span later.
    """
    columns, others = [], []
    for crossing in crossings:
        if crossing.table is None and crossing.other.op == "column" and crossing.span is not None:
            column = population.column(crossing.other)
            if column.kind is Kind.TIMESTAMP:
                # Beyond it is no moment that now() could come to.
                if abs(crossing.span) < _FAR:
                    columns.append((column, crossing.span))
                continue
        others.append(crossing)
    return columns, tuple(others)


def holds_until(
    crossings: Iterable[Crossing],
    view: View,
    row: int,
    context: Mapping[str, str],
    buckets: BucketsOf | None,
) -> int:
    """The first moment at which now() meets a time of this visitor; `NEVER` for none.

    crossings: of those that `met_by_columns` left
    """
    population, clock, until = view.population, view.clock, NEVER
    for crossing in crossings:
        of_buyer = population.block(slice(row, row + 1), clock, None, context, buckets)
        if crossing.table is None:
            times = compute(crossing.other, of_buyer)
        else:
            events = population.events_of(crossing.table)
            rows = events.rows_for(row, crossing.where, clock)
            times = compute(crossing.other, events.block(rows, clock)) if len(rows) else rows
        until = min(until, meets(crossing, times, of_buyer, clock))
    return until


def meets(crossing: Crossing, times: NDArray[np.int64], block: Block, clock: Clock) -> int:
    """The next moment at which now() meets one of some times, or just did; `NEVER` for none.

    times: int64[n], those that stand  block: where the moving side is computed
    """
    times = times[times != NO_INT]
    if not len(times):
        return NEVER
    if crossing.span is not None:
        return _next_meeting(times - crossing.span, clock.as_of)
    ways = [clock.as_of, *(int(compute(step, block)[0]) for step in _steps(crossing.moving))]
    moved = ways[-1]
    if NO_INT in ways:
        return clock.as_of + 1
    slack = sum(_jumps(clock.zone, at) for at in ways)
    if not slack:
        return _next_meeting(times - (moved - clock.as_of), clock.as_of)
    # Where the clock is put forward or back near by, a span of days is up to so much another.
    return clock.as_of + max(1, int(np.abs(times - moved).min()) - slack)


def _next_meeting(moments: NDArray[np.int64], as_of: int) -> int:
    """The first of some moments after as_of; one that is as_of is passed a microsecond later."""
    if (moments == as_of).any():
        return as_of + 1
    ahead = moments[moments > as_of]
    return int(ahead.min()) if len(ahead) else NEVER


def _jumps(zone: days.Zone, instant: int) -> int:
    """By how much in all the clock is put forward and back within two days of an instant."""
    low, high = np.searchsorted(zone.starts, (instant - _NEAR, instant + _NEAR))
    changed = zone.offsets[low:high] - zone.offsets[low - 1 : high - 1]
    return int(np.abs(changed).sum())
