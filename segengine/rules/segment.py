"""Which buyers does this rule hold for, asked as often as one likes?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import stopping
from segengine.days import moment
from segengine.errors import UnknownCustomer, UnknownNameError, did_you_mean
from segengine.kernels import bits
from segengine.rules.block import NO_INT, Clock
from segengine.rules.changes import near_misses, nearest
from segengine.rules.curve import curve
from segengine.rules.estimate import share_of
from segengine.rules.evaluate import values_of
from segengine.rules.explain import Explanation, explain
from segengine.rules.frame import Words
from segengine.rules.plan import Node, Plan, plan_rule
from segengine.rules.population import Population
from segengine.rules.show_plan import shown
from segengine.rules.term import CheckedRule, Term
from segengine.schema.kinds import Kind
from segengine.tables.column import arrow_of

NO_DATE = np.iinfo(np.int32).min
PlansKept = dict[int, tuple[CheckedRule, int | None, Plan]]
"""Plans by the identity of their rule, which is kept beside them, and the moment they need."""


@dataclass(slots=True)
class View:
    """The store at one moment, held still: what rules are asked against.

    pages: those asked for at this moment, checked
    """

    population: Population
    clock: Clock
    data_version: int
    plans: PlansKept
    declared: Mapping[str, Term]
    pages: dict[str, Any] = field(default_factory=dict)

    def plan(self, rule: CheckedRule) -> Plan:
        """The plan of a rule at this moment; one that asks no clock serves every moment."""
        kept = self.plans.get(id(rule))
        if kept is not None and kept[0] is rule and kept[1] in (None, self.clock.as_of):
            return kept[2]
        plan = self.plan_of(rule.term, catalogued=rule.catalogued)
        if len(self.plans) > 4096:
            self.plans.clear()
        moment = self.clock.as_of if rule.term.reads_clock else None
        self.plans[id(rule)] = (rule, moment, plan)
        return plan

    def plan_of(self, term: Term, *, catalogued: bool = False) -> Plan:
        """The plan of a condition, by default one that is asked once."""
        population = self.population
        return plan_rule(
            term, population.domain, self.clock, population.money_scale, catalogued=catalogued,
            shares=lambda node: share_of(node, population, self.clock),
        )  # fmt: skip

    def words_of(self, term: Term) -> Words:
        """The bitmap of a condition that is asked once."""
        return self.population.words(self.plan_of(term))

    def measured(self, node: Node) -> tuple[float, float]:
        """The share of buyers a leaf holds for, and the milliseconds of evaluating it alone."""
        begun = time.perf_counter()
        words = self.population.words(Plan(node, self.clock))
        taken = 1000 * (time.perf_counter() - begun)
        everybody = max(1, self.population.customers.count)
        return int(bits.count_bits(words)) / everybody, taken

    def words(self, rule: CheckedRule) -> Words:
        """The bitmap of a rule."""
        return self.population.words(self.plan(rule))

    def trait_names(self) -> list[str]:
        """Every given column, trait and declared trait."""
        return list(dict.fromkeys([*self.population.kinds(), *self.declared]))

    def values(self, name: str, rows: NDArray[np.int64]) -> pa.Array:
        """A trait of some rows, ascending, as a plain Arrow array."""
        population, scale = self.population, self.population.money_scale
        term = self.declared.get(name)
        if term is None:
            return population.trait(name).to_arrow(rows, scale)
        return _as_arrow(values_of(term, population, rows, self.clock), term.kind or Kind.BIGINT,
                         scale)  # fmt: skip

    def row_of(self, customer_id: object) -> int:
        """The row of a buyer, or `UnknownCustomer`."""
        row = self.population.customers.row_of(customer_id)
        if row is None:
            raise UnknownCustomer(customer_id)
        return row


Looking = Callable[[], AbstractContextManager[View]]
"""Opens a view of the store; nothing changes inside."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many buyers, and the moment and data that number is true for."""

    count: int
    as_of: datetime
    data_version: int


def rechecked(
    state: Callable[[], object], check: Callable[[], CheckedRule]
) -> Callable[[], CheckedRule]:
    """The rule of a live question: checked at once, and anew when `state` is another."""
    kept = state(), check()

    def checked() -> CheckedRule:
        nonlocal kept
        now = state()
        if now != kept[0]:
            kept = now, check()
        return kept[1]

    return checked


class Segment:
    """A live question: every call answers it anew from the store as it is then."""

    def __init__(self, rule: Callable[[], CheckedRule], looking: Looking) -> None:
        self._rule = rule
        self._looking = looking

    @property
    def rule(self) -> str:
        """The rule's text."""
        return self._rule().text

    def __repr__(self) -> str:
        return f"<segment {self.rule}>"

    def answer(self) -> Count:
        """The count together with the moment and the data version it is true for."""
        rule = self._rule()
        with self._looking() as view:
            count = int(bits.count_bits(view.words(rule)))
            return Count(count, moment(view.clock.as_of), view.data_version)

    def count(self) -> int:
        """How many buyers the rule holds for."""
        return self.answer().count

    def ids(self) -> pa.Array:
        """Their customer_ids, in the order first seen."""
        rule = self._rule()
        with self._looking() as view:
            return ids_of(view.population, view.words(rule))

    def table(self, columns: Sequence[str] = ()) -> pa.Table:
        """Their customer_ids and these traits, in the order first seen."""
        rule = self._rule()
        with self._looking() as view:
            rows = rows_of(view.words(rule))
            return table_of(view, rows, columns)

    def contains(self, customer_id: int | str) -> bool:
        """Whether the rule holds for this buyer; False for an unknown one."""
        rule = self._rule()
        with self._looking() as view:
            row = view.population.customers.row_of(customer_id)
            return row is not None and view.population.holds(view.plan(rule), row)

    def explain(self, customer_id: int | str) -> Explanation:
        """Why the rule holds for this buyer or does not; `UnknownCustomer` for an unknown one."""
        rule = self._rule()
        with self._looking() as view:
            row = view.row_of(customer_id)
            reason = explain(rule.term, view.population, row, view.clock)
            block = view.population.block(slice(row, row + 1), view.clock)
            return Explanation(customer_id, reason.holds is True, reason, nearest(rule.term, block))

    def near_misses(self) -> pa.Table:
        """Table(condition, count, examples): how many buyers each condition alone keeps out.

        A row for each condition as written, the one that would gain most first. examples: up to
        5 customer_ids. `DefinitionError` for a rule of more than 256 conditions.
        """
        rule = self._rule()
        with self._looking() as view:
            return near_misses(rule.term, view.population, view.words_of)

    def curve(self, trait: str, *, leaf: int = 0) -> pa.Table:
        """Table(threshold, count): the size for each threshold of one comparison of a trait.

        leaf: which of several comparisons, as written, from 0; those of segments named in the
        rule are among them. threshold is of the trait's kind, ascending, at most 1,000; whole
        numbers and dates are all there where they are few. The rule's own is among them.
        Raises `UnknownNameError`, or `DefinitionError` where nothing has a threshold to move.
        """
        rule = self._rule()
        with self._looking() as view:
            return curve(rule.term, trait, leaf, view.population, view.clock, view.words_of)

    def plan(self, *, analyze: bool = False) -> str:
        """How the rule is evaluated: a leaf a line, its estimated share of buyers and its cost.

        analyze: evaluate each leaf alone, too, for the true share and the time it takes.
        """
        rule = self._rule()
        with self._looking() as view:
            plan = view.plan(rule)
            return shown(plan, view.measured if analyze else None)


def rows_of(words: Words) -> NDArray[np.int64]:
    """The rows of a bitmap, ascending."""
    rows = np.empty(int(bits.count_bits(words)), np.int64)
    bits.rows_of(words, rows)
    return rows


def ids_of(population: Population, words: Words) -> pa.Array:
    """The customer_ids of a bitmap, in row order."""
    column = population.customers.columns["customer_id"]
    taken = np.empty(int(bits.count_bits(words)), column.dtype)
    bits.take_rows(column.values, words, taken)
    if column.dictionary is None:
        return pa.array(taken)
    return column.dictionary.values().take(pa.array(taken))


def table_of(view: View, rows: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
    """customer_id, then these traits, declared ones too, of some rows."""
    known = view.trait_names()
    for name in columns:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise UnknownNameError(
                f"unknown trait `{name}`" + (f"; {hint}" if hint else ""), field="columns"
            )
    stopping.go_on()
    names = list(dict.fromkeys(["customer_id", *columns]))
    return pa.table([view.values(name, rows) for name in names], names=names)


def _as_arrow(values: Any, kind: Kind, scale: int) -> pa.Array:
    """Values that were computed, with the plain logical type of their kind."""
    if isinstance(values, pa.Array):
        return values
    if kind is Kind.DATE:
        missing = values == NO_INT
        return arrow_of(np.where(missing, NO_DATE, values).astype(np.int32), kind, None, scale)
    return arrow_of(values, kind, None, scale)
