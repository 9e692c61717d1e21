"""Here is a column: what are its values, and ranges of them, as whole numbers that order alike?"""

from __future__ import annotations

import math

import numpy as np

from segengine.kernels import matching, memory
from segengine.rules.ranges import Range
from segengine.tables.column import Column

GREATEST = 2**63 - 1
ITEMS = {
    "int8": memory.INT8, "int32": memory.INT32, "int64": memory.INT64,
    "float64": memory.FLOAT64,
}  # fmt: skip
"""What kernels call the types of arrays that have keys."""


def keys_of(column: Column, pair: Range) -> tuple[int, int] | None:
    """A range as whole numbers that order as the column's values; None for an empty one."""
    low, high = pair
    if column.dtype.kind == "f":
        return float_key(low), float_key(high)
    info = np.iinfo(column.dtype.name)
    if low > info.max or high < info.min:
        return None
    # What no value is below, or above, is no bound.
    first = -GREATEST if low <= info.min + 1 else math.ceil(low)
    last = GREATEST if high >= info.max else math.floor(high)
    return (first, last) if first <= last else None


def missing_key(column: Column) -> int:
    """A column's missing value as keys say it."""
    return matching.NO_KEY if column.dtype.kind == "f" else int(column.missing)


def float_key(value: float) -> int:
    """A number as a whole number that orders as it does; see `matching`."""
    bits = int(np.float64(value + 0.0).view(np.int64))
    return bits if bits >= 0 else bits ^ GREATEST
