"""Which interval of a partition does each value fall into?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel

BLOCK_SHIFT = 14
"""A block has 16,384 rows."""


@inlined
def code_of(value: Any, edges: Any) -> int:
    """1 + the number of edges below the value, by eight halvings of 255 edges."""
    place = 0
    step = 128
    while step > 0:
        if edges[place + step - 1] < value:
            place += step
        step >>= 1
    return place + 1


@inlined
def _seen(value: Any, missing: Any, edges: Any, least: Any, greatest: Any) -> int:
    """The code of a value, 0 for a missing one; what the code has seen is widened."""
    if value == missing or value != value:
        return 0
    code = code_of(value, edges)
    least[code] = min(least[code], value)
    greatest[code] = max(greatest[code], value)
    return code


@inlined
def _put(
    row: int,
    code: int,
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Give a row its code, and widen the bounds of its block."""
    out[row] = code
    block = row >> BLOCK_SHIFT
    block_least[block] = min(block_least[block], code)
    block_greatest[block] = max(block_greatest[block], code)


@kernel
def encode_values(
    values: Any,
    missing: Any,
    edges: Any,
    begin: int,
    end: int,
    least: Any,
    greatest: Any,
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Code rows [begin, end): 0 for missing, else 1 + the number of edges below the value.

    values: T[rows]  edges: T[255], ascending, at least the last one the type's greatest value
    least, greatest: T[256], widened to what each code has seen  out: uint8[rows]
    block_least, block_greatest: uint8[blocks of 16,384 rows], widened to the codes in each
    """
    for row in range(begin, end):
        code = _seen(values[row], missing, edges, least, greatest)
        _put(row, code, block_least, block_greatest, out)


@kernel
def codes_of(
    values: Any, missing: Any, edges: Any, least: Any, greatest: Any, out: NDArray[np.uint8]
) -> None:
    """The codes that these values have: as of `encode_values`, for values that stand in no row yet.

    values: T[n]  least, greatest: T[256], widened to the values of each code  out: uint8[n]
    """
    for index in range(values.shape[0]):
        out[index] = _seen(values[index], missing, edges, least, greatest)


@kernel
def put_codes(
    rows: NDArray[np.int64],
    codes: NDArray[np.uint8],
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Give these rows their codes, and widen the bounds of their blocks, as `encode_values` does.

    rows: int64[n]  codes: uint8[n]  out: uint8[rows of the table]
    """
    for index in range(rows.shape[0]):
        _put(rows[index], codes[index], block_least, block_greatest, out)


@kernel
def encode_rows(
    values: Any,
    missing: Any,
    edges: Any,
    rows: NDArray[np.int64],
    least: Any,
    greatest: Any,
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """As `encode_values`, for these rows only, some of which may be as they were.

    A value that lies within what its row's code has seen has that code: codes see disjoint ranges.
    To look there first takes a third of the time, as most values of a buyer stay.
    rows: int64[n]
    """
    for index in range(rows.shape[0]):
        row = rows[index]
        value = values[row]
        code = int(out[row])
        if code != 0 and least[code] <= value <= greatest[code]:
            continue
        code = _seen(value, missing, edges, least, greatest)
        _put(row, code, block_least, block_greatest, out)
