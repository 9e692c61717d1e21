"""A page that cannot be is one error with all its mistakes, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import segengine as se
from segengine.pages.page import page_of
from tests.audiences.stores import AS_OF, store
from tests.golden import assert_golden

FOLDER = Path(__file__).parent / "golden"


def module(**options: Any) -> se.Module:
    return se.Module(options.pop("name", "m"), **options)


BAD: dict[str, Callable[[], object]] = {
    "a module with seven mistakes": lambda: module(
        name=" m", rule=3, priority="high", fallback="yes", holdout=1.5, salt=5,
        variants={"a": 0.4}, ends_at="soon",
    ),
    "payloads that JSON cannot say": lambda: module(
        payload={"share": float("nan")}, variants={"a": (1.0, {1, 2})}
    ),
    "hours that no clock shows": lambda: module(hours=[(24, 25)]),
    "a window that ends before it starts": lambda: module(starts_at=AS_OF, ends_at=AS_OF),
    "a slot of things that are no modules": lambda: se.Slot("", [3, "m"]),  # type: ignore[list-item]
    "a slot with a module twice": lambda: se.Slot("s", [module(), module(priority=3)]),
    "a page of things that are no slots": lambda: se.Page("p", [module()], rule=5),  # type: ignore[list-item,arg-type]
    "a slot and a page of nothing": lambda: se.Slot("s", None),  # type: ignore[arg-type]
    "a page of a text": lambda: se.Page("p", "top"),  # type: ignore[arg-type]
    "a page with a slot twice": lambda: se.Page("p", [se.Slot("s", []), se.Slot("s", [])]),
    "an unknown setting": lambda: page_of("p", {"slots": {}, "rulle": "TRUE"}),
    "an unknown setting of a module": lambda: page_of(
        "p", {"slots": {"s": {"modules": {"m": {"priorty": 3}}}}}
    ),
    "mistakes in several sections": lambda: page_of("p", {"rulle": "TRUE", "rule": 3, "slots": {
        "a": {"modules": {
            "m": {"piority": 3, "priority": "high", "fallback": "yes"},
            "n": {"holdout": 2, "pool": {"k": 0}},
            "good": {"rule": "TRUE"},
        }},
        "b": {"module": 2, "modules": ["m"]},
        " c": {},
    }}),
    "slots that are no section": lambda: page_of("p", {"slots": 3}),
    "modules that are no section": lambda: page_of("p", {"slots": {"s": {"modules": {"m": 3}}}}),
}  # fmt: skip


def test_mistakes_of_a_page_read_as_they_were_found_good() -> None:
    told = []
    for what, make in BAD.items():
        with pytest.raises(se.DefinitionError) as caught:
            make()
        told.append(f"{what}\n{caught.value}\n")
    assert_golden(FOLDER / "mistakes.txt", "\n".join(told))


REFUSED = {
    "three mistakes": ("spend > 3 AND city = 3 AND nope(1) > 1",
                       "(?s)unknown trait `spend`.*text.*unknown function `nope`"),
    "no rule": ("spent >", "ends where a value was expected"),
    "two statements": ("1 = 1; DROP TABLE x", "one condition"),
    "a segment that is not there": ("segment('x')", "unknown segment `x`"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_page_that_the_store_refuses_leaves_it_as_it_was(what: str) -> None:
    rule, message = REFUSED[what]
    engine = store()
    engine.define_page(se.Page("p", [se.Slot("s", [module()])]))
    before = (engine.data_version, engine.page("p", 1), engine.check())
    for page in (se.Page("p", [se.Slot("s", [module(rule=rule)])]), se.Page("p", [], rule=rule)):
        with pytest.raises(se.RuleError, match=message) as caught:
            engine.define_page(page)
        assert 'page "p"' in str(caught.value)
        assert (engine.data_version, engine.page("p", 1), engine.check()) == before


def test_a_mistake_names_page_slot_and_module() -> None:
    with pytest.raises(se.RuleError) as caught:
        store().define_page(se.Page("home", [se.Slot("top", [module(rule="spend > 3")])]))
    assert str(caught.value).splitlines() == [
        "unknown trait `spend`",
        '  page "home", slot "top", module "m", line 1, column 1',
        "    | spend > 3",
        "    | ^^^^^",
        "  did you mean `spent`?",
    ]


def test_an_unknown_page_is_named_with_its_neighbour() -> None:
    engine = store()
    with pytest.raises(se.UnknownNameError, match="unknown page `home`; none is defined"):
        engine.page("home")
    engine.define_page(se.Page("home", []))
    with pytest.raises(se.UnknownNameError, match="`hom`; did you mean `home`"):
        engine.page("hom")


def test_a_redefined_page_answers_anew_each_time() -> None:
    engine = store()
    for number in range(40):
        engine.define_page(se.Page("p", [se.Slot("s", [module(name=f"m{number}")])]))
        if number % 3:
            assert engine.page("p", 1).placements[0].module == f"m{number}"


def test_a_page_follows_the_segments_it_names() -> None:
    engine = store()
    engine.define_segment("rich", "spent > 50")
    engine.define_page(se.Page("p", [se.Slot("s", [module(rule="segment('rich')")])]))
    assert engine.page("p", 1).placements[0].module is None
    engine.define_segment("rich", "spent > 5")
    assert engine.page("p", 1).placements[0].module == "m"


def test_a_page_of_a_configuration_is_the_page_of_python() -> None:
    section = {"rule": "spent > 0", "slots": {"s": {"modules": {
        "m": {"rule": "spent > 50", "priority": 10, "hours": [[0, 24]], "payload": {"x": [1]}},
        "hello": {"fallback": True, "variants": {"a": 0.5, "b": [0.5, "pay"]}},
    }}}}  # fmt: skip
    assert page_of("p", section) == se.Page("p", [se.Slot("s", [
        se.Module("m", rule="spent > 50", priority=10, hours=[(0, 24)], payload={"x": [1]}),
        se.Module("hello", fallback=True, variants={"a": 0.5, "b": (0.5, "pay")}),
    ])], rule="spent > 0")  # fmt: skip


def test_what_is_no_page_and_no_request_is_refused_in_words() -> None:
    engine = store()
    with pytest.raises(se.DefinitionError, match=r"a page is a `Page\(name, slots\)`"):
        engine.define_page({"name": "home"})  # type: ignore[arg-type]
    engine.define_page(se.Page("home", []))
    for asked in (engine.page, engine.page_census):
        with pytest.raises(se.ConfigError, match="`context` is a mapping"):
            asked("home", context="mobile")  # type: ignore[operator]


def test_a_number_of_the_request_is_read_by_cast_and_the_error_says_so() -> None:
    with pytest.raises(se.RuleError, match=r"CAST\(context.cart_value AS DOUBLE\)` reads"):
        store().define_page(se.Page("p", [se.Slot("s", [module(rule="context.cart_value > 100")])]))


def test_a_payload_is_that_of_its_definition_whatever_becomes_of_the_callers() -> None:
    given, of_arm = {"title": ["Hello"]}, {"title": ["Hi"]}
    made = module(payload=given, variants={"a": 1.0, "b": (0.0, of_arm)})
    given["title"].append("changed")
    of_arm["title"].append("changed")
    assert made.payload == {"title": ["Hello"]}
    assert made.variants[1].payload == {"title": ["Hi"]}


def test_a_date_as_a_windows_border_is_told_how_to_be_a_moment() -> None:
    with pytest.raises(se.DefinitionError, match="with its hour it is `2026-04-01T00:00:00`"):
        module(ends_at=date(2026, 4, 1))
