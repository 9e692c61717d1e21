"""One request: does a leaf hold for this row? Each leaf and each source is looked at once."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
_MOST_REQUESTS = 1 << 10
_COMPARES: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(slots=True)
class Leaf:
    """A leaf that is asked for one row at a time, and what of it outlasts a request.

    by_code: the truth by dictionary code, where no more than that decides.
    keys: what it reads of the request, where no more than that decides; by_request: the truth by
    those texts. number: such a leaf that compares a number of the request with a fixed one.
    """

    place: int
    node: Node
    by_code: dict[int, bool] | None = None
    planned: tuple[int, Node] | None = None
    keys: tuple[str, ...] = ()
    by_request: dict[tuple[str | None, ...], bool] | None = None
    number: NumberOfRequest | None = None


@dataclass(frozen=True, slots=True)
class NumberOfRequest:
    """A comparison of a number that a request gives with one that the rule gives."""

    given: Term
    is_true: Callable[[Any, Any], bool]
    fixed: Any
    wanted: bool


def leaf_of(place: int, node: Node) -> Leaf:
    """The leaf of a node; `place` tells it from the others."""
    lasting = isinstance(node, Entries) and node.source.op in COLUMNS and not node.term.reads_clock
    if isinstance(node, Computed) and _reads_request_alone(node.term):
        keys = sorted({each.value for each in node.term.walk() if each.op == "context"})
        return Leaf(place, node, keys=tuple(keys), by_request={}, number=_number_of(node))
    return Leaf(place, node, {} if lasting else None)


def _reads_request_alone(term: Term) -> bool:
    """Whether the request decides, whoever the buyer and whatever the moment."""
    return (
        term.reads_context
        and not term.reads_clock
        and not any(each.op in SOURCES or each.op == "bucket" for each in term.walk())
    )


def _number_of(node: Computed) -> NumberOfRequest | None:
    term = node.term
    if term.op not in _COMPARES or term.args[1].op != "const" or term.args[1].value is None:
        return None
    if term.args[0].kind not in (Kind.BIGINT, Kind.DOUBLE):
        return None
    return NumberOfRequest(term.args[0], _COMPARES[term.op], term.args[1].value, node.wanted)


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
    _truths: dict[int, bool] = field(default_factory=dict)
    _values: dict[Term, Any] = field(default_factory=dict)
    _block: Block | None = None

    def holds(self, leaf: Leaf) -> bool:
        """Whether a leaf holds."""
        found = self._truths.get(leaf.place)
        if found is None:
            found = self._truths[leaf.place] = self._find(leaf)
        return found

    def _find(self, leaf: Leaf) -> bool:
        if leaf.by_request is not None:
            return self._of_request(leaf, leaf.by_request)
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

    def _of_request(self, leaf: Leaf, kept: dict[tuple[str | None, ...], bool]) -> bool:
        """A leaf that the request alone decides; texts come again, numbers rarely do."""
        if leaf.number is not None:
            return self._compares(leaf.number)
        context = self.context or {}
        given = tuple([context.get(key) for key in leaf.keys])
        found = kept.get(given)
        if found is None:
            if len(kept) > _MOST_REQUESTS:
                kept.clear()
            found = kept[given] = self._node(leaf.node)
        return found

    def _compares(self, number: NumberOfRequest) -> bool:
        if number.given not in self._values:
            value = compute(number.given, self._row())[0].item()
            # NaN, and the least int64, are missing.
            missing = value != value or value == NO_INT  # noqa: PLR0124
            self._values[number.given] = None if missing else value
        value = self._values[number.given]
        return value is not None and number.is_true(value, number.fixed) is number.wanted

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
