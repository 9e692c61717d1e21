"""What was each definition before, and since when is it what it is?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.options import HERE, AsJson, Store, opened
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted, moment, table

if TYPE_CHECKING:
    from segengine.engine import Engine
    from segengine.versions import Version

Kind = Annotated[
    str | None,
    typer.Argument(metavar="KIND", help="segment, trait, campaign or page; without, all."),
]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The definition's name.")]
Restore = Annotated[
    int | None,
    typer.Option("--restore", metavar="VERSION", help="Put this version into force again."),
]


def versions(
    kind: Kind = None,
    name: Name = None,
    restore: Restore = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """List the versions of a definition, or the newest version of every one."""
    if kind is not None and name is None:
        raise InputError(f"name the {kind} too: `segengine versions {kind} NAME`")
    if restore is not None and (kind is None or name is None):
        raise InputError("`--restore` is for one definition: `segengine versions KIND NAME`")
    with opened(store) as engine:
        if kind is None or name is None:
            found = [engine.versions(*key)[-1] for key in engine.defined()]
        else:
            if restore is not None:
                engine.restore(kind, name, restore)
            found = list(engine.versions(kind, name))
        if as_json:
            print_json({"versions": [each.to_json() for each in found]})
            return
        _show(found, engine, briefly=kind is None)


def _show(found: list[Version], engine: Engine, *, briefly: bool) -> None:
    screen = console()
    rows = []
    before: Version | None = None
    for each in found:
        said = _said(each, None if briefly else before)
        if briefly and len(said) > 1:
            said = [said[0], f"and {counted(len(said) - 1, 'setting')} more"]
        made = moment(each.as_of, engine.timezone)
        where = "store.toml" if each.source == "file" else "catalogue"
        rows.append([each.kind, each.name, str(each.version), where, made, "\n".join(said)])
        before = each
    said_in = "says" if briefly else "what is another in it"
    names = ["kind", "name", "version", "by", "made", said_in]
    screen.print(table(names, rows, numbers=["version"], whole=["made"]))


def _said(version: Version, before: Version | None) -> list[str]:
    """What a version says; where there is one before, what is another in it."""
    from segengine.audiences.member_diff import setting_line, settings_changed

    if version.is_deleted:
        return ["deleted"]
    past: Mapping[str, Any] = (None if before is None else before.definition) or {}
    now: Mapping[str, Any] = version.definition or {}
    said = [
        setting_line(each) if past else setting_line(each, alone=True)
        for each in settings_changed(past, now, leave_out="slots")
    ]
    if past.get("slots") != now.get("slots"):
        said.append("slots and modules")
    return said
