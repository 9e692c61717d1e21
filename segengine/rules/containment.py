"""Does one rule lie within another, whoever the buyers are?

A plan becomes a shape, in which the order of conditions is gone and conditions on one text are
one set. `implies` then looks for a proof part by part: True is certain, False says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from segengine.rules.plan import AllOf, AnyOf, Computed, Entries, Everyone, Node, Ranges
from segengine.rules.ranges import Domain, Range
from segengine.rules.term import Term

Bounds = dict[int, tuple[Any, Any, bool]]
"""The least and greatest value a source can have and whether it can be missing, where bounded."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Everybody, or nobody."""

    holds: bool


@dataclass(frozen=True, slots=True)
class Within:
    """The source lies in one of the ranges, or is missing where `missing`."""

    source: int
    ranges: tuple[Range, ...]
    missing: bool


@dataclass(frozen=True, slots=True)
class Texts:
    """The text is known and, as `inside` says, one of the options or none of them."""

    source: int
    options: frozenset[str]
    inside: bool


@dataclass(frozen=True, slots=True)
class Other:
    """Any other step: the same as itself, and the opposite of itself with another `wanted`."""

    step: int
    wanted: bool


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts."""

    parts: frozenset[Shape]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of the parts."""

    parts: frozenset[Shape]


Shape = Decided | Within | Texts | Other | Both | Either
_ALWAYS, _NEVER = Decided(True), Decided(False)


@dataclass(slots=True)
class Shapes:
    """Makes shapes that can be compared with each other: a source, a step has one number."""

    domains: Callable[[Term], Domain]
    sources: dict[Term, int] = field(default_factory=dict)
    steps: dict[Any, int] = field(default_factory=dict)

    def of(self, node: Node) -> Shape:
        """The shape of a plan's step."""
        match node:
            case Everyone(holds=holds):
                return Decided(holds)
            case AllOf(parts=parts):
                return _joined([self.of(part) for part in parts], together=True)
            case AnyOf(parts=parts):
                return _joined([self.of(part) for part in parts], together=False)
            case Ranges(source=source, ranges=ranges, missing=missing):
                if not ranges and not missing:
                    return _NEVER
                if missing and ranges == self.everything(source):
                    return _ALWAYS
                return Within(self._source(source), ranges, missing)
            case Entries(source=source, term=term, wanted=wanted):
                return self._texts(source, term, wanted=wanted) or self._other(term, wanted=wanted)
            case Computed(term=term, wanted=wanted):
                return self._other(term, wanted=wanted)
        return Other(self.steps.setdefault(node, len(self.steps)), True)

    def everything(self, source: Term) -> tuple[Range, ...]:
        """The ranges in which every known value of a source lies."""
        domain = self.domains(source)
        return ((domain.least, domain.greatest),)

    def known(self, shape: Shape) -> Term | None:
        """The source that has to be known and no more, where that is all a shape asks."""
        if isinstance(shape, Within) and not shape.missing:
            source = self._named(shape.source)
            return source if shape.ranges == self.everything(source) else None
        if isinstance(shape, Texts) and not shape.options and not shape.inside:
            return self._named(shape.source)
        return None

    def _source(self, source: Term) -> int:
        return self.sources.setdefault(source, len(self.sources))

    def _named(self, number: int) -> Term:
        return list(self.sources)[number]

    def _other(self, term: Term, *, wanted: bool) -> Shape:
        return Other(self.steps.setdefault(term, len(self.steps)), wanted)

    def _texts(self, source: Term, term: Term, *, wanted: bool) -> Shape | None:
        """A comparison of a text with written ones."""
        if term.op == "in" and term.args == (source,):
            options, has_null = term.value
            if has_null and not wanted:
                return _NEVER
            return Texts(self._source(source), frozenset(options), wanted)
        if term.op == "is_null" and term.args == (source,) and not wanted:
            return Texts(self._source(source), frozenset(), False)
        if term.op in ("=", "<>") and source in term.args:
            other = term.args[1] if term.args[0] == source else term.args[0]
            if other.op == "const" and isinstance(other.value, str):
                inside = wanted == (term.op == "=")
                return Texts(self._source(source), frozenset([other.value]), inside)
        return None


def _joined(shapes: list[Shape], *, together: bool) -> Shape:
    """AND or OR of shapes: constants folded, texts of one source merged, contradictions seen."""
    kind = Both if together else Either
    decided, neutral = (_NEVER, _ALWAYS) if together else (_ALWAYS, _NEVER)
    flat: set[Shape] = set()
    texts: dict[int, list[Texts]] = {}
    for shape in shapes:
        for part in shape.parts if isinstance(shape, kind) else (shape,):
            if isinstance(part, Texts):
                texts.setdefault(part.source, []).append(part)
            else:
                flat.add(part)
    flat |= {reduce(_met if together else _united, same) for same in texts.values()}
    flat = {_NEVER if isinstance(p, Texts) and p.inside and not p.options else p for p in flat}
    flat.discard(neutral)
    opposed = together and any(
        isinstance(p, Other) and Other(p.step, not p.wanted) in flat for p in flat
    )
    if decided in flat or opposed:
        return decided
    if not flat:
        return neutral
    return next(iter(flat)) if len(flat) == 1 else kind(frozenset(flat))


def _met(one: Texts, other: Texts) -> Texts:
    if one.inside and other.inside:
        return Texts(one.source, one.options & other.options, True)
    if one.inside or other.inside:
        inner, outer = (one, other) if one.inside else (other, one)
        return Texts(one.source, inner.options - outer.options, True)
    return Texts(one.source, one.options | other.options, False)


def _united(one: Texts, other: Texts) -> Texts:
    if one.inside and other.inside:
        return Texts(one.source, one.options | other.options, True)
    if one.inside or other.inside:
        inner, outer = (one, other) if one.inside else (other, one)
        return Texts(one.source, outer.options - inner.options, False)
    return Texts(one.source, one.options & other.options, False)


def implies(one: Shape, other: Shape) -> bool:
    """Whether it is certain that whoever satisfies one shape satisfies the other."""
    if one in (other, _NEVER) or other == _ALWAYS:
        return True
    if isinstance(one, Either):
        return all(implies(part, other) for part in one.parts)
    if isinstance(other, Both):
        return all(implies(one, part) for part in other.parts)
    if isinstance(one, Both) and any(implies(part, other) for part in one.parts):
        return True
    if isinstance(other, Either):
        return any(implies(one, part) for part in other.parts)
    if isinstance(one, Within) and isinstance(other, Within):
        return one.source == other.source and _inside(one, other)
    if isinstance(one, Texts) and isinstance(other, Texts) and one.source == other.source:
        if one.inside:
            return (one.options <= other.options) if other.inside else not (
                one.options & other.options)  # fmt: skip
        return not other.inside and one.options >= other.options
    return False


def _inside(one: Within, other: Within) -> bool:
    """Ranges are ascending and disjoint in both, and apart by more than nothing."""
    return (other.missing or not one.missing) and all(
        any(low >= first and high <= last for first, last in other.ranges)
        for low, high in one.ranges
    )


def bounds_of(shape: Shape) -> Bounds:
    """What a shape bounds: whoever satisfies it has a value of the source between these."""
    if isinstance(shape, Within):
        if not shape.ranges:
            return {shape.source: (float("inf"), float("-inf"), shape.missing)}
        return {shape.source: (shape.ranges[0][0], shape.ranges[-1][1], shape.missing)}
    if isinstance(shape, Both):
        found: Bounds = {}
        for part in shape.parts:
            for source, (low, high, missing) in bounds_of(part).items():
                known = found.get(source, (low, high, missing))
                found[source] = (max(low, known[0]), min(high, known[1]), missing and known[2])
        return found
    if isinstance(shape, Either):
        first, *rest = (bounds_of(part) for part in shape.parts)
        for other in rest:
            first = {
                source: (min(low, other[source][0]), max(high, other[source][1]),
                         missing or other[source][2])
                for source, (low, high, missing) in first.items()
                if source in other
            }  # fmt: skip
        return first
    return {}


def leaves_of(shape: Shape) -> set[Shape]:
    """The parts of a shape that are no AND or OR."""
    if isinstance(shape, Both | Either):
        return {leaf for part in shape.parts for leaf in leaves_of(part)}
    return {shape}
