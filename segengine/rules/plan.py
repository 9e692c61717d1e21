"""CheckedRule -> Plan: what is scanned, in which order.

Negation is pushed to the leaves, where "is false" is "known and not true"; then one bitmap a
node is enough. A leaf is decided, cheapest first, by scan codes (`Ranges`: one numeric trait
within intervals), by a dictionary (`Entries`: one text or list trait), or row by row
(`Computed`: anything else). Leaves of one trait under one AND or OR become one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from segengine.days import DAY
from segengine.rules.compute import Block, Clock, compute
from segengine.rules.format import format_expr
from segengine.rules.term import Term
from segengine.schema.kinds import Kind

_MANY = 64
Range = tuple[Any, Any]
"""low <= value <= high."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What a trait's array can hold: its kind and the least and greatest known value."""

    kind: Kind
    least: Any
    greatest: Any


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a plan."""


@dataclass(frozen=True, slots=True)
class Everyone(Node):
    """All rows, or none."""

    holds: bool


@dataclass(frozen=True, slots=True)
class Ranges(Node):
    """The trait lies in one of the ranges, or is missing where `missing`."""

    trait: str
    ranges: tuple[Range, ...]
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Entries(Node):
    """The condition has the wanted truth for the dictionary entry of the row."""

    trait: str
    term: Term
    wanted: bool


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
    """How a rule is evaluated at one moment."""

    root: Node
    clock: Clock


DomainOf = Callable[[str], Domain]


def plan_rule(term: Term, domains: DomainOf, clock: Clock, money_scale: int) -> Plan:
    """The plan of a checked condition over traits with these domains."""
    planner = _Planner(domains, clock, money_scale)
    return Plan(planner.node(term, wanted=True), clock)


class _Planner:
    def __init__(self, domains: DomainOf, clock: Clock, money_scale: int) -> None:
        self._domains = domains
        self._clock = clock
        self._scale = money_scale

    def node(self, term: Term, *, wanted: bool) -> Node:
        """The rows for which the condition is known to be `wanted`."""
        if term.op == "not":
            return self.node(term.args[0], wanted=not wanted)
        if term.op == "segment":
            return self.node(term.args[0], wanted=wanted)
        if term.op in ("and", "or"):
            together = (term.op == "and") == wanted
            parts = [self.node(arg, wanted=wanted) for arg in term.args]
            if _is_one_leaf(term) and not all(isinstance(p, Ranges | Everyone) for p in parts):
                return self._leaf(term, wanted=wanted)
            return _joined(parts, self._domains, together=together)
        return self._leaf(term, wanted=wanted)

    def _leaf(self, term: Term, *, wanted: bool) -> Node:
        columns = term.columns
        if not columns and not term.reads_context and not _any(term, "bucket"):
            found = compute(term, self._empty_block())[0]
            return Everyone(bool(found == (1 if wanted else 0)))
        if len(columns) == 1 and not term.reads_context and not _any(term, "bucket"):
            (name,) = columns
            domain = self._domains(name)
            if domain.kind.is_coded:
                return Entries(name, term, wanted)
            ranged = self._ranges(term, name, domain, wanted=wanted)
            if ranged is not None:
                return ranged
        return Computed(term, wanted)

    def _empty_block(self) -> Block:
        return Block(1, self._clock, self._scale, lambda _: None)

    def _constant(self, term: Term) -> Any:
        """The value of a term without traits; None for missing."""
        value = compute(term, self._empty_block())[0]
        if term.kind is Kind.DOUBLE:
            return None if math.isnan(value) else float(value)
        number = int(value)
        missing = -128 if term.kind is Kind.BOOLEAN else -(2**63)
        return None if number == missing else number

    def _ranges(self, term: Term, name: str, domain: Domain, *, wanted: bool) -> Node | None:
        everything = ((domain.least, domain.greatest),)
        if term.op == "column":
            return Ranges(name, ((1, 1),) if wanted else ((0, 0),))
        if term.op == "is_null" and term.args[0].op == "column":
            return Ranges(name, (), missing=True) if wanted else Ranges(name, everything)
        if term.op == "in":
            return self._in(term, name, domain, wanted=wanted)
        if term.op == "in_last_days" and not term.args[1].columns:
            count = self._constant(term.args[1])
            if count is None:
                return Everyone(False)
            since = Term("days_since", Kind.BIGINT, (term.args[0],))
            hits = self._preimage(since, name, domain, 0, count - 1)
            return None if hits is None else self._one(name, domain, hits, wanted=wanted)
        if term.op in ("=", "<>", "<", "<=", ">", ">=", "distinct"):
            return self._comparison(term, name, domain, wanted=wanted)
        return None

    def _in(self, term: Term, name: str, domain: Domain, *, wanted: bool) -> Node | None:
        values, has_null = term.value
        (operand,) = term.args
        if len(values) > _MANY and operand.op != "column":
            return None
        inside = []
        for value in sorted(values):
            hits = self._preimage(operand, name, domain, value, value)
            if hits is None:
                return None
            inside += [hits] if hits else []
        merged = _united(tuple(inside), domain)
        if wanted:
            return Ranges(name, merged)
        return Everyone(False) if has_null else Ranges(name, _complement(merged, domain))

    def _comparison(self, term: Term, name: str, domain: Domain, *, wanted: bool) -> Node | None:
        left, right = term.args
        op = term.op
        if (left.columns and right.columns) or (left.kind is not None and left.kind.is_coded):
            return None
        if right.columns:
            left, right = right, left
            op = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        value = self._constant(right)
        if value is None:
            if op != "distinct":
                return Everyone(False)
            if left.op != "column":
                return None
            everything = ((domain.least, domain.greatest),)
            return Ranges(name, everything) if wanted else Ranges(name, (), missing=True)
        low, high = -math.inf, math.inf
        if op in ("=", "<>", "distinct"):
            low = high = value
        elif op in ("<", "<="):
            high = value if op == "<=" else _before(value, left.kind)
        else:
            low = value if op == ">=" else _after(value, left.kind)
        hits = self._preimage(left, name, domain, low, high)
        if hits is None:
            return None
        if op == "distinct":
            outside = _complement((hits,) if hits else (), domain)
            if not wanted:
                return Ranges(name, (hits,) if hits else ())
            return Ranges(name, outside, missing=True) if left.op == "column" else None
        return self._one(name, domain, hits, wanted=wanted == (op != "<>"))

    def _one(self, name: str, domain: Domain, hits: Range | tuple[()], *, wanted: bool) -> Node:
        inside = (hits,) if hits else ()
        return Ranges(name, inside if wanted else _complement(inside, domain))

    def _preimage(
        self, term: Term, name: str, domain: Domain, low: Any, high: Any
    ) -> Range | tuple[()] | None:
        """The trait's values for which low <= term <= high; () for none, None: no such range.

        Through steps that never fall as the trait rises, found by halving.
        """
        if not self._follows(term):
            return None
        if term.op == "column":
            low, high = max(low, domain.least), min(high, domain.greatest)
            return (low, high) if low <= high else ()
        zone, inner = self._clock.zone, term.args[0]
        if term.op == "to_double":
            unit = 10**self._scale if inner.kind is Kind.MONEY else 1
            found = _halved(lambda v: v / unit, domain, low, high)
        elif term.op == "to_money":
            unit = 10**self._scale
            found = (-math.inf if low == -math.inf else -(-low // unit),
                     math.inf if high == math.inf else high // unit)  # fmt: skip
        elif term.op == "to_instant":
            found = _halved(lambda v: zone.instant_of(v * DAY), domain, low, high)
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
        return self._preimage(inner, name, domain, *found)

    def _follows(self, term: Term) -> bool:
        """Whether a term is a trait seen through steps that never fall, missing for missing."""
        if term.op == "column":
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


def _halved(function: Callable[[int], Any], domain: Domain, low: Any, high: Any) -> Range:
    """The least and greatest whole number that a rising function sends into [low, high]."""
    least, greatest = domain.least, domain.greatest
    if domain.kind is Kind.DATE:
        least, greatest = max(least, -4_000_000), min(greatest, 4_000_000)
    first = _first(lambda v: bool(function(v) >= low), least, greatest + 1)
    beyond = _first(lambda v: bool(function(v) > high), first, greatest + 1)
    return first, beyond - 1


def _first(test: Callable[[int], bool], begin: int, end: int) -> int:
    """The first whole number in [begin, end) from which on a test holds; `end` for none."""
    while begin < end:
        middle = (begin + end) // 2
        if test(middle):
            end = middle
        else:
            begin = middle + 1
    return begin


def _before(value: Any, kind: Kind | None) -> Any:
    return math.nextafter(value, -math.inf) if kind is Kind.DOUBLE else value - 1


def _after(value: Any, kind: Kind | None) -> Any:
    return math.nextafter(value, math.inf) if kind is Kind.DOUBLE else value + 1


def _any(term: Term, op: str) -> bool:
    return any(t.op == op for t in term.walk())


def _complement(ranges: tuple[Range, ...], domain: Domain) -> tuple[Range, ...]:
    """The known values outside ascending, disjoint ranges."""
    found, start = [], domain.least
    for low, high in ranges:
        if low > start:
            found.append((start, _before(low, domain.kind)))
        start = _after(high, domain.kind)
    if start <= domain.greatest:
        found.append((start, domain.greatest))
    return tuple(found)


def _united(ranges: tuple[Range, ...], domain: Domain) -> tuple[Range, ...]:
    """Ascending, disjoint ranges with the same values."""
    found: list[Range] = []
    for low, high in sorted(ranges):
        if found and low <= _after(found[-1][1], domain.kind):
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def _intersected(first: tuple[Range, ...], second: tuple[Range, ...]) -> tuple[Range, ...]:
    """What lies in both; each is ascending and disjoint, and so is the result."""
    found, place = [], 0
    for low, high in first:
        while place < len(second) and second[place][1] < low:
            place += 1
        for other_low, other_high in second[place:]:
            if other_low > high:
                break
            found.append((max(low, other_low), min(high, other_high)))
    return tuple(found)


def _joined(parts: list[Node], domains: DomainOf, *, together: bool) -> Node:
    """AND or OR of nodes: flattened, constants folded, ranges of one trait merged, ordered."""
    kind = AllOf if together else AnyOf
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else [part]
    decided = Everyone(not together)
    if decided in flat:
        return decided
    flat = [part for part in dict.fromkeys(flat) if not isinstance(part, Everyone)]
    by_trait: dict[str, Ranges] = {}
    rest: list[Node] = []
    for part in flat:
        if not isinstance(part, Ranges):
            rest.append(part)
            continue
        before = by_trait.get(part.trait)
        if before is None:
            by_trait[part.trait] = part
        elif together:
            ranges = _intersected(before.ranges, part.ranges)
            missing = before.missing and part.missing
            by_trait[part.trait] = replace(before, ranges=ranges, missing=missing)
        else:
            ranges = _united(before.ranges + part.ranges, domains(part.trait))
            missing = before.missing or part.missing
            by_trait[part.trait] = replace(before, ranges=ranges, missing=missing)
    merged: list[Node] = sorted(by_trait.values(), key=cost)
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
    if isinstance(node, Computed):
        return 40.0 * sum(1 for _ in node.term.walk())
    assert isinstance(node, AllOf | AnyOf)
    return sum(cost(part) for part in node.parts)


def shown(plan: Plan) -> str:
    """The plan as indented lines, a step each, with its cost in bytes a row."""
    return "\n".join(_lines(plan.root, 0))


def _lines(node: Node, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(node, AllOf | AnyOf):
        head = "all of" if isinstance(node, AllOf) else "any of"
        return [f"{pad}{head}", *(line for p in node.parts for line in _lines(p, depth + 1))]
    if isinstance(node, Everyone):
        return [f"{pad}{'everyone' if node.holds else 'nobody'}"]
    if isinstance(node, Ranges):
        parts = [f"{low} to {high}" if low != high else f"{low}" for low, high in node.ranges]
        if len(parts) > _MANY:
            parts = [f"{len(parts):,} ranges from {node.ranges[0][0]} to {node.ranges[-1][1]}"]
        if node.missing:
            parts.append("missing")
        return [f"{pad}scan {node.trait} in {', '.join(parts) or 'nothing'}  ({cost(node):g} B)"]
    assert isinstance(node, Entries | Computed)
    how = "look up" if isinstance(node, Entries) else "compute"
    source = node.term.source
    text = format_expr(source) if source is not None else node.term.op
    truth = "" if node.wanted else " is false"
    return [f"{pad}{how} {text}{truth}  ({cost(node):g} B)"]
