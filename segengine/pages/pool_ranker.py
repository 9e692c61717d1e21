"""What do all pools of a store share? The shelf, what is bought together, the dates that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.pages.bought_together import BoughtTogether
from segengine.pages.pool_shelf import Shelves, sold_lines
from segengine.pages.pool_visit_loops import Span
from segengine.rules.segment import View
from segengine.schema.pool_settings import TERMS, PoolSettings
from segengine.schema.tables import ORDER_LINES
from segengine.traits.clock_loops import Clock
from segengine.traits.product_places import product_places


class Today(NamedTuple):
    """The moment, and the dates that count at it.  version: of the store's data"""

    version: int
    clock: Clock
    span: Span


class BoughtByAll(NamedTuple):
    """What is not to be shown again yet, of all buyers.

    version: of the store's data  owner: int64[n], rows of buyers  place: int32[n], each once for
    a buyer  most: of one buyer
    """

    version: int
    owner: NDArray[np.int64]
    place: NDArray[np.int32]
    most: int


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
    _bought: BoughtByAll | None = None

    def nbytes(self) -> int:
        """Bytes of what is kept for all pools; a pool itself keeps a bit a product."""
        gathered = self._bought
        bought = 0 if gathered is None else gathered.owner.nbytes + gathered.place.nbytes
        return self.shelves.nbytes() + self.together.nbytes() + bought

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

    def bought_by_all(self, view: View) -> BoughtByAll:
        """What all buyers have just bought, worked out once for a state of the store."""
        found = self._bought
        if found is None or found.version != view.data_version:
            found = self._bought = self._gathered(view)
        return found

    def _gathered(self, view: View) -> BoughtByAll:
        tables, shelf = view.population.tables, self.shelves.placed(view).shelf
        work = view.population.product_traits.work_at(view.clock.as_of)
        table, days = tables.events[ORDER_LINES], self.settings.just_bought_days
        lines = sold_lines(work, days, table.rows) if days else np.empty(0, np.int64)
        rows = product_places(tables, ORDER_LINES, lines)
        lines, rows = lines[rows >= 0], rows[rows >= 0]
        # A number for each pair of a buyer and a place, so that each is there once.
        places = max(1, len(shelf.row))
        owners = table.extra("owner")[lines].astype(np.int64)
        pairs = np.unique(owners * places + shelf.place[rows]) if len(rows) else lines
        owner, place = pairs // places, (pairs % places).astype(np.int32)
        most = int(np.bincount(owner).max()) if len(owner) else 0
        return BoughtByAll(view.data_version, owner, place, most)


def ranker(settings: PoolSettings) -> Ranker:
    """A ranker that knows nothing yet."""
    shelves = Shelves(settings)
    weights = np.array([getattr(settings, name) for name in TERMS])
    return Ranker(settings, shelves, BoughtTogether(shelves), weights / weights.sum())
