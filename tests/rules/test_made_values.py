"""Affinities and birthdays are matched by rows of bits, as the same rules hold one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

import segengine as se
from segengine.rules.match import Matcher
from tests.reference.leaf_cases import leaf_case
from tests.rules.test_match import engine_of

AS_OF = datetime(2024, 2, 27, 12, tzinfo=UTC)
OPS = ("=", "<>", "<", "<=", ">", ">=")


def matched(engine: se.Engine, texts: list[str]) -> Matcher[str]:
    """A matcher of these rules, which matches for every buyer what holds."""
    rules = [(text, engine._definitions.rule(text)) for text in texts]
    matcher = Matcher(rules)
    with engine._looking() as view:
        for row in range(view.population.rows):
            held = [n for n, rule in rules if view.population.holds(view.plan(rule), row)]
            assert matcher.match(view, row) == held
    return matcher


def opened(matcher: Matcher[str]) -> int:
    """How many conjunctions rows of bits leave open."""
    assert matcher._bound is not None
    return len(matcher._bound.layout.second)


def test_birthdays_are_matched_on_every_date() -> None:
    born = [date(1990, 2, 27), date(1988, 2, 29), date(2001, 3, 1), date(1970, 1, 1), None]
    engine = se.Engine("UTC", AS_OF)
    engine.load("customers", pa.table({"customer_id": range(5), "birthday": born}))
    texts = [f"days_until_birthday(birthday) {op} {n}" for op in OPS for n in (0, 1, 2, 365)]
    texts += [f"NOT days_until_birthday(birthday) {op} 2" for op in OPS]
    for dates in (0, 1, 2, 366):
        engine.advance(AS_OF + timedelta(days=dates))
        assert opened(matched(engine, texts)) == 0


def test_affinities_are_matched_as_likes_come() -> None:
    engine = se.Engine("UTC", AS_OF)
    engine.load("customers", pa.table({"customer_id": range(6)}))
    texts = [f"affinity('category', '{liked}') {op} {score}" for liked in ("tea", "jam", "never")
             for op in OPS for score in (0, 0.25, 1)]  # fmt: skip
    texts += ["affinity('category', 'jam') IS NULL", "affinity('brand', 'x') IS NOT NULL"]
    rng = np.random.default_rng(3)
    engine.define_segment("jammed", "affinity('category', 'jam') > 0")
    for liked in (["tea"], ["tea", "milk"], ["jam"], ["never", "tea", "jam"]):
        assert opened(matched(engine, texts)) == 0
        count = 4 * len(liked)
        at = pa.array([engine.as_of] * count, pa.timestamp("us", "UTC"))
        engine.append("behaviors", pa.table({
            "customer_id": rng.integers(0, 5, count), "time": at, "kind": ["view"] * count,
            "category": liked * 4,
        }))  # fmt: skip
        for customer_id in range(6):
            holds = engine.segment("affinity('category', 'jam') > 0").contains(customer_id)
            assert (engine.match(customer_id) == ["jammed"]) == holds


def test_of_rules_with_other_leaves_the_same_are_matched() -> None:
    found = leaf_case(23, 40)
    engine = engine_of(found)
    kinds = ("tea", "skincare", "home")
    texts = [f"affinity('category', '{kind}') >= 0.{n} OR customer_id IS NULL"
             for kind in kinds for n in (1, 5)]  # fmt: skip
    matched(engine, texts)
