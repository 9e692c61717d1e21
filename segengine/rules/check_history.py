"""Aggregates over a buyer's events, and over buyers: what may stand in them, and what kind comes.

Inside an aggregate's FILTER a bare name is a column of the event, `customers.x` a trait of the
event's buyer, `product.x` a column of the event's product.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from segengine.errors import did_you_mean
from segengine.rules import expr as e
from segengine.rules.format import shown_expr
from segengine.rules.functions import AGGREGATES, POPULATION, named
from segengine.rules.term import BROKEN, Aggregation, Term
from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDERS, PURCHASES

if TYPE_CHECKING:
    from segengine.rules.check import Checker

_ALL = Term("const", Kind.BOOLEAN, value=1)
_ORDERED = (Kind.BIGINT, Kind.DOUBLE, Kind.MONEY, Kind.DATE, Kind.TIMESTAMP)
_NUMBERS = (Kind.BIGINT, Kind.DOUBLE, Kind.MONEY)
_TAKEN = {
    "sum": _NUMBERS,
    "avg": _NUMBERS,
    "min": (*_ORDERED, Kind.VARCHAR),
    "max": (*_ORDERED, Kind.VARCHAR),
    "median": _NUMBERS,
    "quantile": _NUMBERS,
    "percent_rank": _ORDERED,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The event table that bare names belong to: as written, and whose rows it is."""

    written: str
    table: str


@contextmanager
def _inside(checker: Checker, scope: Scope) -> Iterator[None]:
    before, checker.scope = checker.scope, scope
    try:
        yield
    finally:
        checker.scope = before


def scoped_name(checker: Checker, scope: Scope, expr: e.Name) -> Term:
    """A name inside an aggregate."""
    words, name = checker.words, expr.name
    columns = words.events[scope.table]
    if expr.scope == "product":
        if "product_id" not in columns:
            return checker.wrong(expr, f"events of `{scope.written}` have no product")
        kind = words.products.get(name)
        if kind is None:
            hint = did_you_mean(name, list(words.products))
            return checker.wrong(expr, f"products have no column `{name}`", hint)
        return Term("product", kind, value=name, source=expr)
    if expr.scope not in ("", scope.written):
        return checker.wrong(
            expr, f"`{expr.scope}.{name}` does not stand in an aggregate of `{scope.written}`",
            "a trait is written `customers.name`, a product's column `product.name`",
        )  # fmt: skip
    kind = columns.get(name)
    if kind is None:
        hint = did_you_mean(name, list(columns))
        if name in words.traits or name in words.declared_names:
            hint = f"a trait is written `customers.{name}` here"
        return checker.wrong(expr, f"`{scope.written}` has no column `{name}`", hint)
    found = Term("event", kind, value=(scope.table, name), source=expr)
    if scope.written == PURCHASES and name == "amount":
        return _net_of_refund(found, scope.table)
    return found


def _net_of_refund(amount: Term, table: str) -> Term:
    refund = Term("event", Kind.MONEY, value=(table, "refund_amount"))
    nothing = Term("const", Kind.MONEY, value=0)
    known = Term("coalesce", Kind.MONEY, (refund, nothing))
    return Term("-", Kind.MONEY, (amount, known), source=amount.source)


def aggregate_term(checker: Checker, expr: e.Aggregate) -> Term:
    """What a buyer's events come to."""
    words = checker.words
    if checker.scope is not None:
        return checker.wrong(expr, "an aggregate does not stand inside another one")
    tables = [*words.events, PURCHASES]
    if expr.table not in tables:
        hint = did_you_mean(expr.table, tables) or "known: " + ", ".join(tables)
        what = f"unknown event table `{expr.table}`"
        if expr.table in words.traits or expr.table in ("customers", "products"):
            what = f"`{expr.agg}` takes an event table, and `{expr.table}` is none"
        return checker.wrong(expr, what, hint)
    table = ORDERS if expr.table == PURCHASES else expr.table
    operand, where = _ALL, _ALL
    with _inside(checker, Scope(expr.table, table)):
        if expr.column:
            operand = checker.term(e.Name(expr.column, at=expr.at))
        if expr.where is not None:
            where = checker.condition(checker.term(expr.where), expr.where)
    if "broken" in (operand.op, where.op):
        return BROKEN
    if expr.table == PURCHASES:
        bought = Term("event", Kind.BOOLEAN, value=(table, "is_purchase"))
        where = Term("and", Kind.BOOLEAN, (bought, where)) if where != _ALL else bought
    kind = _result(expr.agg, operand.kind)
    taken = _TAKEN.get(expr.agg)
    bad = operand.kind is Kind.TAGS or (taken is not None and operand.kind not in taken)
    if bad and operand.kind is not None:
        return checker.wrong(
            expr, f"`{expr.agg}` does not take {named(operand.kind)}, which "
            f"`{expr.table}.{expr.column}` is", f"for example `{AGGREGATES[expr.agg]}`",
        )  # fmt: skip
    how = Aggregation(expr.agg, table, expr.distinct)
    return Term("history", kind, (operand, where), how, source=expr)


def _result(function: str, operand: Kind | None) -> Kind | None:
    if function == "count":
        return Kind.BIGINT
    return Kind.DOUBLE if function in ("avg", "median", "quantile", "percent_rank") else operand


def over_term(checker: Checker, expr: e.Over) -> Term:
    """A buyer's place among buyers."""
    if checker.scope is not None:
        return checker.wrong(expr, "a comparison with other buyers does not stand inside FILTER")
    operand = checker.term(expr.operand)
    where = _ALL if expr.where is None else checker.condition(checker.term(expr.where), expr.where)
    parts = [checker.term(part) for part in expr.partition]
    share = _share(checker, expr)
    if any(t.op == "broken" for t in (operand, where, *parts)) or share is BROKEN:
        return BROKEN
    for term in (operand, where, *parts):
        if term.reads_context or any(t.op == "window" for t in term.walk()):
            what = "the request" if term.reads_context else "another OVER"
            return checker.wrong(expr, f"`{expr.function}` over buyers cannot look at {what}")
    wanted = tuple(k for k in _TAKEN[expr.function] if k is not Kind.VARCHAR)
    if operand.kind not in wanted:
        said = "NULL" if operand.kind is None else named(operand.kind)
        return checker.wrong(
            expr.operand, f"`{expr.function}` does not take {said}, which "
            f"{shown_expr(expr.operand)} is", f"for example `{POPULATION[expr.function]}`",
        )  # fmt: skip
    for term, written in zip(parts, expr.partition, strict=True):
        if term.kind in (Kind.TAGS, None):
            return checker.wrong(written, "PARTITION BY takes a trait of one value, not a list")
    kind = _result(expr.function, operand.kind)
    value = (expr.function, None if share is None else share.value)
    return Term("window", kind, (operand, where, *parts), value, source=expr)


def _share(checker: Checker, expr: e.Over) -> Term | None:
    """The share of a quantile, a number from 0 to 1 as written."""
    if expr.function != "quantile":
        return None if expr.q is None else checker.wrong(
            expr, f"`{expr.function}` takes one trait")  # fmt: skip
    value = expr.q.value if isinstance(expr.q, e.Literal) else None
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if is_number and 0 <= value <= 1:  # type: ignore[operator]
        return Term("const", Kind.DOUBLE, value=float(value))  # type: ignore[arg-type]
    return checker.wrong(expr, "`quantile` takes a trait and a share from 0 to 1",
                         f"for example `{POPULATION['quantile']}`")  # fmt: skip
