"""Which product is an event about?

The row of its product_id in the products; -1 where it names none, or one that the shop has not
given us.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import jit
from segengine.tables.column import Column
from segengine.tables.tables import Tables

_PART = 1 << 20
_DENSE = 1 << 22
"""Whole-number ids within a span of so many are looked up in an array, others in the index."""


def product_places(
    tables: Tables, table: str, rows: NDArray[np.int64] | slice
) -> NDArray[np.int32]:
    """The row of the product of each of these events, -1 for none: int32[n]."""
    named, kept = tables.events[table].columns["product_id"], tables.products.columns["product_id"]
    count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
    out = np.full(count, -1, np.int32)
    if not tables.products.rows or not named.is_allocated or named.kind is not kept.kind:
        return out
    first, lookup = _by_id(tables, kept)
    values = named.values[rows]

    def work(begin: int, end: int) -> None:
        for start in range(begin, end, _PART):
            part = values[start : min(start + _PART, end)]
            if lookup is None:
                out[start : start + len(part)] = tables.product_rows(part)
                continue
            inside = (part >= first) & (part < first + len(lookup))
            found = lookup[np.where(inside, part, first) - first]
            out[start : start + len(part)] = np.where(inside, found, -1)

    # The index is made by its first use: not by two threads.
    tables.product_index()
    jit.over_ranges(work, count)
    return out


def _by_id(tables: Tables, kept: Column) -> tuple[int, NDArray[np.int32] | None]:
    """The least id and, from there on, the row of each; None where ids lie too far apart."""
    if kept.dictionary is not None:
        codes = np.arange(kept.dictionary.size, dtype=np.int32)
        return 0, tables.product_rows(codes).astype(np.int32)
    ids = kept.values[: tables.products.rows]
    least, greatest = int(ids.min()), int(ids.max())
    # A bound near the end of the int64 cannot be added to.
    if greatest - least >= _DENSE or greatest >= 2**62:
        return least, None
    lookup = np.full(greatest - least + 1, -1, np.int32)
    lookup[ids - least] = np.arange(len(ids), dtype=np.int32)
    return least, lookup
