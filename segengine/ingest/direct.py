"""Is what arrives of our own types already, so that nobody need be asked how to read it?

Events that just happened come as small Arrow tables with the names and types of our columns.
DuckDB takes 12 ms to plan a reading of them, the reading itself none. Here each column is taken
as it is where that is certain to be what DuckDB would have made of it; anything else, a bad value
in one row or a type that wants converting, is None for the whole batch, which is then read as any
source and has its problems told there. A test holds both ways to one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.days import FIRST_INSTANT, LAST_INSTANT, day_number
from segengine.schema.kinds import MONEY_DIGITS, Kind, dtype_of, missing_of
from segengine.schema.tables import TableSpec
from segengine.tables.batch import Batch, BatchColumn
from segengine.tables.dictionary import Dictionary

MOST_ROWS = 100_000
"""From more rows on a plan costs nothing, and DuckDB reads on all threads."""

_FIRST_DAY, _LAST_DAY = day_number(1, 1, 1), day_number(9999, 12, 31)
Dictionaries = Callable[[str, Kind], Dictionary | None]
"""The dictionary of a column of the table, by name and kind; None where it keeps no codes."""


def taken_as_is(
    source: Any,
    spec: TableSpec,
    kinds: Mapping[str, Kind],
    computed: Container[str],
    dictionaries: Dictionaries,
    *,
    money_scale: int,
) -> tuple[Batch, tuple[str, ...]] | None:
    """The batch, and the source's columns that are not ours; None: it has to be read.

    kinds, computed: as in `plan_mapping`. Texts are given codes only once all columns are sound.
    """
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if not isinstance(source, pa.Table) or not 0 < source.num_rows <= MOST_ROWS:
        return None
    names = [name.lower() for name in source.column_names]
    if len(set(names)) < len(names) or any(name in computed for name in names):
        return None
    ours = {name: k for k, name in enumerate(names) if name in spec.by_name or name in kinds}
    if not all(name in ours for name in spec.required):
        return None
    sound: dict[str, tuple[Kind, pa.Array | NDArray[Any]]] = {}
    for name, place in ours.items():
        # Of many chunks one array, so that its buffers can be read.
        column = pa.concat_arrays(source.column(place).chunks)
        kind = _kind_of(name, column.type, spec, kinds)
        if kind is None or (name in spec.required and column.null_count):
            return None
        values = _texts(column, kind) if kind.is_coded else _plain(column, kind, money_scale)
        if values is None:
            return None
        sound[name] = kind, values
    columns = {}
    for name, (kind, values) in sound.items():
        dictionary = dictionaries(name, kind)
        kept = values if dictionary is None else dictionary.encode(values)
        columns[name] = BatchColumn(kind, kept, dictionary)
    ignored = [
        name for name, low in zip(source.column_names, names, strict=True) if low not in ours
    ]
    return Batch(spec.name, source.num_rows, columns), tuple(ignored)


def _kind_of(
    name: str, given: pa.DataType, spec: TableSpec, kinds: Mapping[str, Kind]
) -> Kind | None:
    """The kind a column has or, being the first identifier of its name, gets; None: not certain."""
    if name in kinds:
        return kinds[name]
    known = spec.by_name[name]
    if not known.identifier:
        return known.kind
    if _is_text(given):
        return Kind.VARCHAR
    return Kind.BIGINT if pa.types.is_integer(given) else None


def _is_text(given: pa.DataType) -> bool:
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given))


def _texts(column: pa.Array, kind: Kind) -> pa.Array | None:
    """Texts or lists of texts that are valid UTF-8; None for anything else."""
    given = column.type
    if kind is Kind.TAGS:
        is_list = pa.types.is_list(given) or pa.types.is_large_list(given)
        if not (is_list and _is_text(given.value_type)):
            return None
    elif not _is_text(given):
        return None
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return column


def _plain(column: pa.Array, kind: Kind, money_scale: int) -> NDArray[Any] | None:
    """The values with reserved missing ones; None where one is not as it should be."""
    given, missing = column.type, missing_of(dtype_of(kind), kind)
    if kind is Kind.MONEY:
        return _money(column, money_scale)
    if kind is Kind.TIMESTAMP and pa.types.is_timestamp(given) and given.tz is not None:
        if given.unit != "us":
            return None
        return _within(column.cast(pa.int64()), int(missing), FIRST_INSTANT, LAST_INSTANT)
    if kind is Kind.DATE and pa.types.is_date32(given):
        days = _within(column.cast(pa.int32()), int(missing), _FIRST_DAY, _LAST_DAY)
        return None if days is None else days.astype(np.int32)
    if kind is Kind.BIGINT and pa.types.is_integer(given) and not pa.types.is_uint64(given):
        return _within(column.cast(pa.int64()), int(missing), -(2**63) + 1, 2**63 - 1)
    if kind is Kind.BOOLEAN and pa.types.is_boolean(given):
        return _array(column.cast(pa.int8()), int(missing), np.int8)
    if kind is Kind.DOUBLE and pa.types.is_float64(given):
        values = _array(column, missing, np.float64)
        return None if np.isinf(values).any() else values
    return None


def _array(column: pa.Array, missing: float, dtype: Any) -> NDArray[Any]:
    """A copy, so that no view of one column keeps all of what arrived alive."""
    filled = column.fill_null(missing) if column.null_count else column
    return np.array(filled.to_numpy(zero_copy_only=False), dtype)


def _within(column: pa.Array, missing: int, least: int, most: int) -> NDArray[np.int64] | None:
    """Whole numbers; None where one that is known lies outside."""
    if len(column) > column.null_count:
        found = pc.min_max(column)
        if found["min"].as_py() < least or found["max"].as_py() > most:
            return None
    return _array(column, missing, np.int64)


def _money(column: pa.Array, scale: int) -> NDArray[np.int64] | None:
    """Amounts in the smallest decimal, rounded half away from zero as DuckDB's cast of a DOUBLE.

    None where an amount has more than 18 digits, where a decimal would lose some, and where a
    number is infinite.
    """
    given, missing = column.type, missing_of(np.dtype(np.int64), Kind.MONEY)
    unit = 10**scale
    if pa.types.is_float64(given):
        values = _array(column, np.nan, np.float64)
        if (np.abs(values) >= 10.0**MONEY_DIGITS).any():
            return None
        values *= float(unit)
        whole = np.trunc(values)
        whole += np.where(np.abs(values - whole) >= 0.5, np.copysign(1.0, values), 0.0)
        is_known = ~np.isnan(values)
        if (np.abs(whole[is_known]) >= 10.0**MONEY_DIGITS).any():
            return None
        out = np.full(len(values), int(missing), np.int64)
        out[is_known] = whole[is_known].astype(np.int64)
        return out
    if pa.types.is_integer(given) and not pa.types.is_uint64(given):
        most = (10**MONEY_DIGITS - 1) // unit
        whole_units = _within(column.cast(pa.int64()), 0, -most, most)
        if whole_units is None:
            return None
        amounts: NDArray[np.int64] = whole_units * unit
        amounts[column.is_null().to_numpy(zero_copy_only=False)] = int(missing)
        return amounts
    if not pa.types.is_decimal128(given) or given.scale > scale:
        return None
    try:
        exact = column.cast(pa.decimal128(MONEY_DIGITS, scale))
    except pa.ArrowInvalid:
        return None
    halves = np.frombuffer(exact.buffers()[1], np.int64)
    found = halves[2 * exact.offset : 2 * (exact.offset + len(exact)) : 2].copy()
    if exact.null_count:
        found[exact.is_null().to_numpy(zero_copy_only=False)] = int(missing)
    return found
