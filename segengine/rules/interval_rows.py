"""Conjunctions -> intervals of every column's values, a row of bits each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import matching
from segengine.rules import mark_loops as at
from segengine.rules.block import Clock
from segengine.rules.codes import RunsKept, affordable, runs_of
from segengine.rules.conjunctions import Conjunction
from segengine.rules.counted import Counted, counted
from segengine.rules.made_values import MadeValues, made_leaf, made_values
from segengine.rules.plan import Entries, Node, Ranges
from segengine.rules.population import Population
from segengine.rules.request_tier import RequestTier, reads_request_alone, request_tier
from segengine.rules.second_tier import Leaf, leaf_of, price
from segengine.rules.term import Term
from segengine.rules.value_keys import GREATEST, ITEMS, keys_of, missing_key
from segengine.schema.kinds import Kind
from segengine.tables.column import Column

BUDGET = 64 << 20
MOST_EDGES = 127
"""More edges of one column make its intervals wider: rows that fit a cache are worth more."""


@dataclass(slots=True)
class Scratch:
    """What one match writes to, see `mark_loops.mark_row`; state, candidates: parts of it."""

    memory: NDArray[np.int64]
    state: NDArray[np.int64]
    candidates: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Layout:
    """The first tier as arrays, see `matching.match_row`, and the leaves of the second.

    columns: by trait, one without a name where values are made  made: what makes them
    known: dictionary entries when laid out  second: by conjunction from `settled`
    exact: by leaf of the first tier that a code may be too new for
    request: the leaves that the request alone decides  counted: those of counts, see `counted`
    """

    columns: tuple[Column, ...]
    made: MadeValues
    known: tuple[int, ...]
    traits: NDArray[np.int64]
    edges: NDArray[np.int64]
    rows: NDArray[np.uint64]
    unsure_of: NDArray[np.int32]
    unsure: NDArray[np.int32]
    conjunctions: NDArray[np.int32]
    leaves_of: NDArray[np.int32]
    leaves: NDArray[np.int64]
    bounds: NDArray[np.int64]
    settled: int
    second: tuple[tuple[Leaf, ...], ...]
    exact: Mapping[int, Leaf]
    request: RequestTier
    counted: Counted
    rule_of: list[int]
    defaults: tuple[NDArray[Any], ...]
    scratch: list[Scratch] = field(default_factory=list)
    """Kept for the next match; each is used by one at a time."""

    def take_scratch(self) -> Scratch:
        """What a match writes to; whoever is done puts it back into `scratch`."""
        try:
            return self.scratch.pop()
        except IndexError:
            state, candidates = 2 * len(self.columns) + 1, (len(self.rule_of) + 1) // 2
            kept = state + self.rows.shape[1] + len(self.counted.sources)
            memory = np.zeros(kept + candidates, np.int64)
            return Scratch(memory, memory[:state], memory[kept:].view(np.int32))

    def serves(self, population: Population) -> bool:
        """Whether it is still about the columns there are, and most of their entries."""
        for column, known in zip(self.columns, self.known, strict=True):
            if column.name and population.trait(column.name) is not column:
                return False
            size = 0 if column.dictionary is None else column.dictionary.size
            if size > known + max(64, known // 4):
                return False
        return True

    def arrays(self) -> list[NDArray[Any]]:
        """Where the values of each trait stand now."""
        # What was never written holds one value everywhere and owns no memory.
        return [
            column.values if column.is_allocated else default
            for column, default in zip(self.columns, self.defaults, strict=True)
        ]

    def places(self) -> dict[int, NDArray[Any]]:
        """What of it a loop reads, by its place in the table of `mark_loops`."""
        return {
            at.EDGES: self.edges, at.BITS: self.rows, at.UNSURE_OF: self.unsure_of,
            at.UNSURE: self.unsure, at.CONJUNCTIONS: self.conjunctions,
            at.LEAVES_OF: self.leaves_of, at.LEAVES: self.leaves, at.BOUNDS: self.bounds,
            at.OPEN_OF: self.counted.open_of, at.OPEN_LEAVES: self.counted.open_leaves,
            at.OPEN_BOUNDS: self.counted.bounds,
        }  # fmt: skip

    def addresses(self, arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
        """The table of traits with the places of these arrays."""
        found = self.traits.copy()
        for trait, (array, default) in enumerate(zip(arrays, self.defaults, strict=True)):
            found[trait, matching.ADDRESS] = array.ctypes.data
            found[trait, matching.STRIDE] = 0 if array is default else array.itemsize
        return found

    def open_leaves(self, conjunction: int, undecided: frozenset[int]) -> list[Leaf]:
        """The leaves that the first tier did not decide, if these traits are undecided."""
        found: list[Leaf] = []
        if undecided:
            begin, end = self.conjunctions[conjunction : conjunction + 2, 0].tolist()
            leaves = self.leaves_of[begin:end].tolist()
            found += [self.exact[leaf] for leaf in leaves if self.leaves[leaf, 0] in undecided]
        if conjunction >= self.settled:
            found += self.second[conjunction - self.settled]
        return found


@dataclass(slots=True)
class _First:
    """A leaf of the first tier: bounds as keys."""

    trait: int
    node: Node
    bounds: list[tuple[int, int]]
    missing: bool
    uses: int = 0


_Conjoined = tuple[int, list[int], list[Leaf], list[Node]]
"""A rule, and a conjunction of it: leaves of the first tier, of the second, and of the request."""


def laid_out(
    rules: Sequence[tuple[Conjunction, ...]],
    population: Population,
    clock: Clock,
    runs: RunsKept,
    budget: int,
    most_edges: int,
) -> Layout:
    """The arrays of these rules, each given as its conjunctions."""
    columns: list[Column] = []
    made: list[tuple[int, Term]] = []
    # A node's hash goes through all its terms: it is taken once for each place of the node.
    numbers: dict[Node, int] = {}
    numbered = [[[numbers.setdefault(node, len(numbers)) for node in part] for part in parts]
                for parts in rules]  # fmt: skip
    tiers = _tiers(list(numbers), population, clock, runs, columns, made)
    first: list[_First] = []
    place_of: dict[int, int] = {}
    for number, leaf in enumerate(tiers):
        if isinstance(leaf, _First):
            place_of[number] = len(first)
            first.append(leaf)
    requested = {
        leaf.place for leaf in tiers if isinstance(leaf, Leaf) and reads_request_alone(leaf.node)
    }
    settled: list[_Conjoined] = []
    open_: list[_Conjoined] = []
    for rule, parts in enumerate(numbered):
        for part in parts:
            inner = [place_of[number] for number in part if number in place_of]
            outer = [leaf for number in part if isinstance(leaf := tiers[number], Leaf)]
            given = [leaf.node for leaf in outer if leaf.place in requested]
            outer = [leaf for leaf in outer if leaf.place not in requested]
            outer.sort(key=lambda leaf: price(leaf.node))
            for place in inner:
                first[place].uses += 1
            (open_ if outer else settled).append((rule, inner, outer, given))
    every = settled + open_
    conjunctions = np.zeros((len(every) + 1, 2), np.int32)
    conjunctions[1:, 0] = np.cumsum([len(inner) for _, inner, _, _ in every], dtype=np.int64)
    conjunctions[:-1, 1] = [rule for rule, _, _, _ in every]
    leaves_of = np.array([leaf for _, inner, _, _ in every for leaf in inner], np.int32)
    width = max(1, (len(every) + 63) // 64)
    of_trait: list[list[_First]] = [[] for _ in columns]
    for each in first:
        of_trait[each.trait].append(each)
    room = budget // (8 * width * max(1, len(columns))) - 2
    edges = [_edges(of, max(0, min(most_edges, room))) for of in of_trait]
    traits, row_count = _traits(columns, edges)
    traits[[trait for trait, _ in made], matching.ITEM] = matching.MADE
    all_edges = np.concatenate([np.empty(0, np.int64), *edges])
    bounds = [bound for each in first for bound in each.bounds]
    sizes = np.array([len(each.bounds) for each in first], np.int64)
    leaf_table = np.zeros((len(first), 4), np.int64)
    leaf_table[:, 0] = [each.trait for each in first]
    leaf_table[:, 2] = np.cumsum(sizes)
    leaf_table[:, 1] = leaf_table[:, 2] - sizes
    leaf_table[:, 3] = [each.missing for each in first]
    all_bounds = np.array(bounds, np.int64).reshape(len(bounds), 2)
    rows = _everything(len(every), row_count, width)
    may = np.zeros(1 + max(map(len, edges), default=0), np.uint8)
    unsure = np.empty((2 * int(sizes[leaves_of].sum()), 3), np.int32)
    count = matching.fill_rows(
        conjunctions, leaves_of, leaf_table, all_bounds, traits, all_edges, may, rows, unsure
    )
    unsure = unsure[:count][np.argsort(unsure[:count, 0], kind="stable")]
    return Layout(
        tuple(columns),
        made_values(made, population),
        tuple(0 if c.dictionary is None else c.dictionary.size for c in columns),
        traits,
        all_edges,
        rows,
        np.searchsorted(unsure[:, 0], np.arange(row_count + 1)).astype(np.int32),
        np.ascontiguousarray(unsure[:, 1:]),
        conjunctions,
        leaves_of,
        leaf_table,
        all_bounds,
        len(settled),
        tuple(tuple(outer) for _, _, outer, _ in open_),
        {p: leaf_of(-1 - p, each.node, {}) for p, each in enumerate(first)
         if isinstance(each.node, Entries)},
        request_tier([(place, of[3]) for place, of in enumerate(every)], rows[0].copy()),
        counted([outer for _, _, outer, _ in open_]),
        [rule for rule, _, _, _ in every],
        tuple(np.full(1, c.default, c.dtype) for c in columns),
    )  # fmt: skip


def _tiers(
    nodes: Sequence[Node],
    population: Population,
    clock: Clock,
    runs: RunsKept,
    columns: list[Column],
    made: list[tuple[int, Term]],
) -> list[_First | Leaf]:
    """Each node as a leaf of the first tier if it can be, else of the second.

    `columns` gets what the first tier reads, `made` what of it is made; `runs` keeps what these
    nodes use.
    """
    used: RunsKept = {}
    places: dict[str | Term, int] = {}
    conditions = Counter(node.source for node in nodes if isinstance(node, Entries))
    found: list[_First | Leaf] = []
    values: dict[Term, int] = {}
    for node in nodes:
        column = None
        if isinstance(node, Ranges | Entries) and node.source.op == "column":
            column = population.trait(node.source.value)
        bounds: list[tuple[int, int]] | None = None
        missing = False
        value = made_leaf(node, population)
        if value is not None:
            if value.source not in places:
                made.append((len(columns), value.source))
                places[value.source] = len(columns)
                columns.append(Column("", value.source.kind or Kind.BIGINT))
            place = places[value.source]
            bounds = [key for pair in value.ranges
                      if (key := keys_of(columns[place], pair)) is not None]  # fmt: skip
            found.append(_First(place, node, bounds, value.missing))
            continue
        if column is None or column.dtype.name not in ITEMS:
            pass
        elif isinstance(node, Ranges):
            bounds = [key for pair in node.ranges if (key := keys_of(column, pair)) is not None]
            missing = node.missing
        elif isinstance(node, Entries) and not node.term.reads_clock:
            assert column.dictionary is not None
            if affordable(column.dictionary, conditions[node.source]):
                decided = runs_of(node, column.dictionary, clock, population.money_scale, runs)
                used[column.dictionary, node] = decided
                bounds = None if decided.ranges is None else list(decided.ranges)
                missing = decided.missing
        if column is None or bounds is None:
            found.append(leaf_of(len(found), node, values))
            continue
        if column.name not in places:
            places[column.name] = len(columns)
            columns.append(column)
        found.append(_First(places[column.name], node, bounds, missing))
    runs.clear()
    runs.update(used)
    return found


def _edges(leaves: Sequence[_First], most: int) -> NDArray[np.int64]:
    """Where intervals of a trait begin but the first: int64[most at most], ascending."""
    uses: Counter[int] = Counter()
    for leaf in leaves:
        for low, high in leaf.bounds:
            if low > -GREATEST:
                uses[low] += leaf.uses
            if high < GREATEST:
                uses[high + 1] += leaf.uses
    every = np.array(sorted(uses), np.int64)
    if len(every) <= most:
        return every
    # Bounds of many rules, then equally many of the others in each interval: so few conjunctions
    # have to look at theirs.
    weights = np.array([uses[edge] for edge in every.tolist()], np.int64)
    common = weights * (most + 1) > weights.sum()
    rest, reached = every[~common], np.cumsum(weights[~common])
    others = most - int(common.sum())
    shares = np.arange(1, others + 1) * (reached[-1] / (others + 1))
    return np.sort(np.append(every[common], rest[np.unique(np.searchsorted(reached, shares))]))


def _traits(
    columns: Sequence[Column], edges: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], int]:
    """The table of traits without addresses, and how many rows of bits they have in all."""
    traits = np.zeros((len(columns), matching.TRAIT_WIDTH), np.int64)
    begin, row = 0, 1
    for trait, (column, chosen) in enumerate(zip(columns, edges, strict=True)):
        of_trait = traits[trait]
        of_trait[matching.ITEM] = ITEMS[column.dtype.name]
        of_trait[matching.MISSING] = missing_key(column)
        of_trait[matching.LIMIT] = (
            GREATEST if column.dictionary is None else column.dictionary.size - 1
        )
        of_trait[matching.EDGES], of_trait[matching.EDGES_END] = begin, begin + len(chosen)
        of_trait[matching.ROWS] = row
        begin += len(chosen)
        # One for a missing value, one for each interval.
        row += 2 + len(chosen)
    return traits, row


def _everything(conjunctions: int, rows: int, width: int) -> NDArray[np.uint64]:
    """Rows of bits that have every conjunction."""
    bits = np.zeros(64 * width, np.uint8)
    bits[:conjunctions] = 1
    return np.tile(np.packbits(bits, bitorder="little").view(np.uint64), (rows, 1))
