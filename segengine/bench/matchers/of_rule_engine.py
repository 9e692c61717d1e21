"""rule-engine, in Python."""

from __future__ import annotations

from segengine.bench.match_rules import Buyer, Workload, said
from segengine.bench.optional import module, titled


class RuleEngine:
    """A parsed rule each."""

    key = "rule_engine"

    def __init__(self, work: Workload) -> None:
        rule_engine = module("rule_engine")
        self.name = titled("rule-engine", "rule-engine")
        self._rules = [
            (rule.name, rule_engine.Rule(" and ".join(map(said, rule.conditions))))
            for rule in work.rules
        ]

    def match(self, customer_id: int, buyer: Buyer) -> list[str]:
        """One call a rule."""
        del customer_id
        return [name for name, rule in self._rules if rule.matches(buyer)]
