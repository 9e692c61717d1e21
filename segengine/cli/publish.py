"""How does a definition come into force from the command line, and how does it go?"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segengine.cli.options import HERE, AsJson, Store, opened
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import console, note

if TYPE_CHECKING:
    from segengine.engine import Engine
    from segengine.versions import Version

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Definitions, written as in store.toml.")
]
Kind = Annotated[str, typer.Argument(metavar="KIND", help="segment, trait, campaign or page.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The definition's name.")]

DEFINED = ("traits", "segments", "campaigns", "pages")
"""The sections that define."""


def publish(file: File, store: Store = HERE, as_json: AsJson = False) -> None:
    """Put the definitions of a file into force, as one change; what it does not define stays."""
    from segengine.schema.store_config import read_config

    if not file.is_file():
        raise InputError(f"there is no file `{file}`")
    config = read_config(file)
    others = [f"[{name}]" for name in tomllib.loads(file.read_text("utf-8")) if name not in DEFINED]
    with opened(store) as engine:
        before = {(each.kind, each.name): each for each in engine.in_force()}
        made = engine.publish_all(config)
        new = [each for each in made if before.get((each.kind, each.name)) != each]
        _tell(made, new, engine, as_json=as_json)
    if others and not as_json:
        note(f"{', '.join(others)} of `{file}` define nothing, and are changed in store.toml")


def undefine(kind: Kind, name: Name, store: Store = HERE, as_json: AsJson = False) -> None:
    """Delete a definition that nobody names; its versions stay, and this is one."""
    with opened(store) as engine:
        gone = engine.undefine(kind, name)
        _tell([gone], [gone], engine, as_json=as_json)


def _tell(
    made: Sequence[Version], new: Sequence[Version], engine: Engine, *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "definitions": [each.to_json() for each in made],
                "changed": len(new),
                "data_version": engine.data_version,
            }
        )
        return
    for each in made:
        done = "is so already" if each not in new else "deleted" if each.is_deleted else "in force"
        console().print(f"{each.kind} {each.name}: {done}, version {each.version}", soft_wrap=True)
