"""One buyer: which of many rules hold?

Every rule is some conjunctions of leaves. The first tier are leaves of one column: the bounds of
all rules cut its values into intervals, each with a row of bits over the conjunctions, and a
match is one binary search a column and one AND of rows (`kernels/matching.py`). The few
conjunctions that are left ask the second tier: leaves that are looked up for a buyer as a whole,
each at most once a request.

What is compiled follows from the rules, the date and the dictionaries; values are read where they
stand when asked, so events and other moments of one day compile nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import is_
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.memory import write_places
from segengine.rules import mark_loops as at
from segengine.rules.catalogue import Definition, SegmentCatalogue
from segengine.rules.codes import RunsKept
from segengine.rules.conjunctions import Conjoined, conjoined
from segengine.rules.counted import BoundCounts
from segengine.rules.frame import BucketsOf
from segengine.rules.interval_rows import BUDGET, MOST_EDGES, Layout, Scratch, laid_out
from segengine.rules.made_values import BoundValues
from segengine.rules.plan import Node, plan_rule
from segengine.rules.ranges import Domain
from segengine.rules.second_tier import Asked, Leaf
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule, Term
from segengine.tables.customers import NOBODY

Key = TypeVar("Key", bound=Hashable)
_NO_REQUEST: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Bound:
    """A layout at one view: where all stands that a loop reads.

    table: see `mark_loops`; it has the addresses of the layout's arrays, of traits, and of the
    tables of made and counts  arrays: those whose addresses stand in traits
    made, counts: where values that are in no column are made from
    """

    view: View
    layout: Layout
    table: NDArray[np.int64]
    traits: NDArray[np.int64]
    arrays: list[NDArray[Any]]
    made: BoundValues
    counts: BoundCounts

    def stands(self, layout: Layout, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether the values of a layout are where they were."""
        return self.layout is layout and all(map(is_, self.arrays, arrays))

    def of_request(self, context: Mapping[str, str], leaf: Node) -> bool:
        """Whether a leaf holds that the request alone decides, whoever the buyer."""
        return Asked(self.view, NOBODY, context, None).truth_of(leaf)

    def confirm(
        self,
        scratch: Scratch,
        left: int,
        row: int,
        context: Mapping[str, str] | None,
        buckets: BucketsOf | None,
        out: NDArray[np.uint8],
    ) -> None:
        """Mark the rules of the conjunctions that `mark_row` has left, if they hold."""
        asked = Asked(self.view, row, context, buckets)
        _mark_candidates(self.layout, scratch, left, asked, out)


class Matcher(Generic[Key]):
    """The keys of the rules that hold for a row, in the order of the rules.

    Rules may read the request. `previous`: the matcher that this one follows, what was compiled
    for equal rules is taken over. budget: bytes of all rows of bits; beyond it intervals are
    wider, and more conjunctions have to look at their bounds.
    """

    def __init__(
        self,
        rules: Sequence[tuple[Key, CheckedRule]],
        previous: Matcher[Key] | None = None,
        *,
        budget: int = BUDGET,
        most_edges: int = MOST_EDGES,
    ) -> None:
        self._rules = list(rules)
        self._budget, self._most_edges = budget, most_edges
        self._lock = threading.Lock()
        self._bound: Bound | None = None
        self._keys = np.empty(len(rules), object)
        for place, (key, _) in enumerate(rules):
            self._keys[place] = key
        self._conjoined: list[Conjoined | None] = [None] * len(rules)
        self._runs: RunsKept = {}
        self._day: int | None = None
        """The date that every rule is planned for; None before the first."""
        self.compilations = 0
        """How often rows of bits were made."""
        if previous is not None:
            self._take_over(previous)

    def _take_over(self, previous: Matcher[Key]) -> None:
        with previous._lock:
            known = {key: found for (key, _), found in zip(
                previous._rules, previous._conjoined, strict=True)}  # fmt: skip
            self._runs = dict(previous._runs)
        for place, (key, rule) in enumerate(self._rules):
            found = known.get(key)
            if found is not None and found.term == rule.term:
                self._conjoined[place] = found

    def match(
        self,
        view: View,
        row: int,
        context: Mapping[str, str] | None = None,
        buckets: BucketsOf | None = None,
    ) -> list[Key]:
        """The keys of the rules that hold; `buckets` where they are not the row's own."""
        out = np.zeros(len(self._rules), np.uint8)
        self.mark(view, row, context, buckets, out)
        keys: list[Key] = self._keys[np.flatnonzero(out)].tolist()
        return keys

    def mark(
        self,
        view: View,
        row: int,
        context: Mapping[str, str] | None,
        buckets: BucketsOf | None,
        out: NDArray[np.uint8],
    ) -> None:
        """As `match`, a 1 at the place of each rule that holds: uint8[rules or more], of 0."""
        bound = self.bound(view)
        scratch = bound.layout.take_scratch()
        request = bound.layout.request.left_open(context or _NO_REQUEST, bound.of_request)
        left = at.mark_row(bound.table, row, request, scratch.memory, out)
        if left:
            bound.confirm(scratch, left, row, context, buckets, out)
        bound.layout.scratch.append(scratch)

    def bound(self, view: View) -> Bound:
        """The rules ready to be asked at a view."""
        bound = self._bound
        return bound if bound is not None and bound.view is view else self._bind(view)

    def _bind(self, view: View) -> Bound:
        with self._lock:
            before = self._bound
            if before is not None and before.view is view:
                return before
            layout = self._layout(view, None if before is None else before.layout)
            arrays = layout.arrays()
            if before is not None and before.stands(layout, arrays):
                traits = before.traits
            else:
                traits = layout.addresses(arrays)
            same = before if before is not None and before.layout is layout else None
            made = layout.made.bound(view.population, None if same is None else same.made)
            counts = layout.counted.bound(
                view.population, view.clock, None if same is None else same.counts
            )
            table = np.zeros(at.WIDTH, np.int64) if same is None else same.table.copy()
            table[at.TODAY], table[at.AS_OF] = view.clock.today, view.clock.as_of
            table[at.SETTLED], table[at.WORDS] = layout.settled, layout.rows.shape[1]
            if same is None:
                write_places(table, layout.places())
            write_places(table, {
                at.TRAITS: traits, at.LIKED: made.liked, at.BIRTHDAYS: made.birthdays,
                at.COUNTS: counts.table,
            })  # fmt: skip
            self._bound = Bound(view, layout, table, traits, arrays, made, counts)
            return self._bound

    def _layout(self, view: View, before: Layout | None) -> Layout:
        today, population = view.clock.today, view.population
        as_it_was = before is not None and before.serves(population)
        scale, clock = population.money_scale, view.clock

        @cache
        def domain(source: Term) -> Domain:
            return population.domain(source)

        def planned(term: Term) -> Node:
            return plan_rule(term, domain, clock, scale).root

        for place, (_, rule) in enumerate(self._rules if self._day != today else ()):
            found = self._conjoined[place]
            if found is None or found.day not in (None, today):
                made = conjoined(rule.term, planned, today)
                as_it_was = as_it_was and found is not None and found.parts == made.parts
                self._conjoined[place] = made
        self._day = today
        if as_it_was:
            assert before is not None
            return before
        parts = [each.parts for each in self._conjoined if each is not None]
        self.compilations += 1
        return laid_out(parts, population, clock, self._runs, self._budget, self._most_edges)


def _mark_candidates(
    layout: Layout, scratch: Scratch, count: int, asked: Asked, out: NDArray[np.uint8]
) -> None:
    """Mark the rules of the candidates that the second tier confirms."""
    state, settled, second, truths = scratch.state, layout.settled, layout.second, asked.truths
    unknown: frozenset[int] = frozenset()
    if state[-1]:
        unknown = frozenset(np.flatnonzero(state[len(layout.columns) : -1] == 0).tolist())
    for conjunction in scratch.candidates[:count].tolist():
        rule = layout.rule_of[conjunction]
        if out[rule]:
            continue
        leaves: Sequence[Leaf] = (
            layout.open_leaves(conjunction, unknown) if unknown else second[conjunction - settled]
        )
        for leaf in leaves:
            truth = truths.get(leaf.place)
            if truth is None:
                truth = asked.holds(leaf)
            if not truth:
                break
        else:
            out[rule] = 1


@dataclass(frozen=True, slots=True)
class _Checked:
    """A definition and its rule, which may stand on other definitions."""

    definition: Definition
    rule: CheckedRule
    names_others: bool


@dataclass(frozen=True, slots=True)
class _Current:
    """A matcher of the definitions of one moment."""

    view: View
    version: int
    state: object
    matcher: Matcher[str]


class SegmentMatcher:
    """The names of all defined segments that hold for a row, whatever is defined by then."""

    def __init__(self, catalogue: SegmentCatalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._current: _Current | None = None
        self._checked: dict[str, _Checked] = {}
        self._words: object = None

    def names(self, view: View, row: int) -> list[str]:
        """The names, sorted; `RuleError` where a definition cannot be."""
        current = self._current
        if (
            current is None
            or current.view is not view
            or current.version != self._catalogue.version
        ):
            current = self._follow(view)
        return current.matcher.match(view, row)

    def _follow(self, view: View) -> _Current:
        with self._lock:
            before, catalogue = self._current, self._catalogue
            # Before the definitions are read: what changes after this is seen at the next call.
            version, state = catalogue.version, catalogue.state()
            if before is not None and before.state == state:
                matcher = before.matcher
            else:
                rules = self._rules(state)
                matcher = Matcher(rules, None if before is None else before.matcher)
            self._current = _Current(view, version, state, matcher)
            return self._current

    def _rules(self, state: object) -> list[tuple[str, CheckedRule]]:
        """Every definition checked: anew only where it changed or names another one."""
        assert isinstance(state, tuple)
        before = self._checked if self._words == state[1:] else {}
        checked: dict[str, _Checked] = {}
        for name, definition in sorted(self._catalogue.definitions.items()):
            kept = before.get(name)
            if kept is None or kept.definition is not definition or kept.names_others:
                rule = self._catalogue.rule_of(name)
                others = any(t.op in ("segment", "declared") for t in rule.term.walk())
                kept = _Checked(definition, rule, others)
            checked[name] = kept
        self._checked, self._words = checked, state[1:]
        return [(name, kept.rule) for name, kept in checked.items()]
