"""What became of a run: tell the store what was sent, delivered, opened, clicked, failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segengine.cli.load import in_words_of_the_shell, report_json
from segengine.cli.options import HERE, AsJson, Store, opened
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted

File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="A .csv, .parquet or .json with customer_id and run, and kind, time, parts as known.",
        show_default=False,
    ),
]
All = Annotated[
    str | None,
    typer.Option("--all", metavar="RUN", help="Everybody this run targets was sent it now."),
]
OnError = Annotated[
    str | None,
    typer.Option(
        "--on-error",
        metavar="refuse|skip",
        help="What to do about bad rows: record nothing (refuse, the default), or the others.",
    ),
]


def record(
    file: File = None,
    run: All = None,
    on_error: OnError = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Record messages of runs; caps and reports see them at once."""
    if (file is None) == (run is None):
        raise InputError("give either a FILE, or `--all RUN` where everybody was sent it")
    with opened(store) as engine, in_words_of_the_shell(file):
        data = engine.runs.named(run) if run is not None else str(Path(str(file)).absolute())
        report = engine.record_messages(data, on_error=on_error or "refuse")
        if as_json:
            print_json({**report_json(report), "data_version": engine.data_version})
            return
        screen = console()
        screen.print(
            f"{counted(report.rows_loaded, 'message')} recorded, {report.rows_repeated:,} were "
            f"there already, {report.rows_skipped:,} left out"
        )
        for problem in report.problems:
            screen.print(f"  {problem}")
        if report.ignored_columns:
            ignored = ", ".join(report.ignored_columns)
            screen.print(f"not looked at: {ignored}; a run knows its campaign, channel and variant")
