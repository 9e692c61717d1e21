"""How often did each buyer see each module: under its cap, and since the last click?

The impressions of a page's capped and fading modules are grouped by module in two passes over the
table, once a census; then a module costs what its own impressions cost. `seen_loops.py` counts the
same for one visitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.pages import census_loops
from segengine.pages import seen_loops as at
from segengine.pages.seen import IMPRESSIONS, Watch, watching
from segengine.rules.segment import View

_LONG_AGO = int(np.iinfo(np.int64).min)


class Counts(NamedTuple):
    """Buyers who saw a module, and how often.

    rows: int64[n], each buyer once  capped, faded: int32[n], shown within the dates of its cap,
    and within those of its decay since the last click
    """

    rows: NDArray[np.int64]
    capped: NDArray[np.int32]
    faded: NDArray[np.int32]


class Impressions:
    """The impressions that bear on some watched modules, by the place of the watch."""

    def __init__(self, watches: Sequence[Watch], view: View) -> None:
        self._view = view
        self._table = view.population.tables.events[IMPRESSIONS]
        self._watching = watching(watches, view, None)
        self._watches = {int(row[at.PLACE]): row for row in self._watching.table}
        codes = np.unique(self._watching.table[:, at.CODE])
        self._group = {int(code): group for group, code in enumerate(codes)}
        self._ends = np.zeros(len(codes) + 1, np.int64)
        self._events = np.empty(0, np.int32)
        self._clicks = np.empty(0, np.int64)
        self._counts = np.empty((0, 2), np.int32)
        if len(codes) and self._table.rows:
            self._grouped(codes)

    def _grouped(self, codes: NDArray[np.int64]) -> None:
        table, columns = self._table, self._table.columns
        names = columns["module"].dictionary
        assert names is not None
        group_of = np.full(names.size + 1, -1, np.int32)
        group_of[codes] = np.arange(len(codes))
        since = np.full(len(codes), np.iinfo(np.int64).max)
        for row in self._watches.values():
            group = self._group[int(row[at.CODE])]
            since[group] = min(since[group], row[at.CAP_SINCE], row[at.DECAY_SINCE])
        asked = (
            table.extra("owner"), columns["time"].values, columns["module"].values,
            columns["kind"].values, table.rows, self._watching.shown, self._watching.clicked,
            self._view.clock.as_of, group_of, since,
        )  # fmt: skip
        counts = np.zeros(len(codes), np.int64)
        census_loops.count_watched(*asked, counts)
        np.cumsum(counts, out=self._ends[1:])
        self._events = np.empty(int(self._ends[-1]), np.int32)
        census_loops.group_watched(*asked, self._ends[:-1].copy(), self._events)
        self._clicks = np.full(self._view.population.rows, _LONG_AGO)
        self._counts = np.zeros((self._view.population.rows, 2), np.int32)

    def of(self, place: int) -> Counts:
        """What every buyer saw of the module of a watch."""
        watch = self._watches.get(place)
        events = self._events[:0]
        if watch is not None:
            group = self._group[int(watch[at.CODE])]
            events = self._events[self._ends[group] : self._ends[group + 1]]
        rows, out, found = np.empty(len(events), np.int64), np.empty((len(events), 2), np.int32), 0
        if watch is not None and len(events):
            table = self._table
            found = census_loops.count_shown(
                events, table.extra("owner"), table.columns["time"].values,
                table.columns["kind"].values, self._watching.shown, int(watch[at.CAP_SINCE]),
                int(watch[at.DECAY_SINCE]), self._clicks, self._counts, rows, out,
            )  # fmt: skip
        return Counts(rows[:found], out[:found, 0], out[:found, 1])
