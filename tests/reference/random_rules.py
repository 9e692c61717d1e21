"""Which rules put an engine to the test? Random well-typed rules, near the values of a table.

A literal is the value that some buyer's expression has, or a step beside it, so that rules are
rarely always or never true. The same generator runs from a seeded `random.Random` and from
Hypothesis, which shrinks it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import cast

from hypothesis import strategies as st

from .leaves import History, Named, Population
from .local_time import local_time, start_of_date, transitions
from .random_customers import TAGS, TIMEZONES, random_customers
from .rules import (
    CALENDAR_UNITS,
    COMPARISONS,
    DISTINCTIONS,
    EXACT_UNITS,
    NUMBERS,
    And,
    Arithmetic,
    Between,
    Call,
    Case,
    Column,
    Compare,
    Constant,
    In,
    IsNull,
    Like,
    Negative,
    Node,
    Not,
    Now,
    Or,
    Segment,
    Shift,
    Today,
    Type,
    World,
    is_point,
    type_of,
)
from .twin import Buyer, evaluate

__all__ = ["Options", "random_customers", "random_rule", "random_world", "rules"]

_LARGEST = {Type.BIGINT: 2.0**63 - 1024, Type.DOUBLE: 1e300, Type.MONEY: 2.0**53 / 10_000}
_MOMENTS = (Type.DATE, Type.TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Options:
    """What a generator may use.

    `avoid_overflow` keeps every integer, double and money result in range, and money within what
    a double holds exactly. Names in `segments` must be in the World.
    """

    depth: int = 5
    avoid_overflow: bool = True
    segments: tuple[str, ...] = ()
    zoned_literals: bool = True
    exponent_literals: bool = True
    null_literals: bool = False


def random_rule(
    rng: Random,
    columns: Mapping[str, Type],
    buyers: Sequence[Buyer],
    world: World,
    options: Options | None = None,
) -> Node:
    """A well-typed rule over the columns, at most `options.depth` connectives deep.

    `buyers` are the rows (at least one) whose values literals are drawn from.
    """
    chosen = options or Options()
    return Maker(rng, columns, buyers, world, chosen).rule(chosen.depth)


def rules(
    columns: Mapping[str, Type],
    buyers: Sequence[Buyer],
    world: World,
    options: Options | None = None,
) -> st.SearchStrategy[Node]:
    """`random_rule` as a Hypothesis strategy, which shrinks by its random draws."""
    drawn = st.randoms(use_true_random=False)
    return drawn.map(lambda rng: random_rule(rng, columns, buyers, world, options))


def random_world(rng: Random, segments: Mapping[str, Node] | None = None) -> World:
    """A timezone and a moment that try the calendar: leap days, month ends, clock changes."""
    timezone = rng.choice(TIMEZONES)
    days = [date(2024, 2, 29), date(2023, 2, 28), date(2023, 3, 1), date(2024, 12, 31)]
    days += [date(2024, rng.randrange(1, 13), rng.randrange(1, 29))]
    days += [change.date() for change in transitions(timezone, date(2023, 1, 1), date(2025, 1, 1))]
    start = start_of_date(rng.choice(days), timezone)
    second = rng.choice((0, 1, 43_200, 86_399, rng.randrange(86_400)))
    return World(start + timedelta(seconds=second), timezone, segments or {})


@dataclass(slots=True)
class Maker:
    """Draws nodes; `base` is what every expression is made around, here a column."""

    rng: Random
    columns: Mapping[str, Type]
    buyers: Sequence[Buyer]
    world: World
    options: Options
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)

    # Connectives

    def rule(self, depth: int) -> Node:
        if depth <= 1 or self.rng.random() < 0.2:
            return self.predicate()
        if self.rng.random() < 0.2:
            return Not(self.rule(depth - 1))
        parts = tuple(self.rule(depth - 1) for _ in range(self.rng.choice((2, 2, 2, 3))))
        return And(parts) if self.rng.random() < 0.5 else Or(parts)

    def makers(self) -> list[tuple[Callable[[], Node], float]]:
        """What draws a predicate, and how often."""
        return [
            (self.number_compare, 6),
            (self.text_predicate, 4),
            (self.moment_predicate, 4),
            (self.list_predicate, 2),
            (self.boolean_predicate, 2),
            (self.null_predicate, 1),
        ]

    def predicate(self) -> Node:
        makers = self.makers()
        if self.options.segments:
            makers.append((lambda: Segment(self.rng.choice(self.options.segments)), 1))
        while True:
            (make,) = self.rng.choices([m for m, _ in makers], [weight for _, weight in makers])
            try:
                return make()
            except LookupError:  # the schema has no column for it
                makers = [(m, weight) for m, weight in makers if m != make]

    # Leaves

    def column(self, *kinds: Type) -> Column:
        names = [name for name, kind in self.columns.items() if kind in kinds]
        name = self.rng.choice(names)  # an IndexError, so a LookupError, when there is none
        return Column(name, self.columns[name])

    def base(self, *kinds: Type) -> Node:
        return self.column(*kinds)

    def flip(self) -> bool:
        return self.rng.random() < 0.3

    def compared(self, left: Node, right: Node) -> Node:
        pool = DISTINCTIONS if self.rng.random() < 0.1 else COMPARISONS
        if self.rng.random() < 0.1:
            left, right = right, left
        return Compare(self.rng.choice(pool), left, right)

    def ranged(self, left: Node, near: Callable[[], Node]) -> Node:
        """`left` against literals: compared, between two, or among several."""
        form = self.rng.random()
        if form < 0.7:
            return self.compared(left, near())
        if form < 0.85:
            return Between(left, near(), near(), negated=self.flip())
        listed = tuple(near() for _ in range(self.rng.choice((1, 2, 3, 6))))
        return In(left, listed, negated=self.flip())

    def number_compare(self) -> Node:
        left = self.number()
        if self.rng.random() < 0.3:
            return self.compared(left, self.number())
        whole = type_of(left) is Type.BIGINT and self.rng.random() < 0.95
        return self.ranged(left, lambda: self.number_near(left, whole=whole))

    def text_predicate(self) -> Node:
        left, form = self.text(), self.rng.random()
        if form < 0.35:
            return self.ranged(left, lambda: self.text_near(left))
        if form < 0.45:
            return self.compared(left, self.text())
        part = self.part_of(self.sample_text(left))
        if form < 0.65:
            name = self.rng.choice(("starts_with", "ends_with", "contains"))
            other = Constant(part, Type.VARCHAR) if self.rng.random() < 0.8 else self.text()
            return Call(name, (left, other))
        return self.like(left, part)

    def like(self, left: Node, part: str) -> Node:
        escape = self.rng.choice((None, None, "!", "\\", "#"))
        letters = []
        for letter in part:
            wild = self.rng.random()
            if wild < 0.15:
                letters.append("_" if wild < 0.08 else "%")
            elif escape and letter in {"%", "_", escape}:
                letters.append(escape + letter)
            else:
                letters.append(letter)
        ends = [self.rng.choice(("%", "%", "", "_")) for _ in range(2)]
        return Like(left, ends[0] + "".join(letters) + ends[1], escape, self.flip(), self.flip())

    def list_predicate(self) -> Node:
        left, form = self.column(Type.TEXTS), self.rng.random()
        if form < 0.2:
            length = Call("len", (left,))
            return self.ranged(length, lambda: Constant(self.rng.randrange(4), Type.BIGINT))
        if form < 0.5:
            wanted = Constant(self.rng.choice(TAGS), Type.VARCHAR)
            return Call("list_contains", (left, wanted if self.rng.random() < 0.9 else self.text()))
        name = self.rng.choice(("list_has_any", "list_has_all"))
        wanted = Constant(self.rng.choices(TAGS, k=self.rng.choice((0, 1, 1, 2, 3))), Type.TEXTS)
        return Call(name, (left, wanted))

    def boolean_predicate(self) -> Node:
        left, form = self.column(Type.BOOLEAN), self.rng.random()
        known = Constant(self.rng.random() < 0.5, Type.BOOLEAN)
        if form < 0.4:
            return left
        if form < 0.6:
            return Call("coalesce", (left, known))
        if form < 0.8:
            other = known if self.rng.random() < 0.5 else self.column(Type.BOOLEAN)
            return Compare(self.rng.choice(("=", "<>", *DISTINCTIONS)), left, other)
        return Case(((self.predicate(), left),), self.rng.choice((None, known)))

    def null_predicate(self) -> Node:
        choices: list[Callable[[], Node]] = [self.number, self.text, self.moment]
        part = self.column(*Type) if self.rng.random() < 0.6 else self.rng.choice(choices)()
        return IsNull(part, negated=self.rng.random() < 0.5)

    def moment_predicate(self) -> Node:
        left, form = self.moment(), self.rng.random()
        if form < 0.3:
            return self.ranged(left, lambda: self.moment_near(left))
        if form < 0.4:
            return self.compared(left, self.moment())
        if form < 0.55:
            counts = (0, 1, 2, 7, 30, 31, 90, 365)
            return Call("in_last_days", (left, Constant(self.rng.choice(counts), Type.BIGINT)))
        name = self.rng.choice(("days_since", "days_until", "year", "month", "day", "dayofweek"))
        if form < 0.65 and type_of(left) is Type.TIMESTAMP:
            name = "hour"
        if form < 0.75:
            name, left = "days_until_birthday", self.column(Type.DATE)
        number = Call(name, (left,))
        return self.ranged(number, lambda: self.number_near(number, whole=True))

    # Expressions

    def number(self, depth: int = 2) -> Node:
        """A numeric expression with a column in it, in range as the options want."""
        for _ in range(5):
            made = self.any_number(depth)
            if not self.options.avoid_overflow or self.fits(made):
                return made
        return self.column(*NUMBERS)

    def any_number(self, depth: int) -> Node:
        form = self.rng.random() if depth else 0.0
        if form < 0.35:
            return self.base(*NUMBERS)
        if form < 0.45:
            return self.count()
        left = self.number(depth - 1)
        kind = type_of(left)
        if form < 0.75:
            operators = ("+", "-", "*", "/") + (("//", "%") if kind is Type.BIGINT else ())
            operator = self.rng.choice(operators)
            whole = operator in {"//", "%"}
            right: Node = self.small_number(kind, whole=whole)
            if self.rng.random() < 0.4:
                right = self.column(Type.BIGINT) if whole else self.number(depth - 1)
            return Arithmetic(operator, left, right)
        if form < 0.85:
            return self.rng.choice((Negative(left), Call("abs", (left,))))
        return self.chosen_among(left, lambda: self.like_number(left))

    def count(self) -> Node:
        """A function whose value is an integer."""
        name = self.rng.choice(("length", "len", "days_since", "days_until", "year", "month"))
        if name == "length":
            return Call(name, (self.text(),))
        return Call(name, (self.column(Type.TEXTS) if name == "len" else self.moment(),))

    def chosen_among(self, left: Node, other: Callable[[], Node]) -> Node:
        """coalesce, least, greatest, nullif or CASE over expressions of one kind."""
        name = self.rng.choice(("coalesce", "least", "greatest", "nullif", "case"))
        if name == "case":
            arms = tuple((self.rule(1), other()) for _ in range(self.rng.choice((1, 1, 2))))
            return Case(((self.rule(1), left), *arms[1:]), self.rng.choice((None, arms[0][1])))
        count = 1 if name == "nullif" else self.rng.choice((1, 1, 2))
        return Call(name, (left, *(other() for _ in range(count))))

    def like_number(self, left: Node) -> Node:
        """A literal or column that meets `left` in left's own type."""
        if self.options.null_literals and self.rng.random() < 0.1:
            return Constant(None, type_of(left))
        if self.rng.random() < 0.5:
            return self.small_number(type_of(left), whole=type_of(left) is Type.BIGINT)
        return self.column(type_of(left))

    def small_number(self, kind: Type, *, whole: bool) -> Constant:
        if kind is Type.BIGINT or whole or self.rng.random() < 0.3:
            return Constant(self.rng.choice((0, 1, 2, 2, 3, 7, 10, 100, -1, -3)), Type.BIGINT)
        text = self.rng.choice(("0.5", "1.5", "0.1", "2.0", "-0.25", "0.0"))
        return Constant(Decimal(text), Type.DOUBLE)

    def text(self) -> Node:
        left = self.base(Type.VARCHAR)
        form = self.rng.random()
        if form < 0.6:
            return left
        if form < 0.8:
            return Call(self.rng.choice(("lower", "upper")), (left,))
        other: list[Node] = [
            Constant(self.sample_text(left), Type.VARCHAR),
            self.column(Type.VARCHAR),
        ]
        return self.chosen_among(left, lambda: self.rng.choice(other))

    def moment(self) -> Node:
        """A date or instant with a column in it."""
        left = self.base(*_MOMENTS)
        if self.rng.random() < 0.85:
            return left
        return self.chosen_among(left, lambda: self.column(type_of(left)))

    # Literals near a buyer's value

    def sample(self, node: Node) -> object:
        values = (evaluate(node, self.rng.choice(self.buyers), self.world) for _ in range(4))
        return next((value for value in values if value is not None), None)

    def sample_text(self, node: Node) -> str:
        return cast("str", self.sample(node) or "")

    def part_of(self, text: str) -> str:
        start = self.rng.randrange(len(text) + 1)
        return text[start:][: self.rng.choice((1, 2, 3, 70))]

    def text_near(self, node: Node) -> Constant:
        text = self.sample_text(node)
        changed = self.rng.choice((text, text, text, text + "a", text[:-1], text.swapcase()))
        return Constant(changed, Type.VARCHAR)

    def number_near(self, node: Node, *, whole: bool) -> Constant:
        value = self.sample(node) or 0
        if self.rng.random() < 0.03:
            value = self.rng.choice((10**15, -(10**15), 2**63 - 1, -(2**63) + 1))
        if isinstance(value, int) and whole:
            stepped = value + self.rng.choice((0, 0, -1, 1))
            return Constant(max(-(2**63) + 1, min(stepped, 2**63 - 1)), Type.BIGINT)
        if isinstance(value, float) and not 1e-6 < abs(value) < 1e16:
            if self.options.exponent_literals:
                return Constant(value, Type.DOUBLE)
            value = 0
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(cast("int", value))
        steps = ("0", "0.0001", "-0.0001", "0.000001", "-0.5")
        step = self.rng.choices(steps, (5, 1, 1, 1, 1))[0]
        if self.rng.random() < 0.2 and abs(exact) < 2**63:
            return Constant(int(exact), Type.BIGINT)
        return Constant(exact if step == "0" else exact + Decimal(step), Type.DOUBLE)

    def moment_near(self, node: Node) -> Node:
        """A literal, now() or today(), shifted or not, of the node's type or the other one."""
        if self.rng.random() < 0.3:
            base: Node = self.rng.choice((Now(), Today()))
        else:
            base = self.moment_literal(self.sample(node) or self.world.as_of)
        for _ in range(self.rng.choice((0, 0, 1, 1, 2)) if self.rng.random() < 0.6 else 0):
            unit = self.rng.choice(CALENDAR_UNITS + CALENDAR_UNITS + EXACT_UNITS)
            count = self.rng.choice((0, 1, 1, 2, 7, 30, 36)) * self.rng.choice((1, -1))
            base = Shift(base, count, unit)
        return base

    def moment_literal(self, value: object) -> Constant:
        """A date near a date; an instant as wall time, with UTC's offset, or as its date."""
        if not isinstance(value, datetime):
            assert isinstance(value, date)
            days = timedelta(days=self.rng.choice((0, 0, 0, 1, -1, 30)))
            return Constant(value + days, Type.DATE)
        step = timedelta(microseconds=self.rng.choice((0, 0, 1, -1, 1_000_000, 3_600_000_000)))
        wall = local_time(value + step, self.world.timezone)
        form = self.rng.random()
        if form < 0.3:
            return Constant(wall.date(), Type.DATE)
        if form < 0.5 and self.options.zoned_literals:
            return Constant((value + step).astimezone(UTC), Type.TIMESTAMP)
        return Constant(wall, Type.TIMESTAMP)

    # Staying in range

    def fits(self, node: Node) -> bool:
        return self.bound(node)[1] <= _LARGEST[type_of(node)]

    def bound(self, node: Node) -> tuple[float, float]:
        """Bounds of the magnitude: of the smallest value but 0, and of the largest."""
        match node:
            case Column(name=name):
                if name not in self.bounds:
                    known = [abs(float(cast("float", b[name]))) for b in self.buyers if b[name]]
                    self.bounds[name] = (min(known, default=1.0), max(known, default=0.0))
                return self.bounds[name]
            case Constant(value=value):
                size = abs(float(cast("float", value or 0)))
                return (size or 1.0, size)
            case Arithmetic(operator=operator, left=left, right=right):
                return self.arithmetic_bound(operator, left, right)
            case Negative(operand=operand) | Call("abs" | "nullif", (operand, *_)):
                return self.bound(operand)
            case Call("coalesce" | "least" | "greatest", parts):
                bounds = [self.bound(part) for part in parts]
            case Case(whens=whens, otherwise=otherwise):
                values = [value for _, value in whens] + ([otherwise] if otherwise else [])
                bounds = [self.bound(value) for value in values]
            case Named(meaning=meaning):
                return self.bound(meaning)
            case History() | Population():
                return self.leaf_bound(node)
            case _:
                return (1.0, 10_000_000.0)
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def leaf_bound(self, node: History | Population) -> tuple[float, float]:
        raise NotImplementedError(node)

    def arithmetic_bound(self, operator: str, left: Node, right: Node) -> tuple[float, float]:
        (low, high), (right_low, right_high) = self.bound(left), self.bound(right)
        if not (self.fits(left) and self.fits(right)):
            return (0.0, math.inf)
        match operator:
            case "+" | "-":
                whole = Type.BIGINT in {type_of(left), type_of(right)} and not is_point(right)
                return (1.0 if whole else 1e-12, high + right_high)
            case "*":
                return (low * right_low, high * right_high)
            case "/":
                return (low / (right_high or 1.0), high / (right_low or 5e-324))
            case _:
                return (1.0, high)
