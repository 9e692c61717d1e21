"""What do a buyer's events come to: for every buyer at once, or for one?

The condition is planned and scanned over the event table as a rule is over buyers; the rows that
are left are folded by owner. For one buyer the chain of their events is followed instead. Events
later than as_of do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.kernels import bits, fold, jit
from segengine.rules.compute import NO_INT, TRUE, Block, Clock, compute, truth
from segengine.rules.dealing import dealt
from segengine.rules.evaluate import bitmap
from segengine.rules.frame import (
    Frame,
    Made,
    Rows,
    Words,
    computable,
    domain_of,
    gathered,
)
from segengine.rules.plan import AllOf, Domain, Node, Ranges, plan_events
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from segengine.schema.tables import CUSTOMERS, ORDERS, PRODUCTS
from segengine.tables.column import Column, JoinedColumn, aligned, made_column
from segengine.tables.dictionary import Dictionary
from segengine.tables.events import EventTable
from segengine.tables.table import Table

if TYPE_CHECKING:
    from segengine.rules.population import Population

_ALL = Term("const", Kind.BOOLEAN, value=1)
_SHORT = 256
_NO_COUNTS: NDArray[np.int32] = np.empty(0, np.int32)


@dataclass(slots=True)
class Products:
    """The products of a store as a frame."""

    table: Table
    money_scale: int
    entries: dict[Any, NDArray[np.int8]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many products there are."""
        return self.table.rows

    def column(self, source: Term) -> Column:
        """The column of a product."""
        return self.table.columns[source.value]

    @property
    def reached(self) -> tuple[str, ...]:
        """A product leads nowhere."""
        return ()

    def bucket_numbers(self, term: Term) -> NDArray[np.int16]:
        """Products have no buckets."""
        raise KeyError(term)

    def make(self, source: Term, clock: Clock, most: int | None) -> Column:
        """Products have columns alone."""
        raise KeyError(source, clock, most)

    def value(self, source: Term, row: int, clock: Clock) -> Any:
        """Products have columns alone."""
        raise KeyError(source, row, clock)

    def chosen(self, node: Ranges, clock: Clock) -> Words:
        """Products have columns alone."""
        raise KeyError(node, clock)

    def places(self, through: str) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """A product leads nowhere."""
        raise KeyError(through)

    def other(self, through: str) -> Frame:
        """A product leads nowhere."""
        raise KeyError(through)

    def block(self, rows: Rows, clock: Clock, made: Made | None = None) -> Block:
        """Some products for computing over."""
        del made
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)

        def values(source: Term) -> Any:
            column = self.column(source)
            return computable(column, column.values[rows])

        return Block(count, clock, self.money_scale, values)


@dataclass(slots=True)
class Events:
    """The rows of one event table as a frame, with their buyers and products."""

    population: Population
    table: EventTable
    entries: dict[Any, NDArray[np.int8]] = field(default_factory=dict)

    @property
    def money_scale(self) -> int:
        """Decimal places of money."""
        return self.population.money_scale

    @property
    def rows(self) -> int:
        """How many events there are."""
        return self.table.rows

    @property
    def products(self) -> Products:
        """The store's products."""
        return self.population.products

    def kept(self, name: str) -> Column:
        """A column of the table; where another table keeps it, its values are fetched."""
        column = self.table.columns[name]
        if not isinstance(column, JoinedColumn):
            return column
        values = aligned(self.table.capacity, column.target.dtype)
        values[:] = gathered(column.target, column.places)
        return made_column(column.kind, values, column.target.dictionary)

    @property
    def reached(self) -> tuple[str, ...]:
        """An event leads to its buyer, and to its product where that goes by a text."""
        product_id = self.table.columns.get("product_id")
        coded = product_id is not None and product_id.dictionary is not None
        return (CUSTOMERS, PRODUCTS) if coded else (CUSTOMERS,)

    def bucket_numbers(self, term: Term) -> NDArray[np.int16]:
        """Events have no buckets."""
        raise KeyError(term)

    def column(self, source: Term) -> Column:
        """The column of an event, of its buyer or of its product."""
        if source.op == "event":
            return self.kept(source.value[1])
        frame = self.products if source.op == "product" else self.population
        return frame.column(source)

    def domain(self, source: Term) -> Domain:
        """What a source of a condition over events can be."""
        if source.op == "event":
            return domain_of(self.table.columns[source.value[1]])
        if source.op == "product":
            return domain_of(self.products.column(source))
        return self.population.domain(source)

    def make(self, source: Term, clock: Clock, most: int | None) -> Column:
        """Events have columns alone."""
        raise KeyError(source, clock, most)

    def value(self, source: Term, row: int, clock: Clock) -> Any:
        """Events have columns alone."""
        raise KeyError(source, row, clock)

    def chosen(self, node: Ranges, clock: Clock) -> Words:
        """Events have columns alone."""
        raise KeyError(node, clock)

    def places(self, through: str) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """For each event its buyer's row; or its product's code and, by code, the product's row."""
        if through == CUSTOMERS:
            return self.table.extra("owner"), None
        product_id = self.table.columns["product_id"]
        assert product_id.dictionary is not None
        codes = np.arange(product_id.dictionary.size, dtype=np.int32)
        rows = self.population.tables.product_rows(codes).astype(np.int32)
        return product_id.values, rows

    def other(self, through: str) -> Frame:
        """The buyers or the products."""
        return self.population if through == CUSTOMERS else self.products

    def block(self, rows: Rows, clock: Clock, made: Made | None = None) -> Block:
        """Some events for computing over."""
        del made
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)

        def values(source: Term) -> Any:
            if source.op == "event":
                column = self.table.columns[source.value[1]]
                return computable(_target(column), taken(column, rows))
            if source.op == "product":
                ids = self.table.columns["product_id"].values[rows]
                places = self.population.tables.product_rows(ids)
                column = self.products.column(source)
            else:
                places = self.table.extra("owner")[rows]
                column = self.population.trait(source.value)
            return computable(column, gathered(column, places))

        return Block(count, clock, self.money_scale, values)

    def plan(self, where: Term, clock: Clock) -> Node:
        """The plan of the events that a condition holds for and that have happened."""
        node = plan_events(where, self.domain, clock, self.money_scale, self.reached)
        if self.table.latest <= clock.as_of:
            return node
        time = Term("event", Kind.TIMESTAMP, value=(self.table.spec.name, "time"))
        seen = Ranges(time, ((NO_INT + 1, clock.as_of),))
        return AllOf((seen, *(node.parts if isinstance(node, AllOf) else (node,))))

    def words(self, where: Term, clock: Clock) -> Words:
        """The events that a condition holds for and that have happened, as a bitmap."""
        return bitmap(self.plan(where, clock), self, clock)

    def values(self, operand: Term, words: Words, clock: Clock) -> tuple[NDArray[Any], Any]:
        """The values of an operand for the rows of a bitmap, in a column's form, and missing."""
        if operand.op == "event":
            column = self.kept(operand.value[1])
            return column.values, column.missing
        first = self._without_refunds(operand)
        if first is not None:
            return self.values(first, words, clock)
        dtype = np.dtype(np.float64 if operand.kind is Kind.DOUBLE else np.int64)
        missing = np.nan if operand.kind is Kind.DOUBLE else NO_INT
        out = aligned(64 * len(words), dtype, missing)

        def work(begin: int, end: int) -> None:
            for word in range(begin // 64, (end + 63) // 64, 1024):
                last = min(word + 1024, (end + 63) // 64)
                if words[word:last].any():
                    rows = slice(64 * word, min(64 * last, self.rows))
                    out[rows] = compute(operand, self.block(rows, clock))

        jit.over_ranges(work, self.rows)
        return out, missing

    def _without_refunds(self, operand: Term) -> Term | None:
        """The amount alone, where no order was ever refunded."""
        if operand.op != "-" or operand.args[1].op != "coalesce":
            return None
        refund = self.table.columns["refund_amount"]
        return operand.args[0] if not refund.is_allocated else None

    def rows_for(self, buyer: int, where: Term, clock: Clock) -> NDArray[np.int64]:
        """One buyer's events that a condition holds for, in arrival order."""
        head = int(self.population.customers.heads(self.table.spec.name)[buyer])
        if head < 0:
            return np.empty(0, np.int64)
        previous = self.table.extra("previous")
        rows = np.empty(_SHORT, np.int64)
        count = fold.chain_rows(head, previous, rows)
        if count > _SHORT:
            rows = np.empty(count, np.int64)
            fold.chain_rows(head, previous, rows)
        rows = rows[:count][::-1]
        if self.table.latest > clock.as_of:
            rows = rows[self.table.columns["time"].values[rows] <= clock.as_of]
        if where == _ALL or not len(rows):
            return rows
        return rows[truth(where, self.block(rows, clock)) == TRUE]


def _target(column: Column) -> Column:
    return column.target if isinstance(column, JoinedColumn) else column


def taken(column: Column, rows: Rows | NDArray[Any]) -> NDArray[Any]:
    """Values of some rows, also of a column that another table keeps."""
    if isinstance(column, JoinedColumn):
        return gathered(column.target, column.places[rows])
    return column.values[rows]


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
        places = aligned(_padded(owners), np.dtype(np.int32), -1)
        times = events.table.columns["time"].values
        latest = how.agg == "last"
        best = np.empty(len(places), np.int64)
        for hand in dealt(words, owner, owners, times, with_rows=True):
            hand.each(lambda h, a, b, low: fold.edges(
                h.slots, h.values, h.rows, latest, a, b, best[low:], places[low:]
            ))  # fmt: skip
        return made_column(kind, _at(events, operand, places, clock), dictionary)
    values, missing = events.values(operand, words, clock)
    if how.agg in ("min", "max"):
        found = _extreme(how.agg, dictionary, words, owner, values, missing, owners)
        return made_column(kind, found, dictionary)
    scale = events.money_scale
    return made_column(kind, _summed(source, words, owner, values, missing, owners, scale))


def _padded(owners: int) -> int:
    return max(64, -(-owners // 64) * 64)


def _dictionary(events: Events, operand: Term) -> Any:
    return None if operand.op != "event" else _target(
        events.table.columns[operand.value[1]]).dictionary  # fmt: skip


def _at(events: Events, operand: Term, places: NDArray[np.int32], clock: Clock) -> NDArray[Any]:
    """The operand's value at a row for each owner, missing where there is none."""
    if operand.op == "event":
        column = events.table.columns[operand.value[1]]
        target = _target(column)
        found = aligned(len(places), target.dtype)
        found[:] = taken(column, np.maximum(places, 0))
        found[places < 0] = target.missing
        return found
    found = aligned(len(places), np.dtype(np.int64), NO_INT)
    known = np.flatnonzero(places >= 0)
    found[known] = compute(operand, events.block(places[known].astype(np.int64), clock))
    return found


def _counted(source: Term, events: Events, owners: int, clock: Clock, most: int | None) -> Column:
    operand, where = source.args
    by_order = source.value.distinct and _is_order_id(events, operand)
    if operand != _ALL and not by_order:
        known = _known(operand)
        where = known if where == _ALL else Term("and", Kind.BOOLEAN, (where, known))
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
            _target(events.table.columns["order_id"]).missing)  # fmt: skip
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
    rows = events.rows_for(buyer, where, clock)
    if how.agg == "count" and operand == _ALL:
        return len(rows)
    if not len(rows):
        return 0 if how.agg in ("count", "sum") else None
    if how.agg in ("first", "last"):
        times = events.table.columns["time"].values[rows]
        place = int(np.argmin(times)) if how.agg == "first" else (
            len(times) - 1 - int(np.argmax(times[::-1])))  # fmt: skip
        rows = rows[place : place + 1]
    if operand.op == "event":
        column = events.table.columns[operand.value[1]]
        values, missing = taken(column, rows), _target(column).missing
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
