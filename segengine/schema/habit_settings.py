"""How much must be known of a buyer before a habit is told?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.config_reader import Reader, between


@dataclass(frozen=True, slots=True)
class HabitSettings:
    """`minimum_evidence`: purchases (behaviors, for the device) that a habit is drawn from."""

    minimum_evidence: int = 2


def read_habit(reader: Reader, raw: object) -> HabitSettings:
    """The section `[habit]`; mistakes are noted."""
    section = reader.section(raw, "habit")
    least = reader.take(
        section, "habit.minimum_evidence", between(1, 1000), HabitSettings().minimum_evidence
    )
    reader.nothing_left(section, "habit", ["minimum_evidence"])
    return HabitSettings(least)
