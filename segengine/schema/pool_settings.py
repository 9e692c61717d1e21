"""What does `[pools]` of `store.toml` say: what speaks for a product, and for how long?"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from segengine.schema.config_reader import Reader, between, finite_number

TERMS = (
    "recent", "bought_together", "category", "recent_category", "brand", "price", "best_seller",
)  # fmt: skip
"""What a score is made of, by its key in `store.toml`."""
DOINGS = ("view", "cart", "favorite", "search")
"""What a buyer does lately that counts, by its key in `store.toml`."""
DAYS = ("recent_days", "just_bought_days", "bought_together_days", "best_seller_days")
_LONGEST = 3_650
_HEAVIEST = 1_000_000


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Weights of the terms of a score, weights of doings, and dates that end today.

    Only the proportions of the terms' weights matter. most_of_category: of the places of a pool.
    half_life_days: dates after which a doing counts for half. just_bought_days 0: nothing is left
    out. least_orders: so many orders must have two products for them to be bought together.
    """

    recent: float = 8.0
    bought_together: float = 3.0
    category: float = 3.0
    recent_category: float = 1.0
    brand: float = 1.0
    price: float = 1.0
    best_seller: float = 1.0
    view: float = 1.0
    cart: float = 3.0
    favorite: float = 3.0
    search: float = 2.0
    half_life_days: float = 3.0
    recent_days: int = 14
    just_bought_days: int = 30
    bought_together_days: int = 30
    best_seller_days: int = 30
    most_of_category: float = 0.5
    least_orders: int = 3

    def most_of(self, k: int) -> int:
        """How many of k places products of one category take while others have candidates."""
        return max(1, math.ceil(self.most_of_category * k - 1e-9))


def read_pools(reader: Reader, raw: object) -> PoolSettings:
    """The settings of the section; mistakes are noted in the reader."""
    section = reader.section(raw, "pools")
    defaults = PoolSettings()
    values: dict[str, Any] = {}

    def take(name: str, read: Any) -> None:
        values[name] = reader.take(section, f"pools.{name}", read, getattr(defaults, name))

    for name in (*TERMS, *DOINGS):
        take(name, _weight)
    take("half_life_days", _half_life)
    for name in DAYS:
        take(name, between(0 if name == "just_bought_days" else 1, _LONGEST))
    take("most_of_category", _share)
    take("least_orders", between(1, 1_000_000))
    reader.nothing_left(section, "pools", [each.name for each in fields(PoolSettings)])
    if not any(values[name] for name in TERMS):
        reader.wrong("pools", "all weights are 0; a score needs one term above 0")
    return PoolSettings(**values)


def _weight(value: Any) -> float:
    weight = finite_number(value)
    if not 0 <= weight <= _HEAVIEST:
        raise ValueError(f"must be a weight from 0 to {_HEAVIEST:,}, not `{value}`")
    return float(weight)


def _half_life(value: Any) -> float:
    days = finite_number(value)
    if not 0 < days <= _LONGEST:
        raise ValueError(f"must be above 0 and at most {_LONGEST:,} days, not `{value}`")
    return float(days)


def _share(value: Any) -> float:
    found = finite_number(value)
    if not 0 < found <= 1:
        raise ValueError(
            f"must be a share above 0 and up to 1, which bounds nothing, not `{value}`"
        )
    return float(found)
