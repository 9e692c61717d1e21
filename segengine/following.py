"""What does a process answer that looks at the tables of another one?

One buyer's questions: pages and segments, as they are after the last change, word for word as the
process that writes would answer. What needs all buyers at once is left to that one.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

from segengine import days
from segengine.audiences.bucketing import FewBuckets
from segengine.engine import Engine
from segengine.errors import SegengineError
from segengine.sharing import Defined, FollowingGate, take_definitions
from segengine.storage.shared_tables import Address, FollowedTables, said_at
from segengine.traits.work import Fits


class Following(Engine):
    """A store that another process keeps and changes; here it is only asked."""

    _followed: FollowedTables
    _defined: Defined

    @classmethod
    def at(cls, address: str) -> Self:
        """The store at the address that `Engine.share` gave.

        `StoreError` where there is none, or where its process is of another version.
        """
        where = Address.read(address)
        settings, timezone = pickle.loads(said_at(where)["settings"])  # noqa: S301 - our parent's
        store = cls(timezone, days.moment(0), settings)
        store._follow(where)
        return store

    def _follow(self, address: Address) -> None:
        self._defined = {}
        self._followed = FollowedTables(self._tables, address, self._hear)
        self._gate = FollowingGate(self._followed.turns, self._followed.follow, self._digest)
        self._tables.gate = self._gate
        self._population.buckets = FewBuckets(self._tables.customers)
        self._population.fits.are_elsewhere = True
        with self._tables.gate.reading():
            pass

    def _hear(self, moment: Sequence[int], said: Mapping[str, bytes]) -> None:
        self._current.version, self._current.as_of = moment
        if "fits" in said:
            self._current.fits = Fits(*pickle.loads(said["fits"]))  # noqa: S301 - our parent's
        if "definitions" in said:
            self._defined = take_definitions(self._definitions, said["definitions"], self._defined)
            self._gate.news = True

    def _digest(self) -> None:
        """Check what was defined, out of turn; what cannot be is told to whoever asks for it."""
        for name in self._definitions.pages:
            with suppress(SegengineError):
                self._definitions.page(name)

    def end(self) -> None:
        """Let go of the other process's files."""
        self._followed.close()
