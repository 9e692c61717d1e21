"""How many keys begin with which digits?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


@kernel
def count_digits(
    keys: NDArray[np.uint64], above: np.uint64, shift: np.uint64, out: NDArray[np.int64]
) -> None:
    """How many keys have each 16-bit digit at `shift`, of those whose bits above it are `above`.

    keys: uint64[n]  shift: 48, 32, 16 or 0  out: int64[65,536], begins at 0
    """
    digit = np.uint64(0xFFFF)
    sixteen = np.uint64(16)
    for index in range(keys.shape[0]):
        rest = keys[index] >> shift
        # Two steps: a shift by all 64 bits means nothing.
        if rest >> sixteen == above:
            out[np.int64(rest & digit)] += 1
