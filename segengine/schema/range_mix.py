"""Which share of products and of sales should each class of the product matrix have?"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal

from segengine.schema.config_reader import Reader, share


@dataclass(frozen=True, slots=True)
class RangeMix:
    """The target share of each matrix class among products and in sales; together 1."""

    star: float = 0.30
    cash_cow: float = 0.50
    question: float = 0.15
    dog: float = 0.05


def read_range_mix(reader: Reader, raw: object) -> RangeMix:
    """`[range_mix]`; one that is left out keeps its default, and all four must come to 1."""
    section = reader.section(raw, "range_mix")
    names = [each.name for each in fields(RangeMix)]
    defaults = RangeMix()
    read = {
        name: reader.take(section, f"range_mix.{name}", share, getattr(defaults, name))
        for name in names
    }
    reader.nothing_left(section, "range_mix", names)
    # As written in decimals: in binary, .30 + .50 + .15 + .05 need not be 1.
    together = sum(Decimal(str(target)) for target in read.values())
    if together != 1:
        said = " + ".join(f"{name} {target:g}" for name, target in read.items())
        reader.wrong("range_mix", f"the four shares must come to 1: {said} is {together}")
    return RangeMix(**read)
