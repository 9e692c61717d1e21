"""Which traits of these buyers are others now? The loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


@kernel
def write_changed(
    rows: NDArray[np.int64],
    fresh: Any,
    matrix: Any,
    changed: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Write what differs, and note whose it is.

    rows: int64[n]  fresh: T[traits, n]  matrix: T[traits, capacity]
    out: matrix; changed int64[traits, n], by trait the rows that changed; counts int64[traits]
    """
    for trait in range(fresh.shape[0]):
        count = 0
        for index in range(rows.shape[0]):
            value, row = fresh[trait, index], rows[index]
            before = matrix[trait, row]
            # What is no number is never equal to itself.
            is_number = value == value or before == before  # noqa: PLR0124
            if value != before and is_number:
                matrix[trait, row] = value
                changed[trait, count] = row
                count += 1
        counts[trait] = count
