"""Traits declared in the rule language: where they may stand, what they follow, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from tests.rules.stores import AS_OF, CONFIG, ids, little_store


@pytest.fixture
def store() -> se.Engine:
    return little_store()


def asked(engine: se.Engine, rule: Any) -> set[int | str]:
    """The buyers of a rule, as every way of asking gives them."""
    found = ids(engine, rule)
    for who in (1, 2, 3, 4):
        segment = engine.segment(rule)
        assert segment.contains(who) == segment.explain(who).holds == (who in found)
    return found


def test_a_declared_trait_may_be_used_at_once_as_any_other(store: se.Engine) -> None:
    store.define_trait("doubled", "visits * 2")
    assert asked(store, "doubled = 20") == {1}
    assert asked(store, "NOT doubled > 0") == {2, 3}
    assert asked(store, "doubled IS NULL") == {4}
    assert asked(store, "doubled + visits = 30 AND Doubled IN (20, 21)") == {1}
    assert asked(store, se.col("doubled") <= 0) == {2, 3}
    assert asked(store, '"doubled" BETWEEN -6 AND 0') == {2, 3}
    assert asked(store, "customers.doubled = 20") == {1}


KINDS = [
    ("visits > 3", "it", {1}),
    ("visits > 3", "NOT it", {2, 3}),
    ("rate * 2", "it = 1.0", {1}),
    ("spent + 1", "it = 20.9", {1}),
    ("lower(city)", "it = 'hangzhou'", {1}),
    ("lower(city)", "it IN ('shanghai', '')", {2, 3}),
    ("coalesce(city, 'none')", "it = 'none'", {4}),
    ("coalesce(birthday, DATE '2024-01-01')", "year(it) = 2024", {4}),
    ("coalesce(joined_at, now())", "it = now()", {2, 4}),
    ("CASE WHEN is_gold THEN 1 ELSE 0 END", "it = 1", {1, 3}),
    ("list_contains(tags, 'vip')", "it", {1, 2}),
    ("days_since(birthday)", "it > 12000", {1}),
    ("store.magic_number + 1", "it = 7", {1, 2, 3, 4}),
    ("count(orders)", "it = 0", {1, 2, 3, 4}),
    ("percent_rank(visits) OVER ()", "it = 0.5", {2}),
    ("bucket('s')", "it >= 0 AND it < 1", {1, 2, 3, 4}),
    ("segment('good')", "it", {1}),
    ("visits", "it = 10", {1}),
]


@pytest.mark.parametrize(("expression", "rule", "found"), KINDS)
def test_an_expression_of_any_kind_may_be_declared(
    store: se.Engine, expression: str, rule: str, found: set[int]
) -> None:
    store.define_segment("good", "visits > 3")
    store.define_trait("it", expression)
    assert asked(store, rule) == found


def test_python_declares_as_text_does(store: se.Engine) -> None:
    store.define_trait("doubled", se.col("visits") * 2)
    assert asked(store, "doubled = 20") == {1}


def test_a_declared_trait_may_stand_on_others_and_in_segments(store: se.Engine) -> None:
    store.define_trait("doubled", "visits * 2")
    store.define_trait("doubled_again", "doubled * 2")
    store.define_segment("busy", "doubled_again >= 40")
    assert asked(store, "doubled_again = 40") == {1}
    assert asked(store, "segment('busy')") == {1}
    assert store.match(1) == ["busy"]
    store.define_trait("doubled", "visits * 20")
    assert asked(store, "doubled_again = 400") == {1}
    store.define_trait("doubled", "visits + 100")
    assert asked(store, "segment('busy')") == {1, 2, 3}
    assert store.match(2) == ["busy"]


def test_a_live_segment_follows_the_trait_it_names(store: se.Engine) -> None:
    store.define_trait("level", "visits * 2")
    segment = store.segment("level = 0")
    assert segment.ids().to_pylist() == [2]
    before = store.data_version
    store.define_trait("level", "visits + 3")
    assert store.data_version > before
    assert segment.ids().to_pylist() == [3]


def test_a_declared_trait_is_current_after_every_append() -> None:
    config = {**CONFIG, "traits": {"recent": "count(orders) FILTER (WHERE in_last_days(time, 7))",
                                   "is_recent": "recent > 0"}}  # fmt: skip
    engine = se.Engine(as_of=AS_OF, config=config)
    engine.load("customers", pa.table({"customer_id": [1, 2, 3, 4]}))
    engine.define_segment("recent ones", "is_recent")
    segment = engine.segment("recent >= 2")
    assert segment.count() == 0
    for count in (1, 2):
        engine.append("orders", pa.table({"customer_id": [3], "time": [AS_OF], "amount": [1.0]}))
        assert segment.count() == (count == 2)
        assert asked(engine, "is_recent") == {3}
        assert engine.match(3) == ["recent ones"]
    engine.advance(AS_OF + timedelta(days=30))
    assert segment.count() == 0
    assert engine.match(3) == []


def test_traits_of_a_configuration_are_there_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text(
        '[store]\ntimezone = "UTC"\nas_of = 2024-03-01T00:00:00Z\n'
        '[traits]\norders_60d = "count(orders) FILTER (WHERE in_last_days(time, 60))"\n'
        'is_busy = "orders_60d >= 2"\n[segments]\nbusy = "is_busy"\n'
    )
    now = datetime(2024, 3, 1, tzinfo=UTC)
    with se.Engine.open(tmp_path) as engine:
        assert [f for f in engine.check() if f.severity == "error"] == []
        engine.load("orders", pa.table({"customer_id": [1, 1, 2], "time": [now] * 3,
                                        "amount": [1.0] * 3}))  # fmt: skip
        assert engine.segment("segment('busy')").ids().to_pylist() == [1]
    with se.Engine.open(tmp_path) as engine:
        assert engine.segment("orders_60d = 1").ids().to_pylist() == [2]


def test_a_column_that_comes_later_may_be_declared_on_before() -> None:
    engine = se.Engine(as_of=AS_OF, config={"traits": {"feet": "shoe_size / 10"}})
    (finding,) = [f for f in engine.check() if f.severity == "error"]
    assert finding.place == 'trait "feet"'
    assert finding.message.startswith("unknown trait `shoe_size`")
    with pytest.raises(se.RuleError, match="trait `feet` cannot be: unknown trait `shoe_size`"):
        engine.segment("feet > 1")
    table = pa.table({"customer_id": [1, 2], "shoe_size": [39, 43]})
    engine.load("customers", table, columns={"shoe_size": "shoe_size"})
    assert ids(engine, "feet = 4.3") == {2}
    assert [f for f in engine.check() if f.severity == "error"] == []


# --- what is refused


def test_a_circle_of_traits_prints_the_circle(store: se.Engine) -> None:
    with pytest.raises(se.RuleError, match="unknown trait `other`"):
        store.define_trait("one", "other + 1")
    with pytest.raises(se.RuleError, match="in a circle: trait one -> trait one"):
        store.define_trait("one", "one + 1")
    store.define_trait("one", "visits")
    store.define_trait("two", "one + 1")
    store.define_trait("three", "two + 1")
    with pytest.raises(
        se.RuleError, match="in a circle: trait one -> trait three -> trait two -> trait one"
    ):
        store.define_trait("one", "three + 1")
    assert asked(store, "three = 12") == {1}


def test_a_circle_through_a_segment_prints_both(store: se.Engine) -> None:
    store.define_trait("one", "visits > 3")
    store.define_segment("vip", "one")
    with pytest.raises(se.RuleError, match="trait one -> vip -> trait one"):
        store.define_trait("one", "NOT segment('vip')")
    store.define_trait("two", "segment('vip')")
    with pytest.raises(se.RuleError, match="vip -> trait two -> vip"):
        store.define_segment("vip", "two")
    assert asked(store, "segment('vip')") == {1}


def test_a_circle_of_a_configuration_is_found_by_check_and_does_no_harm() -> None:
    traits = {"a": "b + 1", "b": "a + 1", "c": "order_count + 1"}
    engine = se.Engine(as_of=AS_OF, config={"traits": traits})
    found = {f.place: f.message for f in engine.check() if f.severity == "error"}
    assert set(found) == {'trait "a"', 'trait "b"'}
    assert "in a circle: trait a -> trait b -> trait a" in found['trait "a"']
    assert engine.segment("c = 1").count() == 0


@pytest.mark.parametrize("name", ["visits", "customer_id", "tags", "order_count", "amount_365d"])
def test_a_name_that_is_given_or_computed_is_refused(store: se.Engine, name: str) -> None:
    with pytest.raises(se.DefinitionError, match=f"trait `{name}` exists already"):
        store.define_trait(name, "visits * 2")
    assert asked(store, "visits = 10") == {1}


@pytest.mark.parametrize("name", ["", "Two", "two words", "2nd", "a-b", "a.b", "größe", 3, None])
def test_a_name_that_no_column_has_is_refused(store: se.Engine, name: object) -> None:
    with pytest.raises(se.DefinitionError, match="is no trait's name"):
        store.define_trait(name, "visits * 2")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("tags", "a trait has one value, and this is a list"),
        ("NULL", "a trait has one value, and this is always missing"),
        ("cty", "unknown trait `cty`"),
        ("visits >", "the rule ends where a value was expected"),
        ("visits + city", "`+` takes numbers, and `city` is text"),
        ("context.device", "`context.device` is known in page rules only"),
        ("", "empty"),
    ],
)
def test_an_expression_that_cannot_be_leaves_all_as_it_was(
    store: se.Engine, expression: str, said: str
) -> None:
    store.define_trait("it", "visits")
    for _ in range(2):
        with pytest.raises(se.RuleError) as caught:
            store.define_trait("it", expression)
        assert said in str(caught.value)
        assert 'trait "it"' in str(caught.value)
    assert asked(store, "it = 10") == {1}


@pytest.mark.parametrize("expression", [3, None, b"visits", ["visits"]])
def test_what_is_neither_text_nor_expression_is_refused(
    store: se.Engine, expression: object
) -> None:
    with pytest.raises(se.DefinitionError, match="a rule is a text or an expression"):
        store.define_trait("it", expression)  # type: ignore[arg-type]


def test_a_mistake_in_a_rule_underlines_the_declared_trait(store: se.Engine) -> None:
    store.define_trait("shout", "upper(city)")
    store.define_trait("busy", "count(orders)")
    with pytest.raises(se.RuleError) as caught:
        store.segment("visits > 1 AND shout > 3 AND shuot = 'x'\nAND is_gold AND busy")
    assert str(caught.value) == (
        "`shout` is text and `3` is a whole number: they are not compared\n"
        "  line 1, column 16\n"
        "    | visits > 1 AND shout > 3 AND shuot = 'x'\n"
        "    |                ^^^^^^^^^\n"
        "  text is written in quotes, numbers without\n"
        "\n"
        "unknown trait `shuot`\n"
        "  line 1, column 30\n"
        "    | visits > 1 AND shout > 3 AND shuot = 'x'\n"
        "    |                              ^^^^^\n"
        "  did you mean `shout`?\n"
        "\n"
        "a condition is needed here, and `busy` is a whole number\n"
        "  line 2, column 17\n"
        "    | AND is_gold AND busy\n"
        "    |                 ^^^^\n"
        "  compare it with something"
    )


def test_inside_a_filter_stands_a_declared_trait_that_is_no_aggregate(store: se.Engine) -> None:
    store.load(
        "orders", pa.table({"customer_id": [1, 2], "time": [AS_OF] * 2, "amount": [8.0] * 2})
    )
    store.define_trait("doubled", "visits * 2")
    store.define_trait("busy", "count(orders)")
    assert asked(store, "count(orders) FILTER (WHERE amount < customers.doubled) = 1") == {1}
    with pytest.raises(se.RuleError, match="trait `busy` is an aggregate itself"):
        store.segment("count(orders) FILTER (WHERE customers.busy > 1) > 1")
    with pytest.raises(se.RuleError, match=r"a trait is written `customers\.doubled` here"):
        store.segment("count(orders) FILTER (WHERE doubled > 1) > 1")


def test_an_explanation_shows_the_traits_that_a_declared_one_is_made_of(store: se.Engine) -> None:
    store.define_trait("doubled", "visits * 2")
    assert str(store.segment("doubled > 30").explain(1)) == "no  doubled > 30   (visits is 10)"
