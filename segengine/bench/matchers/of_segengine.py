"""This engine: every rule a segment of the store."""

from __future__ import annotations

from segengine.bench.match_rules import TRAITS, Buyer, Workload, said
from segengine.bench.optional import titled
from segengine.engine import Engine


class SegengineMatcher:
    """`engine.match`: from a customer_id to sorted names."""

    key = "segengine"

    def __init__(self, work: Workload) -> None:
        self.name = titled("segengine", "segengine")
        self._engine = Engine(timezone="UTC")
        columns = {trait: trait for trait in ("customer_id", *TRAITS)}
        self._engine.load("customers", work.customers, columns=columns)
        for rule in work.rules:
            text = " AND ".join(said(c, brackets="()") for c in rule.conditions)
            self._engine.define_segment(rule.name, text)
        self._engine.prepare()

    def match(self, customer_id: int, buyer: Buyer) -> list[str]:
        """The names of the segments."""
        del buyer
        return self._engine.match(customer_id)
