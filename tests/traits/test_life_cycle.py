"""Thresholds of the life cycle: given, or fitted to how the store's own buyers come back."""

from __future__ import annotations

import math
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.traits.life_cycle import FEWEST_GAPS, SHARES
from tests.ingest.samples import AS_OF, engine
from tests.reference.local_time import local_date
from tests.reference.traits import Lifecycle, quantile, stage_at, stage_change

FIT = {"lifecycle": {"thresholds": "fit"}}


def purchases(*bought: list[int]) -> pa.Table:
    """Orders of buyers 0, 1, ... so many days ago."""
    rows = [
        {"customer_id": i, "time": AS_OF - timedelta(days=days)}
        for i, ago in enumerate(bought)
        for days in ago
    ]
    return pa.Table.from_pylist(rows)


def thresholds(found: se.Engine) -> tuple[int, int, int]:
    shown = found.fits.shown["lifecycle"]
    return shown["new_days"], shown["active_days"], shown["sleeping_days"]


def by_hand(bought: list[list[int]]) -> tuple[int, ...]:
    """The thresholds from dates, one after the other."""
    gaps = []
    for ago in bought:
        dates = sorted({local_date(AS_OF - timedelta(days=days), "UTC") for days in ago})
        gaps += [Fraction((later - earlier).days) for earlier, later in pairwise(dates)]
    return tuple(math.ceil(quantile(sorted(gaps), share)) for share in SHARES.values())


def drawn(rng: Random, buyers: int) -> list[list[int]]:
    return [
        [int(rng.expovariate(1 / rng.choice((20, 90, 200)))) for _ in range(rng.randrange(5))]
        for _ in range(buyers)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_fitted_thresholds_are_quantiles_of_the_gaps_between_purchase_dates(seed: int) -> None:
    bought = drawn(Random(seed), 200)
    found = engine(config=FIT)
    found.load("orders", purchases(*bought))
    assert thresholds(found) == by_hand(bought)
    assert found.fits.shown["lifecycle"]["source"].startswith("fitted to ")


def test_stages_and_their_changes_are_by_the_fitted_thresholds() -> None:
    bought = [ago for ago in drawn(Random(7), 150) if ago]
    found = engine(config=FIT)
    found.load("orders", purchases(*bought))
    fitted = Lifecycle(*thresholds(found))
    names = ["lifecycle_stage", "stage_changed_at", "previous_stage"]
    for ago, row in zip(bought, found.table("customers", names).to_pylist(), strict=True):
        times = sorted(AS_OF - timedelta(days=days) for days in ago)
        changed_at, previous = stage_change(times, _World(), fitted)
        stage = stage_at(times, AS_OF, "UTC", fitted)
        assert tuple(row.values()) == (stage, changed_at, previous)


class _World:
    as_of, timezone, today = AS_OF, "UTC", local_date(AS_OF, "UTC")


def test_purchases_on_one_date_are_one_and_a_gap_is_of_one_buyer() -> None:
    found = engine(config=FIT)
    # Gaps of 10 dates, each with a second purchase on the same date; buyers far from each other.
    found.load("orders", purchases(*[[k, k, k + 10, k + 10] for k in range(FEWEST_GAPS)]))
    assert thresholds(found) == (10, 10, 10)
    assert found.fits.shown["lifecycle"]["source"] == "fitted to 100 gaps between purchase dates"


def test_below_the_fewest_gaps_the_thresholds_are_those_given_and_it_is_said() -> None:
    given = {"lifecycle": {"thresholds": "fit", "new_days": 11, "active_days": 22}}
    found = engine(config=given)
    found.load("orders", purchases(*[[k, k + 10] for k in range(FEWEST_GAPS - 1)]))
    assert thresholds(found) == (11, 22, 180)
    assert found.fits.shown["lifecycle"]["source"] == (
        "as given: 99 gaps between purchase dates, a fit needs 100"
    )
    assert thresholds(engine(config=FIT)) == (30, 60, 180)


def test_given_thresholds_are_shown_as_given() -> None:
    found = engine(config={"lifecycle": {"new_days": 5}})
    assert found.fits.shown["lifecycle"] == {
        "new_days": 5,
        "active_days": 60,
        "sleeping_days": 180,
        "source": "as given in store.toml",
    }


def test_thresholds_are_refitted_by_a_load_and_a_new_date_and_never_by_an_append() -> None:
    found = engine(config=FIT)
    found.load("orders", purchases(*[[k, k + 10] for k in range(FEWEST_GAPS)]))
    assert thresholds(found) == (10, 10, 10)
    found.append("orders", purchases(*[[k, k + 300] for k in range(FEWEST_GAPS)]))
    assert thresholds(found) == (10, 10, 10)
    found.advance(AS_OF + timedelta(hours=1))
    assert local_date(found.as_of, "UTC") == date(AS_OF.year, AS_OF.month, AS_OF.day)
    assert thresholds(found) == (10, 10, 10)
    found.advance(AS_OF + timedelta(days=1))
    assert thresholds(found) != (10, 10, 10)
    found.load("orders", purchases(*[[k, k + 10] for k in range(30 * FEWEST_GAPS)]))
    assert thresholds(found)[:2] == (10, 10)


def test_what_is_bought_after_as_of_makes_no_gap() -> None:
    found = engine(config=FIT)
    found.load("orders", purchases(*[[k, k + 10] for k in range(FEWEST_GAPS)]))
    found.load("orders", purchases(*[[-1000, -2000] for _ in range(50)]))
    assert thresholds(found) == (10, 10, 10)


def test_thresholds_are_one_word_or_the_other() -> None:
    with pytest.raises(se.ConfigError, match=r"`lifecycle.thresholds`: must be one of given, fit"):
        se.Engine(config={"lifecycle": {"thresholds": "fitted"}})


def shares_of(found: se.Engine) -> dict[str, Any]:
    return {row["lifecycle_stage"]: 1 for row in found.table("customers").to_pylist()}


def test_a_store_of_one_buyer_and_of_nobody_has_stages() -> None:
    found = engine(config=FIT)
    assert shares_of(found) == {}
    found.load("orders", purchases([0]))
    assert shares_of(found) == {"new": 1}
