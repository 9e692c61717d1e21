"""Plan -> the rows for which the rule holds; or: does it hold for this one row?

A rule is a program over compiled scans: row ranges run on a thread pool, each range runs the
whole program. The same plan answers for one row by looking at its values alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import stopping
from segengine.kernels import bits, jit, scan, table_scan
from segengine.kernels.scan import AND, OR, SET
from segengine.rules.block import Block, Clock
from segengine.rules.by_value import Step, by_value, few_values, looked_up
from segengine.rules.compute import compute, truth
from segengine.rules.frame import Frame, Words, truths
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
)
from segengine.rules.program import program_of
from segengine.rules.ranges import Range
from segengine.rules.term import COLUMNS, Term
from segengine.schema.kinds import Kind, dtype_of
from segengine.tables.column import Column
from segengine.tables.dictionary import Dictionary

StandingWords = Callable[[Node], Words | None]
"""The bitmap of a leaf that is kept; None for any other."""

_BLOCK_WORDS = 1024
_PIECE = 1 << 19
"""Rows between two looks at whether anybody still waits: some ms of the slowest conditions."""
_ALIGN = 1 << 14
_MANY_RANGES = 8
_MANY_RUNS = 12
_MANY_OPEN = 0.01
"""The share of rows that codes leave open from which on a look-up a row costs less."""
_MOST_COUNTED = 254
_BOUNDLESS = 2**62


@dataclass(slots=True)
class Scan:
    """One evaluation over all rows of a frame, and what had to be made for it."""

    frame: Frame
    clock: Clock
    standing: StandingWords | None = None
    made: dict[Term, Column] = field(default_factory=dict)
    counted: dict[tuple[Term, int], Column] = field(default_factory=dict)

    def column(self, source: Term, most: int | None = None) -> Column:
        """The column of a source, made once if it is none; counts may stop at `most`."""
        if source.op in COLUMNS:
            return self.frame.column(source)
        if most is not None:
            key = (source, most)
            if key not in self.counted:
                self.counted[key] = self.frame.make(source, self.clock, most)
            return self.counted[key]
        stopping.go_on()
        if source not in self.made:
            self.made[source] = self.frame.make(source, self.clock, None)
        return self.made[source]


def bitmap(root: Node, frame: Frame, clock: Clock, standing: StandingWords | None = None) -> Words:
    """The rows of a frame for which a node holds: uint64[words]; bits beyond them may be set.

    standing: gives the bitmaps of leaves that are kept.
    """
    out: Words = np.empty((frame.rows + 63) // 64, np.uint64)
    step = _step(root, Scan(frame, clock, standing))
    stop = stopping.current()

    def run(begin: int, end: int) -> None:
        size = max(1, end - begin) if stop is None else _PIECE
        for first in range(begin, end, size):
            # It is raised below, when no thread is in the tables any more.
            if stop is not None and stop.is_set:
                return
            step(first // 64, (min(first + size, end) + 63) // 64, SET, out)

    jit.over_ranges(run, frame.rows, align=_ALIGN)
    stopping.go_on()
    return out


def evaluate(
    plan: Plan, population: Frame, live: Words, standing: StandingWords | None = None
) -> Words:
    """The live rows for which the rule holds, as a bitmap: uint64[words]."""
    out = bitmap(plan.root, population, plan.clock, standing)
    bits.and_into(live, 0, len(out), out)
    return out


def holds(node: Node, frame: Frame, row: int, clock: Clock, block: Callable[[], Block]) -> bool:
    """Whether a node holds for one row; `block` is that row for computing over."""
    match node:
        case AllOf(parts=parts):
            return all(holds(p, frame, row, clock, block) for p in parts)
        case AnyOf(parts=parts):
            return any(holds(p, frame, row, clock, block) for p in parts)
        case Everyone(holds=found):
            return found
        case Ranges(source=source, ranges=ranges, missing=missing):
            value = _value(frame, source, row, clock)
            if value is None:
                return missing
            place = bisect_right(ranges, value, key=itemgetter(0)) - 1
            return bool(place >= 0 and value <= ranges[place][1])
        case Entries(source=source, term=term, wanted=wanted):
            if source.op in COLUMNS:
                column = frame.column(source)
                entry = truths(frame, column.dictionary, term, clock)[column.values[row] + 1]
                return bool(entry == (1 if wanted else 0))
            return bool(truth(term, block())[0] == (1 if wanted else 0))
        case Joined(through=through, node=inner):
            raise AssertionError(f"{through} of one event are computed: {inner}")
        case Computed(term=term, wanted=wanted):
            return bool(truth(term, block())[0] == (1 if wanted else 0))
    raise AssertionError(f"a step without a meaning: {node!r}")


def _value(frame: Frame, source: Term, row: int, clock: Clock) -> Any:
    """The value of a source for one row; None for a missing one."""
    if source.op not in COLUMNS:
        return frame.value(source, row, clock)
    column = frame.column(source)
    value = column.values[row]
    return None if value != value or value == column.missing else value  # noqa: PLR0124 - NaN


def _step(node: Node, run: Scan) -> Step:
    if run.standing is not None and isinstance(node, Ranges | Entries | Computed):
        kept = run.standing(node)
        if kept is not None:
            return _given(kept)
    match node:
        case AllOf(parts=parts):
            return _both([_step(p, run) for p in parts], AND)
        case AnyOf(parts=parts):
            return _both([_step(p, run) for p in parts], OR)
        case Everyone(holds=found):
            return _constant(found)
        case Ranges():
            return _ranges(node, run)
        case Entries():
            return _entries(node, run)
        case Joined():
            return _joined(node, run)
        case Computed():
            return _computed(node, run)
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


def _given(words: Words) -> Step:
    """Rows that are known already."""

    def run(begin: int, end: int, mode: int, out: Words) -> None:
        if mode == SET:
            out[begin:end] = words[begin:end]
        elif mode == AND:
            bits.and_into(words, begin, end, out)
        else:
            bits.or_into(words, begin, end, out)

    return run


def _ranges(node: Ranges, run: Scan) -> Step:
    rows, source = run.frame.rows, node.source
    if source.op == "window":
        return _given(run.frame.chosen(node, run.clock))
    column = run.column(source, _most_of(node))
    kept = not column.is_made
    if not kept:
        if len(node.ranges) > _MANY_RANGES:
            steps = [_many_ranges(column, rows, node.ranges)]
        else:
            steps = [_plain_step(column, rows, low, high) for low, high in node.ranges]
        return _one_or_all(steps + [_missing_step(column, rows)] * node.missing)
    if len(node.ranges) <= 1:
        steps = [_range_step(column, rows, low, high) for low, high in node.ranges]
        return _one_or_all(steps + [_code_step(column, rows, 0, 0)] * node.missing)
    lows = np.array([low for low, _ in node.ranges], column.dtype)
    highs = np.array([high for _, high in node.ranges], column.dtype)
    return _several_ranges(column, rows, lows, highs, missing=node.missing)


def _several_ranges(
    column: Column, rows: int, lows: NDArray[Any], highs: NDArray[Any], *, missing: bool
) -> Step:
    """Several ranges in one pass over the codes; ascending and disjoint."""
    codes = column.scan_codes(rows)
    inside, edges = codes.among(lows, highs)
    if missing:
        inside = np.append(np.int64(0), inside)
    breaks = np.flatnonzero(np.diff(inside) > 1)
    if len(edges) and codes.shares[edges].sum() > _MANY_OPEN:
        values = few_values(column, rows)
        if values is not None:
            # A code that leaves rows open has several values: the array has those, not codes.
            every = values.least + np.arange(values.count, dtype=np.int64)
            return looked_up(values, _in_ranges(every, lows, highs), missing=missing)
    if len(breaks) + len(edges) > _MANY_RUNS:
        table = np.zeros(256, np.uint8)
        table[inside], table[edges], held = 1, 2, column.values
        return lambda begin, end, mode, out: table_scan.scan_code_table(
            codes.codes, table, held, lows, highs, begin, end, mode, out
        )
    firsts = inside[np.append(0, breaks + 1)] if len(inside) else inside
    lasts = inside[np.append(breaks, len(inside) - 1)] if len(inside) else inside
    spans, begins = (lasts - firsts).astype(np.uint8), firsts.astype(np.uint8)
    checked, held = edges.astype(np.uint8), column.values

    def run(begin: int, end: int, mode: int, out: Words) -> None:
        scan.scan_ranges(
            codes.codes, codes.block_least, codes.block_greatest, begins, spans, checked,
            held, lows, highs, begin, end, mode, out,
        )  # fmt: skip

    return run


def _most_of(node: Ranges) -> int | None:
    """How far a count has to go for these ranges to tell it apart, if that is not far."""
    if node.source.op != "history" or node.source.value.agg != "count":
        return None
    bounds = [bound for pair in node.ranges for bound in pair if 0 <= bound < _BOUNDLESS]
    most = max(bounds, default=0)
    return most if most <= _MOST_COUNTED else None


def _plain_step(column: Column, rows: int, low: Any, high: Any) -> Step:
    """A comparison of values that were made for this evaluation and have no codes."""
    values = column.values
    if values.dtype.kind == "f":
        low, high = values.dtype.type(low), values.dtype.type(high)
        return lambda begin, end, mode, out: scan.scan_values(
            values, low, high, rows, begin, end, mode, out
        )
    info = np.iinfo(values.dtype)
    low, high = max(int(low), info.min), min(int(high), info.max)
    if low > high:
        return _constant(False)
    unsigned = values.view(f"u{values.itemsize}")
    first = np.array([low], values.dtype).view(unsigned.dtype)[0]
    span = unsigned.dtype.type(high - low)
    return lambda begin, end, mode, out: scan.scan_within(
        unsigned, first, span, begin, end, mode, out
    )


def _missing_step(column: Column, rows: int) -> Step:
    """Which made values are missing."""
    if column.values.dtype.kind != "f":
        if column.values.dtype.kind == "u":
            return _constant(False)
        return _plain_step(column, rows, column.missing, column.missing)
    values = column.values

    def step(begin: int, end: int, mode: int, out: Words) -> None:
        taken = values[64 * begin : min(64 * end, rows)]
        scan.words_of_truth(np.isnan(taken).view(np.int8), np.int8(1), begin, mode, out)

    return step


def _in_ranges(values: NDArray[Any], lows: NDArray[Any], highs: NDArray[Any]) -> NDArray[np.bool_]:
    place = np.searchsorted(lows, values, side="right") - 1
    return np.asarray((place >= 0) & (values <= highs[place]))


def _many_ranges(column: Column, rows: int, ranges: Sequence[Range]) -> Step:
    """One look at each value instead of a scan for each range."""
    dtype = column.values.dtype
    lows = np.array([low for low, _ in ranges], dtype)
    highs = np.array([high for _, high in ranges], dtype)

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
    codes = column.scan_codes(rows)
    low, span = np.uint8(first), np.uint8(last - first)
    return lambda begin, end, mode, out: scan.scan_codes(
        codes.codes, codes.block_least, codes.block_greatest, low, span, begin, end, mode, out
    )


def _range_step(column: Column, rows: int, low: Any, high: Any) -> Step:
    codes = column.scan_codes(rows)
    low, high = column.dtype.type(low), column.dtype.type(high)
    found = codes.between(low, high)
    if found is None:
        return _constant(False)
    if not found.edges:
        return _code_step(column, rows, found.first, found.last)
    values = column.values
    first, span = np.uint8(found.first), np.uint8(found.last - found.first)
    edge_low, edge_high = np.uint8(found.edges[0]), np.uint8(found.edges[-1])

    def run(begin: int, end: int, mode: int, out: Words) -> None:
        scan.scan_codes_exact(
            codes.codes, codes.block_least, codes.block_greatest,
            first, span, edge_low, edge_high, values, low, high, begin, end, mode, out,
        )  # fmt: skip

    return run


def _entries(node: Entries, run: Scan) -> Step:
    texts = run.frame.edge_texts(node.source)
    if texts is not None and node.source not in run.made:
        with_missing, known = _wanted_codes(node, texts, run)
        if not with_missing:
            table = np.zeros(1 + texts.size, np.uint8)
            table[known] = 1
            return _given(run.frame.edge_words(node.source, table, run.clock))
    column, rows = run.column(node.source), run.frame.rows
    dictionary = column.dictionary
    assert dictionary is not None
    with_missing, known = _wanted_codes(node, dictionary, run)
    breaks = np.flatnonzero(np.diff(known) > 1)
    if len(breaks) < _MANY_RUNS and not column.is_made:
        # Runs of neighbouring codes are ranges, which one byte a row decides.
        starts = known[np.append(0, breaks + 1)] if len(known) else known
        ends = known[np.append(breaks, len(known) - 1)] if len(known) else known
        if len(starts) == 1:
            step = _range_step(column, rows, starts[0], ends[0])
            return _one_or_all([step] + [_code_step(column, rows, 0, 0)] * with_missing)
        if not len(starts):
            return _code_step(column, rows, 0, 0) if with_missing else _constant(False)
        lows, highs = starts.astype(column.dtype), ends.astype(column.dtype)
        return _several_ranges(column, rows, lows, highs, missing=with_missing)
    table = np.zeros(1 + dictionary.size, np.uint8)
    table[known], table[-1] = 1, with_missing
    return _by_code(column.values, table)


def _wanted_codes(
    node: Entries, dictionary: Dictionary, run: Scan
) -> tuple[bool, NDArray[np.int64]]:
    """Whether a missing text satisfies, and the codes of those that do, ascending."""
    listed = listed_codes(node, dictionary)
    if listed is not None:
        return False, listed
    hits = truths(run.frame, dictionary, node.term, run.clock) == (1 if node.wanted else 0)
    return bool(hits[0]), np.flatnonzero(hits[1:])


def _by_code(codes: NDArray[np.int32], table: NDArray[np.uint8]) -> Step:
    """Rows for whose code the table says 1; its last entry is for rows without one."""
    none = np.uint64(0)
    return lambda begin, end, mode, out: table_scan.scan_table(
        codes, none, table, begin, end, mode, out
    )


def listed_codes(node: Entries, dictionary: Dictionary) -> NDArray[np.int64] | None:
    """The codes of texts that the condition names, ascending; None where it names none.

    Nothing is asked of the other texts, however many there are.
    """
    term = node.term
    if node.source.kind is not Kind.VARCHAR or not node.wanted:
        return None
    if term.op == "=" and node.source in term.args:
        texts = [a.value for a in term.args if a.op == "const" and a.value is not None]
        if len(texts) != 1:
            return None
    elif term.op == "in" and term.args[0] == node.source:
        texts = sorted(term.value[0])
    else:
        return None
    codes = dictionary.find(pa.array(texts, pa.large_string()))
    return np.unique(codes[codes >= 0]).astype(np.int64)


def _joined(node: Joined, run: Scan) -> Step:
    """Rows whose row in another frame holds: that frame is asked once, each row looks it up."""
    places, by_code = run.frame.places(node.through)
    there = bitmap(node.node, run.frame.other(node.through), run.clock)
    unplaced = node.unplaced
    if by_code is None:
        return lambda begin, end, mode, out: scan.probe(
            places, there, unplaced, begin, end, mode, out
        )
    table = np.full(1 + len(by_code), unplaced, np.uint8)
    placed = np.flatnonzero(by_code >= 0)
    rows = by_code[placed]
    bit = (there[rows >> 6] >> (rows & 63).astype(np.uint64)) & np.uint64(1)
    table[placed] = bit.astype(np.uint8)
    return _by_code(places, table)


def _computed(node: Computed, run: Scan) -> Step:
    looked = by_value(node, run.frame, run.clock, run.column)
    if looked is not None:
        return looked
    wanted = np.int8(1 if node.wanted else 0)
    frame, clock = run.frame, run.clock
    rows = frame.rows
    for term in node.term.walk():
        if term.op == "bucket":
            # Once, before several threads would each find it missing.
            compute(term, frame.block(slice(0, 0), clock))
    for source in dict.fromkeys(node.term.sources()):
        run.column(source) if source.op not in COLUMNS else None
    program = program_of(node.term, frame, clock, run.column)

    def step(begin: int, end: int, mode: int, out: Words) -> None:
        before = out[begin:end].copy() if program is not None and mode != SET else None
        if program is not None:
            if program.run(2 if node.wanted else 0, begin, end, mode, out):
                return
            if before is not None:
                out[begin:end] = before
        for word in range(begin, end, _BLOCK_WORDS):
            if mode == AND and not out[word : min(word + _BLOCK_WORDS, end)].any():
                continue
            last = min(64 * min(word + _BLOCK_WORDS, end), rows)
            block = frame.block(slice(64 * word, last), clock, run.made)
            found = np.ascontiguousarray(truth(node.term, block).astype(np.int8))
            scan.words_of_truth(found, wanted, word, mode, out)

    return step


def values_of(term: Term, frame: Frame, rows: NDArray[np.int64], clock: Clock) -> Any:
    """The values of an expression for these rows, ascending, in the form `compute` gives."""
    run = Scan(frame, clock)
    for source in dict.fromkeys(term.sources()):
        if source.op not in COLUMNS:
            run.column(source)
    parts = []
    for begin in range(0, len(rows), 64 * _BLOCK_WORDS):
        stopping.go_on()
        block = frame.block(rows[begin : begin + 64 * _BLOCK_WORDS], clock, run.made)
        parts.append(compute(term, block))
    if not parts:
        empty = np.empty(0, dtype_of(term.kind or Kind.BIGINT))
        return pa.array([], pa.large_string()) if term.kind is Kind.VARCHAR else empty
    return pa.concat_arrays(parts) if isinstance(parts[0], pa.Array) else np.concatenate(parts)
