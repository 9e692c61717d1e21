"""How large may a rule be that somebody sends? As large as one that somebody would write.

The engine reads rules up to a size of its own; a server that many may ask admits less, as planning
a rule of thousands of conditions takes seconds. What is counted is what joins them, so that it
takes no time: an AND within a text counts too. Each rule of a definition is bounded by itself: a
page may have thousands of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from segengine.written import CAMPAIGN, PAGE, SEGMENT, TRAIT
from segengine_server.errors import RequestError, Violation

_JOINS = re.compile(r"\b(?:and|or|when)\b", re.IGNORECASE)
_RULES_OF = {
    SEGMENT: ("rule",),
    TRAIT: ("expression",),
    CAMPAIGN: ("segment", "value", "order_by", "goal"),
    PAGE: ("rule",),
}
"""Settings of each kind of definition that are read as a rule, or as an expression."""


@dataclass(frozen=True, slots=True)
class RuleSize:
    """The most bytes and conditions of one rule."""

    bytes: int = 64 << 10
    conditions: int = 1_000

    def admit(self, rule: str) -> str:
        """The rule; `RequestError` for one that is too large."""
        if wrong := self._wrong_with(rule):
            raise RequestError(Violation("rule", wrong))
        return rule

    def admit_all(self, kind: str, written: Mapping[str, Any]) -> None:
        """`RequestError` for a definition with rules that are too large, with the place of each.

        written: as on the wire; what is no rule's text there is for whoever reads it to refuse.
        """
        found = ((place, self._wrong_with(rule)) for place, rule in _rules(kind, written))
        too_large = [Violation(place, wrong) for place, wrong in found if wrong]
        if too_large:
            raise RequestError(*too_large)

    def _wrong_with(self, rule: str) -> str:
        """What is too large of it; empty where nothing is."""
        size = len(rule.encode("utf-8", "replace"))
        if size > self.bytes:
            return (
                f"has {size:,} bytes, at most {self.bytes:,} are read; load a long list as a "
                "column, and compare with that"
            )
        if size // 4 >= self.conditions:
            found = 1 + sum(1 for _ in _JOINS.finditer(rule))
            if found > self.conditions:
                return (
                    f"joins {found:,} conditions, at most {self.conditions:,} are read; write a "
                    "list as `IN (...)`, or load it as a column"
                )
        return ""


def _rules(kind: str, written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each rule of a definition, with the settings that lead to it."""
    yield from _texts(written, _RULES_OF.get(kind, ()))
    if kind == CAMPAIGN and isinstance(exclusions := written.get("exclusions"), list):
        for number, rule in enumerate(exclusions):
            if isinstance(rule, str):
                yield f"exclusions[{number}]", rule
    if kind == PAGE:
        for slot, settings in _sections(written, "slots"):
            for name, module in _sections(settings, "modules"):
                place = f"slots.{slot}.modules.{name}"
                yield from _texts(module, ("rule",), f"{place}.")
                if isinstance(pool := module.get("pool"), Mapping):
                    yield from _texts(pool, ("rule",), f"{place}.pool.")


def _texts(
    section: Mapping[str, Any], names: tuple[str, ...], place: str = ""
) -> Iterator[tuple[str, str]]:
    for name in names:
        if isinstance(rule := section.get(name), str):
            yield place + name, rule


def _sections(section: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = section.get(name)
    for key, each in found.items() if isinstance(found, Mapping) else ():
        if isinstance(each, Mapping):
            yield key, each
