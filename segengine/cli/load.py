"""How do a shop's files get into the store?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.load_progress import loading
from segengine.cli.options import HERE, AsJson, Store, opened, pairs_of
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import buyers, console, note, table

if TYPE_CHECKING:
    from segengine.engine import Engine
    from segengine.ingest.report import LoadReport

TableName = Annotated[
    str | None,
    typer.Argument(metavar="TABLE", help="A table, such as `orders`.", show_default=False),
]
Source = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="A .csv, .parquet or .json file, or a glob in quotes.",
        show_default=False,
    ),
]
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="SQL", help="Rows to take, on the source's columns."),
]
Mapped = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=SQL", help="Where a column of ours comes from; may be repeated."
    ),
]
OnError = Annotated[
    str | None,
    typer.Option(
        "--on-error",
        metavar="refuse|skip",
        help="What to do about bad rows: load nothing (refuse, the default), or the others.",
    ),
]


def load(
    table_name: TableName = None,
    source: Source = None,
    where: Where = None,
    column: Mapped = None,
    on_error: OnError = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Load a file into a table; without arguments, all the sources that store.toml names."""
    if source is None and (where or column or on_error):
        raise InputError(
            "`--where`, `--column` and `--on-error` go with a TABLE and a SOURCE; for sources in "
            "store.toml they stand there, under `[load.TABLE]`"
        )
    columns = pairs_of(column or [], "--column", '"amount=Quantity * UnitPrice"')
    started = time.perf_counter()
    with opened(store) as engine:
        chosen = list(engine.config.load) if table_name is None else [table_name]
        before = {name: _rows(engine, name) for name in chosen}
        with loading(", ".join(chosen)) as tell, in_words_of_the_shell(source):
            if table_name is None or source is None:
                reports = engine.load_configured(chosen, progress=tell.rows, building=tell.building)
            else:
                report = engine.load(
                    table_name,
                    os.path.abspath(source),  # noqa: PTH100 - a glob is no path
                    columns=columns,
                    where=where,
                    on_error=on_error or "refuse",
                    progress=tell.rows,
                    building=tell.building,
                )
                reports = [report]
        for name, rows in before.items():
            now = _rows(engine, name) if rows else 0
            if now > rows:
                note(f"`{name}` had {rows:,} rows and has {now:,}: a load adds, it never replaces")
        if as_json:
            loads = [report_json(report) for report in reports]
            print_json({"loads": loads, "data_version": engine.data_version})
            return
        _show(reports)
        seconds = time.perf_counter() - started
        everybody = engine.segment("TRUE").count()
        console().print(f"the store has {buyers(everybody)} now; {seconds:.1f} s")


@contextmanager
def in_words_of_the_shell(source: str | None) -> Iterator[None]:
    """What to do about bad rows, as it is written here, or in store.toml, not in Python."""
    from segengine.ingest.report import RefusedError

    try:
        yield
    except RefusedError as error:
        here = "`--on-error skip`"
        if source is None:
            here = f'`on_error = "skip"` under `[load.{error.report.table}]`'
        said = str(error).replace('on_error="skip"', here)
        raise InputError(said, field=error.field) from None


def report_json(report: LoadReport) -> dict[str, Any]:
    """A load report with the names that programs know."""
    return {
        "table": report.table,
        "rows_read": report.rows_read,
        "rows_loaded": report.rows_loaded,
        "rows_skipped": report.rows_skipped,
        "rows_repeated": report.rows_repeated,
        "problems": [
            {"column": p.column, "reason": p.reason, "rows": p.rows, "examples": p.examples}
            for p in report.problems
        ],
        "ignored_columns": report.ignored_columns,
        "seconds": round(report.seconds, 3),
    }


def _rows(engine: Engine, name: str) -> int:
    """How many rows an event table has; 0 for tables in which a row replaces one."""
    spec = engine.config.tables().get(name)
    if spec is None or not spec.is_event:
        return 0
    return int(engine.table(name, ["time"]).num_rows)


def _show(reports: Sequence[LoadReport]) -> None:
    """A line a load, and under the table what was wrong and what was left."""
    from rich.text import Text

    rows: list[list[str | Text]] = [
        [
            r.table,
            f"{r.rows_read:,}",
            f"{r.rows_loaded:,}",
            Text(f"{r.rows_skipped:,}", style="red" if r.rows_skipped else "none"),
            f"{r.rows_repeated:,}",
            f"{r.seconds:.1f} s",
        ]
        for r in reports
    ]
    names = ["table", "rows read", "loaded", "skipped", "repeated", "time"]
    screen = console()
    screen.print(table(names, rows, numbers=names[1:]))
    for report in reports:
        for problem in report.problems:
            screen.print(f"{report.table}: {problem}", style="red", soft_wrap=True)
        if report.ignored_columns:
            ignored = ", ".join(report.ignored_columns)
            screen.print(f"{report.table}: columns not used: {ignored}", soft_wrap=True)
