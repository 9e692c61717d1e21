"""What is a family given to work on: whose traits, at which moment, from which events?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.days import Zone
from segengine.kernels import history, jit
from segengine.schema.response_settings import Goal
from segengine.schema.store_config import StoreConfig
from segengine.schema.tables import ORDERS
from segengine.tables.dictionary import Dictionary
from segengine.tables.row_lists import RowLists
from segengine.tables.tables import Tables
from segengine.traits import purchase_history_loops
from segengine.traits.clock_loops import Clock

_MANY = 1 << 18
"""Rows from which on threads share them."""


class History(NamedTuple):
    """The events of buyers in one table: buyer k has events[begins[k] : begins[k + 1]].

    Buyers are in the order of the work's rows, events in the order of arrival; those after as_of
    are among them.  begins: int64[buyers + 1]  events: int32[events], rows of the table
    """

    begins: NDArray[np.int64]
    events: NDArray[np.int32]


class Purchases(NamedTuple):
    """The orders that count as bought up to as_of, buyer by buyer, in order of time.

    Of several at one moment the one that arrived first stands first. Buyer k bought
    orders[begins[k] : begins[k] + counts[k]] at the times of the same places.
    begins: int64[buyers + 1]  counts: int32[buyers]  placed: int32[buyers], bought or not
    orders: int32[orders], rows of the table  times: int64[orders]
    """

    begins: NDArray[np.int64]
    counts: NDArray[np.int32]
    placed: NDArray[np.int32]
    orders: NDArray[np.int32]
    times: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TraitSettings:
    """What the definitions of traits depend on beside the events."""

    zone: Zone
    config: StoreConfig
    goals: Mapping[str, Goal] = field(default_factory=lambda: MappingProxyType({}))
    """What the messages of the defined campaigns are for, by the campaign's name."""


@dataclass(frozen=True, slots=True)
class Fits:
    """What was fitted to all buyers, by family, and the instant of the fit."""

    fitted_at: int
    of: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def shown(self) -> dict[str, Any]:
        """The fitted values as operators read them, such as the cut points of recency."""
        return {name: value for fit in self.of.values() for name, value in fit.shown.items()}

    @property
    def buyers(self) -> int:
        """How many buyers with a purchase the cut points of RFM are fitted to."""
        return int(self.of["RFM"].buyers)


class Work:
    """The buyers whose traits are derived, the moment, and the matrices to fill.

    changed: the tables that have changed since the traits were made; None where any may have, or
    they never were.
    rows: int64[n], ascending  blocks: T[traits, capacity] by name  as_of: microseconds, UTC
    """

    def __init__(
        self,
        tables: Tables,
        settings: TraitSettings,
        as_of: int,
        rows: NDArray[np.int64],
        blocks: MutableMapping[str, NDArray[Any]],
        *,
        all_rows: bool,
        lists: Mapping[str, RowLists] | None = None,
        changed: frozenset[str] | None = None,
    ) -> None:
        self.tables, self.settings, self.as_of = tables, settings, as_of
        self.rows, self.blocks = rows, blocks
        self._lists = tables.lists() if lists is None else lists
        self.is_of_all = all_rows
        """Whether the rows are all there are: 0, 1, 2, ..."""
        self._changed = changed
        zone = settings.zone
        self.today = zone.day_of(as_of)
        segment = np.searchsorted(zone.starts, as_of, side="right") - 1
        self.clock = Clock(
            np.int64(as_of), np.int64(self.today), zone.starts, zone.offsets, np.int64(segment)
        )
        self.fits: Mapping[str, Any] = MappingProxyType({})
        """While all is built: what the families before were fitted to."""
        self._histories: dict[str, History] = {}
        self._purchases: Purchases | None = None

    @property
    def config(self) -> StoreConfig:
        """The store's settings."""
        return self.settings.config

    @property
    def is_in_place(self) -> bool:
        """Whether the matrices are those in use, which nobody looks at now."""
        return all(self.tables.customers.block(n) is each for n, each in self.blocks.items())

    @property
    def only_adds(self) -> bool:
        """Whether rows were added to the tables that have changed, and none was another before."""
        return False

    def has_news_of(self, *tables: str) -> bool:
        """Whether any of these tables may have told something since the traits were made."""
        return self._changed is None or not self._changed.isdisjoint(tables)

    def has_news_of_kinds(self, table: str, kinds: tuple[str, ...]) -> bool:
        """Whether that may be of events of these kinds, which stand in the column `kind`."""
        del kinds
        return self.has_news_of(table)

    def since(self, days: int) -> np.int64:
        """The first instant of the `days` dates that end today."""
        return np.int64(self.settings.zone.start_of_day(self.today - (days - 1)))

    def values(self, table: str, column: str) -> NDArray[Any]:
        """A column of an event table, of products or of customers: T[capacity]."""
        return self.tables.column(table, column).values

    def extra(self, table: str, name: str) -> NDArray[Any]:
        """An internal array of an event table: T[capacity]."""
        return self.tables.events[table].extra(name)

    def rows_of(self, table: str, events: NDArray[np.int32]) -> NDArray[np.int32]:
        """The rows of a table that these events of a history are."""
        del table
        return events

    def trait(self, name: str) -> NDArray[Any]:
        """A trait of a family that stands before, in the matrices that are filled: T[capacity]."""
        block, place = self.tables.customers.place_of(name)
        return np.asarray(self.blocks[block][place])

    def codes(self, table: str, column: str, texts: tuple[str, ...]) -> list[np.int32]:
        """The codes of texts in a column; -2, which is also no missing value, for an unknown."""
        found = self.dictionary(table, column).codes_of(texts)
        return [np.int32(code) if code >= 0 else np.int32(-2) for code in found]

    def dictionary(self, table: str, column: str) -> Dictionary:
        """The texts of a coded column."""
        found = self.tables.column(table, column).dictionary
        assert found is not None
        return found

    def history(self, table: str) -> History:
        """The events of these buyers in a table; made once for all families."""
        found = self._histories.get(table)
        if found is None:
            found = self._histories[table] = self._gathered(table)
        return found

    def purchases(self) -> Purchases:
        """What these buyers bought up to as_of; made once for all families."""
        if self._purchases is None:
            history, count = self.history(ORDERS), len(self.rows)
            orders = np.empty(len(history.events), np.int32)
            times = np.empty(len(history.events), np.int64)
            found = Purchases(
                history.begins, np.empty(count, np.int32), np.empty(count, np.int32), orders, times
            )
            columns = self.values(ORDERS, "time"), self.values(ORDERS, "is_purchase")

            def loop(begin: int, end: int) -> None:
                purchase_history_loops.purchases_of(
                    history.begins[begin : end + 1], history.events, self.clock.as_of, *columns,
                    found.counts[begin:end], found.placed[begin:end], orders, times,
                )  # fmt: skip

            self.over_buyers(loop)
            self._purchases = found
        return self._purchases

    def _gathered(self, table: str) -> History:
        events = self.tables.events[table]
        if self.is_of_all:
            return _dealt(events.extra("owner"), events.rows, len(self.rows))
        begins = np.zeros(len(self.rows) + 1, np.int64)
        heads, previous = self.tables.customers.heads(table), events.extra("previous")
        history.count_chains(self.rows, heads, previous, begins)
        np.cumsum(begins, out=begins)
        found = np.empty(int(begins[-1]), np.int32)
        history.place_chains(self.rows, heads, previous, begins, found)
        return History(begins, found)

    def give_lists(
        self,
        name: str,
        counts: NDArray[np.int32],
        codes: NDArray[np.int32],
        scores: NDArray[np.float64],
    ) -> None:
        """What these buyers' lists of a name are: how long each is, then list after list."""
        if self.is_of_all:
            self._lists[name].fill(counts, codes, scores)
        else:
            self._lists[name].write(self.rows, counts, codes, scores)

    def over_buyers(self, loop: Callable[[int, int], None]) -> None:
        """Run `loop(begin, end)` over places in `rows`, in one range per thread."""
        jit.over_ranges(loop, len(self.rows))

    def forget(self, table: str) -> None:
        """Let go of a table's history once no family asks for it any more."""
        self._histories.pop(table, None)


def _dealt(owners: NDArray[np.int32], rows: int, count: int) -> History:
    """The events of all owners. Dealt to buckets first, so that no row is a cache miss.

    Every thread deals a share of the rows to its own places, then places a share of the buckets:
    a bucket's rows stand in the order of arrival, whichever thread dealt them.
    """
    buckets = ((count - 1) >> history.BUCKET_SHIFT) + 1
    parts = jit.THREADS if rows >= _MANY else 1
    shares = [part * rows // parts for part in range(parts + 1)]
    sizes = np.zeros((parts, buckets), np.int64)
    jit.each(
        lambda part: history.count_dealt(owners, shares[part], shares[part + 1], sizes[part]),
        parts,
    )
    # Bucket by bucket, and in each bucket part by part.
    ends = np.cumsum(sizes.T.ravel()).reshape(buckets, parts).T
    places = np.ascontiguousarray(ends - sizes)
    edges = np.zeros(buckets + 1, np.int64)
    edges[1:] = ends[-1]
    total = int(edges[-1])
    slots, dealt = np.empty(total, np.uint16), np.empty(total, np.int32)
    jit.each(
        lambda part: history.deal_owned(
            owners, shares[part], shares[part + 1], places[part], slots, dealt
        ),
        parts,
    )
    begins, found = np.empty(count + 1, np.int64), np.empty(total, np.int32)
    begins[-1] = total

    def place(part: int) -> None:
        for bucket in range(part * buckets // parts, (part + 1) * buckets // parts):
            first = bucket << history.BUCKET_SHIFT
            last = min(count, first + (1 << history.BUCKET_SHIFT))
            begin, end = int(edges[bucket]), int(edges[bucket + 1])
            history.place_dealt(slots, dealt, begin, end, begins[first:last], found)

    jit.each(place, parts)
    return History(begins, found)
