"""DuckDB: tables in memory, texts as ENUMs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import pyarrow as pa

from segengine.bench.case import DUCKDB, Case, quoted
from segengine.bench.optional import titled
from segengine.kernels import jit


class DuckDB:
    """A dictionary becomes an ENUM named `<column>_words`: equality compares small numbers."""

    key = "duckdb"

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self.name = titled("DuckDB", "duckdb")
        self._connection = duckdb.connect(":memory:")
        self._connection.execute(f"SET threads = {jit.THREADS}")
        self._connection.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            self._connection.register("given", table)
            enums = ", ".join(self._enums(table))
            as_enums = f"* REPLACE ({enums})" if enums else "*"
            self._connection.execute(f"CREATE TABLE {name} AS SELECT {as_enums} FROM given")
            self._connection.unregister("given")

    def _enums(self, table: pa.Table) -> Iterator[str]:
        for column in table.column_names:
            values = table.column(column)
            is_list = pa.types.is_list(values.type)
            coded = values.type.value_type if is_list else values.type
            if not pa.types.is_dictionary(coded):
                continue
            chunk = values.chunk(0)
            words = (chunk.values if is_list else chunk).dictionary.to_pylist()
            kind = f"{column}_words"
            self._connection.execute(f"CREATE TYPE {kind} AS ENUM ({quoted(words)})")
            yield f"{column}::{kind}{'[]' if is_list else ''} AS {column}"

    def count(self, case: Case, k: int) -> int:
        """One query."""
        row = self._connection.execute(case.sql(DUCKDB, k)).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Drop the tables."""
        self._connection.close()
