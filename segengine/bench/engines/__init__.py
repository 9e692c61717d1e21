"""Which engines are asked about sets of buyers? One small wrapper each, set up outside the timing.

Each is set up as well as its manual knows, on as many threads as this engine uses: that is the
rival to beat, not its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa

from segengine.bench.case import Case
from segengine.bench.engines.of_chdb import ChDB
from segengine.bench.engines.of_datafusion import DataFusion
from segengine.bench.engines.of_duckdb import DuckDB
from segengine.bench.engines.of_polars import Polars
from segengine.bench.engines.of_segengine import Segengine


class Counting(Protocol):
    """Counts the buyers of a case's k-th rule."""

    key: str
    name: str

    def count(self, case: Case, k: int) -> int:
        """How many buyers the rule holds for."""
        ...

    def close(self) -> None:
        """Let go of the tables."""
        ...


Tables = Mapping[str, pa.Table]
RIVALS: dict[str, Any] = {kind.key: kind for kind in (DuckDB, Polars, DataFusion, ChDB)}

__all__ = ["RIVALS", "Counting", "Segengine", "Tables"]
