"""Rules in Python are the same nodes as rules in text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine.rules import expr as e
from segengine.rules.builder import Rule
from segengine.rules.parse import parse
from tests.rules.stores import ids, little_store
from tests.rules.trees import FLOATS, INTEGERS

visits, city, tags = se.col("visits"), se.col("city"), se.col("tags")
SAID: list[tuple[Rule, str]] = [
    ((visits <= 30) & (city == "x") | ~tags.has_tag("vip"),
     "visits <= 30 AND city = 'x' OR NOT list_contains(tags, 'vip')"),
    ((visits > 1) & ((visits < 9) & (city != "x")), "visits > 1 AND visits < 9 AND city <> 'x'"),
    (visits + 1 - 2 * visits > visits / 2, "visits + 1 - 2 * visits > visits / 2"),
    (10 - visits // 3 % 2 >= -visits, "10 - visits // 3 % 2 >= -visits"),
    (-se.lit(5) < visits, "-5 < visits"),
    (visits.between(1, 2), "visits BETWEEN 1 AND 2"),
    (~visits.between(1, 2), "visits NOT BETWEEN 1 AND 2"),
    (city.is_in(["a", None]), "city IN ('a', NULL)"),
    (city.is_null() | visits.is_not_null(), "city IS NULL OR visits IS NOT NULL"),
    (city.is_distinct_from("x"), "city IS DISTINCT FROM 'x'"),
    (city.is_not_distinct_from(None), "city IS NOT DISTINCT FROM NULL"),
    (city.like("a!%", escape="!", ignore_case=True), "city ILIKE 'a!%' ESCAPE '!'"),
    (tags.has_any_tag(["a", "b"]), "list_has_any(tags, ['a', 'b'])"),
    (tags.has_all_tags([]), "list_has_all(tags, [])"),
    (se.call("LEN", tags) > 2, "len(tags) > 2"),
    (se.call("in_last_days", se.col("joined_at"), 30), "in_last_days(joined_at, 30)"),
    (se.col("joined_at") >= se.call("now") - se.interval(days=30),
     "joined_at >= now() - INTERVAL 30 DAY"),
    (se.case((visits > 3, "a"), otherwise="b") == "a",
     "CASE WHEN visits > 3 THEN 'a' ELSE 'b' END = 'a'"),
    (se.segment("vip"), "segment('vip')"),
    (se.col("context.Device") == "mobile", "context.device = 'mobile'"),
    (se.col("context.n").cast("bigint") > 2, "CAST(context.n AS BIGINT) > 2"),
    (se.col("store.magic_number") < visits, "store.magic_number < visits"),
    (visits > Decimal("2.50"), "visits > 2.5"),
    (visits > Decimal("1E+2"), "visits > 100.0"),
    (se.col("birthday") == date(2024, 2, 29), "birthday = DATE '2024-02-29'"),
    (visits.is_null() == True, "visits IS NULL = TRUE"),  # noqa: E712
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text"), SAID, ids=[text for _, text in SAID])
def test_python_and_text_say_the_same(rule: Rule, text: str) -> None:
    assert rule.expr == parse(text)
    assert parse(str(rule)) == rule.expr


@given(st.recursive(
    st.sampled_from([visits, city, tags]) | (INTEGERS | FLOATS).map(se.lit),
    lambda inner: st.one_of(
        inner.map(lambda r: -r), inner.map(lambda r: ~r), inner.map(lambda r: r.is_null()),
        st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] == p[1]),
        st.tuples(inner, inner).map(lambda p: p[0].is_in([p[1], None])),
    ),
    max_leaves=12,
))  # fmt: skip
def test_what_python_builds_text_can_say(rule: Rule) -> None:
    assert parse(str(rule)) == rule.expr


@pytest.mark.parametrize("wrong", [lambda: bool(visits > 1), lambda: visits > 1 and city == "x",
                                   lambda: not (visits > 1), lambda: 1 < visits < 3])  # fmt: skip
def test_pythons_own_words_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"join rules by &, \| and ~"):
        wrong()


def test_what_cannot_stand_in_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match="a set cannot stand in a rule"):
        visits == {1}  # noqa: B015
    with pytest.raises(ValueError, match="at least one"):
        visits.is_in([])


@pytest.mark.parametrize("listed", [pa.array([1, 3, None]), np.array([1, 3]), pa.chunked_array(
    [[1], [3]]), (i for i in (1, 3))])  # fmt: skip
def test_arrays_are_lists_of_options(listed: object) -> None:
    assert ids(little_store(), se.col("customer_id").is_in(listed)) == {1, 3}


def test_a_list_of_options_may_be_longer_than_any_text() -> None:
    engine = little_store()
    many = pa.array(range(2, 70_000, 2))
    assert ids(engine, se.col("customer_id").is_in(many)) == {2, 4}
    assert ids(engine, ~se.col("customer_id").is_in(many)) == {1, 3}
    assert engine.segment(se.col("customer_id").is_in(many)).contains(4)
    assert ids(engine, city.is_in([f"x{i}" for i in range(10_000)] + ["Hangzhou"])) == {1}
    dates = [date.fromordinal(700_000 + i) for i in range(0, 20_000, 2)]
    assert ids(engine, se.col("birthday").is_in(dates)) <= {1, 2, 3}


def test_a_mistake_in_a_built_rule_has_its_place_in_the_text() -> None:
    with pytest.raises(se.RuleError) as caught:
        little_store().segment((visits > 3) & (se.col("cty") == "x"))
    (problem,) = caught.value.problems
    assert (problem.message, problem.column) == ("unknown trait `cty`", 16)
    assert caught.value.text == "visits > 3 AND cty = 'x'"


def test_a_built_rule_that_is_too_deep_is_an_error_not_a_crash() -> None:
    rule, total, doubled = visits > 1, visits, visits > 1
    for _ in range(3000):
        rule, total = ~rule, total + 1
    for _ in range(31):
        doubled = ~(doubled & doubled)
    for deep in (rule, total > 1, doubled):
        with pytest.raises(se.RuleError, match="nested too deeply"):
            little_store().segment(deep)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), "\ud800", 2**63, Decimal("NaN")])
def test_a_value_that_no_trait_can_have_is_a_mistake(odd: object) -> None:
    with pytest.raises(se.RuleError):
        little_store().segment(visits == odd)


def test_nodes_are_frozen() -> None:
    with pytest.raises(AttributeError):
        visits.expr.name = "city"  # type: ignore[attr-defined]
    assert isinstance(visits.expr, e.Name)
