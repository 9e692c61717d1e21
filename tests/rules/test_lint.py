"""What is said of a catalogue is true of its buyers, and what matters is said."""

from __future__ import annotations

import re
from random import Random

import pytest

import segengine as se
from segengine.rules.lint import Placed, lint
from tests.rules.agreement import case
from tests.rules.stores import AS_OF, ids, little_store

LEAVES = (
    "c_int > 3", "c_int > 5", "c_int <= 3", "c_int BETWEEN 1 AND 4", "c_small IN (1, 2)",
    "c_small IN (1, 2, 3)", "c_small NOT IN (0, 4)", "c_small = 1", "c_small IS NULL",
    "c_double >= 0", "c_double >= 0.5", "c_money < 1.25", "c_city = 'Paris'", "c_city <> 'Paris'",
    "c_city IN ('Paris', 'Oslo')", "c_city NOT IN ('Rome')", "c_city IS NOT NULL", "c_flag",
    "c_flag = FALSE", "c_text LIKE 'a%'", "length(c_text) > 2", "c_date < today()",
    "c_date < today() + INTERVAL 5 DAY", "c_time >= now()", "list_contains(c_tags, 'vip')",
    "bucket('x') < 0.5", "c_int + c_small > 3",
)  # fmt: skip


def messages(engine: se.Engine, place: str, severity: str = "") -> list[str]:
    return [f.message for f in engine.check()
            if f.place == place and severity in ("", f.severity)]  # fmt: skip


def random_catalogue(engine: se.Engine, rng: Random, count: int) -> None:
    for name in range(count):
        parts = [f"NOT {leaf}" if rng.random() < 0.2 else leaf
                 for leaf in rng.choices(LEAVES, k=rng.randrange(1, 4))]  # fmt: skip
        rule = parts[0]
        for part in parts[1:]:
            rule = f"({rule}) {rng.choice(('AND', 'OR'))} {part}"
        engine.define_segment(f"s{name}", rule)


@pytest.mark.parametrize("seed", range(600, 606))
def test_whatever_is_said_of_segments_is_so_for_every_buyer(seed: int) -> None:
    found = case(seed, 300)
    engine = found.engine
    random_catalogue(engine, found.rng, 60)
    members = {name: ids(engine, f"segment('{name}')") for name in engine.segments.definitions}
    everybody = ids(engine, "TRUE")
    said = 0
    for finding in engine.check():
        name = finding.place.split('"')[1]
        about = re.findall(r"`([^`]+)`", finding.message)
        if finding.message.startswith("the same as"):
            assert members[name] == members[about[0]], finding
        elif finding.message.startswith("lies within"):
            assert all(members[name] <= members[other] for other in about), finding
        elif finding.message.startswith("never true"):
            assert not members[name], finding
        elif finding.message.startswith("always true"):
            assert members[name] == everybody, finding
        elif finding.message.startswith("true for every buyer whose"):
            assert members[name] == ids(engine, about[1]), finding
        else:
            continue
        said += 1
    assert said > 5


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("visits > 5 AND visits < 3", "never true"),
        ("visits = NULL", "never true"),
        ("visits IN (1, NULL) AND NOT visits IN (1, NULL)", "never true"),
        ("city = 'a' AND city = 'b'", "never true"),
        ("city IN ('a', 'b') AND city <> 'a' AND NOT city = 'b'", "never true"),
        ("city LIKE 'a%' AND NOT city LIKE 'a%'", "never true"),
        ("is_gold AND visits > rate AND NOT visits > rate", "never true"),
        ("visits IS NULL OR visits IS NOT NULL", "always true"),
        ("visits > 3 OR visits <= 3 OR visits IS NULL", "always true"),
        ("visits > 3 OR visits <= 3",
         "true for every buyer whose `visits` is known; write `visits IS NOT NULL`"),
        ("is_gold OR NOT is_gold", "true for every buyer whose `is_gold` is known"),
        ("city = 'a' OR city <> 'a'", "true for every buyer whose `city` is known"),
    ],
)  # fmt: skip
def test_a_rule_that_decides_nothing_is_a_warning(rule: str, said: str) -> None:
    store = little_store()
    store.define_segment("s", rule)
    (message,) = messages(store, 'segment "s"', "warning")
    assert message.startswith(said)


@pytest.mark.parametrize(
    "rule",
    ["TRUE", "FALSE", "NOT (TRUE AND FALSE)", "visits IS NOT NULL", "city IS NOT NULL",
     "visits > 3 OR (visits < 9 AND is_gold)", "visits > 3 OR rate <= 3",
     "city = 'a' OR NOT city IN ('a', NULL)"],
)  # fmt: skip
def test_a_rule_that_says_what_it_means_is_left_alone(rule: str) -> None:
    store = little_store()
    store.define_segment("s", rule)
    assert messages(store, 'segment "s"', "warning") == []


def test_two_that_are_the_same_are_told_however_they_are_written() -> None:
    store = little_store()
    store.define_segment("first", "visits > 3 AND city = 'a' AND (is_gold OR rate > 1)")
    store.define_segment("second", "(1 < rate OR is_gold) AND city IN ('a') AND visits >= 4")
    store.define_segment("third", "visits > 3 AND city = 'a' AND is_gold")
    assert messages(store, 'segment "second"', "warning") == [
        "the same as segment `first`: always the same buyers"
    ]
    assert messages(store, 'segment "first"', "warning") == []
    assert messages(store, 'segment "third"')[0] == (
        "lies within `first`: who is in the one is always in the other"
    )


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("visits > 5", "visits > 3"),
        ("visits BETWEEN 4 AND 6", "visits > 3 OR city = 'a'"),
        ("visits > 5 AND is_gold", "visits > 3"),
        ("visits = 1 OR visits = 3", "visits BETWEEN 1 AND 3"),
        ("visits > 5 AND city = 'a'", "visits > 3 AND city IN ('a', 'b')"),
        ("city = 'a'", "city <> 'b'"),
        ("city NOT IN ('a', 'b')", "NOT city = 'a'"),
        ("rate > 1 AND visits > 3 OR rate > 2 AND city = 'x'", "rate > 0.5"),
        ("visits > rate AND is_gold", "visits > rate OR rate > 9"),
        ("visits > 3 AND is_gold", "visits IS NOT NULL"),
        ("visits IS NULL", "visits IS NULL OR visits > 3"),
    ],
)
def test_one_within_another_is_a_note_at_the_inner_one(inner: str, outer: str) -> None:
    store = little_store()
    store.define_segment("outer", outer)
    store.define_segment("inner", inner)
    within = [m for m in messages(store, 'segment "inner"', "note") if m.startswith("lies")]
    assert within == ["lies within `outer`: who is in the one is always in the other"]
    assert not any(m.startswith("lies") for m in messages(store, 'segment "outer"'))


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("visits > 3 OR is_gold", "visits > 3"),
        ("visits IS NULL OR visits > 5", "visits > 3"),
        ("NOT city = 'a'", "city <> 'a' AND is_gold"),
        ("visits > 5", "rate > 5"),
        ("city <> 'b'", "city = 'a'"),
    ],
)
def test_what_may_differ_for_some_buyer_is_not_said(inner: str, outer: str) -> None:
    store = little_store()
    store.define_segment("outer", outer)
    store.define_segment("inner", inner)
    assert not any(m.startswith(("lies", "the same")) for m in messages(store, 'segment "inner"'))


def test_only_the_nearest_of_a_chain_is_named_and_what_a_rule_names_itself_is_not() -> None:
    store = little_store()
    for least in (3, 4, 5):
        store.define_segment(f"over {least}", f"visits > {least}")
    store.define_segment("golden", "segment('over 5') AND is_gold")
    lies = {f.place: f.message for f in store.check() if f.message.startswith("lies")}
    assert lies == {
        'segment "over 4"': "lies within `over 3`: who is in the one is always in the other",
        'segment "over 5"': "lies within `over 4`: who is in the one is always in the other",
    }


def test_a_segment_within_many_names_three_of_them() -> None:
    store = little_store()
    for trait in ("visits", "rate", "spent", "is_gold", "city"):
        store.define_segment(trait, f"{trait} IS NOT NULL")
    store.define_segment("all", "visits > 0 AND rate > 0 AND spent > 0 AND is_gold AND city = 'a'")
    (within,) = [m for m in messages(store, 'segment "all"') if m.startswith("lies")]
    assert re.fullmatch(r"lies within (`\w+`, ){2}`\w+` and 2 more: .*", within)


def test_a_segment_that_nothing_uses_is_a_note() -> None:
    engine = se.Engine(
        as_of=AS_OF,
        config={
            "store": {"channels": ["sms"]},
            "segments": {
                "alone": "order_count = 1", "in a segment": "order_count = 2",
                "in a campaign": "segment('in a segment') OR order_count = 3",
                "left out": "order_count = 4", "on a page": "order_count = 5",
                "in a trait": "order_count = 6",
                "complained": {"rule": "order_count = 7", "suppress": True},
            },
            "traits": {"is_odd": "segment('in a trait')"},
            "campaigns": {"c": {"segment": "segment('in a campaign')", "channel": "sms",
                                "exclusions": ["segment('left out')"]}},
            "pages": {"p": {"slots": {"s": {"modules": {"m": {"rule": "segment('on a page')"}}}}}},
        },
    )  # fmt: skip
    assert [(f.place, f.severity, f.message) for f in engine.check()] == [
        ('segment "alone"', "note", "no segment, campaign, page or trait uses it")
    ]


def test_rules_of_campaigns_and_pages_are_looked_at_too() -> None:
    engine = se.Engine(
        as_of=AS_OF,
        config={
            "campaigns": {"c": {"segment": "order_count < 0 AND order_count > 3",
                                "exclusions": ["recency_days <= 7"]}},
            "pages": {"p": {"slots": {"s": {"modules": {
                "m": {"rule": "context.device = 'a' AND recency_days <= 30"}}}}}},
        },
    )  # fmt: skip
    found = [(f.place, f.severity, f.message.splitlines()[0]) for f in engine.check()]
    assert found[0][:2] == ('campaign "c", segment', "warning")
    assert [f[0] for f in found[1:]] == [
        'campaign "c", exclusions', 'page "p", slot "s", module "m"',
    ]  # fmt: skip


def test_thirty_days_that_are_31_dates_are_a_note_with_the_rewrites() -> None:
    store = little_store()
    store.define_segment("recent", "is_gold AND\n  recency_days <= 30")
    (note,) = [m for m in messages(store, 'segment "recent"', "note") if "dates" in m]
    assert note == (
        "`recency_days <= 30` admits 31 dates: today and the 30 before it\n"
        '  segment "recent", line 2, column 3\n'
        "    |   recency_days <= 30\n"
        "    |   ^^^^^^^^^^^^^^^^^^\n"
        "  for 30 dates say `recency_days < 30` or `in_last_days(last_order_at, 30)`"
    )


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ("recency_days <= 90", 1), ("365 >= recency_days", 1), ("days_since(joined_at) <= 7", 1),
        ("count(orders) FILTER (WHERE days_since(time) <= 60) > 0", 1),
        ("recency_days <= 30 OR NOT recency_days <= 180", 2),
        ("recency_days < 30", 0), ("recency_days <= 31", 0), ("recency_days > 30", 0),
        ("visits <= 30", 0), ("recency_days BETWEEN 31 AND 60", 0), ("recency_days <= 30.5", 0),
    ],
)  # fmt: skip
def test_only_windows_that_are_often_meant_are_pointed_at(rule: str, count: int) -> None:
    store = little_store()
    store.define_segment("s", rule)
    assert sum("dates" in m for m in messages(store, 'segment "s"', "note")) == count


def test_thousands_of_segments_are_compared_within_bounds() -> None:
    """Each in the next, or each apart: pairs are told apart by their bounds before any proof."""
    nested = {f"n{n}": f"order_count > {n}" for n in range(400)}
    rng = Random(3)
    apart = {
        f"a{n}": f"recency_days = {n} AND amount_total > {rng.randrange(10**6)} AND "
        f"lifecycle_stage = 'stage {n % 7}'" for n in range(800)
    }  # fmt: skip
    engine = se.Engine(as_of=AS_OF, config={"segments": nested | apart})
    said = [f for f in engine.check() if f.message.startswith("lies within")]
    assert len(said) == 399


def test_a_rule_that_cannot_be_is_an_error_and_nothing_else() -> None:
    engine = se.Engine(
        as_of=AS_OF, config={"segments": {"a": "visitz > 3", "b": "order_count > 3"}}
    )
    assert [(f.place, f.severity) for f in engine.check()] == [
        ('segment "a"', "error"), ('segment "b"', "note"),
    ]  # fmt: skip


def test_an_empty_catalogue_has_nothing_to_say() -> None:
    assert little_store().check() == []
    rules: list[Placed] = []
    assert lint(rules, None, little_store()._population.domain) == []
