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
from segengine.schema.cap_settings import Cap
from segengine.schema.kinds import Kind

WAYS = ("priority", "value")
Cause = tuple[str, Words]
"""A campaign's name, and whom it won."""
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

    def settle(
        self, one: Contender, chosen: Words, limit: Step, tied: Sequence[Cause] = ()
    ) -> None:
        """Write down a campaign's steps: it was chosen by these, and keeps those of `limit`.

        tied: whom it lost to campaigns of its own rank.
        """
        causes = [*self._causes(one, one.words & ~chosen), *tied]
        reason = counted_causes(causes, "")
        reason = f"caps used up by {reason}" if reason else _UNUSED
        told = tuple((f"caps used up by {name}", words) for name, words in causes)
        self.found[one.name] = Won(Step(chosen, reason, told), limit)

    def _causes(self, one: Contender, lost: Words) -> list[Cause]:
        """By whom those whom a campaign lost were won, where that used up a cap that binds it."""
        causes: list[Cause] = []
        if not lost.any():
            return causes
        binding = self.use.binding(one.checked.campaign)
        full: dict[tuple[Cap, ...], Words] = {}
        for other, winners in self.won:
            caps = tuple(c for c in binding if counts_towards(other.checked.campaign, c))
            if caps not in full:
                words = np.zeros_like(lost)
                for cap in caps:
                    words |= self.use.full(cap)
                full[caps] = words & lost
            found = full[caps] & winners
            if found.any():
                causes.append((other.name, found))
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
    course.settle(one, chosen, limit)
    course.won.append((one, limit.words))
    course.use.win(limit.words, one.checked.campaign)


def _in_rounds(tied: list[Contender], course: _Course) -> None:
    """Campaigns whose order is each buyer's own take until nobody is rejected any more."""
    asking, use = course.asking, course.use
    contested = _contested(tied, use)
    found = _Choices.of(tied, rows_of(contested), course)
    sure = [use.allowed(c.words, c.checked.campaign) & ~contested for c in tied]
    rejected = [np.zeros_like(contested) for _ in tied]
    limits = [Step(words, "") for words in sure]
    found.choose(np.arange(len(found.rows)))
    stale = set(range(len(tied)))
    while stale:
        place = min(stale)
        came = sure[place] | of_rows(found.rows[found.chosen[place]], len(contested))
        limits[place] = limited(came, tied[place].checked, asking)
        stale.remove(place)
        out = came & ~limits[place].words
        if not out.any():
            continue
        rejected[place] |= out
        sure[place] = sure[place] & ~out
        which = np.flatnonzero(bits_of(out, found.rows))
        found.is_open[place, which] = False
        before = found.chosen[:, which]
        found.choose(which)
        moved = (before != found.chosen[:, which]).any(axis=1)
        stale |= set(np.flatnonzero(moved).tolist()) - {place}
    for each, limit in zip(tied, limits, strict=True):
        use.win(limit.words, each.checked.campaign)
    lost: list[list[tuple[int, Words]]] = [[] for _ in tied]

    def find(place: int) -> None:
        kept = limits[place].words | rejected[place]
        lost[place] = found.lost_to(place, tied[place].words & ~kept)

    jit.each(find, len(tied))
    for place, (each, limit, out) in enumerate(zip(tied, limits, rejected, strict=True)):
        causes = [(tied[rival].name, words) for rival, words in lost[place]]
        course.settle(each, limit.words | out, limit, causes)
    course.won += [(each, limit.words) for each, limit in zip(tied, limits, strict=True)]


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
class _Choices:
    """What single buyers choose from, and what they chose; arrays as in `arbitration_loops`."""

    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    is_open: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    used: NDArray[np.int32]
    limits: NDArray[np.int32]
    binds: NDArray[np.bool_]
    counts: NDArray[np.bool_]

    @staticmethod
    def of(tied: list[Contender], rows: NDArray[np.int64], course: _Course) -> _Choices:
        """The choices of these rows as the caps stand, before any is made."""
        use, campaigns = course.use, [each.checked.campaign for each in tied]
        is_open = np.stack([bits_of(each.words, rows) for each in tied])
        used = np.empty((len(use.caps), len(rows)), np.int32)
        for place, cap in enumerate(use.caps):
            used[place] = use.counts_of(cap, rows)
        shape = (len(campaigns), len(use.caps))
        binds = [cap in use.binding(c) for c in campaigns for cap in use.caps]
        counts = [counts_towards(c, cap) for c in campaigns for cap in use.caps]
        return _Choices(
            rows, _values(tied, rows, course.asking.view), is_open, np.zeros_like(is_open), used,
            np.array([cap.limit for cap in use.caps], np.int32),
            np.array(binds, np.bool_).reshape(shape), np.array(counts, np.bool_).reshape(shape),
        )  # fmt: skip

    def choose(self, which: NDArray[np.int64]) -> None:
        """Let some buyers choose, anew or for the first time."""
        jit.over_ranges(
            lambda begin, end: arbitration_loops.choose(
                which[begin:end], self.values, self.is_open, self.used, self.limits, self.binds,
                self.counts, self.chosen,
            ),
            len(which),
        )  # fmt: skip

    def lost_to(self, place: int, lost: Words) -> list[tuple[int, Words]]:
        """The rivals, by place, to whom a campaign lost buyers, and those buyers."""
        which = np.flatnonzero(bits_of(lost, self.rows))
        found = np.zeros((len(self.chosen), len(lost)), np.uint64)
        arbitration_loops.winners(
            np.int64(place), which, self.rows, self.values, self.chosen, self.used, self.limits,
            self.binds, self.counts, found,
        )  # fmt: skip
        # Copies: a view would keep the bitmaps of all rivals.
        return [(k, words.copy()) for k, words in enumerate(found) if words.any()]


def _values(tied: list[Contender], rows: NDArray[np.int64], view: View) -> NDArray[np.float64]:
    """What each row is worth to each campaign: [campaigns, rows], NaN where that is missing."""
    found = np.full((len(tied), len(rows)), np.nan)
    done: dict[Term, NDArray[np.float64]] = {}
    for place, each in enumerate(tied):
        term = each.checked.value
        if term is None or term.kind is None:
            continue
        if term not in done:
            done[term] = _worth(term, rows, view)
        found[place] = done[term]
    return found


def _worth(term: Term, rows: NDArray[np.int64], view: View) -> NDArray[np.float64]:
    values: Any = values_of(term, view.population, rows, view.clock)
    if term.kind is Kind.DOUBLE:
        return np.asarray(values, np.float64)
    missing = values == np.iinfo(values.dtype).min
    unit = 10**view.population.money_scale if term.kind is Kind.MONEY else 1
    return np.where(missing | (values == NO_INT), np.nan, values / unit)
