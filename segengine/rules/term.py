"""A rule that cannot fail any more: every node has its kind.

Made by `check`, read by `plan`, `compute` and `explain`. `op` says what a term does:

- `const` (value in the form columns keep), `column` (value: name), `context` (value: key)
- `and or not`, `= <> < <= > >=`, `distinct`, `is_null`, `in`, `like`, `between`
- `+ - * / // % neg`, `case coalesce nullif abs least greatest`
- `to_double`, `to_instant` (a DATE as its local midnight), `to_bigint`
- the other functions of the language by their names
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from segengine.rules.expr import Expr
from segengine.schema.kinds import Kind


@dataclass(frozen=True, slots=True)
class Term:
    """One typed node. `kind` None is the kind of a bare NULL. `source`: what it was written as."""

    op: str
    kind: Kind | None
    args: tuple[Term, ...] = ()
    value: Any = None
    source: Expr | None = field(default=None, compare=False, repr=False)

    def walk(self) -> Iterator[Term]:
        """This term and all under it."""
        yield self
        for arg in self.args:
            yield from arg.walk()

    @property
    def columns(self) -> frozenset[str]:
        """The traits it reads."""
        return frozenset(t.value for t in self.walk() if t.op == "column")

    @property
    def reads_context(self) -> bool:
        """Whether it reads the request."""
        return any(t.op == "context" for t in self.walk())

    @property
    def reads_clock(self) -> bool:
        """Whether it depends on as_of beside its traits."""
        return any(t.op in CLOCK_OPS for t in self.walk())


CLOCK_OPS = frozenset(
    {"now", "today", "days_since", "days_until", "days_until_birthday", "in_last_days"}
)


@dataclass(frozen=True, slots=True)
class CheckedRule:
    """A rule that was checked against a vocabulary; `leaves` as written."""

    expr: Expr
    term: Term
    text: str
    leaves: int

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits the rule reads, sorted."""
        return tuple(sorted(self.term.columns))
