"""What has changed since the snapshot that was opened, and whose traits are therefore others?

The changes of the log are made again one after another; the traits of those whom they touched are
derived again once, at the end, against the fits of the snapshot. So a small tail costs little,
however large the store is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.errors import StoreError
from segengine.schema.response_settings import Goal
from segengine.storage.batch_bytes import batch_from_bytes
from segengine.storage.log import Numbered
from segengine.storage.snapshot import Derived
from segengine.tables.apply import apply
from segengine.tables.settle import settle, unsettled
from segengine.tables.tables import Tables
from segengine.traits.build import refresh
from segengine.traits.coming import changed_by
from segengine.traits.depends import fingerprint
from segengine.traits.fits_written import fits_from_json, fits_to_json
from segengine.traits.marketing import addressed
from segengine.traits.work import Fits, TraitSettings

APPEND, DELETE = "append", "delete"
"""Kinds of changes in the log."""
_AT_ONCE = 1 << 16
"""Buyers whose events are copied at once."""
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


def replay(tables: Tables, tail: Tail, change: Numbered, folder: Path | None) -> None:
    """Make a change of the log again; traits follow when all are made."""
    tail.begins(tables.customers.rows)
    tail.latest = max(tail.latest, change.as_of)
    if change.kind == APPEND:
        batch = batch_from_bytes(change.payload, tables)
        table = batch.table
        tail.took(table, apply(tables, batch).touched)
    elif change.kind == DELETE:
        row = tables.customers.row_of(json.loads(change.payload))
        if row is not None:
            forget(tables, row)
            tail.changed(np.array([row], np.int64))
    else:
        raise StoreError(
            f"the log of `{folder}` holds a `{change.kind}`, which this version does not know; "
            "open it with the version that wrote it",
            field="store",
        )


def forget(tables: Tables, row: int) -> None:
    """A buyer is gone: from the tables, and their events from everybody's."""
    for table in tables.events.values():
        table.disown(row)
    tables.customers.forget(row)


def touched_between(tables: Tables, after: int, until: int) -> _Rows:
    """The buyers of events that come into sight, or go, between two moments."""
    found = [np.empty(0, np.int64)]
    for table in tables.events.values():
        if table.latest > after:
            times = table.columns["time"].values[: table.rows]
            owners = table.extra("owner")[: table.rows][(times > after) & (times <= until)]
            found.append(owners[owners >= 0].astype(np.int64))
    return np.unique(np.concatenate(found))


def moved(tables: Tables, target: int) -> None:
    """Let the tables be as of another moment: orders with lines on both sides are settled."""
    orders = unsettled(tables, target)
    tables.as_of = target
    settle(tables, orders)


def bring_up(
    tables: Tables, settings: TraitSettings, tail: Tail, said: Mapping[str, Any], target: int
) -> None:
    """Bring traits that a snapshot held up to date: after the tail, at a moment of the same date.

    said: what the snapshot says of them; its fits stay.
    """
    before = tables.as_of
    tail.changed(touched_between(tables, min(before, target), max(before, target)))
    tail.changed(judged_otherwise(tables, said["goals"], settings.goals))
    moved(tables, target)
    fits = fits_from_json(said["fits"])
    for rows, changed in tail.rows():
        refresh_many(tables, settings, fits, rows, changed)


def refresh_many(
    tables: Tables,
    settings: TraitSettings,
    fits: Fits,
    rows: _Rows,
    changed: frozenset[str] | None = None,
) -> None:
    """As `refresh`, of however many buyers: some at a time."""
    for begin in range(0, len(rows), _AT_ONCE):
        some = rows[begin : begin + _AT_ONCE]
        refresh(tables, settings, tables.as_of, fits, some, changed=changed)


def derived_of(settings: TraitSettings, fits: Fits, *, current: bool) -> Derived:
    """What a snapshot keeps beside the traits, so that they can be taken from it.

    current: whether the fits are those of the tables as they are.
    """
    goals = {name: [goal.days, goal.events] for name, goal in settings.goals.items()}
    said = {"fits": fits_to_json(fits), "current": current, "goals": goals}
    return Derived(fingerprint(settings), said)


def goals_of(said: Mapping[str, Any]) -> dict[str, Goal]:
    """The goals of campaigns as a snapshot says them."""
    return {name: Goal(int(days), events) for name, (days, events) in said.items()}


def fits_of(derived: Derived) -> tuple[Fits, bool]:
    """The fits of a snapshot, and whether they were those of its tables."""
    return fits_from_json(derived.said["fits"]), bool(derived.said["current"])


def judged_otherwise(tables: Tables, said: Mapping[str, Any], goals: Mapping[str, Goal]) -> _Rows:
    """The buyers with a message that has another goal now than when the traits were kept."""
    before = goals_of(said)
    names = (before.keys() | goals.keys()) if before != goals else ()
    other = [n for n in names if before.get(n, Goal()) != goals.get(n, Goal())]
    nobody = np.empty(0, np.int64)
    return np.unique(np.concatenate([nobody, *(addressed(tables, name) for name in other)]))
