"""Whose rows does a rule look at, and where are their values?

Buyers are a frame, and so are the events of a table and the products. A source is a term that a
frame looks up: a column, or what has to be made of other tables first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.rules.block import Block, Clock, widened
from segengine.rules.compute import truth
from segengine.rules.plan import Ranges
from segengine.rules.ranges import Domain
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from segengine.tables.column import Column
from segengine.tables.dictionary import Dictionary
from segengine.tables.list_column import ListColumn

Words = NDArray[np.uint64]
Rows = NDArray[np.int64] | slice
BucketsOf = Callable[[str], NDArray[np.float64]]
"""The bucket share of each row of a block under a salt."""
Made = Mapping[Term, Column]
_MOST_ENTRIES = 4096


class Frame(Protocol):
    """The rows of one table and the sources that can be looked up for each."""

    @property
    def money_scale(self) -> int:
        """Decimal places of money."""
        ...

    @property
    def rows(self) -> int:
        """How many rows there are."""
        ...

    @property
    def entries(self) -> dict[Any, NDArray[np.int8]]:
        """Truths by dictionary entry, kept between evaluations."""
        ...

    def column(self, source: Term) -> Column:
        """The column that a source of this frame is, `make` for one that has none."""
        ...

    def make(self, source: Term, clock: Clock, most: int | None) -> Column:
        """The values of a source that is no column; counts may stop at `most`."""
        ...

    def value(self, source: Term, row: int, clock: Clock) -> Any:
        """The value of a source that is no column for one row, in the form of its column."""
        ...

    def edge_texts(self, source: Term) -> Dictionary | None:
        """The texts of a source that is the first or last text of a row's events, else None."""
        ...

    def edge_words(self, source: Term, table: NDArray[np.uint8], clock: Clock) -> Words:
        """The rows for which such a source has a text that the table says 1, by code."""
        ...

    def chosen(self, node: Ranges, clock: Clock) -> Words:
        """The rows whose place among all lies in the ranges of a node."""
        ...

    def places(self, through: str) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """For each row its place in another frame, -1 for none; or its code, and places by code."""
        ...

    def other(self, through: str) -> Frame:
        """The frame that `places` leads to."""
        ...

    @property
    def reached(self) -> tuple[str, ...]:
        """Where its rows lead: to customers, to products, or nowhere."""
        ...

    def bucket_numbers(self, term: Term) -> NDArray[np.int16]:
        """The bucket of each row, of 10,000, under the salt of a term."""
        ...

    def block(self, rows: Rows, clock: Clock, made: Made | None = None) -> Block:
        """Some rows for computing over."""
        ...


def domain_of(column: Column) -> Domain:
    """What a column's array can hold beside the reserved missing value."""
    if column.dtype.kind == "f":
        top = float(np.finfo(column.dtype.str).max)
        return Domain(column.kind, -top, top)
    info = np.iinfo(column.dtype.str)
    if isinstance(column, ListColumn):
        return Domain(column.kind, 0, int(info.max), has_entries=False)
    if column.kind is Kind.BOOLEAN:
        return Domain(column.kind, 0, 1)
    return Domain(column.kind, int(info.min) + 1, int(info.max))


def domain_of_kind(kind: Kind) -> Domain:
    """What values of a kind can be where they are made, not kept."""
    return domain_of(Column("", kind))


def computable(column: Column, taken: NDArray[Any]) -> Any:
    """Values of a column as `compute` wants them; texts and lists as Arrow."""
    if not column.kind.is_coded:
        return widened(taken, column.kind)
    if isinstance(column, ListColumn):
        return column.lists_of(taken)
    assert column.dictionary is not None
    codes = pa.array(taken, pa.int32(), mask=taken < 0)
    return column.dictionary.values().take(codes)


def gathered(column: Column, places: NDArray[Any]) -> NDArray[Any]:
    """The column's value at each place, missing at -1."""
    values = column.values[np.maximum(places, 0)]
    values[places < 0] = column.missing
    return values


def truths(
    frame: Frame, dictionary: Dictionary | None, term: Term, clock: Clock
) -> NDArray[np.int8]:
    """The truth of a condition for a missing value and each dictionary entry: int8[1 + n]."""
    assert dictionary is not None
    size = dictionary.size
    key = (dictionary, term, size, clock.as_of if term.reads_clock else 0)
    found = frame.entries.get(key)
    if found is None:
        values = dictionary.values()
        values = pa.concat_arrays([pa.nulls(1, values.type), values])
        block = Block(size + 1, clock, frame.money_scale, lambda _: values)
        found = truth(term, block).astype(np.int8)
        if len(frame.entries) > _MOST_ENTRIES:
            frame.entries.clear()
        frame.entries[key] = found
    return found
