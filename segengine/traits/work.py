"""What is a family given to work on: whose traits, at which moment, from which events?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.days import Zone
from segengine.kernels import history, jit
from segengine.schema.store_config import StoreConfig
from segengine.tables.dictionary import Dictionary
from segengine.tables.tables import Tables
from segengine.traits.clock_loops import Clock


class History(NamedTuple):
    """The events of buyers in one table: buyer k has events[begins[k] : begins[k + 1]].

    Buyers are in the order of the work's rows, events in the order of arrival; those after as_of
    are among them.  begins: int64[buyers + 1]  events: int32[events], rows of the table
    """

    begins: NDArray[np.int64]
    events: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TraitSettings:
    """What the definitions of traits depend on beside the events."""

    zone: Zone
    config: StoreConfig


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

    rows: int64[n], ascending  blocks: T[traits, capacity] by name  as_of: microseconds, UTC
    """

    def __init__(
        self,
        tables: Tables,
        settings: TraitSettings,
        as_of: int,
        rows: NDArray[np.int64],
        blocks: Mapping[str, NDArray[Any]],
        *,
        all_rows: bool,
    ) -> None:
        self.tables, self.settings, self.as_of = tables, settings, as_of
        self.rows, self.blocks = rows, blocks
        self.is_of_all = all_rows
        """Whether the rows are all there are: 0, 1, 2, ..."""
        zone = settings.zone
        self.today = zone.day_of(as_of)
        self.clock = Clock(np.int64(as_of), np.int64(self.today), zone.starts, zone.offsets)
        self._histories: dict[str, History] = {}

    @property
    def config(self) -> StoreConfig:
        """The store's settings."""
        return self.settings.config

    def since(self, days: int) -> np.int64:
        """The first instant of the `days` dates that end today."""
        return np.int64(self.settings.zone.start_of_day(self.today - (days - 1)))

    def values(self, table: str, column: str) -> NDArray[Any]:
        """A column of an event table, of products or of customers: T[capacity]."""
        return self.tables.column(table, column).values

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

    def _gathered(self, table: str) -> History:
        events = self.tables.events[table]
        begins = np.zeros(len(self.rows) + 1, np.int64)
        if self.is_of_all:
            owners = events.extra("owner")
            history.count_owned(owners, events.rows, begins)
            np.cumsum(begins, out=begins)
            found = np.empty(int(begins[-1]), np.int32)
            history.place_owned(owners, events.rows, begins.copy(), found)
            return History(begins, found)
        heads, previous = self.tables.customers.heads(table), events.extra("previous")
        history.count_chains(self.rows, heads, previous, begins)
        np.cumsum(begins, out=begins)
        found = np.empty(int(begins[-1]), np.int32)
        history.place_chains(self.rows, heads, previous, begins, found)
        return History(begins, found)

    def over_buyers(self, loop: Callable[[int, int], None]) -> None:
        """Run `loop(begin, end)` over places in `rows`, in one range per thread."""
        jit.over_ranges(loop, len(self.rows))

    def forget(self, table: str) -> None:
        """Let go of a table's history once no family asks for it any more."""
        self._histories.pop(table, None)
