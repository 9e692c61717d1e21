"""Whose purchases are the models fitted to, where a store has more buyers than that takes?

Those with the least hashes of their ids: the same ones on every day, in every process and in
whichever order they came, and whether a buyer is among them says nothing about the buyer. So a
fit changes from one day to the next because the purchases did, and not because others were drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import hashing, jit
from segengine.schema.kinds import Kind
from segengine.tables.customers import CustomerTable


def sampled(
    customers: CustomerTable, rows: NDArray[np.int64], among: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Which of these buyers are taken: all of those among whom to choose, or `most` of them.

    rows: int64[n], of buyers with an id  among: bool[n]. Of two texts with one hash at the very
    edge neither is taken, so that there may be fewer than `most`, and never more.
    """
    count = int(np.count_nonzero(among))
    if count <= most:
        return among
    hashes = _hashes(customers, rows[among])
    edge = np.partition(hashes, most)[most]
    taken = among.copy()
    taken[among] = hashes < edge
    return taken


def _hashes(customers: CustomerTable, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of the id of each row: uint64[n]."""
    column = customers.columns["customer_id"]
    ids, out = column.values[rows], np.empty(len(rows), np.uint64)
    if column.kind is Kind.BIGINT:

        def work(first: int, last: int) -> None:
            hashing.hash_numbers(ids[first:last], out[first:last])

    else:
        assert column.dictionary is not None
        offsets, data = column.dictionary.arrays()

        def work(first: int, last: int) -> None:
            hashing.hash_texts(offsets, data, ids[first:last], out[first:last])

    jit.over_ranges(work, len(rows))
    return out
