"""What a buyer chooses most often: against SQL, after any batches, and by example."""

from __future__ import annotations

from collections.abc import Sequence
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
from segengine.traits import habit
from segengine.traits.price_band import BANDS, price_levels
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.reference.habit_sql import DEFINITIONS, habits
from tests.reference.habit_sql import price_levels as price_levels_by_sql
from tests.traits.histories import Shop, differences, engine_of, traits_of
from tests.traits.test_incremental import Life

TABLES = ("products", "orders", "orders", "order_lines", "order_lines", "order_lines", "behaviors")
LINES_ALONE = ("order_lines",)
PREFERRED = [name for name in DEFINITIONS if name.startswith("preferred_")]


def trait(found: se.Engine, name: str) -> list[Any]:
    return found.table("customers", [name])[name].to_pylist()


def values(found: se.Engine, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in found.table("customers", list(names)).to_pylist()]


def lines(*rows: dict[str, Any]) -> pa.Table:
    """Lines of buyer 1, an order and a day each, the latest last, unless they say otherwise."""
    made = [
        {"customer_id": 1, "order_id": f"o{k}", "time": AS_OF - timedelta(days=len(rows) - k),
         **row}
        for k, row in enumerate(rows)
    ]  # fmt: skip
    return pa.Table.from_pylist(made)


def bought(*rows: dict[str, Any], least: int = 1) -> se.Engine:
    found = engine(config={"habit": {"minimum_evidence": least}})
    found.load("order_lines", lines(*rows))
    return found


# --- against SQL ----------------------------------------------------------------------------------


def disagreements(seed: int, *, buyers: int = 8, batches: int = 9, rows: int = 8) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    shop.ties = True
    least = rng.choice((1, 1, 2, 3))
    found = engine_of(shop, {"habit": {"minimum_evidence": least}})
    tables = rng.choice((TABLES, TABLES, TABLES, LINES_ALONE))
    for _ in range(batches):
        batch = shop.batch(rng.choice(tables), rows)
        found.load(batch.table, batch.to_arrow())
    connection = found.connect(["customers", "products", "orders", "order_lines", "behaviors"])
    wrong = differences(traits_of(found, list(DEFINITIONS)), habits(connection, shop.as_of, least))
    levels = price_levels_by_sql(connection, shop.as_of)
    if levels_of(found) != levels:
        wrong.append(f"price levels: {levels_of(found)}, expected {levels}")
    return wrong


def levels_of(found: se.Engine) -> dict[object, str | None]:
    """The price level of every product, by its id."""
    products = found._tables.products
    names = ("category", "price")
    category, price = (products.columns[name].values[: products.rows] for name in names)
    levels = price_levels(found._current.fits.of["price band"], category, price)
    ids = found.table("products", ["product_id"])["product_id"].to_pylist()
    return {one: BANDS[k] if k >= 0 else None for one, k in zip(ids, levels, strict=True)}


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_habits_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed) == []


@settings(max_examples=2)
@given(st.integers(0, 2**32))
def test_habits_of_a_larger_shop_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed, buyers=60, batches=12, rows=150) == []


@pytest.mark.prove
def test_habits_equal_their_definitions_in_sql_at_length() -> None:
    assert {seed: found for seed in range(1000) if (found := disagreements(seed))} == {}


def test_every_habit_has_a_definition_in_sql() -> None:
    assert set(DEFINITIONS) == {t.name for t in habit.HABIT.traits} | {"price_band"}


# --- incremental equals full ----------------------------------------------------------------------


def changed(seed: int) -> list[str]:
    life = Life(seed, steps=12, rows=6)
    fresh = life.fresh()
    names = [name for name in DEFINITIONS if name != "price_band"]
    found = differences(traits_of(life.engine, names), traits_of(fresh, names))
    for one in (life.engine, fresh):
        one.advance(life.shop.as_of + timedelta(days=2))
    return found + differences(
        traits_of(life.engine, list(DEFINITIONS)), traits_of(fresh, list(DEFINITIONS))
    )


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_habits_after_any_batches_equal_those_of_a_fresh_build(seed: int) -> None:
    assert changed(seed) == []


@pytest.mark.prove
def test_habits_after_any_batches_equal_those_of_a_fresh_build_at_length() -> None:
    assert {seed: found for seed in range(500) if (found := changed(seed))} == {}


def test_an_appended_line_changes_the_habit_and_the_band_but_no_cut() -> None:
    found = bought(*[{"category": "tea", "quantity": 1, "amount": k} for k in (10, 20, 30, 40)])
    assert values(found, "preferred_category", "price_band") == [("tea", "low")]
    cuts = found.fits.shown["price_bands"]
    assert cuts == {"tea": (20.0, 30.0)}
    dear = [{"order_id": f"n{k}", "category": "cup", "quantity": 1, "amount": 1} for k in range(7)]
    dear += [{"order_id": f"t{k}", "category": "tea", "quantity": 1, "amount": 90} for k in (1, 2)]
    found.append("order_lines", lines(*dear))
    assert values(found, "preferred_category", "price_band") == [("cup", "middle")]
    assert found.fits.shown["price_bands"] == cuts
    found.advance(AS_OF + timedelta(days=1))
    assert found.fits.shown["price_bands"] == {
        "tea": (pytest.approx(80 / 3), pytest.approx(170 / 3))
    }


# --- preferences ----------------------------------------------------------------------------------


def test_a_category_counts_once_for_each_purchase_that_has_it() -> None:
    one_cart = [{"order_id": "a", "category": "tea"} for _ in range(3)]
    found = bought(*one_cart, {"category": "cup"}, {"category": "cup"}, {"category": None})
    assert values(found, "preferred_category", "preferred_category_share") == [("cup", 2 / 3)]


def test_lines_of_an_order_that_come_apart_are_one_purchase() -> None:
    # More than the loop sorts by hand, each order's lines far from each other.
    rows = [{"order_id": f"o{k % 25}", "category": "tea" if k < 50 else "cup"} for k in range(75)]
    found = bought(*rows, {"order_id": "o1", "category": "tea"})
    assert values(found, "preferred_category", "preferred_category_share") == [("tea", 1.0)]


def test_of_equals_the_latest_is_preferred() -> None:
    rows = [{"category": name} for name in ("tea", "cup", "tea", "cup")]
    assert trait(bought(*rows), "preferred_category") == ["cup"]
    assert trait(bought(*reversed(rows)), "preferred_category") == ["tea"]


@pytest.mark.parametrize(
    ("names", "smaller"),
    [
        (("tea", "cup"), "cup"), (("tea", "teapot"), "tea"), (("茶", "z"), "z"),
        (("Z", "a"), "Z"), (("", "a"), ""),
    ],
)  # fmt: skip
def test_of_equals_at_one_moment_the_smaller_text_is_preferred(
    names: tuple[str, str], smaller: str
) -> None:
    for ordered in (names, names[::-1]):
        rows = [{"order_id": "a", "time": AS_OF, "category": n, "brand": n} for n in ordered]
        found = bought(*rows)
        assert values(found, "preferred_category", "preferred_brand") == [(smaller, smaller)]
        assert trait(found, "preferred_category_share") == [1.0]


def test_below_the_minimum_of_evidence_a_habit_is_missing() -> None:
    row = {"category": "tea", "brand": "x", "quantity": 1, "amount": 5, "list_amount": 10}
    # Several lines of one order are one purchase, whatever they say.
    rows = [{**row, "order_id": "a"}, {**row, "order_id": "a", "amount": 9}]
    assert values(bought(*rows, least=2), *DEFINITIONS) == [(None,) * len(DEFINITIONS)]
    told = bought(*rows, {**row, "order_id": "b"}, least=2)
    for name in ("preferred_category", "preferred_brand", "preferred_hour", "discount_share",
                 "promotion_share", "price_band"):  # fmt: skip
        assert trait(told, name) != [None]
        assert trait(bought(*rows, row, least=3), name) == [None]


def test_evidence_is_what_is_known_of_each() -> None:
    rows = [{"category": "tea", "brand": None}, {"category": "tea", "brand": "x"}]
    found = bought(*rows, least=2)
    assert values(found, "preferred_category", "preferred_brand") == [("tea", None)]
    assert values(found, "preferred_category_share", "preferred_brand_share") == [(1.0, None)]


def test_two_purchases_are_asked_for_unless_the_shop_says_otherwise() -> None:
    found = engine()
    found.load("orders", orders(1, 1, 2, payment=["card", "card", "card"]))
    assert trait(found, "preferred_payment") == ["card", None]
    with pytest.raises(se.ConfigError, match=r"habit\.minimum_evidence.*from 1 to 1000"):
        engine(config={"habit": {"minimum_evidence": 0}})


def placed(*times: datetime, timezone: str = "UTC", **columns: Sequence[Any]) -> se.Engine:
    found = se.Engine(timezone=timezone, as_of=AS_OF, config={"habit": {"minimum_evidence": 1}})
    found.load("orders", pa.table({"customer_id": [1] * len(times), "time": times, **columns}))
    return found


def test_hour_and_weekday_are_those_of_the_stores_clock() -> None:
    # Saturday 23:30 in UTC is Sunday 7:30 in Shanghai and 5:00 in Kolkata.
    late = datetime(2024, 2, 10, 23, 30, tzinfo=UTC)
    for timezone, hour, weekday in (
        ("UTC", 23, 6),
        ("Asia/Shanghai", 7, 7),
        ("Asia/Kolkata", 5, 7),
    ):
        found = placed(late, timezone=timezone)
        assert values(found, "preferred_hour", "preferred_weekday") == [(hour, weekday)]
    before_1970 = placed(datetime(1969, 12, 31, 23, tzinfo=UTC))
    assert values(before_1970, "preferred_hour", "preferred_weekday") == [(23, 3)]


def test_every_weekday_has_its_iso_number() -> None:
    monday = datetime(2024, 2, 5, 1, tzinfo=UTC)
    for day in range(7):
        found = placed(monday + timedelta(days=day, hours=3 * day))
        expected = (day + 1, 1 + 3 * day)
        assert values(found, "preferred_weekday", "preferred_hour") == [expected]


def test_an_hour_that_the_clock_showed_twice_is_one_hour() -> None:
    # On 3 November 2019 at 2:00 it was 1:00 again in New York: 5:30 and 6:30 in UTC are both 1:30.
    times = [datetime(2019, 11, 3, hour, 30, tzinfo=UTC) for hour in (5, 6, 9)]
    found = placed(*times, timezone="America/New_York")
    assert values(found, "preferred_hour", "preferred_hour_share") == [(1, 2 / 3)]


def test_the_latest_of_equal_hours_is_preferred() -> None:
    times = [datetime(2024, 2, day, hour, tzinfo=UTC) for day, hour in ((1, 9), (2, 21), (3, 9))]
    assert trait(placed(*times), "preferred_hour") == [9]
    assert trait(placed(*times[:2]), "preferred_hour") == [21]
    assert trait(placed(*times[1::-1]), "preferred_hour") == [21]


def test_payment_is_over_purchases_where_it_is_known() -> None:
    time = AS_OF - timedelta(days=3)
    payments = ["card", "alipay", "alipay", None, "alipay"]
    found = placed(*[time] * 5, payment=payments, is_purchase=[True] * 4 + [False])
    assert values(found, "preferred_payment", "preferred_payment_share") == [("alipay", 2 / 3)]


def test_device_is_over_behaviors_and_needs_no_purchase() -> None:
    found = engine()
    times = [AS_OF - timedelta(days=9)] * 4 + [AS_OF + timedelta(days=1)] * 3
    devices = ["mobile", "desktop", "mobile", None, "tv", "tv", "tv"]
    found.load("behaviors", pa.table({"customer_id": [1] * 7, "time": times, "device": devices}))
    assert values(found, "preferred_device", "preferred_device_share") == [("mobile", 2 / 3)]
    found.advance(AS_OF + timedelta(days=2))
    assert values(found, "preferred_device", "preferred_device_share") == [("tv", 0.5)]


# --- what they pay --------------------------------------------------------------------------------


def test_discount_is_what_was_given_up_against_the_list() -> None:
    known = {"amount": Decimal("7.5"), "list_amount": 10}
    half = [{**known, "amount": None}, {**known, "list_amount": None}]
    assert trait(bought(known, known, *half), "discount_share") == [0.25]
    assert trait(bought({"amount": 12, "list_amount": 10}), "discount_share") == [-0.2]
    assert trait(bought({"amount": 0, "list_amount": 10}), "discount_share") == [1.0]
    assert trait(bought({"amount": 5, "list_amount": 0}), "discount_share") == [None]
    returned = [{"amount": -5, "list_amount": -10}]
    assert trait(bought(*returned), "discount_share") == [None]
    assert trait(bought(known, known, *returned), "discount_share") == [0.0]


def test_a_discount_is_exact_where_doubles_are_not() -> None:
    listed = Decimal("99999999999999.9999")
    rows = [{"amount": listed - Decimal("0.0001"), "list_amount": listed}] * 3
    assert trait(bought(*rows), "discount_share") == [pytest.approx(1e-18, rel=1e-12)]


def test_a_discount_whose_sums_leave_64_bits_is_missing() -> None:
    listed = Decimal("99999999999999.9999")
    rows = [{"amount": 1, "list_amount": listed}] * 10
    assert trait(bought(*rows[:9]), "discount_share") == [pytest.approx(1.0)]
    assert trait(bought(*rows), "discount_share") == [None]


def test_promotion_share_is_over_all_purchases() -> None:
    times = [AS_OF - timedelta(days=k) for k in range(4)]
    found = placed(*times, promotion=["618", None, "1111", None])
    assert trait(found, "promotion_share") == [0.5]
    assert trait(placed(*times), "promotion_share") == [0.0]


def with_products(*prices: Any, category: str = "tea") -> se.Engine:
    found = engine(config={"habit": {"minimum_evidence": 1}})
    found.load(
        "products",
        pa.table(
            {"product_id": list(range(len(prices))), "category": [category] * len(prices),
             "price": pa.array(prices, pa.decimal128(18, 4))}
        ),
    )  # fmt: skip
    return found


def test_cuts_are_thirds_of_the_prices_of_a_categorys_products() -> None:
    found = with_products(10, 20, 30, 40, None, 0, -5)
    found.load("order_lines", lines({"category": "tea", "quantity": 1, "amount": 1000}))
    assert found.fits.shown["price_bands"] == {"tea": (20.0, 30.0)}
    levels = ["low", "low", "middle", "high", None, None, None]
    assert list(levels_of(found).values()) == levels
    assert trait(found, "price_band") == ["high"]


def test_a_category_whose_products_all_cost_the_same_is_cut_by_what_was_paid() -> None:
    rows = [{"category": "tea", "quantity": 2, "amount": amount} for amount in (10, 20, 30, 40)]
    for found in (with_products(), with_products(7), with_products(7, 7), with_products(None, 0)):
        found.load("order_lines", lines(*rows))
        assert found.fits.shown["price_bands"] == {"tea": (10.0, 15.0)}
        assert trait(found, "price_band") == ["low"]


def test_equal_prices_have_no_bands() -> None:
    rows = [{"category": "tea", "quantity": k, "amount": 3 * k} for k in (1, 2, 3)]
    found = bought(*rows)
    assert found.fits.shown["price_bands"] == {}
    assert trait(found, "price_band") == [None]
    assert levels_of(with_products(5, 5)) == {0: None, 1: None}


def test_the_band_is_that_of_the_median_line_and_of_two_the_lower() -> None:
    found = with_products(10, 20, 30, 40)
    amounts = {1: (40, 10), 2: (40, 40, 10), 3: (30, 30, 10, 40), 4: (20,), 5: (21,), 6: (31,)}
    rows = [
        {"customer_id": one, "order_id": f"{one}-{k}", "category": "tea", "quantity": 1,
         "amount": amount}
        for one, paid in amounts.items() for k, amount in enumerate(paid)
    ]  # fmt: skip
    found.load("order_lines", lines(*rows))
    assert trait(found, "price_band") == ["low", "high", "middle", "low", "middle", "high"]


def test_a_unit_price_is_rounded_to_the_stores_decimals_half_up() -> None:
    found = with_products(Decimal("0.0001"), Decimal("0.0002"), Decimal("0.0002"), 1)
    # Cuts are 0.0002 and 0.0002; 0.0005 / 2 is 0.0003, 0.0007 / 3 is 0.0002.
    for amount, quantity, band in (("0.0005", 2, "high"), ("0.0007", 3, "low")):
        one = se.Engine(as_of=AS_OF, config={"habit": {"minimum_evidence": 1}})
        one.load("products", found.table("products", ["product_id", "category", "price"]))
        row = {"category": "tea", "quantity": quantity, "amount": Decimal(amount)}
        one.load("order_lines", lines(row))
        assert trait(one, "price_band") == [band]


@pytest.mark.parametrize(
    "row",
    [
        {"quantity": 0}, {"quantity": -1}, {"quantity": None}, {"amount": 0}, {"amount": -9},
        {"amount": None}, {"category": None}, {"category": "unknown"}, {"is_purchase": False},
        {"quantity": -1, "amount": -9},
    ],
    ids=str,
)  # fmt: skip
def test_a_line_without_a_unit_price_in_a_category_is_in_no_band(row: dict[str, Any]) -> None:
    found = with_products(10, 20, 30, 40)
    whole = {"category": "tea", "quantity": 1, "amount": 40, "is_purchase": True}
    found.load("order_lines", lines({**whole, **row}, {**whole, "customer_id": 2}))
    assert trait(found, "price_band") == [None, "high"]


def test_the_largest_amounts_and_quantities_have_a_price() -> None:
    found = with_products(1, 2, 3)
    most = {"category": "tea", "quantity": 2**63 - 1, "amount": Decimal("99999999999999.9999")}
    found.load("order_lines", lines(most, {**most, "customer_id": 2, "quantity": 1}))
    assert trait(found, "price_band") == ["low", "high"]


def test_cuts_of_the_categories_with_the_most_prices_are_shown() -> None:
    found = engine()
    count = 30
    rows = [(c, p) for c in range(count) for p in range(2 + c)]
    found.load(
        "products",
        pa.table({"product_id": range(len(rows)), "category": [f"c{c}" for c, _ in rows],
                  "price": [1.0 + p for _, p in rows]}),
    )  # fmt: skip
    shown = found.fits.shown["price_bands"]
    assert list(shown) == [f"c{c}" for c in range(29, 9, -1)]
    assert None not in levels_of(found).values()


def test_a_category_that_came_after_the_fit_has_no_bands_yet() -> None:
    found = with_products(10, 20, 30)
    new = pa.table({"product_id": [7, 8], "category": ["cup", "cup"], "price": [1.0, 2.0]})
    found.append("products", new)
    found.append("order_lines", lines({"category": "cup", "quantity": 1, "amount": 2}))
    assert list(levels_of(found).values()) == ["low", "middle", "high", None, None]
    assert trait(found, "price_band") == [None]
    found.advance(AS_OF + timedelta(days=1))
    assert list(levels_of(found).values()) == ["low", "middle", "high", "low", "high"]
    assert trait(found, "price_band") == ["high"]


# --- stores of little -----------------------------------------------------------------------------


def test_a_buyer_with_nothing_has_no_habit() -> None:
    found = engine()
    found.load("customers", customers(1, 2))
    assert values(found, *DEFINITIONS) == [(None,) * len(DEFINITIONS)] * 2
    found.load("orders", orders(2, 2))
    assert values(found, *DEFINITIONS)[0] == (None,) * len(DEFINITIONS)


def test_a_store_of_orders_alone_knows_hours_and_promotions() -> None:
    found = engine()
    found.load("orders", orders(1, 1))
    known = [name for name in DEFINITIONS if trait(found, name) != [None]]
    assert known == ["preferred_hour", "preferred_hour_share", "preferred_weekday",
                     "preferred_weekday_share", "promotion_share"]  # fmt: skip


def test_a_buyer_who_gave_everything_back_has_no_habit() -> None:
    found = engine(config={"habit": {"minimum_evidence": 1}})
    found.load("orders", orders(1, 1, order_id=["a", "b"], amount=[5, 5], payment=["x", "x"],
                                refund_amount=[5, 5]))  # fmt: skip
    row = {"category": "tea", "brand": "b", "quantity": 1, "amount": 5, "list_amount": 6}
    found.load("order_lines", lines({**row, "order_id": "a"}, {**row, "order_id": "b"}))
    assert values(found, *DEFINITIONS) == [(None,) * len(DEFINITIONS)]


def test_rules_read_habits() -> None:
    found = bought({"category": "tea", "amount": 5, "quantity": 1}, {"category": "tea"})
    rule = "preferred_category = 'tea' AND preferred_category_share >= 0.8 AND promotion_share = 0"
    assert found.segment(rule).ids().to_pylist() == [1]
    assert found.segment("price_band IS NULL AND preferred_payment IS NULL").count() == 1


def test_price_levels_look_at_no_category_and_no_price() -> None:
    found = with_products(10, 20, 30)
    missing = np.iinfo(np.int64).min
    codes = np.array([-1, 0, 0, 0, 99, 0], np.int32)
    prices = np.array([5, missing, 0, 1, 5, 2**62], np.int64)
    levels = price_levels(found._current.fits.of["price band"], codes, prices)
    assert levels.tolist() == [-1, -1, -1, 0, -1, 2]
