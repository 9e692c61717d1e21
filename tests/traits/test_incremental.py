"""Incremental equals full: whatever came in whichever order, as if built at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.traits.catalogue import CATALOGUE
from tests.reference.local_time import local_date, start_of_date
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
TABLES = ("customers", "products", "orders", "orders", "order_lines", "order_lines", "behaviors")
LATE = timedelta(minutes=5)


class Life:
    """An engine that lives through a shop's days, and the log of what it has been told."""

    def __init__(self, seed: int, *, steps: int, rows: int) -> None:
        self.rng = Random(seed)
        self.shop = Shop.drawn(self.rng, buyers=6)
        self.engine = engine_of(self.shop)
        self.log: list[Batch] = []
        self.seen: set[tuple[str, object]] = set()
        for _ in range(steps):
            self.rng.choices(
                (self.load, self.append, self.append, self.advance, self.delete),
                (3, 3, 3, 4, 0.7),
            )[0](rows)

    def load(self, rows: int) -> None:
        """History, and what lies ahead."""
        batch = self.shop.batch(self.rng.choice(TABLES), rows)
        self.engine.load(batch.table, batch.to_arrow())
        self.note(batch)

    def append(self, rows: int) -> None:
        """What has just happened, or happened long ago and is told only now."""
        batch = self.shop.batch(self.rng.choice(TABLES), rows)
        if batch.table in EVENT_TABLES:
            latest = self.shop.as_of + LATE
            near = [{**row, "time": min(row["time"], latest)} for row in batch.rows]  # type: ignore[type-var]
            batch = replace(batch, rows=near)
        report = self.engine.append(batch.table, batch.to_arrow())
        assert report.rows_skipped == 0
        self.note(clamped(batch, self.shop.as_of))

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
        today = local_date(now, self.shop.timezone)
        midnight = start_of_date(today + timedelta(days=1), self.shop.timezone)
        self.shop.as_of = self.rng.choice(
            (
                now + timedelta(seconds=self.rng.randrange(1, 7200)),
                now - timedelta(seconds=self.rng.randrange(1, 7200)),
                midnight,
                midnight - timedelta(microseconds=1),
                start_of_date(today, self.shop.timezone) - timedelta(microseconds=1),
                now + timedelta(days=self.rng.randrange(1, 40)),
                now - timedelta(days=self.rng.randrange(1, 40)),
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
        engine = engine_of(self.shop)
        for batch in merged(self.log):
            engine.load(batch.table, batch.to_arrow())
        return engine


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
