"""Which rules ask about history and about other buyers? Random ones, near the values of a shop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from decimal import Decimal
from random import Random
from typing import cast

from .leaves import Affinity, Bucket, History, Named, Population
from .random_events import SALTS, Shop
from .random_rules import Maker, Options
from .rules import (
    NUMBERS,
    Between,
    Call,
    Column,
    Compare,
    Constant,
    In,
    IsNull,
    Node,
    Now,
    Row,
    Shift,
    Type,
    World,
    type_of,
)
from .twin import Buyer

_ORDERED = frozenset({*NUMBERS, Type.VARCHAR, Type.DATE, Type.TIMESTAMP})
_MOMENTS = (Type.DATE, Type.TIMESTAMP)
_MOST_BUYERS = 20_000
_SHARES = ("0.0", "0.125", "0.25", "0.5", "0.75", "1.0", "0.1", "0.9")
_FUNCTIONS: Mapping[str, frozenset[Type]] = {
    "count_distinct": frozenset(Type) - {Type.TEXTS},
    "sum": NUMBERS,
    "min": _ORDERED,
    "max": _ORDERED,
    "avg": NUMBERS,
    "first": frozenset(Type) - {Type.TEXTS},
    "last": frozenset(Type) - {Type.TEXTS},
}
"""What each function of a history leaf takes."""


@dataclass(frozen=True, slots=True)
class Words:
    """What rules may speak of beside columns: constants, declared traits, affinities, segments.

    `plain_segments` are those with no population leaf in them, as no such leaf is in another.
    """

    named: Sequence[Named] = ()
    affinities: Mapping[str, Sequence[str]] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    plain_segments: tuple[str, ...] = ()


def leaf_maker(
    rng: Random, shop: Shop, world: World, words: Words | None = None, *, depth: int = 3
) -> LeafMaker:
    """Draws rules over a shop, at most `depth` connectives deep, by `.rule(depth)`.

    The world is the shop's with the segments and affinities that `words` name.
    """
    known = words or Words()
    options = Options(depth=depth, segments=known.segments, null_literals=True)
    customers = shop.columns["customers"]
    buyers: Sequence[Buyer] = world.everyone or [dict.fromkeys(("customer_id", *customers))]
    return LeafMaker(rng, customers, buyers, world, options, shop=shop, words=known)


class EventMaker(Maker):
    """Draws the condition of a history leaf's FILTER: over an event, its buyer and product."""

    def makers(self) -> list[tuple[Callable[[], Node], float]]:
        return [*super().makers(), (self.time_predicate, 6), (self.one_of_few, 4)]

    def own_column(self, *kinds: Type) -> Column:
        names = [n for n, kind in self.columns.items() if kind in kinds and "." not in n]
        name = self.rng.choice(names)  # a LookupError where there is none
        return Column(name, self.columns[name])

    def time_predicate(self) -> Node:
        moment, form = self.own_column(Type.TIMESTAMP), self.rng.random()
        if form < 0.35:
            counts = (0, 1, 3, 7, 30, 60, 365)
            return Call("in_last_days", (moment, Constant(self.rng.choice(counts), Type.BIGINT)))
        if form < 0.55:
            return self.compared(moment, self.column(*_MOMENTS))
        if form < 0.75:
            count, unit = self.rng.choice(((24, "HOUR"), (1, "DAY"), (3, "MONTH"), (40, "DAY")))
            early = Shift(Now(), -count, unit)
            return Between(moment, early, Shift(Now(), -30, "MINUTE"), negated=self.flip())
        return IsNull(moment, negated=self.flip())

    def one_of_few(self) -> Node:
        left = self.own_column(Type.VARCHAR)
        if self.rng.random() < 0.6:
            return Compare(self.rng.choice(("=", "<>")), left, self.text_near(left))
        listed = tuple(self.text_near(left) for _ in range(self.rng.choice((1, 2, 3))))
        return In(left, listed, negated=self.flip())


@dataclass(kw_only=True)
class LeafMaker(Maker):
    """Draws rules in which history and population leaves stand wherever a column may."""

    shop: Shop
    words: Words
    overs: bool = True
    event_bounds: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def makers(self) -> list[tuple[Callable[[], Node], float]]:
        found = [*super().makers(), (self.history_predicate, 8), (self.given_predicate, 2)]
        return [*found, (self.population_predicate, 4)] if self.overs else found

    def base(self, *kinds: Type) -> Node:
        form = self.rng.random()
        if form < 0.4:
            return self.column(*kinds)
        if form < 0.75:
            return self.history(*kinds)
        known = [named for named in self.words.named if type_of(named) in kinds]
        if form < 0.8 and known:
            return self.rng.choice(known)
        if form < 0.85 and Type.DOUBLE in kinds:
            return self.given()
        is_wanted = Type.DOUBLE in kinds or not {*_MOMENTS}.isdisjoint(kinds)
        if self.overs and is_wanted:
            return self.population(*kinds)
        return self.column(*kinds)

    # Predicates that are a leaf and little more

    def history_predicate(self) -> Node:
        form = self.rng.random()
        if form < 0.1:
            known = Constant(self.rng.random() < 0.5, Type.BOOLEAN)
            left: Node = self.history(Type.BOOLEAN)
            if self.rng.random() < 0.3:
                return Call("coalesce", (left, known))
            pool = ("=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
            return Compare(self.rng.choice(pool), left, known)
        left = self.history(*NUMBERS) if form < 0.7 else self.history(*_ORDERED)
        kind = type_of(left)
        if self.rng.random() < 0.15:
            return IsNull(left, negated=self.flip())
        if self.rng.random() < 0.25:
            kinds = tuple(NUMBERS) if kind in NUMBERS else (kind,)
            kinds = _MOMENTS if kind in _MOMENTS else kinds
            return self.compared(left, self.column(*kinds))
        return self.ranged(left, lambda: self.near(left))

    def population_predicate(self) -> Node:
        """A leaf near a literal, or against the very value that it is about."""
        kinds = tuple(NUMBERS) if self.rng.random() < 0.85 else _MOMENTS
        left = self.population(*kinds)
        if self.rng.random() < 0.1:
            return IsNull(left, negated=self.flip())
        if left.function != "percent_rank" and self.rng.random() < 0.4:
            return self.compared(left.operand, left)
        return self.ranged(left, lambda: self.near(left))

    def given_predicate(self) -> Node:
        left = self.given()
        return self.ranged(left, lambda: self.near(left))

    def near(self, node: Node) -> Node:
        kind = type_of(node)
        if kind is Type.VARCHAR:
            return self.text_near(node)
        if kind in _MOMENTS:
            return self.moment_near(node)
        return self.number_near(node, whole=kind is Type.BIGINT)

    # Leaves

    def given(self) -> Node:
        """A value that is neither a trait nor computed from events: bucket or affinity."""
        kinds = list(self.words.affinities)
        if kinds and self.rng.random() < 0.6:
            kind = self.rng.choice(kinds)
            return Affinity(kind, self.rng.choice(self.words.affinities[kind]))
        return Bucket(self.rng.choice(SALTS))

    def history(self, *kinds: Type) -> History:
        """An aggregate of one of these kinds over a table that has a column for it."""
        names = [name for name in self.shop.columns if name != "customers"]
        while True:
            table = self.rng.choice(names)
            columns = {n: kind for n, kind in self.shop.columns[table].items() if "." not in n}
            found: list[tuple[str, Column | None]] = []
            if Type.BIGINT in kinds and self.rng.random() < 0.3:
                found = [("count", None)]
            for name, kind in columns.items() if not found else ():
                for function, taken in _FUNCTIONS.items():
                    node = History(function, table, Column(name, kind))
                    if kind in taken and type_of(node) in kinds:
                        found.append((function, Column(name, kind)))
            if found:
                function = self.rng.choice([function for function, _ in found])
                _, column = self.rng.choice([pair for pair in found if pair[0] == function])
                return History(function, table, column, self.event_filter(table))

    def event_filter(self, table: str) -> Node | None:
        if self.rng.random() < 0.25:
            return None
        columns = self.shop.columns[table]
        rows: Sequence[Row] = [row for rows in self.world.history[table].values() for row in rows]
        rows = rows or [dict.fromkeys(columns)]
        maker = EventMaker(self.rng, columns, rows, self.world, Options(null_literals=True))
        maker.bounds = self.event_bounds.setdefault(table, maker.bounds)
        return maker.rule(self.rng.choice((1, 2, 2, 3)))

    def population(self, *kinds: Type) -> Population:
        """A leaf of one of these kinds: about moments only where DOUBLE is not among them."""
        inner = replace(
            self, overs=False, options=replace(self.options, segments=self.words.plain_segments)
        )
        numbers = Type.DOUBLE in kinds
        functions = ("percent_rank", "percent_rank", "avg", "median", "min", "max", "quantile")
        function = self.rng.choice(functions if numbers else ("min", "max"))
        operand = inner.operand(function, *kinds)
        share = Decimal(self.rng.choice(_SHARES)) if function == "quantile" else None
        where = inner.rule(self.rng.choice((1, 1, 2))) if self.rng.random() < 0.4 else None
        names = ("c_city", "c_group", "c_flag", "c_small", "c_date", "c_money", "c_time")
        chosen = self.rng.sample(names, self.rng.choice((0, 0, 1, 1, 2)))
        partition = tuple(Column(name, self.columns[name]) for name in chosen)
        return Population(function, operand, share, where, partition)

    def operand(self, function: str, *kinds: Type) -> Node:
        """What a population leaf is about; the sums of `avg` are exact and stay in range."""
        if not {*kinds} & NUMBERS:
            return self.moment()
        if function == "percent_rank" and self.rng.random() < 0.2:
            return self.moment()
        for _ in range(5):
            made = self.number(self.rng.choice((0, 0, 1)))
            if function in {"min", "max"} and type_of(made) not in kinds:
                continue
            if function != "avg" or self.sums_exactly(made):
                return made
        return Column("c_quarters", Type.DOUBLE)

    def sums_exactly(self, node: Node) -> bool:
        kind = type_of(node)
        scale = 10_000 if kind is Type.MONEY else 1
        return kind is not Type.DOUBLE and self.bound(node)[1] * scale * _MOST_BUYERS < 2**62

    # Literals and ranges

    def number_near(self, node: Node, *, whole: bool) -> Constant:
        """Beside a quantile between two values, whose last digit nobody decides, a step away."""
        inexact = any(
            isinstance(part, Population) and part.function in {"median", "quantile"}
            for part in parts_of(node)
        )
        value = float(cast("float", self.sample(node) or 0)) if inexact else 0.0
        if not inexact or (value.is_integer() and abs(value) < 1000 and self.rng.random() < 0.3):
            return super().number_near(node, whole=whole)
        if abs(value) > 10**9:
            return Constant(Decimal(int(value * 1.0137)), Type.DOUBLE)
        step = Decimal("0.003712") * self.rng.choice((1, -1))
        return Constant(Decimal(str(round(value, 2))) + step, Type.DOUBLE)

    def leaf_bound(self, node: History | Population) -> tuple[float, float]:
        if isinstance(node, Population):
            if node.function == "percent_rank":
                return (1e-6, 1.0)
            low, high = self.bound(node.operand) if type_of(node.operand) in NUMBERS else (1, 0)
            return (low if node.function in {"min", "max"} else 1e-9, high)
        events = self.world.history[node.table]
        most = float(max(map(len, events.values()), default=0))
        if node.column is None or node.function == "count_distinct":
            return (1.0, most)
        name = node.column.name
        sizes = [abs(float(cast("float", row[name] or 0))) for rows in events.values()
                 for row in rows]  # fmt: skip
        high = max(sizes, default=0.0)
        return (1e-6, high * most if node.function == "sum" else high)


def parts_of(node: object) -> Iterator[object]:
    """The node and all nodes under it."""
    if isinstance(node, tuple):
        for part in node:
            yield from parts_of(part)
    elif is_dataclass(node):
        yield node
        for part in fields(node):
            yield from parts_of(getattr(node, part.name))
