"""CEL, by its Rust implementation: the rules as one list of booleans."""

from __future__ import annotations

from itertools import compress
from typing import Any

from segengine.bench.match_rules import Buyer, Workload, said
from segengine.bench.optional import module, titled


class Cel:
    """One program for all rules: the buyer is converted once, not once a rule."""

    key = "cel"

    def __init__(self, work: Workload) -> None:
        cel = module("cel")
        self.name = titled("CEL", "common-expression-language")
        self._names = [rule.name for rule in work.rules]
        rules = (" && ".join(map(said, rule.conditions)) for rule in work.rules)
        self._program: Any = cel.compile(f"[{', '.join(rules)}]")

    def match(self, customer_id: int, buyer: Buyer) -> list[str]:
        """One execution."""
        del customer_id
        return list(compress(self._names, self._program.execute(buyer)))
