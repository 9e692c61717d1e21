"""How much of each cap is used up, while campaigns take buyers one after the other?

For each cap a thermometer: bitmaps of those who have had at least n messages, for the few n below
the limit that so many campaigns can still matter for. Whom a campaign wins rises by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from segengine.audiences.asking import Asking
from segengine.audiences.campaign import Campaign
from segengine.audiences.caps import binding, counts_towards, used
from segengine.kernels import bits
from segengine.rules.frame import Words
from segengine.schema.cap_settings import Cap


class CapUse:
    """The caps that bind any of some campaigns, and who has had how much of each."""

    def __init__(self, campaigns: Sequence[Campaign], asking: Asking) -> None:
        self._binds = {c.name: binding(c, asking.policy.caps) for c in campaigns}
        self.caps = tuple(dict.fromkeys(cap for caps in self._binds.values() for cap in caps))
        self._levels: dict[Cap, list[Words]] = {}
        self._least: dict[Cap, int] = {}
        for cap in self.caps:
            # INVARIANT: a level is right after as many wins as it is above the lowest one. So the
            # one at the limit is right until the last of the campaigns that count has won.
            counting = sum(counts_towards(c, cap) for c in campaigns)
            least = max(cap.limit - counting, 1)
            self._least[cap] = least
            self._levels[cap] = [
                used(cap, times, asking) for times in range(least, cap.limit + 1)
            ] or [used(cap, 0, asking)]

    def binding(self, campaign: Campaign) -> tuple[Cap, ...]:
        """The caps that bind a campaign."""
        return self._binds[campaign.name]

    def full(self, cap: Cap) -> Words:
        """Those who have had as much as a cap allows."""
        return self._levels[cap][-1]

    def allowed(self, words: Words, campaign: Campaign) -> Words:
        """Those of a bitmap whom no cap keeps from a campaign."""
        for cap in self.binding(campaign):
            words = words & ~self.full(cap)
        return words

    def win(self, words: Words, campaign: Campaign) -> None:
        """Count a message of a campaign to these buyers."""
        for cap in self.caps:
            levels = self._levels[cap]
            if not counts_towards(campaign, cap):
                continue
            for place in range(len(levels) - 1, 0, -1):
                levels[place] = levels[place] | (words & levels[place - 1])
            if self._least[cap] == 1:
                levels[0] = levels[0] | words

    def counts_of(self, cap: Cap, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """How much of a cap each of some rows has used, or less than can matter: int32[n]."""
        counts = np.full(len(rows), self._least[cap] - 1, np.int32)
        for level in self._levels[cap]:
            counts += bits_of(level, rows)
        return counts


def bits_of(words: Words, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each of some rows is in a bitmap: bool[n]."""
    found = np.empty(len(rows), np.bool_)
    bits.bits_at(words, rows, found)
    return found


def shared(campaigns: Iterable[Campaign], cap: Cap, use: CapUse) -> list[Campaign]:
    """The campaigns that take from each other what a cap allows; none where nothing is taken."""
    found = list(campaigns)
    bound = [c for c in found if cap in use.binding(c)]
    counting = [c for c in found if counts_towards(c, cap)]
    if not bound or not counting:
        return []
    return [c for c in found if c in bound or c in counting]
