"""What does a store hold, and how does it change?

It is told the moment it works for. One writer at a time changes the tables, behind a gate that
readers pass; a batch is in or out, never half.
"""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from segengine import days
from segengine.appending import Append, Appending, Ready, Steps
from segengine.audiences.bucketing import Buckets
from segengine.audiences.recording import recorded
from segengine.audiences.runs import Runs
from segengine.current import Current
from segengine.definitions import Definitions
from segengine.errors import (
    ConfigError,
    LoadError,
    StoreError,
    UnknownCustomer,
)
from segengine.ingest.report import LoadReport
from segengine.ingest.stage import LoadRequest, Progress, stage
from segengine.publish import Catalogue, Wanted
from segengine.reopening import (
    APPEND,
    DELETE,
    Tail,
    derived_of,
    replay,
)
from segengine.rules.block import Clock
from segengine.rules.check import Vocabulary
from segengine.rules.match import SegmentMatcher
from segengine.rules.population import Population
from segengine.rules.segment import PlansKept, View
from segengine.rules.standing import Standing
from segengine.schema.store_config import StoreConfig
from segengine.sharing import SharingGate, definitions_said, definitions_state
from segengine.snapshot_maker import Asked
from segengine.snapshot_maker import Progress as SnapshotProgress
from segengine.snapshots import Snapshots
from segengine.storage.batch_bytes import batch_to_bytes
from segengine.storage.durable import Durable
from segengine.storage.log import Change
from segengine.storage.shared_tables import Said, SharedTables
from segengine.tables.affinities import KINDS as AFFINITY_KINDS
from segengine.tables.apply import drop_repeats
from segengine.tables.compact import compacted
from segengine.tables.tables import Tables
from segengine.traits.build import (
    Building,
    built_anew,
)
from segengine.traits.depends import fingerprint
from segengine.traits.fits_written import texts_of_codes
from segengine.traits.products import ProductTraits
from segengine.traits.work import TraitSettings
from segengine.versions import Version

_LATE = 5 * days.MINUTE
_MOST_RECEIPTS = 100_000
_NEVER = int(np.iinfo(np.int64).min)


class Store:
    """Buyers, events, traits and definitions in memory, and every way to change them.

    settings: those of its `store.toml`; timezone: an IANA name; as_of: the moment answers are
    true for.
    """

    def __init__(self, settings: StoreConfig, timezone: str, as_of: datetime) -> None:
        self.config = settings
        self.folder: Path | None = None
        self._durable: Durable | None = None
        self._snapshots: Snapshots | None = None
        self._receipts: dict[str, LoadReport] = {}
        """Of changes with a key, while there is no directory to keep them in."""
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
        self._files = threading.RLock()
        """Held while a snapshot is made; whoever wants both takes it before `_writer`."""
        self._appending = Appending(
            self._tables, self._writer, Steps(self._checked, self._kept, self._current.take)
        )
        self._is_unkept = False
        """Whether something was loaded that is in no file yet."""
        self._shared_definitions: list[object] = [None] * 3
        """Those that others were told of last."""
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
        self.folder = folder
        self._runs.live_in(folder)
        sync = self.config.storage.sync
        self._catalogue.live_in(folder, sync, self.as_of, self.data_version)
        self._current.aim(self._catalogue.goals())
        self._durable = Durable(
            folder, sync=sync, read_only=read_only, claimed=self._catalogue.claimed
        )
        self._snapshots = Snapshots(
            self._durable, self.config.storage, self._files, self._writer, self._next_snapshot,
            lambda: self._current.date,
        )  # fmt: skip
        tail = Tail()
        found = self._durable.read(
            self._tables,
            lambda change: replay(self._tables, tail, change, folder),
            fingerprint(self._current.settings),
        )
        if found is not None:
            if found.derived is not None:
                self._snapshots.date = self._zone.day_of(self._tables.as_of)
            self._current.begin(found.derived, tail, as_kept=as_kept)
            self._current.make_codes()

    def _next_snapshot(self) -> Asked:
        """What the next snapshot is to hold; called with the writer held."""
        assert self._durable is not None
        return Asked(
            self._durable.last, self._current.as_of, self._durable.loads, self._zone.name,
            self._current.derived().said, texts_of_codes(self._current.fits, self._tables),
        )  # fmt: skip

    def snapshot(
        self, progress: SnapshotProgress | None = None, *, beside: bool = True
    ) -> int | None:
        """Write a snapshot while the store goes on; the number of the newest change it holds.

        Another process writes it; nobody waits for it but whoever calls. progress: told the bytes
        written, and of how many. beside=False: this process writes it, sooner, and whoever changes
        the store waits. None for a store without a directory. Raises `StoreError` where it cannot
        be written, or where a load or `compact` has stopped it; the snapshot before stays in use.
        """
        if self._snapshots is None:
            return None
        if beside:
            return self._snapshots.make(progress)
        with self._with_files(), self._writer:
            self.claim()
            self._write_snapshot(loads=0)
            assert self._durable is not None
            return self._durable.last

    def snapshot_due(self) -> str | None:
        """Why the next snapshot is to be written now, by `[storage]`; None for no reason."""
        return None if self._snapshots is None else self._snapshots.due()

    @property
    def snapshot_written(self) -> tuple[int, int] | None:
        """Bytes written of the snapshot that is being made, and of how many; None: of none."""
        return None if self._snapshots is None else self._snapshots.written

    def stop_snapshot(self) -> None:
        """Give up the snapshot that is being made, if one is; the one before stays in use."""
        if self._snapshots is not None:
            self._snapshots.make_way()

    @contextmanager
    def _with_files(self) -> Iterator[None]:
        """Hold the files: a snapshot that is being made by another process gives way."""
        self.stop_snapshot()
        with self._files:
            yield

    def claim(self) -> None:
        """Make this process the one that writes to the store's directory; it stays so until close.

        The first write does it. Raises `StoreError` where another process writes, or has written
        since the store was opened here.
        """
        if self._durable is not None:
            self._durable.claim()

    def close(self) -> None:
        """Let go of the store's files; what was taken in is in them."""
        self.stop_snapshot()
        self._catalogue.close()
        if self._durable is not None:
            self._durable.close()

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
            if not isinstance(self._tables.gate, SharingGate):
                shared = SharedTables(self._tables)
                self._tables.customers.new_array = shared.arena.array
                now = self._current
                gate = SharingGate(shared, lambda: (now.version, now.as_of), self._said)
                with gate.writing():
                    now.version += 1
                self._tables.gate = gate
            return str(self._tables.gate.shared.address)

    def _said(self) -> Said:
        """What those who follow are told beside the tables."""
        fits, settings = self._current.fits, (self.config, self._zone.name)
        defined = definitions_state(self._definitions)
        if any(
            now is not told for now, told in zip(defined, self._shared_definitions, strict=True)
        ):
            self._shared_definitions = defined
        return {
            "settings": (self.config, lambda: pickle.dumps(settings)),
            "fits": (fits, lambda: pickle.dumps((fits.fitted_at, dict(fits.of)))),
            "definitions": (self._shared_definitions, lambda: definitions_said(self._definitions)),
        }

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
        with self._with_files(), self._writer:
            self.claim()
            report = self._load(request, progress, building)
            if self._current.builds_later:
                self._is_unkept = True
            else:
                self._write_snapshot()
        return report

    def load_configured(
        self,
        tables: Sequence[str] = (),
        *,
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> list[LoadReport]:
        """Load the `[load.TABLE]` sections of `store.toml` as one change, write one snapshot."""
        chosen = list(tables) or list(self.config.load)
        for name in chosen:
            if name not in self.config.load:
                raise LoadError(f"store.toml has no `[load.{name}]`", field=f"load.{name}")
        if not chosen:
            raise LoadError("store.toml has no `[load.TABLE]` section; name a table and a source",
                            field="load")  # fmt: skip
        with self._with_files(), self._writer:
            self.claim()
            reports = []
            with self.built_once(building):
                for name in chosen:
                    spec = self.config.load[name]
                    request = LoadRequest(
                        name, spec.source, spec.query, spec.columns, spec.where, spec.on_error,
                        self.folder or Path(),
                    )  # fmt: skip
                    reports.append(self._load(request, progress))
            self._write_snapshot()
        self._current.make_codes()
        return reports

    def _write_snapshot(self, loads: int = 1) -> None:
        """Write one here and now.

        loads: how many are in no log, so that the snapshots before it are no longer enough.
        """
        self._is_unkept = False
        if self._durable is not None:
            self._current.make_codes()
            derived = self._current.derived()
            try:
                self._durable.write_snapshot(
                    self._tables, self._durable.last, derived=derived, loads=loads,
                    keep=self.config.storage.snapshots,
                )  # fmt: skip
            except StoreError as error:
                raise StoreError(
                    f"{error}; what was loaded is in no file, and in this process alone: open the "
                    "store again when there is room, and load it again",
                    field=error.field,
                ) from error
        if self._snapshots is not None:
            self._snapshots.begin_anew()
            self._snapshots.date = self._current.date

    def _keep(self, kind: str, payload: bytes, **told: Any) -> int | None:
        """Make a change lasting before it is made, where the store has a directory; its number."""
        if self._durable is None:
            return None
        return self._durable.keep(Change(kind, self._current.as_of, payload, **told))

    def _load(
        self,
        request: LoadRequest,
        progress: Progress | None,
        building: Building | None = None,
    ) -> LoadReport:
        batch, report = stage(self._tables, request, self.timezone, progress=progress)
        change = self._current.load(batch, building)
        return _counted(report, change.rows, change.repeats)

    @contextmanager
    def built_once(self, building: Building | None = None) -> Iterator[None]:
        """Loads within build the traits once, at the end: several tables are one change.

        Nobody is answered until then, whoever asks within would wait for ever; in the store's
        directory they are by then. What was loaded before an error stays, and is built. building:
        told how far that is.
        """
        with self._with_files(), self._writer:
            try:
                with self._current.together(building):
                    yield
            finally:
                if self._is_unkept:
                    self._write_snapshot()

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

    def _checked(self, asked: Append) -> Ready | LoadReport:
        known = None if asked.key is None else self._receipt(asked.key)
        if known is not None:
            return known
        request = LoadRequest(
            asked.table, asked.data, on_error=asked.on_error, folder=self.folder or Path()
        )
        batch, report = stage(
            self._tables,
            request,
            self.timezone,
            latest=self._current.as_of + _LATE,
            as_of=self._current.as_of,
        )
        repeats = drop_repeats(self._tables, batch)
        return Ready(batch, _counted(report, batch.rows, repeats), asked.key)

    def _kept(self, group: Sequence[Ready]) -> list[LoadReport]:
        """Make checked batches lasting, all or none, where the store has a directory."""
        durable = self._durable
        if durable is None:
            for each in group:
                if each.key is not None:
                    self._receipts[each.key] = each.report
            while len(self._receipts) > _MOST_RECEIPTS:
                del self._receipts[next(iter(self._receipts))]
            return [each.report for each in group]
        first = durable.next_number()
        reports = [replace(each.report, offset=first + k) for k, each in enumerate(group)]
        durable.keep_all([
            Change(
                APPEND, self._current.as_of, batch_to_bytes(each.batch), key=each.key,
                receipt="" if each.key is None else report.to_receipt(),
            )
            for each, report in zip(group, reports, strict=True)
        ])  # fmt: skip
        return reports

    def _receipt(self, key: str) -> LoadReport | None:
        """The report of the change that had this key; None for a new key."""
        if self._durable is None:
            return self._receipts.get(key)
        found = self._durable.receipt(key)
        return None if found is None else LoadReport.from_receipt(found)

    def record_messages(self, data: Any, *, on_error: str = "refuse") -> LoadReport:
        """Record what became of runs; caps and traits see it at once.

        data: rows with customer_id and run, and as the shop has them kind (by default `sent`), time
        (by default as_of), parts, event_id and further columns; campaign, channel, class and
        variant are the run's. A `Run` itself says that everybody it targets was sent it now. Bad
        are rows of unknown runs, of buyers who are not in theirs, and of unknown kinds. A row
        without an event_id counts once for its run, buyer and kind. With the first rows of a run
        its held-out buyers are recorded too, in the same change; the report does not count them.
        """
        with self._writer:
            found = recorded(
                self._tables, self._runs, data, self.timezone, self.folder or Path(),
                latest=self._current.as_of + _LATE, on_error=on_error,
            )  # fmt: skip
            if not found.batch.rows:
                return found.report
            self._keep(APPEND, batch_to_bytes(found.batch))
            change = self._current.take(found.batch)
            self._runs.held_out_told |= found.told
        return found.reported(change.rows, change.repeats)

    def _is_recorded(self, run: str) -> bool:
        """Whether messages name a run of this id."""
        dictionary = self._tables.events["messages"].columns["run"].dictionary
        assert dictionary is not None
        return int(dictionary.find(pa.array([run]))[0]) >= 0

    def compact(self) -> int | None:
        """Write a snapshot that holds nothing of deleted buyers, and take them out of the log.

        Afterwards they are in no file of the store's directory. Batches wait while the tables are
        copied, questions do not. The number of the newest change that the snapshot holds; None for
        a store without a directory, which has no files.
        """
        durable = self._durable
        if durable is None:
            return None
        with self._with_files():
            with self._writer:
                self.claim()
                fresh, last = compacted(self._tables), durable.last
                settings = self._current.settings
            fits = built_anew(fresh, settings)
            derived = derived_of(settings, fits, current=True)
            durable.write_snapshot(fresh, last, derived=derived, erase=True, writer=self._writer)
        return last

    def delete_again(self, elsewhere: Path) -> int:
        """Delete whoever was deleted in another copy of this store; how many there were.

        For a backup that was put back: buyers who were deleted after it was made are in it still.
        """
        if self._durable is None:
            return 0
        with self._writer:
            self.claim()
            column = self._tables.customers.columns["customer_id"]
            live = np.unpackbits(self._tables.customers.live.view(np.uint8), bitorder="little")
            rows = np.flatnonzero(live[: self._tables.customers.rows]).astype(np.int64)
            ids = column.to_arrow(rows, self._tables.money_scale).to_pylist()
            gone = self._durable.is_deleted([json.dumps(each) for each in ids], elsewhere)
            for each, is_gone in zip(ids, gone, strict=True):
                if is_gone:
                    self.delete_customer(each)
        return sum(gone)

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
            number = self._keep(DELETE, said.encode(), deletes=said)
            self._current.lose(row, self._population.unread)
        return number

    def vitals(self) -> dict[str, tuple[str, float | None]]:
        """What a monitor wants to know, by name: what it is, and its value now, None for nothing.

        Moments are seconds since 1970.
        """
        tables = self._tables
        with tables.gate.reading(urgent=True):
            latest = max((t.latest for t in tables.events.values()), default=_NEVER)
            buyers, events = tables.customers.count, sum(t.rows for t in tables.events.values())
        durable = self._durable
        snapshot, log = (None, None) if durable is None else durable.vitals()
        return {
            "buyers": ("Buyers there are.", buyers),
            "event_rows": ("Rows of all event tables.", events),
            "data_version": ("Grows with every change.", self.data_version),
            "as_of_seconds": ("The moment that answers are true for.", self._current.as_of / 1e6),
            "latest_event_seconds": (
                "The time of the latest event.", None if latest == _NEVER else latest / 1e6,
            ),
            "snapshot_seconds": ("When the snapshot in use was written.", snapshot),
            "log_bytes": ("Bytes of the log on disk.", log),
        }  # fmt: skip

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


def _counted(report: LoadReport, rows: int, repeats: int) -> LoadReport:
    if not repeats:
        return report
    return LoadReport(
        report.table, report.rows_read, rows, report.rows_skipped, repeats, report.problems,
        report.ignored_columns, report.seconds,
    )  # fmt: skip
