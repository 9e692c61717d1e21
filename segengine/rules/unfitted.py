"""Which definitions read a trait that the store has too little history for?

Such a trait is missing for everybody, so that a condition on it holds for nobody, and an order by
it is none. Each definition is named for what it says itself: not for what a segment or a declared
trait that it names says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from segengine.rules.catalogue import Finding
from segengine.rules.term import Term


def unfitted(read: Iterable[tuple[str, Term]], refused: Mapping[str, str]) -> list[Finding]:
    """A warning for each place that reads a refused trait, in the order of the places.

    read: places and what stands there  refused: the reason, by trait
    """
    found = []
    for place, term in read:
        by_reason: dict[str, list[str]] = {}
        for name in sorted(set(_own_columns(term)) & refused.keys()):
            by_reason.setdefault(refused[name], []).append(f"`{name}`")
        for reason, names in by_reason.items():
            verb = "is" if len(names) == 1 else "are"
            listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
            message = f"{listed} {verb} missing for everybody: {reason}"
            found.append(Finding(place, "warning", message))
    return found


def _own_columns(term: Term) -> Iterator[str]:
    """The traits that a term reads, inside aggregates too, but not by the name of another rule."""
    if term.op in ("segment", "declared"):
        return
    if term.op == "column":
        yield term.value
    for arg in term.args:
        yield from _own_columns(arg)
