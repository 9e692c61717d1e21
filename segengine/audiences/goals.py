"""Which events answer a campaign's message?

Its `goal` says so: an event table, whose every row does (of `messages`, a click), or an aggregate
of events without a comparison, such as `count(behaviors) FILTER (WHERE kind = 'cart')`, whose rows
do. Without one it is a click, a visit or a purchase. A click is one of the same campaign, or of
none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.errors import DefinitionError, RuleError, did_you_mean
from segengine.rules.check import Vocabulary, check_value
from segengine.rules.events import ALL
from segengine.rules.parse import parse
from segengine.rules.segment import View, rows_of
from segengine.rules.term import Term
from segengine.schema.identifiers import quoted
from segengine.schema.kinds import Kind
from segengine.schema.tables import PURCHASES

MESSAGES = "messages"
_EXAMPLE = "count(behaviors) FILTER (WHERE kind = 'cart')"


@dataclass(frozen=True, slots=True)
class Leaf:
    """Rows of one event table that answer. is_click: nobody who is held out can have one."""

    term: Term
    is_click: bool

    @property
    def table(self) -> str:
        """The event table."""
        return str(self.term.value.table)


def checked_goal(goal: str | None, campaign: str, words: Vocabulary) -> tuple[Leaf, ...]:
    """The leaves of a goal, any of which answers; `DefinitionError` for one that cannot be."""
    return tuple(_leaf(text, campaign, words) for text in leaves_of(goal, campaign, words.events))


def leaves_of(goal: str | None, campaign: str, tables: Iterable[str]) -> tuple[str, ...]:
    """The aggregates that a goal means."""
    name = campaign.replace("'", "''")
    click = (
        f"count({MESSAGES}) FILTER (WHERE kind = 'clicked' "
        f"AND (campaign = '{name}' OR campaign IS NULL))"
    )
    if goal is None:
        return (click, "count(behaviors) FILTER (WHERE kind = 'visit')", f"count({PURCHASES})")
    if goal == MESSAGES:
        return (click,)
    return (f"count({quoted(goal)})",) if goal in (*tables, PURCHASES) else (goal,)


def _leaf(text: str, campaign: str, words: Vocabulary) -> Leaf:
    place = f'campaign "{campaign}", goal'
    try:
        term = check_value(parse(text, place), words, text, place)
    except RuleError:
        if text.isidentifier():
            known = [*words.events, PURCHASES]
            hint = did_you_mean(text, known) or "known: " + ", ".join(known)
            raise DefinitionError(
                f"{place}: `{text}` is no event table; {hint}; or write an aggregate such as "
                f"`{_EXAMPLE}`",
                field="goal",
            ) from None
        raise
    if term.op != "history":
        raise DefinitionError(
            f"{place}: `{text}` is no aggregate of events; write the name of an event table, or an "
            f"aggregate without a comparison, such as `{_EXAMPLE}`",
            field="goal",
        )
    return Leaf(term, term.value.table == MESSAGES)


def rows_of_leaf(leaf: Leaf, view: View) -> NDArray[np.int64]:
    """The rows of its table that answer, up to as_of, of buyers who are there: ascending."""
    operand, where = leaf.term.args
    if operand != ALL:
        known = Term("not", Kind.BOOLEAN, (Term("is_null", Kind.BOOLEAN, (operand,)),))
        where = known if where == ALL else Term("and", Kind.BOOLEAN, (where, known))
    events = view.population.events_of(leaf.table)
    rows = rows_of(events.words(where, view.clock))
    rows = rows[rows < events.rows]
    return rows[events.table.extra("owner")[rows] >= 0]
