"""What does a client get? Frozen data, moments in UTC, tables as Arrow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

LEDGER_SCHEMA = pa.schema(
    [
        ("step", pa.string()),
        ("entered", pa.int64()),
        ("dropped", pa.int64()),
        ("remaining", pa.int64()),
        ("reasons", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Count:
    """How many buyers at `as_of`; `ledger` has all steps of a campaign, no row for a rule."""

    count: int
    as_of: datetime
    data_version: int
    ledger: pa.Table = field(default_factory=LEDGER_SCHEMA.empty_table)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a buyer is in, and `text`, why; `step` of a campaign dropped them, else None."""

    holds: bool
    step: str | None
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a placement, and why it is there."""

    product_id: str
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Placement:
    """What fills one slot and why; `module` is None when `reason` is EMPTY; `payload` is JSON."""

    slot: str
    module: str | None
    variant: str | None
    reason: str
    products: list[Product]
    payload: Any


@dataclass(frozen=True, slots=True)
class Page:
    """What one buyer sees at `as_of`, slot by slot; may be kept until `valid_until`, if set."""

    placements: list[Placement]
    as_of: datetime
    data_version: int
    valid_until: datetime | None
    traits: list[str]


_COUNTED = [("reach", pa.int64()), ("share", pa.float64())]
_LOST = ("outranked", "already_shown", "held_out", "capped", "not_eligible", "inactive")
_PLACED = [(name, pa.string()) for name in ("slot", "module", "variant", "reason")]
CENSUS_SCHEMAS = {
    "modules": pa.schema([*_PLACED[:2], *_COUNTED, *((name, pa.int64()) for name in _LOST)]),
    "variants": pa.schema([*_PLACED[:3], *_COUNTED]),
    "empty": pa.schema([("slot", pa.string()), ("buyers", pa.int64()), ("share", pa.float64())]),
    "unseen": pa.schema(
        [
            ("module", pa.string()),
            ("slot", pa.string()),
            ("reason", pa.string()),
            ("buyers", pa.int64()),
            ("by", pa.string()),
            ("by_buyers", pa.int64()),
        ]
    ),
    "frequent": pa.schema(
        [
            ("buyers", pa.int64()),
            ("share", pa.float64()),
            ("placements", pa.list_(pa.struct(_PLACED))),
        ]
    ),
}
"""The tables of a census by name."""


@dataclass(frozen=True, slots=True)
class Census:
    """The page of every buyer at `as_of`; the tables are those of `CENSUS_SCHEMAS`.

    modules: by slot and module how many see it and what kept it from the others. empty: a row per
    slot. never: the modules that nobody sees; unseen: why. frequent: the most frequent pages.
    not_given: what the page's rules read of the context and the request did not give.
    """

    not_given: tuple[str, ...]
    buyers: int
    modules: pa.Table
    variants: pa.Table
    empty: pa.Table
    never: tuple[str, ...]
    unseen: pa.Table
    different_pages: int
    frequent: pa.Table
    as_of: datetime
    data_version: int
