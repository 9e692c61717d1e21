"""Which traits of these buyers are others now? The loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


@kernel
def find_changed(
    rows: NDArray[np.int64],
    fresh: Any,
    matrix: Any,
    changed: NDArray[np.int64],
    values: Any,
    counts: NDArray[np.int64],
) -> None:
    """Note what differs, and whose it is.

    rows: int64[n]  fresh: T[traits, n]  matrix: T[traits, capacity]
    out: changed int64[traits, n], by trait the rows that changed; values T[traits, n], to what;
    counts int64[traits]
    """
    for trait in range(fresh.shape[0]):
        count = 0
        for index in range(rows.shape[0]):
            value, row = fresh[trait, index], rows[index]
            before = matrix[trait, row]
            # What is no number is never equal to itself.
            is_number = value == value or before == before  # noqa: PLR0124
            if value != before and is_number:
                changed[trait, count] = row
                values[trait, count] = value
                count += 1
        counts[trait] = count
