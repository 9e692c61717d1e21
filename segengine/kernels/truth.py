"""Three-valued comparison of two arrays: 1, 0, or -128 for unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel

EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL = range(6)
_UNKNOWN = np.int8(-128)


@inlined
def _relation(op: int, left: Any, right: Any) -> bool:
    if op == EQUAL:
        return left == right
    if op == NOT_EQUAL:
        return left != right
    if op == LESS:
        return left < right
    if op == LESS_EQUAL:
        return left <= right
    if op == GREATER:
        return left > right
    return left >= right


@kernel
def compare(op: int, left: Any, right: Any, missing: Any, out: NDArray[np.int8]) -> None:
    """Whether left op right; unknown where either is missing or NaN.

    left, right: T[n], one type  missing: T, the reserved value  out: int8[n]
    """
    for row in range(left.shape[0]):
        a, b = left[row], right[row]
        if a == missing or b == missing or a != a or b != b:
            out[row] = _UNKNOWN
        else:
            out[row] = 1 if _relation(op, a, b) else 0


@kernel
def both(other: NDArray[np.int8], out: NDArray[np.int8]) -> None:
    """out = out AND other: false wins over unknown.  int8[n]"""
    for row in range(out.shape[0]):
        if out[row] == 0 or other[row] == 0:
            out[row] = 0
        elif out[row] != 1 or other[row] != 1:
            out[row] = _UNKNOWN


@kernel
def either(other: NDArray[np.int8], out: NDArray[np.int8]) -> None:
    """out = out OR other: true wins over unknown.  int8[n]"""
    for row in range(out.shape[0]):
        if out[row] == 1 or other[row] == 1:
            out[row] = 1
        elif out[row] != 0 or other[row] != 0:
            out[row] = _UNKNOWN
