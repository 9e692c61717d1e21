"""Who may ask a server? Tokens made, listed and taken out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from segengine.cli.options import HERE, AsJson, Store, check_store, example
from segengine.cli.plain import print_json
from segengine.cli.show import console, note, table

token = typer.Typer(
    name="token",
    help="Make, list and take out the tokens that programs ask a server with.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Whoever is to have the token.")]
_Scopes = Annotated[
    list[str],
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="read:page, read:audience, write:events, write:catalog or admin; may be repeated.",
    ),
]
_Days = Annotated[
    int | None,
    typer.Option("--days", metavar="N", help="It expires after so many days, 36500 at most."),
]
_Rate = Annotated[
    float | None,
    typer.Option(
        "--calls-per-second", metavar="N", help="It may call so often, a million times at most."
    ),
]
_File = Annotated[
    Path | None,
    typer.Option("--tokens", metavar="FILE", help="The file; by default tokens.toml of the store."),
]


@token.command(
    epilog=example("segengine token create storefront --scope read:page --days 90 --store shop")
)
def create(
    name: _Name,
    scope: _Scopes,
    days: _Days = None,
    calls_per_second: _Rate = None,
    tokens: _File = None,
    store: Store = HERE,
) -> None:
    """Make a token and print it, this once: the file keeps a digest alone."""
    from segengine_server import clock
    from segengine_server.tokens import created

    text = created(
        _path(tokens, store), name, scope, clock.now(), days=days, calls_per_second=calls_per_second
    )
    note("this is printed once; whoever has it may ask")
    sys.stdout.write(f"{text}\n")


@token.command("list", epilog=example("segengine token list --store shop"))
def listed(tokens: _File = None, store: Store = HERE, as_json: AsJson = False) -> None:
    """Show whose tokens there are, what they are for, and until when."""
    from segengine_server.tokens import read_tokens

    found = [
        {
            "name": each.name,
            "id": each.id,
            "scopes": sorted(each.scopes),
            "expires_at": each.expires_at,
            "calls_per_second": each.calls_per_second,
        }
        for each in read_tokens(_path(tokens, store)).values()
    ]
    if as_json:
        print_json({"tokens": found})
        return
    rows = [
        [str(e["name"]), str(e["id"]), ", ".join(e["scopes"]),  # type: ignore[arg-type]
         str(e["expires_at"] or "never"), str(e["calls_per_second"] or "any")]
        for e in found
    ]  # fmt: skip
    console().print(table(["name", "id", "scopes", "expires", "calls a second"], rows))


@token.command(epilog=example("segengine token remove storefront --store shop"))
def remove(name: _Name, tokens: _File = None, store: Store = HERE) -> None:
    """Take a token out: a running server refuses it a second later."""
    from segengine_server.tokens import removed

    removed(_path(tokens, store), name)
    note(f"the token of `{name}` is taken out")


def _path(file: Path | None, store: Path) -> Path:
    from segengine_server.tokens import FILE_NAME

    if file is not None:
        return file
    check_store(store)
    return store / FILE_NAME
