"""Which of a page's pools have anything for this buyer, and until when is that so?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import chain
from segengine.pages.active import NEVER
from segengine.pages.pool_candidates import ReadyPool
from segengine.pages.pool_rank import has_products
from segengine.pages.pool_shelf import BEHAVIORS, Placed
from segengine.pages.pool_visit import Visit
from segengine.rules.few_events import NO_TESTS
from segengine.rules.segment import View
from segengine.schema.tables import ORDER_LINES


class Sizes(NamedTuple):
    """How many candidates the pools of a page have, and how long that stands, as far as time goes.

    version: of the data where sales are read, else 0  placed: the shelf
    sizes: int64[modules], -1 without a pool and for one that no purchase empties, as it has pins
    since, until: instants
    """

    version: int
    placed: Placed
    sizes: NDArray[np.int64]
    since: int
    until: int


class PoolsOfPage:
    """The pools of a page's modules, and which of them have anything to show.

    pools: one for each module, None for a module without
    """

    def __init__(self, pools: Sequence[ReadyPool | None]) -> None:
        self.pools = tuple(pools)
        self._ranker = next((pool.ranker for pool in pools if pool is not None), None)
        self._asks_sales = any(pool is not None and pool.asks_sales for pool in pools)
        self._kept: Sizes | None = None

    @property
    def are_any(self) -> bool:
        """Whether any module has a pool."""
        return self._ranker is not None

    def visit(self, view: View, row: int) -> Visit | None:
        """A buyer before the shelf of the store; None where no module has a pool."""
        return None if self._ranker is None else Visit(self._ranker, view, row)

    def hold_until(self, visit: Visit) -> int:
        """The moment at which time alone could change the pools for a buyer: microseconds, UTC."""
        until = self._sizes(visit).until
        return min(until, events_hold_until(visit, of_all=self._asks_sales))

    def barren(self, visit: Visit) -> NDArray[np.uint8]:
        """Whose pool has nothing for the buyer: uint8[modules].

        Pools are looked at one by one only where the buyer has bought enough to empty them.
        """
        sizes = self._sizes(visit).sizes
        found = (sizes == 0).astype(np.uint8)
        bought = len(visit.just_bought)
        if bought:
            for place in np.flatnonzero((sizes > 0) & (sizes <= bought)).tolist():
                pool = self.pools[place]
                assert pool is not None
                found[place] = not has_products(pool, visit)
        return found

    def _sizes(self, visit: Visit) -> Sizes:
        """The sizes of all pools, as long as they stand."""
        view, placed = visit.view, visit.placed
        version = view.data_version if self._asks_sales else 0
        kept = self._kept
        if (
            kept is None
            or kept.placed is not placed
            or kept.version != version
            or not kept.since <= view.clock.as_of < kept.until
        ):
            kept = self._kept = self._counted(view, placed, version)
        return kept

    def _counted(self, view: View, placed: Placed, version: int) -> Sizes:
        sizes = np.full(len(self.pools), -1, np.int64)
        found = {
            place: pool.candidates(view)
            for place, pool in enumerate(self.pools) if pool is not None
        }  # fmt: skip
        for place, candidates in found.items():
            if not len(candidates.pins):
                sizes[place] = candidates.size
        since = max(each.since for each in found.values())
        return Sizes(version, placed, sizes, since, min(each.until for each in found.values()))


def events_hold_until(visit: Visit, *, of_all: bool) -> int:
    """The moment at which the date, or an event that lies ahead, could change a visitor's pools.

    The next date; before it, the buyer's next event that is stored and lies ahead; where a rule
    reads sales (of_all), anybody's. Microseconds, UTC.
    """
    view, tables = visit.view, visit.view.population.tables
    as_of = view.clock.as_of
    until = view.clock.zone.next_date(as_of)
    for table in (BEHAVIORS, ORDER_LINES):
        events = tables.events[table]
        if events.latest <= as_of:
            continue
        times = events.columns["time"].values
        if of_all:
            ahead = times[: events.rows]
        else:
            head = int(tables.customers.heads(table)[visit.row])
            ahead = times[_chain(head, events.extra("previous"), times)]
        ahead = ahead[ahead > as_of]
        if len(ahead):
            until = min(until, int(ahead.min()))
    return until


def _chain(head: int, previous: NDArray[np.int32], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of all events of one buyer in a table, those ahead too."""
    asked = head, previous, times, NEVER, NO_TESTS.table, NO_TESTS.bounds
    rows = np.empty(chain.rows_where(*asked, np.empty(0, np.int64)), np.int64)
    chain.rows_where(*asked, rows)
    return rows
