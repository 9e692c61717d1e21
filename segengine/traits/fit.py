"""Where do the population's cut points lie?

Continuous quantiles of whole numbers, kept exactly: the cut at q lies between two neighbours,
and a whole value is above it if and only if it is above its floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.store_config import RfmSettings
from segengine.traits.rfm_loops import Cuts


@dataclass(frozen=True, slots=True)
class Fits:
    """Fitted values and the instant of their fit; `shown` are the cuts as operators read them."""

    fitted_at: int
    buyers: int
    cuts: Cuts
    shown: dict[str, tuple[float, ...]]

    def with_means(self, means: NDArray[np.float64]) -> Fits:
        """The same cuts with the mean scores that follow from them."""
        return Fits(self.fitted_at, self.buyers, self.cuts._replace(means=means), self.shown)


def fit_cuts(
    fitted_at: int,
    settings: RfmSettings,
    money_scale: int,
    order_count: NDArray[np.int32],
    recency: NDArray[np.int32],
    amount: NDArray[np.int64],
    amount_365d: NDArray[np.int64],
) -> Fits:
    """Cut points over the buyers with a purchase; all arrays are of all rows."""
    no_value = np.iinfo(np.int64).min
    buyers = (order_count > 0) & (amount != no_value)
    unit = 10**money_scale
    if settings.mode == "fixed":
        exact = {
            "recency": [Fraction(c) for c in settings.recency],
            "orders": [Fraction(c) for c in settings.orders],
            "amount": [Fraction(c * unit) for c in settings.amount],
        }
    else:
        exact = {
            "recency": quantiles(recency[buyers], 5),
            "orders": quantiles(order_count[buyers], 5),
            "amount": quantiles(amount[buyers], 5),
        }
    exact["tier"] = quantiles(amount_365d[(amount_365d > 0)], 3)
    floors = {
        name: np.array([cut.numerator // cut.denominator for cut in cuts], np.int64)
        for name, cuts in exact.items()
    }
    scaled = {"recency": 1, "orders": 1, "amount": unit, "tier": unit}
    shown = {n: tuple(float(c / scaled[n]) for c in cuts) for n, cuts in exact.items()}
    cuts = Cuts(**floors, means=np.zeros(3))
    return Fits(fitted_at, int(buyers.sum()), cuts, shown)


def quantiles(values: NDArray[Any], parts: int) -> list[Fraction]:
    """The continuous quantiles at 1/parts, 2/parts, ...; none of no values."""
    count = len(values)
    if count == 0:
        return []
    places = [divmod(k * (count - 1), parts) for k in range(1, parts)]
    wanted = sorted({p for place, _ in places for p in (place, min(place + 1, count - 1))})
    ordered = np.partition(values, wanted)
    found = []
    for place, rest in places:
        low = int(ordered[place])
        high = int(ordered[min(place + 1, count - 1)])
        found.append(low + Fraction(rest, parts) * (high - low))
    return found
