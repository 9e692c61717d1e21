"""What a pool shows, case by case: pins, bans, stock, what was bought, categories, carts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.kernels import bits
from segengine.pages.page import page_of
from segengine.pages.pool_rank import pool_nonempty
from segengine.pages.pools_of_page import PoolsOfPage
from tests.golden import assert_golden

AS_OF = datetime(2024, 3, 11, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PRODUCTS = {
    # id: category, brand, price, stock; the first ones sell best
    1: ("tea", "a", 10.0, 5), 2: ("tea", "b", 20.0, 5), 3: ("tea", "a", 40.0, None),
    4: ("cup", "a", 10.0, 5), 5: ("cup", "b", 20.0, 5), 6: ("cup", "b", 40.0, 0),
    7: ("bag", "c", 10.0, 1), 8: (None, None, None, 9),
}  # fmt: skip


def table(**columns: Any) -> pa.Table:
    types = {"time": pa.timestamp("us", tz="UTC"), "category": pa.string(), "brand": pa.string(),
             "price": pa.float64(), "stock": pa.int64(), "product_id": pa.int64()}  # fmt: skip
    return pa.table({name: pa.array(v, types.get(name)) for name, v in columns.items()})


def products(some: dict[int, tuple[Any, ...]]) -> pa.Table:
    category, brand, price, stock = zip(*some.values(), strict=True)
    return table(product_id=list(some), category=category, brand=brand, price=price, stock=stock)


def lines(*bought: tuple[int, int, int], ago: timedelta = DAY) -> pa.Table:
    """(buyer, order, product) each, one item."""
    who, order, product = zip(*bought, strict=True)
    return table(customer_id=who, order_id=order, product_id=product,
                 time=[AS_OF - ago] * len(bought), quantity=[1] * len(bought))  # fmt: skip


def doings(*did: tuple[int, str, int | None], ago: timedelta = timedelta(0)) -> pa.Table:
    """(buyer, kind, product) each, a second apart, the last one `ago`."""
    who, kind, product = zip(*did, strict=True)
    times = [AS_OF - ago - timedelta(seconds=len(did) - n) for n in range(len(did))]
    return table(customer_id=who, kind=kind, product_id=product, time=times)


def shop(*, sells: Sequence[int] = (8, 7, 6, 5, 4, 3, 2), **pools: Any) -> se.Engine:
    """A shop where product 1 sells best: a crowd has bought each, long enough ago for pools."""
    engine = se.Engine(as_of=AS_OF, config={"pools": {"best_seller_days": 60, **pools}})
    engine.load("products", products(PRODUCTS))
    crowd = [
        (1000 + n, 100 * product + n, product)
        for product, count in enumerate(sells, 1) for n in range(count)
    ]  # fmt: skip
    engine.load("order_lines", lines(*crowd, ago=40 * DAY))
    return engine


def shown(engine: se.Engine, buyer: Any, pool: se.Pool | None = None) -> list[tuple[int, str]]:
    """(product, reason) of what the pool shows, empty where its module does not."""
    if pool is not None:
        engine.define_page(se.Page("p", [se.Slot("s", [se.Module("m", pool=pool)])]))
    (placed,) = engine.page("p", buyer).placements
    assert (placed.module is None) == (not placed.products)
    return [(int(p.product_id), str(p.reason)) for p in placed.products]


def ids(engine: se.Engine, buyer: Any, pool: se.Pool | None = None) -> list[int]:
    return [product for product, _ in shown(engine, buyer, pool)]


# --- who is in


def test_an_unknown_visitor_sees_the_best_sellers_and_then_what_never_sold() -> None:
    engine = shop(most_of_category=1)
    for visitor in (None, 404):
        found = shown(engine, visitor, se.Pool())
        assert found == [(n, "best_seller") for n in (1, 2, 3, 4, 5, 7)] + [(8, "listed")]
        (placed,) = engine.page("p", visitor).placements
        assert placed.products[0].score == pytest.approx(1 / 18, abs=1e-6)
        assert placed.products[-1].score == 0


def test_no_stock_is_out_and_unknown_stock_is_in_unless_the_rule_asks_stock_itself() -> None:
    engine = shop(most_of_category=1)
    assert 6 not in ids(engine, None, se.Pool("category = 'cup'"))
    assert 3 in ids(engine, None, se.Pool("category = 'tea'"))
    assert ids(engine, None, se.Pool("category = 'cup' AND stock >= 0")) == [4, 5, 6]
    assert ids(engine, None, se.Pool("stock IS NULL")) == [3]
    engine.append("products", table(product_id=[1], stock=[-2]))
    assert ids(engine, None, se.Pool("category = 'tea'")) == [2, 3]


def test_pins_stand_first_in_their_order_whatever_the_rule_where_they_are_in_stock() -> None:
    engine = shop(most_of_category=1)
    pool = se.Pool("category = 'tea'", k=4, pin=[7, 6, 2, 99])
    assert shown(engine, None, pool) == [
        (7, "pinned"), (2, "pinned"), (1, "best_seller"), (3, "best_seller")
    ]  # fmt: skip
    assert ids(engine, None, se.Pool(k=2, pin=[5, 4, 3])) == [5, 4]
    engine.append("products", table(product_id=[5, 6], stock=[0, 3]))
    assert ids(engine, None) == [4, 3]
    # Without stock it is no pin; where the rule lets it in, it is one of many.
    assert ids(engine, None, se.Pool("stock <= 0 OR product_id = 4", pin=[5, 4])) == [4, 5]


def test_a_ban_is_never_shown_and_an_empty_pool_gives_way_to_the_next_module() -> None:
    engine = shop()
    assert 1 not in ids(engine, None, se.Pool(ban=[1, 99]))
    slot = se.Slot("s", [
        se.Module("empty", pool=se.Pool("category = 'cup'", ban=[4, 5]), priority=2),
        se.Module("none", pool=se.Pool("price > 1000"), fallback=True, priority=2),
        se.Module("some", pool=se.Pool("category = 'cup'", k=1), fallback=True),
    ])  # fmt: skip
    engine.define_page(se.Page("p", [slot]))
    answer = engine.page("p", None)
    (placed,) = answer.placements
    assert (placed.module, str(placed.reason)) == ("some", "FALLBACK")
    assert [str(p.product_id) for p in placed.products] == ["4"]
    assert {(m, str(why)) for _, m, why in answer.rejected} == {
        ("empty", "NOT_ELIGIBLE"), ("none", "NOT_ELIGIBLE")
    }  # fmt: skip


def test_a_shop_without_products_has_no_pool_to_show() -> None:
    engine = se.Engine(as_of=AS_OF)
    assert shown(engine, None, se.Pool(pin=[1])) == []
    engine.append("behaviors", doings((1, "cart", 3)))
    assert shown(engine, 1, se.Pool("category = 'tea'", open_carts_first=True)) == []
    assert engine.page("p", 1).valid_until is not None


# --- one buyer


def test_what_was_just_bought_is_left_out_until_its_days_are_over_and_pins_are_not() -> None:
    engine = shop(most_of_category=1, just_bought_days=3)
    engine.append("order_lines", lines((1, 9001, 1), (1, 9001, 2)))
    assert ids(engine, 1, se.Pool("category = 'tea'")) == [3]
    assert ids(engine, 1, se.Pool("category = 'tea'", pin=[2])) == [2, 3]
    assert sorted(ids(engine, 2, se.Pool("category = 'tea'"))) == [1, 2, 3]
    engine.append("order_lines", lines((1, 9002, 3)))
    assert ids(engine, 1) == []
    engine.advance(AS_OF + DAY)
    assert ids(engine, 1) == []
    engine.advance(AS_OF + 2 * DAY)
    assert sorted(ids(engine, 1)) == [1, 2, 3]


def test_an_order_that_is_no_purchase_leaves_nothing_out() -> None:
    engine = shop(most_of_category=1)
    engine.append("orders", table(
        customer_id=[1], order_id=[9001], time=[AS_OF - DAY], closed_at=[AS_OF - DAY]))  # fmt: skip
    engine.append("order_lines", lines((1, 9001, 1)))
    assert 1 in ids(engine, 1, se.Pool())


def test_a_category_takes_its_share_of_the_places_while_others_have_candidates() -> None:
    engine = shop(most_of_category=0.5)
    engine.append("behaviors", doings(*[(1, "view", 4)] * 3, (1, "view", 5)))
    assert ids(engine, 1, se.Pool(k=3))[:2] == [4, 5]
    # Two of four are cups; where tea, bags and cups have had theirs, the rest comes at the end.
    assert ids(engine, 1, se.Pool("category IN ('cup', 'bag')", k=4, ban=[])) == [4, 5, 7]
    engine.append("products", table(product_id=[6], stock=[1]))
    assert ids(engine, 1, se.Pool("category IN ('cup', 'bag')", k=3)) == [4, 5, 7]
    assert ids(engine, 1, se.Pool("category IN ('cup', 'bag')", k=4)) == [4, 5, 7, 6]
    assert ids(engine, 1, se.Pool("category = 'cup'", k=4)) == [4, 5, 6]
    # A pin counts, and is not bounded.
    assert ids(engine, 1, se.Pool(k=4, pin=[4, 5, 6])) == [4, 5, 6, 1]


def test_an_appended_cart_event_changes_the_next_page_at_once() -> None:
    engine = shop()
    pool = se.Pool(k=3)
    assert ids(engine, 1, pool) == [1, 2, 4]
    engine.append("behaviors", doings((1, "cart", 7)))
    assert shown(engine, 1)[0] == (7, "open_cart")
    engine.append("behaviors", doings((1, "cart_remove", 7)))
    assert shown(engine, 1)[0] == (7, "viewed")
    engine.append("order_lines", lines((1, 9001, 7), ago=timedelta(0)))
    assert 7 not in ids(engine, 1)


def test_what_is_in_the_cart_comes_first_where_asked_the_latest_first() -> None:
    engine = shop()
    engine.append("behaviors", doings((1, "cart", 5), (1, "favorite", 4), (1, "cart", 6),
                                      (1, "cart", 99), (1, "cart", 1)))  # fmt: skip
    engine.append("behaviors", doings(*[(1, "view", 2)] * 40))
    first = se.Pool(k=5, pin=[4], ban=[1], open_carts_first=True)
    assert shown(engine, 1, first)[:3] == [(4, "pinned"), (5, "open_cart"), (2, "viewed")]
    assert ids(engine, 1, se.Pool(k=3, open_carts_first=True)) == [1, 4, 5]
    assert ids(engine, 1, se.Pool(k=1))[0] == 2
    assert ids(engine, 1, se.Pool("category = 'tea'", k=2, open_carts_first=True)) == [1, 2]


ONLY = {"recent": 0, "bought_together": 0, "category": 0, "recent_category": 0, "brand": 0,
        "price": 0, "best_seller": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("term", "reason", "expected"),
    [
        ("recent", "viewed", 5),
        ("category", "category", 4),
        ("recent_category", "category", 4),
        ("brand", "brand", 2),
        ("bought_together", "bought_together", 7),
    ],
)
def test_each_term_speaks_for_its_products(term: str, reason: str, expected: int) -> None:
    engine = shop(**{**ONLY, term: 9}, least_orders=1, most_of_category=1)
    engine.load("order_lines", lines((50, 9100, 5), (50, 9100, 7), ago=35 * DAY))
    engine.append("behaviors", doings((1, "view", 5)))
    if term == "bought_together":
        engine.append("behaviors", doings((1, "cart", 5)))
    assert shown(engine, 1, se.Pool())[0] == (expected, reason)


def test_a_price_near_to_what_a_buyer_chooses_speaks_for_a_product() -> None:
    engine = shop(**{**ONLY, "price": 9}, most_of_category=1)
    dear = {"customer_id": [1, 1], "order_id": [1, 2], "product_id": [3, 6], "quantity": [1, 1],
            "amount": [40.0, 40.0], "time": [AS_OF - 100 * DAY] * 2}  # fmt: skip
    engine.load("order_lines", table(**dear))
    assert engine.segment("price_band = 'high'").ids().to_pylist() == [1]
    assert [each for each, why in shown(engine, 1, se.Pool()) if why == "price"] == [3, 2, 5]


def test_days_fade_what_was_done_and_what_lies_ahead_is_not_seen() -> None:
    engine = shop(recent_days=3, half_life_days=1)
    engine.load("behaviors", doings((1, "view", 7), ago=2 * DAY))
    page = se.Page("p", [se.Slot("s", [se.Module("m", pool=se.Pool("product_id = 7"))])])
    engine.define_page(page)
    scores = []
    for ahead in (1, 0, -1, -2, -3):
        engine.advance(AS_OF + ahead * DAY)
        scores.append(engine.page("p", 1).placements[0].products[0].score)
    gone, older, old, today, ahead_of_it = scores
    assert gone < older < old < today
    assert ahead_of_it < older


# --- what is kept follows


def test_a_pool_follows_products_dates_and_sales() -> None:
    engine = shop(most_of_category=1)
    page = se.Page("p", [se.Slot("s", [
        se.Module("a", pool=se.Pool("units_30d > 0")),
        se.Module("b", pool=se.Pool("days_since(listed_at) <= 1"), priority=-1),
        se.Module("c", pool=se.Pool("category = 'new'"), priority=-2),
    ])])  # fmt: skip
    engine.define_page(page)

    def module() -> str | None:
        return engine.page("p", 77).placements[0].module

    assert module() is None
    engine.append("products", table(product_id=[20], category=["new"], stock=[1]))
    assert module() == "c"
    engine.append("products", pa.table({
        "product_id": [21], "listed_at": pa.array([AS_OF], pa.timestamp("us", tz="UTC"))
    }))  # fmt: skip
    assert module() == "b"
    engine.append("order_lines", lines((5, 9001, 4)))
    assert module() == "a"
    engine.advance(AS_OF + DAY)
    assert module() == "a"
    engine.advance(AS_OF + 40 * DAY)
    assert module() == "c"
    engine.append("products", table(product_id=[20], stock=[0]))
    assert module() is None


def test_best_sellers_wait_for_the_next_date_or_load() -> None:
    engine = shop(most_of_category=1)
    assert ids(engine, None, se.Pool(k=1)) == [1]
    engine.append("order_lines", lines(*[(60 + n, 9000 + n, 7) for n in range(30)]))
    assert ids(engine, None) == [1]
    engine.advance(AS_OF + DAY)
    assert ids(engine, None) == [7]


def test_an_answer_holds_until_the_next_date_or_the_buyers_next_event() -> None:
    engine = shop()
    engine.load("behaviors", doings((1, "cart", 7), ago=timedelta(hours=-3)))
    pool = se.Pool(k=2)
    before = shown(engine, 1, pool)
    midnight = datetime(2024, 3, 12, tzinfo=UTC)
    assert engine.page("p", 2).valid_until == midnight
    until = engine.page("p", 1).valid_until
    assert until is not None
    assert until < midnight
    engine.advance(until - timedelta(microseconds=1))
    assert shown(engine, 1) == before
    engine.advance(until)
    assert shown(engine, 1)[0] == (7, "open_cart")
    shown(engine, 2, se.Pool("units_30d >= 0"))
    engine.advance(AS_OF)
    assert engine.page("p", 2).valid_until == until


def test_a_rule_that_asks_now_holds_until_a_product_meets_it() -> None:
    engine = shop()
    hour = timedelta(hours=1)
    soon = [AS_OF + hour, AS_OF - 14 * DAY + 2 * hour]
    instant = pa.timestamp("us", tz="UTC")
    engine.append("products", pa.table({
        "product_id": [1, 7], "listed_at": pa.array(soon, instant)
    }))  # fmt: skip
    pool = se.Pool("listed_at <= now() AND listed_at > now() - INTERVAL 14 DAY")
    for at, expected, until in (
        (AS_OF, [7], AS_OF + hour),
        (AS_OF + hour, [1, 7], AS_OF + hour + timedelta(microseconds=1)),
        (AS_OF + 1.5 * hour, [1, 7], AS_OF + 2 * hour),
        (AS_OF + 2 * hour, [1], AS_OF + 2 * hour + timedelta(microseconds=1)),
        (AS_OF + 3 * hour, [1], datetime(2024, 3, 12, tzinfo=UTC)),
    ):
        engine.advance(at)
        assert ids(engine, None, pool) == expected
        assert engine.page("p", None).valid_until == until


# --- all buyers


def test_all_buyers_at_once_are_those_one_by_one() -> None:
    engine = shop(just_bought_days=5)
    engine.append("order_lines", lines(*[(buyer, 9000 + buyer, product)
                                         for buyer in range(40) for product in (4, 5, 1)
                                         if (buyer >> (product % 3)) & 1]))  # fmt: skip
    pools = [
        se.Pool("category = 'cup'"), se.Pool("category = 'cup'", pin=[7]), se.Pool("price > 1000"),
        se.Pool("product_id = 1"), se.Pool("product_id = 1", pin=[6]), se.Pool(),
    ]  # fmt: skip
    modules = [se.Module(f"m{n}", pool=pool) for n, pool in enumerate(pools)]
    engine.define_page(se.Page("p", [se.Slot(m.name, [m]) for m in modules]))
    buyers = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
    placed = {buyer: [p.module is not None for p in engine.page("p", buyer).placements]
              for buyer in buyers}  # fmt: skip
    with engine._looking() as view:
        checked = engine._definitions.page("p")
        for n, module in enumerate(checked.modules):
            assert module.pool is not None
            words = pool_nonempty(module.pool, view)
            rows = [view.row_of(buyer) for buyer in buyers]
            found = [bool(words[row >> 6] >> (row & 63) & 1) for row in rows]
            assert found == [placed[buyer][n] for buyer in buyers]
            assert int(bits.count_bits(words)) >= sum(found)
    assert [any(row[n] for row in placed.values()) for n in range(6)] == [
        True, True, False, True, True, True
    ]  # fmt: skip
    assert not all(row[0] for row in placed.values())
    census = engine.page_census("p")
    reached = dict(zip(census.modules["module"].to_pylist(), census.modules["reach"].to_pylist(),
                       strict=True))  # fmt: skip
    assert reached == {m.name: sum(row[n] for row in placed.values())
                       for n, m in enumerate(modules)}  # fmt: skip


def test_a_page_without_pools_has_nobody_before_the_shelf() -> None:
    engine = shop()
    with engine._looking() as view:
        assert PoolsOfPage([None, None]).visit(view, 0) is None


# --- definitions


BAD = {
    "a pool with eight mistakes": {
        "rule": 3, "k": 0, "pin": [1, 1, 2, True, 1.5], "ban": [2, "x", "x"],
        "open_carts_first": "yes", "banned": [],
    },
    "a pool of a text": "tea",
    "pins of a text": {"pin": "1"},
    "too many places": {"k": 1001},
}  # fmt: skip


def test_mistakes_of_a_pool_are_told_all_at_once() -> None:
    told = []
    for what, section in BAD.items():
        with pytest.raises(se.DefinitionError) as caught:
            se.Module("m", pool=section)  # type: ignore[arg-type]
        told.append(f"{what}\n{caught.value}\n")
    with pytest.raises(se.DefinitionError) as caught:
        se.Pool(k=-1, pin=[1], ban=[1])
    told.append(f"in Python\n{caught.value}\n")
    engine = shop()
    for rule in ("pric > 3 AND region = 'x'", "count(orders) > 1", "segment('vip')", "price >"):
        with pytest.raises(se.RuleError) as refused:
            shown(engine, None, se.Pool(rule))
        told.append(f"{rule}\n{refused.value}\n")
    assert_golden(Path(__file__).parent / "golden" / "pool_mistakes.txt", "\n".join(told))


def test_a_pool_of_store_toml_is_that_of_python() -> None:
    section = {"rule": "price > 3", "k": 4, "pin": [1], "ban": [2, 3], "open_carts_first": True}
    page = page_of("p", {"slots": {"s": {"modules": {"m": {"pool": section}}}}})
    assert page.slots[0].modules[0].pool == se.Pool("price > 3", 4, (1,), (2, 3), True)
    assert (
        page_of("p", {"slots": {"s": {"modules": {"m": {"pool": {}}}}}}).slots[0].modules[0].pool
        == se.Pool()
    )


def test_check_notes_products_that_are_not_there_and_pools_that_are_empty() -> None:
    engine = shop()
    shown(engine, None, se.Pool("price > 1000", pin=[99, "7"], ban=[98]))
    found = [(f.place, f.severity, f.message) for f in engine.check()]
    where = 'page "p", slot "s", module "m", pool'
    assert [each for each in found if each[0] == where] == [
        (where, "note", "the shop has no product `99`, `7` (pinned), `98` (banned)"),
        (where, "note", "no product is in it now, so the module shows to nobody"),
    ]
