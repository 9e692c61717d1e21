"""What do a buyer's events come to: for every buyer at once, or for one?

The condition is planned and scanned over the event table as a rule is over buyers; the rows that
are left are folded by owner. For one buyer the chain of their events is followed instead. Events
later than as_of do not exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.kernels import bits, fold, jit
from segengine.rules.block import NO_INT, Clock
from segengine.rules.compute import compute
from segengine.rules.dealing import dealt
from segengine.rules.evaluate import bitmap
from segengine.rules.events import ALL, Events, taken, target_of
from segengine.rules.frame import (
    Words,
)
from segengine.rules.plan import plan_events
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDERS
from segengine.tables.column import Column, JoinedColumn, aligned, made_column
from segengine.tables.dictionary import Dictionary
from segengine.tables.list_column import ListColumn

_NO_COUNTS: NDArray[np.int32] = np.empty(0, np.int32)


def aggregated(source: Term, events: Events, owners: int, clock: Clock, most: int | None) -> Column:
    """An aggregate of every buyer's events; counts may stop at `most` and are then uint8."""
    how = source.value
    operand, where = source.args
    if how.agg == "count":
        return _counted(source, events, owners, clock, most)
    words = events.words(where, clock)
    owner = events.table.extra("owner")
    kind, dictionary = source.kind or Kind.BIGINT, _dictionary(events, operand)
    if how.agg in ("first", "last"):
        places = _edges(how.agg, words, events, owners)
        return made_column(kind, _at(events, operand, places, clock), dictionary)
    values, missing = events.values(operand, words, clock)
    if how.agg in ("min", "max"):
        found = _extreme(how.agg, dictionary, words, owner, values, missing, owners)
        return made_column(kind, found, dictionary)
    scale = events.money_scale
    return made_column(kind, _summed(source, words, owner, values, missing, owners, scale))


def _edges(agg: str, words: Words, events: Events, owners: int) -> NDArray[np.int32]:
    """The row of each owner's first or last event of a bitmap by (time, arrival), -1 for none."""
    places = aligned(_padded(owners), np.dtype(np.int32), -1)
    times, owner = events.table.columns["time"].values, events.table.extra("owner")
    best = np.empty(len(places), np.int64)
    for hand in dealt(words, owner, owners, times, with_rows=True):
        hand.each(lambda h, a, b, low: fold.edges(
            h.slots, h.values, h.rows, agg == "last", a, b, best[low:], places[low:]
        ))  # fmt: skip
    return places


def edge_dictionary(source: Term, events: Events) -> Dictionary | None:
    """The texts of the column whose first or last value a source is; None for another source."""
    operand = source.args[0]
    if source.value.agg not in ("first", "last") or operand.op != "event":
        return None
    column = events.table.columns[operand.value[1]]
    return None if isinstance(column, JoinedColumn | ListColumn) else column.dictionary


def edge_words(
    source: Term, table: NDArray[np.uint8], events: Events, owners: int, clock: Clock
) -> Words:
    """The buyers whose first or last event has a text that the table says 1: uint64[words].

    Only the events of those who have such a text at all are folded, which are often few.
    table: uint8[1 + texts], by code, its last entry, 0, is for none
    """
    operand, where = source.args
    words, owner = events.words(where, clock), events.table.extra("owner")
    codes = events.table.columns[operand.value[1]].values
    size = _padded(owners) // 64
    marked = [np.zeros(size, np.uint64) for _ in range(jit.THREADS)]
    few = np.empty_like(words)

    def shares(part: int) -> tuple[int, int]:
        return part * len(words) // jit.THREADS, (part + 1) * len(words) // jit.THREADS

    def mark(part: int) -> None:
        fold.mark_owners(words, *shares(part), owner, codes, table, marked[part])

    jit.each(mark, jit.THREADS)
    for more in marked[1:]:
        bits.or_into(more, 0, size, marked[0])
    jit.each(lambda part: fold.keep_owned(words, *shares(part), owner, marked[0], few), jit.THREADS)
    places = _edges(source.value.agg, few, events, owners)
    found = np.empty(size, np.uint64)
    jit.over_ranges(
        lambda begin, end: fold.owners_at(
            places, begin // 64, (end + 63) // 64, codes, table, found
        ),
        len(places),
    )
    return found


def _padded(owners: int) -> int:
    return max(64, -(-owners // 64) * 64)


def _dictionary(events: Events, operand: Term) -> Any:
    return None if operand.op != "event" else target_of(
        events.table.columns[operand.value[1]]).dictionary  # fmt: skip


def _at(events: Events, operand: Term, places: NDArray[np.int32], clock: Clock) -> NDArray[Any]:
    """The operand's value at a row for each owner, missing where there is none."""
    if operand.op == "event":
        column = events.table.columns[operand.value[1]]
        target = target_of(column)
        found = aligned(len(places), target.dtype)
        if isinstance(column, JoinedColumn):
            found[:] = taken(column, np.maximum(places, 0))
            found[places < 0] = target.missing
            return found
        missing = target.dtype.type(target.missing)
        jit.over_ranges(
            lambda begin, end: fold.take_places(
                column.values, places[begin:end], missing, found[begin:end]
            ),
            len(places),
        )
        return found
    found = aligned(len(places), np.dtype(np.int64), NO_INT)
    known = np.flatnonzero(places >= 0)
    found[known] = compute(operand, events.block(places[known].astype(np.int64), clock))
    return found


def _counted(source: Term, events: Events, owners: int, clock: Clock, most: int | None) -> Column:
    operand, where = source.args
    by_order = source.value.distinct and _is_order_id(events, operand)
    if operand != ALL and not by_order:
        known = _known(operand)
        where = known if where == ALL else Term("and", Kind.BOOLEAN, (where, known))
    words = events.words(where, clock)
    owner = events.table.extra("owner")
    if source.value.distinct:
        marked = _orders_marked(events, words, clock) if by_order else None
        if marked is None:
            return made_column(Kind.BIGINT, _distinct(events, operand, words, owners, clock))
        words, owner = marked
    dtype = np.dtype(np.uint8 if most is not None else np.int32)
    out = aligned(_padded(owners), dtype, 0)
    top = 255 if most is not None else 2**31 - 1
    for hand in dealt(words, owner, owners):
        hand.each(lambda h, a, b, low: fold.count(h.slots, a, b, top, out[low:]))
    return made_column(Kind.BIGINT, out)


def _known(operand: Term) -> Term:
    return Term("not", Kind.BOOLEAN, (Term("is_null", Kind.BOOLEAN, (operand,)),))


def _is_order_id(events: Events, operand: Term) -> bool:
    if operand.op != "event" or operand.value[1] != "order_id":
        return False
    return isinstance(events.table.columns["order_id"], JoinedColumn)


def _orders_marked(
    events: Events, words: Words, clock: Clock
) -> tuple[Words, NDArray[np.int32]] | None:
    """The orders of some lines and their owners: each order once, so that none is counted twice.

    None where an order has another owner than one of its lines.
    """
    orders = events.population.events_of(ORDERS)
    places, owner = events.table.extra("order_row"), orders.table.extra("owner")
    marked = np.zeros((orders.rows + 63) // 64, np.uint64)
    if not fold.mark_places(words, places, events.table.extra("owner"), owner, marked):
        return None
    named = _known(Term("event", orders.table.columns["order_id"].kind, value=(ORDERS, "order_id")))
    node = plan_events(named, orders.domain, clock, orders.money_scale, ())
    bits.and_into(bitmap(node, orders, clock), 0, len(marked), marked)
    return marked, owner


def _distinct(
    events: Events, operand: Term, words: Words, owners: int, clock: Clock
) -> NDArray[np.int32]:
    """How many different values each owner has, by sorting pairs of owner and value."""
    rows = np.empty(int(bits.count_bits(words)), np.int64)
    bits.rows_of(words, rows)
    owner = events.table.extra("owner")[rows]
    rows = rows[owner >= 0]
    owner = owner[owner >= 0].astype(np.int64)
    if operand.kind is not None and _is_order_id(events, operand):
        known = taken(events.table.columns["order_id"], rows) != (
            target_of(events.table.columns["order_id"]).missing)  # fmt: skip
        rows, owner = rows[known], owner[known]
    values, _ = events.values(operand, words, clock)
    found = values[rows]
    if found.dtype.itemsize > 4:
        _, found = np.unique(found, return_inverse=True)
    pairs = (owner << 32) | (found.astype(np.int64) & 0xFFFFFFFF)
    pairs.sort()
    out = aligned(_padded(owners), np.dtype(np.int32), 0)
    fold.count_changes(pairs, out)
    return out


def _extreme(
    agg: str,
    dictionary: Dictionary | None,
    words: Words,
    owner: NDArray[np.int32],
    values: NDArray[Any],
    missing: Any,
    owners: int,
) -> NDArray[Any]:
    """The least or greatest value; texts by their place among all texts of the dictionary."""
    ranks = None if dictionary is None else ranks_of(dictionary)
    if ranks is not None:
        values = np.append(ranks, np.int32(-1))[values]
    missing = values.dtype.type(missing)
    out = aligned(_padded(owners), values.dtype, missing)
    greatest = agg == "max"
    for hand in dealt(words, owner, owners, values):
        hand.each(lambda h, a, b, low: fold.extremes(
            h.slots, h.values, missing, greatest, a, b, out[low:]
        ))  # fmt: skip
    if ranks is not None:
        codes = np.append(np.argsort(ranks).astype(np.int32), np.int32(-1))
        out[:] = codes[out]
    return out


def ranks_of(dictionary: Dictionary) -> NDArray[np.int32]:
    """The place of each text among all in byte order: int32[texts]."""
    order = pc.array_sort_indices(dictionary.texts().cast("large_binary")).to_numpy()
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks


def _summed(
    source: Term,
    words: Words,
    owner: NDArray[np.int32],
    values: NDArray[Any],
    missing: Any,
    owners: int,
    scale: int,
) -> NDArray[Any]:
    """Sums or averages of each owner's known values."""
    size = _padded(owners)
    average = source.value.agg == "avg"
    operand = source.args[0].kind
    if operand is Kind.DOUBLE:
        sums = aligned(size, np.dtype(np.float64), 0.0)
        counts = np.zeros(size, np.int32)
        for hand in dealt(words, owner, owners, values):
            hand.each(lambda h, a, b, low: fold.sum_float(
                h.slots, h.values, a, b, sums[low:], counts[low:]
            ))  # fmt: skip
        with np.errstate(all="ignore"):
            found = sums / counts if average else sums
        found[~np.isfinite(found)] = np.nan
        return _aligned_copy(found)
    whole = aligned(size, np.dtype(np.int64), 0)
    counts = np.zeros(size, np.int32) if average else _NO_COUNTS
    missing = values.dtype.type(missing)
    beyond: list[bool] = []
    for hand in dealt(words, owner, owners, values):
        hand.each(lambda h, a, b, low: beyond.append(fold.sum_whole(
            h.slots, h.values, missing, a, b, whole[low:], counts[low:]
        )))  # fmt: skip
    if any(beyond):
        whole = _exact_sums(words, owner, values, missing, owners)
    if not average:
        return whole
    unit = 10**scale if operand is Kind.MONEY else 1
    with np.errstate(all="ignore"):
        found = whole / (counts * np.int64(unit))
    found[(counts == 0) | (whole == NO_INT)] = np.nan
    return _aligned_copy(found)


def _aligned_copy(values: NDArray[np.float64]) -> NDArray[np.float64]:
    out = aligned(len(values), values.dtype)
    out[:] = values
    return out


def _exact_sums(
    words: Words, owner: Any, values: Any, missing: Any, owners: int
) -> NDArray[np.int64]:
    """Sums that may pass the int64 on the way; missing where they end beyond it."""
    size = _padded(owners)
    highs, lows = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for hand in dealt(words, owner, owners, values):
        hand.each(lambda h, a, b, low: fold.sum_halves(
            h.slots, h.values, missing, a, b, highs[low:], lows[low:]
        ))  # fmt: skip
    highs += lows >> 32
    fits = (highs >= -(2**31)) & (highs < 2**31)
    out = aligned(size, np.dtype(np.int64), NO_INT)
    out[fits] = (highs[fits] << 32) | (lows[fits] & 0xFFFFFFFF)
    return out


def aggregated_for(source: Term, events: Events, buyer: int, clock: Clock) -> Any:
    """An aggregate of one buyer's events, in the form of its column; None for a missing value."""
    how = source.value
    operand, where = source.args
    if how.agg == "count" and operand == ALL:
        return events.count_for(buyer, where, clock)
    rows = events.rows_for(buyer, where, clock)
    if not len(rows):
        return 0 if how.agg in ("count", "sum") else None
    if how.agg in ("first", "last"):
        times = events.table.columns["time"].values[rows]
        place = int(np.argmin(times)) if how.agg == "first" else (
            len(times) - 1 - int(np.argmax(times[::-1])))  # fmt: skip
        rows = rows[place : place + 1]
    if operand.op == "event":
        column = events.table.columns[operand.value[1]]
        values, missing = taken(column, rows), target_of(column).missing
    else:
        values = compute(operand, events.block(rows, clock))
        missing = np.nan if values.dtype.kind == "f" else NO_INT
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values[values != missing]
    if how.agg == "count":
        return len(np.unique(known)) if how.distinct else len(known)
    return _reduced(how.agg, operand, known, events)


def _reduced(agg: str, operand: Term, known: NDArray[Any], events: Events) -> Any:
    if not len(known):
        return 0 if agg == "sum" else None
    if agg in ("first", "last"):
        return known[0]
    if agg in ("min", "max"):
        dictionary = _dictionary(events, operand)
        if dictionary is None:
            return known.min() if agg == "min" else known.max()
        texts = [(str(dictionary.texts()[int(c)]).encode(), int(c)) for c in set(known.tolist())]
        return (min if agg == "min" else max)(texts)[1]
    if known.dtype.kind == "f":
        total = 0.0
        for value in known.tolist():
            total += value
        total = total / len(known) if agg == "avg" else total
        return total if np.isfinite(total) else None
    whole = sum(known.tolist())
    if abs(whole) >= 2**63:
        return None
    if agg == "sum":
        return whole
    unit = 10**events.money_scale if operand.kind is Kind.MONEY else 1
    return whole / (len(known) * unit)
