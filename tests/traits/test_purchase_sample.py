"""Of many buyers the same ones are fitted to, whatever came when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import ConfigError
from segengine.traits.purchase_sample import sampled

AS_OF = datetime(2024, 7, 1, 12, tzinfo=UTC)
IDS = st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=60, unique=True)


def taken(ids: list[Any], among: set[Any], most: int) -> set[Any]:
    """The ids that are taken of those among whom to choose."""
    engine = se.Engine(as_of=AS_OF)
    engine.load("customers", pa.table({"customer_id": ids}))
    customers = engine._tables.customers
    rows = np.array([customers.row_of(one) for one in ids], np.int64)
    found = sampled(customers, rows, np.array([one in among for one in ids]), most)
    return {one for one, is_taken in zip(ids, found, strict=True) if is_taken}


@settings(max_examples=20)
@given(IDS, st.booleans(), st.integers(0, 60), st.randoms(use_true_random=False))
def test_the_same_buyers_are_taken_in_any_order(
    numbers: list[int], as_text: bool, most: int, random: Random
) -> None:
    ids: list[Any] = [f"id {n}" for n in numbers] if as_text else list(numbers)
    among = {one for one in ids if random.random() < 0.7}
    found = taken(ids, among, most)
    assert found <= among
    assert len(found) == min(most, len(among))
    again = ids[:]
    random.shuffle(again)
    assert taken(again, among, most) == found


@settings(max_examples=10)
@given(IDS, st.integers(0, 60))
def test_who_is_taken_of_fewer_is_taken_of_those_with_more_room(ids: list[int], most: int) -> None:
    few, more = taken(ids, set(ids), most), taken(ids, set(ids), most + 7)
    assert few <= more
    # Who else is there pushes nobody in.
    assert taken(ids[1:], set(ids[1:]), most) >= few - {ids[0]}


def test_neighbouring_numbers_are_not_taken_together() -> None:
    ids = list(range(1, 4_001))
    found = sorted(taken(ids, set(ids), 1_000))
    # Of 1,000 independent draws of a quarter, a half differs by 5 standard errors of 14 at most.
    assert abs(sum(one <= 2_000 for one in found) - 500) < 70
    assert abs(sum(one % 2 for one in found) - 500) < 70


def orders(buyers: int, repeat: float = 0.6) -> list[dict[str, Any]]:
    rng = Random(3)
    rows: list[dict[str, Any]] = []
    for buyer in range(buyers):
        at = AS_OF - timedelta(days=rng.randrange(30, 365))
        pace = rng.choice((8, 20, 50, 120))
        while at < AS_OF:
            amount = Decimal(rng.randrange(1_000, 9_000) * (1 + buyer % 3)) / 100
            rows.append({"customer_id": buyer, "time": at, "amount": amount})
            at += timedelta(days=rng.expovariate(1 / pace))
            if rng.random() > repeat:
                break
    return rows


def engine_with(rows: list[dict[str, Any]], most: int) -> se.Engine:
    engine = se.Engine(as_of=AS_OF, config={"prediction": {"most_buyers": most}})
    engine.load("orders", pa.Table.from_pylist(rows))
    return engine


def test_a_store_of_more_buyers_is_fitted_to_so_many_and_predicts_for_all() -> None:
    rows = orders(2_500)
    some, everybody = engine_with(rows, 1_000), engine_with(rows, 2_500)
    said = some.fits.shown["models_fitted_to"]
    assert (said["buyers"], said["of_buyers"]) == (1_000, 2_500)
    assert 300 < said["repeat_buyers"] < 700
    whole = everybody.fits.shown["models_fitted_to"]
    assert (whole["buyers"], whole["of_buyers"]) == (2_500, 2_500)
    assert some.fits.shown["BG/NBD"] != everybody.fits.shown["BG/NBD"]
    assert some.segment("p_alive >= 0").count() == 2_500
    total = "sum(expected_orders_90d)"
    one, other = (
        e.connect(["customers"]).execute(f"SELECT {total} FROM customers").fetchone()
        for e in (some, everybody)
    )
    assert one is not None
    assert other is not None
    assert one[0] == pytest.approx(other[0], rel=0.15)


def test_a_sample_too_small_to_tell_gives_way_to_everybody() -> None:
    rows = orders(2_500, repeat=0.03)
    engine = engine_with(rows, 1_000)
    said = engine.fits.shown["models_fitted_to"]
    assert said["buyers"] == said["of_buyers"] == 2_500
    assert said["repeat_buyers"] >= 50


def test_a_number_of_buyers_that_says_little_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prediction\.most_buyers"):
        se.Engine(config={"prediction": {"most_buyers": 999}})
