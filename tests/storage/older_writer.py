"""Writes a store's tables as versions before format 4 did, so that reading theirs can be tested."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.tables import CUSTOMERS, PRODUCTS
from segengine.storage.snapshot import CURRENT, FOLDER
from segengine.tables.column import JoinedColumn, padded
from segengine.tables.events import EventTable
from segengine.tables.table import Table
from segengine.tables.tables import Tables


def write_older(tables: Tables, store: Path, last: int, *, number: int) -> None:
    """The snapshot in use is one of format 2 or 3 with these tables; no other is there."""
    folder = store / FOLDER / "000700"
    folder.mkdir(parents=True)
    manifest: dict[str, Any] = {
        "format": number,
        "money_scale": tables.money_scale,
        "as_of": tables.as_of,
        "identifiers": {name: kind.value for name, kind in tables.identifier_kinds.items()},
        "tables": {},
        "files": {},
    }
    if number == 3:
        manifest["log"] = last
    written: dict[int, str] = {}

    def write(name: str, batch: pa.RecordBatch) -> None:
        path = folder / name
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as out:
            out.write_batch(batch)
        data = path.read_bytes()
        manifest["files"][name] = {"bytes": len(data), "crc32": zlib.crc32(data)}

    everything: dict[str, Table] = {CUSTOMERS: tables.customers, PRODUCTS: tables.products}
    for name, table in (everything | tables.events).items():
        if table.rows == 0:
            continue
        rows = padded(table.rows)
        arrays: dict[str, NDArray[Any]] = {}
        columns = {}
        for column in table.columns.values():
            is_kept = column.is_allocated and not isinstance(column, JoinedColumn)
            file = None
            if is_kept and column.dictionary is not None:
                file = written.get(id(column.dictionary))
                if file is None:
                    file = f"dictionary-{len(written):04d}.arrow"
                    write(file, pa.record_batch({"text": column.dictionary.texts()}))
                    written[id(column.dictionary)] = file
            columns[column.name] = {
                "kind": column.kind.value, "written": is_kept, "dictionary": file,
            }  # fmt: skip
            if is_kept:
                arrays[f"column.{column.name}"] = column.values
        arrays |= {f"extra.{extra}": table.extra(extra) for extra in table.extras()}
        if name == CUSTOMERS:
            arrays |= {f"head.{t}": tables.customers.heads(t) for t in tables.events}
            live = np.zeros(rows // 64, np.uint64)
            live[: len(tables.customers.live)] = tables.customers.live
            arrays["live"] = np.unpackbits(live.view(np.uint8), bitorder="little")
        write(f"{name}.arrow", pa.record_batch({k: pa.array(v[:rows]) for k, v in arrays.items()}))
        if isinstance(table, EventTable) and len(table.update_ids.keys):
            keys = pa.record_batch({"event_id": pa.array(table.update_ids.keys)})
            write(f"{name}.updates.arrow", keys)
        manifest["tables"][name] = {
            "rows": table.rows, "columns": columns, "given": sorted(table.given),
        }  # fmt: skip
    text = json.dumps(manifest, indent=1).encode()
    (folder / "manifest.json").write_bytes(text)
    (store / CURRENT).write_text(f"000700 {zlib.crc32(text):08x}\n")
