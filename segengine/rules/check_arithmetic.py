"""Sums, products and spans of time: which kinds meet, and what comes of them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.rules import expr as e
from segengine.rules.agree import as_money_if, double, of_kind, times_one
from segengine.rules.format import format_expr, shown_expr
from segengine.rules.functions import named
from segengine.rules.term import BROKEN, Term
from segengine.schema.kinds import Kind

if TYPE_CHECKING:
    from segengine.rules.check import Checker


def arithmetic_term(checker: Checker, expr: e.Arithmetic) -> Term:
    """`+ - * / // %` of two numbers, or a moment an INTERVAL later or earlier."""
    if isinstance(expr.right, e.Interval) or (
        isinstance(expr.right, e.Minus) and isinstance(expr.right.operand, e.Interval)
    ):
        return shifted_term(checker, expr)
    if isinstance(expr.left, e.Interval):
        if expr.op != "+":
            return checker.wrong(expr, "an INTERVAL stands after the moment: now() - INTERVAL ...")
        return shifted_term(checker, e.Arithmetic("+", expr.right, expr.left, at=expr.at))
    first, second = checker.term(expr.left), checker.term(expr.right)
    if "broken" in (first.op, second.op):
        return BROKEN
    op, scale = expr.op, checker.words.money_scale
    for part, side in ((first, expr.left), (second, expr.right)):
        if part.kind is not None and not part.kind.is_number:
            help_ = ""
            if part.kind in (Kind.DATE, Kind.TIMESTAMP):
                help_ = "ask days_since(...) or days_until(...), or shift by an INTERVAL"
            return checker.wrong(
                side,
                f"`{op}` takes numbers, and {shown_expr(side)} is {named(part.kind)}",
                help_,
            )
    if op in ("+", "-"):
        first, second = as_money_if(first, second, scale), as_money_if(second, first, scale)
        if {first.kind, second.kind} == {Kind.MONEY, Kind.BIGINT}:
            first, second = times_one(first, scale), times_one(second, scale)
    kinds = {first.kind, second.kind} - {None}
    if op in ("//", "%"):
        if kinds - {Kind.BIGINT}:
            return checker.wrong(expr, f"`{op}` takes whole numbers on both sides",
                              "use `/`, which gives a DOUBLE")  # fmt: skip
        return Term(op, Kind.BIGINT, of_kind(Kind.BIGINT, first, second), source=expr)
    if op != "/" and kinds <= {Kind.BIGINT}:
        return Term(op, Kind.BIGINT, of_kind(Kind.BIGINT, first, second), source=expr)
    if op in ("+", "-") and kinds == {Kind.MONEY}:
        return Term(op, Kind.MONEY, of_kind(Kind.MONEY, first, second), source=expr)
    if op == "*" and kinds == {Kind.MONEY, Kind.BIGINT}:
        return Term(op, Kind.MONEY, (first, second), source=expr)
    pair = (double(first, scale), double(second, scale))
    return Term(op, Kind.DOUBLE, pair, source=expr)


def minus_term(checker: Checker, expr: e.Minus, operand: e.Expr) -> Term:
    """The negative of a number."""
    if isinstance(operand, e.Interval):
        return lone_interval(checker, operand)
    inner = checker.term(operand)
    if inner.op == "broken":
        return inner
    if inner.kind is not None and not inner.kind.is_number:
        return checker.wrong(
            expr, f"`-` takes a number, and {shown_expr(operand)} is {named(inner.kind)}"
        )
    return Term("neg", inner.kind or Kind.BIGINT, (inner,), source=expr)


def shifted_term(checker: Checker, expr: e.Arithmetic) -> Term:
    """now(), today() or a literal, an INTERVAL later or earlier."""
    base = expr.left
    span, sign = expr.right, 1 if expr.op == "+" else -1
    if isinstance(span, e.Minus):
        span, sign = span.operand, -sign
    assert isinstance(span, e.Interval)
    if expr.op not in "+-":
        return checker.wrong(expr, f"`{expr.op}` is not defined for an INTERVAL")
    inner = checker.term(base)
    if inner.op == "broken":
        return inner
    if inner.kind not in (Kind.DATE, Kind.TIMESTAMP):
        said = "NULL" if inner.kind is None else named(inner.kind)
        return checker.wrong(
            base, f"an INTERVAL is added to a date or a time, and {shown_expr(base)} is {said}"
        )
    if inner.op not in ("now", "today", "shift", "const"):
        turned = "-" if sign > 0 else "+"
        return checker.wrong(
            expr,
            "an INTERVAL stands only beside now(), today() or a literal",
            f"compare {shown_expr(base)} with `now() {turned} {format_expr(span)}` instead",
        )
    amount = (sign * span.months, sign * span.days, sign * span.micros)
    if inner.kind is Kind.DATE and span.micros:
        inner = Term("to_instant", Kind.TIMESTAMP, (inner,), source=base)
    return Term("shift", inner.kind, (inner,), amount, source=expr)


def lone_interval(checker: Checker, expr: e.Interval) -> Term:
    """An INTERVAL where none may stand."""
    return checker.wrong(expr, "an INTERVAL stands only beside now(), today() or a literal",
                      "for example `joined_at >= now() - INTERVAL 30 DAY`")  # fmt: skip
