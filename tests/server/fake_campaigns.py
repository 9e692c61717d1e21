"""What the fake engine says of campaigns: always the same, and it keeps what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from segengine_server.campaign_answers import (
    BILL_SCHEMA,
    DOWNSTREAM_SCHEMA,
    HOURS_SCHEMA,
    MONEY,
    VARIANTS_SCHEMA,
)

from segengine.audiences.member_diff import MemberDiff, Setting, side_by_side
from segengine.errors import RunError
from segengine.ingest.report import LoadProblem, LoadReport
from segengine.reports.report import Report

AS_OF = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
TEXTS = pa.table(
    {
        "customer_id": [17, 18],
        "variant": ["a", None],
        "text": pa.array(["Dear Hui, 春节", ""], pa.large_string()),
        "characters": [12, 0],
        "parts": [1, 0],
        "cost": pa.array([Decimal("0.045"), None], MONEY),
    }
)
BILL = pa.Table.from_pylist(
    [
        {"variant": "a", "parts_each": 1, "buyers": 3, "parts": 3, "cost": Decimal("0.135")},
        {"variant": None, "parts_each": 2, "buyers": 1, "parts": 2, "cost": None},
    ],
    schema=BILL_SCHEMA,
)
HOURS = pa.table([list(range(24)), [h % 5 for h in range(24)]], schema=HOURS_SCHEMA)
RECEIPT = LoadReport(
    "messages", 5, 2, 1, 2, (LoadProblem("run", "no such run", 1, ("x",)),), ("colour",)
)


@dataclass
class Facts:
    """Two of five in the first arm were deleted since, and one who was held out."""

    variants: tuple[tuple[str, float], ...] = (("a", 0.5), ("b", 0.5))
    targeted: tuple[int, ...] = (5, 4)
    held_out: int = 3
    forgotten: tuple[int, ...] = (2, 0, 1)


@dataclass
class Run:
    """A run of `buyers`, the last of whom was held out."""

    buyers: pa.Table
    run: str = "spring-2026-03-04-1"
    campaign: str = "spring"
    as_of: datetime = AS_OF
    data_version: int = 7
    facts: Facts = field(default_factory=Facts)

    def table(self, *, held_out: bool) -> pa.Table:
        found = self.buyers.select(["customer_id", "variant"])
        return found if held_out else found.slice(0, found.num_rows - 1)

    def hours(self) -> pa.Table:
        return HOURS


def ledger(remaining: int) -> pa.Table:
    """A ledger of one step."""
    rows = [{"step": "population", "entered": 9, "dropped": 9 - remaining, "reasons": "all"}]
    table = pa.Table.from_pylist(rows)
    return table.add_column(3, "remaining", pa.array([remaining])).select(
        ["step", "entered", "dropped", "remaining", "reasons"]
    )


def diff(kind: str, name: str, before: int | None = 2) -> MemberDiff:
    """A difference with something in each field."""
    rows = [
        {"kind": "campaign", "name": "c", "before": 5, "after": 0, "entered": 0, "left": 5,
         "affected": 5},
        {"kind": "page", "name": "p", "error": "it is broken"},
    ]  # fmt: skip
    moves = [{"before": "a", "after": None, "buyers": 2}]
    nothing: Any = None
    return MemberDiff(
        kind, name, "changed" if before else "new", before, None, 1, 2, 3, 5, (7,), ("x", 9),
        (Setting("limit", None, 5), Setting("text", "Dear", None), Setting("hours", [[1, 2]], [])),
        side_by_side(ledger(5) if before else None, ledger(4)) if kind == "campaign" else None,
        pa.Table.from_pylist(moves, schema=VARIANTS_SCHEMA) if kind == "campaign" else None,
        None, pa.Table.from_pylist(rows, schema=DOWNSTREAM_SCHEMA), ("nothing would be sent",),
        AS_OF, 7, nothing, nothing,
    )  # fmt: skip


class FakeCampaigns:
    """Campaigns `spring` and `summer`, one run; `stale` plans are refused before one is taken."""

    buyers: pa.Table
    asked: list[tuple[Any, ...]]
    stale = 0
    receipt = RECEIPT

    @property
    def runs(self) -> dict[str, Run]:
        run = Run(self.buyers)
        return {run.run: run}

    def _heard(self, *question: Any) -> None:
        raise NotImplementedError

    def send_hours(self, name: str) -> pa.Table:
        self._heard("send_hours", name)
        return HOURS

    def plan_campaigns(self, names: list[str], by: str) -> Any:
        self._heard("plan_campaigns", names, by)
        audiences = {
            name: SimpleNamespace(count=lambda n=place: n, ledger=ledger(place))
            for place, name in enumerate(sorted(names))
        }
        return SimpleNamespace(
            order=tuple(sorted(names)), audiences=audiences, as_of=AS_OF, data_version=7
        )

    def run_campaign(self, name: str, *, plan: Any) -> Run:
        self._heard("run_campaign", name, None if plan is None else plan.order)
        if plan is not None and name not in plan.order:
            raise RunError(f"the plan does not hold campaign `{name}`", field="plan")
        if plan is not None and self.stale:
            self.stale -= 1
            raise RunError("the plan was made for data version 6", field="plan")
        return Run(self.buyers)

    def record_messages(self, data: Any, *, on_error: str) -> LoadReport:
        self._heard("record_messages", data, on_error)
        return self.receipt

    def report(self, name: str, *segments: str, **options: Any) -> Report:
        self._heard("report", name, options)
        return Report(name, "Effect", AS_OF, 7, "UTC", "CNY", (), (), ("too small to measure",))

    def dry_run(self, definition: Any, rule: str | None, *, suppress: bool) -> MemberDiff:
        self._heard("dry_run", definition, rule, suppress)
        if rule is None:
            return diff("campaign", definition.name, None if definition.name == "new" else 2)
        return diff("segment", definition)
