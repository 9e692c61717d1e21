"""What a shop might hand over: small tables, and how to say them in each form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

import segengine as se

AS_OF = datetime(2024, 3, 1, 12, tzinfo=UTC)
LONG_AGO = datetime(2024, 1, 5, 9, 30, tzinfo=UTC)


def engine(timezone: str = "UTC", config: Mapping[str, Any] | None = None) -> se.Engine:
    return se.Engine(timezone=timezone, as_of=AS_OF, config=config)


def customers(*ids: Any, **columns: list[Any]) -> pa.Table:
    return pa.table({"customer_id": list(ids), **columns})


def orders(*ids: Any, time: Any = LONG_AGO, **columns: list[Any]) -> pa.Table:
    return pa.table({"customer_id": list(ids), "time": [time] * len(ids), **columns})


def state(engine: se.Engine) -> dict[str, Any]:
    """Everything an analyst can see, and the version."""
    names = ("customers", "products", "orders", "order_lines", "behaviors", "purchases")
    tables = {name: engine.table(name).to_pylist() for name in names}
    return tables | {"version": engine.data_version, "fit": engine.fits.fitted_at}
