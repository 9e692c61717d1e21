"""Plan -> the rows for which the rule holds; or: does it hold for this one row?

A rule is a program over compiled scans: row ranges run on a thread pool, each range runs the
whole program. The same plan answers for one row by looking at its values alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.kernels import bits, jit, scan
from segengine.kernels.scan import AND, OR, SET
from segengine.rules.compute import Block, Clock, compute, truth, widened
from segengine.rules.plan import (
    AllOf,
    AnyOf,
    Computed,
    Domain,
    Entries,
    Everyone,
    Node,
    Plan,
    Ranges,
)
from segengine.rules.term import Term
from segengine.schema.kinds import Kind, dtype_of
from segengine.tables.column import Column
from segengine.tables.customers import CustomerTable

Words = NDArray[np.uint64]
BucketsOf = Callable[[str], NDArray[np.float64]]
"""The bucket share of each row of a block under a salt."""
Step = Callable[[int, int, int, Words], None]
"""run(first word, end word, mode, out)"""

_BLOCK_WORDS = 1024
_MANY_RANGES = 8


@dataclass(slots=True)
class Population:
    """The buyers as rules see them: traits, and the bucket shares of some rows under a salt."""

    customers: CustomerTable
    money_scale: int
    buckets: Callable[[str, int, int], NDArray[np.float64]]
    entries: dict[Any, NDArray[np.int8]] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """The trait that a checked rule names."""
        column = self.customers.trait_or_column(name)
        assert column is not None, name
        return column

    def kinds(self) -> dict[str, Kind]:
        """Every trait a rule may name, by kind."""
        given = {n: c.kind for n, c in self.customers.columns.items()}
        return given | {n: c.kind for n, c in self.customers.traits.items()}

    def domain(self, name: str) -> Domain:
        """What a trait's array can hold."""
        return domain_of(self.column(name))

    def block(
        self,
        begin: int,
        end: int,
        clock: Clock,
        context: Mapping[str, str] | None = None,
        buckets: BucketsOf | None = None,
    ) -> Block:
        """Rows [begin, end) for computing over; `buckets` where they are not those of the rows."""

        def values(name: str) -> Any:
            column = self.column(name)
            taken = column.values[begin:end]
            if not column.kind.is_coded:
                return widened(taken, column.kind)
            assert column.dictionary is not None
            codes = pa.array(taken, pa.int32(), mask=taken < 0)
            return column.dictionary.values().take(codes)

        return Block(
            end - begin, clock, self.money_scale, values,
            buckets or (lambda salt: self.buckets(salt, begin, end)), context or {},
        )  # fmt: skip

    def truths(self, column: Column, term: Term, clock: Clock) -> NDArray[np.int8]:
        """The truth of a condition for a missing value and each dictionary entry: int8[1 + n]."""
        dictionary = column.dictionary
        assert dictionary is not None
        size = dictionary.size
        key = (dictionary, term, size, clock.as_of if term.reads_clock else 0)
        found = self.entries.get(key)
        if found is None:
            values = dictionary.values()
            values = pa.concat_arrays([pa.nulls(1, values.type), values])
            block = Block(size + 1, clock, self.money_scale, lambda _: values)
            found = truth(term, block).astype(np.int8)
            if len(self.entries) > 4096:
                self.entries.clear()
            self.entries[key] = found
        return found


def domain_of(column: Column) -> Domain:
    """What a column's array can hold beside the reserved missing value."""
    if column.dtype.kind == "f":
        top = float(np.finfo(column.dtype.str).max)
        return Domain(column.kind, -top, top)
    info = np.iinfo(column.dtype.str)
    if column.kind is Kind.BOOLEAN:
        return Domain(column.kind, 0, 1)
    return Domain(column.kind, int(info.min) + 1, int(info.max))


def evaluate(plan: Plan, population: Population) -> Words:
    """The live rows for which the rule holds, as a bitmap: uint64[words]."""
    customers = population.customers
    out: Words = np.empty(customers.words, np.uint64)
    step = _step(plan.root, population, plan.clock)
    live = customers.live

    def work(begin: int, end: int) -> None:
        first, last = begin // 64, (end + 63) // 64
        step(first, last, SET, out)
        bits.and_into(live, first, last, out)

    jit.over_ranges(work, customers.rows)
    return out


def holds(
    plan: Plan,
    population: Population,
    row: int,
    context: Mapping[str, str] | None = None,
    buckets: BucketsOf | None = None,
) -> bool:
    """Whether the rule holds for one row; `buckets` where they are not the row's own."""

    def block() -> Block:
        return population.block(row, row + 1, plan.clock, context, buckets)

    return _holds(plan.root, population, row, plan.clock, block)


def _holds(
    node: Node, population: Population, row: int, clock: Clock, block: Callable[[], Block]
) -> bool:
    match node:
        case AllOf(parts=parts):
            return all(_holds(p, population, row, clock, block) for p in parts)
        case AnyOf(parts=parts):
            return any(_holds(p, population, row, clock, block) for p in parts)
        case Everyone(holds=found):
            return found
        case Ranges(trait=trait, ranges=ranges, missing=missing):
            column = population.column(trait)
            value = column.values[row]
            if value != value or value == column.missing:  # noqa: PLR0124 - NaN
                return missing
            place = bisect_right(ranges, value, key=itemgetter(0)) - 1
            return bool(place >= 0 and value <= ranges[place][1])
        case Entries(trait=trait, term=term, wanted=wanted):
            column = population.column(trait)
            truths = population.truths(column, term, clock)
            return bool(truths[column.values[row] + 1] == (1 if wanted else 0))
        case Computed(term=term, wanted=wanted):
            return bool(truth(term, block())[0] == (1 if wanted else 0))
    raise AssertionError(f"a step without a meaning: {node!r}")


def _step(node: Node, population: Population, clock: Clock) -> Step:
    match node:
        case AllOf(parts=parts):
            return _both([_step(p, population, clock) for p in parts], AND)
        case AnyOf(parts=parts):
            return _both([_step(p, population, clock) for p in parts], OR)
        case Everyone(holds=found):
            return _constant(found)
        case Ranges():
            return _ranges(node, population)
        case Entries():
            return _entries(node, population, clock)
        case Computed():
            return _computed(node, population, clock)
    raise AssertionError(f"a step without a meaning: {node!r}")


def _both(steps: list[Step], join: int) -> Step:
    """All steps joined by AND or OR, into whatever is asked for."""

    def run(begin: int, end: int, mode: int, out: Words) -> None:
        if mode in (SET, join):
            for place, step in enumerate(steps):
                step(begin, end, mode if place == 0 else join, out)
            return
        if mode == AND:
            # x AND (a OR b) = (x AND a) OR (x AND b): each part looks at few rows.
            still_in = out[begin:end].copy()
            found = np.zeros(end - begin, np.uint64)
            for step in steps:
                out[begin:end] = still_in
                step(begin, end, AND, out)
                bits.or_into(out[begin:end], 0, end - begin, found)
            out[begin:end] = found
            return
        apart = np.empty(end, np.uint64)
        for place, step in enumerate(steps):
            step(begin, end, SET if place == 0 else AND, apart)
        bits.or_into(apart, begin, end, out)

    return run


def _constant(found: bool) -> Step:
    def run(begin: int, end: int, mode: int, out: Words) -> None:
        if mode == SET or (mode == AND) != found:
            out[begin:end] = np.uint64(0xFFFFFFFFFFFFFFFF if found else 0)

    return run


def _ranges(node: Ranges, population: Population) -> Step:
    column = population.column(node.trait)
    if len(node.ranges) > _MANY_RANGES:
        steps = [_many_ranges(column, population.customers.rows, node)]
    else:
        steps = [_range_step(column, population.customers.rows, low, high)
                 for low, high in node.ranges]  # fmt: skip
    if node.missing:
        steps.append(_code_step(column, population.customers.rows, 0, 0))
    return _one_or_all(steps)


def _many_ranges(column: Column, rows: int, node: Ranges) -> Step:
    """One look at each value instead of a scan for each range."""
    lows = np.array([low for low, _ in node.ranges], column.dtype)
    highs = np.array([high for _, high in node.ranges], column.dtype)

    def run(begin: int, end: int, mode: int, out: Words) -> None:
        for word in range(begin, end, _BLOCK_WORDS):
            if mode == AND and not out[word : min(word + _BLOCK_WORDS, end)].any():
                continue
            last = min(64 * min(word + _BLOCK_WORDS, end), rows)
            values = column.values[64 * word : last]
            place = np.searchsorted(lows, values, side="right") - 1
            hits = (place >= 0) & (values <= highs[place])
            scan.words_of_truth(hits.view(np.int8), np.int8(1), word, mode, out)

    return run


def _one_or_all(steps: list[Step]) -> Step:
    if not steps:
        return _constant(False)
    return steps[0] if len(steps) == 1 else _both(steps, OR)


def _code_step(column: Column, rows: int, first: int, last: int) -> Step:
    codes = column.scan_codes(rows).codes
    low, span = np.uint8(first), np.uint8(last - first)
    return lambda begin, end, mode, out: scan.scan_codes(codes, low, span, begin, end, mode, out)


def _range_step(column: Column, rows: int, low: Any, high: Any) -> Step:
    codes = column.scan_codes(rows)
    low, high = column.dtype.type(low), column.dtype.type(high)
    found = codes.between(low, high)
    if found is None:
        return _constant(False)
    if not found.edges:
        return _code_step(column, rows, found.first, found.last)
    bytes_, values = codes.codes, column.values
    first, span = np.uint8(found.first), np.uint8(found.last - found.first)
    edge_low, edge_high = np.uint8(found.edges[0]), np.uint8(found.edges[-1])

    def run(begin: int, end: int, mode: int, out: Words) -> None:
        scan.scan_codes_exact(
            bytes_, first, span, edge_low, edge_high, values, low, high, begin, end, mode, out
        )

    return run


def _entries(node: Entries, population: Population, clock: Clock) -> Step:
    column = population.column(node.trait)
    hits = population.truths(column, node.term, clock) == (1 if node.wanted else 0)
    known = np.flatnonzero(hits[1:])
    breaks = np.flatnonzero(np.diff(known) > 1)
    if len(breaks) < _MANY_RANGES:
        # Runs of neighbouring codes are ranges, which one byte a row decides.
        rows = population.customers.rows
        starts = known[np.append(0, breaks + 1)] if len(known) else known
        ends = known[np.append(breaks, len(known) - 1)] if len(known) else known
        steps = [_range_step(column, rows, a, b) for a, b in zip(starts, ends, strict=True)]
        if hits[0]:
            steps.append(_code_step(column, rows, 0, 0))
        return _one_or_all(steps)
    table, codes = hits.astype(np.uint8), column.values
    return lambda begin, end, mode, out: scan.scan_table_i32(codes, table, begin, end, mode, out)


def _computed(node: Computed, population: Population, clock: Clock) -> Step:
    wanted = np.int8(1 if node.wanted else 0)
    rows = population.customers.rows
    for term in node.term.walk():
        if term.op == "bucket":
            # Once, before several threads would each find it missing.
            population.buckets(str(term.args[0].value), 0, 0)

    def run(begin: int, end: int, mode: int, out: Words) -> None:
        for word in range(begin, end, _BLOCK_WORDS):
            if mode == AND and not out[word : min(word + _BLOCK_WORDS, end)].any():
                continue
            last = min(64 * min(word + _BLOCK_WORDS, end), rows)
            block = population.block(64 * word, last, clock)
            found = np.ascontiguousarray(truth(node.term, block).astype(np.int8))
            scan.words_of_truth(found, wanted, word, mode, out)

    return run


def values_of(term: Term, population: Population, rows: NDArray[np.int64], clock: Clock) -> Any:
    """The values of an expression for these rows, in the form `compute` gives."""
    parts = []
    for begin in range(0, population.customers.rows, 64 * _BLOCK_WORDS):
        end = min(begin + 64 * _BLOCK_WORDS, population.customers.rows)
        first, last = np.searchsorted(rows, (begin, end))
        if last > first:
            values = compute(term, population.block(begin, end, clock))
            picked = rows[first:last] - begin
            parts.append(values.take(pa.array(picked)) if isinstance(values, pa.Array)
                         else values[picked])  # fmt: skip
    if not parts:
        empty = np.empty(0, dtype_of(term.kind or Kind.BIGINT))
        return pa.array([], pa.large_string()) if term.kind is Kind.VARCHAR else empty
    return pa.concat_arrays(parts) if isinstance(parts[0], pa.Array) else np.concatenate(parts)
