"""Which of very many values does a trait equal: an Arrow array as the list of an IN."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segengine.schema.kinds import Kind


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Distinct values in the form that columns keep, ascending; texts as an Arrow array."""

    values: Any
    has_null: bool

    def hits(self, operand: Any) -> Any:
        """Which of these values are listed: bool[rows]."""
        if isinstance(operand, pa.Array):
            return pc.is_in(operand, self.values).to_numpy(zero_copy_only=False)
        if not len(self.values):
            return np.zeros(len(operand), np.bool_)
        places = np.searchsorted(self.values, operand)
        places[places == len(self.values)] = 0
        return self.values[places] == operand


def array_values(array: pa.Array, kind: Kind | None, scale: int) -> Values:
    """The distinct values of an array as values of a kind; an Arrow error where they are none."""
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    has_null = array.null_count > 0
    known = array.drop_null()
    if pa.types.is_dictionary(known.type):
        known = known.dictionary_decode()
    text = pa.types.is_string(known.type) or pa.types.is_large_string(known.type)
    if pa.types.is_null(known.type):
        known, text = pa.array([], pa.large_string() if kind is Kind.VARCHAR else pa.int64()), (
            kind is Kind.VARCHAR)  # fmt: skip
    if text != (kind is Kind.VARCHAR) or kind in (None, Kind.TAGS, Kind.BOOLEAN):
        raise ValueError("texts and other values are not compared")
    if kind is Kind.VARCHAR:
        return Values(known.cast(pa.large_string()).unique(), has_null)
    if kind is Kind.DATE:
        if not pa.types.is_date(known.type):
            raise ValueError("not a date")
        numbers = known.cast(pa.date32()).cast(pa.int32())
    elif kind is Kind.TIMESTAMP:
        if not pa.types.is_timestamp(known.type) or known.type.tz is None:
            raise ValueError("not an instant: times need a zone")
        numbers = known.cast(pa.timestamp("us", known.type.tz)).cast(pa.int64())
    elif not _is_number(known.type):
        raise ValueError("not a number")
    elif kind is Kind.MONEY:
        # Scaled digit by digit: a decimal that the scale cannot hold is no amount.
        exact = [Decimal(str(value)).scaleb(scale) for value in known.to_pylist()]
        whole = [int(value) for value in exact if value == value.to_integral_value()]
        numbers = pa.array([v for v in whole if abs(v) < 2**63], pa.int64())
    else:
        numbers = known.cast(pa.float64() if kind is Kind.DOUBLE else pa.int64())
    wide = np.float64 if kind is Kind.DOUBLE else np.int64
    found = np.unique(numbers.to_numpy(zero_copy_only=False).astype(wide))
    return Values(found[~np.isnan(found)] if wide is np.float64 else found, has_null)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
