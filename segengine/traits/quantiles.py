"""Where do the cut points of whole numbers lie, exactly?

The cut at q lies between two neighbours, and a whole value is above it if and only if it is above
its floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantiles(values: NDArray[Any], parts: int) -> list[Fraction]:
    """The continuous quantiles at 1/parts, 2/parts, ...; none of no values."""
    return quantiles_at(values, [Fraction(k, parts) for k in range(1, parts)])


def quantiles_at(values: NDArray[Any], shares: Sequence[Fraction]) -> list[Fraction]:
    """The continuous quantile at each share, linear between its neighbours; none of no values."""
    count = len(values)
    if count == 0:
        return []
    places = [divmod(share * (count - 1), 1) for share in shares]
    wanted = sorted({p for place, _ in places for p in (place, min(place + 1, count - 1))})
    ordered = np.partition(values, wanted)
    found = []
    for place, rest in places:
        low = int(ordered[place])
        high = int(ordered[min(place + 1, count - 1)])
        found.append(low + rest * (high - low))
    return found
