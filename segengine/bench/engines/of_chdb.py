"""chDB, which is ClickHouse in the process: Memory tables, texts of low cardinality."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from segengine.bench.case import CLICKHOUSE, Case
from segengine.bench.optional import module, titled
from segengine.kernels import jit

_NUMBERS = count()


class ChDB:
    """Memory tables: two to four times as fast to scan here as MergeTree."""

    key = "chdb"

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._connection: Any = module("chdb").connect(":memory:")
        self.name = titled("chDB", "chdb")
        # Connections share one process-wide server: each has a database of its own.
        self._database = f"bench_{next(_NUMBERS)}"
        self._connection.query(f"CREATE DATABASE {self._database} ENGINE = Memory")
        self._connection.query(f"USE {self._database}")
        self._connection.query(f"SET max_threads = {jit.THREADS}")
        for name, table in tables.items():
            columns = ", ".join(f"{f.name} {_type(f, table)}" for f in table.schema)
            self._connection.query(f"CREATE TABLE {name} ({columns}) ENGINE = Memory")
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "table.parquet"
                pq.write_table(table, file)
                self._connection.query(f"INSERT INTO {name} SELECT * FROM file('{file}', Parquet)")

    def count(self, case: Case, k: int) -> int:
        """One query."""
        return int(self._connection.query(case.sql(CLICKHOUSE, k), "CSV").data())

    def close(self) -> None:
        """Drop the tables."""
        self._connection.query(f"DROP DATABASE {self._database}")
        self._connection.close()


def _type(field: pa.Field, table: pa.Table) -> str:
    """The narrowest type that holds a column; Nullable, which costs, only where some is missing."""
    kind = _plain(field.type)
    if pa.types.is_list(field.type) or table.column(field.name).null_count == 0:
        return kind
    if pa.types.is_dictionary(field.type):
        return "LowCardinality(Nullable(String))"
    return f"Nullable({kind})"


def _plain(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"Array({_plain(kind.value_type)})"
    if pa.types.is_dictionary(kind):
        return "LowCardinality(String)"
    if pa.types.is_decimal(kind):
        return f"Decimal({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "DateTime64(6, 'UTC')"
    named = {"int64": "Int64", "int32": "Int32", "double": "Float64", "bool": "Bool"}
    return named.get(str(kind), "Date32")
