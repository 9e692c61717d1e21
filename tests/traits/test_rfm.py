"""Scores against fitted and given cuts: ties, few buyers, nobody, and when cuts move."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.schema.kinds import MONEY_DIGITS
from segengine.traits.quantiles import quantiles
from tests.ingest.samples import AS_OF, LONG_AGO, customers, engine, orders
from tests.reference.traits import Fitted, cuts_of
from tests.traits.histories import Shop, differences, engine_of, expected_traits, traits_of

SCORES = ("r_score", "f_score", "m_score", "rfm_cell", "rfm_group", "value_tier")


def buyers(*bought: tuple[int, int, float]) -> pa.Table:
    """Orders of buyers 0, 1, ...: days ago, how many, for how much each."""
    rows = [
        {"customer_id": i, "time": AS_OF - timedelta(days=days), "amount": amount}
        for i, (days, count, amount) in enumerate(bought)
        for _ in range(count)
    ]
    return pa.Table.from_pylist(rows)


def scores(found: se.Engine, *names: str) -> list[Any]:
    rows = found.table("customers", list(names or SCORES)).to_pylist()
    return [tuple(row.values()) if len(row) > 1 else next(iter(row.values())) for row in rows]


def test_a_fifth_of_the_buyers_has_each_score_and_five_is_best() -> None:
    found = engine()
    found.load("orders", buyers(*[(i, i + 1, 100.0 * (i + 1)) for i in range(10)]))
    assert scores(found, "r_score") == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert scores(found, "f_score") == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert scores(found, "m_score") == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert scores(found, "rfm_cell")[0] == "511"
    assert scores(found, "rfm_group")[::9] == ["general_develop", "important_keep"]
    assert found.fits.buyers == 10
    assert found.fits.shown["recency"] == (1.8, 3.6, 5.4, 7.2)


def test_ties_share_a_score() -> None:
    found = engine()
    found.load("orders", buyers(*[(3, 1, 5.0)] * 7, (9, 2, 6.0)))
    assert scores(found, "rfm_cell") == ["511"] * 7 + ["155"]
    assert set(scores(found, "value_tier")) == {"low", "high"}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_few_buyers_are_scored_and_nobody_is_nothing(count: int) -> None:
    found = engine()
    found.load("customers", customers(*range(6)))
    if count:
        found.load("orders", buyers(*[(10 * i, 1, 10.0 * (i + 1)) for i in range(count)]))
    found_scores = scores(found)
    assert found_scores[count:] == [(None,) * 6] * (6 - count)
    assert found.fits.buyers == count
    if count == 1:
        assert found_scores[0] == (5, 1, 1, "511", "general_win_back", "low")
    assert all(row[3] == f"{row[0]}{row[1]}{row[2]}" for row in found_scores[:count])


def test_no_buyer_at_all_has_no_cuts() -> None:
    found = engine()
    cuts = ("recency", "orders", "amount", "tier")
    assert {name: found.fits.shown[name] for name in cuts} == dict.fromkeys(cuts, ())
    found.append("orders", buyers((0, 1, 5.0)))
    # Nothing was fitted yet; a score is never against cuts of a batch.
    assert scores(found) == [(None,) * 6]
    found.advance(AS_OF + timedelta(days=1))
    assert scores(found) == [(5, 1, 1, "511", "general_win_back", "low")]


def test_a_buyer_who_spent_nothing_this_year_has_no_tier() -> None:
    found = engine()
    found.load(
        "orders", buyers((1, 1, 0.0), (2, 1, -5.0), (365, 1, 9.0), (364, 1, 9.0), (3, 1, 1.0))
    )
    assert scores(found, "value_tier") == [None, None, None, "high", "low"]


def test_cuts_are_refitted_by_a_load_and_on_a_new_date_and_never_by_an_append() -> None:
    found = engine()
    found.load("orders", buyers(*[(i, 1, 10.0 * (i + 1)) for i in range(5)]))
    fit = found.fits
    found.append("orders", buyers(*[(0, 3, 1000.0)] * 5))
    assert found.fits is fit
    # The current value against the fitted cuts.
    assert scores(found, "rfm_cell") == ["555"] * 5
    found.advance(AS_OF + timedelta(minutes=1))
    assert found.fits is fit
    found.load("messages", orders(1))
    assert found.fits.fitted_at == int((AS_OF + timedelta(minutes=1)).timestamp() * 1e6)
    found.advance(AS_OF + timedelta(hours=12))
    assert found.fits.fitted_at == int((AS_OF + timedelta(hours=12)).timestamp() * 1e6)
    assert found.fits.of["RFM"].cuts.orders.tolist() == [4, 4, 4, 4]
    assert scores(found, "f_score") == [1] * 5
    found.advance(AS_OF)
    found.load("customers", customers(77))
    assert found.fits.fitted_at == int(AS_OF.timestamp() * 1e6)


FIXED = {
    "mode": "fixed",
    "recency": [1, 7, 30.5, 90],
    "orders": [1, 2, 3, 6],
    "amount": [10, 50, 99.995, 1000],
}


def test_fixed_cuts_need_no_population() -> None:
    found = engine(config={"rfm": FIXED})
    found.append(
        "orders",
        buyers((1, 1, 10.0), (2, 2, 25.0), (30, 3, 33.3317), (91, 7, 200.0), (0, 1, 99.995)),
    )
    assert scores(found, "rfm_cell") == ["511", "422", "334", "155", "513"]
    # Groups compare with mean scores, which are fitted.
    assert scores(found, "rfm_group") == [None] * 5
    found.advance(AS_OF + timedelta(hours=12))
    assert None not in scores(found, "rfm_group")


@settings(max_examples=5)
@given(st.integers(0, 2**32))
def test_fixed_cuts_agree_with_the_twin(seed: int) -> None:
    rng = Random(seed)
    shop = Shop.drawn(rng)
    drawn = [shop.batch(table) for table in ("customers", "orders", "order_lines", "orders")]
    found = engine_of(shop, {"rfm": FIXED})
    for batch in drawn:
        found.load(batch.table, batch.to_arrow())
    cuts = {
        k: tuple(Fraction(str(cut)) for cut in FIXED[k]) for k in ("recency", "orders", "amount")
    }
    fixed = Fitted(cuts["recency"], cuts["orders"], cuts["amount"], ())
    expected = expected_traits(drawn, shop.world, fixed_cuts=fixed)
    ours = traits_of(found, SCORES)
    assert differences({k: v for k, v in ours.items() if k in expected}, expected) == []


@given(
    st.lists(st.integers(-(10**MONEY_DIGITS), 10**MONEY_DIGITS), max_size=40),
    st.sampled_from([3, 5]),
)
def test_quantiles_are_exact_and_continuous(values: list[int], parts: int) -> None:
    shares = [Fraction(step, parts) for step in range(1, parts)]
    expected = cuts_of([Decimal(v) for v in values], shares)
    assert tuple(quantiles(np.array(values, np.int64), parts)) == expected


@settings(max_examples=8)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=30))
def test_a_value_is_above_a_cut_if_and_only_if_it_is_above_its_floor(cents: list[int]) -> None:
    found = engine()
    found.load("orders", buyers(*[(i % 9, 1, c / 100) for i, c in enumerate(cents)]))
    cuts = cuts_of([Decimal(c) / 100 for c in cents], [Fraction(n, 5) for n in range(1, 5)])
    expected = [1 + sum(cut < Fraction(c, 100) for cut in cuts) for c in cents]
    assert scores(found, "m_score") == expected


def test_a_deleted_buyer_counts_in_no_cut() -> None:
    found = engine()
    found.load("orders", buyers(*[(i, 1, 10.0) for i in range(4)], (400, 9, 9999.0)))
    found.delete_customer(4)
    found.advance(AS_OF + timedelta(days=1))
    assert found.fits.buyers == 4
    assert found.fits.shown["amount"] == (10.0,) * 4


def test_the_moment_of_a_fit_is_that_of_the_answer() -> None:
    found = engine()
    found.load("orders", orders(1, time=LONG_AGO))
    assert datetime.fromtimestamp(found.fits.fitted_at / 1e6, AS_OF.tzinfo) == AS_OF
