"""What is an expression computed over: which rows, at which moment, with which values?

Values are arrays in the form columns keep (int64, float64, int8, missing reserved), text and lists
as Arrow arrays. A truth is int8: 1, 0, or -128 for unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.days import Zone
from segengine.rules.term import Term
from segengine.schema.kinds import Kind

TRUE, FALSE, UNKNOWN = np.int8(1), np.int8(0), np.int8(-128)
NO_INT = np.iinfo(np.int64).min


Values = Any
"""int64, float64 or int8 array, or an Arrow array of large_string or list<large_string>."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment of an answer, and the calendar it is read by."""

    as_of: int
    zone: Zone

    @property
    def today(self) -> int:
        """The local date, in days since 1970."""
        return self.zone.day_of(self.as_of)


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows: how to get a trait's values, and the buckets of a salt."""

    rows: int
    clock: Clock
    money_scale: int
    column: Callable[[Term], Values]
    buckets: Callable[[str], NDArray[np.float64]] | None = None
    context: Mapping[str, str] = field(default_factory=dict)


def widened(values: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """A column's array as int64 or float64 with that array's missing value."""
    if kind in (Kind.DOUBLE, Kind.BOOLEAN):
        return values
    if values.dtype == np.int64:
        return values
    wide = values.astype(np.int64)
    wide[values == np.iinfo(values.dtype).min] = NO_INT
    return wide
