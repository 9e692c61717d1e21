"""Which counts of a buyer's events does the loop that matches make itself, and from what?

A condition such as "at least two carts in the last seven days" is decided by a walk along the
buyer's events, which takes less than a call from Python does. So a count whose condition is tests
on the events' own columns is made within the loop, when a conjunction that is left open asks for
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.memory import write_places
from segengine.rules import mark_loops as at
from segengine.rules.block import Clock
from segengine.rules.events import ALL
from segengine.rules.few_events import Tests
from segengine.rules.plan import Ranges
from segengine.rules.population import Population
from segengine.rules.second_tier import Leaf
from segengine.rules.term import Term
from segengine.rules.value_keys import keys_of
from segengine.schema.kinds import Kind
from segengine.tables.column import Column

_COUNT = Column("", Kind.BIGINT)


class Counted(NamedTuple):
    """The leaves of open conjunctions as a loop asks them, see `mark_loops.mark_row`.

    sources: the counts, by number
    """

    sources: tuple[Term, ...]
    open_of: NDArray[np.int32]
    open_leaves: NDArray[np.int32]
    bounds: NDArray[np.int64]

    def bound(self, population: Population, clock: Clock, before: BoundCounts | None) -> (
        BoundCounts
    ):  # fmt: skip
        """Where the counts are made from now; `before` serves as long as no array has moved."""
        arrays: list[NDArray[Any]] = []
        kept: list[Tests | None] = []
        for source in self.sources:
            events = population.events_of(source.value.table)
            tests = events.few_of(source.args[1], clock).tests
            # Where the columns of events do not decide it, nothing is counted here.
            asked = (_NOTHING, _NOTHING) if tests is None else (tests.table, tests.bounds)
            kept.append(tests)
            arrays += [*events.chains(), *asked]
        if before is not None and all(map(is_, before.arrays, arrays)):
            return before
        rows = np.zeros((len(self.sources), at.COUNT_WIDTH), np.int64)
        for number, row in enumerate(rows):
            of_source = arrays[5 * number : 5 * number + 5]
            write_places(row, dict(zip(_PLACES, of_source, strict=True)))
            row[at.IS_COUNTED] = of_source[-1] is not _NOTHING
        return BoundCounts(rows, arrays, kept)


class BoundCounts(NamedTuple):
    """Where counts are made from, see `mark_loops`.

    arrays: those whose addresses stand there  tests: what the addresses in their tables are of
    """

    table: NDArray[np.int64]
    arrays: list[NDArray[Any]]
    tests: list[Tests | None]


_NOTHING = np.zeros((0, 0), np.int64)
_PLACES = (at.HEADS, at.PREVIOUS, at.TIMES, at.TESTS, at.TEST_BOUNDS)


def counted(conjunctions: Sequence[Sequence[Leaf]]) -> Counted:
    """The leaves of conjunctions that stay open, in their order."""
    numbers: dict[Term, int] = {}
    bounds: list[tuple[int, int]] = []
    open_of, leaves = [0], []
    for conjunction in conjunctions:
        for leaf in conjunction:
            ranges = _of_count(leaf)
            first = len(bounds)
            if ranges is None or leaf.given is None:
                leaves.append((at.NOT_COUNTED, first, first))
                continue
            bounds += [keys for pair in ranges.ranges
                       if (keys := keys_of(_COUNT, pair)) is not None]  # fmt: skip
            leaves.append((numbers.setdefault(leaf.given, len(numbers)), first, len(bounds)))
        open_of.append(len(leaves))
    return Counted(
        tuple(numbers), np.array(open_of, np.int32),
        np.array(leaves, np.int32).reshape(len(leaves), 3),
        np.array(bounds, np.int64).reshape(len(bounds), 2),
    )  # fmt: skip


def _of_count(leaf: Leaf) -> Ranges | None:
    """The ranges in which a leaf wants a count of events that stands for a date; None for others.

    A condition that reads `now()` has other tests at every moment: it is asked when it is needed.
    """
    if not isinstance(leaf.node, Ranges) or leaf.node.source.op != "history":
        return None
    (operand, where), how = leaf.node.source.args, leaf.node.source.value
    return leaf.node if how.agg == "count" and operand == ALL and not where.reads_now else None
