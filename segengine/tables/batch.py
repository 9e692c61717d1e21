"""What arrives at a table: columns of one length in the form they are kept in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.tables.dictionary import Dictionary


@dataclass(slots=True)
class BatchColumn:
    """One column of a batch; coded kinds hold codes of `dictionary`."""

    kind: Kind
    values: NDArray[Any]
    dictionary: Dictionary | None = None


@dataclass(slots=True)
class Batch:
    """Rows for one table, checked one by one."""

    table: str
    rows: int
    columns: dict[str, BatchColumn]

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the rows that the mask does not have."""
        if mask.all():
            return
        self.rows = int(mask.sum())
        for column in self.columns.values():
            column.values = column.values[mask]

    def values(self, name: str) -> NDArray[Any]:
        """The array of a column that the batch is known to have."""
        return self.columns[name].values


@dataclass(frozen=True, slots=True)
class BadRows:
    """Rows of a batch that contradict the tables, and why."""

    column: str
    reason: str
    rows: NDArray[np.int64]
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a batch did: the buyers it concerned, rows taken, rows seen before."""

    touched: NDArray[np.int64]
    rows: int
    repeats: int = 0
