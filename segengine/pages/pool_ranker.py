"""What do all pools of a store share? The shelf, what is bought together, the dates that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.pages.bought_together import BoughtTogether
from segengine.pages.pool_loops import Span
from segengine.pages.pool_shelf import Shelves
from segengine.rules.segment import View
from segengine.schema.pool_settings import TERMS, PoolSettings
from segengine.traits.clock_loops import Clock


class Today(NamedTuple):
    """The moment, and the dates that count at it.  version: of the store's data"""

    version: int
    clock: Clock
    span: Span


@dataclass(slots=True)
class Ranker:
    """What ranks the pools of a store, kept between questions.

    weights: float64[7], of the terms, adding up to 1
    """

    settings: PoolSettings
    shelves: Shelves
    together: BoughtTogether
    weights: NDArray[np.float64]
    _today: Today | None = None

    def today(self, view: View) -> Today:
        """The dates that count, worked out once for a state of the store."""
        found = self._today
        if found is None or found.version != view.data_version:
            found = self._today = self._dates(view)
        return found

    def _dates(self, view: View) -> Today:
        settings, zone = self.settings, view.clock.zone
        today = view.clock.today

        def since(days: int) -> int:
            return zone.start_of_day(today - (days - 1))

        segment = int(np.searchsorted(zone.starts, view.clock.as_of, side="right")) - 1
        clock = Clock(
            np.int64(view.clock.as_of), np.int64(today), zone.starts, zone.offsets,
            np.int64(segment),
        )  # fmt: skip
        span = Span(
            settings.recent_days, settings.just_bought_days, settings.bought_together_days,
            settings.half_life_days, self.shelves.weights_of_kinds(view.population.tables),
            since(settings.recent_days),
            since(max(settings.just_bought_days, settings.bought_together_days)),
        )  # fmt: skip
        return Today(view.data_version, clock, span)


def ranker(settings: PoolSettings) -> Ranker:
    """A ranker that knows nothing yet."""
    shelves = Shelves(settings)
    weights = np.array([getattr(settings, name) for name in TERMS])
    return Ranker(settings, shelves, BoughtTogether(shelves), weights / weights.sum())
