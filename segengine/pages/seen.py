"""Of which modules, capped or making room, are impressions counted, and since when?

A walk over the visitor's impressions counts them, whatever page they were on. What is compiled
are the codes of module names and the instants at which dates begin: it follows the date and the
texts of the table, not its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.pages import seen_loops
from segengine.pages.limits import CLICKED, SHOWN
from segengine.rules.segment import View
from segengine.tables.column import Column

IMPRESSIONS = "impressions"
_NEVER = int(np.iinfo(np.int64).max)
_ALWAYS = int(np.iinfo(np.int64).min)
_ALL_DATES = 4_000_000
_NO_CODE = -2


@dataclass(frozen=True, slots=True)
class Watch:
    """A module whose impressions are counted: of how many dates, 0 where nothing asks."""

    name: str
    cap_days: int
    decay_days: int


@dataclass(frozen=True, slots=True, eq=False)
class Watching:
    """Watches as the loop reads them, for one date and so many texts of two columns."""

    today: int
    texts: tuple[int, int]
    table: NDArray[np.int64]
    shown: int
    clicked: int


def watching(watches: Sequence[Watch], view: View, before: Watching | None) -> Watching:
    """The watches of a page at a moment; `before` where it still serves."""
    columns = view.population.tables.events[IMPRESSIONS].columns
    modules, kinds = columns["module"], columns["kind"]
    today, texts = view.clock.today, (_texts(modules), _texts(kinds))
    if before is not None and before.today == today and before.texts == texts:
        return before
    zone = view.clock.zone

    def since(dates: int) -> int:
        if dates == 0:
            return _NEVER
        return _ALWAYS if dates > _ALL_DATES else zone.start_of_day(today - dates + 1)

    codes = _codes(modules, [watch.name for watch in watches])
    rows = [
        (code, since(watch.cap_days), since(watch.decay_days), place)
        for place, (watch, code) in enumerate(zip(watches, codes, strict=True))
        if code != _NO_CODE
    ]
    table = np.array(sorted(rows), np.int64).reshape(len(rows), seen_loops.FIELDS)
    shown, clicked = _codes(kinds, [SHOWN, CLICKED])
    return Watching(today, texts, table, shown, clicked)


def _texts(column: Column) -> int:
    return 0 if column.dictionary is None else column.dictionary.size


def _codes(column: Column, names: Sequence[str]) -> list[int]:
    """The code of each text; one that no row has ever had is not that of a missing text."""
    assert column.dictionary is not None
    found = column.dictionary.find(pa.array(names, pa.large_string()))
    return [_NO_CODE if code < 0 else code for code in found.tolist()]
