"""The smallest change is what flipping conditions one by one, and all ways together, finds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from random import Random

import pyarrow as pa
import pytest

import segengine as se
from tests.rules.agreement import case
from tests.rules.stores import AS_OF, little_store

LEAVES = (
    "c_int > 3", "c_small IN (1, 2)", "c_small NOT IN (0, 4)", "c_double BETWEEN -1 AND 1",
    "c_money <= 1.25", "c_text LIKE '%a%'", "c_flag", "c_date < today()", "birthday IS NOT NULL",
    "c_int2 IS NULL", "c_city = 'Paris'", "c_time >= now()", "len(c_tags) = 0",
    "bucket('x') < 0.5", "segment('inner')", "c_flag2 IS DISTINCT FROM TRUE",
    "c_small IS NOT DISTINCT FROM 1",
)  # fmt: skip


@dataclass(frozen=True)
class Sketch:
    """A rule with numbered holes for its leaves, and which of them stand under a NOT."""

    text: str
    negated: tuple[bool, ...]


def sketch(rng: Random, leaves: int, first: int = 0, *, negated: bool = False) -> Sketch:
    if rng.random() < 0.25:
        inside = sketch(rng, leaves, first, negated=not negated)
        return Sketch(f"NOT ({inside.text})", inside.negated)
    if leaves == 1:
        return Sketch(f"{{{first}}}", (negated,))
    left = rng.randrange(1, leaves)
    one = sketch(rng, left, first, negated=negated)
    other = sketch(rng, leaves - left, first + left, negated=negated)
    join = rng.choice(("AND", "OR"))
    return Sketch(f"(({one.text}) {join} ({other.text}))", one.negated + other.negated)


def flipped(rule: Sketch, leaves: list[str], which: tuple[int, ...]) -> str:
    """The rule with these leaves as it wants them, by text."""
    parts = [str(not rule.negated[n]).upper() if n in which else leaf
             for n, leaf in enumerate(leaves)]  # fmt: skip
    return rule.text.format(*parts)


@pytest.mark.parametrize("seed", range(500, 508))
def test_near_misses_are_those_whom_flipping_a_condition_lets_in(seed: int) -> None:
    found = case(seed, 130)
    found.engine.define_segment("inner", "c_int < 5 AND c_flag")
    for _ in range(4):
        leaves = found.rng.sample(LEAVES, found.rng.randrange(1, 8))
        rule = sketch(found.rng, len(leaves))
        text = flipped(rule, leaves, ())
        before = set(found.engine.segment(text).ids().to_pylist())
        expected = []
        for which in range(len(leaves)):
            ids = found.engine.segment(flipped(rule, leaves, (which,))).ids().to_pylist()
            missed = [who for who in ids if who not in before]
            expected.append((len(missed), missed[:5]))
        table = found.engine.segment(text).near_misses()
        counts = table["count"].to_pylist()
        assert counts == sorted(counts, reverse=True)
        said = list(zip(counts, table["examples"].to_pylist(), strict=True))
        assert sorted(said, key=repr) == sorted(expected, key=repr), text


@pytest.mark.parametrize("seed", range(520, 526))
def test_the_nearest_change_is_the_smallest_that_makes_the_rule_hold(seed: int) -> None:
    found = case(seed, 65)
    found.engine.define_segment("inner", "c_int < 5 AND c_flag")
    leaves = found.rng.sample(LEAVES, 5)
    rule = sketch(found.rng, len(leaves))
    holding = {
        which: set(found.engine.segment(flipped(rule, leaves, which)).ids().to_pylist())
        for size in range(6)
        for which in combinations(range(5), size)
    }
    segment = found.engine.segment(flipped(rule, leaves, ()))
    for who in found.customers["customer_id"].to_pylist():
        least = min(len(which) for which, ids in holding.items() if who in ids)
        nearest = segment.explain(who).nearest
        if least == 0:
            assert nearest == ()
        elif least == 1:
            singles = sum(who in holding[n,] for n in range(5))
            assert [len(change.conditions) for change in nearest] == [1] * singles
        else:
            assert [len(change.conditions) for change in nearest] == [least]


@pytest.fixture
def store() -> se.Engine:
    return little_store()


def test_a_near_miss_names_its_condition_and_some_of_its_buyers(store: se.Engine) -> None:
    table = store.segment("visits >= 0 AND NOT is_gold AND city NOT IN ('x')").near_misses()
    assert table.schema.names == ["condition", "count", "examples"]
    assert table.schema.field("examples").type == pa.list_(pa.int64())
    assert table.to_pylist() == [
        {"condition": "NOT is_gold", "count": 1, "examples": [1]},
        {"condition": "visits >= 0", "count": 0, "examples": []},
        {"condition": "city NOT IN ('x')", "count": 0, "examples": []},
    ]


def test_a_condition_with_a_missing_value_keeps_out_as_one_that_is_false(store: se.Engine) -> None:
    said = store.segment("visits >= 0 AND length(tags) = 0").near_misses().to_pylist()
    assert said[1] == {"condition": "length(tags) = 0", "count": 2, "examples": [1, 2]}
    assert said[0] == {"condition": "visits >= 0", "count": 2, "examples": [3, 4]}


def test_what_was_written_as_a_constant_is_no_condition_to_change(store: se.Engine) -> None:
    segment = store.segment("FALSE AND visits > 3")
    assert segment.near_misses().to_pylist() == [
        {"condition": "visits > 3", "count": 0, "examples": []}
    ]
    assert segment.explain(2).nearest == ()


def test_deleted_buyers_miss_nothing(store: se.Engine) -> None:
    store.delete_customer(2)
    said = store.segment("visits > 1000").near_misses()
    assert said["examples"].to_pylist() == [[1, 3, 4]]


def test_the_nearest_change_is_said_under_the_tree(store: se.Engine) -> None:
    why = store.segment("visits >= 20 AND city = 'Hangzhou'").explain(1)
    assert str(why).splitlines()[-1] == "nearest: visits >= 20 (visits is 10)"
    why = store.segment("visits >= 20 OR NOT is_gold").explain(1)
    assert [str(change) for change in why.nearest] == [
        "visits >= 20 (visits is 10)", "NOT is_gold (is_gold is true)",
    ]  # fmt: skip


def test_a_change_of_several_conditions_says_them_all(store: se.Engine) -> None:
    rule = "(visits >= 20 AND rate > 1 AND NOT is_gold) OR (city = 'x' AND spent > 99)"
    (change,) = store.segment(rule).explain(1).nearest
    assert change.conditions == ("city = 'x'", "spent > 99")
    assert change.values == (("city", "'Hangzhou'"), ("spent", "19.9"))


def test_a_condition_written_twice_changes_once(store: se.Engine) -> None:
    (change,) = store.segment("visits > 99 AND (visits > 99 OR city = 'x')").explain(1).nearest
    assert change.conditions == ("visits > 99",)


def test_a_rule_of_one_condition_and_one_that_holds_say_no_more(store: se.Engine) -> None:
    assert "nearest" not in str(store.segment("visits > 99").explain(1))
    assert len(store.segment("visits > 99").explain(1).nearest) == 1
    held = store.segment("visits > 3 AND is_gold").explain(1)
    assert held.nearest == ()
    assert "nearest" not in str(held)


def test_many_ways_are_cut_short(store: se.Engine) -> None:
    rule = " OR ".join(f"visits > {n}" for n in range(100, 112))
    lines = str(store.segment(rule).explain(1)).splitlines()
    assert lines[-2:] == ["nearest: visits > 104 (visits is 10)", "nearest: or one of 7 more"]


def test_too_many_conditions_are_refused() -> None:
    engine = se.Engine(as_of=AS_OF)
    rule = " OR ".join(f"order_count = {n}" for n in range(257))
    with pytest.raises(se.DefinitionError, match="256 conditions at most, and this rule has 257"):
        engine.segment(rule).near_misses()
