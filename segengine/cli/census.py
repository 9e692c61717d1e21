"""What do all buyers see on a page, and which modules does nobody see?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.files import ENDINGS, check_out, write_table, write_text
from segengine.cli.options import HERE, AsJson, Store, opened, pairs_of
from segengine.cli.page import Context
from segengine.cli.plain import print_json
from segengine.cli.show import (
    bar,
    buyers,
    console,
    counted,
    milliseconds,
    moment,
    note,
    share,
    table,
)

if TYPE_CHECKING:
    from rich.console import Console

    from segengine.pages.census import Census

MOST_MODULES = 12
MOST_UNSEEN = 12
MOST_PAGES = 5
LOST = ("outranked", "already_shown", "held_out", "capped", "not_eligible", "inactive")
HTML = ".html"

Name = Annotated[str, typer.Argument(metavar="PAGE", help="A page of store.toml.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Write all modules to a .parquet or .csv, or an .html page."
    ),
]


def census(
    name: Name,
    context: Context = None,
    out: Out = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Count what all buyers see on a page, module by module, and what nobody sees."""
    check_out(out, (*ENDINGS, HTML))
    visit = pairs_of(context or [], "--context", "device=mobile")
    with opened(store) as engine:
        started = time.perf_counter()
        with counting(f"page {name}") as progress:
            found = engine.page_census(name, visit, progress=progress)
        seconds = time.perf_counter() - started
        if out is not None:
            _write(found, out, engine.timezone, engine.config.currency)
        if found.not_given:
            keys = ", ".join(f"context.{key}" for key in found.not_given)
            note(f"rules of the page read {keys}, not given by --context: missing for all buyers")
        if as_json:
            print_json(census_json(found))
            return
        screen = console()
        show(census_json(found), screen)
        screen.print(
            f"page `{name}`, {buyers(found.buyers)}, "
            f"as of {moment(found.as_of, engine.timezone)}, in {milliseconds(seconds)}"
        )


def _write(found: Census, out: Path, timezone: str, currency: str) -> None:
    if out.suffix.lower() != HTML:
        write_table(found.modules, out)
        return
    from segengine.reports.html import to_html
    from segengine.reports.page_census import census_report
    from segengine.reports.report import to_json

    write_text(to_html(to_json(census_report(found, timezone, currency))), out)


def census_json(found: Census) -> dict[str, Any]:
    """A census with the names that programs know; tables as lists of rows."""
    return {
        "page": found.page,
        "context": found.context,
        "not_given": found.not_given,
        "buyers": found.buyers,
        "modules": found.modules.to_pylist(),
        "variants": found.variants.to_pylist(),
        "empty": found.empty.to_pylist(),
        "never": found.never,
        "unseen": found.unseen.to_pylist(),
        "different_pages": found.different_pages,
        "frequent": found.frequent.to_pylist(),
        "as_of": found.as_of,
        "data_version": found.data_version,
    }


def show(found: Mapping[str, Any], screen: Console) -> None:
    """Print a census: slot by slot who is seen, then who is not, then the most frequent pages."""
    _show_slots(found, screen)
    if found["unseen"]:
        _show_unseen(found, screen)
    _show_pages(found, screen)


def _show_slots(found: Mapping[str, Any], screen: Console) -> None:
    from rich.text import Text

    of, rows = found["buyers"], []
    for slot in found["empty"]:
        name = slot["slot"]
        modules = [row for row in found["modules"] if row["slot"] == name and row["reach"]]
        modules.sort(key=lambda row: (-row["reach"], row["module"]))
        lines = [(row["module"], row["reach"], "none") for row in modules[:MOST_MODULES]]
        rest = modules[MOST_MODULES:]
        if rest:
            reach = sum(row["reach"] for row in rest)
            lines.append((f"{len(rest):,} more (--out has all)", reach, "dim"))
        if slot["buyers"] or not lines:
            lines.append(("- (empty)", slot["buyers"], "dim"))
        shown = {row["module"] for row in modules[:MOST_MODULES]}
        for place, (module, reach, style) in enumerate(lines):
            rows.append([
                name if place == 0 else "", Text(module, style=style), f"{reach:,}",
                share(reach, of), Text(bar(reach, of), style="cyan"),
            ])  # fmt: skip
            rows += [
                ["", Text(f"  / {row['variant']}", style="dim"), f"{row['reach']:,}",
                 share(row["reach"], of), ""]
                for row in found["variants"]
                if row["slot"] == name and row["module"] == module and module in shown
            ]  # fmt: skip
    screen.print(table(["slot", "module", "buyers", "share", ""], rows,
                       numbers=["buyers", "share"]))  # fmt: skip


def _show_unseen(found: Mapping[str, Any], screen: Console) -> None:
    unseen, names = found["unseen"], found["never"]
    rows = []
    for row in unseen[:MOST_UNSEEN]:
        by = f"by {row['by']}: {row['by_buyers']:,}" if row["by"] else ""
        rows.append([row["module"], row["slot"], row["reason"], f"{row['buyers']:,}", by])
    screen.print(f"\nnobody sees {counted(len(names), 'module')}", style="bold")
    screen.print(table(["module", "slot", "nearest", "buyers", ""], rows, numbers=["buyers"]))
    if len(unseen) > MOST_UNSEEN:
        screen.print(f"{len(unseen) - MOST_UNSEEN:,} more: --json has all")


def _show_pages(found: Mapping[str, Any], screen: Console) -> None:
    frequent, of = found["frequent"][:MOST_PAGES], found["buyers"]
    different = counted(found["different_pages"], "different page")
    said = f"\n{different}, the most frequent:" if len(frequent) > 1 else f"\n{different}"
    screen.print(said, style="bold")
    rows = [
        [
            f"{page['buyers']:,}",
            share(page["buyers"], of),
            ", ".join(f"{p['slot']}: {_seen(p)}" for p in page["placements"]),
        ]
        for page in frequent
    ]
    if rows:
        screen.print(table(["buyers", "share", "page"], rows, numbers=["buyers", "share"]))


def _seen(placement: Mapping[str, Any]) -> str:
    if placement["module"] is None:
        return "-"
    variant = "" if placement["variant"] is None else f" / {placement['variant']}"
    return f"{placement['module']}{variant}"


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Who is told how many modules are done: a bar on a terminal, nobody elsewhere."""
    screen = console(errors=True)
    if not screen.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("modules"), TimeElapsedColumn(), console=screen, transient=True,
    ) as shown:  # fmt: skip
        task = shown.add_task(what, total=None)
        yield lambda done, of: shown.update(task, completed=done, total=of)
