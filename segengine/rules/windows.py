"""Where does a buyer stand among buyers, and what do those of a partition come to?

The base are the live buyers for whom the operand is known and the condition holds; outside it
there is no value. A fit over the base is kept for one state of the data: every rule that asks the
same of the same base shares it. percent_rank rises with the operand, so one cut a partition turns
it into a comparison.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.errors import ElsewhereError
from segengine.kernels import bits, jit, ranks
from segengine.rules.block import NO_INT, Clock
from segengine.rules.evaluate import values_of
from segengine.rules.frame import Words
from segengine.rules.plan import plan_rule
from segengine.rules.ranges import Range
from segengine.rules.term import COLUMNS, Term
from segengine.schema.kinds import Kind
from segengine.tables.column import Column, aligned, made_column

if TYPE_CHECKING:
    from segengine.rules.population import Population

_KEPT_FITS = 8
_ALL = Term("const", Kind.BOOLEAN, value=1)


@dataclass(slots=True)
class Fits:
    """The fits of the latest states, the oldest forgotten."""

    kept: OrderedDict[Term, tuple[object, Fit]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    are_elsewhere: bool = False
    """Whether only another process may look at all buyers; asking is an `ElsewhereError` then."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a function comes to over a base.

    operand: T[rows], in any row; base: the rows that count.
    groups: int32[rows], the partition of each row of the base; None for one partition
    table: float64 or int64[partitions], what an aggregate comes to; None for percent_rank, which
    has instead the base's values in ascending order, those of partition p from starts[p] on
    """

    kind: Kind
    base: Words
    operand: NDArray[Any]
    groups: NDArray[np.int32] | None
    table: NDArray[Any] | None
    starts: NDArray[np.int64]
    ordered: NDArray[Any]

    def _group(self, row: int) -> int:
        return 0 if self.groups is None else int(self.groups[row])

    def value(self, row: int) -> Any:
        """The value for one buyer; None outside the base."""
        if not (int(self.base[row >> 6]) >> (row & 63)) & 1:
            return None
        group = self._group(row)
        if self.table is not None:
            value = self.table[group]
            return None if value != value or value == NO_INT else value  # noqa: PLR0124 - NaN
        begin, end = self.starts[group], self.starts[group + 1]
        if end - begin == 1:
            return 0.0
        below = np.searchsorted(self.ordered[begin:end], self.operand[row])
        return float(below / (end - begin - 1))

    def column(self) -> Column:
        """The value for every buyer."""
        size = max(64, -(-len(self.operand) // 64) * 64)
        is_float = self.kind is Kind.DOUBLE
        out = aligned(size, np.dtype(np.float64 if is_float else np.int64),
                      np.nan if is_float else NO_INT)  # fmt: skip
        if self.table is not None:
            every = np.empty(0, np.int32) if self.groups is None else self.groups
            table, missing = self.table, out.dtype.type(np.nan if is_float else NO_INT)
            jit.over_ranges(
                lambda begin, end: ranks.spread(
                    self.base, every, table, missing, begin, end, out
                ), len(self.operand),
            )  # fmt: skip
            return made_column(self.kind, out)
        rows = np.empty(int(bits.count_bits(self.base)), np.int64)
        bits.rows_of(self.base, rows)
        groups = np.zeros(len(rows), np.int32) if self.groups is None else self.groups[rows]
        found = np.empty(len(rows), np.float64)
        ranks.percent_ranks(self.operand, rows, groups, self.starts, self.ordered, found)
        out[rows] = found
        return made_column(self.kind, out)

    def within(self, ranges: tuple[Range, ...], *, missing: bool) -> Words:
        """The rows whose value lies in one of the ranges; `missing`: also those without one."""
        out: Words = np.zeros(len(self.base), np.uint64)
        for low, high in ranges:
            lows, highs = self._cuts(low, high)
            self._add(lows, highs, out)
        bits.and_into(self.base, 0, len(out), out)
        if missing:
            out |= ~self.base
        return out

    def _cuts(self, low: Any, high: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """The operand's bounds in each partition; where none can be, they cross."""
        count = len(self.starts) - 1
        top = np.inf if self.operand.dtype.kind == "f" else np.iinfo(self.operand.dtype).max
        dtype = self.operand.dtype
        lows, highs = np.full(count, top, dtype), np.full(count, -top, dtype)
        if self.table is not None:
            # The same for every row of a partition.
            inside = (self.table >= low) & (self.table <= high)
            lows[inside], highs[inside] = -top, top
            return lows, highs
        for group in range(count):
            begin, end = int(self.starts[group]), int(self.starts[group + 1])
            if end > begin:
                values = self.ordered[begin:end]
                first = _first_rank(len(values), low)
                beyond = _first_rank(len(values), math.nextafter(high, math.inf))
                lows[group], highs[group] = _cut(values, first, beyond)
        return lows, highs

    def _add(self, lows: NDArray[Any], highs: NDArray[Any], out: Words) -> None:
        groups = self.groups

        def work(begin: int, end: int) -> None:
            if groups is None:
                ranks.within_one(self.operand, lows[0], highs[0], begin, end, out)
            else:
                ranks.within_groups(self.operand, groups, lows, highs, begin, end, out)

        if len(lows):
            jit.over_ranges(work, len(self.operand))


def _first_rank(count: int, share: float) -> int:
    """The least number of smaller values whose percent_rank is at least a share."""
    if count == 1:
        return 0 if share <= 0 else 1
    begin, end = 0, count
    while begin < end:
        middle = (begin + end) // 2
        if middle / (count - 1) >= share:
            end = middle
        else:
            begin = middle + 1
    return begin


def _cut(values: NDArray[Any], first: int, beyond: int) -> tuple[Any, Any]:
    """The least and greatest value with at least `first` and less than `beyond` smaller ones."""
    top = np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    none = values.dtype.type(top), values.dtype.type(-top)
    if first >= len(values) or beyond <= first:
        return none
    low = values[first]
    if int(np.searchsorted(values, low)) < first:
        place = int(np.searchsorted(values, low, side="right"))
        if place == len(values):
            return none
        low = values[place]
    return low, values[min(beyond, len(values)) - 1]


def fit(source: Term, population: Population, clock: Clock) -> Fit:
    """The fit of a comparison with other buyers, as the data is now."""
    state = (population.version, clock.as_of)
    fits = population.fits
    if fits.are_elsewhere:
        raise ElsewhereError("only the process that writes compares a buyer with all", field="rule")
    with fits.lock:
        found = fits.kept.get(source)
        if found is not None and found[0] == state:
            fits.kept.move_to_end(source)
            return found[1]
    made = _fitted(source, population, clock)
    with fits.lock:
        fits.kept[source] = (state, made)
        if len(fits.kept) > _KEPT_FITS:
            fits.kept.popitem(last=False)
    return made


def _fitted(source: Term, population: Population, clock: Clock) -> Fit:
    operand, where, *parts = source.args
    function, share = source.value
    live = population.customers.live
    base: Words = live.copy()
    if where != _ALL:
        plan = plan_rule(where, population.domain, clock, population.money_scale)
        base = population.words(plan)
    values, missing = _operand(operand, population, clock)
    ranks.only_known(values, values.dtype.type(missing), base)
    rows = np.empty(int(bits.count_bits(base)), np.int64)
    bits.rows_of(base, rows)
    groups, count = _groups(parts, rows, population, clock)
    taken = values[rows]
    grouped = np.zeros(len(rows), np.int32) if groups is None else groups
    of_row = None
    if groups is not None:
        of_row = np.zeros(population.rows, np.int32)
        of_row[rows] = groups
    sizes = np.bincount(grouped, minlength=count)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    kind = source.kind or Kind.DOUBLE
    unit = 10**population.money_scale if operand.kind is Kind.MONEY else 1
    if function == "avg":
        table = _averages(taken, grouped, count, unit)
        return Fit(kind, base, values, of_row, table, starts, taken[:0])
    ordered = np.empty_like(taken)
    if groups is None:
        ordered[:] = np.sort(taken)
    else:
        ranks.distribute(taken, grouped, starts[:-1].copy(), ordered)
        for begin, end in pairwise(starts):
            ordered[begin:end].sort()
    if function == "percent_rank":
        return Fit(kind, base, values, of_row, None, starts, ordered)
    table = _picked(function, share, ordered, starts, unit, kind)
    return Fit(kind, base, values, of_row, table, starts, ordered[:0])


def _operand(operand: Term, population: Population, clock: Clock) -> tuple[NDArray[Any], Any]:
    """The operand for every row in a column's form, and what stands for missing."""
    if operand.op in COLUMNS:
        column = population.column(operand)
        return column.values[: population.rows], column.missing
    rows = np.arange(population.rows, dtype=np.int64)
    values = values_of(operand, population, rows, clock)
    return values, np.nan if values.dtype.kind == "f" else NO_INT


def _groups(
    parts: list[Term], rows: NDArray[np.int64], population: Population, clock: Clock
) -> tuple[NDArray[np.int32] | None, int]:
    """The partition of each of these rows, counted from 0, and how many there are."""
    if not parts:
        return None, 1
    found = np.zeros(len(rows), np.int64)
    for part in parts:
        if part.op in COLUMNS and population.column(part).kind.is_coded:
            codes = population.column(part).values[rows].astype(np.int64) + 1
        else:
            values = values_of(part, population, rows, clock)
            if hasattr(values, "dictionary_encode"):
                codes = values.dictionary_encode().indices.fill_null(-1).to_numpy() + 1
            else:
                codes = np.unique(values, return_inverse=True, equal_nan=True)[1]
        codes = codes.astype(np.int64)
        found = found * (int(codes.max(initial=0)) + 1) + codes
        if int(found.max(initial=0)) > 1 << 20:
            found = np.unique(found, return_inverse=True)[1].astype(np.int64)
    return found.astype(np.int32), int(found.max(initial=0)) + 1


def _averages(
    values: NDArray[Any], groups: NDArray[np.int32], count: int, unit: int
) -> NDArray[np.float64]:
    sizes = np.bincount(groups, minlength=count)
    with np.errstate(all="ignore"):
        if values.dtype.kind == "f":
            sums = np.bincount(groups, weights=values, minlength=count)
            found = sums / sizes
            found[~np.isfinite(found)] = np.nan
            return found
        highs, lows = np.zeros(count, np.int64), np.zeros(count, np.int64)
        ranks.sum_groups(values, groups, highs, lows)
    return np.array([
        ((int(high) << 32) + int(low)) / (int(size) * unit) if size else np.nan
        for high, low, size in zip(highs, lows, sizes, strict=True)
    ])  # fmt: skip


def _picked(
    function: str,
    share: float | None,
    ordered: NDArray[Any],
    starts: NDArray[np.int64],
    unit: int,
    kind: Kind,
) -> NDArray[Any]:
    """min, max, median or a quantile of each partition, between two values where it falls there."""
    count = len(starts) - 1
    is_float = kind is Kind.DOUBLE
    found = np.full(count, np.nan if is_float else NO_INT, np.float64 if is_float else np.int64)
    for group in range(count):
        begin, end = int(starts[group]), int(starts[group + 1])
        if begin == end:
            continue
        if function in ("min", "max"):
            found[group] = ordered[begin if function == "min" else end - 1]
            continue
        place = (end - begin - 1) * (0.5 if share is None else share)
        below = int(place)
        low = float(ordered[begin + below]) / unit
        high = float(ordered[begin + min(below + 1, end - begin - 1)]) / unit
        found[group] = low + (high - low) * (place - below)
    return found
