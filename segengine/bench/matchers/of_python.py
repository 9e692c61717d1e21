"""Plain Python: all rules as one generated function, the traits its local variables."""

from __future__ import annotations

from typing import Any

from segengine.bench.match_rules import TRAITS, Buyer, Workload, said


class PlainPython:
    """Four times as fast as a lambda a rule, which pays for a call and a dict each time."""

    key = "python"

    def __init__(self, work: Workload) -> None:
        import platform  # noqa: PLC0415 - for the name alone

        self.name = f"plain Python {platform.python_version()}"
        lines = [f"def match({', '.join(TRAITS)}):", " found = []", " add = found.append"]
        for rule in work.rules:
            conditions = " and ".join(said(c, brackets="{}") for c in rule.conditions)
            lines.append(f" if {conditions}: add({rule.name!r})")
        space: dict[str, Any] = {}
        exec("\n".join([*lines, " return found"]), space)  # noqa: S102 - our own text
        self._match = space["match"]

    def match(self, customer_id: int, buyer: Buyer) -> list[str]:
        """One call."""
        del customer_id
        found: list[str] = self._match(**buyer)
        return found
