"""Outside rows -> one checked batch in the form the tables keep.

Nothing in the tables changes here, but that dictionaries may learn texts nobody uses yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import LoadError
from segengine.ingest.direct import taken_as_is
from segengine.ingest.mapping import ColumnPlan, Reading, plan_mapping
from segengine.ingest.report import LoadProblem, LoadReport, RefusedError, merged
from segengine.ingest.sources import GIVEN_SHOWN, opened, said
from segengine.schema.kinds import Kind, dtype_of, missing_of
from segengine.schema.tables import CUSTOMERS
from segengine.tables.apply import contradictions
from segengine.tables.batch import Batch, BatchColumn
from segengine.tables.tables import Tables

Progress = Callable[[int, int | None], None]
"""Called with rows read so far, and all rows where that is known."""

_BATCH_ROWS = 1 << 18


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What `Engine.load` and `append` were asked: the arguments' meaning is in their docstring."""

    table: str
    source: Any = None
    query: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    on_error: str = "refuse"
    folder: Path = Path()


def stage(
    tables: Tables,
    request: LoadRequest,
    timezone: str,
    *,
    latest: int | None = None,
    as_of: int = 0,
    progress: Progress | None = None,
) -> tuple[Batch, LoadReport]:
    """Read, check and convert a source; bad rows are refused or left out, as asked.

    With `latest`, later events are bad, and those between `as_of` and `latest` happen at `as_of`.
    """
    started = time.perf_counter()
    tables.table(request.table)
    if request.on_error not in ("refuse", "skip"):
        raise LoadError(
            f'on_error is "refuse" or "skip", not `{request.on_error}`', field="on_error"
        )
    read = _as_is(tables, request, progress) or _read(tables, request, timezone, progress)
    batch, problems = read.batch, list(read.problems)
    if latest is not None and tables.specs[request.table].is_event:
        problems += _too_late(batch, latest, as_of)
    for bad in contradictions(tables, batch):
        problems.append(LoadProblem(bad.column, bad.reason, len(bad.rows), bad.examples))
        mask = np.ones(batch.rows, np.bool_)
        mask[bad.rows] = False
        batch.keep(mask)
    report = LoadReport(
        request.table,
        read.rows,
        batch.rows,
        read.rows - batch.rows,
        problems=merged(problems),
        ignored_columns=read.ignored,
        seconds=time.perf_counter() - started,
    )
    if report.rows_skipped and request.on_error == "refuse":
        raise RefusedError(report, read.shown)
    return batch, report


@dataclass(frozen=True, slots=True)
class _Read:
    """The rows of a source that are sound by themselves, and what was wrong with the others."""

    batch: Batch
    rows: int
    problems: Sequence[LoadProblem]
    ignored: tuple[str, ...]
    shown: str


def _as_is(tables: Tables, request: LoadRequest, progress: Progress | None) -> _Read | None:
    """What was given, where it is of our own types already; None: it has to be read."""
    if request.query is not None or request.columns or request.where is not None:
        return None
    name = request.table
    found = taken_as_is(
        request.source, tables.specs[name], _fixed_kinds(tables, name), _computed(tables, name),
        partial(tables.dictionary_for, name), money_scale=tables.money_scale,
    )  # fmt: skip
    if found is None:
        return None
    batch, ignored = found
    if progress is not None:
        progress(batch.rows, batch.rows)
    return _Read(batch, batch.rows, (), ignored, GIVEN_SHOWN)


def _read(tables: Tables, request: LoadRequest, timezone: str, progress: Progress | None) -> _Read:
    """What DuckDB reads of the source."""
    with opened(request.source, request.query, timezone, request.folder) as source:
        mapping = plan_mapping(
            source, tables.specs[request.table], request.columns, request.where,
            _fixed_kinds(tables, request.table), _computed(tables, request.table),
            money_scale=tables.money_scale,
        )  # fmt: skip
        staging = _Staging(tables, request.table, mapping)
        try:
            result = source.connection.sql(mapping.sql(source.relation))
            for part in result.to_arrow_reader(_BATCH_ROWS):
                staging.take(part)
                if progress is not None:
                    progress(staging.rows_read, source.rows)
        except (duckdb.Error, pa.ArrowInvalid, OSError) as error:
            raise LoadError(f"{source.shown}: {said(error)}", field="source") from None
        return _Read(
            staging.batch(), staging.rows_read, staging.problems, mapping.ignored, source.shown
        )


def _computed(tables: Tables, table: str) -> Container[str]:
    """The names of a table's traits, which no source gives."""
    return tables.customers.traits if table == CUSTOMERS else tables.table(table).computed


def _fixed_kinds(tables: Tables, table: str) -> dict[str, Kind]:
    """Kinds that are settled beyond the schema: added columns, and identifiers in use."""
    spec = tables.specs[table]
    kinds = {n: c.kind for n, c in tables.table(table).columns.items() if n not in spec.by_name}
    for column in spec.columns:
        fixed = tables.identifier_kind(table, column.name) if column.identifier else None
        if fixed is not None:
            kinds[column.name] = fixed
    return kinds


def _too_late(batch: Batch, latest: int, as_of: int) -> list[LoadProblem]:
    times = batch.values("time")
    late = times > latest
    batch.columns["time"].values = np.minimum(times, as_of)
    if not late.any():
        return []
    from segengine.days import moment  # noqa: PLC0415 - only for a message

    shown = tuple(moment(int(t)).isoformat() for t in times[late][:3])
    batch.keep(~late)
    reason = "is more than 5 minutes after as_of"
    return [LoadProblem("time", reason, int(late.sum()), shown)]


class _Staging:
    """Collects converted parts and counts bad rows."""

    def __init__(self, tables: Tables, table: str, mapping: ColumnPlan) -> None:
        self._table = table
        self._mapping = mapping
        self._parts: list[list[NDArray[Any]]] = [[] for _ in mapping.readings]
        self._dictionaries = [
            tables.dictionary_for(table, r.name, r.kind) for r in mapping.readings
        ]
        self.problems: list[LoadProblem] = []
        self.rows_read = 0

    def take(self, part: pa.RecordBatch) -> None:
        bad = np.zeros(part.num_rows, np.bool_)
        for index, reading in enumerate(self._mapping.readings):
            if reading.status is None:
                continue
            status = part.column(f"s{index}").to_numpy(zero_copy_only=False)
            if status.any():
                self._count(reading, status, part.column(f"t{index}"), bad)
                bad |= status > 0
        self.rows_read += part.num_rows
        keep = None if not bad.any() else pa.array(~bad)
        for index, reading in enumerate(self._mapping.readings):
            column = part.column(f"v{index}")
            if keep is not None:
                column = column.filter(keep)
            dictionary = self._dictionaries[index]
            if dictionary is not None:
                self._parts[index].append(dictionary.encode(column))
            else:
                self._parts[index].append(_plain(column, reading.kind))

    def _count(
        self, reading: Reading, status: NDArray[Any], texts: pa.Array, bad: NDArray[np.bool_]
    ) -> None:
        for value in np.unique(status[(status > 0) & ~bad]):
            rows = np.flatnonzero((status == value) & ~bad)
            examples = [texts[int(r)].as_py() for r in rows[:3]]
            shown = tuple(e for e in examples if e is not None)
            reason = reading.reason(int(value))
            self.problems.append(LoadProblem(reading.name, reason, len(rows), shown))

    def batch(self) -> Batch:
        columns = {}
        rows = 0
        for reading, parts, dictionary in zip(
            self._mapping.readings, self._parts, self._dictionaries, strict=True
        ):
            empty = np.empty(0, dtype_of(reading.kind))
            values = parts[0] if len(parts) == 1 else np.concatenate([empty, *parts])
            parts.clear()
            rows = len(values)
            columns[reading.name] = BatchColumn(reading.kind, values, dictionary)
        return Batch(self._table, rows, columns)


def _plain(column: pa.Array, kind: Kind) -> NDArray[Any]:
    """A typed Arrow column as an array with reserved missing values."""
    dtype = dtype_of(kind)
    missing = missing_of(dtype, kind)
    if kind is Kind.MONEY:
        return _unscaled(column, int(missing))
    if kind is Kind.TIMESTAMP:
        column = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    elif kind is Kind.DATE:
        column = column.cast(pa.int32())
    elif kind is Kind.BOOLEAN:
        column = column.cast(pa.int8())
    if column.null_count:
        column = column.fill_null(missing)
    # A copy: a view of one column would keep the whole batch of all columns alive.
    return np.array(column.to_numpy(zero_copy_only=False), dtype=dtype)


def _unscaled(column: pa.Array, missing: int) -> NDArray[np.int64]:
    """The low halves of decimals of at most 18 digits."""
    if not pa.types.is_decimal128(column.type):
        column = column.cast(pa.decimal128(column.type.precision, column.type.scale))
    halves = np.frombuffer(column.buffers()[1], np.int64)
    values = halves[2 * column.offset : 2 * (column.offset + len(column)) : 2].copy()
    if column.null_count:
        values[column.is_null().to_numpy(zero_copy_only=False)] = missing
    return values
