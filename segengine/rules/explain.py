"""Why does the rule hold for this buyer, or why not?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from segengine.days import day_text, instant_text
from segengine.rules.block import NO_INT, Block, Clock
from segengine.rules.compute import compute, truth
from segengine.rules.format import format_expr
from segengine.rules.population import Population
from segengine.rules.show_plan import source_text
from segengine.rules.term import Term
from segengine.schema.kinds import Kind

_MARKS = {True: "yes", False: "no ", None: "?  "}
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Reason:
    """One condition: its text, whether it holds (None: unknown), the values it looked at."""

    text: str
    holds: bool | None
    values: tuple[tuple[str, str], ...] = ()
    parts: tuple[Reason, ...] = ()

    def lines(self, depth: int = 0) -> list[str]:
        """The condition and all under it, one indented line each."""
        seen = _seen(self.values)
        tail = f"   ({seen})" if seen else ""
        own = f"{_MARKS[self.holds]} {'  ' * depth}{self.text}{tail}"
        return [own, *(line for part in self.parts for line in part.lines(depth + 1))]


@dataclass(frozen=True, slots=True)
class Change:
    """Conditions that would make the rule hold if all of them came true; what they look at now."""

    conditions: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        seen = _seen(self.values)
        return " AND ".join(self.conditions) + (f" ({seen})" if seen else "")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rule holds for a buyer or does not; printed as a tree, a condition a line.

    nearest: where it does not hold, the single conditions that are each enough; where none is,
    one change with the fewest conditions. They are printed under a tree of several conditions.
    """

    customer_id: int | str | None
    holds: bool
    reason: Reason
    nearest: tuple[Change, ...] = ()

    def __str__(self) -> str:
        return _told(self.reason, self.nearest)


@dataclass(frozen=True, slots=True)
class ProductExplanation:
    """Why a rule holds for a product or does not; otherwise as an `Explanation`."""

    product_id: int | str
    holds: bool
    reason: Reason
    nearest: tuple[Change, ...] = ()

    def __str__(self) -> str:
        return _told(self.reason, self.nearest)


def _told(reason: Reason, nearest: tuple[Change, ...]) -> str:
    lines = reason.lines()
    if reason.parts:
        lines += [f"nearest: {change}" for change in nearest[:_MOST_SHOWN]]
        more = len(nearest) - _MOST_SHOWN
        lines += [f"nearest: or one of {more:,} more"] if more > 0 else []
    return "\n".join(lines)


def _seen(values: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} is {value}" for name, value in values)


def explain(
    term: Term,
    population: Population,
    row: int,
    clock: Clock,
    context: Mapping[str, str] | None = None,
) -> Reason:
    """The truth of every condition of a rule for one buyer, evaluated one by one."""
    return reason_of(term, population.block(slice(row, row + 1), clock, None, context))


def reason_of(term: Term, block: Block) -> Reason:
    """The same for the one row of a block."""
    return _reason(term, block)


def _reason(term: Term, block: Block) -> Reason:
    found = int(truth(term, block)[0])
    holds = None if found == -128 else bool(found)
    text = format_expr(term.source) if term.source is not None else term.op
    if term.op in ("and", "or") and len({a.source for a in term.args}) == len(term.args):
        parts = tuple(_reason(arg, block) for arg in term.args)
        return Reason("all of" if term.op == "and" else "any of", holds, (), parts)
    if term.op == "not":
        return Reason("not", holds, (), (_reason(term.args[0], block),))
    if term.op in ("segment", "declared"):
        return Reason(text, holds, (), (_reason(term.args[0], block),))
    return Reason(text, holds, values_seen(term, block))


def values_seen(term: Term, block: Block) -> tuple[tuple[str, str], ...]:
    """What a condition looks at and its value for the first row of a block."""
    values = []
    for source in dict.fromkeys((*term.sources(), *(t for t in term.walk() if t.op == "context"))):
        value = compute(source, block)
        values.append((_label(source), shown(value, source.kind or Kind.VARCHAR, block)))
    return tuple(values)


def _label(source: Term) -> str:
    if source.op == "context":
        return f"context.{source.value}"
    return source_text(source)


def shown(values: Any, kind: Kind, block: Block) -> str:
    """The first of some values as an operator reads it."""
    value = values[0]
    if isinstance(value, pa.Scalar):
        found = value.as_py()
        return "missing" if found is None else repr(found)
    if kind is Kind.BOOLEAN:
        return {1: "true", 0: "false"}.get(int(value), "missing")
    if kind is Kind.DOUBLE:
        return "missing" if np.isnan(value) else repr(float(value)).removesuffix(".0")
    number = int(value)
    if number == NO_INT:
        return "missing"
    if kind is Kind.MONEY:
        text = f"{Decimal(number).scaleb(-block.money_scale):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if kind is Kind.DATE:
        return day_text(number)
    if kind is Kind.TIMESTAMP:
        return instant_text(number, block.clock.zone)
    return str(number)
