"""Whole-number arithmetic that gives missing where SQL gives NULL: overflow, division by zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel

_NO_VALUE = np.int64(-(2**63))
ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER = range(5)
Int64s = NDArray[np.int64]


@kernel
def whole(op: int, left: Int64s, right: Int64s, out: Int64s) -> None:
    """out = left op right; missing where either is, on overflow, and by zero.

    Sums wrap as unsigned: signed overflow is undefined to the compiler, which would then drop
    the test for it. Division goes towards zero and the remainder takes the sign of the left.
    left, right, out: int64[n]
    """
    for row in range(left.shape[0]):
        a, b = left[row], right[row]
        result = _NO_VALUE
        if a != _NO_VALUE and b != _NO_VALUE:
            if op == ADD:
                result = np.int64(np.uint64(a) + np.uint64(b))
                if ((a ^ result) & (b ^ result)) < 0:
                    result = _NO_VALUE
            elif op == SUBTRACT:
                result = np.int64(np.uint64(a) - np.uint64(b))
                if ((a ^ b) & (a ^ result)) < 0:
                    result = _NO_VALUE
            elif op == MULTIPLY:
                result = np.int64(np.uint64(a) * np.uint64(b))
                small = -2147483648 <= a <= 2147483647 and -2147483648 <= b <= 2147483647
                if not small and a != 0 and (result // a != b or result == _NO_VALUE):
                    result = _NO_VALUE
            elif b != 0:
                quotient = abs(a) // abs(b)
                if (a < 0) != (b < 0):
                    quotient = -quotient
                result = quotient if op == DIVIDE else a - quotient * b
        out[row] = result
