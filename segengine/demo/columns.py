"""How does an array of numbers become an Arrow column?

Text is a dictionary of few words and int32 codes, money int64 cents, a moment whole seconds
since 1970 in UTC; what a row does not have is a negative code, cents or a moment that never comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MONEY = pa.decimal128(18, 4)
MOMENT = pa.timestamp("us", tz="UTC")
TEXT = pa.dictionary(pa.int32(), pa.string())
TAGS = pa.list_(pa.string())

NEVER = 1 << 40
"""A moment later than every as_of: sums with a wait stay later, and are null as a column."""

_CENT = 100  # units of the fourth decimal in a cent


def words(options: Sequence[str]) -> Any:
    """The dictionary of a text column: made once, shared by all its batches."""
    return pa.array(options, pa.string())


def text(codes: NDArray[Any], options: Any) -> Any:
    """A text column from codes of its dictionary; a negative code is null."""
    wide = codes.astype(np.int32)
    missing = wide < 0
    if missing.any():
        wide[missing] = 0
        return pa.DictionaryArray.from_arrays(pa.array(wide, mask=missing), options)
    return pa.DictionaryArray.from_arrays(pa.array(wide), options)


def blank(n: int) -> Any:
    """A text column in which every row is null."""
    return pa.DictionaryArray.from_arrays(pa.nulls(n, pa.int32()), pa.array([], pa.string()))


def moments(seconds: NDArray[np.int64], until: int) -> Any:
    """A timestamp column; what happens later than `until` has not happened: null."""
    later = seconds > until
    micros = seconds * 1_000_000
    if later.any():
        micros[later] = 0
        return pa.array(micros, pa.int64(), mask=later).view(MOMENT)
    return pa.array(micros, pa.int64()).view(MOMENT)


def money(cents: NDArray[np.int64], missing: NDArray[np.bool_] | None = None) -> Any:
    """A decimal(18, 4) column, exact: each value is two little-endian 64-bit limbs.

    Built from the buffer, because a Python Decimal per row takes about a microsecond.
    """
    limbs = np.empty((len(cents), 2), "<i8")
    limbs[:, 0] = cents * _CENT
    if missing is not None:
        limbs[missing, 0] = 0
    limbs[:, 1] = limbs[:, 0] >> 63
    present = None
    if missing is not None:
        present = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(MONEY, len(cents), [present, pa.py_buffer(limbs)])


def whole(values: NDArray[Any], kind: Any, missing: NDArray[np.bool_] | None = None) -> Any:
    """An integer column of the Arrow type `kind`, null where `missing`."""
    return pa.array(values.astype(kind.to_pandas_dtype()), kind, mask=missing)


def flags(values: NDArray[np.bool_], missing: NDArray[np.bool_] | None = None) -> Any:
    """A boolean column, null where `missing`."""
    return pa.array(values, pa.bool_(), mask=missing)


def tags(bits: NDArray[np.uint8], options: Sequence[str]) -> Any:
    """A column of lists: row i bears tag j where bit j of `bits[i]` is set; never null.

    options: at most 8 words. The few combinations are built once and taken by number.
    """
    combinations = [
        [word for j, word in enumerate(options) if number >> j & 1]
        for number in range(1 << len(options))
    ]
    return pa.array(combinations, TAGS).take(pa.array(bits))


def time_order(seconds: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    """The permutation int64[n] that sorts by time, then by position.

    A sort of unique keys, (time, position) packed in 64 bits, gives the same order whatever
    algorithm numpy picks for the processor, and is faster than a stable argsort.
    """
    keys = (seconds - start) << 32
    keys += np.arange(len(seconds))
    keys.sort()
    keys &= 0xFFFF_FFFF
    return keys
