"""Segments in segments: what a name means, circles, depth, and what follows a change."""

from __future__ import annotations

import pytest

import segengine as se
from tests.rules.stores import AS_OF, ids, little_store


@pytest.fixture
def store() -> se.Engine:
    return little_store()


def test_a_segment_means_its_rule_wherever_it_is_named(store: se.Engine) -> None:
    store.define_segment("vip", "visits > 3")
    store.define_segment("late vip", "segment('vip') AND is_gold")
    assert ids(store, "segment('late vip')") == {1}
    assert ids(store, "NOT segment('vip')") == {2, 3}
    store.define_segment("vip", "visits <= 3")
    assert ids(store, "segment('vip')") == {2, 3}
    assert ids(store, "segment('late vip')") == {3}


def test_a_live_segment_follows_its_definition(store: se.Engine) -> None:
    store.define_segment("vip", "visits > 3")
    segment = store.segment("segment('vip')")
    assert segment.count() == 1
    store.define_segment("vip", se.col("visits") <= 3)
    assert segment.count() == 2


def test_a_bare_trait_may_be_a_segment(store: se.Engine) -> None:
    store.define_segment("gold", "is_gold")
    assert ids(store, "segment('gold')") == {1, 3}
    assert ids(store, "NOT segment('gold')") == {2}
    assert ids(store, "segment('gold') IS NULL") == {4}


def test_match_lists_every_segment_that_holds_sorted(store: se.Engine) -> None:
    store.define_segment("z", "visits >= 0")
    store.define_segment("a", "is_gold")
    store.define_segment("never", "visits > 1000")
    for who in (1, 2, 3, 4):
        holding = [n for n in ("a", "never", "z") if store.segment(f"segment('{n}')").contains(who)]
        assert store.match(who) == holding
    with pytest.raises(se.UnknownCustomer):
        store.match(99)


def test_a_circle_of_segments_prints_the_circle(store: se.Engine) -> None:
    with pytest.raises(se.RuleError, match="unknown segment `self`"):
        store.define_segment("other", "segment('self')")
    with pytest.raises(se.RuleError, match="definitions go in a circle: self -> self"):
        store.define_segment("self", "segment('self')")
    store.define_segment("a", "visits > 3")
    store.define_segment("b", "segment('a') AND is_gold")
    store.define_segment("c", "NOT segment('b')")
    with pytest.raises(se.RuleError) as caught:
        store.define_segment("a", "visits > 1\n  AND segment('c')")
    assert str(caught.value) == (
        "definitions go in a circle: a -> c -> b -> a\n"
        '  segment "a", line 2, column 7\n'
        "    |   AND segment('c')\n"
        "    |       ^^^^^^^^^^^^"
    )
    assert ids(store, "segment('c')") == ids(store, "NOT (visits > 3 AND is_gold)")


def test_circles_of_a_configuration_are_found_by_check_and_do_no_harm() -> None:
    segments = {"a": "segment('b')", "b": "segment('a')", "c": "visits > 3", "d": "order_count > 1"}
    engine = se.Engine(as_of=AS_OF, config={"segments": segments})
    found = {f.place: f.message for f in engine.check() if f.severity == "error"}
    assert set(found) == {'segment "a"', 'segment "b"', 'segment "c"'}
    assert found['segment "a"'].startswith("definitions go in a circle: a -> b -> a")
    assert found['segment "c"'].startswith("unknown trait `visits`")
    assert engine.segment("segment('d')").count() == 0


def test_a_mistake_inside_a_segment_is_named_with_it() -> None:
    engine = se.Engine(config={"segments": {"c": "visitz > 3"}})
    with pytest.raises(se.RuleError, match="segment `c` cannot be: unknown trait `visitz`"):
        engine.segment("segment('c')")


def test_segments_nest_32_deep_and_no_deeper(store: se.Engine) -> None:
    store.define_segment("s0", "visits > 3")
    for level in range(1, 33):
        store.define_segment(f"s{level}", f"segment('s{level - 1}')")
    assert ids(store, "segment('s32')") == {1}
    with pytest.raises(se.RuleError, match="nested too deeply: at most 32"):
        store.define_segment("s33", "segment('s32')")


def test_segments_of_segments_do_not_explode(store: se.Engine) -> None:
    """Each twice in the next would be 2**30 conditions: an error, at once."""
    store.define_segment("t0", "visits > 3")
    for level in range(1, 15):
        store.define_segment(f"t{level}", f"segment('t{level - 1}') OR segment('t{level - 1}')")
    with pytest.raises(se.RuleError, match="written out with its segments the rule is too large"):
        store.define_segment("t15", "segment('t14') OR segment('t14') OR segment('t14')")
    assert ids(store, "segment('t5')") == {1}


@pytest.mark.parametrize("name", ["", " vip", "vip ", "a\nb", "x" * 201, 3, None, "\ud800"])
def test_a_segments_name_is_printable_text(store: se.Engine, name: object) -> None:
    with pytest.raises(se.DefinitionError, match="is no segment's name"):
        store.define_segment(name, "visits > 3")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["it's", 'a "quoted" one', "杭州", "semi;colon", "%", "😀"])
def test_any_printable_name_can_be_named_in_a_rule(store: se.Engine, name: str) -> None:
    store.define_segment(name, "visits > 3")
    assert ids(store, se.segment(name)) == {1}
    assert ids(store, str(se.segment(name))) == {1}


def test_a_rule_follows_columns_that_come_and_an_id_that_gets_its_kind() -> None:
    import pyarrow as pa

    engine = se.Engine(as_of=AS_OF)
    segment = engine.segment("customer_id = 5")
    with pytest.raises(se.RuleError, match="unknown trait `shoe_size`"):
        engine.segment("shoe_size > 40")
    engine.load("customers", pa.table({"customer_id": ["5", "6"], "shoe_size": [39, 43]}),
                columns={"shoe_size": "shoe_size"})  # fmt: skip
    assert ids(engine, "shoe_size > 40") == {"6"}
    with pytest.raises(se.RuleError, match="`customer_id` is text and `5` is a whole number"):
        segment.count()
