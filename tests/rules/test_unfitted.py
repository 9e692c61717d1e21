"""Whoever reads a trait that the store has too little for is told so, once, with the reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import segengine as se

AS_OF = datetime(2024, 7, 1, 12, tzinfo=UTC)
TOO_FEW = "too few purchases to predict from: 3 buyers with a purchase, and 200 are needed; "


def store(buyers: int = 3, **config: Any) -> se.Engine:
    engine = se.Engine(as_of=AS_OF, config=config)
    if buyers:
        orders = [
            {
                "customer_id": n % buyers,
                "time": AS_OF - timedelta(days=n % 200),
                "amount": 5 + n % 9,
            }
            for n in range(3 * buyers)
        ]
        engine.load("orders", pa.Table.from_pylist(orders))
    return engine


def warnings(engine: se.Engine) -> dict[str, str]:
    return {f.place: f.message for f in engine.check() if "missing for everybody" in f.message}


def test_every_place_that_reads_a_refused_trait_is_a_warning_with_the_reason() -> None:
    engine = store(
        segments={"gone": "p_alive < 0.3", "worthy": "amount_total > 5"},
        traits={"hope": "expected_orders_90d * 2"},
        campaigns={
            "c": {
                "segment": "TRUE",
                "exclusions": ["lifetime_value > 3 OR expected_amount_90d > 2"],
                "order_by": "expected_next_order_at",
            }
        },
        pages={"p": {"slots": {"s": {"modules": {"m": {"rule": "p_alive > 0.9"}}}}}},
    )
    found = warnings(engine)
    assert set(found) == {
        'segment "gone"', 'trait "hope"', 'campaign "c", exclusions', 'campaign "c", order_by',
        'page "p", slot "s", module "m"',
    }  # fmt: skip
    gone = found['segment "gone"']
    assert gone.startswith(f"`p_alive` is missing for everybody: {TOO_FEW}")
    both = "`expected_amount_90d` and `lifetime_value` are missing for everybody: "
    assert found['campaign "c", exclusions'].startswith(both)
    severities = {f.severity for f in engine.check() if f.place in found}
    assert "warning" in severities


def test_who_only_names_such_a_segment_or_trait_is_not_warned_of_it_again() -> None:
    engine = store(
        segments={
            "gone": "p_alive < 0.3", "named": "segment('gone') AND order_count > 2",
            "declared": "hope > 3", "in an aggregate": "count(orders) FILTER "
            "(WHERE amount > 2 * customers.expected_orders_90d) > 1",
        },
        traits={"hope": "lifetime_value"},
    )  # fmt: skip
    assert set(warnings(engine)) == {
        'segment "gone"', 'trait "hope"', 'segment "in an aggregate"',
    }  # fmt: skip


def test_a_store_that_is_large_enough_or_has_no_purchase_at_all_is_not_warned() -> None:
    config: dict[str, Any] = {"segments": {"gone": "p_alive < 0.3", "here": "p_alive > 0.5"}}
    assert warnings(store(0, **config)) == {}
    assert warnings(store(199, **config)) != {}
    large = store(400, **config)
    for model, read in (("modified BG/NBD", "p_alive"), ("BG/NBD", "expected_orders_90d")):
        large.define_segment("reads", f"{read} > 0")
        was_refused = isinstance(large.fits.shown[model], str)
        assert ('segment "reads"' in warnings(large)) == was_refused


def test_a_trait_whose_own_model_holds_is_not_among_them() -> None:
    config: dict[str, Any] = {"segments": {"worth": "lifetime_value > 3", "here": "p_alive > 0.5"}}
    engine = se.Engine(as_of=AS_OF, config=config)
    # Rhythms that a model can be fitted to, and no amount, which Gamma-Gamma needs.
    rows = [
        {"customer_id": n, "time": AS_OF - timedelta(days=age - gap * k)}
        for n in range(300)
        for age, gap in [(40 + n * 7 % 300, (9, 25, 60)[n % 3])]
        for k in range(1 + n * n % 5)
        if gap * k <= age
    ]
    engine.load("orders", pa.Table.from_pylist(rows))
    assert not isinstance(engine.fits.shown["modified BG/NBD"], str)
    found = warnings(engine)
    assert set(found) == {'segment "worth"'}
    assert "too few amounts to predict from" in found['segment "worth"']
