"""A condition on events -> tests that one walk along a buyer's chain applies.

What columns of the table decide alone becomes tests: ranges of values, and truths by dictionary
code. A condition that asks more, of the product or the buyer or of too many texts, has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import chain
from segengine.rules.plan import AllOf, Entries, Node, Ranges
from segengine.rules.value_keys import ITEMS, keys_of, missing_key
from segengine.tables.column import Column, JoinedColumn
from segengine.tables.dictionary import Dictionary
from segengine.tables.events import EventTable

TruthsOf = Callable[[Column, Entries], NDArray[np.int8]]
"""The truth of a condition for a missing value and each text of a column: int8[1 + texts]."""


@dataclass(frozen=True, slots=True, eq=False)
class Tests:
    """All that a condition asks of an event; shapes as in `chain.rows_where`.

    arrays: of each test's column, whose addresses stand in the table  known: the dictionaries that
    truths are of, and how many texts they had
    """

    columns: tuple[Column, ...]
    arrays: tuple[NDArray[Any], ...]
    truths: tuple[NDArray[np.int8], ...]
    known: tuple[tuple[Dictionary, int], ...]
    table: NDArray[np.int64]
    bounds: NDArray[np.int64]

    def stand(self) -> bool:
        """Whether the values are where they were, and no text has come."""
        for column, array in zip(self.columns, self.arrays, strict=True):
            if column.is_allocated and column.values is not array:
                return False
        return all(dictionary.size == size for dictionary, size in self.known)


def tests_of(node: Node, table: EventTable, most_texts: int, truths_of: TruthsOf) -> Tests | None:
    """The tests of a plan's node over a table's own columns; None where those do not decide it."""
    parts = node.parts if isinstance(node, AllOf) else (node,)
    rows = np.zeros((len(parts), chain.WIDTH), np.int64)
    bounds: list[tuple[int, int]] = []
    columns, arrays, truths, known = [], [], [], []
    for row, part in zip(rows, parts, strict=True):
        if not isinstance(part, Ranges | Entries) or part.source.op != "event":
            return None
        column = table.columns[part.source.value[1]]
        if isinstance(column, JoinedColumn) or column.dtype.name not in ITEMS:
            return None
        array, stride = column.standing()
        columns.append(column)
        arrays.append(array)
        row[chain.ADDRESS] = array.ctypes.data
        row[chain.STRIDE] = stride
        row[chain.ITEM] = ITEMS[column.dtype.name]
        if isinstance(part, Ranges):
            row[chain.FIRST] = len(bounds)
            bounds += [key for pair in part.ranges if (key := keys_of(column, pair)) is not None]
            row[chain.END] = len(bounds)
            row[chain.MISSING] = missing_key(column)
            row[chain.MISSING_HOLDS] = part.missing
            continue
        dictionary = column.dictionary
        if dictionary is None or dictionary.size > most_texts:
            return None
        known.append((dictionary, dictionary.size))
        truth = truths_of(column, part)
        truths.append(truth)
        row[chain.TRUTHS] = truth.ctypes.data
        row[chain.WANTED] = 1 if part.wanted else 0
    return Tests(
        tuple(columns), tuple(arrays), tuple(truths), tuple(known), rows,
        np.array(bounds, np.int64).reshape(len(bounds), 2),
    )  # fmt: skip


NO_TESTS = Tests((), (), (), (), np.zeros((0, chain.WIDTH), np.int64), np.empty((0, 2), np.int64))
"""Every event satisfies it."""
