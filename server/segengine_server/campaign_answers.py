"""What does a client get about campaigns? Frozen data, moments in UTC, tables as Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

COUNT = pa.int64()
TEXT = pa.string()
MONEY = pa.decimal128(38, 9)
BILL_SCHEMA = pa.schema(
    [("variant", TEXT), ("parts_each", COUNT), ("buyers", COUNT), ("parts", COUNT), ("cost", MONEY)]
)
HOURS_SCHEMA = pa.schema([("hour", COUNT), ("buyers", COUNT)])
VARIANTS_SCHEMA = pa.schema([("before", TEXT), ("after", TEXT), ("buyers", COUNT)])
DOWNSTREAM_SCHEMA = pa.schema(
    [
        *(("kind", TEXT), ("name", TEXT), ("before", COUNT), ("after", COUNT)),
        *(("entered", COUNT), ("left", COUNT), ("affected", COUNT), ("error", TEXT)),
    ]
)
MODULES_SCHEMA = pa.schema(
    [
        *(("slot", TEXT), ("module", TEXT), ("change", TEXT), ("settings", TEXT)),
        *(("before", COUNT), ("after", COUNT), ("entered", COUNT), ("left", COUNT)),
    ]
)


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of some buyers at `as_of`.

    texts: Table(customer_id, variant, text, characters, parts, cost). bill: Table(variant,
    parts_each, buyers, parts, cost) of everybody; no row unless it was asked for. cost is null
    where the store has no price per part.
    """

    texts: pa.Table
    bill: pa.Table
    as_of: datetime
    data_version: int


@dataclass(frozen=True, slots=True)
class Planned:
    """One campaign of a plan: how many it targets, and all its steps."""

    campaign: str
    count: int
    ledger: pa.Table


@dataclass(frozen=True, slots=True)
class Plan:
    """Campaigns that compete, by priority, then by name."""

    campaigns: tuple[Planned, ...]
    as_of: datetime
    data_version: int

    def __getitem__(self, campaign: str) -> Planned:
        return {each.campaign: each for each in self.campaigns}[campaign]


@dataclass(frozen=True, slots=True)
class Run:
    """A frozen run. targeted, held_out, variants: buyers, those deleted since not counted."""

    run: str
    campaign: str
    as_of: datetime
    data_version: int
    targeted: int
    held_out: int
    variants: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BadRows:
    """One reason for which rows are bad, with up to three examples."""

    column: str
    reason: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of rows. rows_repeated: those that were there before.

    offset: the number of the change in the store's log; None where it is in none, and of several.
    """

    rows_read: int
    rows_loaded: int
    rows_skipped: int
    rows_repeated: int
    problems: tuple[BadRows, ...]
    ignored_columns: tuple[str, ...]
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as it is and as it would be; None: not given."""

    setting: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class MemberDiff:
    """What a definition would change; nothing has been changed.

    change: `new`, `changed`, `same` or `removed`. version: the one in force, None for none.
    entered, left, stayed, affected: buyers. ledger_before, ledger_after: of a campaign; without a
    row where none is in force. variants, downstream, modules of a page: as `VARIANTS_SCHEMA`,
    `DOWNSTREAM_SCHEMA` and `MODULES_SCHEMA`; what could no longer be used has an error and no
    counts.
    """

    kind: str
    name: str
    change: str
    version: int | None
    entered: int
    left: int
    stayed: int
    affected: int
    sample_entered: tuple[int | str, ...]
    sample_left: tuple[int | str, ...]
    settings: tuple[Setting, ...]
    ledger_before: pa.Table
    ledger_after: pa.Table
    variants: pa.Table
    downstream: pa.Table
    notes: tuple[str, ...]
    as_of: datetime
    data_version: int
    modules: pa.Table
