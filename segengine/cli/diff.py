"""What would another store.toml, or another rule, change before it is published?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.options import HERE, AsJson, Out, Store, opened
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import cell, console, counted, moment, note, table

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from segengine.audiences.member_diff import MemberDiff
    from segengine.engine import Engine

What = Annotated[
    str,
    typer.Argument(
        metavar="FILE|RULE", help="Another store.toml; or, with --segment, a segment's rule."
    ),
]
Segment = Annotated[
    str | None, typer.Option("--segment", metavar="NAME", help="The segment to try a rule for.")
]
Suppress = Annotated[
    bool, typer.Option("--suppress", help="With --segment: as one that suppresses.")
]
Part = Annotated[bool, typer.Option("--part", help="What the file does not define stays as it is.")]

_DEFINED = ("traits", "segments", "campaigns", "pages")
_STYLES = {"new": "bold green", "removed": "bold red", "changed": "bold", "same": "dim"}


def diff(
    what: What,
    segment: Segment = None,
    suppress: Suppress = False,
    part: Part = False,
    out: Out = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Show who would enter and who would leave, before definitions are published."""
    check_out(out)
    if segment is None and suppress:
        raise InputError("`--suppress` says what a segment is; name it with `--segment NAME`")
    if segment is not None and part:
        raise InputError("`--part` says how a file is read; it does not go with `--segment`")
    path = Path(what)
    if segment is None and not path.is_file():
        raise InputError(
            f"there is no file `{what}`; to try a rule for a segment, name it with `--segment NAME`"
        )
    with opened(store) as engine:
        aside: list[str] = []
        if segment is not None:
            found: tuple[MemberDiff, ...] = (engine.dry_run(segment, what, suppress=suppress),)
        else:
            from segengine.schema.store_config import read_config

            found = engine.dry_run_all(read_config(path), whole=not part)
            aside = _not_compared(path, engine, whole=not part)
        if out is not None:
            write_table(_everybody(found), out)
        if as_json:
            print_json(
                {
                    "definitions": [each.to_json() for each in found],
                    "not_compared": aside,
                    "as_of": engine.as_of,
                    "data_version": engine.data_version,
                }
            )
            return
        _show(found, engine)
        if aside:
            named = ", ".join(f"[{name}]" for name in aside)
            note(f"{named} of `{path}` differ too and are not compared here; `segengine preview` "
                 "shows what settings of traits would do")  # fmt: skip


def _not_compared(path: Path, engine: Engine, *, whole: bool) -> list[str]:
    """The other sections in which a file and the store's own differ."""
    import tomllib

    from segengine.schema.store_config import FILE_NAME

    assert engine.folder is not None
    new, old = (
        tomllib.loads(each.read_text(encoding="utf-8"))
        for each in (path, engine.folder / FILE_NAME)
    )
    names = [name for name in dict.fromkeys([*old, *new]) if name not in _DEFINED]
    return [name for name in names if (whole or name in new) and old.get(name) != new.get(name)]


def _everybody(found: tuple[MemberDiff, ...]) -> pa.Table:
    """Everybody who is affected by each definition."""
    import pyarrow as pa

    tables = []
    for each in found:
        members = each.table()
        for place, (name, value) in enumerate((("kind", each.kind), ("name", each.name))):
            column = pa.repeat(pa.scalar(value, pa.string()), members.num_rows)
            members = members.add_column(place, name, column)
        tables.append(members)
    if not tables:
        names = ("kind", "name", "customer_id", "change", "before", "after")
        return pa.table({name: pa.array([], pa.string()) for name in names})
    return pa.concat_tables(tables)


def _show(found: tuple[MemberDiff, ...], engine: Engine) -> None:
    screen = console()
    for each in found:
        _show_one(each, engine, screen)
    if not found:
        screen.print("every definition is written as it is in force")
    screen.print(
        f"as of {moment(engine.as_of, engine.timezone)}, "
        f"{counted(len(found), 'definition')} compared; nothing has been changed"
    )


def _show_one(each: MemberDiff, engine: Engine, screen: Console) -> None:
    """One definition: what is written otherwise, who moves, what follows."""
    from segengine.audiences.member_diff import counts_line, setting_line

    against = "" if each.before is None else f", against version {each.before}"
    style = _STYLES[each.change]
    screen.print(f"{each.kind} {each.name}: {each.change}{against}", style=style)
    for setting in each.settings:
        line = setting_line(setting, alone=each.change == "new")
        screen.print(f"  {line}", soft_wrap=True)
    screen.print(f"  {counts_line(each)}")
    for word, ids in (("enter", each.sample_entered), ("leave", each.sample_left)):
        if ids:
            screen.print(f"  such as {', '.join(map(str, ids))} {word}")
    if each.ledgers is not None:
        screen.print(_ledgers(each.ledgers.to_pylist()))
    for title, shown in (
        ("those who stay and get another variant", each.variants),
        ("for whom the rules of modules hold", each.modules),
        ("what names it", each.downstream),
    ):
        if shown is not None and shown.num_rows:
            screen.print(f"  {title}:")
            screen.print(_table(shown, engine.timezone))
    for text in each.notes:
        screen.print(f"  {text}", soft_wrap=True)
    screen.print()


def _ledgers(steps: list[dict[str, Any]]) -> Any:
    """Two ledgers side by side: who is left at each step."""
    rows = []
    for step in steps:
        before, after = step["before_remaining"], step["after_remaining"]
        change = "" if None in (before, after) or before == after else f"{after - before:+,}"
        reason = step["after_reasons"] or step["before_reasons"] or ""
        rows.append([step["step"], _number(before), _number(after), change, reason])
    names = ["step", "left before", "left after", "change", "reasons"]
    return table(names, rows, numbers=names[1:4])


def _table(shown: pa.Table, timezone: str) -> Any:
    """A table without the columns that say nothing."""
    names = [name for name in shown.column_names if shown[name].null_count < shown.num_rows]
    numbers = [name for name in names if str(shown.schema.field(name).type) == "int64"]
    rows = [
        [_number(row[name]) if name in numbers else cell(row[name], timezone) for name in names]
        for row in shown.to_pylist()
    ]
    return table(names, rows, numbers=numbers)


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
