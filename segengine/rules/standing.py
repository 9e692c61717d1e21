"""Which leaves of the catalogue are kept as bitmaps, and are those still true?

A leaf that a defined rule uses is evaluated once and kept, within a budget of bytes; every rule
that contains the same leaf shares it. Changes are only noted, as rows: a kept bitmap is mended
when it is next asked for, row by row where few have changed. A condition on a list such as `tags`
is kept whoever asks it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import bits
from segengine.rules.block import Clock
from segengine.rules.compute import truth
from segengine.rules.frame import Frame, Words, truths
from segengine.rules.plan import Computed, Entries, Node, Ranges
from segengine.rules.products import changes_with_others
from segengine.rules.term import CLOCK_OPS, COLUMNS, Term
from segengine.schema.kinds import Kind

_FEW = 256
_MOST_NOTED = 1 << 20
_ON_LISTS = frozenset({"list_contains", "list_has_any", "list_has_all"})
Make = Callable[[Node], Words]


@dataclass(frozen=True, slots=True)
class _Kept:
    words: Words
    rows: int
    seen: int
    stamp: object


class Standing:
    """Bitmaps of leaves over the buyers; nothing published is ever written again."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: OrderedDict[Node, _Kept] = OrderedDict()
        self._notes: list[NDArray[np.int64]] = []
        self._first_note = 0
        self._noted = 0
        self._lock = threading.Lock()

    def note(self, rows: NDArray[np.int64]) -> None:
        """The values of these buyers have changed."""
        with self._lock:
            self._notes.append(rows)
            self._noted += len(rows)
            if self._noted > _MOST_NOTED:
                self._forget()

    def clear(self) -> None:
        """Everything may have changed."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._kept.clear()
        self._first_note += len(self._notes)
        self._notes, self._noted = [], 0

    def nbytes(self) -> int:
        """Bytes of all bitmaps."""
        with self._lock:
            return sum(int(kept.words.nbytes) for kept in self._kept.values())

    def words(
        self, node: Node, frame: Frame, clock: Clock, version: int, *, wanted: bool, make: Make
    ) -> Words | None:
        """The bitmap of a leaf; None for one that is not kept and not `wanted` either."""
        if not wanted and node not in self._kept:
            return None
        with self._lock:
            kept = self._kept.get(node)
            if kept is None and not wanted:
                return None
            now = self._first_note + len(self._notes)
            stamp = stamp_of(node, clock, version)
            if kept is not None and kept.stamp == stamp:
                self._kept.move_to_end(node)
                if kept.seen == now and kept.rows == frame.rows:
                    return kept.words
                notes = self._notes[kept.seen - self._first_note :]
            else:
                kept, notes = None, []
        words = None if kept is None else _mended(kept, notes, node, frame, clock)
        if words is None:
            words = make(node)
        self._keep(node, _Kept(words, frame.rows, now, stamp))
        return words

    def _keep(self, node: Node, kept: _Kept) -> None:
        if kept.words.nbytes > self._budget:
            return
        with self._lock:
            if kept.seen < self._first_note:
                return
            self._kept[node] = kept
            self._kept.move_to_end(node)
            held = sum(int(k.words.nbytes) for k in self._kept.values())
            while held > self._budget:
                _, dropped = self._kept.popitem(last=False)
                held -= int(dropped.words.nbytes)


def is_on_list(node: Node) -> bool:
    """Whether a leaf asks what a list holds."""
    return (
        isinstance(node, Entries)
        and node.source.op == "column"
        and node.source.kind is Kind.TAGS
        and node.term.op in _ON_LISTS
    )


def stamp_of(node: Node, clock: Clock, version: int) -> object:
    """What a leaf depends on beside the values of each buyer's own row."""
    terms = [node.source] if isinstance(node, Ranges | Entries) else []
    if isinstance(node, Entries | Computed):
        terms.append(node.term)
    ops = {t.op for term in terms for t in term.walk()}
    if ops & {"window", "affinity"} or any(changes_with_others(term) for term in terms):
        return version
    if "now" in ops:
        return ("moment", clock.as_of)
    return ("date", clock.today) if ops & (CLOCK_OPS - {"history"}) else None


def _mended(
    kept: _Kept, notes: list[NDArray[np.int64]], node: Node, frame: Frame, clock: Clock
) -> Words | None:
    """The bitmap with the noted rows looked at again; None where that would be more work."""
    rows = np.unique(np.concatenate([*notes, np.arange(kept.rows, frame.rows)]))
    rows = rows[rows < frame.rows]
    looked_up = any(t.op not in COLUMNS for t in _sources(node))
    if len(rows) > (_FEW if looked_up else frame.rows // 8 + _FEW):
        return None
    words: Words = np.zeros((frame.rows + 63) // 64, np.uint64)
    words[: len(kept.words)] = kept.words
    bits.clear_rows(rows, words)
    bits.set_rows(rows[_holding(node, frame, rows, clock)], words)
    return words


def _sources(node: Node) -> list[Term]:
    if isinstance(node, Ranges | Entries):
        return [node.source]
    return list(node.term.sources()) if isinstance(node, Computed) else []


def _holding(node: Node, frame: Frame, rows: NDArray[np.int64], clock: Clock) -> NDArray[np.bool_]:
    """For which of these rows a leaf holds."""
    if isinstance(node, Entries) and node.source.op in COLUMNS:
        column = frame.column(node.source)
        found = truths(frame, column.dictionary, node.term, clock)[column.values[rows] + 1]
        return np.asarray(found == (1 if node.wanted else 0))
    if isinstance(node, Entries | Computed):
        found = truth(node.term, frame.block(rows, clock))
        return np.asarray(found == (1 if node.wanted else 0))
    assert isinstance(node, Ranges)
    values: Any
    if node.source.op in COLUMNS:
        column = frame.column(node.source)
        values, missing = column.values[rows], column.missing
        absent = np.isnan(values) if values.dtype.kind == "f" else values == missing
    else:
        given = [frame.value(node.source, int(row), clock) for row in rows]
        absent = np.array([value is None for value in given], np.bool_)
        values = np.array([0 if value is None else value for value in given])
    if not node.ranges:
        return absent if node.missing else np.zeros(len(rows), np.bool_)
    lows = np.array([low for low, _ in node.ranges])
    highs = np.array([high for _, high in node.ranges])
    place = np.searchsorted(lows, values, side="right") - 1
    inside = (place >= 0) & (values <= highs[np.maximum(place, 0)]) & ~absent
    return np.asarray(inside | (absent & node.missing))
