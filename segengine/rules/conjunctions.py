"""Rule -> conjunctions of leaves: it holds where every leaf of one of them holds.

They follow from the plan, so they serve as long as it does: for ever, or for one local date
where the rule asks for dates. What reads `now()` moves with every moment: such a part of a rule
stays whole, as a leaf that is planned when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from segengine.rules.plan import AllOf, AnyOf, Everyone, Node
from segengine.rules.term import CLOCK_OPS, SOURCES, Term
from segengine.schema.kinds import Kind

Conjunction = tuple[Node, ...]
MOST = 32
"""Conjunctions of one rule; an OR that would make more is a leaf."""


@dataclass(frozen=True, slots=True)
class Moving(Node):
    """A condition whose ranges are other ones at every moment."""

    term: Term


@dataclass(frozen=True, slots=True)
class Conjoined:
    """A rule's conjunctions, and the local date they are for; None: for every date."""

    term: Term
    parts: tuple[Conjunction, ...]
    day: int | None


def conjoined(term: Term, plan: Callable[[Term], Node], today: int) -> Conjoined:
    """The conjunctions of a condition; `plan` gives the plan's root for some part of it."""
    parts = {part: _ops(part) for part in _conjuncts(term)}
    moving = [part for part, ops in parts.items() if "now" in ops]
    fixed = [part for part, ops in parts.items() if "now" not in ops]
    found: tuple[Conjunction, ...] = ((),)
    if fixed:
        whole = fixed[0] if len(fixed) == 1 else Term("and", Kind.BOOLEAN, tuple(fixed))
        found = conjunctions(plan(whole))
    leaves = tuple(Moving(part) for part in moving)
    by_date = any(CLOCK_OPS & parts[part] for part in fixed)
    return Conjoined(term, tuple((*c, *leaves) for c in found), today if by_date else None)


def conjunctions(node: Node) -> tuple[Conjunction, ...]:
    """The conjunctions of a plan's node; none where nothing satisfies it."""
    if isinstance(node, Everyone):
        return ((),) if node.holds else ()
    if isinstance(node, AnyOf):
        union = [c for part in node.parts for c in conjunctions(part)]
        return tuple(dict.fromkeys(union)) if len(union) <= MOST else ((node,),)
    if not isinstance(node, AllOf):
        return ((node,),)
    found: tuple[Conjunction, ...] = ((),)
    choices = [(part, conjunctions(part)) for part in node.parts]
    for part, several in sorted(choices, key=lambda choice: len(choice[1])):
        if len(found) * len(several) > MOST:
            several = ((part,),)  # noqa: PLW2901 - too many as parts, it is one leaf
        found = tuple((*before, *more) for before in found for more in several)
    return tuple(tuple(dict.fromkeys(c)) for c in found)


def _conjuncts(term: Term) -> Iterator[Term]:
    """The conditions all of which are true exactly where this one is."""
    if term.op in ("segment", "declared"):
        yield from _conjuncts(term.args[0])
    elif term.op == "and":
        for arg in term.args:
            yield from _conjuncts(arg)
    else:
        yield term


def _ops(term: Term) -> frozenset[str]:
    """What is done outside the sources, which look at the clock themselves."""
    if term.op in SOURCES:
        return frozenset()
    return frozenset({term.op}).union(*(_ops(arg) for arg in term.args))
