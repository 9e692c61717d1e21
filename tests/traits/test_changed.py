"""An append leaves alone what reads nothing of it, and nobody could tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.schema.tables import catalogue
from segengine.traits import build
from segengine.traits.catalogue import FAMILIES
from tests.traits.histories import differences, traits_of
from tests.traits.test_incremental import NOT_FITTED, Life

AS_OF = datetime(2024, 7, 1, 12, tzinfo=UTC)


def refresh_all(engine: se.Engine) -> None:
    """Every family of every buyer, whatever has changed."""
    rows = np.arange(engine._tables.customers.rows, dtype=np.int64)
    build.refresh(
        engine._tables, engine._current.settings, engine._current.as_of, engine._current.fits, rows
    )


@settings(max_examples=4)
@given(st.integers(0, 2**32))
def test_running_every_family_after_an_append_changes_nothing(seed: int) -> None:
    life = Life(seed, steps=2, rows=8)
    for _ in range(6):
        life.append(6)
        before = traits_of(life.engine, NOT_FITTED)
        refresh_all(life.engine)
        assert differences(before, traits_of(life.engine, NOT_FITTED)) == []


def test_families_read_tables_that_there_are() -> None:
    known = set(catalogue())
    assert {table for family in FAMILIES for table in family.reads} <= known
    # Of products there is nothing to refresh.
    assert [f.name for f in FAMILIES if not f.reads] == ["product side"]


@pytest.mark.parametrize(
    ("table", "rows", "reader", "left_alone"),
    [
        ("behaviors", {"kind": ["view"]}, "interest",
         {"purchase", "RFM", "prediction", "service", "membership", "answers"}),
        ("behaviors", {"kind": ["check_in"]}, "membership", {"answers"}),
        ("behaviors", {"kind": ["survey"], "question": ["shoe size"], "answer": ["42"]}, "answers",
         {"membership"}),
        ("behaviors", {"product_id": [7]}, "interest", {"membership", "answers"}),
        ("points", {"kind": ["earn"], "amount": [3]}, "membership",
         {"purchase", "interest", "habit", "marketing"}),
        ("orders", {"amount": [3.0]}, "purchase", {"answers"}),
        ("messages", {"kind": ["sent"]}, "marketing",
         {"purchase", "affinity", "membership", "answers"}),
    ],
)  # fmt: skip
def test_a_family_that_reads_nothing_of_a_batch_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    rows: dict[str, Any],
    reader: str,
    left_alone: set[str],
) -> None:
    asked: list[str] = []

    def noting(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            asked.append(name)
            return step(*args)

        return noted

    families = []
    for family in FAMILIES:
        steps: dict[str, Any] = {"facts": family.facts, "place": family.place}
        noted: dict[str, Any] = {
            what: noting(family.name, step) for what, step in steps.items() if step
        }
        families.append(replace(family, **noted))
    engine = se.Engine(as_of=AS_OF)
    engine.load("orders", pa.table({"customer_id": [1], "time": [AS_OF], "amount": [5.0]}))
    monkeypatch.setattr(build, "FAMILIES", families)

    def appended(buyer: int) -> set[str]:
        asked.clear()
        engine.append(table, pa.table({"customer_id": [buyer], "time": [AS_OF], **rows}))
        return set(asked)

    # What is written for the first time may be read by anybody.
    appended(1)
    for buyer in (1, 2):
        # Whoever is new begins with the traits of nobody.
        families_asked = appended(buyer)
        assert not families_asked & left_alone
        assert reader in families_asked
    assert engine.segment("order_count >= 0").count() == 2
    of_appends = engine.table("customers")
    with engine.built_once():
        pass
    assert engine.table("customers") == of_appends


def test_responses_are_asked_of_the_table_that_a_goal_names() -> None:
    engine = se.Engine(as_of=AS_OF)
    marketing = next(family for family in FAMILIES if family.name == "marketing")
    assert "reviews" not in marketing.read_by(engine._current.settings)
    engine.define_campaign(se.Campaign("ask", segment="TRUE", goal="reviews"))
    assert "reviews" in marketing.read_by(engine._current.settings)
