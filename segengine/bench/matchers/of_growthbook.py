"""GrowthBook: targeting conditions of its Python SDK."""

from __future__ import annotations

from typing import Any

from segengine.bench.match_rules import Buyer, Condition, Workload
from segengine.bench.optional import module, titled

_OPERATORS = {"<=": "$lte", ">=": "$gte", "<": "$lt", ">": "$gt", "in": "$in"}


class GrowthBook:
    """`evalCondition`, once a rule."""

    key = "growthbook"

    def __init__(self, work: Workload) -> None:
        self._holds: Any = module("growthbook.core").evalCondition
        self.name = titled("GrowthBook", "growthbook")
        self._rules = [
            (rule.name, {c.trait: _said(c) for c in rule.conditions}) for rule in work.rules
        ]

    def match(self, customer_id: int, buyer: Buyer) -> list[str]:
        """One call a rule."""
        del customer_id
        holds = self._holds
        return [name for name, condition in self._rules if holds(buyer, condition)]


def _said(condition: Condition) -> object:
    if condition.op == "is":
        return condition.value
    value = condition.value
    return {_OPERATORS[condition.op]: list(value) if isinstance(value, tuple) else value}
