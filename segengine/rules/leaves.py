"""Which conditions do AND, OR and NOT join, and what has each to be for the rule to hold?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.rules import expr as e
from segengine.rules.format import format_expr
from segengine.rules.term import Term


def is_leaf(term: Term) -> bool:
    """Whether a condition is one leaf as written; BETWEEN is one, though two comparisons."""
    if term.op not in ("and", "or", "not"):
        return True
    return term.source is not None and all(arg.source is term.source for arg in term.args)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One written condition. `wanted`: whether the rule asks for it or, inside NOT, against it."""

    term: Term
    wanted: bool

    @property
    def text(self) -> str:
        """What would have to be, as one writes it."""
        source = self.term.source
        if source is None:
            return self.term.op
        return format_expr(source if self.wanted else e.Not(source))

    @property
    def is_fixed(self) -> bool:
        """Whether it was written as TRUE, FALSE or NULL: nothing a buyer does changes it."""
        return self.term.op == "const"


@dataclass(frozen=True, slots=True)
class Every:
    """All parts have to be."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of the parts has to be."""

    parts: tuple[Tree, ...]


Tree = Leaf | Every | Some


def tree_of(term: Term, *, wanted: bool = True) -> Tree:
    """A rule as its leaves, NOT pushed down to them; the leaves stand in written order."""
    if is_leaf(term):
        return Leaf(term, wanted)
    if term.op == "not":
        return tree_of(term.args[0], wanted=not wanted)
    parts = tuple(tree_of(arg, wanted=wanted) for arg in term.args)
    return Every(parts) if (term.op == "and") == wanted else Some(parts)


def leaves_of(tree: Tree) -> list[Leaf]:
    """The leaves in written order."""
    if isinstance(tree, Leaf):
        return [tree]
    return [leaf for part in tree.parts for leaf in leaves_of(part)]
