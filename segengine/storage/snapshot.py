"""The tables of a store as files: written whole, replaced by a rename, mapped on open.

A snapshot is a folder `snapshots/<number>` of Arrow IPC files, one per table and one per
dictionary, and `manifest.json` with the size and checksum of each. The file `CURRENT` names the
snapshot in use and the checksum of its manifest; replacing it is the moment a load becomes
lasting. Columns stand in the form they are kept in memory, so opening one copies nothing.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import StoreError
from segengine.schema.kinds import Kind, kind_named
from segengine.schema.tables import CUSTOMERS, PRODUCTS, ColumnSpec
from segengine.storage.lasting import sync_folder, write_synced
from segengine.tables.column import Column, padded
from segengine.tables.dictionary import Dictionary
from segengine.tables.events import EventTable
from segengine.tables.table import Table
from segengine.tables.tables import Tables

FORMAT = 3
_READ = (2, 3)
"""Format 2 knew no log."""
FOLDER, CURRENT, MANIFEST = "snapshots", "CURRENT", "manifest.json"
_NONE = "000000"
_POINTER = re.compile(r"(\d{6,}) ([0-9a-f]{8})\n")


def write_snapshot(tables: Tables, store: Path, last: int = 0) -> Path:
    """Write all tables beside the snapshot in use, then put it in its place.

    last: the number of the newest change in the log that the tables hold.

    Called while no one changes the tables. Those before, and what a crash has left, are removed
    afterwards.
    """
    folder = store / FOLDER
    target = folder
    try:
        if not folder.is_dir():
            # From here on a missing `CURRENT` is a loss, not a beginning.
            _point(store, _NONE, 0)
            folder.mkdir()
        others = [p for p in folder.iterdir() if p.name.isdigit()]
        target = folder / f"{1 + max((int(p.name) for p in others), default=0):06d}"
        target.mkdir()
        manifest = json.dumps(_write_tables(tables, target, last), indent=1).encode()
        write_synced(target / MANIFEST, manifest)
        sync_folder(target)
        sync_folder(folder)
        _point(store, target.name, zlib.crc32(manifest))
    except OSError as error:
        if target != folder:
            shutil.rmtree(target, ignore_errors=True)
        raise StoreError(
            f"cannot write a snapshot to `{target}`: {error.strerror or error}", field="store"
        ) from error
    for other in others:
        shutil.rmtree(other, ignore_errors=True)
    return target


def _point(store: Path, name: str, checksum: int) -> None:
    """Let `CURRENT` name this snapshot, at once and lastingly."""
    fresh = store / f"{CURRENT}.new"
    write_synced(fresh, f"{name} {checksum:08x}\n".encode())
    fresh.replace(store / CURRENT)
    sync_folder(store)


def _current(store: Path) -> tuple[Path, int] | None:
    """The folder of the snapshot in use and the checksum of its manifest; None before the first."""
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
    if found is None:
        raise _damaged(pointer)
    if found[1] == _NONE:
        return None
    return store / FOLDER / found[1], int(found[2], 16)


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"`{path}` is damaged: it is not what was written; restore the store from a backup or "
        "load it anew",
        field="store",
    )


def _write_tables(tables: Tables, target: Path, last: int) -> dict[str, Any]:
    writer = _Writer(target)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "log": last,
        "money_scale": tables.money_scale,
        "as_of": tables.as_of,
        "identifiers": {name: kind.value for name, kind in tables.identifier_kinds.items()},
        "tables": {},
        "files": writer.files,
    }
    everything: dict[str, Table] = {CUSTOMERS: tables.customers, PRODUCTS: tables.products}
    everything |= tables.events
    for name, table in everything.items():
        if table.rows == 0:
            continue
        arrays: dict[str, NDArray[Any]] = {}
        columns = {}
        for column in table.columns.values():
            columns[column.name] = {
                "kind": column.kind.value,
                "written": column.is_allocated,
                "dictionary": writer.dictionary(column) if column.is_allocated else None,
            }
            if column.is_allocated:
                arrays[f"column.{column.name}"] = column.values
        for extra in table.extras():
            arrays[f"extra.{extra}"] = table.extra(extra)
        if name == CUSTOMERS:
            arrays |= {f"head.{t}": tables.customers.heads(t) for t in tables.events}
            live = np.zeros(padded(table.rows) // 64, np.uint64)
            live[: len(tables.customers.live)] = tables.customers.live
            arrays["live"] = np.unpackbits(live.view(np.uint8), bitorder="little")
        writer.arrays(f"{name}.arrow", arrays, padded(table.rows))
        if isinstance(table, EventTable) and len(table.update_ids.keys):
            keys = table.update_ids.keys
            writer.arrays(f"{name}.updates.arrow", {"event_id": keys}, len(keys))
        manifest["tables"][name] = {
            "rows": table.rows, "columns": columns, "given": sorted(table.given),
        }  # fmt: skip
    return manifest


class _Writer:
    """Writes files and remembers their sizes and checksums."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, dict[str, int]] = {}
        self._dictionaries: dict[int, str] = {}

    def arrays(self, name: str, arrays: dict[str, NDArray[Any]], rows: int) -> None:
        batch = pa.record_batch({k: pa.array(v[:rows]) for k, v in arrays.items()})
        self._write(name, batch)

    def dictionary(self, column: Column) -> str | None:
        if column.dictionary is None:
            return None
        key = id(column.dictionary)
        if key not in self._dictionaries:
            name = f"dictionary-{len(self._dictionaries):04d}.arrow"
            self._write(name, pa.record_batch({"text": column.dictionary.texts()}))
            self._dictionaries[key] = name
        return self._dictionaries[key]

    def _write(self, name: str, batch: pa.RecordBatch) -> None:
        path = self._folder / name
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as out:
            out.write_batch(batch)
        with path.open("rb") as file:
            checksum = 0
            while part := file.read(1 << 22):
                checksum = zlib.crc32(part, checksum)
            os.fsync(file.fileno())
        self.files[name] = {"bytes": path.stat().st_size, "crc32": checksum}


def current_name(store: Path) -> str | None:
    """The name of the snapshot in use; None before the first."""
    found = _current(store)
    return None if found is None else found[0].name


def read_snapshot(tables: Tables, store: Path) -> int | None:
    """Fill new, empty tables from the snapshot in use; None where there is none.

    The number of the newest change in the log that it holds.
    """
    current = _current(store)
    if current is None:
        return None
    folder, checksum = current
    manifest = _manifest(folder, checksum)
    if manifest["money_scale"] != tables.money_scale:
        raise StoreError(
            f"`{folder}` keeps money with {manifest['money_scale']} decimals and store.toml says "
            f"{tables.money_scale}; set store.money_scale back, or load into a new store",
            field="store.money_scale",
        )
    for name, expected in manifest["files"].items():
        verify_file(folder / name, expected)
    _restore_schema(tables, manifest, folder)
    tables.as_of = int(manifest["as_of"])
    dictionaries: set[int] = set()
    for name, saved in manifest["tables"].items():
        _restore_table(tables, tables.table(name), saved, folder / f"{name}.arrow", dictionaries)
    return int(manifest.get("log", 0))


def _manifest(folder: Path, checksum: int) -> dict[str, Any]:
    """What a snapshot says of itself, checked."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise StoreError(
            f"`{folder / MANIFEST}` cannot be read: {error.strerror}; restore the store from a "
            "backup",
            field="store",
        ) from error
    if zlib.crc32(text) != checksum:
        raise _damaged(folder / MANIFEST)
    manifest = json.loads(text)
    if manifest["format"] not in _READ:
        raise StoreError(
            f"`{folder}` has format {manifest.get('format')}, and this version reads up to "
            f"{FORMAT}; open it with the version of segengine that wrote it",
            field="store",
        )
    return manifest


def snapshot_files(store: Path) -> list[tuple[Path, dict[str, int]]]:
    """Every file of the snapshot in use, with its size and checksum; empty before the first."""
    current = _current(store)
    if current is None:
        return []
    files = _manifest(*current)["files"]
    return [(current[0] / name, expected) for name, expected in files.items()]


def snapshot_holds(store: Path) -> int:
    """The number of the newest change that the snapshot in use holds; 0 before the first."""
    current = _current(store)
    return 0 if current is None else int(_manifest(*current).get("log", 0))


def verify_file(path: Path, expected: dict[str, int]) -> None:
    """Raise `StoreError` where a file is not what was written."""
    try:
        with path.open("rb") as file:
            checksum, size = 0, 0
            while part := file.read(1 << 22):
                checksum = zlib.crc32(part, checksum)
                size += len(part)
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read: {error.strerror}", field="store") from error
    if size != expected["bytes"] or checksum != expected["crc32"]:
        raise _damaged(path)


def _restore_schema(tables: Tables, manifest: dict[str, Any], folder: Path) -> None:
    missing = [name for name in manifest["tables"] if name not in tables.specs]
    if missing:
        raise StoreError(
            f"`{folder}` holds the table `{missing[0]}`, which store.toml does not declare; put "
            f"its `[tables.{missing[0]}]` back",
            field="tables",
        )
    tables.fix_identifiers({key: Kind(kind) for key, kind in manifest["identifiers"].items()})


def _restore_table(
    tables: Tables, table: Table, saved: dict[str, Any], path: Path, dictionaries: set[int]
) -> None:
    rows = int(saved["rows"])
    arrays, capacity = _mapped(path)
    table.rows = min(table.rows, rows)
    table.reserve(capacity, exact=True)
    table.given = set(saved["given"])
    for name, column in saved["columns"].items():
        kind = kind_named(column["kind"])
        assert kind is not None
        if name not in table.columns:
            table.add_column(ColumnSpec(name, kind))
        elif column["written"] and table.columns[name].kind is not kind:
            raise StoreError(
                f"`{path}` keeps `{name}` as {kind} and store.toml now says "
                f"{table.columns[name].kind}; load the table anew",
                field=name,
            )
        if column["written"]:
            found = table.columns[name]
            if column["dictionary"] is not None:
                _restore_dictionary(found, path.parent / column["dictionary"], dictionaries)
            found.install(arrays[f"column.{name}"], None)
    for name in table.extras():
        table.set_extra(name, arrays[f"extra.{name}"])
    if isinstance(table, EventTable):
        table.restore(rows)
        updates = path.with_suffix(".updates.arrow")
        if updates.is_file():
            table.update_ids.add(_mapped(updates)[0]["event_id"])
    elif table is tables.customers:
        for name in tables.events:
            if f"head.{name}" in arrays:
                tables.customers.set_heads(name, arrays[f"head.{name}"])
        live = np.packbits(arrays["live"], bitorder="little").view(np.uint64)
        tables.customers.restore(rows, live[: (rows + 63) // 64].copy())
    else:
        table.rows = rows


def _mapped(path: Path) -> tuple[dict[str, NDArray[Any]], int]:
    """The columns of a file as arrays over a private mapping, and their length.

    Writing to them copies the page and never reaches the file.
    """
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    base = np.frombuffer(mapping, np.uint8).ctypes.data
    batch = pa.ipc.open_file(pa.py_buffer(mapping)).get_batch(0)
    arrays = {}
    for index, name in enumerate(batch.schema.names):
        column = batch.column(index)
        dtype = np.dtype(column.type.to_pandas_dtype())
        start = column.buffers()[1].address - base
        arrays[name] = np.frombuffer(mapping, dtype, len(column), start)
    return arrays, batch.num_rows


def _restore_dictionary(column: Column, path: Path, done: set[int]) -> None:
    dictionary: Dictionary | None = column.dictionary
    assert dictionary is not None
    if id(dictionary) in done:
        return
    done.add(id(dictionary))
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    dictionary.restore(batch.column(0))
