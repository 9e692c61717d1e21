"""Text -> Expr, by an allowlist of what sqlglot may find in it.

Every mistake of form that can be told apart is reported, in our words, with its place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from segengine.days import DAY, HOUR, MINUTE, SECOND
from segengine.errors import Problem, RuleError
from segengine.rules import expr as e
from segengine.schema.kinds import Kind

MAX_DEPTH = 32
MAX_BYTES = 64 * 1024
# The parser below recurses some 15 frames for each level; this many are safe in any thread.
_MAX_NESTING = 2 * MAX_DEPTH

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_DIALECT = sqlglot.Dialect.get_or_raise("duckdb")
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_PREFIXES = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE}

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
_LATER = (
    exp.Filter,
    exp.Window,
    exp.Count,
    exp.Sum,
    exp.Min,
    exp.Max,
    exp.Avg,
    exp.First,
    exp.Last,
    exp.Median,
)


def parse(text: str, place: str = "") -> e.Expr:
    """The rule that a text says; a `RuleError` lists every mistake of form."""
    _admit_size(text, place)
    try:
        tokens = _DIALECT.tokenize(text)
    except sqlglot.errors.SqlglotError:
        problem = _unended(text)
        raise RuleError([problem], text, place) from None
    _admit_nesting(tokens, text, place)
    try:
        trees = _DIALECT.parser().parse(tokens, text)
    except sqlglot.errors.ParseError as error:
        raise RuleError([_syntax(error, tokens, text)], text, place) from None
    except RecursionError:
        raise RuleError([Problem(_too_deep())], text, place) from None
    except Exception:
        raise RuleError([Problem("this is not a rule")], text, place) from None
    trees = [tree for tree in trees if tree is not None]
    if len(trees) != 1:
        at = next((t for t in tokens if t.token_type is TokenType.SEMICOLON), None)
        what = "a rule is one condition" if trees else "the rule is empty"
        where = _line_and_column(text, at.start) if at is not None and trees else (1, 1)
        raise RuleError([Problem(what, *where)], text, place)
    reader = _Reader(text)
    found = reader.read(trees[0], 0)
    if reader.problems:
        raise RuleError(reader.problems, text, place)
    return found


def _admit_size(text: str, place: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise RuleError([Problem("the rule is not valid text")], "", place) from None
    if size > MAX_BYTES:
        raise RuleError(
            [
                Problem(
                    f"the rule has {size:,} bytes; at most {MAX_BYTES:,} are read",
                    help="load a long list as a column, and compare with that",
                )
            ],
            "",
            place,
        )


def _admit_nesting(tokens: list[Token], text: str, place: str) -> None:
    depth, run = 0, 0
    for token in tokens:
        kind = token.token_type
        depth += (kind in _OPENING) - (kind in _CLOSING)
        run = run + 1 if kind in _PREFIXES else 0
        if depth > _MAX_NESTING or run > _MAX_NESTING:
            where = _line_and_column(text, token.start)
            raise RuleError([Problem(_too_deep(), *where)], text, place)


def _too_deep() -> str:
    return f"the rule is nested too deeply: at most {MAX_DEPTH} levels are read"


def _unended(text: str) -> Problem:
    for quote, name in (("'", "text"), ('"', "quoted name")):
        if text.count(quote) % 2:
            where = _line_and_column(text, text.rindex(quote))
            return Problem(f"a {name} begins here and does not end", *where)
    return Problem("this is not a rule")


def _syntax(error: sqlglot.errors.ParseError, tokens: list[Token], text: str) -> Problem:
    """The parser's first complaint in our words."""
    if not tokens:
        return Problem("the rule is empty")
    details: dict[str, Any] = dict(error.errors[0]) if error.errors else {}
    token = next(
        (t for t in tokens if (t.line, t.col) == (details.get("line"), details.get("col"))),
        tokens[-1],
    )
    where = _line_and_column(text, token.start)
    length = token.end - token.start + 1
    shown = text[token.start : token.end + 1]
    said = str(details.get("description", ""))
    if said.startswith("Expecting )"):
        return Problem("a `(` is not closed", *where, length)
    if said.startswith("Required keyword"):
        if token is tokens[-1]:
            return Problem("the rule ends where a value was expected", *where, length)
        return Problem(f"something is missing after `{shown}`", *where, length)
    return Problem(f"unexpected `{shown}`", *where, length)


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


class _Reader:
    """Turns the admitted nodes of a tree into ours and collects the others."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[Problem] = []
        self._readers: dict[Any, Callable[[Any, int], e.Expr]] = {
            exp.Paren: lambda n, d: self.read(n.this, d),
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda n, _: e.Literal(bool(n.this), at=self._at(n)),
            exp.Null: lambda n, _: e.Literal(None, at=self._at(n)),
            exp.Neg: lambda n, d: _negative(self.read(n.this, d + 1), self._at(n)),
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
        }  # fmt: skip
        for kind, op in _COMPARES.items():
            self._readers[kind] = self._binary(e.Compare, op)
        for kind, op in _ARITHMETIC.items():
            self._readers[kind] = self._binary(e.Arithmetic, op)
        for kind, name in _FUNCTIONS.items():
            self._readers[kind] = self._function(name)

    def read(self, node: Any, depth: int) -> e.Expr:
        if depth > MAX_DEPTH:
            if not any(p.message == _too_deep() for p in self.problems):
                self._wrong(node, _too_deep())
            return e.Literal(None)
        if not isinstance(node, exp.Expression):
            self.problems.append(Problem("something is missing here"))
            return e.Literal(None)
        reader = self._readers.get(type(node))
        if reader is None:
            return self._refused(node)
        return reader(node, depth)

    def _refused(self, node: exp.Expression) -> e.Expr:
        if isinstance(node, _LATER):
            name = node.sql_name().lower() if isinstance(node, exp.Func) else "FILTER"
            self._wrong(node, f"history and population leaves (`{name}`) are not built yet")
        elif isinstance(node, exp.Alias):
            alias = node.args.get("alias")
            self._wrong(alias or node, f"unexpected `{node.alias}`", "join conditions by AND or OR")
        elif isinstance(node, exp.Func):
            name = node.sql_name().lower()
            self._wrong(node, f"unknown function `{name}`")
        elif isinstance(node, exp.Select | exp.Subquery | exp.Query | exp.Command | exp.DDL):
            self._wrong(node, "a rule is a condition, not a statement or a subquery")
        else:
            shown = type(node).__name__.lower()
            self._wrong(node, f"`{shown}` is not part of the rule language")
        return e.Literal(None)

    def _wrong(self, node: exp.Expression, message: str, help_: str = "") -> None:
        at = self._at(node)
        if at is None:
            self.problems.append(Problem(message, help=help_))
            return
        where = _line_and_column(self.text, at[0])
        self.problems.append(Problem(message, *where, at[1] - at[0] + 1, help_))

    def _at(self, node: exp.Expression) -> e.Position | None:
        """From the first to the last character that anything under a node stands at."""
        first, last = None, None
        pending = [node]
        while pending:
            each = pending.pop()
            meta = each.meta
            if "start" in meta:
                first = meta["start"] if first is None else min(first, meta["start"])
                last = meta["end"] if last is None else max(last, meta["end"])
            # One level deep is enough for leaves; long chains would cost their square.
            if len(pending) < 64:
                pending += list(each.iter_expressions())
        return None if first is None or last is None else (first, last)

    def _all(self, node: exp.Expression, depth: int, *names: str) -> tuple[Any, ...]:
        return tuple(self.read(node.args.get(name), depth + 1) for name in names)

    def _each(self, nodes: list[Any], depth: int) -> tuple[e.Expr, ...]:
        return tuple(self.read(node, depth + 1) for node in nodes)

    def _binary(self, kind: Any, op: str) -> Callable[[Any, int], e.Expr]:
        return lambda n, d: kind(op, *self._all(n, d, "this", "expression"), at=self._at(n))

    def _distinct(self, node: exp.Expression, depth: int, *, negated: bool) -> e.Expr:
        left, right = self._all(node, depth, "this", "expression")
        return e.DistinctFrom(left, right, negated, at=self._at(node))

    def _function(self, name: str) -> Callable[[Any, int], e.Expr]:
        def read(node: exp.Expression, depth: int) -> e.Expr:
            args = [node.args.get("this"), node.args.get("expression"), *node.expressions]
            given = [a for a in args if a is not None]
            return e.Call(name, self._each(given, depth), at=self._at(node))

        return read

    def _anonymous(self, node: exp.Anonymous, depth: int) -> e.Expr:
        name = str(node.this).lower()
        return e.Call(name, self._each(node.expressions, depth), at=self._at(node))

    def _joined(
        self, node: exp.Expression, depth: int, kind: Any, join: Callable[..., e.Expr]
    ) -> e.Expr:
        parts: list[exp.Expression] = []
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
            if text.isdigit():
                return e.Literal(int(text), at=self._at(node))
            if "e" in text.lower():
                return e.Literal(float(text), at=self._at(node))
            return e.Literal(Decimal(text), at=self._at(node))
        except (ValueError, ArithmeticError):
            self._wrong(node, f"`{text[:40]}` is not a number")
            return e.Literal(None)

    def _one_of(self, node: exp.In, depth: int) -> e.Expr:
        if node.args.get("query") is not None or node.args.get("unnest") is not None:
            return self._refused(exp.Select())
        if not node.expressions:
            self._wrong(node, "IN needs a list in parentheses with at least one value")
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
        return self._refused(node)

    def _like(self, node: exp.Expression, depth: int, escape: str, outer: exp.Expression) -> e.Expr:
        found = e.Like(
            self.read(node.this, depth + 1),
            self.read(node.args.get("expression"), depth + 1),
            escape,
            isinstance(node, exp.ILike),
            at=self._at(outer),
        )
        return e.Not(found, at=self._at(outer)) if node.args.get("negate") else found

    def _escape(self, node: exp.Escape, depth: int) -> e.Expr:
        inner, mark = node.this, node.args.get("expression")
        if not isinstance(inner, exp.Like | exp.ILike):
            return self._refused(node)
        if not isinstance(mark, exp.Literal) or not mark.is_string or len(str(mark.this)) > 1:
            self._wrong(node, "ESCAPE takes one character in quotes")
            return e.Literal(None)
        return self._like(inner, depth, str(mark.this), node)

    def _case(self, node: exp.Case, depth: int) -> e.Expr:
        subject = self.read(node.this, depth + 1) if node.this is not None else None
        branches = []
        for branch in node.args.get("ifs") or []:
            condition = self.read(branch.this, depth + 1)
            if subject is not None:
                condition = e.Compare("=", subject, condition, at=condition.at)
            branches.append((condition, self.read(branch.args.get("true"), depth + 1)))
        if not branches:
            self._wrong(node, "CASE needs at least one WHEN")
        default = node.args.get("default")
        otherwise = self.read(default, depth + 1) if default is not None else None
        return e.Case(tuple(branches), otherwise, at=self._at(node))

    def _cast(self, node: exp.Cast, depth: int) -> e.Expr:
        to = node.args["to"].this
        inner = node.this
        literal = isinstance(inner, exp.Literal) and inner.is_string
        types = exp.DataType.Type
        if literal and to is types.DATE:
            return self._date(node, str(inner.this))
        if literal and to in (types.TIMESTAMP, types.TIMESTAMPNTZ, types.TIMESTAMPTZ):
            return self._timestamp(node, str(inner.this))
        if to in _CASTS and not node.args.get("safe"):
            return e.Cast(self.read(inner, depth + 1), _CASTS[to], at=self._at(node))
        self._wrong(
            node,
            f"no cast to `{node.args['to'].sql().lower()}`",
            "casts to BIGINT and DOUBLE, and DATE '...' and TIMESTAMP '...' literals are known",
        )
        return e.Literal(None)

    def _date(self, node: exp.Expression, text: str) -> e.Expr:
        try:
            return e.Literal(date.fromisoformat(text.strip()), at=self._at(node))
        except ValueError:
            self._wrong(node, f"`{text[:40]}` is not a date such as '2024-02-29'")
            return e.Literal(None)

    def _timestamp(self, node: exp.Expression, text: str) -> e.Expr:
        try:
            return e.Literal(datetime.fromisoformat(text.strip()), at=self._at(node))
        except ValueError:
            shown = f"`{text[:40]}` is not a time such as '2024-02-29 18:30:00'"
            self._wrong(node, shown)
            return e.Literal(None)

    def _interval(self, node: exp.Interval, _: int) -> e.Expr:
        amount, unit = node.this, node.args.get("unit")
        text = str(amount.this) if isinstance(amount, exp.Literal) else ""
        words = f"{text} {unit.name if unit is not None else ''}".split()
        months, days, micros = 0, 0, 0
        good = len(words) >= 2 and len(words) % 2 == 0
        for count, name in zip(words[::2], words[1::2], strict=False):
            factors = _UNITS.get(name.upper().rstrip("S") if name.upper() != "S" else name)
            digits = count.removeprefix("-")
            if factors is None or not digits.isdigit() or len(digits) > 9:
                good = False
                break
            months += int(count) * factors[0]
            days += int(count) * factors[1]
            micros += int(count) * factors[2]
        if not good or abs(micros) > 10_000_000 * DAY:
            self._wrong(node, "an INTERVAL is a whole number and a unit, such as INTERVAL 30 DAY")
            return e.Literal(None)
        return e.Interval(months, days, micros, at=self._at(node))


def _negative(operand: e.Expr, at: e.Position | None) -> e.Expr:
    """A minus before a number is part of the number."""
    if isinstance(operand, e.Literal) and type(operand.value) in (int, float, Decimal):
        assert isinstance(operand.value, int | float | Decimal)
        return e.Literal(-operand.value, at=at)
    return e.Minus(operand, at=at)
