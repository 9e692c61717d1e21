"""For whom does each rule of a page hold, as of one request?

A page of a thousand modules has a thousand bitmaps: they are made one by one and dropped after
their last use, and so are those of conditions that several rules share, so that what is held at
once stays within a budget, whatever the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from segengine.rules.evaluate import bitmap
from segengine.rules.frame import Words
from segengine.rules.plan import Node, Plan, leaves
from segengine.rules.request import with_context
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule

BUDGET = 256 << 20


class PageRules:
    """The bitmaps of some rules by their place, each asked for as often as was said.

    asked: the place of a rule for each time that it will be asked for. budget: bytes of bitmaps
    that are kept for another use; what does not fit is made again.
    """

    def __init__(
        self,
        rules: Sequence[CheckedRule],
        asked: Sequence[int],
        view: View,
        context: Mapping[str, str],
        budget: int = BUDGET,
    ) -> None:
        self._view = view
        self._budget = budget
        self._uses: Counter[Node] = Counter()
        self._kept: dict[Node, Words] = {}
        self._plans: dict[int, Plan] = {}
        for place, times in Counter(asked).items():
            plan = view.plan_of(with_context(rules[place].term, context))
            self._plans[place] = plan
            if not self._uses[plan.root]:
                self._uses.update(set(leaves(plan.root)) - {plan.root})
            self._uses[plan.root] += times

    def words(self, place: int) -> Words:
        """The buyers for whom a rule holds; not to be written into."""
        plan = self._plans[place]
        found = self._kept.get(plan.root)
        if found is None:
            found = self._view.population.words(plan, self._shared)
            self._keep(plan.root, found)
        self._used(plan.root)
        return found

    @property
    def held(self) -> int:
        """Bytes of the bitmaps that are kept."""
        return sum(words.nbytes for words in self._kept.values())

    def _shared(self, node: Node) -> Words | None:
        """The bitmap of a condition that more than one rule has; None for any other."""
        found = self._kept.get(node)
        if found is None and self._uses[node] > 1 and self.held < self._budget:
            found = bitmap(node, self._view.population, self._view.clock)
            self._keep(node, found)
        self._used(node)
        return found

    def _keep(self, node: Node, words: Words) -> None:
        if self._uses[node] > 1 and self.held + words.nbytes <= self._budget:
            self._kept[node] = words

    def _used(self, node: Node) -> None:
        self._uses[node] -= 1
        if self._uses[node] <= 0:
            self._kept.pop(node, None)
