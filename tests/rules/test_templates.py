"""A rule that is filled into a shape read before is the rule that its text says."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import RuleError
from segengine.rules import expr as e
from segengine.rules import templates as module
from segengine.rules.format import format_expr
from segengine.rules.parse import parse
from segengine.rules.templates import Templates
from tests.reference.leaf_cases import leaf_case
from tests.reference.rules import rule_text
from tests.rules.agreement import case
from tests.rules.stores import ids, little_store
from tests.rules.trees import TREES

ODDITIES = (
    # names
    "\"x\" = 1", "\"a 1 b\" = 2", "\"it's\" = 'it''s'", '"a""b" = 3', '"a"" \'5\' ""b" = \'5\'',
    "x1 = 1", "x_2_3 = 4", "_1 = 1", "t1.x2 = 3", "store.k9 = 9", "context.a1 = '1'",
    "größe1 = 1", "x = y1 + 1",
    # texts
    "x = ''", "x = ''''", "x = 'a''b'", "x = '''a'", "x = 'a'''", "x = '\"a\" 5'", "x = ' 5 '",
    "x = '-- 5'", "x = '/* 5 */'", "x = 'a\\b'", "x = 'a;b'", "x = '?'", "x = '東京'", "x = 'E'",
    "x = 'a\nb'", "x = 'a\tb'", "x = 'NULL'", "x = 'TRUE'", "x = '1'", "x='a'AND y='b'",
    "x IN('a','b','it''s')", "x = 'a' 'b'", "x = 'a'\n'b'", "x = 'a'\n  'b' AND y = 'c'",
    "x = E'a\\nb'", "x = e'a'", "x = N'a'", "x = b'1'", "x = x'1F'", "x = r'a'", "x = U&'a'",
    "x = N'a ' AND y = ' b'", "x = $$a$$", "x = $1", "x = ?", "x = 'a'::VARCHAR",
    # numbers
    "x = 0", "x = 007", "x = -1", "x = - 1", "x = - -1", "x = -(-1)", "x = -(1)", "x = +1",
    "x = -0", "x = -0.0", "x = - (0)", "x - 1 = 2", "x -1 = 2",
    "x-1=2", "x - -1 = 2", "x--1 = 2", "-x = 1", "-1 = x",
    "- - -1 = x", "1.5 = x", "x = 1.50", "x = 0.0", "x = .5", "x = 5.", "x = -.5",
    "x = 1e5", "x = 1E-5", "x = 1.5e3", "x = 1e", "x = 1_000", "x = 0x1F", "x = 1.2.3", "x = 1a",
    "x = 9223372036854775807", "x = -9223372036854775808", "x = 9223372036854775808",
    "x = 123456789012345678901234567890", "x = 0.1234567890123456789012345678901234567890",
    "x = 1 AND y=2 AND z=-3", "x BETWEEN -1 AND 1", "x NOT BETWEEN 1.5 AND -2.5",
    "x IN (1, -2, 3.5, 'a', NULL, TRUE)", "x IN (1)", "x IN (1,1,1)", "(1) = (x)", "x = ((1))",
    "1 + 1 = 2", "x * 2 + 3 // 4 % 5 - 6 / 7 > 8", "1 = 1", "TRUE", "NULL", "1", "'a'",
    # what a number or a text says beside its value
    "x >= DATE '2024-02-29'", "x >= date'2024-02-29'", "x >= DATE  '2024-02-29' AND y = '2024'",
    "x >= DATE                              '2024-02-29'", "x < DATE\n'2024-02-29'",
    "x >= TIMESTAMP '2024-02-29 18:30:00'", "x >= TIMESTAMPTZ '2024-02-29 18:30:00+08:00'",
    "x >= TIMESTAMP WITH TIME ZONE '2024-02-29 18:30:00+08:00'", "x > TIME '10:00'",
    "x >= now() - INTERVAL 30 DAY", "x >= now() - INTERVAL '1 DAY'", "x > now() - INTERVAL '5' DAY",
    "x >= now() - INTERVAL                    30 DAY", "x >= now() - INTERVAL -3 DAY",
    "x >= now() - INTERVAL (30) DAY", "x >= now() - INTERVAL '1 month 2 days' AND y = 3",
    "x >= today() - 30", "x >= now() + - INTERVAL 3 HOUR", "x >= now() - interval 1.5 day",
    "x = CAST('2024-01-01' AS DATE)", "CAST(x AS BIGINT) = 1", "CAST(x AS DECIMAL(18, 4)) = 1",
    "CAST(1 AS DOUBLE) = x", "x = CAST(NULL AS BIGINT)", "x = ARRAY[1]", "x[1] = 2",
    "x LIKE 'a%'", "x LIKE 'a!%' ESCAPE '!'", "x LIKE 'a' ESCAPE ''", "x ILIKE '%A_' ESCAPE'#'",
    "x NOT LIKE 'it''s'", "x LIKE '5' AND y = '!'", "x LIKE 1", "date = '2024-01-01'",
    "\"date\" = '2024-01-01'", "\"interval\" = 3", "time = '10'", "x = y AND time > 3",
    # calls
    "list_has_any(x, ['a', 'b'])", "list_has_all(x, [])", "['a'] = x", "list_contains(x, 'a')",
    "segment('vip')", "NOT segment('it''s')", "bucket('a') < 0.1", "in_last_days(x, 30)",
    "affinity('category', 'tea') >= 0.4", "starts_with(x, '1')", "coalesce(x, 1, 2.5) = -1",
    "extract(year FROM x) = 2024", "date_part('year', x) = 2024", "substring(x, 1, 2) = 'ab'",
    "CASE WHEN x = 1 THEN 'a' ELSE 'b' END = 'a'", "CASE x WHEN 1 THEN 2 WHEN -3 THEN 4 END > 5",
    "count(orders) >= 2", "count(orders) FILTER (WHERE amount > 5 AND region = 'x') >= 2",
    "sum(orders.amount) FILTER (WHERE in_last_days(time, 30)) > 10.5", "count(DISTINCT o.x) > 1",
    "percent_rank(x) OVER () >= 0.9", "x >= quantile(x, 0.9) OVER (PARTITION BY y)",
    "quantile(x, 1) FILTER (WHERE z = 3) OVER () > 2", "x IS DISTINCT FROM 1", "x IS NULL",
    "x IS NOT DISTINCT FROM 'a'", "x IS TRUE", "(x = 1 OR y = 'a') AND NOT (z > 2.5)",
    # what is not read, and what is no rule
    "x = 1 -- 5", "x = 1 /* 5 */ AND y = 2", "x = 1 --", "-- 1", "x = 'a", "x = 1'", "x = a'b'",
    "x = 1 y = 2", "x = 1 2", "x = 'a' 5", "x = 5 'a'", "x =", "= 1", "", " ", "x = 1;", "x = (1",
    "SELECT 1", "x IN (SELECT 1)", "x = 1 AND", "x IN ()", "x = 'a\x00b'", "x = 1\x00", "x = 1\x01",
    "x = '\ud800'", "x = " + "1" * 400, "x = " + "1" * 5000, "x = '" + "a" * 70_000 + "'",
)  # fmt: skip


def read(text: str) -> e.Expr | None:
    try:
        return parse(text)
    except RuleError:
        return None


def assert_reads(templates: Templates, text: str) -> e.Expr | None:
    found = templates.read(text)
    assert found is None or found == read(text), text
    return found


NUMBER = re.compile(r"[0-9]+")
TEXT = re.compile(r"'[^'\n]*'")
WORDS = ("'a'", "''", "'it''s'", "' 5 '", "'DAY'", "'1 hour'", "'2020-01-01'", "'!'", "'%'")


def changed(rng: Random, text: str) -> str:
    """The text with other numbers and texts in it, whatever it says then."""
    found = NUMBER.sub(lambda old: rng.choice((old.group(), str(rng.choice((0, 1, 7, 31, 10**9))),
                                               str(rng.randrange(10**25)))), text)  # fmt: skip
    return TEXT.sub(lambda old: rng.choice((old.group(), *WORDS)), found)


@pytest.mark.parametrize("text", ODDITIES, ids=lambda text: ascii(text[:50]))
def test_an_oddity_is_read_as_it_is_parsed_however_often(text: str) -> None:
    rng, templates = Random(repr(text)), Templates()
    for _ in range(2):
        assert_reads(templates, text)
    for _ in range(6):
        assert_reads(templates, changed(rng, text))
    assert_reads(templates, text)


def test_no_oddity_is_taken_for_another() -> None:
    templates = Templates()
    for seed in range(3):
        rng = Random(seed)
        for text in rng.sample(ODDITIES, len(ODDITIES)):
            assert_reads(templates, text if seed == 0 else changed(rng, text))


@settings(max_examples=150)
@given(TREES, st.randoms(use_true_random=False))
def test_any_rule_is_read_as_it_is_parsed(tree: e.Expr, rng: Random) -> None:
    text, templates = format_expr(tree), Templates()
    assert_reads(templates, text)
    for _ in range(2):
        assert_reads(templates, changed(rng, text))
    assert_reads(templates, text)


LETTERS = st.sampled_from([*"xy1230.-+*/()'\"=<>,;:?$\\ \n[]%_", "'a'", " AND ", " IN ", "DATE ",
                           "INTERVAL ", " DAY", "now()", "''", "--", "1.5", "-1", "é"])  # fmt: skip


@settings(max_examples=200)
@given(st.lists(LETTERS, max_size=12).map("".join), st.randoms(use_true_random=False))
def test_any_text_is_read_as_it_is_parsed(text: str, rng: Random) -> None:
    templates = Templates()
    for one in (text, changed(rng, text), f"x = 1 AND {text}", f"x = {text}", f"x = '{text}'"):
        assert_reads(templates, one)


JOINTS = (" AND ", " and ", "\nAND ", " OR ", " AND NOT ", ") AND (", " AND x BETWEEN 1 AND 2 AND ",
          " AND x NOT BETWEEN 1 AND (2) AND ", " AND (x BETWEEN ", " AND x BETWEEN 1 AND ",
          " AND CASE WHEN a AND b THEN 1 END = ", " AND 'x AND y' = ", ' AND "x AND y" = ',
          " AS AND ", " AS x AND ", " AND x IN (1) AND [",
          " AND count(orders) FILTER (WHERE a AND b OR c) > ")  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.sampled_from(ODDITIES), min_size=2, max_size=4), st.data())
def test_any_conditions_that_are_joined_are_read_as_they_are_parsed(
    conditions: list[str], data: st.DataObject
) -> None:
    text, templates = conditions[0], Templates()
    for condition in conditions[1:]:
        text += data.draw(st.sampled_from(JOINTS)) + condition
        assert_reads(templates, text)
        assert_reads(templates, f"({text})")


def test_conditions_that_are_joined_have_a_shape_each(monkeypatch: pytest.MonkeyPatch) -> None:
    templates, parsed = Templates(), []
    monkeypatch.setattr(module, "parse", lambda text: parsed.append(text) or parse(text))
    conditions = ("x > 1", "y BETWEEN 2 AND 3", "(z = 'a AND b' OR x = 5)", "NOT (x = 1 AND y = 2)")
    for first in conditions:
        for second in conditions:
            text = f"{first} AND {second} and {first}"
            assert assert_reads(templates, text) is not None
    assert sorted(parsed) == sorted(conditions)


def test_what_is_too_deep_beneath_an_and_is_not_read() -> None:
    for levels in range(10, 34):
        deep = "NOT (" * levels + "x = 1" + ")" * levels
        assert_reads(Templates(), f"y = 2 AND {deep}")
        assert_reads(Templates(), deep)


def test_random_rules_near_the_values_of_a_store_are_read_from_few_shapes() -> None:
    templates, from_shape = Templates(), 0
    texts = [rule_text(rule) for rule in case(800, 65).rules(40)]
    texts += [rule_text(rule) for rule in leaf_case(4, 20).rules(30)]
    rng = Random(8)
    for text in texts:
        from_shape += assert_reads(templates, text) is not None
        from_shape += assert_reads(templates, changed(rng, text)) is not None
    assert from_shape > len(texts) / 2


PLAIN = (
    ("visits > 3 AND city = 'x'", "visits > -3 AND city = 'x'"),
    ("visits > 3", "visits > 4"),
    ("rate <= 0.5 AND city IN ('a', 'b')", "rate <= 12.75 AND city IN ('it''s', '')"),
    ("visits = -3 OR visits - 3 = 0", "visits = -9 OR visits - 1 = 0"),
    ("length(city) IN (1, -2)", "length(city) IN (2, -5)"),
    ("segment('vip') AND bucket('s') < 0.1", "segment('gold') AND bucket('t') < 0.7"),
)


@pytest.mark.parametrize(("first", "second"), PLAIN)
def test_plain_rules_have_a_shape(first: str, second: str) -> None:
    templates = Templates()
    for text in (first, second, first):
        assert templates.read(text) == parse(text)


def test_the_oldest_shapes_are_forgotten() -> None:
    templates = Templates()
    for number in range(1100):
        assert templates.read(f"x{number} = 1") == parse(f"x{number} = 1")
    assert len(templates._kept) == 1024
    assert templates.read("x0 = 2") == parse("x0 = 2")


# --- through the engine


@pytest.fixture
def store() -> se.Engine:
    return little_store()


def test_rules_of_one_shape_have_their_own_answers(store: se.Engine) -> None:
    for least, wanted in ((-3, {1, 2, 3}), (0, {1, 2}), (1, {1}), (10, {1}), (11, set())):
        assert ids(store, f"visits >= {least}") == wanted
    for city, wanted in (("Hangzhou", {1}), ("", {3}), ("it''s", set()), ("Shanghai", {2})):
        assert ids(store, f"city = '{city}'") == wanted


def test_a_negative_zero_read_first_turns_no_sign(store: se.Engine) -> None:
    assert ids(store, "visits = -0") == {2}
    assert ids(store, "visits = -10") == set()
    assert ids(store, "visits = -3") == {3}


def test_a_number_of_thousands_of_digits_is_a_mistake_as_any(store: se.Engine) -> None:
    with pytest.raises(se.RuleError, match="does not fit in 64 bits"):
        store.segment("visits = " + "1" * 5000)


@pytest.mark.parametrize(("good", "bad", "place"), [
    ("visits > 3\n AND city = 'x'", "visits > 30\n AND cty = 'xyz'", (2, 6, 3)),
    ("visits > 3 AND city = 'x'", "visits > 'abc' AND city = 'x'", (1, 1, 14)),
    ("visits > 3 AND visits < 5", "visits > 3000 AND city < 5", (1, 19, 8)),
    ("visits > 3 AND visits < 5", "visits > 33333333333333333333 AND visits < 5", (1, 10, 20)),
    ("segment('vip') AND visits > 1", "segment('missing') AND visits > 1", (1, 1, 18)),
    ("city LIKE 'a%' AND visits > 1", "city LIKE 'a%' AND visits LIKE 'b'", (1, 20, 6)),
])  # fmt: skip
def test_a_mistake_in_a_shape_read_before_stands_where_it_is(
    store: se.Engine, good: str, bad: str, place: tuple[int, int, int]
) -> None:
    """Each is said the same way the first time and after a rule of its shape was read."""
    store.define_segment("vip", "visits > 3")
    store.segment(good)
    said = []
    for _ in range(3):
        with pytest.raises(se.RuleError) as caught:
            store.segment(bad)
        (problem,) = caught.value.problems
        assert (problem.line, problem.column, problem.length) == place
        said.append(str(caught.value))
        assert caught.value.text == bad
    with pytest.raises(se.RuleError) as caught:
        little_store().segment(bad.replace("segment('missing')", "segment('missing')"))
    assert {*said} == {str(caught.value)}
    assert store.segment(good).rule == good


def test_a_plan_shows_the_values_of_its_own_rule(store: se.Engine) -> None:
    plans = [store.segment(f"visits = {n} AND city = 'c{n}'").plan() for n in (31, 32)]
    assert plans[1] == plans[0].replace("31", "32") != plans[0]
    assert str(store.segment("visits >= 7").explain(1)) == str(
        little_store().segment("visits >= 7").explain(1))  # fmt: skip
