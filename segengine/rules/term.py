"""A rule that cannot fail any more: every node has its kind.

Made by `check`, read by `plan`, `compute` and `explain`. `op` says what a term does:

- `const` (value in the form columns keep), `column` (value: name), `context` (value: key)
- `and or not`, `= <> < <= > >=`, `distinct`, `is_null`, `in`, `like`, `between`
- `+ - * / // % neg`, `case coalesce nullif abs least greatest`
- `to_double`, `to_instant` (a DATE as its local midnight), `to_bigint`
- `in_array` (value: `many.Values`), `segment` and `declared` (value: name): what they stand for
- `event` (value: table and column), `product` (value: column): inside an aggregate's FILTER
- `history` (value: Aggregation; args: operand, condition), `window` (value: function and share;
  args: operand, condition, partition ...), `affinity` and `bucket` (value: their texts)
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

    def sources(self) -> Iterator[Term]:
        """Where its values come from: each column, aggregate, affinity or bucket it reads."""
        if self.op in SOURCES:
            yield self
        else:
            for arg in self.args:
                yield from arg.sources()

    @property
    def columns(self) -> frozenset[str]:
        """The traits it reads, inside aggregates too."""
        return frozenset(t.value for t in self.walk() if t.op == "column")

    @property
    def reads_context(self) -> bool:
        """Whether it reads the request."""
        return any(t.op == "context" for t in self.walk())

    @property
    def asks_bucket(self) -> bool:
        """Whether it depends on who a buyer is, by a bucket."""
        return any(t.op == "bucket" for t in self.walk())

    @property
    def reads_clock(self) -> bool:
        """Whether it depends on as_of beside its traits."""
        return any(t.op in CLOCK_OPS for t in self.walk())

    @property
    def reads_now(self) -> bool:
        """Whether it depends on more of as_of than its date, but for events that lie ahead."""
        return any(t.op == "now" for t in self.walk())


BROKEN = Term("broken", None)
"""In place of what cannot be; it was reported and passes as anything."""

# Events later than as_of do not exist: what comes of them depends on the clock.
CLOCK_OPS = frozenset(
    {"now", "today", "days_since", "days_until", "days_until_birthday", "in_last_days", "history"}
)
OPAQUE = frozenset({"history", "window", "affinity", "bucket"})
"""What is looked up for a buyer as a whole."""
COLUMNS = frozenset({"column", "event", "product"})
SOURCES = COLUMNS | {"history", "window", "affinity"}


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How a buyer's rows of an event table become one value."""

    agg: str
    table: str
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class CheckedRule:
    """A rule that was checked against a vocabulary; `leaves` as written.

    catalogued: it belongs to a definition and will be asked again.
    """

    expr: Expr
    term: Term
    text: str
    leaves: int
    catalogued: bool = False

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits the rule reads, sorted."""
        return tuple(sorted(self.term.columns))
