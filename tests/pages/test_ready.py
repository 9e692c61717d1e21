"""What is worked out before a visitor comes: made once, and made anew for what changes it alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.pages import ready
from segengine.pages.ready import CheckedPage
from tests.audiences.stores import AS_OF, store

RULES = ["spent > 10", "order_count = 0 AND context.device = 'mobile'", "spent > 10",
         "segment('deep')", "in_last_days(last_order_at, 3)"]  # fmt: skip


def paged(**options: Any) -> se.Engine:
    engine = store()
    engine.define_segment("deep", "spent > 30")
    modules = [se.Module(f"m{k}", rule=rule, **options) for k, rule in enumerate(RULES)]
    engine.define_page(se.Page("p", [se.Slot("s", modules), se.Slot("t", modules[:2])]))
    engine.page("p", 1)
    return engine


def checked(engine: se.Engine) -> CheckedPage:
    return engine._definitions.page("p")


def test_each_distinct_rule_is_asked_once() -> None:
    page = checked(paged())
    assert sorted(rule.text for rule in page.rules) == sorted(set(RULES))
    assert page.names == len(RULES)


def test_an_append_compiles_nothing_and_makes_nothing_anew() -> None:
    engine = paged(cap=se.Cap(3, 7))
    page = checked(engine)
    assert page.matcher.compilations == 1
    for k in range(5):
        engine.append("orders", pa.table({"customer_id": [1], "time": [AS_OF], "amount": [5.0]}))
        engine.append("impressions", pa.table({
            "customer_id": [1], "time": [AS_OF], "module": ["m0"], "kind": ["shown"]}))  # fmt: skip
        engine.advance(AS_OF + timedelta(seconds=k))
        engine.page("p", 1)
    assert checked(engine) is page
    assert page.matcher.compilations == 1


def test_another_segment_leaves_the_compiled_rules_as_they_are() -> None:
    engine = paged()
    before = checked(engine)
    engine.define_segment("else", "spent > 99")
    after = checked(engine)
    assert after is not before
    assert after.matcher is before.matcher
    engine.define_segment("deep", "spent > 70")
    assert checked(engine).matcher is not before.matcher
    lost = {name: str(why) for _, name, why in engine.page("p", 5).rejected}
    assert lost["m3"] == "NOT_ELIGIBLE"


def test_an_answer_stays_as_it_was_whatever_happens_after() -> None:
    engine = paged()
    answer = engine.page("p", 1)
    engine.append("orders", pa.table({"customer_id": [1], "time": [AS_OF], "amount": [5.0]}))
    engine.define_page(se.Page("p", []))
    engine.delete_customer(1)
    assert [(m, str(why)) for _, m, why in answer.rejected] == [
        ("m1", "NOT_ELIGIBLE"), ("m0", "NOT_ELIGIBLE"), ("m2", "NOT_ELIGIBLE"),
        ("m3", "NOT_ELIGIBLE"), ("m4", "NOT_ELIGIBLE"), ("m1", "NOT_ELIGIBLE"),
        ("m0", "NOT_ELIGIBLE"),
    ]  # fmt: skip
    assert answer.rejected is answer.rejected


def test_visitors_who_see_the_same_get_one_object_each_variant_and_who_has_no_id_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ready, "_MOST_PLACED", 8)
    engine = store()
    plain, varied = se.Module("plain"), se.Module("varied", variants={"one": 0.5, "two": 0.5})
    engine.define_page(se.Page("plain", [se.Slot("s", [plain]), se.Slot("empty", [])]))
    engine.define_page(se.Page("varied", [se.Slot("s", [varied])]))
    assert len({id(engine.page("plain", visitor).placements) for visitor in (1, 2, 77, "x")}) == 1
    seen = [engine.page("varied", visitor).placements for visitor in range(40)]
    assert {placed[0].variant for placed in seen} == {"one", "two"}
    assert [engine.page("varied", visitor).placements for visitor in range(40)] == seen
    assert {engine.page("varied").placements[0].variant for _ in range(3)} == {"one"}
    assert len(engine._definitions.page("varied").kept.placed) <= 8


# --- what was seen


def seen(engine: se.Engine, *rows: tuple[int, str, str, float]) -> None:
    """Impressions (customer_id, module, kind, days before as_of), in this order of arrival."""
    engine.load("impressions", pa.table({
        "customer_id": [who for who, _, _, _ in rows], "module": [m for _, m, _, _ in rows],
        "kind": [kind for _, _, kind, _ in rows],
        "time": [AS_OF - timedelta(days=ago) for _, _, _, ago in rows],
    }))  # fmt: skip


def first(engine: se.Engine, *modules: se.Module, who: Any = 1) -> str | None:
    engine.define_page(se.Page("q", [se.Slot("s", modules)]))
    return engine.page("q", who).placements[0].module


def test_a_cap_counts_the_dates_that_end_today_on_whatever_page() -> None:
    engine = store()
    seen(engine, (1, "m", "shown", 0.1), (1, "m", "shown", 2.4), (1, "m", "shown", 2.6),
         (1, "m", "clicked", 0), (2, "m", "shown", 0), (1, "n", "shown", 0))  # fmt: skip
    for limit, dates, shows in ((0, 1, False), (1, 1, False), (2, 1, True), (2, 3, False),
                                (3, 3, True), (3, 4, False), (4, 400_000_000, True)):  # fmt: skip
        module = se.Module("m", cap=se.Cap(limit, dates))
        assert (first(engine, module) == "m") is shows, (limit, dates)
    assert first(engine, se.Module("m", cap=se.Cap(1, 1)), who=None) == "m"
    assert first(engine, se.Module("m", cap=se.Cap(0, 1)), who=None) is None
    assert str(engine.page("q").rejected[0][2]) == "CAPPED"


def test_a_click_sets_a_decay_back_and_what_came_with_it() -> None:
    engine = store()
    news, sale = se.Module("news", priority=5), se.Module("sale", priority=6, decay=se.Decay())
    assert first(engine, news, sale) == "sale"
    seen(engine, (1, "sale", "shown", 2), (1, "sale", "shown", 3))
    assert first(engine, news, sale) == "news"
    # One showing left: equal priorities, neither has a rule, the smaller name.
    seen(engine, (1, "sale", "clicked", 2.5))
    assert first(engine, news, sale) == "news"
    seen(engine, (1, "sale", "clicked", 2))
    assert first(engine, news, sale) == "sale"
    assert first(engine, news, sale, who=2) == "sale"


def test_the_losers_stand_in_the_order_that_showings_left() -> None:
    engine = store()
    seen(engine, (1, "a", "shown", 0), (1, "a", "shown", 0))
    modules = [se.Module("a", priority=9, decay=se.Decay(priority=4)), se.Module("b", priority=3),
               se.Module("c", priority=2), se.Module("z", priority=99, fallback=True)]  # fmt: skip
    assert first(engine, *modules) == "b"
    assert [name for _, name, _ in engine.page("q", 1).rejected] == ["c", "a", "z"]


def test_a_cap_of_a_module_whose_name_no_impression_has_counts_none() -> None:
    engine = store()
    engine.load("impressions", pa.table({
        "customer_id": [1, 1], "time": [AS_OF, AS_OF], "module": [None, "x"],
        "kind": pa.array([None, "shown"])}))  # fmt: skip
    assert first(engine, se.Module("m", cap=se.Cap(1, 9))) == "m"
    assert first(engine, se.Module("x", cap=se.Cap(1, 9))) is None
