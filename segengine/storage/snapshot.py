"""Which snapshot of a store is in use, how does the next take its place, and which are kept?

A snapshot is a folder `snapshots/<number>` of Arrow files (`table_files.py`) and `manifest.json`,
with the size and the checksums of each. The file `CURRENT` names the snapshot in use and the
checksum of its manifest; replacing it is the moment a snapshot becomes lasting. Before it, those
that are kept are listed in `snapshots/KEPT`: where the one in use is damaged, the newest other that
holds all but what the log has is opened, and the damaged file is named.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from segengine.errors import StoreError
from segengine.schema.kinds import Kind
from segengine.storage.array_files import DamagedError, FileFacts, Told, verify_arrays
from segengine.storage.lasting import sync_folder, write_synced
from segengine.storage.older_snapshots import FORMATS, place_older, verify_older
from segengine.storage.table_files import TableFiles
from segengine.storage.table_maps import place_tables
from segengine.tables.tables import Tables

FORMAT = 4
FOLDER, CURRENT, KEPT, MANIFEST = "snapshots", "CURRENT", "KEPT", "manifest.json"
_NONE = "000000"
_POINTER = re.compile(r"((\d{6,}) ([0-9a-f]{8}))(?: ([0-9a-f]{8}))?\n")
"""The checksum of its own came later: a pointer without one is of an older version."""
_ENTRY = re.compile(r"(\d{6,}) ([0-9a-f]{8}) (\d+) (\d+)")


class Written(Protocol):
    """Called while a snapshot is written: how many bytes more, and how many there will be."""

    def __call__(self, more: int, /, total: int) -> None:
        """Hear of it."""
        ...


@dataclass(frozen=True, slots=True)
class Derived:
    """What the owner of the tables has derived of them, and what that depends on.

    depends: a fingerprint; where it is another when a snapshot is opened, traits are not taken.
    said: of JSON's own values; kept as it is.
    """

    depends: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot that is kept. last: the newest change of the log that it holds.

    loads: how many changes that no log has it holds. Of two with the same number the older and
    the log are as good as the newer.
    """

    name: str
    checksum: int
    loads: int
    last: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What a snapshot that was opened holds, beside its tables.

    derived: None where traits were not taken.  passed_over: what is wrong with newer snapshots
    """

    last: int
    loads: int
    derived: Derived | None
    passed_over: tuple[str, ...] = ()


def write_snapshot(
    tables: Tables,
    store: Path,
    last: int = 0,
    *,
    derived: Derived | None = None,
    loads: int = 0,
    keep: int = 1,
    told: Written | None = None,
) -> tuple[Kept, ...]:
    """Write all tables beside the snapshot in use, then put it in its place; those now kept.

    last: the number of the newest change in the log that the tables hold.  derived: None where
    traits are not to be kept.  keep: how many there may be; those that hold fewer loads go.

    Called while no one changes the tables. Raises `StoreError` where it cannot be written; the
    snapshot before is in use then.
    """
    target = begin_snapshot(store)
    try:
        checksum = fill_snapshot(tables, target, last, derived=derived, loads=loads, told=told)
        return publish_snapshot(store, Kept(target.name, checksum, loads, last), keep=keep)
    except OSError as error:
        # One that `CURRENT` names already stays, whatever failed after that.
        if current_name(store) != target.name:
            shutil.rmtree(target, ignore_errors=True)
        raise _unwritten(target, error) from error


def begin_snapshot(store: Path) -> Path:
    """A new folder for a snapshot that nobody looks at yet. `StoreError` where there is no room."""
    folder = store / FOLDER
    target = folder
    try:
        if not folder.is_dir():
            # From here on a missing `CURRENT` is a loss, not a beginning.
            _point(store, _NONE, 0)
            folder.mkdir()
        target = folder / f"{1 + max((int(p.name) for p in _folders(store)), default=0):06d}"
        target.mkdir()
    except OSError as error:
        raise _unwritten(target, error) from error
    return target


def _folders(store: Path) -> list[Path]:
    return [p for p in (store / FOLDER).iterdir() if p.name.isdigit()]


def _unwritten(target: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write a snapshot to `{target}`: {error.strerror or error}", field="store"
    )


def fill_snapshot(
    tables: Tables,
    target: Path,
    last: int,
    *,
    derived: Derived | None,
    loads: int,
    told: Written | None = None,
) -> int:
    """Write the files of a snapshot, lastingly; the checksum of its manifest. Raises `OSError`."""
    found = TableFiles(tables, with_traits=derived is not None)
    total = found.nbytes()
    manifest = {
        "format": FORMAT,
        "log": last,
        "loads": loads,
        "money_scale": tables.money_scale,
        "as_of": tables.as_of,
        "identifiers": {name: kind.value for name, kind in tables.identifier_kinds.items()},
        "derived": None if derived is None else {"depends": derived.depends, "said": derived.said},
        **found.said,
        "files": found.write(target, None if told is None else partial(told, total=total)),
    }
    text = json.dumps(manifest, indent=1).encode()
    write_synced(target / MANIFEST, text)
    sync_folder(target)
    sync_folder(target.parent)
    return zlib.crc32(text)


def publish_snapshot(store: Path, new: Kept, *, keep: int = 1) -> tuple[Kept, ...]:
    """Put a snapshot that is written in use; those now kept, the newest first.

    All others, and what a crash has left, are removed. Raises `OSError`.
    """
    before = [each for each in kept_snapshots(store) if each.loads == new.loads]
    kept = (new, *before)[: max(1, keep)]
    lines = "".join(f"{k.name} {k.checksum:08x} {k.loads} {k.last}\n" for k in kept)
    _replace(store / FOLDER / KEPT, f"{lines}{zlib.crc32(lines.encode()):08x}\n")
    _point(store, new.name, new.checksum)
    names = {each.name for each in kept}
    for other in _folders(store):
        if other.name not in names:
            shutil.rmtree(other, ignore_errors=True)
    return kept


def _point(store: Path, name: str, checksum: int) -> None:
    """Let `CURRENT` name this snapshot, at once and lastingly."""
    said = f"{name} {checksum:08x}"
    _replace(store / CURRENT, f"{said} {zlib.crc32(said.encode()):08x}\n")


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    write_synced(fresh, text.encode())
    fresh.replace(path)
    sync_folder(path.parent)


def _current(store: Path) -> tuple[str, int] | None:
    """The name of the snapshot in use and the checksum of its manifest; None before the first."""
    pointer = store / CURRENT
    try:
        found = _POINTER.fullmatch(pointer.read_bytes().decode(errors="replace"))
    except FileNotFoundError:
        if not (store / FOLDER).is_dir():
            return None
        raise StoreError(
            f"`{pointer}` is missing: it names the snapshot in use; restore the store from a "
            f"backup, or remove `{store / FOLDER}` and load anew",
            field="store",
        ) from None
    except OSError as error:
        raise StoreError(f"`{pointer}` cannot be read: {error.strerror}", field="store") from error
    if found is None or (found[4] and int(found[4], 16) != zlib.crc32(found[1].encode())):
        raise DamagedError(pointer)
    return None if found[2] == _NONE else (found[2], int(found[3], 16))


def current_name(store: Path) -> str | None:
    """The name of the snapshot in use; None before the first."""
    found = _current(store)
    return None if found is None else found[0]


def kept_snapshots(store: Path) -> tuple[Kept, ...]:
    """The snapshots that may be opened, the one in use first; none before the first.

    Without a sound list of them, that one alone.
    """
    current = _current(store)
    if current is None:
        return ()
    listed = {each.name: each for each in _listed(store)}
    if current[0] not in listed or listed[current[0]].checksum != current[1]:
        return (Kept(*current, *_holds(store / FOLDER / current[0], current[1])),)
    first = listed.pop(current[0])
    return (first, *(each for each in listed.values() if each.loads == first.loads))


def _holds(folder: Path, checksum: int) -> tuple[int, int]:
    """Loads and the newest change of a snapshot by its manifest; none of a damaged one."""
    try:
        manifest = _manifest(folder, checksum)
    except DamagedError:
        return 0, 0
    return int(manifest.get("loads", 0)), int(manifest.get("log", 0))


def _listed(store: Path) -> list[Kept]:
    try:
        return check_list(store)
    except DamagedError:
        return []


def check_list(store: Path) -> list[Kept]:
    """The list of snapshots that are kept; `DamagedError` where it is not what was written."""
    path = store / FOLDER / KEPT
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror}") from error
    *lines, checksum = text.split("\n")[:-1] or [""]
    whole = "".join(f"{line}\n" for line in lines)
    found = [_ENTRY.fullmatch(line) for line in lines]
    matches = [each for each in found if each is not None]
    if text[-1:] != "\n" or checksum != f"{zlib.crc32(whole.encode(errors='replace')):08x}":
        raise DamagedError(path)
    return [Kept(m[1], int(m[2], 16), int(m[3]), int(m[4])) for m in matches]


def read_snapshot(
    tables: Tables, store: Path, depends: str = "", told: Told | None = None
) -> Opened | None:
    """Fill new, empty tables from the newest sound snapshot; None where there is none.

    depends: what traits depend on now; those of a snapshot that was written by another are left
    out. Every file is checked before anything is taken from it. Raises `DamagedError` where all
    are damaged, and `StoreError` for one of a newer format, or of other settings.
    """
    passed_over: list[DamagedError] = []
    for kept in kept_snapshots(store):
        folder = store / FOLDER / kept.name
        try:
            manifest = _manifest(folder, kept.checksum)
            _refuse_other_settings(tables, manifest, folder)
            for path, facts in _older_files(manifest, folder):
                verify_older(path, facts)
            verify_arrays(_files(manifest, folder), told)
        except DamagedError as error:
            passed_over.append(error)
            continue
        derived = _place(tables, manifest, folder, depends)
        said = tuple(str(each) for each in passed_over)
        return Opened(int(manifest.get("log", 0)), int(manifest.get("loads", 0)), derived, said)
    if passed_over:
        raise passed_over[0]
    return None


def _place(
    tables: Tables, manifest: Mapping[str, Any], folder: Path, depends: str
) -> Derived | None:
    tables.fix_identifiers({key: Kind(kind) for key, kind in manifest["identifiers"].items()})
    tables.as_of = int(manifest["as_of"])
    if manifest["format"] in FORMATS:
        place_older(tables, manifest, folder)
        return None
    said = manifest["derived"]
    derived = None if said is None or said["depends"] != depends else Derived(**said)
    place_tables(tables, manifest, folder, with_traits=derived is not None)
    return derived


def _refuse_other_settings(tables: Tables, manifest: Mapping[str, Any], folder: Path) -> None:
    if manifest["money_scale"] != tables.money_scale:
        raise StoreError(
            f"`{folder}` keeps money with {manifest['money_scale']} decimals and store.toml says "
            f"{tables.money_scale}; set store.money_scale back, or load into a new store",
            field="store.money_scale",
        )
    missing = [name for name in manifest["tables"] if name not in tables.specs]
    if missing:
        raise StoreError(
            f"`{folder}` holds the table `{missing[0]}`, which store.toml does not declare; put "
            f"its `[tables.{missing[0]}]` back",
            field="tables",
        )


def _manifest(folder: Path, checksum: int) -> dict[str, Any]:
    """What a snapshot says of itself, checked."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise DamagedError(folder / MANIFEST, f"cannot be read: {error.strerror}") from error
    if zlib.crc32(text) != checksum:
        raise DamagedError(folder / MANIFEST)
    manifest: dict[str, Any] = json.loads(text)
    if manifest.get("format") not in (*FORMATS, FORMAT):
        raise StoreError(
            f"`{folder}` has format {manifest.get('format')}, and this version reads up to "
            f"{FORMAT}; open it with the version of segengine that wrote it",
            field="store",
        )
    return manifest


def _files(manifest: Mapping[str, Any], folder: Path) -> list[tuple[Path, FileFacts]]:
    if manifest["format"] in FORMATS:
        return []
    return [(folder / name, facts) for name, facts in manifest["files"].items()]


def _older_files(manifest: Mapping[str, Any], folder: Path) -> list[tuple[Path, FileFacts]]:
    if manifest["format"] not in FORMATS:
        return []
    return [(folder / name, facts) for name, facts in manifest["files"].items()]


def snapshot_files(store: Path, kept: Kept | None = None) -> list[tuple[Path, FileFacts]]:
    """Every file of a snapshot, of the one in use by default, with its size and checksums.

    Empty before the first.
    """
    if kept is None:
        current = _current(store)
        if current is None:
            return []
        name, checksum = current
    else:
        name, checksum = kept.name, kept.checksum
    folder = store / FOLDER / name
    files = _manifest(folder, checksum)["files"]
    return [(folder / each, facts) for each, facts in files.items()]


def verify_file(path: Path, expected: FileFacts) -> None:
    """Raise `DamagedError` where a file is not what was written."""
    if "sums" in expected:
        verify_arrays([(path, expected)])
    else:
        verify_older(path, expected)
