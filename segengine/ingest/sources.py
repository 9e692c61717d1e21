"""Which rows does this source have, and who may be asked for them?

Everything is read by DuckDB in a connection of its own that can open the named files alone,
load no extension, and has the store's timezone. SQL in `columns`, `where` and `query` is the
caller's own; the locks keep it from reaching past the source.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from segengine.errors import LoadError

_READERS = {
    ".parquet": "read_parquet",
    ".pq": "read_parquet",
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".txt": "read_csv",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}
_PACKED = (".gz", ".zst")
_GIVEN = "source"
"""What data that was given is called in SQL."""
GIVEN_SHOWN = "the data given"
_MOST_IDLE = 2


@dataclass(frozen=True, slots=True)
class Source:
    """An open source: `relation` is what stands after FROM; `shown` names it in errors."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    shown: str
    rows: int | None
    """How many rows there are before `where`, where that is cheap to know."""


@contextmanager
def opened(source: Any, query: str | None, timezone: str, folder: Path) -> Iterator[Source]:
    """The source behind `load(source, query=)`; relative paths are relative to `folder`."""
    if (source is None) == (query is None):
        raise LoadError(
            "give either a source (a path, a glob, or Arrow data) or `query`", field="source"
        )
    if query is None and not isinstance(source, str | os.PathLike):
        with _locked(timezone) as connection:
            yield _of_arrow(connection, source)
        return
    connection = duckdb.connect(":memory:")
    try:
        if query is not None:
            yield _of_query(connection, query, timezone, folder)
        else:
            yield _of_files(connection, os.fspath(source), timezone, folder)
    finally:
        connection.close()


_idle: dict[str, list[duckdb.DuckDBPyConnection]] = {}


@contextmanager
def _locked(timezone: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that opens no file; one a load has ended well with serves the next.

    A new one costs 10 ms, more than a batch of 1,000 rows. It keeps nothing: only a SELECT is
    ever run in it, and no setting can be changed.
    """
    idle = _idle.setdefault(timezone, [])
    try:
        connection = idle.pop()
    except IndexError:
        connection = duckdb.connect(":memory:")
        lock(connection, timezone, [])
    try:
        yield connection
        connection.unregister(_GIVEN)
    except BaseException:
        connection.close()
        raise
    if len(idle) < _MOST_IDLE:
        idle.append(connection)
    else:
        connection.close()


def lock(connection: duckdb.DuckDBPyConnection, timezone: str, paths: list[str]) -> None:
    """From here on the connection opens these files and nothing else."""
    quoted = ", ".join(literal(p) for p in paths)
    for statement in (
        f"SET TimeZone = {literal(timezone)}",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        "SET python_enable_replacements = false",
        "SET enable_progress_bar = false",
        "SET error_on_division_by_zero = false",
        "SET temp_directory = ''",
        f"SET allowed_paths = [{quoted}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement)


def literal(text: str) -> str:
    """A text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def only_select(connection: duckdb.DuckDBPyConnection, sql: str, shown: str) -> None:
    """Refuse what is not exactly one SELECT.

    The caller puts it into FROM ( ... ), where DuckDB admits nothing that writes.
    """
    if "json_execute_serialized_sql" in sql.lower():
        raise LoadError(f"{shown}: serialized SQL is not run", field="query")
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise LoadError(f"{shown}: {said(error)}", field="query") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise LoadError(f"{shown}: must be one SELECT and nothing else", field="query")


def said(error: Exception) -> str:
    """What DuckDB says, without its sermon on how to go on.

    Raises KeyboardInterrupt where that is what stopped it: DuckDB makes an error of its own of it.
    """
    text = str(error).strip()
    if isinstance(error, duckdb.InterruptException) or "KeyboardInterrupt" in text:
        raise KeyboardInterrupt from None
    return text.split("\n\n")[0]


def _of_files(
    connection: duckdb.DuckDBPyConnection, path: str, timezone: str, folder: Path
) -> Source:
    files = files_of(path, folder)
    lock(connection, timezone, files)
    readers = {_reader(f) for f in files}
    if len(readers) > 1:
        raise LoadError(f"`{path}` names files of different formats", field="source")
    reader = readers.pop()
    options = {"read_csv": ", sample_size = -1", "read_json": ", sample_size = -1"}
    listed = ", ".join(literal(f) for f in files)
    relation = f"{reader}([{listed}], union_by_name = true{options.get(reader, '')})"
    rows = None
    if reader == "read_parquet":
        try:
            counted = connection.execute(f"SELECT count(*) FROM {reader}([{listed}])").fetchone()
        except duckdb.Error as error:
            raise LoadError(f"`{path}`: {said(error)}", field="source") from None
        rows = counted[0] if counted else None
    return Source(connection, relation, f"`{path}`", rows)


def files_of(path: str, folder: Path) -> list[str]:
    """The files that a path or a glob names, relative to a folder; `LoadError` for none."""
    full = str(folder / path)
    if Path(full).is_file():
        return [full]
    found = sorted(f for f in glob.glob(full, recursive=True) if Path(f).is_file())  # noqa: PTH207
    if not found:
        if Path(full).is_dir():
            raise LoadError(
                f"`{path}` is a folder; name its files, such as `{path.rstrip('/')}/*.parquet`",
                field="source",
            )
        what = "no file matches" if glob.has_magic(path) else "there is no file"
        raise LoadError(f"{what} `{path}`; looked in `{Path(full).parent}`", field="source")
    return found


def _reader(file: str) -> str:
    name = file.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    reader = _READERS.get(Path(name).suffix)
    if reader is None:
        known = ", ".join(_READERS)
        raise LoadError(
            f"`{file}`: cannot tell the format from the name; known endings: {known}",
            field="source",
        )
    return reader


def _of_arrow(connection: duckdb.DuckDBPyConnection, source: Any) -> Source:
    rows: int | None = None
    if isinstance(source, pa.RecordBatchReader):
        data: Any = source
    elif hasattr(source, "__arrow_c_stream__"):
        data = pa.table(source)
        rows = data.num_rows
    elif hasattr(source, "__arrow_c_array__"):
        data = pa.Table.from_batches([pa.record_batch(source)])
        rows = data.num_rows
    else:
        raise LoadError(
            f"a {type(source).__name__} is no source; give a path, a glob, or data that speaks "
            "Arrow (pyarrow, pandas, Polars, a DuckDB relation)",
            field="source",
        )
    if isinstance(data, pa.Table) and rows is not None:
        names = data.column_names
        if len({n.lower() for n in names}) < len(names):
            raise LoadError("the source has two columns of the same name", field="source")
    if len(data.schema) == 0:
        raise LoadError("the source has no columns", field="source")
    connection.register(_GIVEN, data)
    return Source(connection, _GIVEN, GIVEN_SHOWN, rows)


def _of_query(
    connection: duckdb.DuckDBPyConnection, query: str, timezone: str, folder: Path
) -> Source:
    """A query may open the files that it names as literals or quoted names."""
    only_select(connection, query, "`query`")
    connection.execute(f"SET file_search_path = {literal(str(folder))}")
    lock(connection, timezone, _named_files(query, folder))
    return Source(connection, f"(\n{query.strip().rstrip(';')}\n)", "`query`", None)


def _named_files(query: str, folder: Path) -> list[str]:
    try:
        tree = sqlglot.parse_one(query, read="duckdb")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return []
    named = [str(n.this) for n in tree.find_all(exp.Literal) if n.is_string]
    named += [str(t.name) for t in tree.find_all(exp.Table)]
    paths: list[str] = []
    for name in named:
        if "." not in name and "/" not in name:
            continue
        try:
            for file in files_of(name, folder):
                paths += [file, name]
        except LoadError:
            continue
    return sorted(set(paths))
