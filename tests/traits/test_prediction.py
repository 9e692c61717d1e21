"""Predictions of a store: against SQL, plain Python and scipy, and the same by whichever way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hyp2f1

import segengine as se
from segengine.errors import ConfigError
from segengine.schema.prediction_settings import PredictionSettings
from segengine.traits import build, prediction
from segengine.traits.purchase_model import (
    PurchaseModel,
    Refused,
    RepeatParameters,
    SpendParameters,
)
from segengine.traits.work import Fits, Work
from tests.reference.local_time import local_date, start_of_date
from tests.traits.histories import Shop, engine_of
from tests.traits.test_incremental import Life

NAMES = [trait.name for trait in prediction.PREDICTION.traits]
BG = RepeatParameters(0.243, 4.414, 0.793, 2.426)
MODIFIED = RepeatParameters(0.525, 6.183, 0.891, 1.614)
SPEND = SpendParameters(6.25, 3.74, 15.44)
FITTED = PurchaseModel(1_000, 500, 1_000, BG, MODIFIED, SPEND)
AS_OF = datetime(2024, 7, 1, 12, tzinfo=UTC)
DATES = """
    WITH dates AS (
        SELECT customer_id, time::DATE AS date, sum(amount) AS amount, count(amount) > 0 AS known
        FROM purchases GROUP BY ALL
    ), spans AS (
        SELECT customer_id, min(date) AS first, max(date) AS last, count(*) - 1 AS x
        FROM dates GROUP BY ALL
    )
    SELECT customer_id, any_value(x), any_value(last - first),
        greatest(any_value(DATE '{today}'), any_value(last)) - any_value(first),
        count(*) FILTER (WHERE date > first AND known),
        coalesce(sum(amount) FILTER (WHERE date > first), 0), any_value(last)
    FROM dates JOIN spans USING (customer_id) GROUP BY ALL
"""


def by_sql(engine: se.Engine) -> dict[object, tuple[int, int, int, int, Decimal, date]]:
    """x, days to the last date, days to today, valued dates, their amount, the last date."""
    sql = DATES.format(today=local_date(engine.as_of, engine.timezone))
    rows = engine.connect(["purchases"]).execute(sql).fetchall()
    return {one: (x, recency, age, valued, Decimal(total), last)
            for one, x, recency, age, valued, total, last in rows}  # fmt: skip


def by_kernel(engine: se.Engine) -> dict[object, tuple[int, int, int, int, Decimal, date]]:
    """The same as the family sees it."""
    dates = prediction.dates_of(work_of(engine))
    epoch = date(1970, 1, 1)
    return {
        one: (
            int(dates.repeats[row]), int(dates.recency[row]), int(dates.age[row]),
            int(dates.valued[row]), Decimal(int(dates.total[row])) / 10_000,
            epoch + timedelta(days=int(dates.last[row])),
        )
        for one, row in rows_of(engine).items()
        if dates.repeats[row] >= 0
    }  # fmt: skip


def work_of(engine: se.Engine) -> Work:
    tables = engine._tables
    blocks = {name: tables.customers.block(name) for name in build.BLOCKS}
    rows = np.arange(tables.customers.rows, dtype=np.int64)
    now = engine._current
    return Work(tables, now.settings, now.as_of, rows, blocks, all_rows=True)


def rows_of(engine: se.Engine) -> dict[object, int]:
    ids = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
    found = {one: engine._tables.customers.row_of(one) for one in ids}
    return {one: row for one, row in found.items() if row is not None}


def predictions(engine: se.Engine) -> dict[object, dict[str, Any]]:
    rows = engine.table("customers", ["customer_id", *NAMES]).to_pylist()
    return {row.pop("customer_id"): row for row in rows}


def with_model(engine: se.Engine, fitted: PurchaseModel) -> se.Engine:
    """As if this had been fitted: every buyer is placed against it."""
    now = engine._current
    now.fits = Fits(now.fits.fitted_at, {**now.fits.of, "prediction": fitted})
    rows = np.arange(engine._tables.customers.rows, dtype=np.int64)
    build.refresh(engine._tables, now.settings, now.as_of, now.fits, rows)
    return engine


# --- in plain Python ----------------------------------------------------------------------------


def expected_while_here(x: int, age: float, weeks: float) -> float:
    r, alpha, a, b = BG
    power = ((alpha + age) / (alpha + age + weeks)) ** (r + x)
    series = hyp2f1(r + x, b + x, a + b + x - 1, weeks / (alpha + age + weeks))
    return float((a + b + x - 1) / (a - 1) * (1 - power * series))


def in_python(
    known: tuple[int, int, int, int, Decimal, date], timezone: str,
    horizon: int = 365, discount: float = 0.1,
) -> dict[str, Any]:  # fmt: skip
    """The definitions of docs/prediction.md, one after the other."""
    x, recency_days, age_days, valued, total, last = known
    recency, age = recency_days / 7, age_days / 7
    r, alpha, a, b = MODIFIED
    alive = 1 / (1 + a / (b + x) * ((alpha + age) / (alpha + recency)) ** (r + x))
    gap = 7 * (alpha + recency) / (r + x)
    due = start_of_date(last + timedelta(days=math.floor(gap + 0.5)), timezone)
    r, alpha, a, b = BG
    here = 1.0
    if x > 0:
        here = 1 / (1 + a / (b + x - 1) * ((alpha + age) / (alpha + recency)) ** (r + x))
    p, q, v = SPEND
    amount = p * (v + max(float(total), 0)) / (p * valued + q - 1)
    value, before = 0.0, 0.0
    for begin in range(0, horizon, 30):
        end = min(begin + 30, horizon)
        until = expected_while_here(x, age, end / 7)
        value += (until - before) / (1 + discount) ** ((begin + end) / 2 / 365)
        before = until
    orders = here * expected_while_here(x, age, 90 / 7)
    return {
        "p_alive": alive,
        "expected_orders_90d": orders,
        "expected_amount_90d": orders * amount,
        "lifetime_value": here * value * amount,
        "expected_next_order_at": due if alive >= 0.5 else None,
    }


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in wanted.items():
        is_same = found[name] == value
        if isinstance(value, float) and found[name] is not None:
            is_same = math.isclose(found[name], value, rel_tol=1e-8)
        if not is_same:
            lines.append(f"{name}: {found[name]}, expected {value}")
    return lines


def wrong(seed: int) -> list[str]:
    """Where a random shop is not as SQL and Python say."""
    rng = Random(seed)
    shop = Shop.drawn(rng)
    engine = engine_of(shop)
    for _ in range(8):
        batch = shop.batch(rng.choice(("orders", "orders", "orders", "order_lines")), 12)
        engine.load(batch.table, batch.to_arrow())
    known = by_sql(engine)
    found = [] if by_kernel(engine) == known else [f"{by_kernel(engine)}, expected {known}"]
    all_found = predictions(with_model(engine, FITTED))
    for one, traits in all_found.items():
        wanted = in_python(known[one], shop.timezone) if one in known else dict.fromkeys(NAMES)
        found += [f"{one}.{line}" for line in differences(traits, wanted)]
    return found


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_predictions_are_those_of_sql_and_python(seed: int) -> None:
    assert wrong(seed) == []


@pytest.mark.prove
def test_predictions_are_those_of_sql_and_python_at_length() -> None:
    assert {seed: found for seed in range(500) if (found := wrong(seed))} == {}


def unlike(seed: int) -> list[str]:
    """Where a life of batches, dates and deletions leaves other predictions than a fresh build."""
    life = Life(seed, steps=3, rows=8)
    with_model(life.engine, FITTED)
    for _ in range(8):
        before = local_date(life.shop.as_of, life.shop.timezone)
        life.rng.choices((life.append, life.advance, life.delete), (5, 2, 0.5))[0](8)
        if local_date(life.shop.as_of, life.shop.timezone) != before:
            with_model(life.engine, FITTED)
    ours, theirs = predictions(life.engine), predictions(with_model(life.fresh(), FITTED))
    return [f"{one}: {ours.get(one)}, expected {theirs[one]}"
            for one in theirs if ours.get(one) != theirs[one]]  # fmt: skip


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_predictions_after_any_batches_are_those_of_a_fresh_build(seed: int) -> None:
    assert unlike(seed) == []


@pytest.mark.prove
def test_predictions_after_any_batches_are_those_of_a_fresh_build_at_length() -> None:
    assert {seed: found for seed in range(500) if (found := unlike(seed))} == {}


# --- a store ------------------------------------------------------------------------------------


def orders(buyers: int = 400, seed: int = 1) -> list[dict[str, Any]]:
    """Buyers of one to nine purchase dates in the year before AS_OF."""
    rng = Random(seed)
    rows: list[dict[str, Any]] = []
    for buyer in range(buyers):
        at = AS_OF - timedelta(days=rng.randrange(30, 365))
        pace = rng.choice((8, 20, 50, 120))
        while at < AS_OF:
            amount = Decimal(rng.randrange(1_000, 9_000) * (1 + buyer % 3)) / 100
            rows.append({"customer_id": buyer, "time": at, "amount": amount})
            at += timedelta(days=rng.expovariate(1 / pace))
            if rng.random() < 0.25:
                break
    return rows


def engine_with(rows: list[dict[str, Any]], config: Mapping[str, Any] | None = None) -> se.Engine:
    engine = se.Engine(as_of=AS_OF, config=config)
    engine.load("orders", pa.Table.from_pylist(rows))
    return engine


def model_of(engine: se.Engine) -> PurchaseModel:
    found = engine.fits.of["prediction"]
    assert isinstance(found, PurchaseModel)
    return found


@pytest.fixture(scope="module")
def engine() -> se.Engine:
    return engine_with(orders())


def test_a_store_is_fitted_by_load_and_its_buyers_have_predictions(engine: se.Engine) -> None:
    found = model_of(engine)
    assert found.buyers == 400
    for each in (found.orders, found.alive, found.spend):
        assert not isinstance(each, Refused), each
    assert set(engine.fits.shown["BG/NBD"]) == {"r", "alpha", "a", "b"}
    assert set(engine.fits.shown["Gamma-Gamma"]) == {"p", "q", "v"}
    every = "p_alive BETWEEN 0 AND 1 AND expected_orders_90d > 0 AND lifetime_value > 0"
    assert engine.segment(every).count() == 400
    assert engine.segment("expected_amount_90d < lifetime_value").count() == 400
    due = "expected_next_order_at >= last_order_at AND p_alive >= 0.5"
    assert engine.segment(due).count() == engine.segment("p_alive >= 0.5").count() > 50
    assert engine.segment("expected_next_order_at < now()").count() > 0


def test_an_append_moves_the_buyer_and_not_the_parameters() -> None:
    engine = engine_with(orders())
    before, fitted = predictions(engine), model_of(engine)
    row = {"customer_id": 7, "time": AS_OF, "amount": Decimal(90)}
    engine.append("orders", pa.Table.from_pylist([row]))
    assert model_of(engine) is fitted
    after = predictions(engine)
    assert {one for one in after if after[one] != before[one]} == {7}
    assert after[7]["p_alive"] > before[7]["p_alive"]
    engine.append("orders", pa.Table.from_pylist([{**row, "customer_id": 1_000}]))
    assert predictions(engine)[1_000]["expected_orders_90d"] > 0
    engine.advance(AS_OF + timedelta(hours=1))
    assert model_of(engine) is fitted
    engine.advance(AS_OF + timedelta(days=1))
    assert model_of(engine) != fitted
    assert engine.fits.shown != {}


def test_a_fit_is_the_same_whichever_way_the_orders_came() -> None:
    rows = orders()
    half = engine_with(rows[: len(rows) // 2])
    half.load("orders", pa.Table.from_pylist(rows[len(rows) // 2 :][::-1]))
    assert model_of(half) == model_of(engine_with(rows))


def test_too_small_a_store_has_the_reason_and_no_predictions() -> None:
    engine = engine_with(orders(buyers=60))
    found = predictions(engine)
    assert all(set(traits.values()) == {None} for traits in found.values())
    reason = "too few purchases to predict from: 60 buyers with a purchase, and 200 are needed"
    assert engine.fits.shown["BG/NBD"].startswith(reason)
    assert engine.segment("p_alive IS NULL").count() == 60
    assert engine.segment("p_alive >= 0 OR lifetime_value >= 0").count() == 0


def test_a_store_of_nothing_and_buyers_without_a_purchase_have_none(engine: se.Engine) -> None:
    empty = se.Engine(as_of=AS_OF)
    assert isinstance(model_of(empty).orders, Refused)
    empty.load("customers", pa.table({"customer_id": [1]}))
    assert set(predictions(empty)[1].values()) == {None}
    visits = pa.table({"customer_id": [9_999], "time": [AS_OF], "kind": ["visit"]})
    engine.append("behaviors", visits)
    assert set(predictions(engine)[9_999].values()) == {None}


def test_refunds_are_taken_off_and_amounts_below_nothing_count_as_nothing() -> None:
    rows = [
        {"customer_id": buyer, "time": AS_OF - timedelta(days=days), "amount": Decimal(amount),
         "refund_amount": refund}
        for buyer, amount, refund in ((1, 50, None), (2, 80, Decimal(30)), (3, -70, None))
        for days in (40, 10)
    ]  # fmt: skip
    found = predictions(with_model(engine_with(rows), FITTED))
    assert found[1] == found[2]
    v = SPEND.v
    ratio = found[3]["expected_amount_90d"] / found[1]["expected_amount_90d"]
    assert ratio == pytest.approx(v / (v + 50))


def test_a_sum_beyond_64_bits_leaves_amounts_missing_and_orders_not() -> None:
    rows = [
        {
            "customer_id": 1,
            "time": AS_OF - timedelta(days=day),
            "amount": Decimal(99_999_999_999_999),
        }
        for day in range(12)
    ]
    found = predictions(with_model(engine_with(rows), FITTED))[1]
    assert found["expected_amount_90d"] is None is found["lifetime_value"]
    assert found["expected_orders_90d"] > 1


def test_a_days_purchases_are_one_date() -> None:
    noon = AS_OF - timedelta(days=20)
    rows = [
        {"customer_id": buyer, "time": noon + timedelta(days=day, hours=hour), "amount": amount}
        for buyer, day, hour, amount in (
            (1, 0, 0, Decimal(5)), (1, 9, 0, Decimal(60)), (2, 0, 1, Decimal(100)),
            (2, 0, 2, Decimal(100)), (2, 9, 0, Decimal(20)), (2, 9, 3, Decimal(40)),
        )
    ]  # fmt: skip
    engine = with_model(engine_with(rows), FITTED)
    found = predictions(engine)
    assert by_kernel(engine)[2][:5] == (1, 9, 20, 1, Decimal(60))
    assert found[1] == found[2]


def test_horizon_and_discount_are_the_stores(engine: se.Engine) -> None:
    rows = orders(buyers=5)
    short = engine_with(rows, {"prediction": {"horizon_days": 90, "yearly_discount": 0}})
    found = predictions(with_model(short, FITTED))
    for traits in found.values():
        assert traits["lifetime_value"] == pytest.approx(traits["expected_amount_90d"])
    config = {"prediction": {"horizon_days": 400, "yearly_discount": 0.25}}
    far = with_model(engine_with(rows, config), FITTED)
    known = by_sql(far)
    for one, traits in predictions(far).items():
        assert differences(traits, in_python(known[one], "UTC", 400, 0.25)) == []


def test_settings_out_of_bounds_are_named() -> None:
    config = {"prediction": {"horizon_days": 0, "yearly_discount": -0.1, "horizon": 3}}
    with pytest.raises(ConfigError) as caught:
        se.Engine(config=config)
    for place in ("horizon_days", "yearly_discount", "horizon"):
        assert f"`prediction.{place}`" in str(caught.value)


def test_a_refused_model_leaves_its_own_traits_missing(engine: se.Engine) -> None:
    none = Refused("no")
    missing = {
        "orders": {"expected_orders_90d", "expected_amount_90d", "lifetime_value"},
        "alive": {"p_alive", "expected_next_order_at"},
        "spend": {"expected_amount_90d", "lifetime_value"},
    }
    small = engine_with(orders(buyers=3))
    for model, names in missing.items():
        found = predictions(with_model(small, replace(FITTED, **{model: none})))[0]
        other = predictions(with_model(small, FITTED))[0]
        assert found == {n: None if n in names else value for n, value in other.items()}


def test_the_next_order_of_a_buyer_on_time_lies_ahead_and_does_not_creep() -> None:
    rows = [
        {"customer_id": 1, "time": AS_OF - timedelta(days=days), "amount": Decimal(9)}
        for days in range(0, 200, 10)
    ]
    engine = with_model(engine_with(rows), FITTED)
    due = predictions(engine)[1]["expected_next_order_at"]
    assert AS_OF < due < AS_OF + timedelta(days=20)
    assert due.astimezone(UTC).hour == 0
    engine.advance(AS_OF + timedelta(days=12))
    with_model(engine, FITTED)
    assert predictions(engine)[1]["expected_next_order_at"] == due
    engine.advance(AS_OF + timedelta(days=365))
    assert predictions(with_model(engine, FITTED))[1]["expected_next_order_at"] is None


def test_a_horizon_of_default_settings_is_a_year() -> None:
    model = prediction.model_of(FITTED, PredictionSettings(), 100)
    assert model.weeks[0] == 90 / 7
    assert model.weeks[-1] == 365 / 7
    assert len(model.weeks) == len(model.discount) == 14
    assert model.discount[1] == pytest.approx(1.1 ** (-15 / 365))
    assert model.discount[-1] == pytest.approx(1.1 ** (-362.5 / 365))
