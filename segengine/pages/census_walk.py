"""Who wins each slot, all buyers at once?

The slots in their order; in a slot its modules in theirs, each as a bitmap of the buyers who may
see it and for whom nobody came before. Where modules make room, those of a buyer who has seen one
have another order: there each lower priority is a turn of its own, for the few rows that have it.
The same order and the same reasons as one visitor's page has (`fill_loops.py`): there a step is a
module of one buyer, here all buyers of one module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import bits, jit
from segengine.pages import census_loops
from segengine.pages import fill_loops as at
from segengine.pages.census_rules import PageRules
from segengine.pages.census_seen import Impressions
from segengine.pages.pool_rank import pool_nonempty
from segengine.pages.ready import CheckedModule, CheckedPage
from segengine.rules.frame import Words
from segengine.rules.segment import View, rows_of

Progress = Callable[[int, int], object]
"""Is told how many modules of how many have been asked; what it raises ends the census."""

_CHUNK = 1 << 14
_SEED = 0x5E6E_0000_0001
_ALL = (1 << 64) - 1
Turn = tuple[int, int, int, int, int]
"""Fallback or not, the priority turned round, the place among equals, the module, the level."""


@dataclass(slots=True)
class Outcome:
    """What came of a module in a slot: these numbers of buyers add up to all.

    arms: reach by variant. seen: where nobody sees it, what those see who could have, by the
    place of each module in the slot, from 1.
    """

    checked: CheckedModule
    reach: int = 0
    outranked: int = 0
    already_shown: int = 0
    held_out: int = 0
    capped: int = 0
    not_eligible: int = 0
    inactive: int = 0
    arms: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    seen: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Walked:
    """slots: each with its modules in their order, and how many buyers find it empty.

    pages: uint64[rows], equal where two buyers see the same modules and variants.
    live: uint64[words], who are buyers.
    """

    slots: tuple[tuple[str, tuple[Outcome, ...], int], ...]
    pages: NDArray[np.uint64]
    live: Words


def key_of(slot: int, choice: int, arm: int) -> int:
    """The 64 bits that a module mixes into the page of whoever sees it, in a variant.

    They are as good as random (the steps of SplitMix64), so that two different pages are taken
    for one with a chance of 2**-64; any two of n different ones, of n**2 / 2**65 at most: with
    five million different pages, of 7 in ten million.
    """
    found = _SEED
    for part in (slot, choice, arm):
        found = (found + part + 1) * 0x9E3779B97F4A7C15 & _ALL
        found = (found ^ found >> 30) * 0xBF58476D1CE4E5B9 & _ALL
        found = (found ^ found >> 27) * 0x94D049BB133111EB & _ALL
        found ^= found >> 31
    return found


def walk(
    checked: CheckedPage,
    view: View,
    context: Mapping[str, str],
    progress: Progress | None = None,
) -> Walked:
    """Every buyer's page, slot by slot."""
    told = progress or _silent
    work = _Walk(checked, view, context, told)
    ends = checked.ends.tolist()
    slots = []
    for slot, (name, _) in enumerate(checked.slots):
        outcomes = work.fill(slot, range(ends[slot], ends[slot + 1]))
        slots.append((name, outcomes, work.without()))
    told(len(checked.modules), len(checked.modules))
    return Walked(tuple(slots), work.pages, work.live)


def _silent(done: int, of: int) -> None:
    del done, of


class _Walk:
    """A census at work: who is without a module in this slot, and who saw what in those before."""

    def __init__(
        self, checked: CheckedPage, view: View, context: Mapping[str, str], progress: Progress
    ) -> None:
        population, clock = view.population, view.clock
        self._checked, self._view, self._progress = checked, view, progress
        self.live: Words = population.customers.live[: (population.rows + 63) // 64].copy()
        self.pages = np.zeros(population.rows, np.uint64)
        self._winner = np.zeros(population.rows, np.int32)
        self._open = self.live
        self._active = checked.active_at(clock.as_of, clock.zone).bits
        self._table = checked.table
        self._last = {int(row[at.NAME]): place for place, row in enumerate(self._table)}
        self._shown: dict[int, list[NDArray[np.int64]]] = {}
        self._shown_by_many: dict[int, list[Words]] = {}
        self._impressions = Impressions(checked.watches, view) if checked.watches else None
        asked = [int(row[at.RULE]) for row in self._table[self._active.astype(np.bool_)]]
        asked = [place for place in asked if place < len(checked.rules)]
        if checked.rule is not None:
            asked.append(0)
        self._rules = PageRules(checked.rules, asked, view, context)
        self._page = None if checked.rule is None else self._rules.words(0)
        self._done = self._slot = self._begin = 0

    def without(self) -> int:
        """How many buyers are without a module in this slot."""
        return _count(self._open)

    def fill(self, slot: int, places: range) -> tuple[Outcome, ...]:
        """Give each buyer the first module of a slot that they may see."""
        self._slot, self._begin = slot, places.start
        self._winner[:] = 0
        self._open = self.live.copy()
        found = [self._outcome(place, len(places)) for place in places]
        turns = [self._turn(place, 0) for place in places]
        heapify(turns)
        rows_at: dict[tuple[int, int], NDArray[np.int64]] = {}
        while turns:
            *_, place, level = heappop(turns)
            outcome = found[place - places.start]
            if level:
                self._take_rows(place, outcome, rows_at.pop((place, level)))
                continue
            self._progress(self._done, len(self._table))
            self._done += 1
            eligible, faded = self._eligible(place, outcome)
            outcome.outranked = _count(eligible)
            for deeper, rows in _levels(faded, int(self._table[place, at.AFTER]), eligible):
                rows_at[place, deeper] = rows
                heappush(turns, self._turn(place, deeper))
                bits.clear_rows(rows, eligible)
            self._take(place, outcome, eligible)
        for outcome in found:
            outcome.outranked -= outcome.reach
        return tuple(found)

    def _outcome(self, place: int, modules: int) -> Outcome:
        checked = self._checked.modules[place]
        arms = np.zeros(len(checked.module.variants), np.int64)
        return Outcome(checked, arms=arms, seen=np.zeros(modules + 1, np.int64))

    def _turn(self, place: int, level: int) -> Turn:
        row = self._table[place]
        rank = int(row[at.PRIORITY]) - level * int(row[at.FADES])
        return (int(row[at.FALLBACK]), -rank, int(row[at.TIE]), place, level)

    def _eligible(
        self, place: int, found: Outcome
    ) -> tuple[Words, tuple[NDArray[np.int64], NDArray[np.int32]] | None]:
        """Who may see a module; the reasons of the others are counted. And who has seen it."""
        row = self._table[place]
        words = self.live.copy()
        left = _count(words)

        def lost() -> int:
            nonlocal left
            before, left = left, _count(words)
            return before - left

        name = int(row[at.NAME])
        for each in self._shown.get(name, ()):
            bits.clear_rows(each, words)
        for many in self._shown_by_many.get(name, ()):
            words &= ~many
        if self._last[name] == place:
            self._shown.pop(name, None)
            self._shown_by_many.pop(name, None)
        found.already_shown = lost()
        if self._page is not None and not row[at.FALLBACK]:
            words &= self._page
        found.not_eligible = lost()
        if not self._active[place]:
            words[:] = 0
        found.inactive = lost()
        if self._active[place] and row[at.RULE] < len(self._checked.rules):
            words &= self._rules.words(int(row[at.RULE]))
        pool = found.checked.pool
        if pool is not None and self._active[place]:
            words &= pool_nonempty(pool, self._view)
        found.not_eligible += lost()
        faded = None
        if row[at.WATCH] >= 0 and self._impressions is not None and left:
            counts = self._impressions.of(int(row[at.WATCH]))
            limit = int(row[at.CAP])
            if limit == 0:
                words[:] = 0
            elif limit > 0:
                bits.clear_rows(counts.rows[counts.capped >= limit], words)
            faded = counts.rows, counts.faded
        found.capped = lost()
        if row[at.HELD_BELOW]:
            salt = found.checked.module.salt + ":holdout"
            for rows in _in_parts(words):
                bits.clear_rows(rows[self._buckets(salt, rows) < row[at.HELD_BELOW]], words)
        found.held_out = lost()
        return words, faded

    def _take(self, place: int, found: Outcome, eligible: Words) -> None:
        """Place a module for whoever may see it and has none yet; else count what they see."""
        won = eligible & self._open
        reach = _count(won)
        if not reach:
            if found.outranked:
                census_loops.tally_words(eligible, self._winner, found.seen)
            return
        self._open &= ~won
        self._show(place, found, reach, words=won)
        if len(found.arms):
            for rows in _in_parts(won):
                self._place(place, found, rows)
            return
        choice = place - self._begin + 1
        key = np.uint64(key_of(self._slot, choice, 0))

        def work(begin: int, end: int) -> None:
            first, last = begin // 64, (end + 63) // 64
            census_loops.place_words(won, first, last, choice, key, self._winner, self.pages)

        jit.over_ranges(work, len(self.pages))

    def _take_rows(self, place: int, found: Outcome, rows: NDArray[np.int64]) -> None:
        """The same for rows that have a turn of their own."""
        free = _are_in(rows, self._open)
        found.seen += np.bincount(self._winner[rows[~free]], minlength=len(found.seen))
        rows = rows[free]
        if len(rows):
            bits.clear_rows(rows, self._open)
            self._show(place, found, len(rows), rows=rows)
            self._place(place, found, rows)

    def _place(self, place: int, found: Outcome, rows: NDArray[np.int64]) -> None:
        """Let these buyers see a module, each in the variant of their bucket."""
        choice, checked = place - self._begin + 1, found.checked
        arms, reach = np.zeros(len(rows), np.int16), np.zeros(1, np.int64)
        if checked.arms is not None:
            arms, reach = checked.arms[self._buckets(checked.module.salt, rows)], found.arms
        keys = [key_of(self._slot, choice, arm) for arm in range(len(reach))]
        census_loops.place_rows(
            rows, arms, choice, np.array(keys, np.uint64), self._winner, self.pages, reach
        )

    def _show(
        self,
        place: int,
        found: Outcome,
        reach: int,
        *,
        words: Words | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Count who sees a module, and remember it where the module stands in a slot to come.

        A bitmap of few is kept as their rows: whatever the page, what is remembered of a slot is
        a few bytes a buyer.
        """
        found.reach += reach
        name = int(self._table[place, at.NAME])
        if self._last[name] <= place:
            return
        if words is not None and reach < len(words):
            rows, words = rows_of(words), None
        if words is not None:
            self._shown_by_many.setdefault(name, []).append(words)
        if rows is not None:
            self._shown.setdefault(name, []).append(rows)

    def _buckets(self, salt: str, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        return self._view.population.buckets.of_rows(salt, rows)


def _levels(
    faded: tuple[NDArray[np.int64], NDArray[np.int32]] | None, after: int, eligible: Words
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Those of a bitmap who have seen a module often enough, by how often: (level, rows)."""
    if faded is None or not after:
        return
    rows, counts = faded
    levels = counts // after
    wanted = (levels > 0) & _are_in(rows, eligible)
    rows, levels = rows[wanted], levels[wanted]
    order = np.argsort(levels, kind="stable")
    found, begins = np.unique(levels[order], return_index=True)
    yield from zip(found.tolist(), np.split(rows[order], begins[1:]), strict=False)


def _are_in(rows: NDArray[np.int64], words: Words) -> NDArray[np.bool_]:
    return (words[rows >> 6] >> (rows & 63).astype(np.uint64)) & np.uint64(1) == 1


def _count(words: Words) -> int:
    return int(bits.count_bits(words))


def _in_parts(words: Words) -> Iterator[NDArray[np.int64]]:
    """The rows of a bitmap, at most about a million at a time."""
    for begin in range(0, len(words), _CHUNK):
        part = words[begin : begin + _CHUNK]
        if part.any():
            yield rows_of(part) + 64 * begin
