"""Which of a page's pools have anything for this buyer, and until when is that so?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import fold
from segengine.pages.pool_candidates import ReadyPool
from segengine.pages.pool_rank import has_products
from segengine.pages.pool_shelf import BEHAVIORS, Placed
from segengine.pages.pool_visit import Visit
from segengine.rules.segment import View
from segengine.schema.tables import ORDER_LINES


class PoolsOfPage:
    """The pools of a page's modules, and which of them have anything to show.

    pools: one for each module, None for a module without
    """

    def __init__(self, pools: Sequence[ReadyPool | None]) -> None:
        self.pools = tuple(pools)
        self._ranker = next((pool.ranker for pool in pools if pool is not None), None)
        self._places = [place for place, pool in enumerate(pools) if pool is not None]
        self._asks_now = any(pool is not None and pool.asks_now for pool in pools)
        self._asks_sales = any(pool is not None and pool.asks_sales for pool in pools)
        self._kept: tuple[object, Placed, NDArray[np.int64]] | None = None

    @property
    def are_any(self) -> bool:
        """Whether any module has a pool."""
        return bool(self._places)

    def visit(self, view: View, row: int) -> Visit | None:
        """A buyer before the shelf of the store; None where no module has a pool."""
        return None if self._ranker is None else Visit(self._ranker, view, row)

    def hold_until(self, visit: Visit) -> int:
        """The moment at which time alone could change the pools for a buyer: microseconds, UTC."""
        return pools_hold_until(visit, asks_now=self._asks_now, asks_sales=self._asks_sales)

    def barren(self, visit: Visit) -> NDArray[np.uint8]:
        """Whose pool has nothing for the buyer: uint8[modules].

        Pools are looked at one by one only where the buyer has bought enough to empty them.
        """
        sizes = self._sizes(visit)
        found = (sizes == 0).astype(np.uint8)
        bought = len(visit.just_bought)
        if bought:
            for place in np.flatnonzero((sizes > 0) & (sizes <= bought)).tolist():
                pool = self.pools[place]
                assert pool is not None
                found[place] = not has_products(pool, visit)
        return found

    def _sizes(self, visit: Visit) -> NDArray[np.int64]:
        """How many candidates each has, -1 for those that no purchase empties: int64[modules]."""
        view, placed = visit.view, visit.placed
        moment: object = view.clock.today
        if self._asks_now:
            moment = view.clock.as_of, view.data_version
        elif self._asks_sales:
            moment = view.clock.today, view.data_version
        kept = self._kept
        if kept is None or kept[1] is not placed or kept[0] != moment:
            sizes = np.full(len(self.pools), -1, np.int64)
            for place in self._places:
                pool = self.pools[place]
                assert pool is not None
                candidates = pool.candidates(view)
                if not len(candidates.pins):
                    sizes[place] = candidates.size
            kept = self._kept = (moment, placed, sizes)
        return kept[2]


def pools_hold_until(visit: Visit, *, asks_now: bool, asks_sales: bool) -> int:
    """The moment at which time alone could change a visitor's pools: microseconds, UTC.

    The next date; before it, the buyer's next event that is stored and lies ahead; where a rule
    reads sales (asks_sales), anybody's; where one asks `now()`, the moment after as_of.
    """
    view, tables = visit.view, visit.view.population.tables
    as_of = view.clock.as_of
    until = view.clock.zone.next_date(as_of)
    if asks_now:
        return as_of + 1
    for table in (BEHAVIORS, ORDER_LINES):
        events = tables.events[table]
        if events.latest <= as_of:
            continue
        times = events.columns["time"].values
        if asks_sales:
            ahead = times[: events.rows]
        else:
            head = int(tables.customers.heads(table)[visit.row])
            ahead = times[_chain(head, events.extra("previous"))]
        ahead = ahead[ahead > as_of]
        if len(ahead):
            until = min(until, int(ahead.min()))
    return until


def _chain(head: int, previous: NDArray[np.int32]) -> NDArray[np.int64]:
    """The rows of all events of one buyer in a table, those ahead too."""
    rows = np.empty(fold.chain_rows(head, previous, np.empty(0, np.int64)), np.int64)
    fold.chain_rows(head, previous, rows)
    return rows
