"""Every change of a definition is a version, and an old one can be in force again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pyarrow as pa
import pytest

import segengine as se
from tests.audiences.stores import AS_OF, store

PAGE = se.Page("home", [se.Slot("banner", [se.Module("a", rule="spent > 30")])])
PUTS: dict[tuple[str, str], list[Callable[[se.Engine], None]]] = {
    ("segment", "rich"): [
        lambda e: e.define_segment("rich", "spent > 30"),
        lambda e: e.define_segment("rich", "spent > 50", suppress=True),
    ],
    ("trait", "double"): [
        lambda e: e.define_trait("double", "spent * 2"),
        lambda e: e.define_trait("double", se.col("spent") * 3),
    ],
    ("campaign", "spring"): [
        lambda e: e.define_campaign(se.Campaign("spring", se.col("spent") > 30)),
        lambda e: e.define_campaign(se.Campaign("spring", se.col("spent") > 30, holdout=0.1)),
    ],
    ("page", "home"): [
        lambda e: e.define_page(PAGE),
        lambda e: e.define_page(se.Page("home", [])),
    ],
}


@pytest.mark.parametrize("what", PUTS, ids=lambda what: what[0])
def test_a_change_is_a_version_and_the_same_again_is_none(what: tuple[str, str]) -> None:
    engine = store()
    first, second = PUTS[what]
    first(engine)
    first(engine)
    begun = engine.data_version
    engine.advance(AS_OF + timedelta(hours=1))
    second(engine)
    second(engine)
    old, new = engine.versions(*what)
    assert (old.version, new.version) == (1, 2)
    assert (old.kind, old.name) == (new.kind, new.name) == what
    assert (old.as_of, new.as_of) == (AS_OF, AS_OF + timedelta(hours=1))
    assert old.data_version <= begun < new.data_version == engine.data_version
    assert old.definition != new.definition
    assert old.to_json()["definition"] == old.definition


@pytest.mark.parametrize("what", PUTS, ids=lambda what: what[0])
def test_a_restored_version_is_the_newest_and_in_force(what: tuple[str, str]) -> None:
    engine = store()
    for put in PUTS[what]:
        put(engine)
    restored = engine.restore(*what, 1)
    assert restored == engine.versions(*what)[-1]
    assert (restored.version, restored.definition) == (3, engine.versions(*what)[0].definition)
    assert engine.restore(*what, 3) == engine.restore(*what, 1) == restored
    if what[0] == "segment":
        assert engine.segment("segment('rich')").count() == 5
        assert not engine.segments.definitions["rich"].suppress


def test_definitions_of_the_stores_file_are_the_first_versions() -> None:
    engine = store(segments={"rich": "spent > 30"}, campaigns={"spring": {"segment": "TRUE"}})
    (only,) = engine.versions("segment", "rich")
    assert (only.version, dict(only.definition)) == (1, {"rule": "spent > 30"})
    engine.define_segment("rich", "spent > 40")
    assert [v.definition["rule"] for v in engine.versions("segment", "rich")] == [
        "spent > 30",
        "spent > 40",
    ]
    assert len(engine.versions("campaign", "spring")) == 1


def test_a_refused_definition_makes_no_version() -> None:
    engine = store()
    engine.define_segment("rich", "spent > 30")
    with pytest.raises(se.RuleError):
        engine.define_segment("rich", "spend > 30")
    assert len(engine.versions("segment", "rich")) == 1


def test_the_text_of_a_restored_rule_is_as_it_was_written() -> None:
    engine = store()
    engine.define_segment("rich", "spent>30")
    engine.define_segment("rich", "spent > 30")
    assert engine.restore("segment", "rich", 1).definition == {"rule": "spent>30"}


def test_arrays_in_rules_are_told_apart_and_restored() -> None:
    engine = store()
    for ids in ([1, 2], [1, 2], [3, 4, 5]):
        engine.define_segment("listed", se.col("customer_id").is_in(pa.array(ids)))
    assert len(engine.versions("segment", "listed")) == 2
    engine.restore("segment", "listed", 1)
    assert engine.segment("segment('listed')").count() == 2


def test_a_version_that_no_longer_checks_is_refused() -> None:
    engine = store()
    engine.define_segment("inner", "spent > 30")
    engine.define_segment("outer", "segment('inner')")
    engine.define_segment("outer", "spent > 1")
    engine.define_segment("inner", "segment('outer')")
    with pytest.raises(se.RuleError, match="circle"):
        engine.restore("segment", "outer", 1)
    assert len(engine.versions("segment", "outer")) == 2
    assert engine.segment("segment('outer')").count() == 8


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda e: e.versions("segmnt", "rich"), "did you mean `segment`"),
        (lambda e: e.versions("segment", "rch"), "unknown segment `rch`; did you mean `rich`"),
        (lambda e: e.versions("page", "home"), "unknown page `home`; none is defined"),
        (lambda e: e.restore("segment", "rich", 2), "no version `2`; there is version 1 alone"),
        (lambda e: e.restore("segment", "rich", 0), "no version `0`"),
        (lambda e: e.restore("segment", "rich", True), "no version `True`"),
        (lambda e: e.restore("segment", "rich", "1"), "no version `1`"),
    ],
)
def test_a_version_that_is_not_there_is_named(
    ask: Callable[[se.Engine], object], said: str
) -> None:
    engine = store()
    engine.define_segment("rich", "spent > 30")
    with pytest.raises(se.SegengineError, match=said):
        ask(engine)
