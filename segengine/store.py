"""What does a store hold, and how does it change?

It is told the moment it works for. One writer at a time changes the tables, behind a gate that
readers pass; a batch is in or out, never half.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from segengine import days
from segengine.appending import Append, Appending, Steps
from segengine.audiences.bucketing import Buckets
from segengine.audiences.runs import Runs
from segengine.current import Current
from segengine.definitions import Definitions
from segengine.errors import ConfigError, UnknownCustomer
from segengine.ingest.report import LoadReport
from segengine.ingest.stage import LoadRequest, Progress
from segengine.lasting import Lasting
from segengine.loading import Loading
from segengine.publish import Catalogue, Wanted
from segengine.reopening import DELETE
from segengine.rules.block import Clock
from segengine.rules.check import Vocabulary
from segengine.rules.match import SegmentMatcher
from segengine.rules.population import Population
from segengine.rules.segment import PlansKept, View, ids_of
from segengine.rules.standing import Standing
from segengine.schema.store_config import StoreConfig
from segengine.sharing import share
from segengine.snapshot_maker import Progress as SnapshotProgress
from segengine.tables.affinities import KINDS as AFFINITY_KINDS
from segengine.tables.tables import Tables
from segengine.traits.build import Building
from segengine.traits.products import ProductTraits
from segengine.traits.work import TraitSettings
from segengine.versions import Version
from segengine.vitals import Vitals, vitals


class Store:
    """Buyers, events, traits and definitions in memory, and every way to change them.

    settings: those of its `store.toml`; timezone: an IANA name; as_of: the moment answers are
    true for.
    """

    def __init__(self, settings: StoreConfig, timezone: str, as_of: datetime) -> None:
        self.config = settings
        self._zone = days.zone(timezone)
        self._tables = Tables(settings.tables(), money_scale=settings.money_scale)
        traits, moment = TraitSettings(self._zone, settings), days.micros(as_of, self._zone)
        standing = Standing(settings.standing_memory_mb << 20)
        self._current = Current(self._tables, traits, moment, standing)
        self._buckets = Buckets(self._tables.customers)
        self._product_traits = ProductTraits(self._tables, traits, lambda: self._current.fits)
        self._population = Population(
            self._tables, self._buckets, self._product_traits, standing=standing
        )
        self._writer = threading.RLock()
        self._lasting = Lasting(self._current, settings.storage, self._writer)
        self._loading = Loading(self._current, self._lasting, self._writer)
        steps = Steps(self._loading.checked, self._lasting.keep_all, self._current.take)
        self._appending = Appending(self._tables, self._writer, steps)
        self._view: View | None = None
        self._runs = Runs()
        self._plans: PlansKept = {}
        self._definitions = Definitions(settings, self._zone, self._words, self._words_state)
        self._catalogue = Catalogue(self._definitions, self.as_of, self.data_version)
        self._segment_matcher = SegmentMatcher(self._definitions.segments)
        self._current.aim(self._catalogue.goals())
        self._current.rebuild()

    def _live_in(self, folder: Path, *, read_only: bool = False, as_kept: bool = False) -> None:
        """Keep what is taken in in a directory, beginning with what is there."""
        self._runs.live_in(folder)
        sync = self.config.storage.sync
        self._catalogue.live_in(folder, sync, self.as_of, self.data_version)
        self._current.aim(self._catalogue.goals())
        self._lasting.live_in(folder, self._claimed, read_only=read_only, as_kept=as_kept)

    def _claimed(self) -> None:
        self._catalogue.claimed()
        self._runs.remove_unfinished()

    @property
    def folder(self) -> Path | None:
        """The store's directory; None for a store that has none."""
        return self._lasting.folder

    def snapshot(
        self, progress: SnapshotProgress | None = None, *, beside: bool = True
    ) -> int | None:
        """Write a snapshot while the store goes on; the number of the newest change it holds.

        Another process writes it; nobody waits for it but whoever calls. progress: told the bytes
        written, and of how many. beside=False: this process writes it, sooner, and whoever changes
        the store waits. None for a store without a directory. Raises `StoreError` where it cannot
        be written, or where a load or `compact` has stopped it; the snapshot before stays in use.
        """
        return self._lasting.snapshot(progress, beside=beside)

    def snapshot_due(self) -> str | None:
        """Why the next snapshot is to be written now, by `[storage]`; None for no reason."""
        snapshots = self._lasting.snapshots
        return None if snapshots is None else snapshots.due()

    @property
    def snapshot_written(self) -> tuple[int, int] | None:
        """Bytes written of the snapshot that is being made, and of how many; None: of none."""
        snapshots = self._lasting.snapshots
        return None if snapshots is None else snapshots.written

    def stop_snapshot(self) -> None:
        """Give up the snapshot that is being made, if one is; the one before stays in use."""
        self._lasting.make_way()

    def claim(self) -> None:
        """Make this process the one that writes to the store's directory; it stays so until close.

        The first write does it. Raises `StoreError` where another process writes, or has written
        since the store was opened here.
        """
        self._lasting.claim()

    def close(self) -> None:
        """Let go of the store's files; what was taken in is in them."""
        self.stop_snapshot()
        self._catalogue.close()
        self._lasting.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the moment -------------------------------------------------------------------------

    @property
    def timezone(self) -> str:
        """The store's timezone."""
        return self._zone.name

    @property
    def as_of(self) -> datetime:
        """The moment answers are true for, in UTC."""
        return days.moment(self._current.as_of)

    def share(self) -> str:
        """Let processes of this machine and user follow the store: where `Following.at` finds it.

        To be called before anybody asks. From here on what pages read lies in memory that those
        processes map, and each change waits for the questions that they are at. Raises `StoreError`
        where so many addresses cannot be reserved.
        """
        with self._writer:
            return share(self._current, self._definitions)

    @property
    def data_version(self) -> int:
        """Grows with every change of data, definitions or moment."""
        return self._current.version

    @property
    def id_kind(self) -> str:
        """`BIGINT` or `VARCHAR`: what a customer_id is here, fixed by the first load."""
        return self._tables.customers.columns["customer_id"].kind.value

    def advance(self, moment: datetime) -> None:
        """Answer for another moment, later or earlier; naive is in the store's timezone."""
        if not isinstance(moment, datetime):
            raise ConfigError(f"advance takes a moment, not `{moment}`", field="as_of")
        with self._writer:
            self._current.advance(days.micros(moment, self._zone))

    # --- definitions ------------------------------------------------------------------------

    def publish(self, *wanted: Wanted, sound: bool = True) -> tuple[Version, ...]:
        """Put definitions into force and take others away, as one change; the newest of each.

        Checked together, so that they may name each other; in a directory lasting before they are
        in force; what is in force already stays the version it is. sound: refused too where
        somebody who names one could no longer be used. Every change of a definition is made here.
        """
        with self._writer:
            change = self._catalogue.check(wanted, self.as_of, self.data_version + 1, sound=sound)
            if change.versions:
                self.claim()
                self._catalogue.keep(change.versions)
                self._current.redefine(change.goals(), lambda: self._catalogue.adopt(change))
            newest = [self._catalogue.versions.newest(each.kind, each.name) for each in wanted]
        return tuple(each for each in newest if each is not None)

    # --- data in ----------------------------------------------------------------------------

    def load(
        self,
        table: str,
        source: Any = None,
        *,
        query: str | None = None,
        columns: Mapping[str, str] | None = None,
        where: str | None = None,
        on_error: str = "refuse",
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> LoadReport:
        """Add rows to a table, refit population values, and keep them in the store's directory.

        source: a path, a glob (CSV, Parquet, JSON), or any Arrow-speaking object; `query`, one
        SELECT, in its place. columns: our column -> a DuckDB expression over the source's.
        where: rows to take, on the source's columns. on_error: "refuse" changes nothing when a
        row is bad, "skip" leaves bad rows out. progress, building: told how many rows are read,
        then which family of traits is built. Raises `LoadError` with every reason.
        """
        request = LoadRequest(
            table, source, query, columns or {}, where, on_error, self.folder or Path()
        )
        return self._loading.load(request, progress, building)

    def load_configured(
        self,
        tables: Sequence[str] = (),
        *,
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> list[LoadReport]:
        """Load the `[load.TABLE]` sections of `store.toml` as one change, write one snapshot."""
        return self._loading.load_configured(tables, progress, building)

    def built_once(self, building: Building | None = None) -> AbstractContextManager[None]:
        """Loads within build the traits once, at the end: several tables are one change.

        Nobody is answered until then, whoever asks within would wait for ever; in the store's
        directory they are by then. What was loaded before an error stays, and is built. building:
        told how far that is.
        """
        return self._loading.together(building)

    def prepare(self) -> None:
        """Make now what the first question of its kind would wait for."""
        self._current.make_codes()

    def append(
        self, table: str, data: Any, *, on_error: str = "refuse", key: str | None = None
    ) -> LoadReport:
        """Add rows that have just happened; every trait but fitted ones is current at once.

        Events up to 5 minutes after as_of are stored at as_of; later ones are bad. A store with a
        directory has the rows in its log before they are seen; where that fails (`StoreError`),
        nothing was taken in. key: the caller's own name for this change; the same key again takes
        nothing in and gives the first report again, also after a restart.
        """
        reports, error = self.append_each([Append(table, data, on_error, key)])
        if error is not None:
            raise error
        return reports[0]

    def append_each(
        self, batches: Sequence[Append]
    ) -> tuple[list[LoadReport], BaseException | None]:
        """Append batches in their order, each a change of its own, made lasting together.

        The reports, and the error of the batch after them, if any: from that one on nothing was
        taken in. Batches that several threads append at the same time share a sync too.
        """
        return self._appending.take(batches)

    def record_messages(self, data: Any, *, on_error: str = "refuse") -> LoadReport:
        """Record what became of runs; caps and traits see it at once.

        data: rows with customer_id and run, and as the shop has them kind (by default `sent`), time
        (by default as_of), parts, event_id and further columns; campaign, channel, class and
        variant are the run's. A `Run` itself says that everybody it targets was sent it now. Bad
        are rows of unknown runs, of buyers who are not in theirs, and of unknown kinds. A row
        without an event_id counts once for its run, buyer and kind. With the first rows of a run
        its held-out buyers are recorded too, in the same change; the report does not count them.
        """
        return self._loading.record(self._runs, data, on_error=on_error)

    def compact(self) -> int | None:
        """Write a snapshot that holds nothing of deleted buyers, and take them out of the log.

        Afterwards they are in no file of the store's directory. Batches wait while the tables are
        copied, questions do not. The number of the newest change that the snapshot holds; None for
        a store without a directory, which has no files.
        """
        number = self._lasting.compact()
        self._runs.remove_unfinished()
        return number

    def delete_again(self, elsewhere: Path) -> int:
        """Delete whoever was deleted in another copy since this one was made; how many there were.

        For a backup that was put back: buyers who were deleted after it was made are in it still.
        Who was deleted before and came back stays. Raises `StoreError` for no copy of this store.
        """
        with self._writer:
            self.claim()
            buyers = ids_of(self._population, self._tables.customers.live).to_pylist()
            gone = self._lasting.deleted_elsewhere(buyers, elsewhere)
            for each in gone:
                self.delete_customer(each)
        return len(gone)

    def delete_customer(self, customer_id: int | str) -> int | None:
        """Take a buyer out of every answer and run at once; `UnknownCustomer` for an unknown one.

        A run keeps that somebody was in that arm, and no more. The number of the change in the
        store's log; None for a store without a directory. In its files the buyer is until
        `compact`.
        """
        with self._writer:
            row = self._tables.customers.row_of(customer_id)
            if row is None:
                raise UnknownCustomer(customer_id)
            self.claim()
            # Before the deletion is acknowledged: none that is has left an id in a file of a run.
            self._runs.forget(customer_id)
            said = json.dumps(customer_id, default=int)
            number = self._lasting.keep(DELETE, said.encode(), deletes=said)
            self._current.lose(row, self._population.unread)
        return number

    def vitals(self) -> Vitals:
        """What a monitor wants to know, by name: what it is, and its value now, None for nothing.

        Moments are seconds since 1970.
        """
        return vitals(self._current, self._lasting.durable)

    # --- looking ----------------------------------------------------------------------------

    def _words(self) -> Vocabulary:
        tables = self._tables
        return Vocabulary(
            self._population.kinds(),
            self._zone,
            tables.money_scale,
            self.config.constants,
            events={
                name: {n: c.kind for n, c in table.columns.items()}
                for name, table in tables.events.items()
            },
            products=self._population.products.kinds(),
            affinities=AFFINITY_KINDS,
        )

    def _words_state(self) -> object:
        tables = self._tables
        everything = (tables.customers, tables.products, *tables.events.values())
        traits = len(tables.customers.traits)
        return tuple(len(t.columns) for t in everything), len(tables.identifier_kinds), traits

    @contextmanager
    def _looking(self, *, urgent: bool = False) -> Iterator[View]:
        with self._tables.gate.reading(urgent=urgent):
            yield self._view_now()

    def _view_now(self) -> View:
        """The store as it is; whoever asks is within the gate."""
        view = self._view
        if view is None or view.data_version != self._current.version:
            clock = Clock(self._current.as_of, self._zone)
            self._population.version = self._current.version
            declared = self._definitions.segments.declared()
            view = View(self._population, clock, self._current.version, self._plans, declared)
            self._view = view
        return view
