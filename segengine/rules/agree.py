"""How do several terms come to be of one kind, without losing a digit?

A number with a point is exact against money, else DOUBLE; a whole number becomes money where it
meets money.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal

from segengine.rules import expr as e
from segengine.rules.term import Term
from segengine.schema.kinds import Kind

INT_MAX = 2**63 - 1
_EXACT_CONTEXT = Context(prec=100_000)
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


def of_kind(kind: Kind | None, *terms: Term) -> tuple[Term, ...]:
    """The same terms, where NULL is the NULL of a kind."""
    return tuple(t if t.kind is not None else Term("const", kind, source=t.source) for t in terms)


def number_written(term: Term) -> Decimal | int | None:
    """The exact number a constant was written as."""
    source = term.source
    if term.op == "const" and isinstance(source, e.Literal):
        value = source.value
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            return value
    if term.op == "const" and term.kind is Kind.BIGINT:
        return int(term.value) if term.value is not None else None
    return None


def exact_money(term: Term, scale: int) -> Term:
    """A written number as money where the scale can hold it."""
    written = number_written(term)
    if written is None or term.kind is Kind.MONEY:
        return term
    scaled = Decimal(written).scaleb(scale, _EXACT_CONTEXT)
    if scaled == scaled.to_integral_value() and abs(scaled) <= INT_MAX:
        return Term("const", Kind.MONEY, value=int(scaled), source=term.source)
    return term


def as_money_if(term: Term, other: Term, scale: int) -> Term:
    """Beside money, a number with a point is money; a whole one is not less exact."""
    return exact_money(term, scale) if other.kind is Kind.MONEY else term


def times_one(term: Term, scale: int) -> Term:
    """An integer expression as money, for sums: null beyond what money can hold."""
    if term.kind is not Kind.BIGINT:
        return term
    one = Term("const", Kind.MONEY, value=10**scale)
    return Term("*", Kind.MONEY, (term, one), source=term.source)


def wide(terms: Sequence[Term], scale: int) -> tuple[Term, ...]:
    """All as DOUBLE, where several numbers meet and one of them is DOUBLE."""
    points = [t for t in terms if is_point(t)]
    kinds = {t.kind for t in terms if not is_point(t)} - {None}
    numbers = all(k is not None and k.is_number for k in kinds)
    if numbers and (Kind.DOUBLE in kinds or (points and Kind.MONEY not in kinds)):
        return tuple(double(t, scale) for t in terms)
    return tuple(terms)


def is_point(term: Term) -> bool:
    """Whether it is a literal with a point, exact against money."""
    source = term.source
    return term.op == "const" and isinstance(source, e.Literal) and isinstance(
        source.value, Decimal
    )  # fmt: skip


def whole_money(term: Term) -> Term:
    """An integer expression as money, for comparing."""
    if term.kind is not Kind.BIGINT:
        return term
    return Term("to_money", Kind.MONEY, (term,), source=term.source)


def double(term: Term, scale: int) -> Term:
    """A number as DOUBLE; a constant at once."""
    if term.kind is None:
        return Term("const", Kind.DOUBLE, source=term.source)
    if term.kind is Kind.DOUBLE:
        return term
    if term.op == "const":
        if term.value is None:
            return Term("const", Kind.DOUBLE, source=term.source)
        unit = 10**scale if term.kind is Kind.MONEY else 1
        return Term("const", Kind.DOUBLE, value=term.value / unit, source=term.source)
    return Term("to_double", Kind.DOUBLE, (term,), source=term.source)


def inexact(op: str, first: Term, second: Term, scale: int, expr: e.Expr) -> Term | None:
    """Money against a number that its scale cannot hold, decided between two amounts."""
    if second.kind is Kind.MONEY and first.op == "const":
        first, second, op = second, first, _TURNED[op]
    if first.kind is not Kind.MONEY or second.op != "const" or second.kind not in (
        Kind.DOUBLE, Kind.BIGINT,
    ):  # fmt: skip
        return None
    written = number_written(second)
    if written is None:
        return None
    scaled = Decimal(written).scaleb(scale, _EXACT_CONTEXT)
    if scaled == scaled.to_integral_value() and abs(scaled) <= INT_MAX:
        return None
    floor = int(scaled.to_integral_value(rounding="ROUND_FLOOR"))
    floor = max(-INT_MAX, min(INT_MAX, floor))
    amount = Term("const", Kind.MONEY, value=floor, source=second.source)
    above = Term(">", Kind.BOOLEAN, (first, amount), source=expr)
    below = Term("<=", Kind.BOOLEAN, (first, amount), source=expr)
    if op in (">", ">="):
        return above
    if op in ("<", "<="):
        return below
    join = "and" if op == "=" else "or"
    return Term(join, Kind.BOOLEAN, (above, below), source=expr)
