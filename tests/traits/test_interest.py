"""What a buyer did lately and left open: against SQL, after any batches, and by example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.traits import interest_loops
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.reference.interest_sql import DEFINITIONS, interests
from tests.traits.histories import Shop, differences, engine_of, traits_of
from tests.traits.test_incremental import Life

TABLES = ("products", "orders", "order_lines", "order_lines", "behaviors", "behaviors", "behaviors")
NAMES = list(DEFINITIONS)


def trait(found: se.Engine, name: str) -> list[Any]:
    return found.table("customers", [name])[name].to_pylist()


def did(*rows: Mapping[str, Any]) -> pa.Table:
    """What buyer 1 did a day ago or when a row says, each a minute after the one before."""
    start = AS_OF - timedelta(days=1)
    made = [
        {"customer_id": 1, "time": start + timedelta(minutes=k), "kind": "view",
         "product_id": "p", **row}
        for k, row in enumerate(rows)
    ]  # fmt: skip
    names = {name: None for row in made for name in row}
    return pa.Table.from_pylist([dict.fromkeys(names) | row for row in made])


def doing(*rows: Mapping[str, Any]) -> se.Engine:
    found = engine()
    found.load("behaviors", did(*rows))
    return found


def put(kind: str, product: str | int | None = "p", days: float = 1) -> dict[str, Any]:
    return {"kind": kind, "product_id": product, "time": AS_OF - timedelta(days=days)}


# --- against SQL ----------------------------------------------------------------------------------


def asked(found: se.Engine, timezone: str) -> duckdb.DuckDBPyConnection:
    """A connection to the tables of an engine, with their order of arrival."""
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{timezone}'")
    for name in ("customers", "orders", "order_lines", "behaviors", "reviews", "messages",
                 "impressions"):  # fmt: skip
        table = found.table(name, ["customer_id"] if name == "customers" else None)
        arrival = pa.array(range(table.num_rows), pa.int64())
        connection.register("given", table.append_column("arrival", arrival))
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    return connection


def further(shop: Shop, found: se.Engine) -> None:
    """What a random shop has not: reviews, messages and impressions, seen and not seen."""
    rng = shop.rng
    for table, kinds in (("reviews", ()), ("messages", ("sent", "clicked", "opened")),
                         ("impressions", ("shown", "clicked", None))):  # fmt: skip
        count = rng.randrange(3)
        rows = {
            "customer_id": [shop.buyer(rng.randrange(shop.buyers)) for _ in range(count)],
            "time": pa.array([shop.instant() for _ in range(count)], pa.timestamp("us", tz="UTC")),
        }
        if kinds:
            rows["kind"] = pa.array([rng.choice(kinds) for _ in range(count)], pa.string())
        if count:
            found.load(table, pa.table(rows))


def disagreements(seed: int, *, buyers: int = 6, batches: int = 9, rows: int = 10) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    found = engine_of(shop)
    further(shop, found)
    for _ in range(batches):
        batch = shop.batch(rng.choice(TABLES), rows)
        found.load(batch.table, batch.to_arrow())
    expected = interests(asked(found, shop.timezone), shop.as_of)
    return differences(traits_of(found, NAMES), expected)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_traits_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed) == []


def test_traits_of_a_larger_shop_equal_their_definitions_in_sql() -> None:
    assert disagreements(1, buyers=40, batches=6, rows=150) == []


@pytest.mark.prove
def test_traits_equal_their_definitions_in_sql_at_length() -> None:
    assert {seed: found for seed in range(500) if (found := disagreements(seed))} == {}


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_traits_after_any_batches_equal_their_definitions_in_sql(seed: int) -> None:
    life = Life(seed, steps=10, rows=6)
    expected = interests(asked(life.engine, life.shop.timezone), life.shop.as_of)
    assert differences(traits_of(life.engine, NAMES), expected) == []


# --- by example -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "products"),
    [
        ((put("cart"),), ["p"]),
        ((put("favorite"),), ["p"]),
        ((put("cart", days=29),), ["p"]),
        ((put("cart", days=30),), []),
        ((put("cart", None), put("favorite", None)), []),
        ((put("view"), put("search"), put("visit")), []),
        ((put("cart", days=3), put("cart_remove", days=2)), []),
        ((put("cart", days=3), put("cart_remove", days=2), put("cart")), ["p"]),
        ((put("cart_remove", days=3), put("cart", days=4)), []),
        ((put("cart"), put("cart_remove")), []),
        ((put("cart_remove"), put("cart")), ["p"]),
        ((put("cart", days=3), put("unfavorite", days=2)), ["p"]),
        ((put("favorite", days=3), put("cart_remove", days=2)), ["p"]),
        ((put("favorite", days=3), put("unfavorite", days=2)), []),
        ((put("cart", days=3), put("cart_remove", None, days=2)), ["p"]),
        ((put("cart", days=3), put("favorite", days=2), put("unfavorite")), ["p"]),
        ((put("cart", "a", 3), put("cart", "b", 1), put("favorite", "c", 2)), ["b", "c", "a"]),
        ((put("cart", "a", 3), put("cart", "b", 2), put("favorite", "a", 1)), ["a", "b"]),
        ((put("cart", "a"), put("cart", "b"), put("cart", "c")), ["c", "b", "a"]),
        ((put("cart", days=40), put("cart_remove", days=20)), []),
    ],
)  # fmt: skip
def test_a_product_is_open_until_it_is_taken_out_of_where_it_was_put(
    rows: Sequence[Mapping[str, Any]], products: list[str]
) -> None:
    found = doing(*rows)
    assert trait(found, "open_cart_products") == [products]
    assert trait(found, "open_carts_count") == [len(products)]


@pytest.mark.parametrize(
    ("days", "options", "is_open"),
    [
        (1, {}, False),
        (2, {}, False),  # at the very moment it was put in the cart
        (2.01, {}, True),
        (1, {"product_id": "q"}, True),
        (1, {"is_purchase": False}, True),
        (-0.001, {}, True),
    ],
)
def test_a_product_is_open_until_it_is_bought(
    days: float, options: dict[str, Any], is_open: bool
) -> None:
    found = doing(put("cart", days=2))
    bought = {"order_id": "o", "product_id": "p", "is_purchase": True} | options
    time = AS_OF - timedelta(days=days)
    line = {name: [value] for name, value in bought.items()}
    found.load("order_lines", orders(1, time=time, **line))
    assert trait(found, "open_carts_count") == [int(is_open)]
    found.advance(AS_OF + timedelta(hours=1))
    assert trait(found, "open_carts_count") == [int(is_open and days > 0)]
    found.advance(AS_OF - timedelta(days=1.5))
    assert trait(found, "open_carts_count") == [int(days != 2 or not bought["is_purchase"])]


def test_a_favourite_made_after_the_purchase_is_open_though_the_cart_is_not() -> None:
    found = doing(put("cart", days=3), put("favorite", days=1))
    found.append("order_lines", orders(1, time=AS_OF - timedelta(days=2), product_id=["p"]))
    assert trait(found, "open_cart_products") == [["p"]]
    found.append("order_lines", orders(1, time=AS_OF, product_id=["p"]))
    assert trait(found, "open_cart_products") == [[]]


def test_taking_it_back_does_not_cancel_interest_and_the_shop_is_a_favourite_too() -> None:
    found = doing(put("cart", days=3), put("cart_remove", days=2))
    assert trait(found, "is_interested") == [True]
    assert trait(doing(put("favorite", None), put("unfavorite", None)), "is_interested") == [True]
    assert trait(doing(put("favorite", None, 29)), "is_interested") == [True]
    assert trait(doing(put("favorite", None, 30)), "is_interested") == [False]
    assert trait(doing(put("view"), put("inquiry")), "is_interested") == [False]


def test_transacted_is_a_purchase_within_365_dates() -> None:
    found = engine()
    ago = [364, 365, 1, 1, -1]
    times = [AS_OF - timedelta(days=days) for days in ago]
    paid = [True, True, True, False, True]
    found.load("orders", pa.table({"customer_id": range(5), "time": times, "is_purchase": paid}))
    assert trait(found, "is_transacted") == [True, False, True, False, False]


def test_a_buyer_was_last_seen_at_their_own_last_doing() -> None:
    found = doing({"kind": "visit", "time": AS_OF - timedelta(days=9)}, put("quote", days=1),
                  {"kind": None, "time": AS_OF - timedelta(days=8)})  # fmt: skip
    assert trait(found, "last_seen_at") == [AS_OF - timedelta(days=8)]
    for hours, table, columns, counts in (
        (20, "messages", {"kind": ["opened"]}, False),
        (19, "messages", {"kind": ["clicked"]}, True),
        (18, "impressions", {"kind": ["shown"]}, False),
        (17, "impressions", {"kind": ["clicked"]}, True),
        (16, "points", {"amount": [3]}, False),
        (15, "reviews", {"rating": [1]}, True),
        (14, "orders", {"closed_at": [AS_OF]}, True),
    ):
        before, at = trait(found, "last_seen_at"), AS_OF - timedelta(hours=hours)
        found.append(table, orders(1, time=at, **columns))
        assert trait(found, "last_seen_at") == ([at] if counts else before), table
    found.load("impressions", orders(1, 2, time=AS_OF, kind=["clicked", "shown"]))
    assert trait(found, "last_seen_at") == [AS_OF, None]
    assert trait(found, "visits_30d") == [1, 0]


def test_a_buyer_with_thousands_of_products_in_the_cart_has_all_of_them() -> None:
    count = 5000
    ids = [(k * 7919) % count - 1000 for k in range(count)]
    times = [AS_OF - timedelta(minutes=(k * 31) % 1000) for k in range(count)]
    found = engine()
    found.load("behaviors", pa.table(
        {"customer_id": [1] * count, "time": times, "kind": ["cart"] * count, "product_id": ids}
    ))  # fmt: skip
    found.load("behaviors", orders(2, time=AS_OF, kind=["cart"], product_id=[ids[0]]))
    expected = sorted(range(count), key=lambda k: (times[k], k), reverse=True)
    assert trait(found, "open_carts_count") == [count, 1]
    assert trait(found, "open_cart_products") == [[str(ids[k]) for k in expected], [str(ids[0])]]
    half = pa.array(ids[::2])
    found.append("order_lines", orders(*[1] * len(half), time=AS_OF, product_id=half))
    assert trait(found, "open_carts_count") == [count // 2, 1]


def test_products_whose_hashes_meet_are_told_apart() -> None:
    made = interest_loops.wanted_for(64)
    slots: dict[int, list[int]] = {}
    with np.errstate(over="ignore"):
        for product in range(5000):
            slot = int(interest_loops.slot_of(np.int64(product), made))
            slots.setdefault(slot, []).append(product)
    meeting = max(slots.values(), key=len)[:20]
    assert len(meeting) == 20
    found = engine()
    n = len(meeting)
    found.load("behaviors", orders(*[1] * n, time=AS_OF, kind=["cart"] * n, product_id=meeting))
    found.load("behaviors", orders(2, time=AS_OF, kind=["cart"], product_id=meeting[-1:]))
    assert trait(found, "open_carts_count") == [n, 1]
    found.append("order_lines", orders(1, time=AS_OF, product_id=meeting[7:8]))
    kept = [str(p) for p in reversed(meeting) if p != meeting[7]]
    assert trait(found, "open_cart_products") == [kept, [str(meeting[-1])]]


# --- in rules and tables --------------------------------------------------------------------------


def shop_of_carts() -> se.Engine:
    found = engine()
    found.load("customers", customers(*range(1, 8)))
    rows = [(1, "p1"), (1, "p2"), (2, "p2"), (4, "p3"), (5, "p1"), (70, "p1")]
    found.load("behaviors", pa.table({
        "customer_id": [one for one, _ in rows], "time": [AS_OF] * len(rows),
        "kind": ["cart"] * len(rows), "product_id": [product for _, product in rows],
    }))  # fmt: skip
    return found


RULES = {
    "list_contains(open_cart_products, 'p1')": [1, 5, 70],
    "NOT list_contains(open_cart_products, 'p1')": [2, 3, 4, 6, 7],
    "list_contains(open_cart_products, 'never seen')": [],
    "list_has_any(open_cart_products, ['p1', 'p3'])": [1, 4, 5, 70],
    "list_has_all(open_cart_products, ['p1', 'p2'])": [1],
    "len(open_cart_products) >= 1": [1, 2, 4, 5, 70],
    "len(open_cart_products) = open_carts_count": [1, 2, 3, 4, 5, 6, 7, 70],
    "open_cart_products IS NULL": [],
    "open_cart_products IS NOT NULL AND open_carts_count = 0": [3, 6, 7],
    "list_contains(open_cart_products, 'p1') OR list_contains(tags, 'p1')": [1, 5, 70],
    "list_contains(open_cart_products, 'p2') AND NOT is_transacted AND is_interested": [1, 2],
    "count(behaviors) FILTER (WHERE list_contains(customers.open_cart_products, 'p2')) = 2": [1],
}


def agreeing(found: se.Engine, rule: str) -> list[Any]:
    """The buyers of a rule, if ids, count, contains, explain and match agree."""
    segment = found.segment(rule)
    ids = segment.ids().to_pylist()
    found.define_segment("asked", rule)
    for one in found.segment("TRUE").ids().to_pylist():
        told = (segment.contains(one), segment.explain(one).holds, "asked" in found.match(one))
        assert told == (one in ids,) * 3, (rule, one)
    assert segment.count() == len(ids)
    assert found.segment("segment('asked')").ids().to_pylist() == ids
    return list(ids)


@pytest.mark.parametrize("rule", RULES)
def test_rules_ask_what_the_list_holds(rule: str) -> None:
    assert agreeing(shop_of_carts(), rule) == RULES[rule]


def test_a_kept_condition_on_the_list_follows_every_batch_and_date() -> None:
    found = shop_of_carts()
    rule = "list_contains(open_cart_products, 'p1')"
    assert agreeing(found, rule) == [1, 5, 70]
    found.append("behaviors", orders(5, time=AS_OF, kind=["cart_remove"], product_id=["p1"]))
    found.append("behaviors", orders(3, 80, time=AS_OF, kind=["favorite"] * 2,
                                     product_id=["p1", "p1"]))  # fmt: skip
    assert agreeing(found, rule) == [1, 3, 70, 80]
    found.delete_customer(70)
    assert agreeing(found, rule) == [1, 3, 80]
    found.append("order_lines", orders(3, time=AS_OF, product_id=["p1"]))
    assert agreeing(found, rule) == [1, 80]
    found.advance(AS_OF + timedelta(days=29))
    assert agreeing(found, rule) == [1, 80]
    found.advance(AS_OF + timedelta(days=30))
    assert agreeing(found, rule) == []
    found.advance(AS_OF)
    assert agreeing(found, rule) == [1, 80]


def test_analysts_get_the_list_and_the_store_shows_what_it_takes() -> None:
    found = shop_of_carts()
    table = found.table("customers", ["customer_id", "open_cart_products"])
    assert table.schema.field("open_cart_products").type == pa.list_(pa.large_string())
    with found.connect(["customers"]) as connection:
        query = """SELECT customer_id, unnest(open_cart_products) FROM customers
                   WHERE list_contains(open_cart_products, 'p2') ORDER BY 1"""
        assert connection.execute(query).fetchall() == [(1, "p2"), (1, "p1"), (2, "p2")]
    segment = found.segment("open_carts_count = 2")
    assert segment.table(["open_cart_products"])["open_cart_products"].to_pylist() == [["p2", "p1"]]
    held = {row["column"]: row["total_bytes"] for row in found.memory().to_pylist()
            if row["table"] == "customers"}  # fmt: skip
    assert held["open_cart_products"] > 0


def test_lists_that_come_and_go_leave_nothing_behind() -> None:
    found = shop_of_carts()
    column = found._tables.customers.traits["open_cart_products"]

    def come_and_go(times: int) -> int:
        for k in range(times):
            both = orders(*[1 + k % 5] * 3, time=AS_OF, kind=["cart"] * 3,
                          product_id=[f"q{k % 4}", f"q{k % 3}", "p2"])  # fmt: skip
            found.append("behaviors", both)
            found.append("behaviors", orders(1 + k % 5, time=AS_OF, kind=["cart_remove"],
                                             product_id=[f"q{k % 4}"]))  # fmt: skip
        return column.nbytes()[0]

    before = come_and_go(30)
    assert come_and_go(300) == before


# --- stores with little ---------------------------------------------------------------------------


def test_a_store_without_events_or_products_has_nobody_interested() -> None:
    found = engine()
    assert found.segment("is_interested OR open_carts_count > 0").count() == 0
    found.load("customers", customers(1))
    nothing = {"visits_7d": 0, "searches_30d": 0, "open_carts_count": 0, "open_cart_products": [],
               "last_seen_at": None, "is_interested": False, "is_transacted": False}  # fmt: skip
    assert found.table("customers", list(nothing)).to_pylist() == [nothing]
    found.load("behaviors", orders(1, time=AS_OF, kind=["cart"]))
    assert trait(found, "is_interested") == [True]
    assert trait(found, "open_cart_products") == [[]]
    assert found.segment("len(open_cart_products) = 0").count() == 1


def test_what_happens_after_as_of_is_not_seen_before() -> None:
    found = doing({"kind": "cart", "time": AS_OF + timedelta(hours=1)})
    assert trait(found, "carts_7d") == [0]
    assert trait(found, "last_seen_at") == [None]
    assert trait(found, "open_cart_products") == [[]]
    found.advance(AS_OF + timedelta(hours=2))
    assert trait(found, "carts_7d") == [1]
    assert trait(found, "last_seen_at") == [AS_OF + timedelta(hours=1)]
    assert trait(found, "open_cart_products") == [["p"]]


def test_where_the_clock_went_back_over_midnight_tomorrow_is_in_no_window() -> None:
    # On 7 November 2010 at 00:01 it was 6 November 23:01 again in St. John's.
    change = datetime(2010, 11, 7, 2, 31, tzinfo=UTC)
    found = se.Engine(timezone="America/St_Johns", as_of=change + timedelta(minutes=30))
    times = [change - timedelta(seconds=30), change + timedelta(minutes=1)]
    found.load("behaviors", pa.table(
        {"customer_id": [1, 2], "time": times, "kind": ["cart"] * 2, "product_id": ["p"] * 2}
    ))  # fmt: skip
    assert trait(found, "carts_7d") == [0, 1]
    assert trait(found, "open_carts_count") == [0, 1]


def test_the_store_opens_with_the_lists_it_had(tmp_path: Any) -> None:
    (tmp_path / "store.toml").write_text("[store]\nas_of = 2024-03-01T12:00:00Z\n")
    with se.Engine.open(tmp_path) as found:
        found.load("behaviors", did(put("cart", "a"), put("cart", "b")))
        before = trait(found, "open_cart_products")
    with se.Engine.open(tmp_path) as again:
        assert trait(again, "open_cart_products") == before == [["b", "a"]]
        again.append("behaviors", did(put("cart_remove", "b", 0)))
        assert trait(again, "open_cart_products") == [["a"]]
