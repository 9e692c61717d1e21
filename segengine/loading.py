"""How do rows come into a store?

Loaded, as many as a source has: traits are fitted anew, and all of it is kept as a snapshot. Or as
they happen: a batch is checked here, made lasting with others, and then seen. Either way a batch is
checked as a whole before anything changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from segengine import days
from segengine.appending import Append, Ready
from segengine.audiences.recording import recorded
from segengine.audiences.runs import Runs
from segengine.current import Current
from segengine.errors import LoadError
from segengine.ingest.report import LoadReport
from segengine.ingest.sent import held, sent_digest
from segengine.ingest.stage import LoadRequest, Progress, stage
from segengine.lasting import Lasting
from segengine.reopening import APPEND
from segengine.storage.batch_bytes import batch_to_bytes
from segengine.tables.placing import drop_repeats
from segengine.traits.build import Building

_LATE = 5 * days.MINUTE
"""How far the clock of whoever brings events may be ahead."""


class Loading:
    """The ways in. writer: the right to change the store, which a thread may nest."""

    def __init__(
        self, current: Current, lasting: Lasting, writer: AbstractContextManager[object]
    ) -> None:
        self._current, self._lasting, self._writer = current, lasting, writer
        self._timezone = current.settings.zone.name
        self._is_unkept = False
        """Whether something was loaded that is in no file yet."""

    def load(
        self, request: LoadRequest, progress: Progress | None, building: Building | None
    ) -> LoadReport:
        """Add the rows of a source; within `together` they are kept at its end."""
        with self._lasting.with_files(), self._writer:
            self._lasting.claim()
            report = self._taken(request, progress, building)
            self._is_unkept = True
            if not self._current.builds_later:
                self._write()
        return report

    def load_configured(
        self, tables: Sequence[str], progress: Progress | None, building: Building | None
    ) -> list[LoadReport]:
        """Add the rows of `[load.TABLE]` sections, by default of all, as one change."""
        specs = self._current.settings.config.load
        chosen = list(tables) or list(specs)
        for name in chosen:
            if name not in specs:
                raise LoadError(f"store.toml has no `[load.{name}]`", field=f"load.{name}")
        if not chosen:
            raise LoadError("store.toml has no `[load.TABLE]` section; name a table and a source",
                            field="load")  # fmt: skip
        with self._lasting.with_files(), self._writer:
            self._lasting.claim()
            reports = []
            with self.together(building):
                for name in chosen:
                    spec = specs[name]
                    request = LoadRequest(
                        name, spec.source, spec.query, spec.columns, spec.where, spec.on_error,
                        self._folder,
                    )  # fmt: skip
                    reports.append(self._taken(request, progress))
            self._write()
        self._current.make_codes()
        return reports

    @contextmanager
    def together(self, building: Building | None = None) -> Iterator[None]:
        """Loads within are one change, and are in the store's directory at the end."""
        with self._lasting.with_files(), self._writer:
            try:
                with self._current.together(building):
                    yield
            finally:
                if self._is_unkept:
                    self._write()

    def _taken(
        self, request: LoadRequest, progress: Progress | None, building: Building | None = None
    ) -> LoadReport:
        tables = self._current.tables
        batch, report = stage(tables, request, self._timezone, progress=progress)
        change = self._current.load(batch, building)
        return _counted(report, change.rows, change.repeats)

    def _write(self) -> None:
        self._is_unkept = False
        self._lasting.write_snapshot()

    def checked(self, asked: Append) -> Ready | LoadReport:
        """A batch of what has just happened, or the report it has had before under its key.

        Raises `LoadError` for what is wrong with it, and for a key that something else has had.
        """
        current, data, sent = self._current, asked.data, ""
        if asked.key is not None:
            data = held(data)
            sent = sent_digest(asked.table, data, self._folder)
            known = self._answered(asked, sent)
            if known is not None:
                return known
        request = LoadRequest(asked.table, data, on_error=asked.on_error, folder=self._folder)
        batch, report = stage(
            current.tables, request, self._timezone, latest=current.as_of + _LATE,
            as_of=current.as_of,
        )  # fmt: skip
        repeats = drop_repeats(current.tables, batch)
        return Ready(batch, _counted(report, batch.rows, repeats), asked.full_key, sent)

    def _answered(self, asked: Append, sent: str) -> LoadReport | None:
        """The report of this very batch under its key; None for a new key."""
        assert asked.key is not None
        found = self._lasting.receipt(asked.full_key or asked.key)
        if found is None and asked.sender:
            # Versions that kept no digest kept no senders with the keys either.
            found = self._lasting.receipt(asked.key)
            found = None if found is None or found[1] else found
        if found is None:
            return None
        report, before = found
        if report.table != asked.table or before not in ("", sent):
            rows = "1 row" if report.rows_read == 1 else f"{report.rows_read:,} rows"
            change = "" if report.offset is None else f", change {report.offset}"
            is_same = report.table == asked.table
            now = "other rows" if is_same else f"rows of `{asked.table}`"
            raise LoadError(
                f"the key `{asked.key}` was used for {rows} of `{report.table}`{change}, and comes "
                f"with {now} now: nothing was taken in; give each batch a key of its own, and send "
                "one again as it was",
                field="key",
            )
        return report

    def record(self, runs: Runs, data: Any, *, on_error: str) -> LoadReport:
        """What became of runs, as messages."""
        with self._writer:
            found = recorded(
                self._current.tables, runs, data, self._timezone, self._folder,
                latest=self._current.as_of + _LATE, on_error=on_error,
            )  # fmt: skip
            if not found.batch.rows:
                return found.report
            self._lasting.keep(APPEND, batch_to_bytes(found.batch))
            change = self._current.take(found.batch)
            runs.held_out_told |= found.told
        return found.reported(change.rows, change.repeats)

    @property
    def _folder(self) -> Path:
        """Where relative paths of sources begin."""
        return self._lasting.folder or Path()


def _counted(report: LoadReport, rows: int, repeats: int) -> LoadReport:
    if not repeats:
        return report
    return LoadReport(
        report.table, report.rows_read, rows, report.rows_skipped, repeats, report.problems,
        report.ignored_columns, report.seconds,
    )  # fmt: skip
