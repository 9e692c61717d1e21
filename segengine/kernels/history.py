"""Who owns which event? Chains from each owner's latest event to the one before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel


@kernel
def link_rows(
    owners: NDArray[np.int32],
    begin: int,
    end: int,
    heads: NDArray[np.int32],
    previous: NDArray[np.int32],
) -> None:
    """Put rows [begin, end) at the front of their owners' chains; an owner of -1 has none.

    owners: int32[rows]  heads: int32[owners], -1 is an empty chain  previous: int32[rows]
    """
    for row in range(begin, end):
        owner = owners[row]
        if owner < 0:
            previous[row] = -1
        else:
            previous[row] = heads[owner]
            heads[owner] = row
