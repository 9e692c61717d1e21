"""What is a report? Figures and tables, each with its formula, true for one moment of one store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from segengine.plain import plain
from segengine.schema.store_config import StoreConfig
from segengine.traits.work import Fits

SHARE, MONEY, MOMENT = "share", "money", "moment"
"""Units shown in a way of their own: 0.25 as 25.0 %, to the cent, `iso` by the store's clock."""

Given = Sequence[Any] | Mapping[str, Any]
Value = Decimal | int | float | str | None


@dataclass(frozen=True, slots=True)
class Source:
    """What a report reads: tables at one moment, and the words that it must say with them.

    connection: holds the tables and columns that the report's entry in `catalogue.py` names, as
    far as the store has them; its timezone is the store's. as_of is in UTC.
    segments: the labels of the segments asked about, in order; the first's buyers are the table
    `segment_1` (customer_id), and so on. given: what the report's entry found beside tables.
    """

    connection: duckdb.DuckDBPyConnection
    as_of: datetime
    data_version: int
    timezone: str
    currency: str
    config: StoreConfig
    fits: Fits
    columns: Mapping[str, tuple[str, ...]]
    segments: tuple[str, ...] = ()
    given: object = None

    def has(self, table: str, *names: str) -> bool:
        """Whether the connection has a table with all of these columns."""
        return set(names) <= set(self.columns[table]) if table in self.columns else False

    @property
    def today(self) -> date:
        """The date of as_of in the store's timezone."""
        return self.as_of.astimezone(ZoneInfo(self.timezone)).date()

    def rows(self, sql: str, given: Given = ()) -> list[tuple[Any, ...]]:
        """The rows of a query; `given` are its `?` or its `$names`.

        Ask for a moment as text or by `epoch_us`: of TIMESTAMPTZ the client makes no Python value.
        """
        return self.connection.execute(sql, given or None).fetchall()

    def row(self, sql: str, given: Given = ()) -> tuple[Any, ...]:
        """The one row of a query that always has one, such as an aggregate."""
        (found,) = self.rows(sql, given)
        return found


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a reader looks for.

    name: a stable word for programs. value: None where it cannot be known. unit: `share`,
    `money`, or the word after the number, such as `buyers`. formula: a sentence or SQL-like text.
    """

    name: str
    title: str
    value: Value
    unit: str
    formula: str


@dataclass(frozen=True, slots=True)
class Picture:
    """How a table is drawn.

    kind: `bars` (a group of bars for each x, a bar for each of y), `lines` (x in order, a line for
    each of y), `grid` (x: column of columns; y: column of rows, column of values), `triangle` (a
    grid with cells that have no row), `flow` (x: from; y: to, value), `shares` (a whole bar for
    each of y, cut by x), `intervals` (a line for each x; y: the value, its low and its high).
    y's columns share one unit.
    """

    kind: str
    x: str
    y: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of one kind; formula: the formula of every computed column.

    units: one for each column, as a figure's; empty where no column has any.
    """

    name: str
    title: str
    formula: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    picture: Picture | None = None
    units: tuple[str, ...] = ()

    def unit(self, column: str) -> str:
        """The unit of a column."""
        return self.units[self.columns.index(column)] if self.units else ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says, and the moment and data it is true for; as_of is in UTC."""

    name: str
    title: str
    as_of: datetime
    data_version: int
    timezone: str
    currency: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


def report_of(
    source: Source,
    name: str,
    title: str,
    figures: Sequence[Figure],
    tables: Sequence[Table],
    notes: Sequence[str] = (),
) -> Report:
    """A report that is true for what its source is true for."""
    return Report(
        name, title, source.as_of, source.data_version, source.timezone, source.currency,
        tuple(figures), tuple(tables), tuple(notes),
    )  # fmt: skip


def to_json(report: Report) -> dict[str, Any]:
    """A report in what JSON has: exact decimals as text, moments in UTC, rows as lists."""
    return {
        "report": report.name,
        "title": report.title,
        "as_of": plain(report.as_of),
        "data_version": report.data_version,
        "timezone": report.timezone,
        "currency": report.currency,
        "figures": [
            {
                "name": figure.name,
                "title": figure.title,
                "value": plain(figure.value),
                "unit": figure.unit,
                "formula": figure.formula,
            }
            for figure in report.figures
        ],
        "tables": [_table(table) for table in report.tables],
        "notes": list(report.notes),
    }


def _table(table: Table) -> dict[str, Any]:
    picture = table.picture
    return {
        "name": table.name,
        "title": table.title,
        "formula": table.formula,
        "columns": list(table.columns),
        "units": list(table.units or ("",) * len(table.columns)),
        "rows": [[plain(value) for value in row] for row in table.rows],
        "picture": None
        if picture is None
        else {"kind": picture.kind, "x": picture.x, "y": list(picture.y)},
    }
