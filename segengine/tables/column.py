"""Here is a row: its value, in one flat array a column.

Arrays are 64-byte aligned and padded to 64 rows, so that a kernel may read whole words. A
column that nothing was ever written to holds its default everywhere and owns no memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.kinds import MONEY_DIGITS, Kind, dtype_of, missing_of
from segengine.tables.dictionary import Dictionary
from segengine.tables.scan_codes import CodesAhead, LongerCodes, ScanCodes


def padded(rows: int) -> int:
    """Rows rounded up to whole words, at least one."""
    return max(64, -(-rows // 64) * 64)


def aligned(rows: int, dtype: np.dtype[Any], fill: Any = None) -> NDArray[Any]:
    """A 64-byte aligned array of `rows` rows, filled if asked."""
    raw = np.empty(rows * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    array = raw[start : start + rows * dtype.itemsize].view(dtype)
    if fill is not None:
        array[:] = fill
    return array


def taken(array: NDArray[Any], rows: NDArray[np.int64], count: int, fill: Any) -> NDArray[Any]:
    """A copy of these rows of an array, with room for `count` values: T[count]."""
    if count == len(rows):
        return array.take(rows)
    found = np.full(count, fill, array.dtype)
    # The rows are there: to be told so would cost a copy of what is found.
    array.take(rows, out=found[: len(rows)], mode="clip")
    return found


NewArray = Callable[[int, np.dtype[Any]], NDArray[Any]]
"""Makes an aligned array of so many values."""


@dataclass(frozen=True, slots=True)
class Longer:
    """A copy of a column with room for `capacity` rows; None for what it did not have.

    array: T[capacity], the rows beyond those there are at their default
    """

    capacity: int
    array: NDArray[Any] | None
    codes: LongerCodes | None


class Column:
    """One column: an array with a reserved value for missing, and codes to scan it by."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        *,
        dictionary: Dictionary | None = None,
        default: int | float | None = None,
        narrow: bool = False,
        capacity: int = 64,
        digits: int = MONEY_DIGITS,
    ) -> None:
        self.name, self.kind, self.digits = name, kind, digits
        self.dtype = dtype_of(kind, narrow=narrow)
        self.missing = missing_of(self.dtype, kind)
        self.default = self.missing if default is None else default
        self.dictionary = (
            dictionary if dictionary is not None or not kind.is_coded else (Dictionary(kind))
        )
        self.is_made = False
        """Whether it was made for one question: no codes are worth making for it."""
        self._capacity = padded(capacity)
        self._array: NDArray[Any] | None = None
        self._codes: ScanCodes | None = None
        self._lock = threading.Lock()

    @property
    def is_allocated(self) -> bool:
        """Whether anything was ever written."""
        return self._array is not None

    @property
    def values(self) -> NDArray[Any]:
        """The array, capacity long; rows beyond the table's hold the default."""
        array = self._array
        if array is None:
            with self._lock:
                if self._array is None:
                    self._array = aligned(self._capacity, self.dtype, self.default)
                array = self._array
        return array

    def standing(self) -> tuple[NDArray[Any], int]:
        """An array and how many bytes its rows are apart; nothing is made for a default."""
        array = self._array
        if array is None:
            return np.full(1, self.default, self.dtype), 0
        return array, array.itemsize

    def scan_codes(self, rows: int) -> ScanCodes:
        """The codes of a column, made at the first scan; new rows at the first after them."""
        codes = self._codes
        if codes is None or codes.rows < rows:
            values = self.values
            with self._lock:
                if self._codes is None:
                    self._codes = ScanCodes(values, self.missing, rows)
                codes = self._codes
                if codes.rows < rows:
                    codes.catch_up(rows)
        return codes

    @property
    def has_codes(self) -> bool:
        """Whether a scan has made codes already, which have to follow every change."""
        return self._codes is not None

    def forget_codes(self) -> None:
        """Let the next scan make codes anew: somebody else may have changed any value."""
        self._codes = None

    def reserve(self, capacity: int, rows: int) -> None:
        """Make room for `capacity` rows; the first `rows` keep their values."""
        self.take_longer(self.longer(capacity, rows), rows)

    def longer(self, capacity: int, rows: int, new_array: NewArray = aligned) -> Longer:
        """A longer copy, for `take_longer`: everybody may go on looking at this one meanwhile."""
        capacity, array, codes = padded(capacity), self._array, self._codes
        if capacity <= self._capacity or array is None:
            return Longer(capacity, None, None)
        grown = new_array(capacity, self.dtype)
        grown[:rows] = array[:rows]
        grown[rows:] = self.default
        return Longer(capacity, grown, None if codes is None else codes.longer(capacity))

    def take_longer(self, longer: Longer, rows: int) -> NDArray[Any] | None:
        """Take a copy that was made of this column as it is now; the array it had.

        Whoever calls lets go of that when nobody waits: to give memory back takes as long as to
        fill it.
        """
        if longer.capacity <= self._capacity:
            return None
        self._capacity, before = longer.capacity, self._array
        if before is not None:
            grown = longer.array
            if grown is None:
                # Somebody read it for the first time since: nothing was written to it.
                grown = aligned(longer.capacity, self.dtype, self.default)
                grown[:rows] = before[:rows]
            self._array = grown
            if self._codes is not None:
                self._codes.follow(grown, rows, longer.codes)
        return before

    def write(self, rows: NDArray[np.int64] | slice, values: Any) -> None:
        """Set the values of these rows; the codes follow."""
        array = self.values
        array[rows] = values
        if self._codes is not None:
            if isinstance(rows, slice):
                # Rows that no scan has coded yet are coded by the next one.
                rows = np.arange(rows.start, min(rows.stop, self._codes.rows), dtype=np.int64)
            self._codes.touch(rows)

    def codes_ahead(self, values: NDArray[Any]) -> CodesAhead | None:
        """The scan codes that rows with these values will have, where scans use any: for `put`."""
        codes = self._codes
        return None if codes is None else codes.ahead(values)

    def put(self, rows: NDArray[np.int64], values: NDArray[Any], codes: CodesAhead | None) -> None:
        """As `write`, with the codes worked out ahead; called with the gate closed."""
        self.values[rows] = values
        if self._codes is None:
            return
        if codes is not None and codes.of is self._codes:
            self._codes.put(rows, codes)
        else:
            # A scan has made them since.
            self._codes.touch(rows)

    def codes_of(self, array: NDArray[Any], rows: int) -> ScanCodes | None:
        """Codes for an array that is to replace this one, if scans use codes of this column."""
        return None if self._codes is None else ScanCodes(array, self.missing, rows)

    def install(self, array: NDArray[Any], codes: ScanCodes | None) -> None:
        """Take a whole new array, aligned and padded, and its codes."""
        self._array, self._codes, self._capacity = array, codes, len(array)

    def longer_codes(self, capacity: int) -> LongerCodes | None:
        """A longer copy of its codes, if there are any, for whoever is to move its array."""
        codes = self._codes
        return None if codes is None else codes.longer(capacity)

    def moved(self, array: NDArray[Any], rows: int, longer: LongerCodes | None = None) -> None:
        """The owner of a shared array has moved it to a larger one; longer: codes made for it."""
        self._array, self._capacity = array, len(array)
        if self._codes is not None:
            self._codes.follow(array, rows, longer)

    def touch(self, rows: NDArray[np.int64]) -> None:
        """The owner of a shared array has changed these rows."""
        if self._codes is not None:
            self._codes.touch(rows)

    def nbytes(self) -> tuple[int, int, int]:
        """Bytes of values, scan codes and dictionary."""
        return (
            0 if self._array is None else int(self._array.nbytes),
            0 if self._codes is None else self._codes.nbytes(),
            0 if self.dictionary is None else self.dictionary.nbytes(),
        )

    def to_arrow(self, rows: NDArray[np.int64] | slice, scale: int) -> pa.Array:
        """A copy of these rows with the plain logical type, missing as null."""
        if self._array is None:
            count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            taken = np.full(count, self.default, self.dtype)
        else:
            taken = self._array[rows]
            if isinstance(rows, slice):
                taken = taken.copy()
        return arrow_of(taken, self.kind, self.dictionary, scale, self.digits)

    def python_of(self, row: int, scale: int) -> Any:
        """One value as a Python object."""
        return self.to_arrow(slice(row, row + 1), scale)[0].as_py()


def made_column(kind: Kind, values: NDArray[Any], dictionary: Dictionary | None = None) -> Column:
    """A column over an array that was made for one question: aligned, padded, missing reserved."""
    column = Column("", kind, dictionary=dictionary)
    column.install(values, None)
    column.is_made = True
    return column


class ExcerptColumn(Column):
    """A column of some rows of another one, with room for more; copied when it is first read.

    What is written before waits until then: what nobody reads is not copied.
    """

    def __init__(self, of: Column, rows: NDArray[np.int64], capacity: int) -> None:
        # The same in all but what it holds; an append makes some thirty of these.
        self.__dict__.update(of.__dict__)
        self._array, self._codes, self._capacity = None, None, capacity
        self._lock = threading.Lock()
        self._of, self._rows = of, rows
        self._waiting: list[tuple[NDArray[np.int64] | slice, Any]] = []

    @property
    def is_allocated(self) -> bool:
        """Whether anything was ever written, here or there."""
        return self._array is not None or bool(self._waiting) or self._of.is_allocated

    @property
    def values(self) -> NDArray[Any]:
        """The array: T[capacity]."""
        with self._lock:
            if self._array is None:
                # INVARIANT: what the owner or the order knows is asked of those, and written there.
                assert not isinstance(self._of, JoinedColumn)
                if self._of.is_allocated:
                    found = taken(self._of.values, self._rows, self._capacity, self.default)
                else:
                    found = np.full(self._capacity, self.default, self.dtype)
                for rows, values in self._waiting:
                    found[rows] = values
                self._array, self._waiting = found, []
            return self._array

    def standing(self) -> tuple[NDArray[Any], int]:
        """As `Column.standing`."""
        array = self.values
        return array, array.itemsize

    def to_arrow(self, rows: NDArray[np.int64] | slice, scale: int) -> pa.Array:
        """As `Column.to_arrow`."""
        return arrow_of(self.values[rows], self.kind, self.dictionary, scale, self.digits)

    def write(self, rows: NDArray[np.int64] | slice, values: Any) -> None:
        """As `Column.write`; no scan makes codes of it."""
        if self._array is None:
            self._waiting.append((rows, values))
        else:
            self._array[rows] = values


class JoinedColumn(Column):
    """A column that another table keeps: row r has its value in row places()[r] there.

    An event's customer_id is its owner's, a line's order_id its order's; kept once, they cost
    nothing here. A place of -1 is a missing value.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        places: Callable[[], NDArray[np.int32]],
        column: Callable[[], Column],
    ) -> None:
        super().__init__(name, kind, dictionary=column().dictionary)
        self._places, self._column = places, column

    @property
    def places(self) -> NDArray[np.int32]:
        """The row in the other table for each row of this one, -1 for none."""
        return self._places()

    @property
    def target(self) -> Column:
        """The column that keeps the values."""
        return self._column()

    def write(self, rows: NDArray[np.int64] | slice, values: Any) -> None:
        """The places say it already."""

    def longer(self, capacity: int, rows: int, new_array: NewArray = aligned) -> Longer:
        """Nothing is kept here."""
        del capacity, rows, new_array
        return Longer(0, None, None)

    def to_arrow(self, rows: NDArray[np.int64] | slice, scale: int) -> pa.Array:
        """As `Column.to_arrow`, through the places."""
        places, column = self.places[rows], self.target
        values = column.values[np.maximum(places, 0)]
        values[places < 0] = column.missing
        return arrow_of(values, column.kind, column.dictionary, scale, column.digits)


def arrow_type(kind: Kind, scale: int, digits: int = MONEY_DIGITS) -> pa.DataType:
    """The plain logical Arrow type of a kind."""
    types = {
        Kind.BOOLEAN: pa.bool_(),
        Kind.BIGINT: pa.int64(),
        Kind.DOUBLE: pa.float64(),
        Kind.MONEY: pa.decimal128(digits, scale),
        Kind.VARCHAR: pa.large_string(),
        Kind.DATE: pa.date32(),
        Kind.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        Kind.TAGS: pa.list_(pa.large_string()),
    }
    return types[kind]


def arrow_of(
    values: NDArray[Any],
    kind: Kind,
    dictionary: Dictionary | None,
    scale: int,
    digits: int = MONEY_DIGITS,
) -> pa.Array:
    """An array with reserved missing values as the plain logical Arrow array."""
    logical = arrow_type(kind, scale, digits)
    if kind.is_coded:
        assert dictionary is not None
        codes = pa.array(values, pa.int32(), mask=values < 0)
        return dictionary.values().take(codes)
    missing = missing_of(values.dtype, kind)
    absent = np.isnan(values) if values.dtype.kind == "f" else values == missing
    mask = absent if absent.any() else None
    if kind is Kind.MONEY:
        return decimals_of(values, mask, logical)
    if kind is Kind.BOOLEAN:
        return pa.array(values > 0, mask=mask)
    if kind is Kind.TIMESTAMP:
        return pa.array(values, pa.int64(), mask=mask).cast(logical)
    if kind is Kind.DATE:
        return pa.array(values, pa.int32(), mask=mask).cast(logical)
    if kind is Kind.BIGINT and values.dtype != np.int64:
        values = values.astype(np.int64)
    return pa.array(values, logical, mask=mask)


def decimals_of(
    values: NDArray[np.int64], mask: NDArray[np.bool_] | None, logical: pa.DataType
) -> pa.Array:
    """Scaled int64 as decimal128 by writing both 64-bit halves."""
    halves = np.empty((len(values), 2), np.int64)
    halves[:, 0] = values
    halves[:, 1] = values >> 63
    valid = None
    if mask is not None:
        valid = pa.py_buffer(np.packbits(~mask, bitorder="little"))
    return pa.Array.from_buffers(logical, len(values), [valid, pa.py_buffer(halves)])
