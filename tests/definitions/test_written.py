"""A definition that is written down and read back is the same definition."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

import segengine as se
from segengine.rules.catalogue import Definition
from segengine.written import definition_from_plain, definition_to_plain
from tests.audiences.stores import store
from tests.definitions.made import campaigns, pages, rules

EDGE = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))


def without_rules(definition: Any) -> dict[str, Any]:
    """What of a campaign or module compares as it is: all but rules, which are compared as text."""
    found = {}
    for name in definition.__dataclass_fields__:
        value = getattr(definition, name)
        if name in ("segment", "value", "rule"):
            value = None if value is None else str(value)
        elif name == "exclusions":
            value = tuple(str(each) for each in value)
        elif name == "pool" and value is not None:
            value = replace(value, rule=None if value.rule is None else str(value.rule))
        found[name] = value
    return found


def by_json(written: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(written))
    return read


def campaign_law(campaign: se.Campaign) -> None:
    written = definition_to_plain("campaign", campaign)
    read = definition_from_plain("campaign", campaign.name, by_json(written))
    assert without_rules(read) == without_rules(campaign)
    assert definition_to_plain("campaign", read) == written


@given(campaigns())
def test_a_campaign_survives_being_written_and_read(campaign: se.Campaign) -> None:
    campaign_law(campaign)


@pytest.mark.prove
@settings(max_examples=300)
@given(campaigns())
def test_many_campaigns_survive_being_written_and_read(campaign: se.Campaign) -> None:
    campaign_law(campaign)


def page_law(page: se.Page) -> None:
    written = definition_to_plain("page", page)
    read = definition_from_plain("page", page.name, by_json(written))
    assert isinstance(read, se.Page)
    assert str(read.rule) == str(page.rule)
    assert [slot.name for slot in read.slots] == [slot.name for slot in page.slots]
    for after, before in zip(read.slots, page.slots, strict=True):
        assert list(map(without_rules, after.modules)) == list(map(without_rules, before.modules))
    assert definition_to_plain("page", read) == written


@given(pages())
def test_a_page_survives_being_written_and_read(page: se.Page) -> None:
    page_law(page)


@pytest.mark.prove
@settings(max_examples=300)
@given(pages())
def test_many_pages_survive_being_written_and_read(page: se.Page) -> None:
    page_law(page)


@given(rules())
def test_a_segment_survives_being_written_and_read(rule: Any) -> None:
    engine = store()
    engine.define_segment("rich", "spent > 30")
    engine.load("customers", pa.table({"customer_id": [1], "city": ["Bern"]}))
    engine.define_segment("one", rule, suppress=True)
    definition = engine.segments.definitions["one"]
    written = definition_to_plain("segment", definition)
    assert definition_from_plain("segment", "one", by_json(written)) == definition


def test_what_is_as_it_would_be_anyway_is_not_written() -> None:
    plain = se.Campaign("spring", "TRUE", salt="spring", holdout=0, hours=[], caps=())
    assert definition_to_plain("campaign", plain) == {"segment": "TRUE"}
    page = se.Page("home", [se.Slot("banner", [se.Module("a", salt="a", priority=0)])])
    assert definition_to_plain("page", page) == {"slots": {"banner": {"modules": {"a": {}}}}}


def test_a_writing_has_the_shape_of_the_stores_file() -> None:
    config: dict[str, Any] = {
        "segments": {"rich": {"rule": "spent > 30", "suppress": True}},
        "campaigns": {"spring": {"segment": "TRUE", "hours": [["09:00", "18:00"]], "limit": 5}},
        "pages": {"home": {"slots": {"banner": {"modules": {"a": {"rule": "spent > 9"}}}}}},
    }
    engine = store(**config)
    assert {
        "segments": {n: d.definition for n in engine.segments.definitions
                     for d in engine.versions("segment", n)},
        "campaigns": {n: d.definition for n in engine.campaigns
                      for d in engine.versions("campaign", n)},
        "pages": {n: d.definition for n in engine.pages for d in engine.versions("page", n)},
    } == config  # fmt: skip


def test_an_array_in_a_rule_is_written_as_its_fingerprint_and_not_read() -> None:
    listed = [se.col("customer_id").is_in(pa.array(ids)) for ids in ([1, 2], [1, 3])]
    first, second = (definition_to_plain("campaign", se.Campaign("c", rule)) for rule in listed)
    assert first["segment"] == second["segment"] == "customer_id IN (... 2 values)"
    assert first["arrays"] != second["arrays"]
    with pytest.raises(se.DefinitionError, match="array of values, which has no text"):
        definition_from_plain("campaign", "c", first)
    pool = se.Pool(se.col("product_id").is_in(pa.array([1, 2])))
    module = se.Module("m", rule=listed[0] & (se.col("spent") > 3), pool=pool)
    page = se.Page("p", [se.Slot("s", [module])])
    assert len(definition_to_plain("page", page)["arrays"]) == 2


def test_parts_that_are_as_they_would_be_anyway_are_still_given() -> None:
    module = se.Module("m", pool=se.Pool(), decay=se.Decay(), cap=se.Cap(1, 2))
    page = se.Page("p", [se.Slot("s", [module])])
    written = definition_to_plain("page", page)
    given = {"pool": {}, "decay": {}, "cap": {"limit": 1, "days": 2}}
    assert written == {"slots": {"s": {"modules": {"m": given}}}}
    assert definition_from_plain("page", "p", written) == page


@pytest.mark.parametrize(
    ("kind", "written", "said"),
    [
        ("campaign", {"segment": "TRUE", "starts_at": "tomorrow"}, "is a moment, not `tomorrow`"),
        ("campaign", {"segment": "TRUE", "ends_at": "9999-12-31T23:00:00-09:00"}, "is a moment"),
        ("campaign", {"segment": "TRUE", "ends_at": EDGE}, "a moment that UTC has no date for"),
        ("campaign", {"segmnt": "TRUE"}, r"(?s)did you mean `segment`.*a `segment` is needed"),
        ("page", {"slots": {"s": {"modules": {"m": {"ends_at": "9"}}}}}, "is a moment, not `9`"),
        ("page", {"slots": {"s": 3}}, "must be a section"),
        ("page", {"slots": 3}, "must be a section"),
        ("segment", {"rul": "TRUE"}, r"(?s)did you mean `rule`.*`rule` is a rule's text"),
        ("segment", {"rule": "TRUE", "suppress": 1}, "true or false, not `1`"),
        ("segment", {"rule": "spent >"}, "value was expected"),
        ("trait", {"expression": "1", "suppress": True}, "`suppress` is not a setting"),
        ("segment", "TRUE", "is a section with settings, not `TRUE`"),
        ("audience", {}, "no kind of definition; there are segment, trait, campaign, page"),
    ],
)
def test_a_writing_that_cannot_be_is_refused(kind: str, written: Any, said: str) -> None:
    with pytest.raises(se.SegengineError, match=said):
        definition_from_plain(kind, "x", written)


def test_a_segment_and_a_trait_of_one_writing_are_two_things() -> None:
    read = definition_from_plain("trait", "t", {"expression": "spent * 2"})
    assert isinstance(read, Definition)
    assert definition_to_plain("trait", read) == {"expression": "spent * 2"}
