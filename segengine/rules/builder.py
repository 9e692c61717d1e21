"""Rules in Python: `(se.col("recency_days") <= 30) & se.col("tags").has_tag("vip")`.

The same nodes as text gives; `str(rule)` is the text. Conditions are joined by `&`, `|` and
`~`: Python's own `and`, `or` and `not` cannot be overloaded and are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias

import pyarrow as pa

from segengine.rules import expr as e
from segengine.rules.format import format_expr
from segengine.rules.functions import AGGREGATES, ALIASES, POPULATION
from segengine.schema.kinds import Kind

Operand: TypeAlias = "Rule | bool | int | float | Decimal | str | date | datetime | None"


class Rule:
    """An expression or a condition; immutable."""

    __slots__ = ("expr",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expr: e.Expr) -> None:
        self.expr = expr

    def __str__(self) -> str:
        return format_expr(self.expr)

    def __repr__(self) -> str:
        return f"<rule {self}>"

    def __bool__(self) -> NoReturn:
        raise TypeError("a rule is neither true nor false; join rules by &, | and ~")

    def __eq__(self, other: object) -> Rule:  # type: ignore[override]
        return self._compare("=", other)

    def __ne__(self, other: object) -> Rule:  # type: ignore[override]
        return self._compare("<>", other)

    def __lt__(self, other: Operand) -> Rule:
        return self._compare("<", other)

    def __le__(self, other: Operand) -> Rule:
        return self._compare("<=", other)

    def __gt__(self, other: Operand) -> Rule:
        return self._compare(">", other)

    def __ge__(self, other: Operand) -> Rule:
        return self._compare(">=", other)

    def _compare(self, op: str, other: object) -> Rule:
        return Rule(e.Compare(op, self.expr, expr_of(other)))

    def __and__(self, other: Operand) -> Rule:
        return Rule(e.conjunction((self.expr, expr_of(other))))

    def __or__(self, other: Operand) -> Rule:
        return Rule(e.disjunction((self.expr, expr_of(other))))

    def __invert__(self) -> Rule:
        return Rule(e.Not(self.expr))

    def __add__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("+", self.expr, expr_of(other)))

    def __radd__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("+", expr_of(other), self.expr))

    def __sub__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("-", self.expr, expr_of(other)))

    def __rsub__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("-", expr_of(other), self.expr))

    def __mul__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("*", self.expr, expr_of(other)))

    def __rmul__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("*", expr_of(other), self.expr))

    def __truediv__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("/", self.expr, expr_of(other)))

    def __rtruediv__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("/", expr_of(other), self.expr))

    def __floordiv__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("//", self.expr, expr_of(other)))

    def __mod__(self, other: Operand) -> Rule:
        return Rule(e.Arithmetic("%", self.expr, expr_of(other)))

    def __neg__(self) -> Rule:
        return Rule(e.negative(self.expr))

    def between(self, low: Operand, high: Operand) -> Rule:
        """low <= this <= high."""
        return Rule(e.Between(self.expr, expr_of(low), expr_of(high)))

    def is_in(self, options: Iterable[Operand]) -> Rule:
        """This equals one of the options.

        An Arrow or NumPy array may have any length; a missing value in it makes `not in` unknown,
        as NULL in a list does. A rule with such an array has no text that could be read back.
        """
        if hasattr(options, "__arrow_c_array__") or hasattr(options, "__arrow_c_stream__"):
            return Rule(e.Listed(self.expr, _array_of(options)))
        if hasattr(options, "__array_interface__"):
            return Rule(e.Listed(self.expr, pa.array(options)))
        found = tuple(expr_of(option) for option in options)
        if not found:
            raise ValueError("is_in needs at least one option")
        return Rule(e.OneOf(self.expr, found))

    def is_null(self) -> Rule:
        """This is missing."""
        return Rule(e.IsNull(self.expr))

    def is_not_null(self) -> Rule:
        """This is known."""
        return Rule(e.Not(e.IsNull(self.expr)))

    def is_distinct_from(self, other: Operand) -> Rule:
        """This differs from the other, missing values being equal; never unknown."""
        return Rule(e.DistinctFrom(self.expr, expr_of(other)))

    def is_not_distinct_from(self, other: Operand) -> Rule:
        """This equals the other, missing values being equal; never unknown."""
        return Rule(e.DistinctFrom(self.expr, expr_of(other), negated=True))

    def like(self, pattern: str, *, escape: str = "", ignore_case: bool = False) -> Rule:
        """The text matches a pattern of `%` and `_`."""
        return Rule(e.Like(self.expr, e.Literal(pattern), escape, ignore_case))

    def cast(self, kind: str) -> Rule:
        """A context value as BIGINT or DOUBLE."""
        return Rule(e.Cast(self.expr, Kind(kind.upper())))

    def has_tag(self, tag: str) -> Rule:
        """The list holds this text: `list_contains`."""
        return call("list_contains", self, tag)

    def has_any_tag(self, tags: Iterable[str]) -> Rule:
        """The list holds one of these texts: `list_has_any`."""
        return Rule(e.Call("list_has_any", (self.expr, _list_of(tags))))

    def has_all_tags(self, tags: Iterable[str]) -> Rule:
        """The list holds all of these texts: `list_has_all`."""
        return Rule(e.Call("list_has_all", (self.expr, _list_of(tags))))


def col(name: str) -> Rule:
    """A trait by its name; `context.device` and `store.magic_number` work too."""
    scope, _, last = name.lower().rpartition(".")
    return Rule(e.Name(last, scope))


def lit(value: Operand) -> Rule:
    """A literal, where Python's operators need a rule on their left."""
    return Rule(expr_of(value))


def call(name: str, *args: Operand) -> Rule:
    """Any function of the language: `se.call("in_last_days", se.col("last_order_at"), 30)`."""
    called = name.lower()
    return Rule(e.Call(ALIASES.get(called, called), tuple(expr_of(arg) for arg in args)))


def segment(name: str) -> Rule:
    """The buyers of a defined segment."""
    return call("segment", name)


def interval(*, months: int = 0, days: int = 0, hours: int = 0, minutes: int = 0) -> Rule:
    """A span to add to or take from `se.call("now")` or `se.call("today")`."""
    return Rule(e.Interval(months, days, (60 * hours + minutes) * 60_000_000))


def case(*branches: tuple[Rule, Operand], otherwise: Operand = None) -> Rule:
    """CASE WHEN condition THEN value ... ELSE otherwise END."""
    pairs = tuple((condition.expr, expr_of(value)) for condition, value in branches)
    return Rule(e.Case(pairs, None if otherwise is None else expr_of(otherwise)))


def count(table: str, *, where: Rule | None = None) -> Rule:
    """How many events of a table a buyer has: `se.count("orders", where=se.col("amount") > 9)`."""
    return Rule(e.Aggregate("count", table.lower(), where=None if where is None else where.expr))


def aggregate(agg: str, column: str, *, distinct: bool = False, where: Rule | None = None) -> Rule:
    """What a buyer's events come to: `se.aggregate("sum", "purchases.amount")`.

    agg: count, sum, min, max, avg, first or last; column: `table.column`; where: a rule over the
    table's columns, `customers.` traits and `product.` columns.
    """
    table, _, name = column.lower().partition(".")
    if agg.lower() not in AGGREGATES:
        raise ValueError(f"unknown aggregate `{agg}`; known: {', '.join(AGGREGATES)}")
    filtered = None if where is None else where.expr
    return Rule(e.Aggregate(agg.lower(), table, name, distinct, filtered))


def over(
    function: str,
    operand: Rule,
    *,
    q: float | None = None,
    where: Rule | None = None,
    partition_by: Iterable[Rule] = (),
) -> Rule:
    """A place among buyers: `se.over("percent_rank", se.col("amount_365d")) >= 0.9`.

    function: percent_rank, avg, median, min, max, or quantile with its share q.
    """
    if function.lower() not in POPULATION:
        raise ValueError(f"unknown function `{function}`; known: {', '.join(POPULATION)}")
    share = None if q is None else e.Literal(Decimal(str(q)))
    filtered = None if where is None else where.expr
    by = tuple(part.expr for part in partition_by)
    return Rule(e.Over(function.lower(), operand.expr, share, filtered, by))


def _array_of(options: Any) -> pa.Array:
    if isinstance(options, pa.Array):
        return options
    whole = options if isinstance(options, pa.ChunkedArray) else (
        pa.chunked_array(options) if hasattr(options, "__arrow_c_stream__") else pa.array(options)
    )  # fmt: skip
    if isinstance(whole, pa.Array):
        return whole
    # An empty chunk, which may be a slice of another, has nothing to join.
    chunks = [chunk for chunk in whole.chunks if len(chunk)]
    return pa.concat_arrays(chunks) if chunks else pa.array([], whole.type)


def expr_of(value: object) -> e.Expr:
    """The node behind a rule, or a literal."""
    if isinstance(value, Rule):
        return value.expr
    if value is None or isinstance(value, bool | int | float | Decimal | str | date | datetime):
        return e.Literal(value)
    raise TypeError(f"a {type(value).__name__} cannot stand in a rule")


def _list_of(tags: Iterable[str]) -> e.ListOf:
    return e.ListOf(tuple(e.Literal(tag) for tag in tags))
