"""How is a snapshot of format 2 or 3 read?

It holds the columns and places of tables alone: keys, codes and traits are derived anew when it is
opened. Format 2 knew no log. Nothing writes them any more.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from segengine.errors import StoreError
from segengine.schema.kinds import kind_named
from segengine.schema.tables import ColumnSpec
from segengine.storage.array_files import DamagedError, map_arrays
from segengine.tables.column import Column
from segengine.tables.events import EventTable
from segengine.tables.table import Table
from segengine.tables.tables import Tables

FORMATS = (2, 3)
_PIECE = 1 << 22


def verify_older(path: Path, expected: Mapping[str, int]) -> None:
    """Raise `DamagedError` where a file is not what was written."""
    try:
        with path.open("rb") as file:
            checksum, size = 0, 0
            while part := file.read(_PIECE):
                checksum = zlib.crc32(part, checksum)
                size += len(part)
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror}") from error
    if size != expected["bytes"] or checksum != expected["crc32"]:
        raise DamagedError(path)


def place_older(tables: Tables, manifest: Mapping[str, Any], folder: Path) -> None:
    """Put what a verified snapshot holds into new, empty tables; traits are not in it.

    Raises `StoreError` where the snapshot and store.toml disagree about a column.
    """
    dictionaries: set[int] = set()
    for name, saved in manifest["tables"].items():
        _place_table(tables, tables.table(name), saved, folder / f"{name}.arrow", dictionaries)


def _place_table(
    tables: Tables, table: Table, saved: Mapping[str, Any], path: Path, dictionaries: set[int]
) -> None:
    rows = int(saved["rows"])
    arrays = map_arrays(path)
    table.rows = min(table.rows, rows)
    table.take_room(max((len(array) for array in arrays.values()), default=64))
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
                _place_dictionary(found, path.parent / column["dictionary"], dictionaries)
            found.install(arrays[f"column.{name}"], None)
    for name in table.extras():
        table.set_extra(name, arrays[f"extra.{name}"])
    if isinstance(table, EventTable):
        table.restore(rows)
        updates = path.with_suffix(".updates.arrow")
        if updates.is_file():
            table.update_ids.add(map_arrays(updates)["event_id"])
    elif table is tables.customers:
        for name in tables.events:
            if f"head.{name}" in arrays:
                tables.customers.set_heads(name, arrays[f"head.{name}"])
        live = np.packbits(arrays["live"], bitorder="little").view(np.uint64)
        tables.customers.restore(rows, live[: (rows + 63) // 64].copy())
        tables.customers.clear_traits()
    else:
        table.rows = rows


def _place_dictionary(column: Column, path: Path, done: set[int]) -> None:
    dictionary = column.dictionary
    assert dictionary is not None
    if id(dictionary) in done:
        return
    done.add(id(dictionary))
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    dictionary.restore(batch.column(0))
