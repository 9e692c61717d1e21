"""Here is a product as rules see it: what the shop gave, and its traits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.rules.block import Block, Clock
from segengine.rules.frame import Frame, Made, Rows, Words, computable, domain_of, domain_of_kind
from segengine.rules.plan import Ranges
from segengine.rules.ranges import Domain
from segengine.rules.term import Term
from segengine.schema.identifiers import is_text
from segengine.schema.kinds import Kind
from segengine.tables.column import Column
from segengine.tables.table import Table
from segengine.traits.products import CURRENT, KINDS

if TYPE_CHECKING:
    from segengine.rules.population import Population


@dataclass(slots=True)
class Products:
    """The products of a store as a frame."""

    population: Population
    entries: dict[Any, NDArray[np.int8]] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """The table of the products."""
        return self.population.tables.products

    @property
    def money_scale(self) -> int:
        """Decimal places of money."""
        return self.population.money_scale

    @property
    def rows(self) -> int:
        """How many products there are."""
        return self.table.rows

    def row_of(self, product_id: object) -> int | None:
        """The row of one product_id as a caller gives it; None for an unknown one."""
        column = self.table.columns["product_id"]
        if self.rows == 0 or isinstance(product_id, bool):
            return None
        if column.kind is Kind.VARCHAR:
            if not is_text(product_id):
                return None
            assert column.dictionary is not None
            ids = column.dictionary.find(pa.array([product_id], pa.large_string()))
            if ids[0] < 0:
                return None
        else:
            if not isinstance(product_id, int | np.integer) or abs(int(product_id)) >= 2**63:
                return None
            ids = np.array([product_id], np.int64)
        row = int(self.population.tables.product_rows(ids)[0])
        return row if row >= 0 else None

    def kinds(self) -> dict[str, Kind]:
        """Every given column and trait a rule may name, by kind."""
        return {name: column.kind for name, column in self.table.columns.items()} | KINDS

    def trait(self, name: str) -> Column:
        """The trait or given column with this name, as the store is."""
        if name in KINDS:
            return self.population.product_traits.column(name, self.population.version)
        return self.table.columns[name]

    def column(self, source: Term) -> Column:
        """The column of a product."""
        return self.trait(source.value)

    def domain(self, source: Term) -> Domain:
        """What a source of a condition over products can be; no trait is made to know it."""
        if source.value in KINDS:
            return domain_of_kind(KINDS[source.value])
        return domain_of(self.table.columns[source.value])

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

    def edge_texts(self, source: Term) -> None:
        """Products have columns alone."""

    def edge_words(self, source: Term, table: NDArray[np.uint8], clock: Clock) -> Words:
        """Products have columns alone."""
        raise KeyError(source, table, clock)

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


def changes_with_others(term: Term) -> bool:
    """Whether a condition reads what any buyer may change: sales and views of a product."""
    return any(each.op == "product" and each.value in CURRENT for each in term.walk())
