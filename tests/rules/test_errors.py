"""A mistake is said once, with its place, with all others, and changes nothing."""

from __future__ import annotations

import pytest

import segengine as se
from segengine.errors import Problem
from tests.rules.stores import ids, little_store


@pytest.fixture
def store() -> se.Engine:
    return little_store()


def problems(store: se.Engine, rule: str) -> tuple[Problem, ...]:
    with pytest.raises(se.RuleError) as caught:
        store.segment(rule)
    assert caught.value.text == rule
    assert caught.value.field == "rule"
    assert caught.value.reason == "BAD_RULE"
    return caught.value.problems


def test_all_mistakes_are_found_at_once_in_reading_order(store: se.Engine) -> None:
    rule = (
        "cty = 'x' AND visits = 'y' AND frobnicate(visits) > 1 AND city || 'a' = 'b' "
        "AND (tags = 'vip' OR birthday + INTERVAL 1 DAY > now() OR context.x = 'a') AND city"
    )
    found = problems(store, rule)
    assert len(found) == 8
    assert [p.column for p in found] == sorted(p.column for p in found)


def test_a_mistake_is_said_once_however_often_its_condition_is_used(store: se.Engine) -> None:
    for rule in (
        "cty BETWEEN 1 AND 2",
        "city BETWEEN 1 AND 2",
        "cty IN (1, 2, 3)",
        "city IN (1, 2, 3)",
        "CASE cty WHEN 1 THEN 2 WHEN 2 THEN 3 END = 1",
    ):
        assert len(problems(store, rule)) == 1, rule


@pytest.mark.parametrize(
    ("rule", "underlined"),
    [
        ("visits > 1 AND\n  cty = 'x'", "cty"),
        ("visits > 1\r\nAND cty = 'x'", "cty"),
        ("visits > 1 AND\n\n\n   lower(visits) = 'a'\n", "visits"),
        ("city = '杭州' AND cty = '上海'", "cty"),
        ("(visits + 1) * city > 3", "city"),
        ("visits > 1 AND ((visits + city) > 3)", "city"),
        ("NOT (city IN (1, 'a', 3)) OR is_gold", "city IN (1, 'a', 3)"),
        ("(city = 3)", "city = 3"),
        ("abs(visits - 1) = lower(city)", "abs(visits - 1) = lower(city)"),
        ("is_gold AND CASE WHEN is_gold THEN 1 ELSE 'a' END = 1",
         "CASE WHEN is_gold THEN 1 ELSE 'a' END"),
        ("joined_at + INTERVAL '1 day' > now() OR is_gold", "joined_at + INTERVAL '1 day'"),
        ("city BETWEEN DATE '2024-01-01' AND 'x'", "city BETWEEN DATE '2024-01-01' AND 'x'"),
        ("visits = DATE '2024-01-01'", "visits = DATE '2024-01-01'"),
        ("NOT -city > 3", "-city"),
        ("city IS DISTINCT FROM (3)", "city IS DISTINCT FROM (3)"),
        ("visits LIKE 'a' ESCAPE '!'", "visits"),
        ("is_gold IS NOT NULL AND visits IS NULL AND cty IS NOT NULL", "cty"),
        ('"CTY" = 1', '"CTY"'),
        ("customers.cty = 1", "customers.cty"),
    ],
)  # fmt: skip
def test_a_mistake_underlines_what_it_is_about(
    store: se.Engine, rule: str, underlined: str
) -> None:
    (problem,) = problems(store, rule)
    line = rule.split("\n")[problem.line - 1]
    assert line[problem.column - 1 :][: problem.length] == underlined


def test_the_marks_stand_under_what_they_mark(store: se.Engine) -> None:
    """A tab stays a tab, a Chinese character is two columns wide."""
    with pytest.raises(se.RuleError) as caught:
        store.segment("city = '杭州'\tAND cty = 'x'")
    lines = str(caught.value).splitlines()
    assert lines[2:4] == ["    | city = '杭州'\tAND cty = 'x'", "    |              \t    ^^^"]


def test_a_long_line_is_shown_around_the_mistake(store: se.Engine) -> None:
    rule = "is_gold AND " * 500 + "cty = 1"
    with pytest.raises(se.RuleError) as caught:
        store.segment(rule)
    shown, marks = str(caught.value).splitlines()[2:4]
    assert len(shown) <= 86
    assert shown[marks.index("^") :][:3] == "cty"


def test_a_place_names_what_the_rule_belongs_to(store: se.Engine) -> None:
    with pytest.raises(se.RuleError, match='segment "win-back", line 1, column 1'):
        store.define_segment("win-back", "recencey_days <= 30")


@pytest.mark.parametrize("rule", [3, None, ["visits > 3"], b"visits > 3", object()])
def test_what_is_neither_text_nor_expression_is_refused(store: se.Engine, rule: object) -> None:
    with pytest.raises(se.DefinitionError, match="a rule is a text or an expression"):
        store.segment(rule)  # type: ignore[arg-type]


def test_a_mistake_leaves_the_store_as_it_was(store: se.Engine) -> None:
    store.define_segment("vip", "visits > 3")
    before = store.data_version
    for rule in ("cty = 1", "visits >", "segment('vip')", "count(oders) > 1"):
        with pytest.raises(se.RuleError):
            store.define_segment("vip", rule)
    assert ids(store, "segment('vip')") == {1}
    assert store.data_version == before


def test_one_buyer_is_asked_as_politely_as_all(store: se.Engine) -> None:
    segment = store.segment("visits > 3")
    assert not segment.contains(99)
    assert not segment.contains("1")
    with pytest.raises(se.UnknownCustomer, match="unknown customer `99`"):
        segment.explain(99)
    with pytest.raises(se.UnknownNameError, match="unknown trait `cty`; did you mean `city`"):
        segment.table(["cty"])
