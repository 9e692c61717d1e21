"""How large would the audience be if this threshold were another?

A comparison stands once in its rule, so the rule can only gain when it becomes true (or only
lose, under NOT). Hence two evaluations are enough: with the comparison replaced by TRUE, and by
FALSE. Where both agree no threshold matters; the other buyers are counted by their value, and
the counts added up in the direction of the comparison give every size at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import DefinitionError, UnknownNameError, did_you_mean
from segengine.kernels import bits, jit, tallies
from segengine.rules import expr as e
from segengine.rules.block import NO_INT, Block, Clock
from segengine.rules.compute import compute
from segengine.rules.evaluate import values_of
from segengine.rules.format import format_expr, shown_expr
from segengine.rules.frame import Words
from segengine.rules.functions import named
from segengine.rules.leaves import is_leaf
from segengine.rules.population import Population
from segengine.rules.term import Term
from segengine.schema.kinds import MONEY_DIGITS, Kind
from segengine.tables.column import Column, arrow_of

MOST_POINTS = 1_000
_EDGES = 254
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_STEPS = ("to_double", "to_money", "to_instant")
_KINDS = (Kind.BIGINT, Kind.DOUBLE, Kind.MONEY, Kind.DATE, Kind.TIMESTAMP)
WordsOf = Callable[[Term], Words]
"""The live rows for which a condition holds."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A comparison `trait op constant`; `path` leads to it, `wanted` is False under NOT.

    `constant` is what the trait is compared with, None where that is no value of its kind.
    """

    path: tuple[int, ...]
    trait: Term
    op: str
    wanted: bool
    constant: Term | None


@dataclass(frozen=True, slots=True)
class _Bins:
    """How many rows have a value in [least, greatest]: ascending, disjoint, none overlapping."""

    least: NDArray[Any]
    greatest: NDArray[Any]
    counts: NDArray[np.int64]


def curve(
    term: Term, trait: str, leaf: int, population: Population, clock: Clock, words_of: WordsOf
) -> pa.Table:
    """Table(threshold, count): the size of the audience for each threshold of one comparison.

    trait: whose comparison; leaf: which one of several, counted from 0 as written. threshold: of
    the trait's kind, ascending, from the least to the greatest value that a buyer has for whom
    it decides, and the rule's own; count: int64, buyers. Buyers whose trait is missing count
    where the rule holds without the comparison. Raises `UnknownNameError` for an unknown trait,
    `DefinitionError` where the rule has no such comparison.
    """
    name = _known(trait, term, population)
    threshold = _chosen(term, name, leaf)
    holds = words_of(_replaced(term, threshold.path, truth=True))
    fails = words_of(_replaced(term, threshold.path, truth=False))
    decided = holds ^ fails
    holds &= fails
    always = int(bits.count_bits(holds))
    column = population.column(threshold.trait) if threshold.trait.op == "column" else None
    if column is None:
        bins = _computed_bins(threshold.trait, decided, population, clock)
    else:
        bins = _column_bins(column, decided, population.rows)
    op = threshold.op if threshold.wanted else _OPPOSITE[threshold.op]
    points, counts = _added_up(bins, op)
    counts += always
    own = _own(threshold, population, clock)
    if own is not None and not (points == own).any():
        size = int(bits.count_bits(words_of(term)))
        place = int(np.searchsorted(points, own))
        points = np.insert(points, place, own)
        counts = np.insert(counts, place, size)
    kind = threshold.trait.kind or Kind.BIGINT
    digits = MONEY_DIGITS if column is None else column.digits
    shown = arrow_of(points, kind, None, population.money_scale, digits)
    return pa.table({"threshold": shown, "count": pa.array(counts, pa.int64())})


def _known(trait: object, term: Term, population: Population) -> str:
    """The name of a trait there is."""
    known = population.kinds()
    name = trait.lower() if isinstance(trait, str) else str(trait)
    if name not in known and not any(t.op == "declared" and t.value == name for t in term.walk()):
        hint = did_you_mean(name, list(known))
        raise UnknownNameError(
            f"unknown trait `{trait}`" + (f"; {hint}" if hint else ""), field="trait"
        )
    return name


def _chosen(term: Term, name: str, leaf: int) -> Threshold:
    found = list(_thresholds(term, name, (), wanted=True))
    if not found:
        _refuse(term, name)
    if not 0 <= leaf < len(found):
        many = f"{len(found)} thresholds" if len(found) > 1 else "one threshold"
        raise DefinitionError(
            f"the rule has {many} of `{name}`, counted from 0: there is no `leaf={leaf}`",
            field="leaf",
        )
    kind = found[leaf].trait.kind
    if kind not in _KINDS:
        said = named(kind) if kind is not None else "always missing"
        raise DefinitionError(
            f"a curve is of a number, a date or a time, and `{name}` is {said}", field="trait"
        )
    return found[leaf]


def _thresholds(
    term: Term, name: str, path: tuple[int, ...], *, wanted: bool
) -> Iterator[Threshold]:
    """The comparisons of a trait with a constant in written order, those in segments too."""
    if term.op == "segment" or not is_leaf(term):
        for place, arg in enumerate(term.args):
            inside = wanted != (term.op == "not")
            yield from _thresholds(arg, name, (*path, place), wanted=inside)
        return
    written = term.source
    if not isinstance(written, e.Compare) or written.op not in _TURNED or term.op not in _TURNED:
        return
    op = written.op
    if not _is_name(written.left, name):
        if not _is_name(written.right, name):
            return
        op = _TURNED[op]
    first, second = term.args
    turned = next(first.sources(), None) is None
    if turned:
        first, second = second, first
    open_ = any(t.op in ("context", "bucket") for t in second.walk())
    if open_ or next(second.sources(), None) is not None:
        return
    trait = first
    while trait.op in _STEPS:
        trait = trait.args[0]
    # Money against a number between two amounts was checked as another comparison.
    same = trait is first and (_TURNED[term.op] if turned else term.op) == op
    yield Threshold(path, trait, op, wanted, second if same else None)


def _is_name(expr: e.Expr, name: str) -> bool:
    return isinstance(expr, e.Name) and expr.name == name and expr.scope in ("", "customers")


def _refuse(term: Term, name: str) -> NoReturn:
    """What the trait stands in, if not in a comparison that has a threshold."""
    allowed = "a curve moves the threshold of one comparison with a value, by <, <=, > or >="
    for leaf in _leaves(term):
        if leaf.source is None or name not in _names(leaf.source):
            continue
        help_ = ""
        if isinstance(leaf.source, e.Between) and _is_name(leaf.source.operand, name):
            operand = leaf.source.operand
            low = format_expr(e.Compare(">=", operand, leaf.source.low))
            high = format_expr(e.Compare("<=", operand, leaf.source.high))
            help_ = f"; write `{low} AND {high}`"
        raise DefinitionError(
            f"{shown_expr(leaf.source)} has no threshold to move: {allowed}{help_}", field="trait"
        )
    raise DefinitionError(
        f"the rule does not ask for `{name}`: {allowed}, such as `{name} <= 30`", field="trait"
    )


def _leaves(term: Term) -> Iterator[Term]:
    if term.op == "segment" or not is_leaf(term):
        for arg in term.args:
            yield from _leaves(arg)
    else:
        yield term


def _names(expr: e.Expr) -> set[str]:
    found = {expr.name} if isinstance(expr, e.Name) else set()
    for child in e.inner(expr):
        found |= _names(child)
    return found


def _replaced(term: Term, path: tuple[int, ...], *, truth: bool) -> Term:
    """The rule with the condition at a path replaced by TRUE or FALSE."""
    if not path:
        return Term("const", Kind.BOOLEAN, value=int(truth))
    place, rest = path[0], path[1:]
    args = list(term.args)
    args[place] = _replaced(args[place], rest, truth=truth)
    return replace(term, args=tuple(args))


def _own(threshold: Threshold, population: Population, clock: Clock) -> Any:
    """The value that the rule has now; None where it is none of the trait's kind."""
    if threshold.constant is None:
        return None
    block = Block(1, clock, population.money_scale, lambda source: source)
    value = compute(threshold.constant, block)[0]
    missing = value != value or (threshold.trait.kind is not Kind.DOUBLE and value == NO_INT)  # noqa: PLR0124 - NaN
    return None if missing else value


def _added_up(bins: _Bins, op: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """For each threshold at which a bin begins or ends, the rows on its side of it."""
    upto = np.cumsum(bins.counts)
    total = upto[-1] if len(upto) else 0
    if op in ("<=", ">"):
        return bins.greatest, upto if op == "<=" else total - upto
    before = upto - bins.counts
    return bins.least, before if op == "<" else total - before


def _column_bins(column: Column, decided: Words, rows: int) -> _Bins:
    """The rows of a column by value where there are few values, else by scan code."""
    codes = column.scan_codes(rows)
    counts = _by_threads(
        lambda begin, end, out: tallies.tally_codes(codes.codes, decided, begin, end, out),
        len(decided), 256,
    )  # fmt: skip
    counts[0] = 0
    seen = np.flatnonzero(counts)
    least, greatest = codes.bounds()
    bins = _Bins(least[seen].astype(_wide(column)), greatest[seen].astype(_wide(column)),
                 counts[seen])  # fmt: skip
    span = int(bins.greatest[-1]) - int(bins.least[0]) + 1 if len(seen) else 0
    if column.kind is Kind.DOUBLE or not 0 < span < MOST_POINTS:
        return bins
    first = int(bins.least[0])
    if (bins.least == bins.greatest).all():
        by_value = np.zeros(span, np.int64)
        by_value[bins.least - first] = bins.counts
        return _dense(by_value, first)
    by_value = _by_threads(
        lambda begin, end, out: tallies.tally_values(
            column.values, decided, first, begin, end, out
        ),
        len(decided), span,
    )  # fmt: skip
    return _dense(by_value, first)


def _wide(column: Column) -> type[np.int64 | np.float64]:
    return np.float64 if column.kind is Kind.DOUBLE else np.int64


def _dense(by_value: NDArray[np.int64], first: int) -> _Bins:
    """A bin for every whole number from the least to the greatest that some row has."""
    seen = np.flatnonzero(by_value)
    by_value = by_value[seen[0] : seen[-1] + 1]
    values = first + int(seen[0]) + np.arange(len(by_value), dtype=np.int64)
    return _Bins(values, values, by_value)


def _by_threads(
    work: Callable[[int, int, NDArray[np.int64]], None], words: int, size: int
) -> NDArray[np.int64]:
    """What the ranges of all words count, each into counters of its own: int64[size]."""
    found: list[NDArray[np.int64]] = []

    def ranged(begin: int, end: int) -> None:
        out = np.zeros((tallies.LANES, size), np.int64)
        work(begin // 64, end // 64, out)
        found.append(out)

    jit.over_ranges(ranged, 64 * words, align=1 << 14)
    return np.sum(found, axis=(0, 1), dtype=np.int64)


def _computed_bins(trait: Term, decided: Words, population: Population, clock: Clock) -> _Bins:
    """The rows of a trait that is an expression, by value or in bins of about equal size."""
    rows = np.empty(int(bits.count_bits(decided)), np.int64)
    bits.rows_of(decided, rows)
    values = values_of(trait, population, rows, clock)
    is_float = values.dtype.kind == "f"
    known = ~np.isnan(values) if is_float else values != NO_INT
    found, counts = np.unique(values[known], return_counts=True)
    if len(found) == 0:
        return _Bins(found, found, counts.astype(np.int64))
    span = 0 if is_float else int(found[-1]) - int(found[0]) + 1
    if 0 < span < MOST_POINTS:
        by_value = np.zeros(span, np.int64)
        by_value[found - found[0]] = counts
        return _dense(by_value, int(found[0]))
    if len(found) < MOST_POINTS:
        return _Bins(found, found, counts.astype(np.int64))
    group = (np.cumsum(counts) - 1) * _EDGES // int(counts.sum())
    starts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    ends = np.append(starts[1:], len(found)) - 1
    return _Bins(found[starts], found[ends], np.add.reduceat(counts, starts).astype(np.int64))
