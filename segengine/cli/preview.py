"""Who would be in another stage, and which traits would change, if a setting were another?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.options import HERE, AsJson, Store, opened, pairs_of
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import buyers, console, counted, table

if TYPE_CHECKING:
    from segengine.traits.preview import Preview

Set = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="SETTING=VALUE",
        help="A setting and its other value, as store.toml has it; may be repeated.",
    ),
]


def preview(settings: Set, store: Store = HERE, as_json: AsJson = False) -> None:
    """Show what another threshold or weight would do to the buyers; nothing is changed."""
    changes = _changes(settings)
    with opened(store) as engine:
        found = engine.preview(changes)
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)


def _changes(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`lifecycle.active_days=50` as a section with a key."""
    found: dict[str, dict[str, Any]] = {}
    for setting, value in pairs_of(texts, "--set", "lifecycle.active_days=50").items():
        section, dot, key = setting.partition(".")
        if not dot or not key:
            raise InputError(
                f"`--set {setting}={value}` names no section; write `--set "
                "lifecycle.active_days=50`"
            )
        found.setdefault(section, {})[key] = _value(value)
    return found


def _value(text: str) -> Any:
    """A TOML value; what is none is text, so that a word needs no quotes within quotes."""
    import tomllib

    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["value"] if list(read) == ["value"] else text


def _show(found: Preview) -> None:
    screen = console()
    for change in found.settings:
        screen.print(f"{change.setting}: {_said(change.before)} -> {_said(change.after)}")
    if not found.settings:
        screen.print("these are the settings the store has")
    for name, after in found.fits_after.items():
        before = found.fits_before.get(name)
        # What is as given stands above.
        is_fitted = not isinstance(after, dict) or "as given" not in str(after.get("source"))
        if before != after and is_fitted:
            screen.print(f"{name}: {_said(before)} -> {_said(after)}")
    moved = sum(move.buyers for move in found.moves)
    screen.print(f"{moved:,} of {buyers(found.buyers)} would be in another stage")
    if found.moves:
        rows = [
            [move.before, move.after, f"{move.buyers:,}", ", ".join(map(str, move.customer_ids))]
            for move in found.moves
        ]
        screen.print(table(["is", "would be", "buyers", "such as"], rows, numbers=["buyers"]))
    if found.traits:
        rows = [[each.trait, each.family, f"{each.buyers:,}"] for each in found.traits]
        screen.print(table(["trait", "family", "buyers"], rows, numbers=["buyers"]))
    changed = counted(len(found.traits), "trait")
    screen.print(f"{changed} would change for somebody; nothing has been changed")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items())
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_said, value)) + "]"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
