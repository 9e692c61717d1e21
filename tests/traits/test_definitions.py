"""Definitions that shops argue about, one example each; the twin has the rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.traits.catalogue import BLOCKS, BY_NAME, CATALOGUE, LISTED, WORDS
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.reference.local_time import start_of_date

NOBODY = {
    "order_count": 0,
    "orders_placed_count": 0,
    "item_count": 0,
    "amount_total": 0,
    "gross_amount_total": 0,
    "orders_7d": 0,
    "amount_365d": 0,
    "category_count": 0,
    "promotions_count": 0,
    "recency_days": None,
    "first_order_at": None,
    "last_order_at": None,
    "second_order_at": None,
    "last_order_amount": None,
    "max_order_amount": None,
    "average_order_amount": None,
    "average_gap_days": None,
    "gap_ratio": None,
    "first_promotion": None,
    "rfm_cell": None,
    "rfm_group": None,
    "value_tier": None,
    "lifecycle_stage": "prospect",
    "previous_stage": None,
    "stage_changed_at": None,
    "trade_group": "potential",
    "intent_stage": None,
}


def trait(found: se.Engine, name: str) -> list[Any]:
    return found.table("customers", [name])[name].to_pylist()


def placed(*days_ago: float, **columns: Sequence[Any]) -> pa.Table:
    times = [AS_OF - timedelta(days=days) for days in days_ago]
    return pa.table({"customer_id": [1] * len(times), "time": times, **columns})


def bought(*days_ago: float, **columns: Sequence[Any]) -> se.Engine:
    found = engine()
    found.load("orders", placed(*days_ago, **columns))
    return found


def test_counts_over_nothing_are_zero_and_dates_averages_and_preferences_are_null() -> None:
    found = engine()
    found.load("customers", customers(1))
    assert found.table("customers", list(NOBODY)).to_pylist() == [NOBODY]
    assert found.page is not None


def test_every_trait_of_the_catalogue_is_a_column_and_a_word_of_the_rules() -> None:
    found = engine()
    found.load("customers", customers(1))
    for name, known in BY_NAME.items():
        assert len(trait(found, name)) == 1
        assert found.segment(f"{name} IS NULL OR {name} IS NOT NULL").count() == 1
        assert known.definition
    kept = [*LISTED, *(trait for traits in BLOCKS.values() for trait in traits)]
    assert sorted(BY_NAME) == sorted(trait.name for trait in kept)
    assert len(CATALOGUE) == len(BY_NAME)
    assert set(WORDS) < set(BY_NAME)


@pytest.mark.parametrize(
    ("timezone", "as_of"),
    [
        ("UTC", AS_OF),
        ("Asia/Shanghai", datetime(2024, 3, 1, 17, tzinfo=UTC)),
        ("America/Havana", datetime(2024, 11, 5, 5, tzinfo=UTC)),  # 3 November had 25 hours
        ("Africa/Cairo", datetime(2024, 5, 1, 5, tzinfo=UTC)),  # 26 April had no midnight
    ],
)
def test_a_window_is_the_dates_that_end_today_in_the_stores_timezone(
    timezone: str, as_of: datetime
) -> None:
    found = se.Engine(timezone=timezone, as_of=as_of)
    today = date.fromisoformat(
        found.connect(["orders"])
        .execute(f"SELECT strftime(make_timestamptz({int(as_of.timestamp()) * 10**6}), '%Y-%m-%d')")
        .fetchall()[0][0]
    )
    edges = {
        days: start_of_date(today - timedelta(days=days - 1), timezone) for days in (7, 30, 90, 365)
    }
    tick = timedelta(microseconds=1)
    times = [moment for edge in edges.values() for moment in (edge, edge - tick)]
    found.load("orders", pa.table({"customer_id": range(8), "time": times}))
    for place, days in enumerate(edges):
        windows = ["orders_7d", "orders_30d", "orders_90d", "orders_365d"]
        inside, outside = (
            found.segment(f"customer_id = {2 * place + k}").table(windows).to_pylist()[0]
            for k in (0, 1)
        )
        assert inside[f"orders_{days}d"] == 1
        assert outside[f"orders_{days}d"] == 0
        assert found.segment(f"in_last_days(last_order_at, {days})").count() == 2 * place + 1
        assert found.segment(f"recency_days <= {days - 1}").count() == 2 * place + 1


def test_where_the_clock_went_back_over_midnight_tomorrow_is_in_no_window() -> None:
    # On 7 November 2010 at 00:01 it was 6 November 23:01 again in St. John's.
    change = datetime(2010, 11, 7, 2, 31, tzinfo=UTC)
    found = se.Engine(timezone="America/St_Johns", as_of=change + timedelta(minutes=30))
    times = [change - timedelta(seconds=30), change + timedelta(minutes=1)]
    found.load("orders", pa.table({"customer_id": [1, 2], "time": times}))
    found.load(
        "behaviors", pa.table({"customer_id": [1, 2], "time": times, "kind": ["cart", "cart"]})
    )
    assert trait(found, "recency_days") == [-1, 0]
    assert trait(found, "orders_7d") == [0, 1]
    assert trait(found, "intent_stage") == [None, "interested"]
    assert found.segment("in_last_days(last_order_at, 7)").ids().to_pylist() == [2]


def test_gaps_are_dates_from_first_to_last_over_the_orders_between() -> None:
    found = bought(40, 30, 30, 10)
    assert trait(found, "average_gap_days") == [10.0]
    assert trait(found, "gap_ratio") == [1.0]
    assert trait(bought(5), "average_gap_days") == [None]
    same_day = bought(5, 5, 5)
    assert trait(same_day, "average_gap_days") == [0.0]
    assert trait(same_day, "gap_ratio") == [None]


def test_averages_are_over_known_amounts_and_the_last_amount_is_the_last_orders() -> None:
    found = bought(9, 5, 1, amount=[Decimal("10.0001"), Decimal("0.1"), None])
    assert trait(found, "average_order_amount") == [5.05005]
    assert trait(found, "last_order_amount") == [None]
    assert trait(found, "max_order_amount") == [Decimal("10.0001")]
    assert trait(found, "amount_total") == [Decimal("10.1001")]


def test_of_orders_at_one_instant_the_later_arrival_is_the_last() -> None:
    found = bought(5, 5, 5, amount=[1.0, 3.0, 2.0], promotion=[None, "b", "a"])
    assert trait(found, "last_order_amount") == [2]
    assert trait(found, "first_promotion") == ["b"]
    found.append("orders", placed(5, amount=[9.0], promotion=["z"]))
    found.append("orders", placed(6, amount=[7.0], promotion=["first"]))
    assert trait(found, "last_order_amount") == [9]
    assert trait(found, "first_promotion") == ["first"]
    assert trait(found, "promotions_count") == [4]


def test_many_orders_in_any_disorder_are_in_order_of_time() -> None:
    count = 3000
    ago = [(i * 7919) % count / 7 for i in range(count)]
    found = bought(*ago, amount=[float(i) for i in range(count)])
    newest = min(range(count), key=lambda i: ago[i])
    assert trait(found, "order_count") == [count]
    assert trait(found, "last_order_amount") == [newest]
    assert trait(found, "first_order_at") == [AS_OF - timedelta(days=max(ago))]
    assert trait(found, "second_order_at") == [AS_OF - timedelta(days=sorted(ago)[-2])]


@pytest.mark.parametrize(
    ("days", "stage", "before"),
    [
        ([], "prospect", None),
        ([30], "new", "prospect"),
        ([31], "active", "new"),
        ([60], "active", "new"),
        ([61], "sleeping", "active"),
        ([180], "sleeping", "active"),
        ([181], "lapsed", "sleeping"),
        ([40, 30, 15], "active", "new"),
        ([40, 30, 14], "active", "new"),
        ([40, 30, 20], "at_risk", "active"),
        ([40, 30, 30], "at_risk", "active"),
        (
            [30, 30, 30],
            "active",
            "prospect",
        ),  # bought in one go: never the one order of a new buyer
        ([100, 60, 20], "active", "new"),
        ([400, 5], "active", "lapsed"),
        ([200, 190, 61], "sleeping", "active"),
        ([130, 125, 120], "sleeping", "at_risk"),
    ],
)
def test_a_life_cycle_stage_reaches_to_its_threshold_inclusive(
    days: list[int], stage: str, before: str | None
) -> None:
    found = bought(*days) if days else engine()
    if not days:
        found.load("customers", customers(1))
    assert trait(found, "lifecycle_stage") == [stage]
    assert trait(found, "previous_stage") == [before]


def test_a_stage_changes_at_local_midnight_or_at_the_order() -> None:
    found = se.Engine(timezone="Africa/Cairo", as_of=datetime(2024, 5, 1, tzinfo=UTC))
    first = datetime(2024, 3, 26, 10, tzinfo=UTC)
    found.load("orders", orders(1, time=first))
    # 31 dates later is 26 April, which began at 01:00: the clock skipped midnight.
    assert trait(found, "stage_changed_at") == [datetime(2024, 4, 25, 22, tzinfo=UTC)]
    again = datetime(2024, 4, 30, 9, 30, tzinfo=UTC)
    found.append("orders", orders(1, time=again))
    assert trait(found, "stage_changed_at") == [datetime(2024, 4, 25, 22, tzinfo=UTC)]
    assert trait(found, "lifecycle_stage") == ["active"]
    found.advance(datetime(2024, 4, 25, 21, 59, tzinfo=UTC))
    assert trait(found, "lifecycle_stage") == ["new"]
    assert trait(found, "stage_changed_at") == [first]


def test_trade_groups_count_purchases() -> None:
    found = engine()
    found.load("customers", customers(0, 1, 2, 3))
    found.load("orders", orders(1, 2, 2, 3, 3, 3))
    assert trait(found, "trade_group") == ["potential", "traded", "repeat", "repeat"]


def did(
    *kinds: str, days: float = 1, product: str | None = "p", tags: list[str] | None = None
) -> se.Engine:
    found = engine()
    found.load("customers", customers(1, tags=[tags]))
    times = [AS_OF - timedelta(days=days) + timedelta(minutes=i) for i in range(len(kinds))]
    products = pa.array([product] * len(kinds), pa.string())
    found.load(
        "behaviors",
        pa.table(
            {
                "customer_id": [1] * len(kinds),
                "time": times,
                "kind": list(kinds),
                "product_id": products,
            }
        ),
    )
    return found


@pytest.mark.parametrize(
    ("kinds", "options", "stage"),
    [
        (("quote",), {}, "quoted_no_reply"),
        (("quote", "cart"), {}, "quoted_no_reply"),
        (("quote", "reply"), {}, None),
        (("quote", "reply", "quote"), {}, "quoted_no_reply"),
        (("cart",), {}, "interested"),
        (("favorite",), {"product": None}, "interested"),
        (("cart", "cart_remove"), {}, "interested"),  # taking it back does not cancel
        (("inquiry",), {}, "hesitating"),
        (("view", "view", "view"), {}, "hesitating"),
        (("view", "view", "view", "visit"), {"product": None}, "not_now"),
        (("view", "view"), {}, None),
        (("visit",), {}, "not_now"),
        (("search", "share"), {}, None),
        (("visit",), {"days": 29}, "not_now"),
        (("visit",), {"days": 30}, None),
        (("visit",), {"tags": ["never"]}, "never"),
        (("quote",), {"tags": ["a", "never"]}, "never"),
        (("cart",), {"tags": ["nevermore", "Never", "never "]}, "interested"),
    ],
)
def test_intent_is_the_first_that_the_last_30_dates_show(
    kinds: tuple[str, ...], options: dict[str, Any], stage: str | None
) -> None:
    assert trait(did(*kinds, **options), "intent_stage") == [stage]


def test_an_order_answers_a_quote_and_a_tag_changes_intent_at_once() -> None:
    found = did("quote")
    found.append("orders", orders(1, time=AS_OF, closed_at=[AS_OF]))
    assert trait(found, "intent_stage") == [None]
    found.append("customers", customers(1, 2, tags=[["never"], ["never"]]))
    assert trait(found, "intent_stage") == ["never", "never"]
    found.append("customers", customers(2, tags=pa.array([None], pa.list_(pa.string()))))
    assert trait(found, "intent_stage") == ["never", None]
    many = customers(*range(100, 400), tags=[[f"tag {i}"] for i in range(300)])
    found.append("customers", many)
    found.append("customers", customers(150, tags=[["x", "never"]]))
    assert found.segment("intent_stage = 'never'").ids().to_pylist() == [1, 150]


def test_views_of_many_products_are_counted_each() -> None:
    found = engine()
    views = [f"p{i % 100}" for i in range(200)]
    found.load("behaviors", orders(*[1] * 200, kind=["view"] * 200, product_id=views, time=AS_OF))
    assert trait(found, "intent_stage") == [None]
    found.append("behaviors", orders(1, kind=["view"], product_id=["p7"], time=AS_OF))
    assert trait(found, "intent_stage") == ["hesitating"]
