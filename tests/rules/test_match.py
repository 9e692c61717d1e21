"""Match names a segment if and only if the segment contains the buyer: whatever the rules, the
data and the moment, and however coarse the intervals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, count

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from segengine.errors import UnknownCustomer
from segengine.rules.codes import MOST_RUNS
from segengine.rules.conjunctions import MOST, conjunctions
from segengine.rules.match import Matcher
from segengine.rules.plan import AllOf, AnyOf, Computed, Everyone, Node
from segengine.rules.term import Term
from segengine.rules.value_keys import float_key
from segengine.schema.kinds import Kind
from segengine.tables.customers import NOBODY
from tests.acceptance.leaf_stores import engine_of
from tests.reference.leaf_cases import leaf_case
from tests.reference.random_customers import random_customers
from tests.reference.rules import rule_text
from tests.rules.agreement import Case, case
from tests.rules.stores import AS_OF, little_store, load


def differences(engine: se.Engine, most: int = 65) -> Iterator[str]:
    """Where match and contains part, at this moment, over the first buyers and the last."""
    everyone = engine.segment("TRUE").ids().to_pylist()
    segments = {n: engine.segment(d.text) for n, d in engine.segments.definitions.items()}
    for one in [*everyone[: most // 2], *everyone[-(most // 2) :]]:
        matched = engine.match(one)
        held = [name for name in sorted(segments) if segments[name].contains(one)]
        if matched != held:
            yield f"{engine.as_of}: {one!r} matches {set(matched) ^ set(held)} or is in it"


def defined(found: Case, rules: int) -> se.Engine:
    for number, rule in enumerate(found.rules(rules)):
        found.engine.define_segment(f"r{number:04}", rule_text(rule))
    return found.engine


# --- small and by hand


def test_match_names_the_segments_that_hold_in_order() -> None:
    engine = little_store()
    rules = {
        "anyone": "TRUE",
        "big or gold": "visits > 5 OR is_gold",
        "c of the coast": "city IN ('Hangzhou', 'Shanghai') AND NOT list_contains(tags, 'never')",
        "day": "days_since(joined_at) BETWEEN 5 AND 15",
        "exactly": "rate = 0 AND visits = 0",
        "in debt": "spent < 0 OR spent IS NULL",
        "just now": "joined_at >= now() - INTERVAL 1 HOUR",
        "nothing known": "city IS NULL AND visits IS NULL AND rate IS NULL",
        "nobody": "FALSE",
        "quiet": "count(orders) = 0 AND is_gold IS DISTINCT FROM false",
    }
    for name, rule in rules.items():
        engine.define_segment(name, rule)
    assert {one: engine.match(one) for one in (1, 2, 3, 4)} == {
        1: ["anyone", "big or gold", "day", "quiet"],
        2: ["anyone", "c of the coast", "exactly", "just now"],
        3: ["anyone", "big or gold", "in debt", "quiet"],
        4: ["anyone", "in debt", "nothing known", "quiet"],
    }
    assert list(differences(engine)) == []


def test_an_unknown_or_deleted_customer_matches_nothing() -> None:
    engine = little_store()
    engine.define_segment("all", "TRUE")
    for unknown in (77, "1", None, True):
        with pytest.raises(UnknownCustomer):
            engine.match(unknown)  # type: ignore[arg-type]
    assert engine.match(2) == ["all"]
    engine.delete_customer(2)
    with pytest.raises(UnknownCustomer):
        engine.match(2)


def test_a_store_without_segments_matches_none() -> None:
    assert little_store().match(1) == []


def test_minus_nothing_is_nothing_and_numbers_keep_their_order() -> None:
    assert float_key(-0.0) == float_key(0.0) == 0
    numbers = [-np.inf, -1e308, -1.5, -5e-324, 0.0, 5e-324, 1.0, 1.0000000000000002, 1e308, np.inf]
    keys = [float_key(number) for number in numbers]
    assert keys == sorted(set(keys))


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_keys_compare_as_their_numbers(one: float, other: float) -> None:
    assert (one < other) == (float_key(one) < float_key(other))


def test_the_least_whole_number_is_a_value_where_it_is_a_double() -> None:
    engine = se.Engine(as_of=AS_OF)
    table = pa.table({"customer_id": [1, 2], "low": [-(2.0**63), None], "none": [0.0, 0.0]})
    engine.load("customers", table, columns={"low": "low", "none": "none"})
    engine.define_segment("below", "low - none < -10.5")
    engine.define_segment("above", "low - none > -10.5")
    assert engine.segment("low - none < -10.5").contains(1)
    assert engine.match(1) == ["below"]
    assert engine.match(2) == []


def test_no_rule_becomes_more_conjunctions_than_allowed() -> None:
    names = count()

    def leaf() -> Node:
        return Computed(Term("column", Kind.BOOLEAN, value=next(names)), wanted=True)

    many = conjunctions(AllOf(tuple(AnyOf((leaf(), leaf(), leaf())) for _ in range(9))))
    assert 1 < len(many) <= MOST
    assert all(len(parts) == 9 for parts in many)
    (whole,) = conjunctions(AnyOf(tuple(leaf() for _ in range(MOST + 1))))
    assert isinstance(whole[0], AnyOf)
    assert conjunctions(Everyone(True)) == ((),)
    assert conjunctions(Everyone(False)) == ()


# --- every rule, every change


@pytest.mark.parametrize(("seed", "rows"), [(1, 1), (2, 64), (3, 65)])
def test_match_is_contains_for_random_rules_whatever_changes(seed: int, rows: int) -> None:
    found = case(seed, rows)
    engine = defined(found, 30)
    assert list(differences(engine)) == []
    text_ids = pa.types.is_string(found.customers["customer_id"].type)
    for step in range(2):
        newer = random_customers(
            found.rng, 40, timezone=found.world.timezone, as_of=found.world.as_of, text_ids=text_ids
        )
        load(engine, newer)
        assert list(differences(engine, 20)) == []
        for rule in found.rules(2):
            engine.define_segment(f"more {step}", rule_text(rule))
        engine.advance(engine.as_of + timedelta(seconds=1))
        assert list(differences(engine, 20)) == []
        engine.advance(engine.as_of + timedelta(hours=31))
        assert list(differences(engine, 20)) == []
        engine.delete_customer(engine.segment("TRUE").ids()[0].as_py())
        assert list(differences(engine, 20)) == []
    engine.advance(found.world.as_of)
    assert list(differences(engine)) == []


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_match_is_contains_for_every_kind_of_leaf_as_events_come(seed: int) -> None:
    leaves = leaf_case(seed, 30)
    engine = engine_of(leaves)
    for number, rule in enumerate(leaves.rules(50)):
        engine.define_segment(f"r{number}", rule_text(rule))
    assert list(differences(engine, 20)) == []
    everyone = engine.segment("TRUE").ids()
    for step in range(2):
        buyers = everyone.slice(step, 4)
        at = pa.array([engine.as_of] * len(buyers), pa.timestamp("us", "UTC"))
        engine.append("behaviors", pa.table({"customer_id": buyers, "time": at,
                                             "kind": ["cart"] * len(buyers)}))  # fmt: skip
        assert list(differences(engine, 12)) == []
        engine.advance(engine.as_of + timedelta(seconds=90))
        engine.advance(engine.as_of + timedelta(days=step))
        assert list(differences(engine, 12)) == []


# --- coarse intervals


@pytest.mark.parametrize(("budget", "edges"), [(0, 127), (1 << 30, 0), (1 << 30, 1), (50_000, 9)])
def test_two_thousand_rules_match_alike_however_coarse_the_intervals(
    budget: int, edges: int
) -> None:
    found = case(21, 60)
    texts = [rule_text(rule) for rule in found.rules(150)]
    rng = np.random.default_rng(7)
    for _ in range(1_850):
        low, width, more = rng.integers(-50, 150, 3).tolist()
        texts.append(
            f"c_int BETWEEN {low} AND {low + width} AND c_double < {more}.5e0 "
            f"OR c_small <> {more} AND c_city >= '{chr(65 + more % 26)}'"
        )
    engine = found.engine
    rules = [(number, engine._definitions.rule(text)) for number, text in enumerate(texts)]
    matcher = Matcher(rules, budget=budget, most_edges=edges)
    with engine._looking() as view:
        for row in range(NOBODY, view.population.rows, 4):
            held = [n for n, rule in rules if view.population.holds(view.plan(rule), row)]
            assert matcher.match(view, row) == held


# --- what is compiled, and when


def compilations(engine: se.Engine) -> int:
    current = engine._segment_matcher._current
    assert current is not None
    return current.matcher.compilations


def test_a_moment_of_the_same_day_compiles_nothing_and_is_right() -> None:
    engine = little_store()
    engine.define_segment("hour", "joined_at >= now() - INTERVAL 1 HOUR AND visits >= 0")
    engine.define_segment("today", "days_since(joined_at) = 0")
    engine.define_segment("zero", "visits = 0")
    assert engine.match(2) == ["hour", "today", "zero"]
    before = compilations(engine)
    for seconds, expected in ((3599, True), (3600, True), (3601, False), (5, True)):
        engine.advance(AS_OF + timedelta(seconds=seconds))
        assert ("hour" in engine.match(2)) == expected
    assert compilations(engine) == before
    engine.advance(AS_OF + timedelta(days=1))
    assert engine.match(2) == ["zero"]
    assert compilations(engine) == before + 1
    engine.advance(AS_OF)
    assert engine.match(2) == ["hour", "today", "zero"]


def test_new_values_are_seen_without_compiling() -> None:
    engine = little_store()
    engine.define_segment("often", "visits > 5")
    engine.define_segment("here", "city = 'Shanghai' OR starts_with(city, 'new')")
    assert engine.match(2) == ["here"]
    before = compilations(engine)
    # A thousand more make every array move; their cities are not those that were known.
    many = pa.table({"customer_id": list(range(100, 1100)), "visits": [9] * 1000,
                     "city": [f"new {n % 40}" for n in range(1000)]})  # fmt: skip
    engine.append("customers", many)
    engine.append("customers", pa.table({"customer_id": [2], "visits": [6], "city": ["elsewhere"]}))
    assert engine.match(2) == ["often"]
    assert engine.match(1099) == ["here", "often"]
    assert compilations(engine) == before
    assert list(differences(engine)) == []


def test_a_dictionary_that_has_grown_much_is_looked_at_again() -> None:
    engine = little_store()
    engine.define_segment("even", "ends_with(city, '0') OR ends_with(city, '2')")
    engine.define_segment("none", "city IS NULL")
    engine.define_segment("not", "city <> 'c 7'")
    assert engine.match(1) == ["not"]
    for begin in (100, 400, 2000):
        fresh = pa.table({"customer_id": list(range(begin, 2 * begin)),
                          "city": [f"c {n}" for n in range(begin)]})  # fmt: skip
        engine.append("customers", fresh)
        assert list(differences(engine, 40)) == []
    assert compilations(engine) >= 2


def test_a_condition_that_splits_a_dictionary_into_many_runs_is_asked_by_code() -> None:
    engine = se.Engine()
    cities = [f"{n}" for n in range(4 * MOST_RUNS)]
    engine.load("customers", pa.table({"customer_id": list(range(len(cities))), "city": cities}))
    engine.define_segment("even", "ends_with(city, '0') OR ends_with(city, '2')")
    for digits in ("1", "3", "5", "7", "9"):
        engine.define_segment(f"odd {digits}", f"ends_with(city, '{digits}') AND customer_id > 3")
    engine.define_segment("split", "contains(city, '1') AND NOT contains(city, '2')")
    assert list(differences(engine)) == []


def test_a_new_definition_keeps_what_was_compiled_for_the_others() -> None:
    engine = little_store()
    engine.define_segment("a", "visits > 5")
    engine.match(1)
    before = engine._segment_matcher._current
    engine.define_segment("b", "visits > 6")
    assert engine.match(1) == ["a", "b"]
    after = engine._segment_matcher._current
    assert before is not None
    assert after is not None
    assert after.matcher._conjoined[0] is before.matcher._conjoined[0]
    engine.define_segment("a", "visits < 5")
    assert engine.match(1) == ["b"]
    engine.define_segment("c", "segment('a') OR NOT segment('b')")
    assert engine.match(1) == ["b"]
    engine.define_segment("a", "visits > 5")
    assert engine.match(1) == ["a", "b", "c"]


def test_columns_and_traits_that_come_later_are_matched() -> None:
    engine = se.Engine(as_of=AS_OF)
    engine.define_segment("typed", "customer_id IS NOT NULL")
    engine.load("customers", pa.table({"customer_id": ["x", "y"], "city": [None, "a"]}))
    assert engine.match("x") == ["typed"]
    engine.load("customers", pa.table({"customer_id": ["y"], "age": [30]}), columns={"age": "age"})
    engine.define_segment("old", "age >= 30")
    engine.define_trait("twice", "age * 2")
    engine.define_segment("older", "twice >= 60 AND customer_id > 'x'")
    assert engine.match("y") == ["old", "older", "typed"]
    assert engine.match("x") == ["typed"]


# --- rules that read the request


def test_rules_may_read_the_request_and_the_buckets_of_a_visitor() -> None:
    engine = little_store()
    texts = {
        "gold": "is_gold",
        "half": "bucket('s') < 0.5",
        "mobile": "context.device = 'mobile'",
        "both": "context.device = 'mobile' AND visits > 5",
        "either": "context.device = 'tv' OR city = 'Shanghai'",
    }
    rules = [(n, engine._definitions.rule(t, context=True)) for n, t in texts.items()]
    matcher = Matcher(rules)
    with engine._looking() as view:
        for row in range(view.population.rows):
            for context in ({}, {"device": "mobile"}, {"device": "tv"}):
                for share in (None, 0.25, 0.75):
                    own = None if share is None else (lambda _, s=share: np.array([s]))
                    held = [
                        name
                        for name, rule in rules
                        if view.population.holds(view.plan(rule), row, context, own)
                    ]
                    assert matcher.match(view, row, context, own) == held


# --- many at once


def test_many_threads_get_the_same_answers() -> None:
    engine = defined(case(31, 65), 60)
    everyone = engine.segment("TRUE").ids().to_pylist()
    answers: list[list[list[str]]] = [[] for _ in range(4)]

    def ask(found: list[list[str]]) -> None:
        found.extend(engine.match(one) for one in chain(everyone, everyone))

    threads = [threading.Thread(target=ask, args=(found,)) for found in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [engine.match(one) for one in everyone]
    assert all(found == expected * 2 for found in answers)
    assert compilations(engine) == 1


def test_a_moment_far_ahead_is_answered_for() -> None:
    engine = little_store()
    engine.define_segment("old", "days_since(joined_at) > 1000")
    assert engine.match(1) == []
    engine.advance(datetime(2030, 1, 1, tzinfo=UTC))
    assert engine.match(1) == ["old"]
