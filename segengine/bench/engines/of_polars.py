"""Polars: frames in one piece, texts as enumerations, asked lazily."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from segengine.bench.case import Case
from segengine.bench.optional import module, titled
from segengine.kernels import jit


class Polars:
    """A condition is summed, which makes no filtered frame; lists are of texts, not codes.

    (A list of categoricals is searched ten times as slowly as one of texts.)
    """

    key = "polars"

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        os.environ.setdefault("POLARS_MAX_THREADS", str(jit.THREADS))
        self._pl: Any = module("polars")
        self.name = titled("Polars", "polars")
        self._frames = {name: self._frame(table).lazy() for name, table in tables.items()}

    def _frame(self, table: pa.Table) -> Any:
        pl = self._pl
        frame = pl.from_arrow(table)
        columns = []
        for column in table.column_names:
            kind = table.schema.field(column).type
            if pa.types.is_dictionary(kind):
                words = table.column(column).chunk(0).dictionary.to_pylist()
                columns.append(pl.col(column).cast(pl.Enum(words)))
            elif pa.types.is_list(kind):
                columns.append(pl.col(column).cast(pl.List(pl.String)))
        return frame.with_columns(columns).rechunk()

    def count(self, case: Case, k: int) -> int:
        """One lazy query."""
        return int(case.polars(self._pl, self._frames, k).collect().item())

    def close(self) -> None:
        """Let go of the frames."""
        self._frames.clear()
