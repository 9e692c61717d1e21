"""Here is an event: its columns, its buyer and its product; here is a buyer: their events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import chain, jit
from segengine.rules.block import NO_INT, Block, Clock
from segengine.rules.compute import compute, truth
from segengine.rules.evaluate import bitmap
from segengine.rules.few_events import NO_TESTS, Tests, tests_of
from segengine.rules.frame import (
    Frame,
    Made,
    Rows,
    Words,
    computable,
    domain_of,
    gathered,
    truths,
)
from segengine.rules.plan import (
    AllOf,
    AnyOf,
    Computed,
    Entries,
    Everyone,
    Node,
    Ranges,
    plan_events,
)
from segengine.rules.products import Products
from segengine.rules.ranges import Domain
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from segengine.schema.tables import CUSTOMERS, PRODUCTS
from segengine.tables.column import Column, JoinedColumn, aligned, made_column
from segengine.tables.events import EventTable

if TYPE_CHECKING:
    from segengine.rules.population import Population

ALL = Term("const", Kind.BOOLEAN, value=1)


_SHORT = 256
_NO_ROWS = np.empty(0, np.int64)
_MOST_PLANS = 4096
_FEW_TEXTS = 1024
"""Up to so many texts a condition is asked of all of them, and then of none again."""


@dataclass(slots=True)
class Few:
    """What a condition asks of one buyer's events.

    moment, date: that it is for; None: for all
    tests: None where the columns of the table do not decide it  version: of the data that they are
    known to stand for
    """

    where: Term
    moment: int | None
    date: int | None
    node: Node
    tests: Tests | None
    version: int

    def serves(self, clock: Clock) -> bool:
        """Whether it is for this moment too."""
        return self.moment in (None, clock.as_of) and self.date in (None, clock.today)


@dataclass(slots=True)
class Events:
    """The rows of one event table as a frame, with their buyers and products."""

    population: Population
    table: EventTable
    entries: dict[Any, NDArray[np.int8]] = field(default_factory=dict)
    few: dict[int, Few] = field(default_factory=dict)

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
            return self.products.domain(source)
        return self.population.domain(source)

    def make(self, source: Term, clock: Clock, most: int | None) -> Column:
        """Events have columns alone."""
        raise KeyError(source, clock, most)

    def value(self, source: Term, row: int, clock: Clock) -> Any:
        """Events have columns alone."""
        raise KeyError(source, row, clock)

    def edge_texts(self, source: Term) -> None:
        """Events have columns alone."""

    def edge_words(self, source: Term, table: NDArray[np.uint8], clock: Clock) -> Words:
        """Events have columns alone."""
        raise KeyError(source, table, clock)

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
                return computable(target_of(column), taken(column, rows))
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

    def chains(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Each buyer's latest row, and for each row the one before it and its time."""
        table = self.table
        heads = self.population.customers.heads(table.spec.name)
        # What has no rows is not looked at: nothing is made for it.
        times = table.columns["time"].values if table.rows else _NO_ROWS
        return heads, table.extra("previous"), times

    def count_for(self, buyer: int, where: Term, clock: Clock) -> int:
        """How many of one buyer's events a condition holds for."""
        few = self.few_of(where, clock)
        if few.tests is None:
            return len(self.rows_for(buyer, where, clock))
        heads, previous, times = self.chains()
        tests = few.tests
        return int(chain.rows_where(
            heads.item(buyer), previous, times, clock.as_of, tests.table, tests.bounds, _NO_ROWS
        ))  # fmt: skip

    def rows_for(self, buyer: int, where: Term, clock: Clock) -> NDArray[np.int64]:
        """One buyer's events that a condition holds for, in arrival order."""
        few = self.few_of(where, clock)
        if few.tests is not None:
            return self._walked(buyer, few.tests, clock)
        rows = self._walked(buyer, NO_TESTS, clock)
        return rows[self._holds(few.node, rows, clock)] if len(rows) else rows

    def _walked(self, buyer: int, tests: Tests, clock: Clock) -> NDArray[np.int64]:
        """The events of a buyer that have happened and satisfy some tests, in arrival order."""
        heads, previous, times = self.chains()
        rows = np.empty(_SHORT, np.int64)
        asked = heads.item(buyer), previous, times, clock.as_of, tests.table, tests.bounds
        count = chain.rows_where(*asked, rows)
        if count > _SHORT:
            rows = np.empty(count, np.int64)
            chain.rows_where(*asked, rows)
        return rows[:count][::-1]

    def few_of(self, where: Term, clock: Clock) -> Few:
        """What a condition asks of one buyer's events, kept for the moment it needs."""
        kept, version = self.few.get(id(where)), self.population.version
        # The term is kept beside its identity, or another one might come to stand there.
        if kept is None or kept.where is not where or not kept.serves(clock):
            node = plan_events(where, self.domain, clock, self.money_scale, ())
        elif kept.version == version:
            return kept
        elif kept.tests is not None and not kept.tests.stand():
            node = kept.node
        else:
            kept.version = version
            return kept

        def truths_of(column: Column, part: Entries) -> NDArray[np.int8]:
            return truths(self, column.dictionary, part.term, clock)

        tests = NO_TESTS if where == ALL else tests_of(node, self.table, _FEW_TEXTS, truths_of)
        moment = clock.as_of if where.reads_now else None
        date = clock.today if where.reads_clock else None
        found = Few(where, moment, date, node, tests, version)
        if len(self.few) > _MOST_PLANS:
            self.few.clear()
        self.few[id(where)] = found
        return found

    def _holds(self, node: Node, rows: NDArray[np.int64], clock: Clock) -> NDArray[np.bool_]:
        """For which of a few rows a node holds; what no column decides is computed."""
        match node:
            case AllOf(parts=parts) | AnyOf(parts=parts):
                found = self._holds(parts[0], rows, clock)
                for part in parts[1:]:
                    more = self._holds(part, rows, clock)
                    found = found & more if isinstance(node, AllOf) else found | more
                return found
            case Everyone(holds=holds):
                return np.full(len(rows), holds)
            case Ranges(source=Term(op="event"), ranges=ranges, missing=missing):
                column = self.table.columns[node.source.value[1]]
                values = taken(column, rows)
                of = target_of(column).missing
                found = np.isnan(values) if values.dtype.kind == "f" else values == of
                if not missing:
                    found = np.zeros(len(rows), np.bool_)
                for low, high in ranges:
                    found |= (values >= low) & (values <= high)
                return found
            case Entries(source=Term(op="event"), term=term, wanted=wanted) if (
                _texts(column := self.table.columns[node.source.value[1]]) <= _FEW_TEXTS
            ):
                of_entries = truths(self, target_of(column).dictionary, term, clock)
                return of_entries[taken(column, rows) + 1] == (1 if wanted else 0)
            case Entries(term=term, wanted=wanted) | Computed(term=term, wanted=wanted):
                return truth(term, self.block(rows, clock)) == (1 if wanted else 0)
        raise AssertionError(node)


def _texts(column: Column) -> int:
    dictionary = target_of(column).dictionary
    assert dictionary is not None
    return dictionary.size


def target_of(column: Column) -> Column:
    """The column that keeps the values of a column."""
    return column.target if isinstance(column, JoinedColumn) else column


def taken(column: Column, rows: Rows | NDArray[Any]) -> NDArray[Any]:
    """Values of some rows, also of a column that another table keeps."""
    if isinstance(column, JoinedColumn):
        return gathered(column.target, column.places[rows])
    return column.values[rows]
