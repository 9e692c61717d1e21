"""Whatever is given as a rule, the answer is a rule or a RuleError, soon."""

from __future__ import annotations

import time
from random import Random

import pytest
from sqlglot import Dialect

import segengine as se
from segengine.rules.format import format_expr
from segengine.rules.parse import parse
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.random_rules import random_rule, random_world
from tests.reference.rules import rule_text
from tests.rules.stores import little_store

PIECES = (
    "a city visits 1 2.5 1e3 'x' '' \"q\" ( ) [ ] , . ; + - * / // % = <> < <= > >= AND OR NOT IN "
    "IS NULL BETWEEN LIKE ILIKE ESCAPE CASE WHEN THEN ELSE END INTERVAL DAY DATE TIMESTAMP CAST AS "
    "BIGINT :: now() today() lower( count( segment( 'vip' FILTER WHERE OVER PARTITION BY ORDER "
    "DISTINCT FROM TRUE FALSE context. store. $1 ? : := -> => { } | & ^ ~ ! @ # \\ -- /* */ $$ "
    "SELECT VALUES WITH UNION SET DROP TABLE"
).split()
KEYWORDS = sorted(Dialect.get_or_raise("duckdb").tokenizer_class.KEYWORDS)
CHARACTERS = "()[]'\",.;+-*/=<>% \n\t\x00é東\u200b\U0001f600"


def valid_rules(count: int) -> list[str]:
    rng = Random(1)
    world = random_world(rng)
    buyers = buyers_of(random_customers(rng, 30, timezone=world.timezone, as_of=world.as_of))
    return [rule_text(random_rule(rng, COLUMNS, buyers, world)) for _ in range(count)]


def soup(rng: Random) -> str:
    pool = PIECES if rng.random() < 0.6 else KEYWORDS
    return " ".join(rng.choice((rng.choice(pool), rng.choice(PIECES)))
                    for _ in range(rng.randrange(1, 20)))  # fmt: skip


def noise(rng: Random) -> str:
    spans = ((32, 127), (0, 0x250), (0x3000, 0x9FFF), (0, 0xD800), (0xE000, 0x110000))
    return "".join(chr(rng.randrange(*rng.choice(spans))) for _ in range(rng.randrange(60)))


def damaged(rng: Random, rule: str) -> str:
    if rng.random() < 0.3:
        return rule[: rng.randrange(len(rule))]
    letters = list(rule)
    for _ in range(rng.randrange(1, 5)):
        place = rng.randrange(len(letters) + 1)
        what = rng.random()
        if what < 0.3:
            del letters[place : place + rng.choice((1, 1, 10))]
        elif what < 0.6:
            letters.insert(place, rng.choice(CHARACTERS))
        else:
            letters.insert(place, f" {rng.choice(PIECES)} ")
    return "".join(letters)


def judged(store: se.Engine, text: str) -> float:
    """Seconds until a text is a rule or a RuleError; what is read can be printed and read again."""
    started = time.perf_counter()
    found: se.RuleError | None = None
    try:
        read = parse(text)
        assert parse(format_expr(read)) == read, text
        store.segment(text)
    except se.RuleError as error:
        found = error
    if found is not None:
        assert str(found)
        assert found.problems
        for problem in found.problems:
            assert problem.message == problem.message.strip() != ""
            assert min(problem.line, problem.column, problem.length) >= 1
    return time.perf_counter() - started


@pytest.fixture(scope="module")
def store() -> se.Engine:
    engine = little_store()
    engine.define_segment("vip", "visits > 3")
    return engine


@pytest.mark.parametrize("seed", range(3))
def test_random_texts_are_rules_or_rule_errors(store: se.Engine, seed: int) -> None:
    rng, valid = Random(seed), valid_rules(60)
    times = []
    for _ in range(1000):
        kind = rng.random()
        text = (soup(rng) if kind < 0.4 else noise(rng) if kind < 0.55
                else damaged(rng, rng.choice(valid)))  # fmt: skip
        times.append(judged(store, text))
    assert sorted(times)[len(times) // 2] < 0.1


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 110))
def test_random_texts_are_rules_or_rule_errors_at_length(store: se.Engine, seed: int) -> None:
    rng, valid = Random(seed), valid_rules(300)
    for _ in range(3000):
        text = rng.choice((soup, noise))(rng) if rng.random() < 0.5 else damaged(
            rng, rng.choice(valid))  # fmt: skip
        judged(store, text)


LONG = {
    "parentheses": "(" * 1000 + "visits > 1" + ")" * 1000,
    "NOT": "NOT " * 1000 + "is_gold",
    "minus": "-" * 1000 + "1 > 0",
    "CASE": "CASE WHEN " * 1000 + "is_gold" + " THEN TRUE END" * 1000,
    "calls": "abs(" * 1000 + "visits" + ")" * 1000 + " > 1",
    "open brackets": "[" * 5000,
    "one sum": "+".join(["visits"] * 9000) + " > 1",
    "casts": "visits" + "::BIGINT" * 3000 + " > 1",
    "dots": ".".join(["a"] * 5000) + " = 1",
    "commas": "visits IN (" + "1," * 5000,
    "wrong brackets": "a ] (" * 3000,
    "intervals": "INTERVAL " * 3000,
    "statements": "visits > 1;" * 3000,
    "between": "is_gold" + " BETWEEN FALSE AND TRUE" * 1000,
    "is": "visits" + " IS NULL" * 3000,
    "like": "city" + " LIKE 'a'" * 3000,
    "semicolons": ";" * 60_000,
    "text": "city = '" + "x" * 60_000 + "'",
    "quotes": "'" * 60_001,
    "like pattern": "city LIKE '" + "%a_" * 20_000 + "'",
    "chinese pattern": "city ILIKE '%" + "東" * 20_000 + "%'",
    "ands": " AND ".join(["visits = 1"] * 5000),
    "ranges": " OR ".join(f"visits = {2 * i}" for i in range(1500)),
    "options": "visits IN (" + ", ".join(str(3 * i) for i in range(7000)) + ")",
    "bytes beyond": "x" * 65_537,
}


@pytest.mark.parametrize("what", LONG)
def test_a_long_text_takes_no_long_time(store: se.Engine, what: str) -> None:
    """Where it is a rule, it is evaluated too. The bounds are wide: the machine may be busy."""
    text = LONG[what]
    seconds = judged(store, text)
    assert seconds < 20
    try:
        segment = store.segment(text)
    except se.RuleError:
        return
    assert segment.count() <= 4
    assert segment.explain(1).holds == segment.contains(1)


def test_nested_leaves_do_not_multiply(store: se.Engine) -> None:
    """Each of these names its inside several times when it is decided."""
    between = case = "is_gold"
    for _ in range(25):
        between = f"({between}) BETWEEN FALSE AND TRUE"
    for _ in range(14):
        case = f"CASE {case} WHEN TRUE THEN FALSE WHEN FALSE THEN TRUE ELSE TRUE END"
    for text in (between, case):
        assert judged(store, text) < 5
