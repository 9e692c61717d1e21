"""How is a checked batch written down, and read again?

As one Arrow IPC stream. Numbers and moments stand in the form the tables keep, a reserved value
for a missing one; coded columns as the texts of their codes, since codes are of one process.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import StoreError
from segengine.schema.kinds import dtype_of, kind_named
from segengine.tables.batch import Batch, BatchColumn
from segengine.tables.tables import Tables


def batch_to_bytes(batch: Batch) -> bytes:
    """The batch as the bytes that `batch_from_bytes` reads; asked before it is applied."""
    fields, arrays = [], []
    for name, column in batch.columns.items():
        array = _written(column)
        fields.append(pa.field(name, array.type, metadata={"kind": column.kind.value}))
        arrays.append(array)
    schema = pa.schema(fields, {"table": batch.table, "rows": str(batch.rows)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as out:
        out.write_batch(pa.record_batch(arrays, schema=schema))
    return bytes(sink.getvalue())


def batch_from_bytes(data: bytes, tables: Tables) -> Batch:
    """The batch again, coded by the dictionaries of these tables.

    Raises `StoreError` where the tables no longer have what it was for.
    """
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        read = stream.read_next_batch()
    table = read.schema.metadata[b"table"].decode()
    if table not in tables.specs:
        raise StoreError(
            f"the log holds rows of the table `{table}`, which store.toml does not declare; put "
            f"its `[tables.{table}]` back",
            field="tables",
        )
    columns: dict[str, BatchColumn] = {}
    for field, array in zip(read.schema, read.columns, strict=True):
        kind = kind_named(field.metadata[b"kind"].decode())
        assert kind is not None
        spec = tables.specs[table].by_name.get(field.name)
        if spec is not None and not spec.identifier and spec.kind is not kind:
            # Codes of texts would else be read as numbers.
            raise StoreError(
                f"the log holds `{table}.{field.name}` as {kind.value}, which store.toml declares "
                f"as {spec.kind.value}; put {kind.value} back, or name the new column otherwise",
                field="tables",
            )
        dictionary = tables.dictionary_for(table, field.name, kind)
        values: NDArray[Any]
        if dictionary is not None:
            values = dictionary.encode(array)
        else:
            values = np.array(array.to_numpy(zero_copy_only=False), dtype_of(kind))
        columns[field.name] = BatchColumn(kind, values, dictionary)
    return Batch(table, int(read.schema.metadata[b"rows"]), columns)


def _written(column: BatchColumn) -> pa.Array:
    if column.dictionary is None:
        return pa.array(column.values)
    codes = pa.array(column.values, pa.int32(), mask=column.values < 0)
    return column.dictionary.texts().take(codes)
