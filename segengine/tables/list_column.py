"""Here is a row: a list of texts that is derived, not given, and changes with every batch.

A given list such as `tags` is one of few and is kept once in a dictionary. Of derived lists most
are one buyer's own, so a dictionary would keep every list there ever was. They are kept as codes
per row instead, and the texts are fetched where they are asked for. Rules see a column of lists
like any other, but for its conditions there is no dictionary to ask: rows are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.tables.column import Column, aligned, arrow_type
from segengine.tables.row_lists import RowLists

Texts = Callable[[NDArray[np.int32]], pa.Array]
"""The texts of some codes: large_string."""


class ListColumn(Column):
    """A column of lists; no row's is missing.

    `values` are the numbers of the rows: what has taken some rows' values can still find their
    lists. texts: what the codes in `kept` stand for.  capacity: of the table, which may grow
    """

    def __init__(self, name: str, texts: Texts, capacity: Callable[[], int]) -> None:
        super().__init__(name, Kind.TAGS)
        self.dictionary = None
        self.kept = RowLists()
        self._texts, self._room = texts, capacity

    @property
    def is_allocated(self) -> bool:
        """There is no array that scan codes could be made of."""
        return False

    @property
    def values(self) -> NDArray[Any]:
        """The number of every row: int32[capacity]."""
        array = self._array
        if array is None or len(array) < self._room():
            array = aligned(self._room(), np.dtype(np.int32))
            array[:] = np.arange(len(array), dtype=np.int32)
            self._array = array
        return array

    def lists_of(self, rows: NDArray[Any]) -> pa.Array:
        """The lists of some rows: list<large_string>; missing for a row below 0."""
        rows = np.ascontiguousarray(rows, np.int64)
        offsets = np.zeros(len(rows) + 1, np.int32)
        np.cumsum(self.kept.counts_of(rows), out=offsets[1:])
        texts = self._texts(self.kept.codes_of(rows, int(offsets[-1])))
        absent = rows < 0
        return pa.ListArray.from_arrays(
            pa.array(offsets), texts, arrow_type(Kind.TAGS, 0),
            mask=pa.array(absent) if absent.any() else None,
        )  # fmt: skip

    def to_arrow(self, rows: NDArray[np.int64] | slice, scale: int) -> pa.Array:
        """As `Column.to_arrow`."""
        del scale
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop, dtype=np.int64)
        return self.lists_of(rows)

    def touch(self, rows: NDArray[np.int64]) -> None:
        """No codes have to follow."""

    def nbytes(self) -> tuple[int, int, int]:
        """Bytes of the lists, and nothing else."""
        array = 0 if self._array is None else int(self._array.nbytes)
        return array + self.kept.nbytes(), 0, 0
