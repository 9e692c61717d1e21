"""What do other processes need to know of a store beside its tables?

Its settings, the moment and the version, what was fitted, and what it was told: segments, traits
and pages. The gate of a store that is shared tells them with every change, while it is closed; the
gate of one that follows takes a turn with the writer for each question.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import is_
from types import TracebackType
from typing import Any

from segengine.current import Current
from segengine.definitions import Definitions
from segengine.errors import StoreError
from segengine.storage.shared_tables import FollowedTables, Said, SharedTables
from segengine.storage.turns import ReaderTurns
from segengine.tables.arrays import all_tables
from segengine.tables.gate import Gate

_log = logging.getLogger("segengine")
Defined = dict[str, dict[str, bytes]]
"""Segments, traits and pages: the bytes of each, by kind and name."""


class SharingGate(Gate):
    """A gate that is closed to readers in other processes too while something changes."""

    def __init__(
        self, shared: SharedTables, moment: Callable[[], Sequence[int]], said: Callable[[], Said]
    ) -> None:
        super().__init__()
        self.shared = shared
        self._moment, self._said = moment, said

    @contextmanager
    def writing(self) -> Iterator[None]:
        """As `Gate.writing`; what has changed is told before anybody looks."""
        with super().writing():
            self.shared.begin()
            try:
                yield
            finally:
                try:
                    self.shared.end(self._moment(), self._said())
                except Exception:
                    # The change is made. Readers know that they were not told, and leave the
                    # answer to this process until they are again.
                    _log.exception("other processes cannot be told of a change")


class FollowingGate(Gate):
    """A gate to tables that another process changes.

    digest: called out of turn when `news` has said so, before the next look
    """

    def __init__(
        self, turns: ReaderTurns, follow: Callable[[], None], digest: Callable[[], None]
    ) -> None:
        super().__init__()
        self._turns, self._follow, self._digest = turns, follow, digest
        self.news = False
        self._look = _Look(self)

    def reading(self, *, urgent: bool = False) -> AbstractContextManager[None]:
        """Look at the tables as the last change has left them; nothing changes inside."""
        del urgent
        return self._look

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Not here."""
        raise StoreError("only the process that writes changes the store", field="workers")
        yield

    def enter(self) -> None:
        """Begin a turn, everything that has changed taken up."""
        turns = self._turns
        while turns.begin():
            try:
                self._follow()
                turns.now_seen()
            except BaseException:
                turns.end()
                raise
            if not self.news:
                return
            # To check a page of thousands takes long, and would keep the writer out.
            turns.end()
            self.news = False
            self._digest()

    def leave(self) -> None:
        """End the turn."""
        self._turns.end()


class _Look:
    """A reader's turn; one object serves all, as there is one at a time."""

    __slots__ = ("_gate",)

    def __init__(self, gate: FollowingGate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._gate.enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate.leave()


def share(current: Current, definitions: Definitions) -> str:
    """Let processes of this machine and user follow a store; the address where they find it.

    Whoever calls holds the writer. A store that is shared stays at its address.
    """
    tables = current.tables
    if not isinstance(tables.gate, SharingGate):
        shared, told = SharedTables(tables), _Told(current, definitions)
        for table in all_tables(tables).values():
            # What grows is made where others see it, not moved there while they wait.
            table.new_array = shared.arena.array
        gate = SharingGate(shared, lambda: (current.version, current.as_of), told.said)
        with gate.writing():
            current.version += 1
        tables.gate = gate
    return str(tables.gate.shared.address)


class _Told:
    """What those who follow are told beside the tables, each part when it is another."""

    def __init__(self, current: Current, definitions: Definitions) -> None:
        self._current, self._definitions = current, definitions
        self._kinds: list[object] = []
        """What was defined when they were told last; another list when something else is."""

    def said(self) -> Said:
        """Each part: an object that is another when it has changed, and its bytes."""
        fits, definitions = self._current.fits, self._definitions
        config = self._current.settings.config
        settings = config, self._current.settings.zone.name
        kinds: list[object] = list(_kinds(definitions).values())
        is_as_told = len(kinds) == len(self._kinds) and all(map(is_, kinds, self._kinds))
        if not is_as_told:
            self._kinds = kinds
        return {
            "settings": (config, lambda: pickle.dumps(settings)),
            "fits": (fits, lambda: pickle.dumps((fits.fitted_at, dict(fits.of)))),
            "definitions": (self._kinds, lambda: definitions_said(definitions)),
        }


def definitions_said(definitions: Definitions) -> bytes:
    """Segments, traits and pages for another process; campaigns are asked of the one that writes.

    As pickles: rules may hold arrays, and payloads any object, which no text gives back.
    """
    said: Defined = {
        kind: {name: pickle.dumps(each) for name, each in of.items()}
        for kind, of in _kinds(definitions).items()
    }
    return pickle.dumps(said)


def _kinds(definitions: Definitions) -> dict[str, Mapping[str, Any]]:
    segments = definitions.segments
    return {
        "segments": segments.definitions, "traits": segments.traits, "pages": definitions.pages,
    }  # fmt: skip


def take_definitions(definitions: Definitions, said: bytes, before: Defined) -> Defined:
    """Define what another process has defined, and nothing else; what it said.

    before: what was said last: equal definitions stay the same objects, so that what was worked out
    for them stays too.
    """
    now: Defined = pickle.loads(said)  # noqa: S301 - from the memory of the process that began us
    kept = _kinds(definitions)
    made = {
        kind: {
            name: kept[kind][name] if before.get(kind, {}).get(name) == each
            else pickle.loads(each)  # noqa: S301 - the same
            for name, each in of.items()
        }
        for kind, of in now.items()
    }  # fmt: skip
    segments = definitions.segments
    if any(now[kind] != before.get(kind) for kind in ("segments", "traits")):
        segments.definitions, segments.traits = made["segments"], made["traits"]
        segments.version += 1
    definitions.pages = made["pages"]
    return now


__all__ = [
    "FollowedTables", "FollowingGate", "SharedTables", "SharingGate", "definitions_said", "share",
    "take_definitions",
]  # fmt: skip
