"""Traits of products: as SQL defines them, current or fitted, overridden, in rules, and without."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.traits.products import PRODUCT_TRAITS
from tests.ingest.samples import AS_OF, engine
from tests.reference.local_time import local_date, start_of_date
from tests.reference.product_sql import CURRENT, FITTED, product_traits
from tests.reference.random_products import Market
from tests.traits.histories import same

NAMES = [trait.name for trait in PRODUCT_TRAITS]
AT_FIT = ("growth", "share", "matrix_class", "role")


def traits_of(found: se.Engine) -> dict[object, dict[str, Any]]:
    rows = found.table("products", ["product_id", *NAMES]).to_pylist()
    return {row.pop("product_id"): row for row in rows}


def expected(found: se.Engine, market: Market) -> dict[object, dict[str, Any]]:
    with found.connect() as connection:
        return product_traits(connection, market.given_table(), found.as_of)


def differences(found: dict[object, Any], wanted: dict[object, Any], names: Any) -> list[str]:
    assert found.keys() == wanted.keys()
    return [
        f"{one}.{name}: {found[one][name]!r}, expected {wanted[one][name]!r}"
        for one in found for name in names if not same(found[one][name], wanted[one][name])
    ]  # fmt: skip


def full(seed: int) -> tuple[Market, se.Engine, list[tuple[str, pa.Table]]]:
    """A shop with a history, loaded in some order, and what it was told."""
    rng = Random(seed)
    market = Market(rng)
    found = se.Engine(timezone=market.timezone, as_of=market.as_of)
    told = [
        ("products", market.some_products()),
        ("orders", market.some_orders(40)),
        ("order_lines", market.some_lines(rng.choice((5, 60, 150)))),
        ("behaviors", market.some_behaviors(rng.choice((2, 80)))),
    ]
    if rng.random() < 0.3:
        rng.shuffle(told)
    for table, data in told:
        found.load(table, data)
    return market, found, told


def test_the_catalogue_of_the_definitions_is_that_of_the_engine() -> None:
    assert {*CURRENT, *FITTED} == set(NAMES)


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_every_trait_is_what_its_sql_says(seed: int) -> None:
    market, found, _ = full(seed)
    assert differences(traits_of(found), expected(found, market), NAMES) == []
    assert found.fits.fitted_at == round(market.as_of.timestamp() * 1e6)


def test_every_class_role_and_level_comes_up() -> None:
    seen: dict[str, set[object]] = {"matrix_class": set(), "role": set(), "price_level": set()}
    for seed in range(30):
        for row in traits_of(full(seed)[1]).values():
            for name, values in seen.items():
                values.add(row[name])
    assert seen["matrix_class"] >= {"star", "cash_cow", "question", "dog", None, "hero"}
    assert seen["role"] >= {"traffic", "profit", "edge", "retention", None, "ours"}
    assert seen["price_level"] == {"low", "middle", "high", None}


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_incremental_equals_full_and_fitted_values_wait_for_a_new_date(seed: int) -> None:
    market, found, told = full(seed)
    rng = market.rng
    for _ in range(6):
        before = traits_of(found)
        step = rng.choice(("order_lines", "orders", "behaviors", "products", "delete", "hour"))
        own: dict[object, dict[str, Any]] = {}
        if step == "delete":
            known = found.table("customers", ["customer_id"])["customer_id"].to_pylist()
            gone = rng.choice(known)
            found.delete_customer(gone)
            told = [(t, _without(data, gone)) for t, data in told]
        elif step == "hour":
            # Back, but not to another date.
            begin = start_of_date(local_date(market.as_of, market.timezone), market.timezone)
            market.as_of = max(begin, market.as_of - timedelta(hours=rng.randrange(9)))
            found.advance(market.as_of)
        elif step == "products":
            data = market.some_products(5)
            own = {row["product_id"]: row for row in data.to_pylist()}
            found.append(step, data)
            told.append((step, data))
        else:
            made = {"order_lines": market.some_lines, "orders": market.some_orders,
                    "behaviors": market.some_behaviors}  # fmt: skip
            data = made[step](6, market.as_of)
            found.append(step, data)
            told.append((step, data))
        now, wanted = traits_of(found), expected(found, market)
        assert differences(now, wanted, CURRENT) == [], step
        for one, row in now.items():
            for name in AT_FIT:
                kept = before.get(one, dict.fromkeys(NAMES))[name]
                assert own.get(one, {}).get(name) or same(row[name], kept) or name in own.get(
                    one, {}), (step, one, name)  # fmt: skip
    market.as_of += timedelta(days=rng.choice((1, 3, 40)))
    found.advance(market.as_of)
    assert differences(traits_of(found), expected(found, market), NAMES) == []
    fresh = se.Engine(timezone=market.timezone, as_of=market.as_of)
    for table, data in told:
        if data.num_rows:
            fresh.load(table, data)
    assert differences(traits_of(found), traits_of(fresh), NAMES) == []


def _without(data: pa.Table, gone: object) -> pa.Table:
    if "customer_id" not in data.column_names:
        return data
    rows = [i for i, one in enumerate(data["customer_id"].to_pylist()) if one != gone]
    return data.take(pa.array(rows, pa.int64()))


# --- by hand ------------------------------------------------------------------------------------


def shop(*products: dict[str, Any]) -> se.Engine:
    found = engine()
    names = list(dict.fromkeys(name for row in products for name in row))
    types = {name: pa.decimal128(18, 4) for name in ("price", "cost")}
    found.load("products", pa.table(
        {n: pa.array([row.get(n) for row in products], types.get(n)) for n in names}
    ))  # fmt: skip
    return found


def sales(*sold: tuple[int, str, int, float], how: str = "load", into: se.Engine) -> None:
    """Lines: buyer, product, days ago, amount."""
    rows = [
        {"customer_id": buyer, "order_id": f"o{buyer}-{days}", "product_id": product,
         "time": AS_OF - timedelta(days=days), "amount": Decimal(str(amount)), "quantity": 1}
        for buyer, product, days, amount in sold
    ]  # fmt: skip
    getattr(into, how)("order_lines", pa.Table.from_pylist(rows))


def views(*seen: tuple[int, str, int]) -> pa.Table:
    rows = [
        {"customer_id": buyer, "product_id": product, "kind": "view",
         "time": AS_OF - timedelta(days=days)}
        for buyer, product, days in seen
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)


def column(found: se.Engine, name: str) -> dict[Any, Any]:
    rows = found.table("products", ["product_id", name]).to_pylist()
    return {row["product_id"]: row[name] for row in rows}


def test_the_four_classes() -> None:
    found = shop(*({"product_id": p, "category": c} for p, c in
                   (("a", "tea"), ("b", "tea"), ("c", "tea"), ("d", "cup"), ("e", "cup"),
                    ("new", "cup"), ("dead", "cup"), ("lost", None))))  # fmt: skip
    sales((1, "a", 5, 300), (1, "a", 100, 100), (2, "b", 5, 20), (2, "b", 100, 10),
          (3, "c", 5, 1), (3, "c", 100, 90), (4, "d", 5, 90), (4, "d", 100, 100),
          (5, "e", 120, 10), (6, "new", 3, 10), (7, "dead", 200, 500), (8, "lost", 2, 5),
          into=found)  # fmt: skip
    assert column(found, "matrix_class") == {
        "a": "star", "b": "question", "c": "dog", "d": "cash_cow", "e": "dog",
        "new": "question", "dead": None, "lost": None,
    }  # fmt: skip
    growth = column(found, "growth")
    assert (growth["a"], growth["e"], growth["new"], growth["dead"]) == (2.0, -1.0, None, None)
    assert found.fits.shown["store_growth"] == ((300 + 20 + 1 + 90 + 10 + 5) / 310 - 1,)


def test_a_sale_of_a_product_that_the_shop_did_not_give_counts_nowhere() -> None:
    found = shop({"product_id": "a", "category": "tea"})
    sales((1, "a", 5, 10), (1, "a", 100, 10), (1, "ghost", 6, 900), into=found)
    assert column(found, "share") == {"a": 1.0}
    assert found.fits.shown["store_growth"] == (0.0,)


def test_the_sellers_word_stands_and_null_gives_it_back() -> None:
    found = shop(
        {"product_id": "a", "category": "tea", "role": "hero", "matrix_class": None},
        {"product_id": "b", "category": "tea", "role": None, "matrix_class": "star"},
    )
    sales((1, "a", 5, 10), (2, "b", 5, 10), (2, "b", 100, 90), into=found)
    assert column(found, "matrix_class") == {"a": "question", "b": "star"}
    assert column(found, "role") == {"a": "hero", "b": None}
    found.append("products", pa.table({"product_id": ["a", "b"], "matrix_class": ["dog", None]}))
    assert column(found, "matrix_class") == {"a": "dog", "b": "dog"}
    assert found.products("matrix_class = 'dog'").count() == 2
    assert found.products("role = 'hero'").ids().to_pylist() == ["a"]


def test_no_source_gives_a_computed_trait() -> None:
    with pytest.raises(se.LoadError, match="`units_30d` is a trait, and computed"):
        engine().load("products", pa.table({"product_id": [1], "sold": [2]}),
                      columns={"units_30d": "sold"})  # fmt: skip


def test_conversion_is_the_share_of_viewers_who_bought() -> None:
    found = shop({"product_id": "a"}, {"product_id": "b"})
    sales((1, "a", 5, 10), (2, "a", 40, 10), (3, "a", 5, 10), into=found)
    found.load(
        "behaviors", views((1, "a", 3), (1, "a", 4), (2, "a", 3), (4, "a", 29), (5, "a", 30))
    )
    assert column(found, "conversion_rate") == {"a": pytest.approx(1 / 3), "b": None}
    assert (column(found, "views_30d")["a"], column(found, "views_90d")["a"]) == (4, 5)


def test_roles_are_asked_in_their_order() -> None:
    products = [{"product_id": f"p{n}", "category": "tea", "price": Decimal(n), "cost": Decimal(n)}
                for n in range(1, 7)]  # fmt: skip
    products[3]["cost"] = Decimal(1)  # p4 has the margin
    found = shop(*products)
    # p6 stood in most first orders; p1 is bought by those who have gone quiet.
    sales((1, "p6", 5, 1), (2, "p6", 5, 1), (3, "p6", 5, 1), (4, "p2", 5, 1), (5, "p1", 100, 1),
          (6, "p3", 5, 1), into=found)  # fmt: skip
    assert column(found, "role") == {
        "p1": "retention", "p2": None, "p3": None, "p4": "profit", "p5": "edge", "p6": "traffic",
    }  # fmt: skip


def test_values_fitted_to_all_stay_until_the_next_date() -> None:
    found = shop({"product_id": "a", "category": "tea"}, {"product_id": "b", "category": "tea"})
    sales((1, "a", 5, 30), (1, "b", 7, 10), into=found)
    fitted = found.fits.fitted_at
    sales((2, "b", 1, 100), how="append", into=found)
    assert column(found, "amount_90d")["b"] == 110
    assert column(found, "share") == {"a": 0.75, "b": 0.25}
    found.append("products", pa.table({"product_id": ["c"], "category": ["tea"]}))
    assert column(found, "share")["c"] is None
    found.advance(AS_OF + timedelta(hours=1))
    assert (column(found, "share")["a"], found.fits.fitted_at) == (0.75, fitted)
    found.advance(AS_OF + timedelta(days=1))
    assert column(found, "share") == {"a": 30 / 140, "b": 110 / 140, "c": 0.0}
    assert found.fits.fitted_at > fitted


# --- rules --------------------------------------------------------------------------------------


def test_rules_over_products_are_written_in_the_same_language() -> None:
    found = shop(*({"product_id": n, "category": "tea", "price": Decimal(n), "stock": n % 3,
                    "tags": ["gift"] if n == 4 else []} for n in range(1, 10)))  # fmt: skip
    asked = found.products("price_level = 'high' AND stock > 0 AND NOT list_contains(tags, 'x')")
    assert asked.ids().to_pylist() == [7, 8]
    assert (asked.count(), asked.contains(7), asked.contains(9)) == (2, True, False)
    assert asked.table(["price"]).to_pylist()[0] == {"product_id": 7, "price": Decimal(7)}
    assert found.products("products.price BETWEEN 2 AND 3 OR product.price = 9").count() == 3
    assert found.products("list_has_any(tags, ['gift'])").ids().to_pylist() == [4]
    assert found.products(se.col("price") / 2 > se.col("stock")).count() == 7
    assert found.products("TRUE").count() == 9
    with pytest.raises(se.UnknownNameError, match="did you mean `price_level`"):
        asked.table(["price_levl"])


@pytest.mark.parametrize("as_text", [False, True])
def test_a_product_is_told_why_a_rule_holds_for_it_or_not(as_text: bool) -> None:
    ids: list[Any] = [f"p{n}" for n in range(1, 7)] if as_text else list(range(1, 7))
    found = shop(*({"product_id": one, "category": "tea", "price": Decimal(n), "stock": n % 3}
                   for n, one in enumerate(ids, 1)))  # fmt: skip
    asked = found.products("stock > 0 AND (price > 4 OR margin > 0.5)")
    for n, one in enumerate(ids, 1):
        why = asked.explain(one)
        assert why.product_id == one
        assert why.holds == asked.contains(one) == (n % 3 > 0 and n > 4)
    assert str(asked.explain(ids[0])).splitlines() == [
        "?   all of", "yes   stock > 0   (stock is 1)", "?     any of",
        "no      price > 4   (price is 1)", "?       margin > 0.5   (margin is missing)",
        "nearest: price > 4 (price is 1)", "nearest: margin > 0.5 (margin is missing)",
    ]  # fmt: skip
    assert asked.explain(ids[4]).nearest == ()
    for nobody in ("p9", 9, True, 2**70, None, 1.5):
        assert asked.contains(nobody) is False
        with pytest.raises(se.UnknownNameError, match="there is no product"):
            asked.explain(nobody)
    with pytest.raises(se.UnknownNameError, match="there is no product"):
        engine().products("price > 1").explain(ids[0])


def test_a_selection_is_answered_anew_by_every_call() -> None:
    found = shop({"product_id": "a"})
    asked = found.products("units_30d >= 2 OR price > 5")
    sales((1, "a", 5, 10), into=found)
    assert asked.count() == 0
    sales((2, "a", 1, 10), how="append", into=found)
    assert asked.count() == 1
    answer = asked.answer()
    assert (answer.as_of, answer.data_version) == (found.as_of, found.data_version)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("count(orders) > 1", "a rule over products has no buyer whose `orders` it could look at"),
        ("percent_rank(price) OVER () > 0.5", "OVER is known in rules over buyers only"),
        ("segment('vip')", "a segment is of buyers, and this is a rule over products"),
        ("bucket('x') < 0.5", "`bucket` is of buyers, and this is a rule over products"),
        ("affinity('category', 'tea') > 0", "`affinity` is of buyers"),
        ("customers.city = 'x'", "`customers.city` does not stand in a rule over products"),
        ("context.device = 'x'", "known in page rules only"),
        ("units_30 > 1", "products have no column `units_30`"),
        ("recency_days > 1", "products have no column `recency_days`"),
        ("units_30d = 'x'", "they are not compared"),
    ],
)
def test_what_a_rule_over_products_cannot_say(rule: str, said: str) -> None:
    with pytest.raises(se.RuleError) as caught:
        engine().products(rule)
    assert said in str(caught.value)


def test_a_rule_over_products_lists_all_its_mistakes() -> None:
    with pytest.raises(se.RuleError) as caught:
        engine().products("stok > 1 AND segment('vip') AND min(orders.amount) > 3")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("text_ids", [True, False])
def test_traits_of_products_stand_in_filter_and_follow_other_buyers(text_ids: bool) -> None:
    ids = ["a", "b"] if text_ids else [1, 2]
    found = shop({"product_id": ids[0]}, {"product_id": ids[1]})
    sales((1, ids[0], 5, 10), (2, ids[1], 5, 10), into=found)
    found.define_segment("hot", "count(order_lines) FILTER (WHERE product.buyers_30d >= 2) >= 1")
    assert found.segment("segment('hot')").count() == 0
    # Another buyer's line changes what holds for the first one.
    sales((3, ids[0], 1, 10), how="append", into=found)
    assert sorted(found.segment("segment('hot')").ids().to_pylist()) == [1, 3]
    assert found.match(1) == ["hot"]
    assert found.match(2) == []
    seen = "count(order_lines) FILTER (WHERE product.matrix_class IS NULL) >= 1"
    assert found.segment(seen).count() == 3


# --- what a shop may lack -----------------------------------------------------------------------


def test_a_store_without_products_has_none_and_nothing_breaks() -> None:
    found = engine()
    assert found.table("products").num_rows == 0
    assert set(NAMES) <= set(found.table("products").column_names)
    assert found.products("units_30d >= 0").count() == 0
    sales((1, "a", 5, 10), into=found)
    assert found.table("products").num_rows == 0
    assert "store_growth" not in found.fits.shown


def test_without_categories_prices_or_views_what_depends_on_them_is_missing() -> None:
    found = shop({"product_id": "a"})
    nothing = {"growth", "share", "conversion_rate", "margin", "price_level", "matrix_class"}
    row = traits_of(found)["a"]
    assert {name for name, value in row.items() if value is None} == {*nothing, "role"}
    assert {value for name, value in row.items() if name not in {*nothing, "role"}} == {0}
    sales((1, "a", 5, 10), (2, "a", 100, 10), into=found)
    row = traits_of(found)["a"]
    assert (row["units_90d"], row["growth"], row["matrix_class"]) == (1, 0.0, None)


def test_prices_that_are_zero_below_or_all_the_same_have_no_level() -> None:
    found = shop(
        {"product_id": "a", "category": "tea", "price": Decimal(0), "cost": Decimal(1)},
        {"product_id": "b", "category": "tea", "price": Decimal(-4), "cost": Decimal(1)},
        {"product_id": "c", "category": "tea", "price": Decimal(7), "cost": None},
        {"product_id": "d", "category": "cup", "price": Decimal(7), "cost": Decimal(9)},
    )
    assert column(found, "price_level") == dict.fromkeys("abcd")
    assert column(found, "margin") == {
        "a": None, "b": 1.25, "c": None, "d": pytest.approx(-2 / 7),
    }  # fmt: skip


def test_negative_amounts_and_refunds_in_full() -> None:
    found = shop({"product_id": "a", "category": "tea"}, {"product_id": "b", "category": "tea"})
    sales((1, "a", 5, -10), (2, "a", 100, -5), (3, "b", 5, 20), into=found)
    assert column(found, "growth") == {"a": None, "b": None}
    assert column(found, "share") == {"a": -1.0, "b": 2.0}
    assert column(found, "matrix_class") == {"a": "dog", "b": "star"}
    refund = {"customer_id": [3], "order_id": ["o3-5"], "time": [AS_OF - timedelta(days=5)],
              "refunded_at": [AS_OF]}  # fmt: skip
    found.append("orders", pa.table(refund))
    assert (column(found, "units_90d")["b"], column(found, "buyers_90d")["b"]) == (0, 0)
    found.advance(AS_OF + timedelta(days=1))
    assert column(found, "share") == {"a": None, "b": None}
    assert column(found, "matrix_class") == {"a": "dog", "b": None}


def test_a_sum_too_large_is_missing() -> None:
    found = shop({"product_id": "a", "category": "tea"})
    most = Decimal(10) ** 14 - 1
    sales(*((n, "a", 5, most) for n in range(9)), into=found)
    assert column(found, "amount_90d")["a"] == 9 * most
    sales(*((n, "a", 6, most) for n in range(9)), into=found)
    assert column(found, "amount_90d")["a"] is None
    assert (column(found, "share")["a"], column(found, "matrix_class")["a"]) == (None, None)


def test_events_after_as_of_wait_for_their_moment() -> None:
    found = shop({"product_id": "a", "category": "tea"})
    sales((1, "a", -1, 10), into=found)
    found.load("behaviors", views((1, "a", -1)))
    assert (column(found, "units_30d")["a"], column(found, "views_30d")["a"]) == (0, 0)
    assert column(found, "matrix_class")["a"] is None
    found.advance(AS_OF + timedelta(days=1))
    assert (column(found, "units_30d")["a"], column(found, "conversion_rate")["a"]) == (1, 1.0)
    assert column(found, "matrix_class")["a"] == "question"


def test_a_reopened_store_knows_the_same(tmp_path: Any) -> None:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2024-03-01T12:00:00Z\n")
    with se.Engine.open(tmp_path) as found:
        found.load(
            "products",
            pa.table(
                {
                    "product_id": ["a", "b"],
                    "category": ["tea", "tea"],
                    "role": ["dog", None],
                    "matrix_class": ["hero", None],
                }
            ),
        )
        sales((1, "a", 5, 10), (2, "b", 5, 10), (2, "b", 100, 90), into=found)
        before = traits_of(found)
    assert (before["a"]["role"], before["a"]["matrix_class"]) == ("dog", "hero")
    with se.Engine.open(tmp_path) as again:
        assert traits_of(again) == before
        assert again.as_of == datetime.fromisoformat("2024-03-01T12:00:00Z")
