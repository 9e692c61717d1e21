"""What in a whole catalogue is sound, and still may not be what was meant?

Rules are compared by their plans, where order and spelling of conditions are gone: two that are
the same, one that lies within another, one that holds for everybody or for nobody. What is said
is true at the moment of the plans. A proof is looked for: what is not found is not said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.errors import RuleError
from segengine.rules import expr as e
from segengine.rules.catalogue import Finding
from segengine.rules.containment import (
    Both,
    Bounds,
    Decided,
    Either,
    Shape,
    Shapes,
    Texts,
    Within,
    bounds_of,
    implies,
    leaves_of,
)
from segengine.rules.format import format_expr
from segengine.rules.places import problem_at
from segengine.rules.plan import Plan
from segengine.rules.ranges import Domain
from segengine.rules.show_plan import source_text
from segengine.rules.term import CheckedRule, Term

MOST_COMPARED = 4_000
"""Segments that are compared with each other; those defined later are not."""

MOST_PROOFS = 30_000
"""Pairs looked at closely, about 10 us each; the bounds of their traits decide most others."""

_EXACT = 2.0**53
"""Whole numbers beyond this are not told apart as doubles."""

_MOST_NAMED = 3
_WINDOWS = frozenset({7, 30, 60, 90, 180, 365})
_AGES = {"recency_days": "last_order_at"}
"""Traits that count the dates since a trait."""
_SAID_OUTRIGHT = frozenset({"const", "and", "or", "not", "segment", "declared"})
"""A rule of these alone says TRUE or FALSE in as many words."""
_NEVER_TRUE = "never true: its conditions exclude each other, or compare with what cannot be"
_ALWAYS_TRUE = "always true: every buyer is in it; write TRUE if that is meant"
_KNOWN = "true for every buyer whose `{0}` is known; write `{0} IS NOT NULL` if that is meant"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule of the catalogue with its plan; `segment`: its name where it is a segment's."""

    place: str
    rule: CheckedRule
    plan: Plan
    segment: str | None = None


def lint(
    rules: Sequence[Placed], used: frozenset[str] | None, domains: Callable[[Term], Domain]
) -> list[Finding]:
    """What is worth a second look, in the order of the rules.

    used: the segments that something uses, None where that is not known. domains: what a source
    can be. `warning`: cannot be meant so; `note`: may well be.
    """
    shapes = Shapes(domains)
    made = [shapes.of(placed.plan.root) for placed in rules]
    among = _alike({
        placed.segment: (placed.rule, shape)
        for placed, shape in zip(rules, made, strict=True) if placed.segment is not None
    })  # fmt: skip
    found = []
    for placed, shape in zip(rules, made, strict=True):
        said = [*_decided(placed.rule.term, shape, shapes), *_dates(placed)]
        if placed.segment is not None:
            said += among.get(placed.segment, [])
            if used is not None and placed.segment not in used:
                said.append(("note", "no segment, campaign, page or trait uses it"))
        found += [Finding(placed.place, severity, message) for severity, message in said]
    return found


def segments_named(expr: e.Expr) -> frozenset[str]:
    """The segments that an expression names itself."""
    return frozenset(
        str(node.args[0].value)
        for node in _walk(expr)
        if isinstance(node, e.Call) and node.name == "segment"
        and len(node.args) == 1 and isinstance(node.args[0], e.Literal)
    )  # fmt: skip


def _walk(expr: e.Expr) -> Iterator[e.Expr]:
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(list(e.inner(node)))


def _decided(term: Term, shape: Shape, shapes: Shapes) -> Iterator[tuple[str, str]]:
    """Whether a rule that asks for something holds for everybody or for nobody."""
    if all(part.op in _SAID_OUTRIGHT for part in term.walk()):
        return
    if shape == Decided(False):
        yield "warning", _NEVER_TRUE
    elif shape == Decided(True):
        yield "warning", _ALWAYS_TRUE
    elif not any(part.op in ("is_null", "distinct") for part in term.walk()):
        source = shapes.known(shape)
        if source is not None:
            yield "warning", _KNOWN.format(source_text(source))


def _dates(placed: Placed) -> Iterator[tuple[str, str]]:
    """Where 30 days are written, and today and the 30 dates before it are meant by the rule."""
    for node in _walk(placed.rule.expr):
        if not isinstance(node, e.Compare) or node.op not in ("<=", ">="):
            continue
        age, count = (node.left, node.right) if node.op == "<=" else (node.right, node.left)
        since = _since(age)
        days = count.value if isinstance(count, e.Literal) else None
        if since is None or type(days) is not int or days not in _WINDOWS:
            continue
        text = format_expr(node)
        message = f"`{text}` admits {days + 1} dates: today and the {days} before it"
        help_ = (
            f"for {days} dates say `{format_expr(age)} < {days}` or `in_last_days({since}, {days})`"
        )
        problem = problem_at(placed.rule.text, node.at, message, help_)
        yield "note", str(RuleError([problem], placed.rule.text, placed.place))


def _since(age: e.Expr) -> str | None:
    """The time whose age in dates this is."""
    if isinstance(age, e.Name) and age.scope in ("", "customers") and age.name in _AGES:
        return format_expr(e.Name(_AGES[age.name], age.scope))
    if isinstance(age, e.Call) and age.name == "days_since" and len(age.args) == 1:
        return format_expr(age.args[0])
    return None


def _alike(
    segments: Mapping[str, tuple[CheckedRule, Shape]],
) -> dict[str, list[tuple[str, str]]]:
    """What is said of each segment that is the same as another or lies within others."""
    said: dict[str, list[tuple[str, str]]] = {}
    first: dict[Shape, str] = {}
    for name, (_, shape) in segments.items():
        if isinstance(shape, Decided):
            continue
        before = first.setdefault(shape, name)
        if before != name:
            said[name] = [("warning", f"the same as segment `{before}`: always the same buyers")]
    shapes = list(first)[:MOST_COMPARED]
    around = _around(shapes)
    depth = around.sum(axis=1)
    for place, shape in enumerate(shapes):
        name = first[shape]
        named = segments_named(segments[name][0].expr)
        others = [
            other
            for other in (first[shapes[near]] for near in _nearest(around[place], around, depth))
            if other not in named and name not in segments_named(segments[other][0].expr)
        ]
        if others:
            listed = ", ".join(f"`{other}`" for other in others[:_MOST_NAMED])
            more = len(others) - _MOST_NAMED
            listed += f" and {more:,} more" if more > 0 else ""
            said.setdefault(name, []).append(
                ("note", f"lies within {listed}: who is in the one is always in the other")
            )
    return said


def _nearest(within: Mask, around: Mask, depth: NDArray[np.int64]) -> Iterator[int]:
    """Of all that a shape lies within those that lie within none of the others."""
    rest = within.copy()
    while rest.any():
        # The innermost has the most around it.
        near = int(np.argmax(np.where(rest, depth, -1)))
        yield near
        rest &= ~around[near]
        rest[near] = False


def _around(shapes: list[Shape]) -> Mask:
    """Which of many shapes each lies within: bool[n, n], False for itself."""
    index = _Index(shapes)
    found = np.zeros((len(shapes), len(shapes)), np.bool_)
    left = MOST_PROOFS
    for place, other in enumerate(shapes):
        perhaps, surely = index.within(other)
        found[:, place] = surely
        perhaps = perhaps & ~surely
        perhaps[place] = False
        for one in np.flatnonzero(perhaps)[:left]:
            found[one, place] = implies(shapes[one], other)
            left -= 1
    np.fill_diagonal(found, False)
    return found


class _Index:
    """Which of many shapes lie within another, told by what they bound and contain."""

    def __init__(self, shapes: list[Shape]) -> None:
        count = len(shapes)
        self._nobody = np.zeros(count, np.bool_)
        self._bounds: dict[int, tuple[NDArray[np.float64], NDArray[np.float64], Mask]] = {}
        self._has: dict[object, Mask] = {}
        self._branching = self._nobody.copy()
        for place, shape in enumerate(shapes):
            self._branching[place] = _branches(shape)
            self._bound(place, bounds_of(shape))
            for leaf in leaves_of(shape):
                key = leaf.source if isinstance(leaf, Texts) else leaf
                self._has.setdefault(key, self._nobody.copy())[place] = True

    def _bound(self, place: int, bounds: Bounds) -> None:
        count = len(self._nobody)
        for source, (low, high, missing) in bounds.items():
            if source not in self._bounds:
                anything = np.full(count, -np.inf), np.full(count, np.inf), ~self._nobody
                self._bounds[source] = anything
            lows, highs, absent = self._bounds[source]
            # Rounding to a double keeps the order: nothing is ruled out by it.
            lows[place], highs[place], absent[place] = low, high, missing

    def within(self, other: Shape) -> tuple[Mask, Mask]:
        """The shapes that may lie within another, and those that are sure to."""
        if isinstance(other, Both | Either):
            masks = [self.within(part) for part in other.parts]
            join = np.logical_and if isinstance(other, Both) else np.logical_or
            perhaps = join.reduce([mask for mask, _ in masks])
            if isinstance(other, Either):
                perhaps |= self._branching
            return perhaps, join.reduce([mask for _, mask in masks])
        if isinstance(other, Within):
            if other.source not in self._bounds:
                return self._nobody, self._nobody
            lows, highs, absent = self._bounds[other.source]
            ((low, high, missing),) = bounds_of(other).values()
            perhaps = (lows >= low) & (highs <= high)
            if not missing:
                perhaps &= ~absent
            told = len(other.ranges) <= 1 and max(abs(low), abs(high)) < _EXACT
            return perhaps, perhaps if told else self._nobody
        key = other.source if isinstance(other, Texts) else other
        return self._has.get(key, self._nobody), self._nobody


def _branches(shape: Shape) -> bool:
    if isinstance(shape, Both):
        return any(_branches(part) for part in shape.parts)
    return isinstance(shape, Either)
