"""What is a case? One shape of rule, said to every engine in its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from segengine.bench.population import AS_OF

Rule = Callable[[int], str]
Sql = Callable[[str, int], str]
Lazy = Callable[[Any, Mapping[str, Any], int], Any]

DUCKDB, DATAFUSION, CLICKHOUSE = "duckdb", "datafusion", "clickhouse"


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of rule. Its k-th variant is a rule of its own, so that no answer is reused.

    `rule(k)` is in this engine's language; `sql(dialect, k)` a query that gives the count;
    `polars(pl, frames, k)` a lazy frame of one value, that count. Each is how the engine does it
    best, not the same words at any price.
    """

    name: str
    rule: Rule
    sql: Sql
    polars: Lazy


def where(
    name: str,
    rule: Rule,
    polars: Callable[[Any, int], Any],
    *,
    duckdb: Rule | None = None,
    datafusion: Rule | None = None,
    clickhouse: Rule | None = None,
) -> Case:
    """A case that is one condition on customers: `polars(pl, k)` an expression, the others SQL.

    A dialect that is not given takes the rule as it is.
    """
    own = {DUCKDB: duckdb, DATAFUSION: datafusion, CLICKHOUSE: clickhouse}

    def sql(dialect: str, k: int) -> str:
        condition = own[dialect] or rule
        return f"SELECT count(*) FROM customers WHERE {condition(k)}"

    def lazy(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
        return frames["customers"].select(polars(pl, k).sum())

    return Case(name, rule, sql, lazy)


def quoted(words: Sequence[str]) -> str:
    """`'a', 'b'`."""
    return ", ".join(f"'{word}'" for word in words)


def first_day(days: int) -> datetime:
    """The midnight with which the last so many dates begin, today the last of them."""
    return AS_OF.replace(hour=0) - timedelta(days=days - 1)


def instant(dialect: str, moment: datetime) -> str:
    """A moment as a literal."""
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    if dialect == CLICKHOUSE:
        return f"toDateTime64('{text}', 6, 'UTC')"
    if dialect == DATAFUSION:
        return f"TIMESTAMP '{text}Z'"
    return f"TIMESTAMPTZ '{text}Z'"


def money(pl: Any, amount: float) -> Any:
    """An exact amount for Polars."""
    return pl.lit(f"{amount:.4f}").str.to_decimal(scale=4)
