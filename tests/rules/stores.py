"""Which stores put rules to the test? A little written one, and engines over random customers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

import segengine as se
from tests.reference.random_customers import COLUMNS
from tests.reference.rules import World

AS_OF = datetime(2024, 3, 1, 12, tzinfo=UTC)
CONFIG = {
    "store": {"timezone": "Asia/Shanghai", "channels": ["sms"]},
    "constants": {"magic_number": 6, "share": 0.25},
}


def little_store() -> se.Engine:
    """Four buyers with every kind of trait: the first has all, the last has none."""
    engine = se.Engine(as_of=AS_OF, config=CONFIG)
    time = datetime(2024, 2, 20, 1, tzinfo=UTC)
    known: dict[str, tuple[list[Any], pa.DataType]] = {
        "customer_id": ([1, 2, 3, 4], pa.int64()),
        "city": (["Hangzhou", "Shanghai", "", None], pa.string()),
        "birthday": ([date(1990, 3, 5), date(1992, 2, 29), date(2000, 12, 31), None], pa.date32()),
        "joined_at": ([time, AS_OF, datetime(2020, 1, 1, tzinfo=UTC), None],
                      pa.timestamp("us", "UTC")),
        "tags": ([["vip", "never"], ["vip"], [], None], pa.list_(pa.string())),
        "is_gold": ([True, False, True, None], pa.bool_()),
        "visits": ([10, 0, -3, None], pa.int64()),
        "rate": ([0.5, 0.0, -1.25, None], pa.float64()),
        "spent": ([Decimal("19.9000"), Decimal(0), Decimal("-5.2500"), None],
                  pa.decimal128(18, 4)),
    }  # fmt: skip
    table = pa.table({name: pa.array(*values) for name, values in known.items()})
    added = ("is_gold", "visits", "rate", "spent")
    engine.load("customers", table, columns={name: name for name in added})
    return engine


def engine_over(customers: pa.Table, world: World) -> se.Engine:
    """An engine that holds random customers at the moment of a world."""
    engine = se.Engine(timezone=world.timezone, as_of=world.as_of)
    load(engine, customers)
    return engine


def load(engine: se.Engine, customers: pa.Table, *, on_error: str = "refuse") -> None:
    """Add random customers, or replace those whose ids they have."""
    engine.load("customers", customers, columns={name: name for name in COLUMNS}, on_error=on_error)


def ids(engine: se.Engine, rule: Any) -> set[int | str]:
    """The customer_ids for whom a rule holds."""
    return set(engine.segment(rule).ids().to_pylist())
