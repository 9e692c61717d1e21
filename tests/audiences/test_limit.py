"""A limit takes the first by an order that is total: value, nulls last, then customer_id."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine.audiences.limit import least
from tests.reference import bucketing
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.random_rules import Maker, Options, random_world
from tests.reference.rules import Constant, Type, rule_text, type_of
from tests.rules.stores import engine_over


def targeted(engine: se.Engine, limit: int, order_by: str | None) -> list[Any]:
    engine.define_campaign(se.Campaign("c", "TRUE", limit=limit, order_by=order_by))
    return engine.audience("c").ids().to_pylist()


def engine_of(values: list[Any], kind: pa.DataType, ids: list[Any] | None = None) -> se.Engine:
    engine = se.Engine(timezone="UTC", as_of=datetime(2024, 3, 1, tzinfo=UTC))
    table = pa.table({"customer_id": ids or list(range(len(values))),
                      "v": pa.array(values, kind)})  # fmt: skip
    engine.load("customers", table, columns={"v": "v"})
    return engine


ORDERED: list[tuple[list[Any], pa.DataType]] = [
    ([-(2**63) + 1, -5, 0, 7, 2**63 - 1], pa.int64()),
    ([-1e308, -0.5, 0.0, 5e-324, 1e308], pa.float64()),
    ([Decimal("-5.25"), Decimal(0), Decimal("0.0001"), Decimal(3)], pa.decimal128(18, 4)),
    (["", "A", "Z", "a", "é", "東", "\uffff", "😀"], pa.string()),
    ([date(1900, 1, 1), date(1969, 12, 31), date(2024, 2, 29)], pa.date32()),
    ([datetime(1900, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)],
     pa.timestamp("us", "UTC")),
    ([False, True], pa.bool_()),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind"), ORDERED, ids=[str(kind) for _, kind in ORDERED])
@pytest.mark.parametrize("way", ["", " ASC", " desc", "\tDESC ", "\nasc"])
def test_every_kind_of_value_has_its_order_with_nulls_last(
    values: list[Any], kind: pa.DataType, way: str
) -> None:
    descending = way.strip().lower() == "desc"
    shuffled = [*values, None, *values, None]
    Random(3).shuffle(shuffled)
    engine = engine_of(shuffled, kind)
    ranks = {value: -rank if descending else rank for rank, value in enumerate(values)}
    known = sorted((ranks[v], i) for i, v in enumerate(shuffled) if v is not None)
    order = [i for _, i in known] + [i for i, v in enumerate(shuffled) if v is None]
    for limit in range(len(shuffled) + 2):
        assert set(targeted(engine, limit, f"v{way}")) == set(order[:limit])


def test_ties_go_by_customer_id() -> None:
    ids = [5, -3, 2**62, 0, 17, -(2**62)]
    engine = engine_of([1] * 6, pa.int64(), ids)
    for way in ("v", "v DESC", None, "1", "v * 0", "NULL"):
        for limit in range(7):
            assert set(targeted(engine, limit, way)) == set(sorted(ids)[:limit]), way


def test_ties_of_text_ids_go_by_their_bytes() -> None:
    ids = ["b", "B", "10", "9", "é", "\uffff", "😀", "", "ab"]
    engine = engine_of([1] * 9, pa.int64(), ids)
    order = sorted(ids, key=str.encode)
    for limit in range(10):
        assert set(targeted(engine, limit, None)) == set(order[:limit])


def test_members_stand_in_row_order_whatever_the_order_by() -> None:
    engine = engine_of([3, 1, 2], pa.int64(), [30, 10, 20])
    assert targeted(engine, 2, "v") == [10, 20]
    assert targeted(engine, 2, "v DESC") == [30, 20]


def test_a_limit_counts_who_is_held_out_too() -> None:
    engine = engine_of(list(range(1000)), pa.int64())
    engine.define_campaign(se.Campaign("c", "TRUE", limit=200, order_by="v", holdout=0.3))
    audience = engine.audience("c")
    kept = {row["step"]: row["remaining"] for row in audience.ledger.to_pylist()}
    assert kept["limit"] == 200
    assert 110 < kept["holdout"] < 170
    assert max(audience.ids().to_pylist()) < 200


@pytest.mark.parametrize("seed", range(6))
def test_orders_by_expressions_are_the_twins(seed: int) -> None:
    """Any expression, over random buyers with nulls, ties and both kinds of ids."""
    rng = Random(seed)
    world = random_world(rng)
    customers = random_customers(rng, 90, timezone=world.timezone, as_of=world.as_of,
                                 text_ids=seed % 3 == 0)  # fmt: skip
    engine, buyers = engine_over(customers, world), buyers_of(customers)
    maker = Maker(rng, COLUMNS, buyers, world, Options())
    for _ in range(12):
        order = rng.choice((maker.number, maker.text, maker.moment))()
        if type_of(order) is Type.TEXTS:
            continue
        descending, limit = rng.random() < 0.5, rng.randrange(91)
        campaign = bucketing.Campaign("c", Constant(True, Type.BOOLEAN), limit=limit,
                                      order_by=order, descending=descending)  # fmt: skip
        wanted = bucketing.audience(campaign, buyers, world).targeted
        text = rule_text(order) + (" DESC" if descending else "")
        assert set(targeted(engine, limit, text)) == set(wanted), text


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.sampled_from([0, 2**64 - 1, 2**48]),
             max_size=60),
    st.integers(0, 70),
)  # fmt: skip
def test_the_least_keys_are_found_without_sorting(given_keys: list[int], count: int) -> None:
    keys = np.array(given_keys, np.uint64)
    sure, tied = least(keys, count)
    wanted = sorted(given_keys)[:count]
    surely = keys[sure].tolist()
    rest = count - len(surely)
    assert sorted([*surely, *keys[tied].tolist()[: max(rest, 0)]]) == wanted
    assert len(set(keys[tied].tolist())) <= 1
    assert not sure[tied].any()


@pytest.mark.parametrize(
    ("order_by", "said"),
    [
        ("v DESC NULLS LAST", "unexpected `NULLS`"),
        ("vv", "unknown trait `vv`"),
        ("tags", "lists have no order"),
        ("context.x", "page rules only"),
        ("v, customer_id", "unexpected `,`"),
        ("DESC", "unexpected `DESC`"),
    ],
)
def test_an_order_that_cannot_be_is_said_with_its_place(order_by: str, said: str) -> None:
    engine = engine_of([1], pa.int64())
    with pytest.raises(se.SegengineError, match=said) as caught:
        engine.define_campaign(se.Campaign("c", "TRUE", limit=1, order_by=order_by))
    assert 'campaign "c", order_by' in str(caught.value)
