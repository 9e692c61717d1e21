"""How does a plan read?"""

from __future__ import annotations

from collections.abc import Callable

from segengine.rules.format import format_expr
from segengine.rules.plan import (
    AllOf,
    AnyOf,
    Computed,
    Entries,
    Everyone,
    Joined,
    Node,
    Plan,
    Ranges,
    cost,
)
from segengine.rules.term import Term

_MANY = 64
Measured = Callable[[Node], tuple[float, float]]
"""The true share of rows of a leaf, and the milliseconds its scan takes."""


def shown(plan: Plan, measured: Measured | None = None) -> str:
    """The plan as indented lines: a leaf's estimated share of buyers, and its bytes a buyer.

    measured: gives the true share of a leaf and the milliseconds it takes, to be shown too.
    """
    return "\n".join(_lines(plan.root, 0, plan, measured))


def source_text(source: Term) -> str:
    """A source as an operator reads it."""
    if source.op in ("column", "product"):
        return str(source.value)
    if source.op == "event":
        return str(source.value[1])
    return format_expr(source.source) if source.source is not None else source.op


def _lines(node: Node, depth: int, plan: Plan, measured: Measured | None) -> list[str]:
    pad = "  " * depth
    if isinstance(node, AllOf | AnyOf):
        head = "all of" if isinstance(node, AllOf) else "any of"
        under = (line for p in node.parts for line in _lines(p, depth + 1, plan, measured))
        return [f"{pad}{head}", *under]
    if isinstance(node, Everyone):
        return [f"{pad}{'everyone' if node.holds else 'nobody'}"]
    share = "" if plan.shares is None else f"about {100 * plan.shares(node):.3g} %, "
    tail = f"  ({share}{cost(node):g} B)"
    if measured is not None:
        found, ms = measured(node)
        tail += f"  truly {100 * found:.3g} % in {ms:.3g} ms"
    kept = "keep " if node in plan.standing else ""
    return [f"{pad}{kept}{_what(node)}{tail}"]


def _what(node: Node) -> str:
    """What a leaf looks at."""
    if isinstance(node, Ranges):
        parts = [f"{low} to {high}" if low != high else f"{low}" for low, high in node.ranges]
        if len(parts) > _MANY:
            parts = [f"{len(parts):,} ranges from {node.ranges[0][0]} to {node.ranges[-1][1]}"]
        if node.missing:
            parts.append("missing")
        return f"scan {source_text(node.source)} in {', '.join(parts) or 'nothing'}"
    if isinstance(node, Joined):
        return f"of its {node.through[:-1]}: {_what(node.node)}"
    assert isinstance(node, Entries | Computed)
    how = "look up" if isinstance(node, Entries) else "compute"
    source = node.term.source
    text = format_expr(source) if source is not None else node.term.op
    return f"{how} {text}{'' if node.wanted else ' is false'}"
