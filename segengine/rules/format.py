"""Expr -> text that parses back to the same Expr."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from segengine.days import HOUR, MINUTE, SECOND
from segengine.rules import expr as e
from segengine.rules.places import shortened
from segengine.schema.identifiers import quoted

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Words that SQL reads as something else where a name stands.
_RESERVED = frozenset(
    "and or not in is null like ilike between case when then else end true false cast as interval "
    "date timestamp time select from where distinct escape filter over current_date group order "
    "current_timestamp all any some array values table column user row exists having limit offset "
    "union with on using join left right full inner outer cross set into window partition by "
    "asc desc primary unique check default create constraint similar isnull notnull at "
    "try_cast overlaps div glob rlike regexp collate map struct localtime localtimestamp "
    "current_time current_user session_user qualify if for xor except intersect only lateral "
    # Words that begin a statement.
    "alter analyze attach begin cache call comment commit connect connect_by_root copy "
    "current_catalog delete describe detach disconnect drop execute explain fetch force grant "
    "insert install kill load merge optimize partitioned_by pivot pivot_wider positional pragma "
    "prepare rename reset returning revoke rollback show summarize tablesample truncate uncache "
    "unpivot update use vacuum".split()
)
# Binding strength: OR < AND < NOT < comparisons < + - < * / < unary minus < atoms.
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _UNARY, _ATOM = range(8)


def format_expr(expr: e.Expr) -> str:
    """The rule as one line of text: parse(format_expr(x)) == x."""
    return _text(expr)[0]


def shown_expr(expr: e.Expr) -> str:
    """What was written, as an error quotes it."""
    return f"`{shortened(format_expr(expr), 60)}`"


def _within(expr: e.Expr, least: int) -> str:
    text, strength = _text(expr)
    return text if strength >= least else f"({text})"


def _text(expr: e.Expr) -> tuple[str, int]:
    match expr:
        case e.Literal(value=value):
            return _literal(value)
        case e.Broken():
            return "...", _ATOM
        case e.ListOf(items=items):
            return f"[{_listed(items)}]", _ATOM
        case e.Interval():
            return _interval(expr), _ATOM
        case e.Name(name=name, scope=scope):
            return (f"{_name(scope)}." if scope else "") + _name(name), _ATOM
        case e.Minus(operand=operand):
            # Parentheses, so that two minus signs never meet as a comment.
            return f"-({_within(operand, _OR)})", _UNARY
        case e.Arithmetic(op=op, left=left, right=right):
            level = _SUM if op in "+-" else _PRODUCT
            return f"{_within(left, level)} {op} {_within(right, level + 1)}", level
        case e.Compare(op=op, left=left, right=right):
            return f"{_within(left, _SUM)} {op} {_within(right, _SUM)}", _COMPARE
        case e.DistinctFrom(left=left, right=right, negated=negated):
            word = "IS NOT DISTINCT FROM" if negated else "IS DISTINCT FROM"
            return f"{_within(left, _SUM)} {word} {_within(right, _SUM)}", _COMPARE
        case e.Between(operand=operand, low=low, high=high):
            bounds = f"{_within(low, _SUM)} AND {_within(high, _SUM)}"
            return f"{_within(operand, _SUM)} BETWEEN {bounds}", _COMPARE
        case e.OneOf(operand=operand, options=options):
            return f"{_within(operand, _SUM)} IN ({_listed(options)})", _COMPARE
        case e.IsNull(operand=operand):
            return f"{_within(operand, _SUM)} IS NULL", _COMPARE
        case e.Like():
            word = "ILIKE" if expr.ignore_case else "LIKE"
            escape = f" ESCAPE {_quote(expr.escape)}" if expr.escape else ""
            text, pattern = _within(expr.operand, _SUM), _within(expr.pattern, _SUM)
            return f"{text} {word} {pattern}{escape}", _COMPARE
        case e.Call(name=name, args=args):
            return f"{name}({_listed(args)})", _ATOM
        case e.Case(branches=branches, otherwise=otherwise, subject=subject):
            parts = [
                f"WHEN {_within(condition, _OR)} THEN {_within(value, _OR)}"
                for condition, value in branches
            ]
            tail = f" ELSE {_within(otherwise, _OR)}" if otherwise is not None else ""
            head = f"CASE {_within(subject, _OR)}" if subject is not None else "CASE"
            return f"{head} {' '.join(parts)}{tail} END", _ATOM
        case e.Cast(operand=operand, kind=kind):
            return f"CAST({_within(operand, _OR)} AS {kind})", _ATOM
        case e.Aggregate():
            return _aggregate(expr), _ATOM
        case e.Over():
            return _over(expr), _ATOM
        case e.Listed(operand=operand, values=values):
            return f"{_within(operand, _SUM)} IN (... {len(values):,} values)", _COMPARE
        case e.And(parts=parts):
            return " AND ".join(_within(p, _NOT) for p in parts), _AND
        case e.Or(parts=parts):
            return " OR ".join(_within(p, _AND) for p in parts), _OR
        case e.Not(operand=e.IsNull(operand=operand)):
            return f"{_within(operand, _SUM)} IS NOT NULL", _COMPARE
        case e.Not(operand=e.OneOf(operand=operand, options=options)):
            return f"{_within(operand, _SUM)} NOT IN ({_listed(options)})", _COMPARE
        case e.Not(operand=operand):
            return f"NOT {_within(operand, _COMPARE)}", _NOT
    raise AssertionError(f"a node without a text: {expr!r}")


def _aggregate(expr: e.Aggregate) -> str:
    column = f".{_name(expr.column)}" if expr.column else ""
    distinct = "DISTINCT " if expr.distinct else ""
    return f"{expr.agg}({distinct}{_name(expr.table)}{column})" + _filter(expr.where)


def _over(expr: e.Over) -> str:
    args = (expr.operand,) if expr.q is None else (expr.operand, expr.q)
    by = f"PARTITION BY {_listed(expr.partition)}" if expr.partition else ""
    return f"{expr.function}({_listed(args)}){_filter(expr.where)} OVER ({by})"


def _filter(where: e.Expr | None) -> str:
    return "" if where is None else f" FILTER (WHERE {_within(where, _OR)})"


def _listed(items: tuple[e.Expr, ...]) -> str:
    return ", ".join(_within(item, _OR) for item in items)


def _literal(value: e.LiteralValue) -> tuple[str, int]:
    if value is None:
        return "NULL", _ATOM
    if isinstance(value, bool):
        return ("TRUE" if value else "FALSE"), _ATOM
    if isinstance(value, str):
        return _quote(value), _ATOM
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'", _ATOM
    if isinstance(value, int | float | Decimal):
        text = f"{value:f}" if isinstance(value, Decimal) else str(value)
        if isinstance(value, Decimal) and "." not in text:
            text += ".0"
        if isinstance(value, float) and "e" not in text:
            text += "e0"
        return text, _UNARY if text.startswith("-") else _ATOM
    return f"DATE '{value.isoformat()}'", _ATOM


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name not in _RESERVED else quoted(name)


def _interval(interval: e.Interval) -> str:
    parts = []
    for value, unit in ((interval.months, "MONTH"), (interval.days, "DAY")):
        if value:
            parts.append(f"{value} {unit}")
    micros = interval.micros
    for size, unit in ((HOUR, "HOUR"), (MINUTE, "MINUTE"), (SECOND, "SECOND")):
        if micros and micros % size == 0:
            parts.append(f"{micros // size} {unit}")
            micros = 0
    if len(parts) == 1:
        return f"INTERVAL {parts[0]}" if "-" not in parts[0] else f"INTERVAL '{parts[0]}'"
    return f"INTERVAL '{' '.join(parts) or '0 DAY'}'"
