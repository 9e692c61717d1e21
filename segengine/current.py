"""What is true now, and what does a change of the data or of the moment do to it?

The moment, the version, and what follows from the tables: traits, fits, kept bitmaps. A batch, a
deletion and a moment of the same date touch some buyers, whose traits are worked out again; a load
and another date touch all, and fit anew. Where it can be, this is worked out while everybody may
look, and the gate is closed for putting it in place alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segengine.reopening import (
    Tail,
    bring_up,
    derived_of,
    fits_of,
    forget,
    moved,
    touched_between,
)
from segengine.rules.standing import Standing
from segengine.rules.unread import Unread
from segengine.schema.response_settings import Goal
from segengine.schema.tables import PRODUCTS
from segengine.storage.snapshot import Derived
from segengine.tables.apply import apply
from segengine.tables.batch import Batch, Change
from segengine.tables.placing import Growth, placed_ahead
from segengine.tables.settle import settle, unsettled
from segengine.tables.tables import Tables
from segengine.traits.build import (
    Building,
    build_all,
    declare,
    refresh,
    worked_out_ahead,
)
from segengine.traits.coming import changed_by
from segengine.traits.marketing import addressed
from segengine.traits.preview import Built
from segengine.traits.work import Fits, TraitSettings

_Rows = NDArray[np.int64]
_FEED_TRAITS = frozenset({"customers", "products", "orders", "order_lines", "behaviors", "messages",
                          "reviews", "points"})  # fmt: skip


class Current:
    """Tables with what follows from them, as of a moment. Whoever changes it holds the writer.

    as_of: microseconds, UTC; standing: the bitmaps that follow each change
    """

    def __init__(
        self, tables: Tables, settings: TraitSettings, as_of: int, standing: Standing
    ) -> None:
        self.tables, self.settings, self.standing = tables, settings, standing
        self.as_of = tables.as_of = as_of
        self.version = 0
        """Grows with every change of data, definitions or moment.

        INVARIANT: within the gate, before anything is written: loops read by addresses that were
        true for the version before, also after a change that was broken off.
        """
        self.fits = Fits(as_of)
        self.are_fits_current = False
        """Whether the fits are those of the tables as they are."""
        self.builds_later = False
        """Whether several loads are one change: the gate is closed, traits wait for the last."""
        declare(tables)

    @property
    def date(self) -> int:
        """The date of the moment, in days since 1970."""
        return self.settings.zone.day_of(self.as_of)

    # --- another moment ---------------------------------------------------------------------

    def advance(self, target: int) -> None:
        """Be as of another moment, later or earlier."""
        before = self.as_of
        if target == before:
            return
        orders = unsettled(self.tables, target)
        if self.settings.zone.day_of(target) == self.date:
            touched = touched_between(self.tables, min(before, target), max(before, target))
            with self.tables.gate.writing():
                self._move(target, orders)
                self._refresh(touched)
                self.standing.note(touched)
        elif len(orders):
            with self.tables.gate.writing():
                self._move(target, orders)
                self.rebuild()
        else:
            blocks, lists, fits = build_all(self.tables, self.settings, target)
            codes = self.tables.customers.codes_for(blocks)
            with self.tables.gate.writing():
                self._move(target, orders)
                self.tables.customers.install_blocks(blocks, codes)
                self.tables.install_lists(lists)
                self.standing.clear()
                self.fits = fits
                self.are_fits_current = True

    def _move(self, target: int, orders: _Rows) -> None:
        self.version += 1
        self.as_of = self.tables.as_of = target
        settle(self.tables, orders)

    def begin(self, derived: Derived | None, tail: Tail, *, as_kept: bool) -> None:
        """Bring up to date what a snapshot held, or derive it where that was for another date.

        as_kept: stay on the date of the snapshot.
        """
        zone, kept_at, target = self.settings.zone, self.tables.as_of, self.as_of
        today = zone.day_of(kept_at)
        if derived is not None and as_kept:
            # What was acknowledged is seen, as far as that needs no new date.
            target = min(max(kept_at, tail.latest), zone.start_of_day(today + 1) - 1)
        self.as_of = target
        self.version += 1
        if derived is None or zone.day_of(target) != today:
            moved(self.tables, target)
            self.rebuild()
        else:
            bring_up(self.tables, self.settings, tail, derived.said, target)
            self.fits, is_current = fits_of(derived)
            self.are_fits_current = is_current and tail.is_empty

    # --- other data -------------------------------------------------------------------------

    def take(self, batch: Batch) -> Change:
        """Take in a batch that is lasting: one change, seen whole."""
        name, known = batch.table, self.tables.customers.rows
        # What takes time is done while everybody may look: see docs/decisions/0015.
        place = placed_ahead(self.tables, batch)
        growth = None if place is None else Growth(self.tables, batch, place)
        ahead = worked_out_ahead(self.tables, self.settings, self.as_of, self.fits, batch, place)
        with self.tables.gate.writing():
            self.version += 1
            if growth is not None:
                growth.take()
            change = apply(self.tables, batch, place)
            if ahead is None:
                is_known = change.touched < known
                self._refresh(change.touched[is_known], changed_by(name))
                self._refresh(change.touched[~is_known])
            else:
                ahead.write_back()
                self.are_fits_current = False
            self._note(name, change.touched)
        return change

    def load(self, batch: Batch, building: Building | None = None) -> Change:
        """Take in what was loaded, and fit anew; within `together` only take it in."""
        if self.builds_later:
            return apply(self.tables, batch)
        with self.tables.gate.writing():
            self.version += 1
            change = apply(self.tables, batch)
            if batch.table in _FEED_TRAITS:
                self.rebuild(building)
            else:
                self._refresh(change.touched)
                self._note(batch.table, change.touched)
        return change

    @contextmanager
    def together(self, building: Building | None = None) -> Iterator[None]:
        """Loads within are one change, after which traits are built; nobody looks until then."""
        with self.tables.gate.writing():
            self.version += 1
            self.builds_later = True
            try:
                yield
            finally:
                self.builds_later = False
                self.rebuild(building)

    def lose(self, row: int, unread: Unread) -> None:
        """A buyer is gone. unread: answers that have still to read something of the buyers."""
        with self.tables.gate.reading():
            unread.read()
        with self.tables.gate.writing():
            # Those that were given in between.
            unread.read()
            self.version += 1
            forget(self.tables, row)
            rows = np.array([row], np.int64)
            self._refresh(rows)
            self.standing.note(rows)

    def redefine(self, goals: Mapping[str, Goal], adopt: Callable[[], object]) -> None:
        """Put definitions into force by `adopt`; buyers of campaigns with another goal follow.

        goals: those of the campaigns that are defined anew
        """
        before = self.settings.goals
        other = [name for name, goal in goals.items() if before.get(name, Goal()) != goal]
        nobody = np.empty(0, np.int64)
        touched = np.unique(np.concatenate([nobody, *(addressed(self.tables, n) for n in other)]))
        # Whoever holds loads together holds the gate already.
        with nullcontext() if self.builds_later else self.tables.gate.writing():
            self.version += 1
            adopt()
            self.aim({**before, **goals})
            if len(touched) and not self.builds_later:
                self._refresh(touched)
                self.standing.note(touched)

    def aim(self, goals: Mapping[str, Goal]) -> None:
        """These are the goals of campaigns; traits follow when they are next worked out."""
        self.settings = replace(self.settings, goals=goals)

    # --- what follows -----------------------------------------------------------------------

    def rebuild(self, building: Building | None = None) -> None:
        """Work out all traits in place, and fit anew; called while nobody looks."""
        customers = self.tables.customers
        blocks, _, fits = build_all(
            self.tables, self.settings, self.as_of, in_place=True, progress=building
        )
        customers.install_blocks(blocks, customers.codes_for(blocks))
        self.standing.clear()
        self.fits, self.are_fits_current = fits, True

    def _refresh(self, rows: _Rows, changed: frozenset[str] | None = None) -> None:
        """Bring the traits of these buyers up to date; the fits stay as they are.

        changed: the tables whose events of theirs are others now; None: any, or all is new.
        """
        refresh(self.tables, self.settings, self.as_of, self.fits, rows, changed=changed)
        self.are_fits_current = False

    def _note(self, table: str, touched: _Rows) -> None:
        """Let kept bitmaps follow a change; one of a product reaches whoever has its events."""
        if table == PRODUCTS:
            self.standing.clear()
        else:
            self.standing.note(touched)

    def make_codes(self) -> None:
        """Make the scan codes of every column, which the first question would wait for."""
        customers = self.tables.customers
        with self.tables.gate.reading():
            for column in (*customers.columns.values(), *customers.traits.values()):
                if column.is_allocated:
                    column.scan_codes(customers.rows)

    def derived(self) -> Derived:
        """What a snapshot keeps beside the traits."""
        return derived_of(self.settings, self.fits, current=self.are_fits_current)

    def built(self, settings: TraitSettings | None = None) -> Built:
        """All traits with these settings, built beside those in use; by default with their own.

        Those in use themselves, where they are the same.
        """
        if settings is None and self.are_fits_current:
            return Built(self.tables.customers.blocks(), self.tables.lists(), self.fits)
        return Built(*build_all(self.tables, settings or self.settings, self.as_of))
