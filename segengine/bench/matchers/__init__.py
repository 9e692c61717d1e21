"""Which engines are asked about one buyer and many rules? One small wrapper each.

Each is used as it is fastest: rules are compiled outside the timing, into one expression where
that helps. The others are handed the buyer's traits as a dict; this engine finds them by id.
"""

from __future__ import annotations

from typing import Any, Protocol

from segengine.bench.match_rules import Buyer
from segengine.bench.matchers.of_cel import Cel
from segengine.bench.matchers.of_growthbook import GrowthBook
from segengine.bench.matchers.of_python import PlainPython
from segengine.bench.matchers.of_rule_engine import RuleEngine
from segengine.bench.matchers.of_segengine import SegengineMatcher
from segengine.bench.matchers.of_zen import ZenEngine


class Matching(Protocol):
    """Names the rules that hold for a buyer."""

    key: str
    name: str

    def match(self, customer_id: int, buyer: Buyer) -> list[str]:
        """The names, in the order of the rules."""
        ...


MATCHING_RIVALS: dict[str, Any] = {
    kind.key: kind for kind in (PlainPython, GrowthBook, Cel, ZenEngine, RuleEngine)
}

__all__ = ["MATCHING_RIVALS", "Matching", "SegengineMatcher"]
