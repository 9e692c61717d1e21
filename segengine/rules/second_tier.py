"""One request: does a leaf hold for this row? Each leaf and each source is looked at once."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from typing import Any

from segengine.rules.block import NO_INT, Block
from segengine.rules.compute import compute, truth
from segengine.rules.conjunctions import Moving
from segengine.rules.evaluate import holds
from segengine.rules.frame import BucketsOf
from segengine.rules.plan import AllOf, AnyOf, Computed, Entries, Node, Ranges, plan_rule
from segengine.rules.segment import View
from segengine.rules.term import COLUMNS, SOURCES, Term
from segengine.schema.kinds import Kind

_MOST_CODES = 1 << 16
_NUMBERS = (Kind.BIGINT, Kind.DOUBLE, Kind.MONEY, Kind.DATE, Kind.TIMESTAMP)
_COMPARES: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(slots=True)
class Leaf:
    """A leaf that is asked for one row at a time, and what of it outlasts a request.

    by_code: the truth by dictionary code, where no more than that decides. given, test: a value,
    None for a missing one, and whether it satisfies; number: the same for leaves of one value.
    """

    place: int
    node: Node
    by_code: dict[int, bool] | None = None
    planned: tuple[int, Node] | None = None
    given: Term | None = None
    test: Callable[[Any], bool] | None = None
    number: int = -1


def leaf_of(place: int, node: Node, numbers: dict[Term, int]) -> Leaf:
    """The leaf of a node; `place` tells it from the others, `numbers` the values they test."""
    given, test = _tested(node)
    if given is not None:
        number = numbers.setdefault(given, len(numbers))
        return Leaf(place, node, given=given, test=test, number=number)
    lasting = isinstance(node, Entries) and node.source.op in COLUMNS and not node.term.reads_clock
    return Leaf(place, node, {} if lasting else None)


def _tested(node: Node) -> tuple[Term | None, Callable[[Any], bool] | None]:
    """The value that a leaf is about, and its test, where it is about one that is made."""
    match node:
        case Ranges(source=source) if source.op not in COLUMNS:
            return source, partial(_lies_in, node)
        case Computed(term=Term(op=op, args=(left, right)), wanted=wanted) if (
            op in _COMPARES
            and right.op == "const"
            and left.kind in _NUMBERS
            and not left.reads_context
            and not left.asks_bucket
        ):
            return left, partial(_compares, _COMPARES[op], right.value, wanted)
    return None, None


def _compares(is_true: Callable[[Any, Any], bool], fixed: Any, wanted: bool, value: Any) -> bool:
    return value is not None and fixed is not None and is_true(value, fixed) is wanted


def price(node: Node) -> int:
    """Cheap leaves are asked first."""
    if isinstance(node, Ranges):
        return {"affinity": 1, "window": 4, "history": 5}.get(node.source.op, 0)
    if isinstance(node, Entries | Computed):
        dear = any(source.op not in COLUMNS for source in node.term.sources())
        return 6 if dear else (0 if isinstance(node, Entries) else 3)
    return 2 if isinstance(node, Moving) else 7


@dataclass(slots=True)
class Asked:
    """One request, and what was found out for it."""

    view: View
    row: int
    context: Mapping[str, str] | None = None
    buckets: BucketsOf | None = None
    truths: dict[int, bool] = field(default_factory=dict)
    _values: dict[Term, Any] = field(default_factory=dict)
    _known: dict[int, Any] = field(default_factory=dict)
    _block: Block | None = None

    def holds(self, leaf: Leaf) -> bool:
        """Whether a leaf holds."""
        found = self.truths.get(leaf.place)
        if found is None:
            found = self.truths[leaf.place] = self._find(leaf)
        return found

    def _find(self, leaf: Leaf) -> bool:
        if leaf.test is not None:
            if leaf.number not in self._known:
                self._known[leaf.number] = self._given(leaf)
            return leaf.test(self._known[leaf.number])
        node, kept = leaf.node, leaf.by_code
        if kept is not None:
            assert isinstance(node, Entries)
            code = int(self.view.population.column(node.source).values[self.row])
            found = kept.get(code)
            if found is None:
                if len(kept) > _MOST_CODES:
                    kept.clear()
                found = kept[code] = self._node(node)
            return found
        if isinstance(node, Moving):
            return self._node(self._planned(leaf, node))
        return self._node(node)

    def _planned(self, leaf: Leaf, node: Moving) -> Node:
        clock, population = self.view.clock, self.view.population
        planned = leaf.planned
        if planned is None or planned[0] != clock.as_of:
            plan = plan_rule(node.term, population.domain, clock, population.money_scale)
            planned = leaf.planned = (clock.as_of, plan.root)
        return planned[1]

    def _node(self, node: Node) -> bool:
        match node:
            case AllOf(parts=parts):
                return all(map(self._node, parts))
            case AnyOf(parts=parts):
                return any(map(self._node, parts))
            case Entries(term=term, wanted=wanted) | Computed(term=term, wanted=wanted):
                return bool(truth(term, self._row())[0] == (1 if wanted else 0))
            case Ranges(source=source) if source.op not in COLUMNS:
                return _lies_in(node, self._value(source))
        return holds(node, self.view.population, self.row, self.view.clock, self._row)

    def _given(self, leaf: Leaf) -> Any:
        """The value that a leaf tests, which others may test too; None for a missing one."""
        term = leaf.given
        assert term is not None
        if term.op in SOURCES:
            return self.view.population.value(term, self.row, self.view.clock)
        value = compute(term, self._row())[0].item()
        # A double may well be -2**63, which is missing among whole numbers alone.
        is_double = isinstance(value, float)
        missing = value != value if is_double else value == NO_INT  # noqa: PLR0124 - NaN
        return None if missing else value

    def truth_of(self, node: Node) -> bool:
        """Whether a leaf holds that is asked rarely: nothing of it is kept."""
        return self._node(node)

    def _value(self, source: Term) -> Any:
        """The value of a source that is no column; None for a missing one."""
        if source not in self._values:
            self._values[source] = self.view.population.value(source, self.row, self.view.clock)
        return self._values[source]

    def _row(self) -> Block:
        """The row for computing over, each source of it looked up once."""
        if self._block is None:
            whole = self.view.population.block(
                slice(self.row, self.row + 1), self.view.clock, None, self.context, self.buckets
            )
            looked_up: dict[Term, Any] = {}

            def once(source: Term) -> Any:
                if source not in looked_up:
                    looked_up[source] = whole.column(source)
                return looked_up[source]

            self._block = replace(whole, column=once)
        return self._block


def _lies_in(node: Ranges, value: Any) -> bool:
    if value is None:
        return node.missing
    place = bisect_right(node.ranges, value, key=itemgetter(0)) - 1
    return bool(place >= 0 and value <= node.ranges[place][1])
