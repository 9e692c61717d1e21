"""What is to be done with the files of a store: verify, compact, back up, restore, audit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from segengine.cli.options import HERE, AsJson, Store, check_store, example, opened
from segengine.cli.outcome import FAILURE
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted, note, table
from segengine.errors import StoreError

store = typer.Typer(
    name="store",
    help="Verify, snapshot, compact, back up, restore and audit the files of a store.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Target = Annotated[Path, typer.Argument(metavar="FOLDER", help="A new directory.")]
_Backup = Annotated[Path, typer.Argument(metavar="BACKUP", help="A directory that `backup` made.")]
_Deletions = Annotated[
    list[Path] | None,
    typer.Option(
        "--deletions",
        metavar="FOLDER",
        help="A newer copy of the store: whoever was deleted there is deleted; may be repeated.",
    ),
]
_Who = Annotated[
    str | None, typer.Option("--who", metavar="NAME", help="Of the token of this name alone.")
]
_AUDIT_COLUMNS = ("time", "who", "what", "how")


@store.command(epilog=example("segengine store verify --store my-store"))
def verify(store: Store = HERE, as_json: AsJson = False) -> None:
    """Read every file and compare it with what was written; exit 1 where one is damaged."""
    from segengine.storage.verify import verified

    check_store(store)
    found: list[dict[str, Any]] = []
    for each in verified(store):
        shown = str(each.file.relative_to(store))
        found.append({"file": shown, "bytes": each.bytes, "error": each.error})
        if not as_json:
            console().print(f"{shown}: {each.error or 'sound'}", soft_wrap=True)
    damaged = sum(each["error"] is not None for each in found)
    if as_json:
        print_json({"files": found, "damaged": damaged})
    elif damaged == 0:
        size = sum(each["bytes"] for each in found) / 1e6
        console().print(f"{counted(len(found), 'file')}, {size:,.1f} MB, all sound")
    if damaged:
        raise typer.Exit(FAILURE)


@store.command(epilog=example("segengine store snapshot --store my-store"))
def snapshot(store: Store = HERE) -> None:
    """Write what came after the last snapshot into a new one, so that opening is quick again."""
    from segengine.storage.snapshot import FOLDER, kept_snapshots

    with opened(store) as engine:
        held = engine.snapshot(beside=False)
    kept = kept_snapshots(store)
    size = _size(store / FOLDER / kept[0].name) / 1e6
    console().print(
        f"snapshot {kept[0].name} holds the changes up to {held}; {size:,.1f} MB, "
        f"{counted(len(kept), 'snapshot')} kept"
    )


@store.command(epilog=example("segengine store compact --store my-store"))
def compact(store: Store = HERE) -> None:
    """Write the tables anew without deleted buyers, and empty the log."""
    before = _size(store)
    with opened(store) as engine:
        engine.compact()
    console().print(f"{before / 1e6:,.1f} MB before, {_size(store) / 1e6:,.1f} MB now")


@store.command(epilog=example("segengine store backup /backups/monday --store my-store"))
def backup(target: _Target, store: Store = HERE) -> None:
    """Copy a store, also one that is in use, and verify the copy."""
    from segengine.storage.backup import copy_store

    size = copy_store(store, target, _progress)
    console().print(f"`{target}`: {size / 1e6:,.1f} MB, verified")


@store.command(
    epilog=example("segengine store restore /backups/monday --store my-store --deletions old-store")
)
def restore(backup: _Backup, store: Store = HERE, deletions: _Deletions = None) -> None:
    """Put a backup into a new directory, less whoever was deleted since it was made."""
    from segengine.schema.store_config import FILE_NAME
    from segengine.storage.backup import copy_store
    from segengine.storage.deleted_elsewhere import deleted_since

    for each in deletions or ():
        if not each.is_dir():
            raise StoreError(f"`{each}` is no directory", field="deletions")
        if (backup / FILE_NAME).is_file():
            # Before anything is copied: a store that is put back with whoever was deleted is none.
            deleted_since(backup, each)
    copy_store(backup, store, _progress)
    gone = 0
    if deletions:
        with opened(store) as engine:
            gone = sum(engine.delete_again(each) for each in deletions)
            if gone:
                engine.compact()
    console().print(f"`{store}` restored, {counted(gone, 'buyer')} deleted again")


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _progress(path: Path) -> None:
    if sys.stderr.isatty():
        note(f"copying {path}")


@store.command(epilog=example("segengine store audit --who storefront --store my-store"))
def audit(store: Store = HERE, who: _Who = None, as_json: AsJson = False) -> None:
    """Show what servers of this store have handed out, changed and deleted, and for whom."""
    from segengine.storage.audit_file import read_audit

    check_store(store)
    found = [each for each in read_audit(store) if who in (None, each.get("who"))]
    if as_json:
        print_json({"lines": found})
        return
    rows = []
    for each in found:
        rest = {key: value for key, value in each.items() if key not in _AUDIT_COLUMNS}
        said = ", ".join(f"{key} {value}" for key, value in rest.items())
        rows.append([*(str(each.get(key) or "-") for key in _AUDIT_COLUMNS), said])
    console().print(table([*_AUDIT_COLUMNS, "about"], rows))
