"""What a rule says: its nodes, as written.

Nodes compare by what they say; where they stood in a text (`at`) is not part of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from segengine.errors import Problem
from segengine.schema.kinds import Kind

Position = tuple[int, int]
"""First and last character of a node in its text, counted from 0."""

Node = TypeVar("Node")

LiteralValue = bool | int | float | Decimal | str | date | datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expr:
    """Any node."""

    at: Position | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Broken(Expr):
    """What is no part of the language; `check` reports it with the other mistakes."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """A value. Decimal is a number with a point, float one with an exponent.

    A datetime without a zone, like a date, is in the store's timezone.
    """

    value: LiteralValue

    def __eq__(self, other: object) -> bool:
        """True, 1 and 1.0 are three different literals; 1.5 and 1.50 are one."""
        return (
            isinstance(other, Literal)
            and type(self.value) is type(other.value)
            and (self.value == other.value or (self.is_not_a_number and other.is_not_a_number))
        )

    def __hash__(self) -> int:
        return hash((type(self.value), "nan" if self.is_not_a_number else self.value))

    @property
    def is_not_a_number(self) -> bool:
        """Whether it is NaN, which Python lets nothing equal."""
        return self.value != self.value


@dataclass(frozen=True, slots=True)
class ListOf(Expr):
    """A list literal."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Interval(Expr):
    """A span: calendar months and days, exact microseconds."""

    months: int = 0
    days: int = 0
    micros: int = 0


@dataclass(frozen=True, slots=True)
class Name(Expr):
    """A trait, or with a scope: `context.device`, `store.magic_number`, `customers.city`."""

    name: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Minus(Expr):
    """The negative of a number or an interval."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Arithmetic(Expr):
    """`+ - * / // %` of two operands."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """`= <> < <= > >=` of two operands."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class DistinctFrom(Expr):
    """Equality that knows missing values: never unknown."""

    left: Expr
    right: Expr
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between(Expr):
    """low <= operand <= high."""

    operand: Expr
    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class OneOf(Expr):
    """The operand equals one of the options."""

    operand: Expr
    options: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Listed(Expr):
    """The operand equals one of the values of an Arrow array, however long."""

    operand: Expr
    values: Any

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Listed)
            and self.operand == other.operand
            and bool(self.values.equals(other.values))
        )

    def __hash__(self) -> int:
        return hash((self.operand, len(self.values)))


@dataclass(frozen=True, slots=True)
class IsNull(Expr):
    """The operand is missing: never unknown."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Like(Expr):
    """The text matches a pattern of `%` and `_`."""

    operand: Expr
    pattern: Expr
    escape: str = ""
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function of the language, by its lower-case name."""

    name: str
    args: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Case(Expr):
    """CASE WHEN condition THEN value ... ELSE value END.

    With a subject, CASE subject WHEN value THEN ...: it is compared with each.
    """

    branches: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr | None = None
    subject: Expr | None = None


@dataclass(frozen=True, slots=True)
class Cast(Expr):
    """The operand read as another kind."""

    operand: Expr
    kind: Kind


@dataclass(frozen=True, slots=True)
class Aggregate(Expr):
    """What a buyer's events come to: an aggregate of a column, or how many rows (no column).

    `agg` is count, sum, min, max, avg, first or last; only events for which `where` is true count.
    """

    agg: str
    table: str
    column: str = ""
    distinct: bool = False
    where: Expr | None = None


@dataclass(frozen=True, slots=True)
class Over(Expr):
    """A buyer's place among buyers, or what those of a partition come to.

    `function` is percent_rank, avg, median, min, max or quantile (of which `q` is the share).
    The base are the buyers for whom `where` is true and the operand is known.
    """

    function: str
    operand: Expr
    q: Expr | None = None
    where: Expr | None = None
    partition: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class And(Expr):
    """All of them, flattened."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or(Expr):
    """Any of them, flattened."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Not(Expr):
    """The opposite; of unknown: unknown."""

    operand: Expr


def children(expr: Expr) -> Iterator[Expr]:
    """The nodes directly under a node, in reading order."""
    for each in fields(expr):
        value = getattr(expr, each.name)
        if isinstance(value, Expr):
            yield value
        elif isinstance(value, tuple) and each.name != "at":
            for item in value:
                if isinstance(item, Expr):
                    yield item
                elif isinstance(item, tuple):
                    yield from item


def inner(expr: Expr) -> Iterator[Expr]:
    """The nodes directly under a node that are no literals, of which there may be very many."""
    return (child for child in children(expr) if not isinstance(child, Literal))


def measured(root: Node, under: Callable[[Node], Iterable[Node]]) -> tuple[int, int]:
    """How many levels are under a node, and how many nodes there are written out.

    A node that stands in several places is looked at once and counted at each.
    """
    found: dict[int, tuple[int, int]] = {}
    pending = [root]
    while pending:
        node = pending[-1]
        below = list(under(node))
        waiting = [each for each in below if id(each) not in found]
        pending += waiting
        if not waiting:
            known = [found[id(each)] for each in below]
            depth = 1 + max((depth for depth, _ in known), default=-1)
            found[id(pending.pop())] = (depth, 1 + sum(size for _, size in known))
    return found[id(root)]


def problems_of(expr: Expr) -> list[Problem]:
    """What its broken nodes say, each once, in reading order."""
    found = []
    pending = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, Broken):
            found.append(node.problem)
        else:
            pending += children(node)
    return sorted(dict.fromkeys(found), key=lambda p: (p.line, p.column))


def leaf_count(expr: Expr) -> int:
    """How many leaves a rule has as written: what AND, OR and NOT join."""
    if isinstance(expr, And | Or):
        return sum(leaf_count(part) for part in expr.parts)
    return leaf_count(expr.operand) if isinstance(expr, Not) else 1


def conjunction(parts: tuple[Expr, ...]) -> Expr:
    """AND of these, nested ANDs flattened; of one: itself."""
    flat: list[Expr] = []
    for part in parts:
        flat += part.parts if isinstance(part, And) else [part]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(parts: tuple[Expr, ...]) -> Expr:
    """OR of these, nested ORs flattened; of one: itself."""
    flat: list[Expr] = []
    for part in parts:
        flat += part.parts if isinstance(part, Or) else [part]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negative(operand: Expr, at: Position | None = None) -> Expr:
    """Minus this; before a number it is part of the number."""
    if isinstance(operand, Literal) and type(operand.value) in (int, float, Decimal):
        value = operand.value
        assert isinstance(value, int | float | Decimal)
        # Decimal's own minus would round to 28 digits.
        return Literal(value.copy_negate() if isinstance(value, Decimal) else -value, at=at)
    return Minus(operand, at=at)
