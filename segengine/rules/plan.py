"""CheckedRule -> Plan: what is scanned, in which order.

Negation is pushed to the leaves, where "is false" is "known and not true"; then one bitmap a
node is enough. A leaf is decided, cheapest first, by scan codes (`Ranges`: one numeric trait
within intervals), by a dictionary (`Entries`: one text or list trait), or row by row
(`Computed`: anything else). Leaves of one trait under one AND or OR become one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from segengine.days import DAY
from segengine.rules.block import Block, Clock
from segengine.rules.compute import compute
from segengine.rules.ranges import (
    Domain,
    Range,
    after,
    before,
    complement,
    halved,
    intersected,
    united,
)
from segengine.rules.term import SOURCES, Term
from segengine.schema.kinds import Kind

_MANY = 64
_CHEAP, _HARDLY = 2.0, 0.01


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a plan."""


@dataclass(frozen=True, slots=True)
class Everyone(Node):
    """All rows, or none."""

    holds: bool


@dataclass(frozen=True, slots=True)
class Ranges(Node):
    """The source lies in one of the ranges, or is missing where `missing`."""

    source: Term
    ranges: tuple[Range, ...]
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Entries(Node):
    """The condition has the wanted truth for the dictionary entry of the row."""

    source: Term
    term: Term
    wanted: bool


@dataclass(frozen=True, slots=True)
class Joined(Node):
    """The node holds for the row that an event's row leads to; `unplaced`: where it leads nowhere.

    `through` is `customers` or `products`.
    """

    through: str
    node: Node
    unplaced: bool


@dataclass(frozen=True, slots=True)
class Computed(Node):
    """The condition has the wanted truth, evaluated row by row."""

    term: Term
    wanted: bool


@dataclass(frozen=True, slots=True)
class AllOf(Node):
    """Every part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Node):
    """Some part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a rule is evaluated at one moment; `standing`: leaves worth keeping as bitmaps."""

    root: Node
    clock: Clock
    standing: frozenset[Node] = frozenset()
    shares: Shares | None = None


DomainOf = Callable[[Term], Domain]
Shares = Callable[[Node], float]
"""The share of rows for which a node probably holds."""


def plan_rule(
    term: Term,
    domains: DomainOf,
    clock: Clock,
    money_scale: int,
    *,
    catalogued: bool = False,
    shares: Shares | None = None,
) -> Plan:
    """The plan of a checked condition over buyers whose sources have these domains.

    The leaves of segments are standing, and all leaves of a catalogued rule.
    """
    planner = _Planner(domains, clock, money_scale, "customers")
    root = planner.node(term, wanted=True)
    standing = planner.standing | (set(leaves(root)) if catalogued else set())
    if shares is not None:
        root = ordered(root, shares)
    return Plan(root, clock, frozenset(standing), shares)


def ordered(node: Node, shares: Shares) -> Node:
    """The same, the parts first that decide the most rows for their cost."""
    if not isinstance(node, AllOf | AnyOf):
        return node
    parts = [ordered(part, shares) for part in node.parts]
    if len({cost(part) for part in parts}) == 1 and max(map(cost, parts)) <= _CHEAP:
        return type(node)(tuple(parts))

    def rank(part: Node) -> float:
        share = shares(part)
        decided = 1 - share if isinstance(node, AllOf) else share
        return cost(part) / (decided + _HARDLY)

    return type(node)(tuple(sorted(parts, key=rank)))


def plan_events(
    term: Term, domains: DomainOf, clock: Clock, money_scale: int, joined: Collection[str]
) -> Node:
    """The plan of a condition over events, from which the frames in `joined` can be reached."""
    return _Planner(domains, clock, money_scale, "events", joined).node(term, wanted=True)


_FRAMES = {"column": "customers", "event": "events", "product": "products"}


class _Planner:
    def __init__(
        self,
        domains: DomainOf,
        clock: Clock,
        money_scale: int,
        home: str,
        joined: Collection[str] = (),
    ) -> None:
        self._domains = domains
        self._clock = clock
        self._scale = money_scale
        self._home = home
        self._reached = joined
        self.standing: set[Node] = set()

    def node(self, term: Term, *, wanted: bool) -> Node:
        """The rows for which the condition is known to be `wanted`."""
        if term.op == "not":
            return self.node(term.args[0], wanted=not wanted)
        if term.op in ("segment", "declared"):
            node = self.node(term.args[0], wanted=wanted)
            if term.op == "segment":
                self.standing.update(leaves(node))
            return node
        if term.op in ("and", "or"):
            together = (term.op == "and") == wanted
            parts = [self.node(arg, wanted=wanted) for arg in term.args]
            if _is_one_leaf(term) and not all(isinstance(p, Ranges | Everyone) for p in parts):
                return self._leaf(term, wanted=wanted)
            return _joined(parts, self._domains, self.standing, together=together)
        return self._leaf(term, wanted=wanted)

    def _leaf(self, term: Term, *, wanted: bool) -> Node:
        sources = dict.fromkeys(term.sources())
        open_ = term.reads_context or _any(term, "bucket")
        if not sources and not open_:
            return Everyone(self._constant_truth(term) == (1 if wanted else 0))
        homes = {_FRAMES.get(source.op, "customers") for source in sources}
        if (
            len(homes) == 1
            and not open_
            and self._home not in homes
            and homes <= set(self._reached)
        ):
            return self._elsewhere(homes.pop(), term, wanted=wanted)
        if len(sources) == 1 and not open_ and self._home in homes:
            (source,) = sources
            domain = self._domains(source)
            if domain.kind.is_coded and domain.has_entries:
                return Entries(source, term, wanted)
            if domain.kind.is_coded:
                return Computed(term, wanted)
            ranged = self._ranges(term, source, domain, wanted=wanted)
            if ranged is not None:
                return ranged
        return Computed(term, wanted)

    def _elsewhere(self, home: str, term: Term, *, wanted: bool) -> Node:
        """A condition on what an event's row leads to is asked there."""
        there = _Planner(self._domains, self._clock, self._scale, home)
        # Where it leads nowhere every value is missing.
        nothing = compute(term, self._empty_block())[0]
        unplaced = bool(nothing == (1 if wanted else 0))
        node = there.node(term, wanted=wanted)
        if isinstance(node, Everyone) and node.holds == unplaced:
            return node
        return Joined(home, node, unplaced)

    def _constant_truth(self, term: Term) -> int:
        return int(compute(term, self._empty_block())[0])

    def _empty_block(self) -> Block:
        def missing(source: Term) -> Any:
            return compute(Term("const", source.kind), Block(1, self._clock, self._scale, missing))

        return Block(1, self._clock, self._scale, missing)

    def _constant(self, term: Term) -> Any:
        """The value of a term without traits; None for missing."""
        if term.op == "const":
            return term.value
        value = compute(term, self._empty_block())[0]
        if term.kind is Kind.DOUBLE:
            return None if math.isnan(value) else float(value)
        number = int(value)
        missing = -128 if term.kind is Kind.BOOLEAN else -(2**63)
        return None if number == missing else number

    def _ranges(self, term: Term, source: Term, domain: Domain, *, wanted: bool) -> Node | None:
        everything = ((domain.least, domain.greatest),)
        if term.op in SOURCES:
            return Ranges(source, ((1, 1),) if wanted else ((0, 0),))
        if term.op == "is_null" and term.args[0].op in SOURCES:
            return Ranges(source, (), missing=True) if wanted else Ranges(source, everything)
        if term.op == "in":
            return self._in(term, source, domain, wanted=wanted)
        if term.op == "in_last_days" and not _any_source(term.args[1]):
            count = self._constant(term.args[1])
            if count is None:
                return Everyone(False)
            since = Term("days_since", Kind.BIGINT, (term.args[0],))
            hits = self._preimage(since, source, domain, 0, count - 1)
            return None if hits is None else self._one(source, domain, hits, wanted=wanted)
        if term.op in ("=", "<>", "<", "<=", ">", ">=", "distinct"):
            return self._comparison(term, source, domain, wanted=wanted)
        return None

    def _in(self, term: Term, source: Term, domain: Domain, *, wanted: bool) -> Node | None:
        values, has_null = term.value
        (operand,) = term.args
        if len(values) > _MANY and operand.op not in SOURCES:
            return None
        inside = []
        for value in sorted(values):
            hits = self._preimage(operand, source, domain, value, value)
            if hits is None:
                return None
            inside += [hits] if hits else []
        merged = united(tuple(inside), domain)
        if wanted:
            return Ranges(source, merged)
        return Everyone(False) if has_null else Ranges(source, complement(merged, domain))

    def _comparison(self, term: Term, source: Term, domain: Domain, *, wanted: bool) -> Node | None:
        left, right = term.args
        op = term.op
        coded = left.kind is not None and left.kind.is_coded
        if coded or (_any_source(left) and _any_source(right)):
            return None
        if _any_source(right):
            left, right = right, left
            op = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        value = self._constant(right)
        if value is None:
            if op != "distinct":
                return Everyone(False)
            if left.op not in SOURCES:
                return None
            everything = ((domain.least, domain.greatest),)
            return Ranges(source, everything) if wanted else Ranges(source, (), missing=True)
        low, high = -math.inf, math.inf
        if op in ("=", "<>", "distinct"):
            low = high = value
        elif op in ("<", "<="):
            high = value if op == "<=" else before(value, left.kind)
        else:
            low = value if op == ">=" else after(value, left.kind)
        hits = self._preimage(left, source, domain, low, high)
        if hits is None:
            return None
        if op == "distinct":
            outside = complement((hits,) if hits else (), domain)
            if not wanted:
                return Ranges(source, (hits,) if hits else ())
            return Ranges(source, outside, missing=True) if left.op in SOURCES else None
        return self._one(source, domain, hits, wanted=wanted == (op != "<>"))

    def _one(self, source: Term, domain: Domain, hits: Range | tuple[()], *, wanted: bool) -> Node:
        inside = (hits,) if hits else ()
        return Ranges(source, inside if wanted else complement(inside, domain))

    def _preimage(
        self, term: Term, source: Term, domain: Domain, low: Any, high: Any
    ) -> Range | tuple[()] | None:
        """The trait's values for which low <= term <= high; () for none, None: no such range.

        Through steps that never fall as the trait rises, found by halving.
        """
        if not self._follows(term):
            return None
        if term.op in SOURCES:
            low, high = max(low, domain.least), min(high, domain.greatest)
            return (low, high) if low <= high else ()
        zone, inner = self._clock.zone, term.args[0]
        if term.op == "to_double":
            unit = 10**self._scale if inner.kind is Kind.MONEY else 1
            found = halved(lambda v: v / unit, domain, low, high)
        elif term.op == "to_money":
            unit = 10**self._scale
            found = (-math.inf if low == -math.inf else -(-low // unit),
                     math.inf if high == math.inf else high // unit)  # fmt: skip
        elif term.op == "to_instant":
            found = halved(lambda v: zone.instant_of(v * DAY), domain, low, high)
        else:
            today = self._clock.today
            if term.op == "days_since":
                low, high = today - high, today - low
            else:
                low, high = low + today, high + today
            found = (low, high)
            if inner.kind is Kind.TIMESTAMP:
                found = (_day_edge(zone, low), _day_edge(zone, high + 1) - 1)
        if found[0] > found[1]:
            return ()
        return self._preimage(inner, source, domain, *found)

    def _follows(self, term: Term) -> bool:
        """Whether a term is a trait seen through steps that never fall, missing for missing."""
        if term.op in SOURCES:
            return True
        if term.op not in ("to_double", "to_money", "to_instant", "days_since", "days_until"):
            return False
        inner = term.args[0]
        if term.op.startswith("days_") and inner.kind is Kind.TIMESTAMP:
            # Where the clock once went back over midnight, a date came twice.
            return self._clock.zone.monotone and self._follows(inner)
        return self._follows(inner)


def _is_one_leaf(term: Term) -> bool:
    """Whether an AND or OR is how one written leaf, such as BETWEEN, is decided."""
    return term.source is not None and all(arg.source is term.source for arg in term.args)


def _day_edge(zone: Any, day: Any) -> Any:
    """The first instant of a date; dates that no instant has keep their order."""
    if abs(day) > 4_000_000:
        return math.inf if day > 0 else -math.inf
    return zone.start_of_day(int(day))


def _any_source(term: Term) -> bool:
    return next(term.sources(), None) is not None


def _any(term: Term, op: str) -> bool:
    return any(t.op == op for t in term.walk())


def leaves(node: Node) -> Iterator[Node]:
    """The leaves of a node."""
    if isinstance(node, AllOf | AnyOf):
        for part in node.parts:
            yield from leaves(part)
    elif not isinstance(node, Everyone):
        yield node


def _joined(
    parts: list[Node], domains: DomainOf, standing: Collection[Node], *, together: bool
) -> Node:
    """AND or OR of nodes: flattened, constants folded, ranges of one trait merged, ordered.

    A standing leaf stays as it is: its bitmap is cheaper than a merged scan.
    """
    kind = AllOf if together else AnyOf
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else [part]
    decided = Everyone(not together)
    if decided in flat:
        return decided
    flat = [part for part in dict.fromkeys(flat) if not isinstance(part, Everyone)]
    by_source: dict[Term, Ranges] = {}
    rest: list[Node] = []
    for part in flat:
        if not isinstance(part, Ranges) or part in standing:
            rest.append(part)
            continue
        before = by_source.get(part.source)
        if before is None:
            by_source[part.source] = part
        elif together:
            ranges = intersected(before.ranges, part.ranges)
            missing = before.missing and part.missing
            by_source[part.source] = replace(before, ranges=ranges, missing=missing)
        else:
            ranges = united(before.ranges + part.ranges, domains(part.source))
            missing = before.missing or part.missing
            by_source[part.source] = replace(before, ranges=ranges, missing=missing)
    merged: list[Node] = sorted(by_source.values(), key=cost)
    merged += sorted(rest, key=cost)
    if together and any(isinstance(m, Ranges) and not m.ranges and not m.missing for m in merged):
        return Everyone(False)
    if not merged:
        return Everyone(together)
    return merged[0] if len(merged) == 1 else kind(tuple(merged))


def cost(node: Node) -> float:
    """Roughly the bytes a row that a step reads."""
    if isinstance(node, Everyone):
        return 0.0
    if isinstance(node, Ranges):
        return min(len(node.ranges), 8) + node.missing
    if isinstance(node, Entries):
        return 4.0
    if isinstance(node, Joined):
        return 8.0
    if isinstance(node, Computed):
        return 40.0 * sum(1 for _ in node.term.walk())
    assert isinstance(node, AllOf | AnyOf)
    return sum(cost(part) for part in node.parts)
