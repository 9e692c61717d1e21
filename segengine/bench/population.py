"""Whom do the engines count? Buyers with eight columns of four kinds, some values missing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from segengine.tables.column import decimals_of

REGIONS = tuple(f"region-{k:02d}" for k in range(31))
COLUMNS = ("recency", "orders", "amount", "score", "region", "level", "member", "city")


def population(rows: int, seed: int = 7) -> pa.Table:
    """Buyers with customer_id and COLUMNS; the same seed gives the same buyers.

    recency and orders whole, amount money, score a float, region of 31 and city of 2,000 texts,
    level 0 to 5, member a boolean; about a tenth is missing in recency, amount and level.
    """
    rng = np.random.default_rng(seed)

    def some_missing(values: pa.Array) -> pa.Array:
        mask = rng.random(rows, dtype=np.float32) < 0.1
        return pa.Array.from_buffers(
            values.type, rows, [pa.py_buffer(np.packbits(~mask, bitorder="little")),
                                *values.buffers()[1:]],
        )  # fmt: skip

    recency = pa.array(rng.integers(0, 730, rows, dtype=np.int32))
    orders = pa.array(rng.geometric(0.3, rows).astype(np.int32))
    cents = np.exp(rng.normal(9, 1.4, rows)).astype(np.int64) * 100
    amount = decimals_of(cents, None, pa.decimal128(18, 4))
    score = pa.array(rng.normal(0, 1, rows))
    region = _texts(rng.integers(0, len(REGIONS), rows, dtype=np.int32), REGIONS)
    cities = tuple(f"city-{k:04d}" for k in range(2000))
    city = _texts((rng.random(rows) ** 3 * len(cities)).astype(np.int32), cities)
    level = pa.array(rng.integers(0, 6, rows, dtype=np.int8).astype(np.int32))
    member = pa.array(rng.random(rows, dtype=np.float32) < 0.4)
    return pa.table(
        {
            "customer_id": pa.array(np.arange(1, rows + 1)),
            "recency": some_missing(recency),
            "orders": orders,
            "amount": some_missing(amount),
            "score": some_missing(score),
            "region": region,
            "level": some_missing(level),
            "member": member,
            "city": city,
        }
    )


def _texts(codes: np.ndarray, words: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))
