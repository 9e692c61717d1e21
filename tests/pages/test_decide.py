"""What fills a slot, and why not the others: each reason, each tie, each visitor."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import permutations
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine.audiences.bucketing import bucket_of
from tests.audiences.stores import AS_OF, store

Modules = list[se.Module]


def shown(engine: se.Engine, modules: Modules, visitor: Any = 1, **context: str) -> list[Any]:
    """(module, reason) of one slot, then the others with theirs."""
    engine.define_page(se.Page("p", [se.Slot("s", modules)]))
    answer = engine.page("p", visitor, context)
    (placed,) = answer.placements
    return [(placed.module, str(placed.reason)), *((m, str(r)) for _, m, r in answer.rejected)]


@pytest.fixture(scope="module")
def engine() -> se.Engine:
    return store()


# --- the order


def test_higher_priority_then_more_leaves_then_name_comes_first(engine: se.Engine) -> None:
    modules = [
        se.Module("z", priority=2),
        se.Module("y", rule="spent > 1 AND (spent > 2 OR NOT spent > 3)", priority=1),
        se.Module("x", rule="spent > 1 AND spent < 1000", priority=1),
        se.Module("b", rule="spent > 1", priority=1),
        se.Module("c", rule="spent BETWEEN 1 AND 1000", priority=1),
        se.Module("a", priority=1),
    ]
    order = ["z", "y", "x", "b", "c", "a"]
    for written in list(permutations(modules))[::37]:
        found = shown(engine, list(written))
        assert [name for name, _ in found] == order
        assert [why for _, why in found] == ["MATCHED"] + ["OUTRANKED"] * 5


def test_a_segment_counts_as_one_leaf(engine: se.Engine) -> None:
    engine.define_segment("long", "spent > 1 AND spent > 2 AND spent > 3")
    modules = [
        se.Module("a", rule="segment('long')"),
        se.Module("b", rule="spent > 1 AND spent > 2"),
    ]
    assert shown(engine, modules)[0] == ("b", "MATCHED")


def test_the_loser_of_a_better_rank_is_next(engine: se.Engine) -> None:
    modules = [se.Module("first", rule="spent > 10", priority=9), se.Module("second")]
    assert shown(engine, modules, 1) == [("second", "MATCHED"), ("first", "NOT_ELIGIBLE")]
    assert shown(engine, modules, 2) == [("first", "MATCHED"), ("second", "OUTRANKED")]


def test_a_module_is_shown_once_on_a_page(engine: se.Engine) -> None:
    module = se.Module("m")
    slots = [se.Slot("top", [module]), se.Slot("mid", [module, se.Module("n", priority=-1)]),
             se.Slot("end", [module])]  # fmt: skip
    engine.define_page(se.Page("p", slots))
    answer = engine.page("p", 1)
    placed = {p.slot: p.module for p in answer.placements}
    assert placed == {"top": "m", "mid": "n", "end": None}
    lost = [(slot, name, str(why)) for slot, name, why in answer.rejected]
    assert lost == [("mid", "m", "ALREADY_SHOWN"), ("end", "m", "ALREADY_SHOWN")]


def test_slots_keep_their_order_and_an_empty_one_its_place(engine: se.Engine) -> None:
    engine.define_page(se.Page("p", [se.Slot("b", []), se.Slot("a", [se.Module("m")])]))
    placed = [(p.slot, p.module, str(p.reason)) for p in engine.page("p", 1).placements]
    assert placed == [("b", None, "EMPTY"), ("a", "m", "MATCHED")]
    engine.define_page(se.Page("p", []))
    assert engine.page("p", 1).placements == ()


# --- fallbacks


def test_a_fallback_shows_only_where_nobody_else_wins(engine: se.Engine) -> None:
    modules = [se.Module("hello", fallback=True, priority=99), se.Module("deal", rule="spent > 20")]
    assert shown(engine, modules, 3) == [("deal", "MATCHED"), ("hello", "OUTRANKED")]
    assert shown(engine, modules, 1) == [("hello", "FALLBACK"), ("deal", "NOT_ELIGIBLE")]


def test_fallbacks_have_rules_windows_and_an_order_too(engine: se.Engine) -> None:
    modules = [
        se.Module("late", fallback=True, starts_at=AS_OF + timedelta(days=1), priority=3),
        se.Module("rich", fallback=True, rule="spent > 50", priority=2),
        se.Module("all", fallback=True, priority=1),
        se.Module("least", fallback=True),
    ]
    assert shown(engine, modules, 1) == [
        ("all", "FALLBACK"), ("late", "INACTIVE"), ("rich", "NOT_ELIGIBLE"), ("least", "OUTRANKED")
    ]  # fmt: skip
    assert shown(engine, modules, 8)[0] == ("rich", "FALLBACK")


def test_a_pages_rule_leaves_only_fallbacks_to_anybody_else(engine: se.Engine) -> None:
    slots = [se.Slot("s", [se.Module("m"), se.Module("hello", fallback=True)])]
    engine.define_page(se.Page("p", slots, rule="spent > 10 AND context.device = 'mobile'"))
    mobile = {"device": "mobile"}
    asked = ((2, mobile, "m"), (2, {}, "hello"), (1, mobile, "hello"), (None, {}, "hello"))
    for visitor, context, module in asked:
        answer = engine.page("p", visitor, context)
        assert answer.placements[0].module == module
    assert [str(r) for _, _, r in answer.rejected] == ["NOT_ELIGIBLE"]


# --- time


@pytest.mark.parametrize(
    ("window", "active"),
    [
        ({"starts_at": AS_OF}, True),
        ({"starts_at": AS_OF + timedelta(microseconds=1)}, False),
        ({"ends_at": AS_OF}, False),
        ({"ends_at": AS_OF + timedelta(microseconds=1)}, True),
        ({"hours": [(12, 13)]}, True),
        ({"hours": [(11, 12)]}, False),
        ({"hours": [(22, 6), (7, 8)]}, False),
        ({"hours": [("22:00", "12:00:01")]}, True),
        ({"hours": [("12:00:01", "12:00")]}, False),
        ({"hours": [(12, 12)]}, True),
        ({"hours": []}, True),
    ],
)
def test_a_module_has_a_window_and_hours(
    engine: se.Engine, window: dict[str, Any], active: bool
) -> None:
    wanted = [("m", "MATCHED")] if active else [(None, "EMPTY"), ("m", "INACTIVE")]
    assert shown(engine, [se.Module("m", **window)]) == wanted


def test_hours_are_of_the_stores_clock_and_run_over_midnight() -> None:
    engine = se.Engine(timezone="Asia/Shanghai", as_of=AS_OF)
    engine.define_page(se.Page("p", [se.Slot("s", [se.Module("night", hours=[(22, 6)])])]))
    midnight = datetime(2024, 3, 1, 16, tzinfo=UTC)
    for hour in range(-10, 14):
        engine.advance(midnight + timedelta(hours=hour))
        asleep = hour % 24 >= 22 or hour % 24 < 6
        assert (engine.page("p").placements[0].module == "night") is asleep


@given(st.times(), st.times(), st.integers(0, 86_399_999_999))
def test_a_pair_of_hours_and_its_opposite_share_the_day(start: time, end: time, at: int) -> None:
    from segengine.audiences.campaign import within_hours

    moment = (datetime(2024, 1, 1) + timedelta(microseconds=at)).time()  # noqa: DTZ001
    inside, outside = within_hours(((start, end),), moment), within_hours(((end, start),), moment)
    assert (inside and outside) if start == end else (inside != outside)
    assert within_hours((), moment)


# --- who


def test_holdouts_of_a_module_are_the_published_buckets() -> None:
    engine = store(60)
    modules = [se.Module("m", holdout=0.5), se.Module("n", holdout=0.5, salt="m", priority=-1)]
    for who in range(1, 61):
        out = bucket_of("m:holdout", who) < 5000
        wanted = [(None, "EMPTY"), ("m", "HELD_OUT"), ("n", "HELD_OUT")] if out else [
            ("m", "MATCHED"), ("n", "OUTRANKED")]  # fmt: skip
        assert shown(engine, modules, who) == wanted
    assert shown(engine, modules, None)[0] == ("m", "MATCHED")


def test_variants_are_the_published_choice_and_bring_their_payload() -> None:
    engine = store(40)
    module = se.Module("m", variants={"a": (0.5, {"x": 1}), "b": 0.5}, payload={"y": 2})
    engine.define_page(se.Page("p", [se.Slot("s", [module])]))
    for who in range(1, 41):
        (placed,) = engine.page("p", who).placements
        arm = "a" if bucket_of("m", who) < 5000 else "b"
        assert (placed.variant, placed.payload) == (arm, {"x": 1} if arm == "a" else {"y": 2})
    assert engine.page("p").placements[0].variant == "a"


RULES = [
    "spent > 10", "spent IS NULL", "NOT spent > 10", "order_count = 0", "len(tags) = 0",
    "recency_days IS NULL", "lifecycle_stage = 'prospect'", "member_level > 1",
    "NOT member_level > 1", "list_contains(tags, 'vip')", "NOT list_contains(tags, 'vip')",
    "sms_consent",
    "orders_30d + orders_7d = 0", "amount_total = 0", "customer_id > 3", "customer_id IS NULL",
    "spent * 2 IS NULL", "coalesce(city, '?') = '?'", "NOT bucket('x') < 0.0",
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_an_unknown_visitor_is_a_buyer_with_no_history(rule: str) -> None:
    """A buyer of whom only the id is known, an id never seen, and nobody at all."""
    engine = store()
    engine.append("customers", pa.table({"customer_id": [77]}))
    module = [se.Module("m", rule=rule)]
    known, unknown, nobody = (shown(engine, module, who) for who in (77, 78, None))
    if "customer_id" in rule:
        assert nobody[0][0] == ("m" if "NULL" in rule else None)
        assert unknown == nobody
    elif "bucket" in rule:
        assert unknown == known == [("m", "MATCHED")]
        assert nobody == [(None, "EMPTY"), ("m", "NOT_ELIGIBLE")]
    else:
        assert unknown == nobody == known


def test_an_unknown_visitors_bucket_is_that_of_the_id() -> None:
    engine = store()
    for who in [*range(1, 9), *range(900, 950)]:
        found = shown(engine, [se.Module("m", rule="bucket('s') < 0.3")], who)
        assert (found[0][0] == "m") is (bucket_of("s", who) < 3000)


@pytest.mark.parametrize("visitor", ["1", 1.0, True, -5, 2**70, "\ud800x"])
def test_an_id_of_another_sort_is_an_unknown_visitor(engine: se.Engine, visitor: Any) -> None:
    modules = [se.Module("m", rule="spent > 0"), se.Module("hello", fallback=True, priority=-1)]
    assert shown(engine, modules, visitor)[0] == ("hello", "FALLBACK")


@pytest.mark.parametrize("visitor", [1, 1.0, True, "a", "\ud800x", "", b"known"])
def test_an_id_that_no_store_of_texts_knows_is_an_unknown_visitor(visitor: Any) -> None:
    engine = se.Engine(as_of=AS_OF)
    engine.load("customers", pa.table({"customer_id": ["known", "1"], "city": ["x", "x"]}))
    other = se.Module("n", rule="bucket('s') >= 0.0", variants={"a": 0.5, "b": 0.5})
    modules = [se.Module("m", rule="city = 'x'", priority=1), other]
    assert shown(engine, modules, visitor)[0] == ("n", "MATCHED")
    assert not engine.segment("city = 'x'").contains(visitor)


def test_what_happened_a_moment_ago_changes_the_next_page() -> None:
    engine = store()
    modules = [se.Module("thanks", rule="order_count >= 1"), se.Module("hello", fallback=True)]
    assert shown(engine, modules, 1)[0][0] == "hello"
    order = {"customer_id": [1], "time": [AS_OF], "amount": [5.0]}
    engine.append("orders", pa.table(order))
    assert shown(engine, modules, 1)[0][0] == "thanks"
    engine.delete_customer(1)
    assert shown(engine, modules, 1)[0][0] == "hello"


# --- the request


@pytest.mark.parametrize(
    ("rule", "context", "holds"),
    [
        ("context.device = 'mobile'", {"device": "mobile"}, True),
        ("context.device = 'mobile'", {"device": "desktop"}, False),
        ("context.device = 'mobile'", {}, False),
        ("NOT context.device = 'mobile'", {}, False),
        ("context.device IS NULL", {}, True),
        ("context.device IS NULL", {"device": ""}, False),
        ("context.Device = 'm'", {"DEVICE": "m"}, True),
        ('context."utm source" = \'x\'', {"utm source": "x"}, True),
        ("context.device IN ('a', 'b')", {"device": "b"}, True),
        ("context.device LIKE 'mob%' AND spent > 0", {"device": "mobile"}, True),
        ("lower(context.device) = 'é'", {"device": "É"}, True),
        ("CAST(context.n AS BIGINT) > 2", {"n": "3"}, True),
        ("CAST(context.n AS BIGINT) > 2", {"n": " +3 "}, True),
        ("CAST(context.n AS BIGINT) = -3", {"n": "-3"}, True),
        ("CAST(context.n AS BIGINT) IS NULL", {"n": "3.5"}, True),
        ("CAST(context.n AS BIGINT) IS NULL", {"n": "-+3"}, True),
        ("CAST(context.n AS BIGINT) IS NULL", {"n": ""}, True),
        ("CAST(context.n AS BIGINT) IS NULL", {"n": "１２"}, True),
        ("CAST(context.n AS BIGINT) IS NULL", {"n": "9" * 30}, True),
        ("CAST(context.n AS BIGINT) IS NULL", {}, True),
        ("CAST(context.n AS BIGINT) = 9223372036854775807", {"n": str(2**63 - 1)}, True),
        ("CAST(context.n AS DOUBLE) = 2.5", {"n": "2.5"}, True),
        ("CAST(context.n AS DOUBLE) = 1000", {"n": "1e3"}, True),
        ("CAST(context.n AS DOUBLE) IS NULL", {"n": "nan"}, True),
        ("CAST(context.n AS DOUBLE) IS NULL", {"n": "inf"}, True),
        ("CAST(context.n AS DOUBLE) IS NULL", {"n": "1_000"}, True),
        ("spent > CAST(context.n AS BIGINT)", {"n": "5"}, True),
        ("context.x = '\ufffd' OR context.x = '?'", {"x": "\ud800"}, True),
    ],
)  # fmt: skip
def test_a_rule_reads_the_request_as_text(
    engine: se.Engine, rule: str, context: dict[str, str], holds: bool
) -> None:
    engine.define_page(se.Page("p", [se.Slot("s", [se.Module("m", rule=rule)])]))
    assert (engine.page("p", 1, context).placements[0].module == "m") is holds


def test_a_value_of_the_request_that_is_none_is_absent(engine: se.Engine) -> None:
    engine.define_page(se.Page("p", [se.Slot("s", [se.Module("m", rule="context.x IS NULL")])]))
    assert engine.page("p", 1, {"x": None}).placements[0].module == "m"  # type: ignore[dict-item]
    assert engine.page("p", 1, {"x": 3}).placements[0].module is None  # type: ignore[dict-item]


def test_a_request_gives_each_key_once_however_it_is_spelt(engine: se.Engine) -> None:
    engine.define_page(se.Page("p", [se.Slot("s", [se.Module("m", rule="context.x = 'a'")])]))
    for ask in (lambda c: engine.page("p", 1, c), lambda c: engine.page_census("p", c)):
        with pytest.raises(se.ConfigError, match="`context` gives `x` twice"):
            ask({"x": "a", "X": "b"})
    assert engine.page("p", 1, {"x": "a", "X": None}).placements[0].module == "m"  # type: ignore[dict-item]


def test_a_page_tells_its_moment_its_data_and_the_traits_it_reads(engine: se.Engine) -> None:
    engine.define_segment("deep", "spent > 3 AND recency_days IS NULL")
    slots = [se.Slot("s", [se.Module("m", rule="segment('deep') OR context.x = city")])]
    engine.define_page(se.Page("p", slots, rule="member_level IS NULL"))
    answer = engine.page("p", 1)
    assert answer.traits == ("city", "member_level", "recency_days", "spent")
    assert (answer.page, answer.as_of, answer.data_version) == ("p", AS_OF, engine.data_version)
    assert answer.valid_until == AS_OF.replace(hour=0) + timedelta(days=1)
