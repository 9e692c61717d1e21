"""Text -> Expr, by an allowlist of what sqlglot may find in it.

Every mistake of form that can be told apart is reported, in our words, with its place.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]

from segengine.days import DAY, HOUR, MINUTE, SECOND
from segengine.errors import Problem, RuleError, did_you_mean
from segengine.rules import expr as e
from segengine.rules.functions import AGGREGATES, KNOWN, POPULATION
from segengine.rules.places import problem_at, shortened
from segengine.rules.spans import Spans
from segengine.rules.syntax import (
    JOIN_BY,
    MAX_DEPTH,
    NO_STATEMENT,
    bracket_problems,
    complaint,
    size_problem,
    statement_problem,
    too_deep,
    unended,
)
from segengine.schema.kinds import Kind

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_DIALECT = sqlglot.Dialect.get_or_raise("duckdb")

_COMPARES: dict[Any, str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_ARITHMETIC: dict[Any, str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "//",
    exp.Mod: "%",
}
_FUNCTIONS: dict[Any, str] = {
    exp.Coalesce: "coalesce",
    exp.Nullif: "nullif",
    exp.Abs: "abs",
    exp.Least: "least",
    exp.Greatest: "greatest",
    exp.Lower: "lower",
    exp.Upper: "upper",
    exp.Length: "length",
    exp.StartsWith: "starts_with",
    exp.EndsWith: "ends_with",
    exp.Contains: "contains",
    exp.Year: "year",
    exp.Month: "month",
    exp.Day: "day",
    exp.Hour: "hour",
    exp.DayOfWeek: "dayofweek",
    exp.ArrayContains: "list_contains",
    exp.ArrayOverlaps: "list_has_any",
    exp.ArrayContainsAll: "list_has_all",
    exp.CurrentDate: "today",
    exp.CurrentTimestamp: "now",
}
_CASTS = {
    exp.DataType.Type.BIGINT: Kind.BIGINT,
    exp.DataType.Type.INT: Kind.BIGINT,
    exp.DataType.Type.DOUBLE: Kind.DOUBLE,
    exp.DataType.Type.FLOAT: Kind.DOUBLE,
}
_UNITS = {
    "YEAR": (12, 0, 0),
    "MONTH": (1, 0, 0),
    "WEEK": (0, 7, 0),
    "DAY": (0, 1, 0),
    "HOUR": (0, 0, HOUR),
    "MINUTE": (0, 0, MINUTE),
    "SECOND": (0, 0, SECOND),
}
_AGGREGATES: dict[Any, str] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Min: "min",
    exp.Max: "max",
    exp.Avg: "avg",
    exp.First: "first",
    exp.Last: "last",
}
_OVER: dict[Any, str] = {
    exp.PercentRank: "percent_rank",
    exp.Avg: "avg",
    exp.Median: "median",
    exp.Min: "min",
    exp.Max: "max",
    exp.Quantile: "quantile",
}


# What a node may carry; anything else it carries would be lost, and is refused.
_PARTS = frozenset({"this", "expression", "expressions"})
_FURTHER_PARTS: dict[Any, frozenset[str]] = {
    exp.Between: frozenset({"low", "high"}),
    exp.Column: frozenset({"table"}),
    exp.Literal: frozenset({"is_string"}),
    exp.In: frozenset({"field", "query", "unnest"}),
    exp.Like: frozenset({"negate"}),
    exp.ILike: frozenset({"negate"}),
    exp.Case: frozenset({"ifs", "default"}),
    exp.Cast: frozenset({"to"}),
    exp.Interval: frozenset({"unit"}),
    exp.Div: frozenset({"typed", "safe"}),
    exp.Least: frozenset({"ignore_nulls"}),
    exp.Greatest: frozenset({"ignore_nulls"}),
    exp.Count: frozenset({"big_int"}),
    exp.Quantile: frozenset({"quantile"}),
    exp.Window: frozenset({"partition_by", "over"}),
}


def parse(text: str, place: str = "") -> e.Expr:
    """The rule that a text says; a `RuleError` lists every mistake of form."""
    found = read(text, place)
    problems = e.problems_of(found)
    if problems:
        raise RuleError(problems, text, place)
    return found


def read(text: str, place: str = "") -> e.Expr:
    """As `parse`, but what is no part of the language is left in place, for `check` to report.

    A text that cannot be taken apart is a `RuleError`.
    """
    problem = size_problem(text)
    if problem is not None:
        raise RuleError([problem], "", place)
    try:
        tokens = _DIALECT.tokenize(text)
    except sqlglot.errors.SqlglotError:
        raise RuleError([unended(text)], text, place) from None
    problems = bracket_problems(tokens, text)
    if problems:
        raise RuleError(problems, text, place)
    if tokens and tokens[-1].token_type is TokenType.ALIAS:
        at = tokens[-1].start, tokens[-1].end
        raise RuleError([problem_at(text, at, f"unexpected `{tokens[-1].text}`")], text, place)
    try:
        trees = _DIALECT.parser().parse(tokens, text)
    except sqlglot.errors.ParseError as error:
        raise RuleError([complaint(error, tokens, text)], text, place) from None
    except RecursionError:
        raise RuleError([Problem(too_deep())], text, place) from None
    except Exception:
        raise RuleError([Problem("this is not a rule")], text, place) from None
    trees = [tree for tree in trees if tree is not None]
    if not trees:
        raise RuleError([Problem("the rule is empty")], text, place)
    if len(trees) > 1:
        end = next(t for t in tokens if t.token_type is TokenType.SEMICOLON)
        what = "a rule is one condition, not several statements"
        raise RuleError([problem_at(text, (end.start, end.end), what)], text, place)
    tree: Any = trees[0]
    whole = exp.Condition | exp.Filter | exp.Window | exp.Alias | exp.Interval | exp.Tuple
    if not isinstance(tree, whole):
        raise RuleError([statement_problem(tokens, text)], text, place)
    return _Reader(text, Spans(tree, tokens)).read(tree, 0)


class _Reader:
    """Turns the admitted nodes of a tree into ours and collects the others."""

    def __init__(self, text: str, spans: Spans) -> None:
        self._text = text
        self._too_deep: e.Broken | None = None
        self._spans = spans
        self._at = spans.of
        self._readers: dict[Any, Callable[[Any, int], e.Expr]] = {
            exp.Paren: lambda n, d: self.read(n.this, d),
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda n, _: e.Literal(bool(n.this), at=self._at(n)),
            exp.Null: lambda n, _: e.Literal(None, at=self._at(n)),
            exp.Neg: self._negative,
            exp.Between: lambda n, d: e.Between(*self._all(n, d, "this", "low", "high"),
                                                at=self._at(n)),
            exp.In: self._one_of,
            exp.Is: self._is,
            exp.NullSafeEQ: lambda n, d: self._distinct(n, d, negated=True),
            exp.NullSafeNEQ: lambda n, d: self._distinct(n, d, negated=False),
            exp.Like: lambda n, d: self._like(n, d, "", n),
            exp.ILike: lambda n, d: self._like(n, d, "", n),
            exp.Escape: self._escape,
            exp.Not: lambda n, d: e.Not(self.read(n.this, d + 1), at=self._at(n)),
            exp.And: lambda n, d: self._joined(n, d, exp.And, e.conjunction),
            exp.Or: lambda n, d: self._joined(n, d, exp.Or, e.disjunction),
            exp.Case: self._case,
            exp.Cast: self._cast,
            exp.Interval: self._interval,
            exp.Array: lambda n, d: e.ListOf(self._each(n.expressions, d), at=self._at(n)),
            exp.Anonymous: self._anonymous,
            exp.Filter: self._filtered,
            exp.Window: self._over,
        }  # fmt: skip
        for kind in _AGGREGATES:
            self._readers[kind] = self._aggregate
        for kind in (exp.PercentRank, exp.Median, exp.Quantile):
            self._readers[kind] = self._without_over
        for kind, op in _COMPARES.items():
            self._readers[kind] = self._binary(e.Compare, op)
        for kind, op in _ARITHMETIC.items():
            self._readers[kind] = self._binary(e.Arithmetic, op)
        for kind, name in _FUNCTIONS.items():
            self._readers[kind] = self._function(name)

    def read(self, node: Any, depth: int) -> e.Expr:
        if not isinstance(node, exp.Expr):
            return e.Broken(Problem("something is missing here"))
        if depth > MAX_DEPTH:
            # Said once, however many branches are too deep.
            self._too_deep = self._too_deep or self._wrong(node, too_deep())
            return self._too_deep
        reader = self._readers.get(type(node))
        if reader is None:
            return self._refused(node)
        known = _PARTS | _FURTHER_PARTS.get(type(node), frozenset())
        if any(part and name not in known for name, part in node.args.items()):
            return self._unknown(node)
        return reader(node, depth)

    def _refused(self, node: exp.Expr) -> e.Broken:
        if isinstance(node, exp.Alias):
            alias = node.args.get("alias")
            return self._wrong(alias or node, f"unexpected `{shortened(node.alias)}`", JOIN_BY)
        if node.find(exp.Query) is not None:
            return self._wrong(node, NO_STATEMENT)
        if isinstance(node, exp.Func) and "(" in self._source(node):
            name = self._source(node).split("(")[0].strip().lower()
            hint = did_you_mean(name, KNOWN)
            return self._wrong(node, f"unknown function `{shortened(name)}`", hint)
        if isinstance(node, exp.Placeholder | exp.Parameter):
            what = "a rule has no placeholders such as `?` or `$1`: write the value"
            return self._wrong(node, what)
        return self._unknown(node)

    def _unknown(self, node: exp.Expr, help_: str = "") -> e.Broken:
        shown = f"`{shortened(self._source(node))}`" if self._spans.is_own(node) else "this"
        return self._wrong(node, f"{shown} is not part of the rule language", help_)

    def _source(self, node: exp.Expr) -> str:
        at = self._at(node)
        return self._text if at is None else self._text[at[0] : at[1] + 1]

    def _wrong(self, node: exp.Expr, message: str, help_: str = "") -> e.Broken:
        return e.Broken(problem_at(self._text, self._at(node), message, help_))

    def _all(self, node: exp.Expr, depth: int, *names: str) -> tuple[Any, ...]:
        return tuple(self.read(node.args.get(name), depth + 1) for name in names)

    def _each(self, nodes: list[Any], depth: int) -> tuple[e.Expr, ...]:
        return tuple(self.read(node, depth + 1) for node in nodes)

    def _aggregate(
        self, node: Any, _: int, where: e.Expr | None = None, outer: Any = None
    ) -> e.Expr:
        """An aggregate of one event table's rows or of one of its columns."""
        outer, agg, operand = outer or node, _AGGREGATES[type(node)], node.this
        distinct = isinstance(operand, exp.Distinct) and agg == "count"
        if distinct:
            operand = operand.expressions[0] if len(operand.expressions) == 1 else None
        example = f"for example `{AGGREGATES[agg]}`"
        if not isinstance(operand, exp.Column) or node.expressions or operand.args.get("db"):
            what = "an event table or one of its columns" if agg == "count" else (
                "a column of an event table")  # fmt: skip
            return self._wrong(node, f"`{agg}` takes {what}", example)
        name, table = operand.name.lower(), operand.table.lower()
        if not table and (distinct or agg != "count"):
            help_ = f"{example}; over the buyers it needs OVER ()"
            return self._wrong(
                node, f"`{agg}` takes a column of an event table, as `table.column`", help_
            )
        table, column = (table, name) if table else (name, "")
        return e.Aggregate(agg, table, column, distinct, where, at=self._at(outer))

    def _filtered(self, node: Any, depth: int) -> e.Expr:
        if type(node.this) not in _AGGREGATES or not isinstance(node.expression, exp.Where):
            return self._without_over(node, depth)
        where = self.read(node.expression.this, depth + 1)
        known = _PARTS | _FURTHER_PARTS.get(type(node.this), frozenset())
        if any(part and name not in known for name, part in node.this.args.items()):
            return self._unknown(node.this)
        return self._aggregate(node.this, depth, where, node)

    def _without_over(self, node: Any, _: int) -> e.Expr:
        inner = node.this if isinstance(node, exp.Filter) else node
        if type(inner) not in _OVER:
            return self._wrong(node, "FILTER stands after an aggregate, such as `count(orders)`")
        name = _OVER[type(inner)]
        return self._wrong(node, f"`{name}` compares with other buyers and needs OVER ()",
                           f"for example `{POPULATION[name]}`")  # fmt: skip

    def _over(self, node: Any, depth: int) -> e.Expr:
        """A place among buyers: function [FILTER] OVER ([PARTITION BY ...])."""
        function, where = node.this, None
        if isinstance(function, exp.Filter):
            where = self.read(function.expression.this, depth + 1)
            function = function.this
        name = _OVER.get(type(function))
        if name is None:
            known = ", ".join(dict.fromkeys(_OVER.values()))
            return self._wrong(node, f"OVER stands after one of {known}")
        given = [function.this, *function.expressions] if name != "percent_rank" else list(
            function.expressions)  # fmt: skip
        given = [part for part in given if part is not None]
        q = function.args.get("quantile")
        further = set(function.args) - {"this", "expressions", "quantile", "big_int"}
        if len(given) != 1 or any(function.args.get(name) for name in further):
            return self._wrong(
                node, f"`{name}` takes one trait", f"for example `{POPULATION[name]}`"
            )
        operand = self.read(given[0], depth + 1)
        share = None if q is None else self.read(q, depth + 1)
        by = self._each(node.args.get("partition_by") or [], depth)
        return e.Over(name, operand, share, where, by, at=self._at(node))

    def _binary(self, kind: Any, op: str) -> Callable[[Any, int], e.Expr]:
        return lambda n, d: kind(op, *self._all(n, d, "this", "expression"), at=self._at(n))

    def _distinct(self, node: exp.Expr, depth: int, *, negated: bool) -> e.Expr:
        left, right = self._all(node, depth, "this", "expression")
        return e.DistinctFrom(left, right, negated, at=self._at(node))

    def _function(self, name: str) -> Callable[[Any, int], e.Expr]:
        def read(node: exp.Expr, depth: int) -> e.Expr:
            args = [node.args.get("this"), node.args.get("expression"), *node.expressions]
            given = [a for a in args if a is not None]
            if not given and name not in ("now", "today"):
                return self._unknown(node)
            return e.Call(name, self._each(given, depth), at=self._at(node))

        return read

    def _negative(self, node: exp.Neg, depth: int) -> e.Expr:
        operand = node.this.unnest()
        inside = depth if isinstance(operand, exp.Literal) else depth + 1
        return e.negative(self.read(operand, inside), self._at(node))

    def _anonymous(self, node: exp.Anonymous, depth: int) -> e.Expr:
        name = str(node.this).lower()
        return e.Call(name, self._each(node.expressions, depth), at=self._at(node))

    def _joined(self, node: exp.Expr, depth: int, kind: Any, join: Callable[..., e.Expr]) -> e.Expr:
        parts: list[exp.Expr] = []
        pending: list[Any] = [node]
        while pending:
            each = pending.pop()
            while isinstance(each, exp.Paren) and isinstance(each.this, kind | exp.Paren):
                each = each.this
            if isinstance(each, kind):
                pending += [each.args.get("expression"), each.args.get("this")]
            else:
                parts.append(each)
        return join(self._each(parts, depth))

    def _column(self, node: exp.Column, _: int) -> e.Expr:
        if node.args.get("db") is not None or isinstance(node.this, exp.Star):
            return self._refused(node)
        return e.Name(node.name.lower(), node.table.lower(), at=self._at(node))

    def _literal(self, node: exp.Literal, _: int) -> e.Expr:
        text = str(node.this)
        if node.is_string:
            return e.Literal(text, at=self._at(node))
        try:
            if "e" in text.lower():
                return e.Literal(float(text), at=self._at(node))
            if "." in text:
                return e.Literal(Decimal(text), at=self._at(node))
            return e.Literal(int(text), at=self._at(node))
        except (ValueError, ArithmeticError):
            what = "does not fit in 64 bits" if text.isdecimal() else "is not a number"
            return self._wrong(node, f"`{shortened(text)}` {what}")

    def _one_of(self, node: exp.In, depth: int) -> e.Expr:
        if node.args.get("query") is not None:
            return self._refused(node)
        if not node.expressions:
            return self._wrong(node, "IN needs a list in parentheses with at least one value",
                               "for example `city IN ('Hangzhou', 'Shanghai')`")  # fmt: skip
        return e.OneOf(
            self.read(node.this, depth + 1), self._each(node.expressions, depth), at=self._at(node)
        )

    def _is(self, node: exp.Is, depth: int) -> e.Expr:
        operand = self.read(node.this, depth + 1)
        right = node.args.get("expression")
        if isinstance(right, exp.Null):
            return e.IsNull(operand, at=self._at(node))
        if isinstance(right, exp.Boolean):
            literal = e.Literal(bool(right.this))
            return e.DistinctFrom(operand, literal, negated=True, at=self._at(node))
        return self._unknown(node)

    def _like(self, node: exp.Expr, depth: int, escape: str, outer: exp.Expr) -> e.Expr:
        negated = bool(node.args.get("negate"))
        operand, pattern = self._all(node, depth + negated, "this", "expression")
        found = e.Like(operand, pattern, escape, isinstance(node, exp.ILike), at=self._at(outer))
        return e.Not(found, at=self._at(outer)) if negated else found

    def _escape(self, node: exp.Escape, depth: int) -> e.Expr:
        inner, mark = node.this, node.args.get("expression")
        if not isinstance(inner, exp.Like | exp.ILike):
            return self._unknown(node)
        if not isinstance(mark, exp.Literal) or not mark.is_string or len(str(mark.this)) > 1:
            return self._wrong(node, "ESCAPE takes one character in quotes")
        return self._like(inner, depth, str(mark.this), node)

    def _case(self, node: exp.Case, depth: int) -> e.Expr:
        subject = self.read(node.this, depth + 1) if node.this is not None else None
        branches = []
        for branch in node.args.get("ifs") or []:
            condition = self.read(branch.this, depth + 1)
            branches.append((condition, self.read(branch.args.get("true"), depth + 1)))
        default = node.args.get("default")
        otherwise = self.read(default, depth + 1) if default is not None else None
        return e.Case(tuple(branches), otherwise, subject, at=self._at(node))

    def _cast(self, node: exp.Cast, depth: int) -> e.Expr:
        to = node.args["to"].this
        inner = node.this
        literal = isinstance(inner, exp.Literal) and inner.is_string
        types = exp.DataType.Type
        if literal and to is types.DATE:
            return self._date(node, str(inner.this))
        if literal and to in (types.TIMESTAMP, types.TIMESTAMPNTZ, types.TIMESTAMPTZ):
            return self._timestamp(node, str(inner.this))
        if to in _CASTS:
            return e.Cast(self.read(inner, depth + 1), _CASTS[to], at=self._at(node))
        if literal:
            known = "DATE '2024-02-29' and TIMESTAMP '2024-02-29 18:30:00' are"
            return self._unknown(node, known)
        return self._wrong(node, "CAST reads a value of `context.` as BIGINT or DOUBLE",
                           "for example `CAST(context.cart_size AS BIGINT) >= 3`")  # fmt: skip

    def _date(self, node: exp.Expr, text: str) -> e.Expr:
        try:
            return e.Literal(date.fromisoformat(text.strip()), at=self._at(node))
        except ValueError:
            what = f"`{shortened(text)}` is not a date such as '2024-02-29'"
            return self._wrong(node, what)

    def _timestamp(self, node: exp.Expr, text: str) -> e.Expr:
        try:
            return e.Literal(datetime.fromisoformat(text.strip()), at=self._at(node))
        except ValueError:
            what = f"`{shortened(text)}` is not a time such as '2024-02-29 18:30:00'"
            return self._wrong(node, what)

    def _interval(self, node: exp.Interval, _: int) -> e.Expr:
        amount, unit = node.this, node.args.get("unit")
        while isinstance(amount, exp.Paren):
            amount = amount.this
        text = str(amount.this) if isinstance(amount, exp.Literal) else ""
        words = f"{text} {unit.name if isinstance(unit, exp.Var) else ''}".split()
        months, days, micros = 0, 0, 0
        good = len(words) >= 2 and len(words) % 2 == 0
        good &= unit is None or isinstance(unit, exp.Var)
        for count, name in zip(words[::2], words[1::2], strict=False):
            factors = _UNITS.get(name.upper().removesuffix("S"))
            if factors is None or re.fullmatch("-?[0-9]{1,9}", count) is None:
                good = False
                break
            months += int(count) * factors[0]
            days += int(count) * factors[1]
            micros += int(count) * factors[2]
        if not good or abs(micros) > 10_000_000 * DAY:
            return self._wrong(
                node,
                "an INTERVAL is a whole number and a unit, such as INTERVAL 30 DAY",
                "units are YEAR, MONTH, WEEK, DAY, HOUR, MINUTE and SECOND",
            )
        return e.Interval(months, days, micros, at=self._at(node))
