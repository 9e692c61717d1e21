"""How large may a rule be that somebody sends? As large as one that somebody would write.

The engine reads rules up to a size of its own; a server that many may ask admits less, as planning
a rule of thousands of conditions takes seconds. What is counted is what joins them, so that it
takes no time: an AND within a text counts too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from segengine_server.errors import RequestError, Violation

_JOINS = re.compile(r"\b(?:and|or|when)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RuleSize:
    """The most bytes and conditions of one rule."""

    bytes: int = 64 << 10
    conditions: int = 1_000

    def admit(self, rule: str) -> str:
        """The rule; `RequestError` for one that is too large."""
        size = len(rule.encode("utf-8", "replace"))
        if size > self.bytes:
            raise RequestError(Violation(
                "rule", f"has {size:,} bytes, at most {self.bytes:,} are read; load a long list "
                "as a column, and compare with that",
            ))  # fmt: skip
        if size // 4 >= self.conditions:
            found = 1 + sum(1 for _ in _JOINS.finditer(rule))
            if found > self.conditions:
                raise RequestError(Violation(
                    "rule", f"joins {found:,} conditions, at most {self.conditions:,} are read; "
                    "write a list as `IN (...)`, or load it as a column",
                ))  # fmt: skip
        return rule
