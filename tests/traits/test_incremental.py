"""Incremental equals full: whatever came in whichever order, as if built at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine import days
from segengine.traits.catalogue import CATALOGUE
from tests.reference.local_time import local_date, start_of_date
from tests.reference.orders import Row
from tests.traits.histories import (
    EVENT_TABLES,
    FITTED,
    Batch,
    Shop,
    clamped,
    differences,
    engine_of,
    merged,
    traits_of,
    without,
)

NOT_FITTED = [trait.name for trait in CATALOGUE if trait.name not in FITTED]
TABLES = ("customers", "products", "orders", "orders", "order_lines", "order_lines", "updates",
          "behaviors", "messages", "reviews", "points")  # fmt: skip
LATE = timedelta(minutes=5)
"""How far ahead an appended event may lie; it is stored at as_of."""


class Life:
    """An engine that lives through a shop's days, and the log of what it has been told."""

    def __init__(
        self, seed: int, *, steps: int, rows: int, config: Mapping[str, Any] | None = None
    ) -> None:
        self.rng = Random(seed)
        self.shop = Shop.drawn(self.rng, buyers=6)
        self.config = config
        self.engine = engine_of(self.shop, config)
        self.apart = self.rng.random() < 0.5
        self.log: list[Batch] = []
        self.seen: set[tuple[str, object]] = set()
        for _ in range(steps):
            self.rng.choices((self.load, self.append, self.advance, self.delete), (3, 6, 4, 0.7))[
                0
            ](rows)

    def load(self, rows: int) -> None:
        """History, and what lies ahead."""
        batch = self.shop.batch(self.rng.choice(TABLES), rows)
        self.engine.load(batch.table, batch.to_arrow())
        self.note(batch)

    def append(self, rows: int) -> None:
        """What has just happened, or happened long ago and is told only now."""
        batch = self.shop.batch(self.rng.choice(TABLES), rows)
        if batch.table in EVENT_TABLES:
            batch = replace(batch, rows=self.in_time(batch.rows))
            if not batch.rows:
                return
        report = self.engine.append(batch.table, batch.to_arrow())
        assert report.rows_skipped == 0
        self.note(clamped(batch, self.shop.as_of))

    def in_time(self, rows: Sequence[Row]) -> list[Row]:
        """None is too late. What is stored at as_of may tie there, and then arrival decides."""
        if self.apart:
            return [row for row in rows if cast("datetime", row["time"]) <= self.shop.as_of]
        latest = self.shop.as_of + LATE
        return [{**row, "time": min(cast("datetime", row["time"]), latest)} for row in rows]

    def note(self, batch: Batch) -> None:
        """A repeated event stays out of the log: the buyer whose it was may go later."""
        kept = []
        for row in batch.rows:
            key = (batch.table, row.get("event_id"))
            if key[1] is None or key not in self.seen:
                kept.append(row)
            self.seen.add(key)
        if kept:
            self.log.append(replace(batch, rows=kept))

    def advance(self, rows: int) -> None:
        """A little or a lot, over midnights and clock changes, forwards and back."""
        del rows
        now = self.shop.as_of
        tick = timedelta(microseconds=self.rng.choice((0, 0, 1)))
        self.shop.as_of = self.rng.choice(
            (
                now + timedelta(seconds=self.rng.randrange(1, 7200)),
                now - timedelta(seconds=self.rng.randrange(1, 7200)),
                now + timedelta(days=self.rng.randrange(1, 40)),
                now - timedelta(days=self.rng.randrange(1, 40)),
                *(border - tick for border in borders(now, self.shop.timezone)),
            )
        )
        self.engine.advance(self.shop.as_of)

    def delete(self, rows: int) -> None:
        """One buyer goes; they may come back as somebody new."""
        del rows
        known = self.engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
        if known:
            gone = self.rng.choice(known)
            self.engine.delete_customer(gone)
            self.log = without(self.log, gone)

    def fresh(self) -> se.Engine:
        """An engine told everything at once, at the moment of now."""
        engine = engine_of(self.shop, self.config)
        for batch in merged(self.log, apart=self.apart):
            engine.load(batch.table, batch.to_arrow())
        return engine


def borders(now: datetime, timezone: str) -> list[datetime]:
    """The beginnings of this date and the next, of month and year, and the clock's changes."""
    today = local_date(now, timezone)
    first = today.replace(day=1)
    dates = [today, today + timedelta(days=1), first, (first + timedelta(days=32)).replace(day=1)]
    dates += [date(today.year, 1, 1), date(today.year + 1, 1, 1)]
    changes = clock_changes(now, timezone)
    return [start_of_date(each, timezone) for each in dates] + changes


def clock_changes(now: datetime, timezone: str) -> list[datetime]:
    """The change of the clock before a moment and the one after it, of those within a year."""
    zone = days.zone(timezone)
    place = int(np.searchsorted(zone.starts, days.micros(now, zone), side="right"))
    found = [days.moment(int(at)) for at in zone.starts[max(1, place - 1) : place + 1]]
    return [at for at in found if abs(at - now) < timedelta(days=366)]


def disagreements(seed: int, *, steps: int = 10, rows: int = 5) -> list[str]:
    life = Life(seed, steps=steps, rows=rows)
    fresh = life.fresh()
    found = differences(traits_of(life.engine, NOT_FITTED), traits_of(fresh, NOT_FITTED))
    # A new date fits both anew, and then everything is the same.
    for engine in (life.engine, fresh):
        engine.advance(life.shop.as_of + timedelta(days=2))
    found += differences(traits_of(life.engine), traits_of(fresh))
    for table in ("purchases", "orders", "order_lines"):
        ours, theirs = (events(engine, table) for engine in (life.engine, fresh))
        if ours != theirs:
            found.append(f"{table}: {ours}, expected {theirs}")
    return found


def events(engine: se.Engine, table: str) -> list[tuple[str, ...]]:
    """The rows of an event table, their event_id aside: a fresh build sees fewer updates."""
    rows: list[dict[str, Any]] = engine.table(table).drop_columns(["event_id"]).to_pylist()
    return sorted(tuple(f"{k}={v}" for k, v in row.items() if v is not None) for row in rows)


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_traits_after_any_batches_equal_those_of_a_fresh_build(seed: int) -> None:
    assert disagreements(seed) == []


@pytest.mark.prove
def test_traits_after_any_batches_equal_those_of_a_fresh_build_at_length() -> None:
    assert {seed: found for seed in range(1000) if (found := disagreements(seed, steps=14))} == {}
