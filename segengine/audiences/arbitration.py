"""Which of several campaigns gets a buyer, where caps do not leave room for all?

Campaigns compete through caps alone: whom one wins, held out or not, counts towards the caps of
those after it. The order is written: `priority`, the higher first, then the buyer's higher value,
then the name; or `value`, missing last, then priority, then the name.

Each buyer goes to the campaigns that want it in its own order, within the caps. Then the first
campaign, by priority and name, to which more come than its limit or budget allows keeps the first
of them by its own order and rejects the others for good, who choose anew; until nobody is rejected.
So a higher priority is settled before a lower one begins, and where all buyers have one order,
campaigns take one after the other: that is done by bitmaps, without a look at single buyers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.audiences import arbitration_loops
from segengine.audiences.asking import Asking, CheckedCampaign
from segengine.audiences.cap_use import CapUse, bits_of, shared
from segengine.audiences.caps import counts_towards
from segengine.audiences.ledger import Step, counted_causes
from segengine.audiences.limit import limited, of_rows
from segengine.kernels import jit
from segengine.rules.block import NO_INT
from segengine.rules.evaluate import values_of
from segengine.rules.frame import Words
from segengine.rules.segment import View, rows_of
from segengine.rules.term import Term
from segengine.schema.kinds import Kind

WAYS = ("priority", "value")
_UNUSED = "no cap was used up before it"


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """A campaign with those whom its own steps leave in."""

    checked: CheckedCampaign
    words: Words

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self.checked.campaign.name


@dataclass(frozen=True, slots=True, eq=False)
class Won:
    """What a campaign comes to: the steps `arbitration` and `limit`."""

    arbitration: Step
    limit: Step


@dataclass(slots=True, eq=False)
class _Course:
    """Who has won whom so far."""

    asking: Asking
    use: CapUse
    won: list[tuple[Contender, Words]] = field(default_factory=list)
    found: dict[str, Won] = field(default_factory=dict)

    def settle(self, one: Contender, chosen: Words, limit: Step, ahead: _Ahead) -> None:
        """Write down a campaign's steps: it was chosen by these, and keeps those of `limit`."""
        causes = self._causes(one, one.words & ~chosen, ahead)
        reason = counted_causes(causes, "")
        reason = f"caps used up by {reason}" if reason else _UNUSED
        told = tuple((f"caps used up by {name}", words) for name, words in causes)
        self.found[one.name] = Won(Step(chosen, reason, told), limit)

    def _causes(self, one: Contender, lost: Words, ahead: _Ahead) -> list[tuple[str, Words]]:
        """By whom those whom a campaign lost were won, where that used up a cap that binds it."""
        if not lost.any():
            return []
        causes = []
        for other, winners in self.won:
            if other is one:
                continue
            full = np.zeros_like(lost)
            for cap in self.use.binding(one.checked.campaign):
                if counts_towards(other.checked.campaign, cap):
                    full |= self.use.full(cap)
            words = lost & winners & full
            if words.any():
                words = ahead.kept(words, other, one)
            if words.any():
                causes.append((other.name, words))
        return causes


def arbitrate(contenders: Sequence[Contender], by: str, asking: Asking) -> dict[str, Won]:
    """What each campaign comes to, by name; the order they are given in says nothing."""
    ranked = sorted(contenders, key=lambda c: (-c.checked.campaign.priority, c.name))
    course = _Course(asking, CapUse([c.checked.campaign for c in ranked], asking))
    for tied in _tied(ranked, by):
        if _have_one_order(tied):
            for one in tied:
                _take(one, course)
        else:
            _in_rounds(tied, course)
    return course.found


def order_of(campaigns: Sequence[CheckedCampaign]) -> tuple[str, ...]:
    """Names by priority, then by name: the order where no buyer's value says otherwise."""
    ranked = sorted(campaigns, key=lambda c: (-c.campaign.priority, c.campaign.name))
    return tuple(each.campaign.name for each in ranked)


def _tied(ranked: list[Contender], by: str) -> list[list[Contender]]:
    """Those between whom a buyer's value decides, first things first."""
    if by == "value":
        return [ranked]
    groups = groupby(ranked, key=lambda c: c.checked.campaign.priority)
    return [list(group) for _, group in groups]


def _have_one_order(tied: list[Contender]) -> bool:
    """Whether every buyer would take them as they are ranked."""
    return len({each.checked.value for each in tied}) == 1


def _take(one: Contender, course: _Course) -> None:
    """A campaign takes whom the caps still leave it, up to its limit and budget."""
    chosen = course.use.allowed(one.words, one.checked.campaign)
    limit = limited(chosen, one.checked, course.asking)
    course.settle(one, chosen, limit, _Ahead())
    course.won.append((one, limit.words))
    course.use.win(limit.words, one.checked.campaign)


@dataclass(slots=True, eq=False)
class _Ahead:
    """Whom a buyer's own order sends to one campaign before another; empty: as they come."""

    tied: list[Contender] = field(default_factory=list)
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    def kept(self, words: Words, first: Contender, second: Contender) -> Words:
        """Those of a bitmap to whom `first` comes before `second`."""
        if first not in self.tied:
            return words
        place, other = self.tied.index(first), self.tied.index(second)
        mine, theirs = self.values[:, place], self.values[:, other]
        before = (mine > theirs) | (~np.isnan(mine) & np.isnan(theirs))
        if place < other:
            before |= (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        return words & of_rows(self.rows[before], len(words))


def _in_rounds(tied: list[Contender], course: _Course) -> None:
    """Campaigns whose order is each buyer's own take until nobody is rejected any more."""
    asking, use = course.asking, course.use
    contested = _contested(tied, use)
    rows = rows_of(contested)
    values = _values(tied, rows, asking.view)
    is_open = np.stack([bits_of(each.words, rows) for each in tied], axis=1)
    chosen = np.zeros_like(is_open)
    rules = _Rules.of(tied, use, rows)
    sure = [use.allowed(c.words, c.checked.campaign) & ~contested for c in tied]
    rejected = [np.zeros_like(contested) for _ in tied]
    limits = [Step(words, "") for words in sure]
    rules.choose(np.arange(len(rows)), values, is_open, chosen)
    stale = set(range(len(tied)))
    while stale:
        place = min(stale)
        came = sure[place] | of_rows(rows[chosen[:, place]], len(contested))
        limits[place] = limited(came, tied[place].checked, asking)
        stale.remove(place)
        out = came & ~limits[place].words
        if not out.any():
            continue
        rejected[place] |= out
        sure[place] = sure[place] & ~out
        lost = bits_of(out, rows)
        is_open[lost, place] = False
        which = np.flatnonzero(lost)
        before = chosen[which]
        rules.choose(which, values, is_open, chosen)
        stale |= set(np.flatnonzero((before != chosen[which]).any(axis=0)).tolist()) - {place}
    for each, limit in zip(tied, limits, strict=True):
        course.won.append((each, limit.words))
        use.win(limit.words, each.checked.campaign)
    ahead = _Ahead(tied, rows, values)
    for each, limit, out in zip(tied, limits, rejected, strict=True):
        course.settle(each, limit.words | out, limit, ahead)


def _contested(tied: list[Contender], use: CapUse) -> Words:
    """Those whom at least two of these campaigns want that share a cap."""
    found = np.zeros_like(tied[0].words)
    by_name = {each.name: each for each in tied}
    for cap in use.caps:
        once = np.zeros_like(found)
        for campaign in shared([c.checked.campaign for c in tied], cap, use):
            words = by_name[campaign.name].words
            found |= once & words
            once |= words
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Rules:
    """Caps as arrays: what is used, what is allowed, whom they bind and what they count."""

    used: NDArray[np.int32]
    limits: NDArray[np.int32]
    binds: NDArray[np.bool_]
    counts: NDArray[np.bool_]

    @staticmethod
    def of(tied: list[Contender], use: CapUse, rows: NDArray[np.int64]) -> _Rules:
        """The caps as they stand for these rows."""
        campaigns = [each.checked.campaign for each in tied]
        shape = (len(campaigns), len(use.caps))
        used = np.empty((len(rows), len(use.caps)), np.int32)
        for place, cap in enumerate(use.caps):
            used[:, place] = use.counts_of(cap, rows)
        binds = [cap in use.binding(c) for c in campaigns for cap in use.caps]
        counts = [counts_towards(c, cap) for c in campaigns for cap in use.caps]
        return _Rules(
            used, np.array([cap.limit for cap in use.caps], np.int32),
            np.array(binds, np.bool_).reshape(shape), np.array(counts, np.bool_).reshape(shape),
        )  # fmt: skip

    def choose(
        self,
        which: NDArray[np.int64],
        values: NDArray[np.float64],
        is_open: NDArray[np.bool_],
        chosen: NDArray[np.bool_],
    ) -> None:
        """Let some buyers choose, anew or for the first time."""
        jit.over_ranges(
            lambda begin, end: arbitration_loops.choose(
                which[begin:end], values, is_open, self.used, self.limits, self.binds,
                self.counts, chosen,
            ),
            len(which),
        )  # fmt: skip


def _values(tied: list[Contender], rows: NDArray[np.int64], view: View) -> NDArray[np.float64]:
    """What each row is worth to each campaign, as doubles, NaN where that is missing."""
    found = np.full((len(rows), len(tied)), np.nan)
    done: dict[Term, NDArray[np.float64]] = {}
    for place, each in enumerate(tied):
        term = each.checked.value
        if term is None or term.kind is None:
            continue
        if term not in done:
            done[term] = _worth(term, rows, view)
        found[:, place] = done[term]
    return found


def _worth(term: Term, rows: NDArray[np.int64], view: View) -> NDArray[np.float64]:
    values: Any = values_of(term, view.population, rows, view.clock)
    if term.kind is Kind.DOUBLE:
        return np.asarray(values, np.float64)
    missing = values == np.iinfo(values.dtype).min
    unit = 10**view.population.money_scale if term.kind is Kind.MONEY else 1
    return np.where(missing | (values == NO_INT), np.nan, values / unit)
