"""The engines side by side: one small wrapper each, set up outside the timing."""

from __future__ import annotations

import importlib.metadata
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from segengine.bench.cases import Case
from segengine.bench.population import COLUMNS
from segengine.engine import Engine


class Counting(Protocol):
    """Counts the buyers of a case's k-th rule."""

    name: str

    def count(self, case: Case, k: int) -> int:
        """How many buyers the rule holds for."""
        ...


class Segengine:
    """This engine, through its public door."""

    def __init__(self, table: pa.Table) -> None:
        self.name = f"segengine {importlib.metadata.version('segengine')}"
        self.engine = Engine(timezone="UTC")
        self.engine.load("customers", table, columns={c: c for c in COLUMNS})

    def count(self, case: Case, k: int) -> int:
        """Parse, check, plan, scan, count."""
        return self.engine.segment(case.rule(k)).count()


class DuckDB:
    """A DuckDB table in memory, texts as enums, on as many threads as there are cores."""

    def __init__(self, table: pa.Table) -> None:
        self.name = f"DuckDB {importlib.metadata.version('duckdb')}"
        self._connection = duckdb.connect(":memory:")
        self._connection.register("given", table)
        # A dictionary arrives as an ENUM, which compares by place; order needs the text.
        self._connection.execute("CREATE TABLE buyers AS SELECT * FROM given")
        self._connection.unregister("given")

    def count(self, case: Case, k: int) -> int:
        """One query."""
        rule = case.rule(k)
        if "city <" in rule:
            rule = rule.replace("city <", "CAST(city AS VARCHAR) <")
        sql = f"SELECT count(*) FROM buyers WHERE {rule}"
        row = self._connection.execute(sql).fetchone()
        assert row is not None
        return int(row[0])


class Polars:
    """A Polars frame, texts as categoricals, filtered lazily."""

    def __init__(self, table: pa.Table) -> None:
        import polars as pl  # noqa: PLC0415 - an optional extra

        self.name = f"Polars {importlib.metadata.version('polars')}"
        self._pl: Any = pl
        frame: Any = pl.from_arrow(table)
        self._frame = frame.with_columns(pl.col("region", "city").cast(pl.Categorical)).rechunk()

    def count(self, case: Case, k: int) -> int:
        """One lazy filter and its length."""
        pl = self._pl
        return int(self._frame.lazy().filter(case.polars(pl, k)).select(pl.len()).collect().item())
