"""How do several batches become lasting with one sync?

Whoever brings batches joins a line and waits for the right to write. Who has it takes in all that
wait: each batch is checked, all are written to the log and synced once, and then each is a change
of its own, in the order of the line, in or out as a whole and with its own report. One batch alone
waits for nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from segengine.errors import StoreError
from segengine.ingest.report import LoadReport
from segengine.tables.batch import Batch
from segengine.tables.collisions import collide, settles_columns
from segengine.tables.tables import Tables

MOST_TOGETHER = 64
"""Batches that share a sync: whoever came first waits until all of them are checked."""
MOST_ROWS = 200_000
"""Rows of theirs; a larger batch is alone."""
_READ_AGAIN = (pa.Table, pa.RecordBatch)


@dataclass(frozen=True, slots=True, eq=False)
class Append:
    """A batch that is to be taken in: the arguments of `Engine.append`.

    sender: whose key it is, printable; those of two senders do not meet.
    """

    table: str
    data: Any
    on_error: str = "refuse"
    key: str | None = None
    sender: str = ""

    @property
    def full_key(self) -> str | None:
        """The key as it is kept, with its sender."""
        return f"{self.sender}\n{self.key}" if self.key is not None and self.sender else self.key


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch that can be taken in, and what its caller is to hear of it.

    key: with its sender. sent: a digest of what was sent under it; empty without a key.
    """

    batch: Batch
    report: LoadReport
    key: str | None
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Steps:
    """What a store does with a batch; each is called by whoever has the right to write.

    check: checked, or the report it has had before under its key; raises what is wrong with it
    keep: makes batches lasting, all or none, and gives the reports, which name their places
    see: takes one in
    """

    check: Callable[[Append], Ready | LoadReport]
    keep: Callable[[Sequence[Ready]], Sequence[LoadReport]]
    see: Callable[[Batch], object]


@dataclass(slots=True, eq=False, repr=False)
class _Caller:
    """One caller's batches, in order, and what has come of them; equal to no other's."""

    batches: Sequence[Append]
    reports: list[LoadReport] = field(default_factory=list)
    error: BaseException | None = None
    is_done: bool = False


class Appending:
    """The line of those who bring batches. writer: the right to write, which a thread may nest."""

    def __init__(
        self, tables: Tables, writer: AbstractContextManager[object], steps: Steps
    ) -> None:
        self._tables, self._writer, self._steps = tables, writer, steps
        self._line: deque[_Caller] = deque()
        self._lock = threading.Lock()
        self._group: list[tuple[_Caller, Ready]] = []
        self.syncs = 0
        """How many groups were made lasting."""

    def take(self, batches: Sequence[Append]) -> tuple[list[LoadReport], BaseException | None]:
        """Take batches in, in their order, each a change of its own.

        The reports, and what was wrong with the one after them: where there is something, it and
        the batches after it were not taken in.
        """
        caller = _Caller(batches)
        with self._lock:
            self._line.append(caller)
        try:
            with self._writer:
                while not caller.is_done:
                    self._take(self._next())
        finally:
            if not caller.is_done:
                # Whoever does not wait any more. Not asked of others: to say that somebody is in no
                # line, Python writes down all that they bring.
                with self._lock, suppress(ValueError):
                    self._line.remove(caller)
        return caller.reports, caller.error

    def _next(self) -> list[_Caller]:
        """Those at the head of the line, as many as may share a sync."""
        found: list[_Caller] = []
        count = 0
        with self._lock:
            while self._line and (not found or count + len(self._line[0].batches) <= MOST_TOGETHER):
                found.append(self._line.popleft())
                count += len(found[-1].batches)
        return found

    def _take(self, callers: Sequence[_Caller]) -> None:
        try:
            for caller in callers:
                self._check(caller)
            self._finish()
        except BaseException as error:
            for caller in callers:
                if caller.error is None and len(caller.reports) < len(caller.batches):
                    caller.error = error
            raise
        finally:
            self._group = []
            for caller in callers:
                caller.is_done = True

    def _check(self, caller: _Caller) -> None:
        """Check a caller's batches and let them join the group, which ends where it has to."""
        for batch in caller.batches:
            if caller.error is not None:
                return
            try:
                found = self._checked(batch)
            except Exception as error:
                caller.error = caller.error or error
                return
            if isinstance(found, LoadReport):
                # The reports of those before it come first.
                self._finish()
            if caller.error is not None:
                return
            if isinstance(found, LoadReport):
                caller.reports.append(found)
                continue
            alone = settles_columns(self._tables, found.batch)
            self._group.append((caller, found))
            rows = sum(each.batch.rows for _, each in self._group)
            if alone or rows > MOST_ROWS or len(self._group) >= MOST_TOGETHER:
                self._finish()

    def _checked(self, batch: Append) -> Ready | LoadReport:
        is_known_key = any(batch.full_key == each.key for _, each in self._group)
        # What can be read only once is not checked a second time.
        if not isinstance(batch.data, _READ_AGAIN) or (batch.key is not None and is_known_key):
            self._finish()
        try:
            found = self._steps.check(batch)
            if isinstance(found, LoadReport) or not any(
                collide(self._tables, each.batch, found.batch) for _, each in self._group
            ):
                return found
        except Exception:
            if not self._group:
                raise
        # What is wrong with it is told as of the tables with all before it.
        self._finish()
        return self._steps.check(batch)

    def _finish(self) -> None:
        """Make lasting what waits, then take it in."""
        group, self._group = self._group, []
        if not group:
            return
        try:
            reports = self._steps.keep([each for _, each in group])
        except StoreError as error:
            if len(group) == 1:
                group[0][0].error = error
                return
            # Where not all can be kept, perhaps some can.
            for one in group:
                if one[0].error is None:
                    self._group = [one]
                    self._finish()
            return
        self.syncs += 1
        for (caller, each), report in zip(group, reports, strict=True):
            self._steps.see(each.batch)
            caller.reports.append(report)
