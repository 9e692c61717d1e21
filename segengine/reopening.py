"""What has changed since the snapshot that was opened, and whose traits are therefore others?

The changes of the log are made again one after another; the traits of those whom they touched are
derived again once, at the end, against the fits of the snapshot. So a small tail costs little,
however large the store is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.response_settings import Goal
from segengine.storage.snapshot import Derived
from segengine.tables.tables import Tables
from segengine.traits.build import changed_by
from segengine.traits.depends import fingerprint
from segengine.traits.fits_written import fits_from_json, fits_to_json
from segengine.traits.marketing import addressed
from segengine.traits.work import Fits, TraitSettings

_Rows = NDArray[np.int64]


class Tail:
    """Whom the changes after a snapshot have touched, and when the last of them was made."""

    def __init__(self) -> None:
        self._known: int | None = None
        self._touched: dict[frozenset[str] | None, list[_Rows]] = {}
        self.latest = int(np.iinfo(np.int64).min)
        """The moment of the last change."""

    def begins(self, buyers: int) -> None:
        """Rows of buyers from here on are new: they have no traits yet."""
        if self._known is None:
            self._known = buyers

    def took(self, table: str, touched: _Rows) -> None:
        """A batch of a table has touched these buyers."""
        is_known = touched < (self._known or 0)
        self._note(changed_by(table), touched[is_known])
        self._note(None, touched[~is_known])

    def changed(self, rows: _Rows) -> None:
        """All traits of these buyers may be others."""
        self._note(None, rows)

    def _note(self, changed: frozenset[str] | None, rows: _Rows) -> None:
        if len(rows):
            self._touched.setdefault(changed, []).append(rows)

    @property
    def is_empty(self) -> bool:
        """Whether nobody was touched."""
        return not self._touched

    def rows(self) -> Iterator[tuple[_Rows, frozenset[str] | None]]:
        """The buyers touched, each once, with the tables that changed; None: any."""
        everything = np.concatenate(self._touched.get(None, [np.empty(0, np.int64)]))
        everything = np.unique(everything)
        for changed, parts in self._touched.items():
            if changed is not None:
                yield np.setdiff1d(np.concatenate(parts), everything), changed
        yield everything, None


def derived_of(settings: TraitSettings, fits: Fits, *, current: bool) -> Derived:
    """What a snapshot keeps beside the traits, so that they can be taken from it.

    current: whether the fits are those of the tables as they are.
    """
    goals = {name: [goal.days, goal.events] for name, goal in settings.goals.items()}
    said = {"fits": fits_to_json(fits), "current": current, "goals": goals}
    return Derived(fingerprint(settings), said)


def fits_of(derived: Derived) -> tuple[Fits, bool]:
    """The fits of a snapshot, and whether they were those of its tables."""
    return fits_from_json(derived.said["fits"]), bool(derived.said["current"])


def judged_otherwise(tables: Tables, said: Mapping[str, Any], goals: Mapping[str, Goal]) -> _Rows:
    """The buyers with a message that has another goal now than when the traits were kept."""
    before = {name: Goal(int(days), events) for name, (days, events) in said["goals"].items()}
    names = (before.keys() | goals.keys()) if before != goals else ()
    other = [n for n in names if before.get(n, Goal()) != goals.get(n, Goal())]
    nobody = np.empty(0, np.int64)
    return np.unique(np.concatenate([nobody, *(addressed(tables, name) for name in other)]))
