"""Which stores are reports made of here? A few buyers and what they did, drawn or written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import strategies as st

import segengine as se
from segengine.reports.report import Figure, Report

AS_OF = datetime(2024, 3, 31, 21, 30, tzinfo=UTC)
TIMEZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin")
CHANNELS = ("ads", "search", None)
_INSTANT, _MONEY = pa.timestamp("us", "UTC"), pa.decimal128(18, 2)
_TYPES = {
    "customer_id": pa.int64(), "time": _INSTANT, "amount": _MONEY, "kind": pa.string(),
    "paid_at": _INSTANT, "closed_at": _INSTANT, "refunded_at": _INSTANT, "refund_amount": _MONEY,
    "region": pa.string(), "acquisition_channel": pa.string(), "member_level": pa.int64(),
    "gender": pa.string(), "city": pa.string(), "birthday": pa.date32(),
    "tags": pa.list_(pa.string()), "weight": pa.float64(), "is_gold": pa.bool_(),
}  # fmt: skip
Row = dict[str, Any]


def shop(
    orders: Sequence[Row] = (),
    behaviors: Sequence[Row] = (),
    customers: Sequence[Row] = (),
    *,
    timezone: str = "UTC",
    as_of: datetime = AS_OF,
) -> se.Engine:
    """A store with these rows; the columns of a table are those of its first row."""
    engine = se.Engine(timezone=timezone, as_of=as_of)
    for name, rows in (("customers", customers), ("orders", orders), ("behaviors", behaviors)):
        if rows:
            columns = {c: pa.array([row[c] for row in rows], _TYPES[c]) for c in rows[0]}
            added = {c: c for c in ("weight", "is_gold") if c in columns}
            engine.load(name, pa.table(columns), columns=added)
    return engine


def bought(customer: int, *moments: str, amount: str = "10") -> list[Row]:
    """Purchases of a buyer at moments of UTC."""
    return [
        {"customer_id": customer, "time": at(moment), "amount": Decimal(amount)}
        for moment in moments
    ]


def at(moment: str) -> datetime:
    """A moment of UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def figure(report: Report, name: str) -> Figure:
    """The figure of a name."""
    (found,) = [f for f in report.figures if f.name == name]
    return found


def rows(report: Report, name: str) -> list[Row]:
    """The rows of the table of a name."""
    (table,) = [t for t in report.tables if t.name == name]
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


# --- the calendar, in plain Python: a period is its first date ------------------------------


def start(day: date, grain: str) -> date:
    """The first date of the period of a date."""
    if grain == "day":
        return day
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1, month=day.month if grain == "month" else (day.month - 1) // 3 * 3 + 1)


def previous(first: date, grain: str, steps: int = 1) -> date:
    """The first date of the period some steps before."""
    for _ in range(steps):
        first = start(first - timedelta(days=1), grain)
    return first


def following(first: date, grain: str, steps: int = 1) -> date:
    """The first date of the period some steps later."""
    for _ in range(steps):
        later = first + timedelta(days=1)
        while start(later, grain) == first:
            later += timedelta(days=1)
        first = later
    return first


def name_of(first: date, grain: str) -> str:
    """How a report names a period."""
    if grain in {"day", "week"}:
        return first.isoformat()
    if grain == "month":
        return first.isoformat()[:7]
    return f"{first.year}-Q{(first.month + 2) // 3}"


def local(moment: datetime, timezone: str) -> datetime:
    """A moment by the store's clock."""
    return moment.astimezone(ZoneInfo(timezone))


# --- drawn stores ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A store that was drawn: its rows, those that have happened, and its engine."""

    timezone: str
    as_of: datetime
    orders: list[Row]
    behaviors: list[Row]
    customers: list[Row]

    def engine(self) -> se.Engine:
        """The store."""
        return shop(
            self.orders, self.behaviors, self.customers, timezone=self.timezone, as_of=self.as_of
        )

    def seen(self, rows: list[Row]) -> list[tuple[int, date]]:
        """Who did something on which date, up to as_of."""
        return [
            (row["customer_id"], local(row["time"], self.timezone).date())
            for row in rows
            if row["time"] <= self.as_of
        ]

    @property
    def today(self) -> date:
        """The date of as_of."""
        return local(self.as_of, self.timezone).date()


@st.composite
def drawn_shops(draw: st.DrawFn, *, behaviors: bool = False) -> Drawn:
    """Few buyers over more than a year, so that periods are shared, and some events to come."""
    timezone = draw(st.sampled_from(TIMEZONES))
    as_of = AS_OF - timedelta(hours=draw(st.integers(0, 24 * 60)))
    minutes = st.one_of(st.integers(-2 * 24 * 60, 40 * 24 * 60), st.integers(0, 420 * 24 * 60))
    buyers = st.integers(1, 6)

    def moments() -> st.SearchStrategy[datetime]:
        return minutes.map(lambda m: as_of - timedelta(minutes=m))

    cents = st.none() | st.integers(-500, 20_000)
    orders = draw(st.lists(st.tuples(buyers, moments(), cents), min_size=1, max_size=40))
    kinds = st.sampled_from(["visit", "view", "cart"])
    done = st.lists(st.tuples(buyers, moments(), kinds), max_size=40) if behaviors else st.just([])
    channels = draw(st.lists(st.sampled_from(CHANNELS), min_size=6, max_size=6))
    return Drawn(
        timezone,
        as_of,
        [
            {"customer_id": c, "time": t, "amount": None if a is None else Decimal(a) / 100}
            for c, t, a in orders
        ],
        [{"customer_id": c, "time": t, "kind": k} for c, t, k in draw(done)],
        [
            {"customer_id": c, "acquisition_channel": channel}
            for c, channel in enumerate(channels, 1)
        ],
    )
