"""What does `[affinity]` of `store.toml` say: how fast is interest forgotten, what shows it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segengine.schema.config_reader import Reader, finite_number

EVIDENCE = ("purchase", "cart", "favorite", "search", "view")
"""What shows interest, by its key in `store.toml`."""
_LONGEST = 36_500
_HEAVIEST = 1_000_000


@dataclass(frozen=True, slots=True)
class AffinitySettings:
    """What one event of each sort counts for, and after how many days for half of that.

    A weight of 0: it shows nothing. Only the weights' proportions matter.
    """

    half_life_days: float = 30.0
    purchase: float = 5.0
    cart: float = 3.0
    favorite: float = 3.0
    search: float = 2.0
    view: float = 1.0

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each sort of evidence."""
        return {name: getattr(self, name) for name in EVIDENCE}


def read_affinity(reader: Reader, raw: object) -> AffinitySettings:
    """The settings of the section; mistakes are noted in the reader."""
    section = reader.section(raw, "affinity")
    defaults = AffinitySettings()
    half_life = reader.take(section, "affinity.half_life_days", _half_life, defaults.half_life_days)
    weights = {
        name: reader.take(section, f"affinity.{name}", _weight, getattr(defaults, name))
        for name in EVIDENCE
    }
    reader.nothing_left(section, "affinity", ["half_life_days", *EVIDENCE])
    if not any(weights.values()):
        reader.wrong("affinity", "all weights are 0; what shows interest needs one above 0")
    return AffinitySettings(half_life, **weights)


def _half_life(value: Any) -> float:
    days = finite_number(value)
    if not 0 < days <= _LONGEST:
        raise ValueError(
            f"must be above 0 and at most {_LONGEST:,} days, not `{value}`; a small one, such as "
            "0.1, lets little but the latest event count"
        )
    return float(days)


def _weight(value: Any) -> float:
    weight = finite_number(value)
    if not 0 <= weight <= _HEAVIEST:
        raise ValueError(f"must be a weight from 0 to {_HEAVIEST:,}, not `{value}`")
    return float(weight)
