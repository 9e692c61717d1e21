"""Here is a buyer as rules see them: traits, and what has to be made of other tables first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segengine.rules.block import Block, Clock
from segengine.rules.evaluate import StandingWords, bitmap, evaluate, holds
from segengine.rules.events import Events
from segengine.rules.frame import (
    BucketsOf,
    Frame,
    Made,
    Rows,
    Words,
    computable,
    domain_of,
    domain_of_kind,
)
from segengine.rules.history import aggregated, aggregated_for, edge_dictionary, edge_words
from segengine.rules.plan import Node, Plan, Ranges
from segengine.rules.products import Products
from segengine.rules.ranges import Domain
from segengine.rules.standing import Standing, is_on_list
from segengine.rules.term import COLUMNS, Term
from segengine.rules.unread import Unread
from segengine.rules.windows import Fits, fit
from segengine.schema.kinds import Kind
from segengine.tables.column import Column, made_column
from segengine.tables.customers import CustomerTable
from segengine.tables.dictionary import Dictionary
from segengine.tables.tables import Tables
from segengine.traits.products import ProductTraits


class Salted(Protocol):
    """The bucket of every buyer under a salt."""

    def of(self, salt: str) -> NDArray[np.int16]:
        """The bucket of each row, of 10,000."""
        ...

    def of_rows(self, salt: str, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """The bucket of some rows."""
        ...

    def shares(self, salt: str, begin: int, end: int) -> NDArray[np.float64]:
        """The same as a share in [0, 1), of rows [begin, end)."""
        ...


@dataclass(slots=True)
class Population:
    """The buyers of a store.

    `version` changes with everything that is kept here for one state of the data.
    """

    tables: Tables
    buckets: Salted
    product_traits: ProductTraits
    version: int = 0
    entries: dict[Any, NDArray[np.int8]] = field(default_factory=dict)
    fits: Fits = field(default_factory=Fits)
    events: dict[str, Events] = field(default_factory=dict)
    product_frame: Products | None = None
    standing: Standing = field(default_factory=lambda: Standing(0))
    unread: Unread = field(default_factory=Unread)

    @property
    def customers(self) -> CustomerTable:
        """The table of the buyers."""
        return self.tables.customers

    @property
    def money_scale(self) -> int:
        """Decimal places of money."""
        return self.tables.money_scale

    @property
    def rows(self) -> int:
        """Rows of buyers, nobody's among them."""
        return self.customers.rows

    def kinds(self) -> dict[str, Kind]:
        """Every trait a rule may name, by kind."""
        given = {n: c.kind for n, c in self.customers.columns.items()}
        return given | {n: c.kind for n, c in self.customers.traits.items()}

    def trait(self, name: str) -> Column:
        """The trait or given column with this name."""
        column = self.customers.trait_or_column(name)
        assert column is not None, name
        return column

    def column(self, source: Term) -> Column:
        """The column of a trait."""
        return self.trait(source.value)

    def domain(self, source: Term) -> Domain:
        """What a source of a rule over buyers can be."""
        if source.op == "column":
            return domain_of(self.trait(source.value))
        return domain_of_kind(source.kind or Kind.BIGINT)

    def events_of(self, table: str) -> Events:
        """The rows of an event table as a frame."""
        found = self.events.get(table)
        if found is None:
            found = Events(self, self.tables.events[table])
            self.events[table] = found
        return found

    def make(self, source: Term, clock: Clock, most: int | None) -> Column:
        """The values of an aggregate, of a place among buyers or of an affinity, for everyone."""
        if source.op == "history":
            return aggregated(source, self.events_of(source.value.table), self.rows, clock, most)
        if source.op == "affinity":
            return self._affinity(source)
        return fit(source, self, clock).column()

    def edge_texts(self, source: Term) -> Dictionary | None:
        """The texts of the first or last value of a column of events; None for another source."""
        if source.op != "history":
            return None
        return edge_dictionary(source, self.events_of(source.value.table))

    def edge_words(self, source: Term, table: NDArray[np.uint8], clock: Clock) -> Words:
        """The buyers whose first or last such value is a text that the table says 1."""
        return edge_words(source, table, self.events_of(source.value.table), self.rows, clock)

    def value(self, source: Term, row: int, clock: Clock) -> Any:
        """The same for one buyer; None for a missing value."""
        if source.op == "history":
            return aggregated_for(source, self.events_of(source.value.table), row, clock)
        if source.op == "affinity":
            kind, liked = source.value
            value = self.tables.affinities.score(kind, liked, row)
            return None if value != value else value  # noqa: PLR0124 - NaN
        return fit(source, self, clock).value(row)

    def chosen(self, node: Ranges, clock: Clock) -> Words:
        """The buyers whose place among all lies in the ranges of a node."""
        return fit(node.source, self, clock).within(node.ranges, missing=node.missing)

    def _affinity(self, source: Term) -> Column:
        kind, liked = source.value
        scores = self.tables.affinities.scores(kind, liked, self.customers.capacity)
        return made_column(Kind.DOUBLE, scores)

    @property
    def reached(self) -> tuple[str, ...]:
        """A buyer leads nowhere."""
        return ()

    def bucket_numbers(self, term: Term) -> NDArray[np.int16]:
        """The bucket of each buyer, of 10,000, under the salt of a term."""
        return self.buckets.of(term.value[0])

    @property
    def products(self) -> Products:
        """The products as a frame."""
        if self.product_frame is None:
            self.product_frame = Products(self)
        return self.product_frame

    def places(self, through: str) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """A buyer leads nowhere."""
        raise KeyError(through)

    def other(self, through: str) -> Frame:
        """A buyer leads nowhere."""
        raise KeyError(through)

    def block(
        self,
        rows: Rows,
        clock: Clock,
        made: Made | None = None,
        context: Mapping[str, str] | None = None,
        buckets: BucketsOf | None = None,
    ) -> Block:
        """Some rows for computing over; `buckets` where they are not those of the rows."""
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)

        def values(source: Term) -> Any:
            if source.op in COLUMNS:
                column = self.trait(source.value)
            elif made is not None:
                column = made[source]
            else:
                return self._values(source, np.arange(rows.start, rows.stop) if isinstance(
                    rows, slice) else rows, clock)  # fmt: skip
            return computable(column, column.values[rows])

        def shares(salt: str) -> NDArray[np.float64]:
            if isinstance(rows, slice):
                return self.buckets.shares(salt, rows.start, rows.stop)
            return self.buckets.shares(salt, 0, self.rows)[rows]

        return Block(count, clock, self.money_scale, values, buckets or shares, context or {})

    def _values(self, source: Term, rows: NDArray[np.int64], clock: Clock) -> Any:
        """The values of a made source for a few rows, one by one."""
        column = Column("", source.kind or Kind.BIGINT, dictionary=self._dictionary(source))
        found = [self.value(source, int(row), clock) for row in rows]
        missing = column.missing
        taken = np.array([missing if v is None else v for v in found], column.dtype)
        return computable(column, taken)

    def _dictionary(self, source: Term) -> Any:
        if source.op != "history" or source.kind is not Kind.VARCHAR:
            return None
        return self.events_of(source.value.table).column(source.args[0]).dictionary

    def words(self, plan: Plan, shared: StandingWords | None = None) -> Words:
        """The bitmap of a plan; its leaves that are kept, or worth it, are not scanned.

        shared: bitmaps of leaves that the caller keeps, asked for where the store keeps none.
        """

        def kept(node: Node) -> Words | None:
            wanted = node in plan.standing or is_on_list(node)
            found = self.standing.words(
                node, self, plan.clock, self.version, wanted=wanted,
                make=lambda leaf: bitmap(leaf, self, plan.clock),
            )  # fmt: skip
            return shared(node) if found is None and shared is not None else found

        return evaluate(plan, self, self.customers.live, kept)

    def holds(
        self,
        plan: Plan,
        row: int,
        context: Mapping[str, str] | None = None,
        buckets: BucketsOf | None = None,
    ) -> bool:
        """Whether a plan holds for one row; `buckets` where they are not the row's own."""

        def block() -> Block:
            return self.block(slice(row, row + 1), plan.clock, None, context, buckets)

        return holds(plan.root, self, row, plan.clock, block)
