"""Whom do the engines count? Buyers with columns of every kind, some values missing."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.tables.column import decimals_of

AS_OF = datetime(2026, 7, 1, 12, tzinfo=UTC)
"""The moment every answer is true for."""

REGIONS = tuple(f"region-{k:02d}" for k in range(31))
CITIES = tuple(f"city-{k:04d}" for k in range(2000))
COUPONS = tuple(f"coupon-{k:02d}" for k in range(50))
TAGS = tuple(f"tag-{k:02d}" for k in range(40))
OUTLETS = 5_000
COLUMNS = (
    "recency", "orders", "amount", "score", "region", "level", "member", "city",
    "outlet", "coupon", "opted_in", "joined_at", "seen_at", "birthday", "tags",
)  # fmt: skip

_AS_OF_MICROS = int(AS_OF.timestamp()) * 1_000_000
_DAY = 86_400_000_000


def population(rows: int, seed: int = 7) -> pa.Table:
    """Buyers with customer_id and COLUMNS; the same seed gives the same buyers.

    recency, orders, level (0 to 5) and outlet (of 5,000) whole, amount money, score a float;
    region of 31, city of 2,000 and coupon of 50 texts, as dictionaries; member and opted_in
    booleans; joined_at and seen_at moments, birthday a date; tags a list of up to 6 of 40.
    About a tenth is missing in recency, amount, level, opted_in and seen_at, six tenths in
    coupon. No moment is after AS_OF.
    """
    rng = np.random.default_rng(seed)
    cents = np.exp(rng.normal(9, 1.4, rows)).astype(np.int64) * 100
    amount = decimals_of(cents, None, pa.decimal128(18, 4))
    joined = _AS_OF_MICROS - (rng.random(rows) * 4 * 365 * _DAY).astype(np.int64)
    seen = _AS_OF_MICROS - (rng.random(rows) ** 2 * 2 * 365 * _DAY).astype(np.int64)
    return pa.table(
        {
            "customer_id": pa.array(np.arange(1, rows + 1)),
            "recency": _missing(rng, 0.1, pa.array(rng.integers(0, 730, rows, dtype=np.int32))),
            "orders": pa.array(rng.geometric(0.3, rows).astype(np.int32)),
            "amount": _missing(rng, 0.1, amount),
            "score": pa.array(rng.normal(0, 1, rows)),
            "region": texts(rng.integers(0, len(REGIONS), rows, dtype=np.int32), REGIONS),
            "level": _missing(rng, 0.1, pa.array(rng.integers(0, 6, rows, dtype=np.int32))),
            "member": pa.array(rng.random(rows, dtype=np.float32) < 0.4),
            "city": texts((rng.random(rows) ** 3 * len(CITIES)).astype(np.int32), CITIES),
            "outlet": pa.array(rng.integers(0, OUTLETS, rows, dtype=np.int32)),
            "coupon": _coupons(rng, rows),
            "opted_in": _missing(rng, 0.1, pa.array(rng.random(rows, dtype=np.float32) < 0.6)),
            "joined_at": moments(joined),
            "seen_at": _missing(rng, 0.1, moments(seen)),
            "birthday": pa.array(rng.integers(-7_000, 14_000, rows, dtype=np.int32), pa.date32()),
            "tags": _tags(rng, rows),
        }
    )


def texts(codes: NDArray[np.int32], words: tuple[str, ...]) -> pa.DictionaryArray:
    """Words by their codes, as a dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))


def moments(micros: NDArray[np.int64]) -> pa.Array:
    """Microseconds since 1970 in UTC as moments."""
    return pa.array(micros).cast(pa.timestamp("us", "UTC"))


def _missing(rng: np.random.Generator, share: float, values: pa.Array) -> pa.Array:
    """The values with a share of them missing."""
    rows = len(values)
    mask = rng.random(rows, dtype=np.float32) < share
    valid = pa.py_buffer(np.packbits(~mask, bitorder="little"))
    return pa.Array.from_buffers(values.type, rows, [valid, *values.buffers()[1:]])


def _coupons(rng: np.random.Generator, rows: int) -> pa.DictionaryArray:
    codes = _missing(rng, 0.6, pa.array(rng.integers(0, len(COUPONS), rows, dtype=np.int32)))
    return pa.DictionaryArray.from_arrays(codes, pa.array(COUPONS))


def _tags(rng: np.random.Generator, rows: int) -> pa.ListArray:
    """None to six different words a buyer; the first words are the most frequent."""
    counts = rng.integers(0, 7, rows, dtype=np.int32)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    total = int(offsets[-1])
    # A buyer's j-th word is one of those whose number is j modulo 6: no word comes twice.
    place = np.arange(total, dtype=np.int32) - np.repeat(offsets[:-1], counts)
    steps = (len(TAGS) - 1 - place) // 6 + 1
    words = place + 6 * (rng.random(total) ** 2 * steps).astype(np.int32)
    dictionary = texts(words.astype(np.int32), TAGS)
    return pa.ListArray.from_arrays(pa.array(offsets), dictionary)
