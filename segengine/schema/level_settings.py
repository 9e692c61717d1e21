"""Which level has a buyer come to, by how much they bought?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from segengine.schema.config_reader import Reader, finite_number, one_of

MEASURES = ("amount_365d", "amount_total", "order_count")
MOST_LEVELS = 100


@dataclass(frozen=True, slots=True)
class LevelSettings:
    """The trait that decides, and what each level from 1 on asks of it; none: no levels."""

    by: str = MEASURES[0]
    thresholds: tuple[Decimal, ...] = ()


def read_levels(reader: Reader, raw: object) -> LevelSettings:
    """The section `[levels]`."""
    section = reader.section(raw, "levels")
    defaults = LevelSettings()
    by = reader.take(section, "levels.by", one_of(*MEASURES), defaults.by)
    thresholds = reader.take(section, "levels.thresholds", _rising, defaults.thresholds)
    reader.nothing_left(section, "levels", ["by", "thresholds"])
    return LevelSettings(by, thresholds)


def _rising(value: Any) -> tuple[Decimal, ...]:
    if not isinstance(value, list) or len(value) > MOST_LEVELS:
        raise ValueError(f"must be a list of at most {MOST_LEVELS} thresholds, lowest first")
    found = tuple(Decimal(str(finite_number(each))) for each in value)
    if any(low >= high for low, high in pairwise(found)):
        raise ValueError("each threshold must be above the one before")
    return found
