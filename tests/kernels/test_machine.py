"""A program says of every row what the general way of evaluating says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import segengine as se
from segengine.kernels.machine import AND_MODE, BLOCK, OR_MODE
from segengine.kernels.scan import SET
from segengine.rules.block import FALSE, TRUE, UNKNOWN, Clock
from segengine.rules.compute import truth
from segengine.rules.evaluate import Scan
from segengine.rules.frame import Frame
from segengine.rules.program import Program, program_of
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from tests.acceptance.leaf_stores import engine_of
from tests.kernels.test_kernels import rows_in, words_of
from tests.reference.leaf_cases import leaf_case
from tests.reference.rules import rule_text
from tests.rules.agreement import case

WANTED = {TRUE: 2, UNKNOWN: 1, FALSE: 0}
ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")
NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)


def program_for(term: Term, frame: Frame, clock: Clock) -> tuple[Program | None, Any]:
    """The program of a condition, and its truth for every row, computed."""
    run = Scan(frame, clock)
    program = program_of(term, frame, clock, run.column)
    if program is None:
        return None, None
    for source in term.sources():
        run.column(source)
    return program, truth(term, frame.block(slice(0, frame.rows), clock, run.made))


def difference(term: Term, frame: Frame, clock: Clock) -> str | None:
    """Where the program of a condition differs; "none" without one, "inexact" where it gave up."""
    program, expected = program_for(term, frame, clock)
    if program is None:
        return "none"
    rng = np.random.default_rng(frame.rows)
    words = -(-frame.rows // 64)
    for said, wanted in WANTED.items():
        hits = expected == said
        for mode in (SET, AND_MODE, OR_MODE):
            before = rng.random(frame.rows) < rng.choice([0.0, 0.5])
            out = words_of(before, words)
            cut = words // BLOCK * (BLOCK // 64)
            for begin, end in ((0, cut), (cut, words)):
                if not program.run(wanted, begin, end, mode, out):
                    return "inexact"
            joined = {SET: hits, AND_MODE: before & hits, OR_MODE: before | hits}[mode]
            found = rows_in(out)[: frame.rows]
            if not np.array_equal(found, joined):
                row = int(np.flatnonzero(found != joined)[0])
                return f"row {row} in mode {mode}: not {said} as computed"
    return None


def terms_of(engine: se.Engine, text: str) -> tuple[Term, Clock, Any]:
    segment = engine.segment(text)
    with segment._looking() as view:
        return segment._rule().term, view.clock, view.population


def conditions(term: Term) -> Iterator[Term]:
    """A condition and those joined in it."""
    if term.kind is Kind.BOOLEAN:
        yield term
        if term.op in ("and", "or", "not", "segment"):
            for arg in term.args:
                yield from conditions(arg)


def asked(engine: se.Engine, text: str) -> list[str | None]:
    """The differences of a rule over buyers, and of the filters of its aggregates over events."""
    term, clock, population = terms_of(engine, text)
    found = [difference(each, population, clock) for each in conditions(term)]
    for source in {t for t in term.walk() if t.op == "history"}:
        events = population.events_of(source.value.table)
        found += [difference(each, events, clock) for each in conditions(source.args[1])]
    return found


@pytest.mark.parametrize("seed", range(700, 708))
def test_random_programs_over_buyers_agree_with_computing(seed: int) -> None:
    tiny = case(seed, (70, 600)[seed % 2], extremes=seed % 2 == 0)
    said = []
    for rule in tiny.rules(20):
        text = rule_text(rule)
        found = asked(tiny.engine, text)
        assert {*found} <= {None, "none", "inexact"}, tiny.said(rule, str(found))
        said += found
    assert said.count(None) > len(said) / 2


@pytest.mark.parametrize("seed", range(4))
def test_random_programs_over_events_with_buyers_and_products_agree(seed: int) -> None:
    shop = leaf_case(seed, 40)
    engine = engine_of(shop)
    said = []
    for rule in shop.rules(15):
        text = rule_text(rule)
        found = asked(engine, text)
        assert {*found} <= {None, "none", "inexact"}, (seed, text, found)
        said += found
    assert said.count(None) > len(said) / 3


# --- by hand


def numbers_store(zone: str = "UTC", *, extremes: bool = True) -> se.Engine:
    """Pairs of numbers, amounts, dates and instants; `extremes` are beyond what doubles hold."""
    top = 2**63 - 1
    wholes = [None, 0, 1, -1, 2, -7, 10, 2**31, -(2**31), 3_037_000_500]
    wholes += [2**62, -(2**62), top, -top] if extremes else []
    doubles = [None, 0.0, -0.0, 1.5, -2.25, 1e308, -1e308, 5e-324, float("nan"), 2.0**53]
    amounts = [None, Decimal("19.90"), Decimal(0), Decimal("-0.0001"), Decimal(40)]
    amounts += [Decimal("99999999999999.9999")] if extremes else []
    pairs = [(a, b) for a in wholes for b in wholes]
    count = len(pairs)
    start = datetime(2023, 10, 1, tzinfo=UTC)

    def cycled(values: list[Any], step: int = 1) -> list[Any]:
        return [values[(n // step) % len(values)] for n in range(count)]

    days = [None, date(2024, 2, 29), date(1969, 12, 31), date(2024, 3, 10), date(1900, 3, 1),
            date(2999, 12, 31), date(2000, 2, 29), date(2023, 12, 31)]  # fmt: skip
    table = pa.table({
        "customer_id": range(count),
        "a": pa.array([a for a, _ in pairs], pa.int64()),
        "b": pa.array([b for _, b in pairs], pa.int64()),
        "x": pa.array(cycled(doubles), pa.float64()),
        "y": pa.array(cycled(doubles, len(doubles)), pa.float64()),
        "m": pa.array(cycled(amounts), pa.decimal128(18, 4)),
        "d": pa.array(cycled(days), pa.date32()),
        "e": pa.array(cycled(days, len(days)), pa.date32()),
        "t": pa.array([None if n % 9 == 0 else start + timedelta(hours=23 * n, microseconds=-n % 3)
                       for n in range(count)], pa.timestamp("us", "UTC")),
        "u": pa.array([None if n % 7 == 0 else NOW - timedelta(minutes=45 * n)
                       for n in range(count)], pa.timestamp("us", "UTC")),
        "flag": pa.array(cycled([None, True, False]), pa.bool_()),
        "word": pa.array(cycled([None, "", "tea", "Tea", "杭州"]), pa.string()),
        "other": pa.array(cycled([None, "tea", "x"], 5), pa.string()),
        "labels": pa.array(cycled([None, [], ["a"], ["a", "b", None]]), pa.list_(pa.string())),
    })  # fmt: skip
    engine = se.Engine(timezone=zone, as_of=NOW)
    added = [name for name in table.column_names if name != "customer_id"]
    engine.load("customers", table, columns={name: name for name in added})
    return engine


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "extremes"])
def numbers(request: pytest.FixtureRequest) -> se.Engine:
    engine = numbers_store(extremes=request.param)
    engine.define_segment("plain", "a > 3 OR flag")
    return engine


RULES = [
    "a + b > 0", "a - b <= 1", "a * b = 0", "a * b > 4611686018427387904", "a // b = -3",
    "a % b < 0", "-a > b", "abs(a) = abs(b)", "a + b - b = a", "a // 0 = 1", "a % b <> 1",
    "abs(-a) + 1 > 0", "9223372036854775807 + a > 0", "a * -1 = b", "a // b * b + a % b = a",
    "x + y > 0", "x * y < 1", "x / y > 1", "x - y <> 0", "-x < y", "abs(x) = abs(y)",
    "x / 0 > 1", "x + x > 1e308", "x = y", "NOT x = y", "x IS DISTINCT FROM y", "x * 1e300 > 0",
    "a / b > 0.5", "a < x", "a + 0.5 > x", "m > x", "m + 1 > 20", "m * 2 > 39.8", "m / 3 < 7",
    "m * a > 5", "m = a", "m - 0.1 > x",
    "a IS DISTINCT FROM b", "a IS NOT DISTINCT FROM b", "a + b IS NULL", "x / y IS NOT NULL",
    "a IN (b, 1, 2)", "a + b IN (0, 1, -8)", "a + b NOT IN (0, 1, NULL)", "x + y IN (3.0, -4.5)",
    "x - y NOT IN (0.0, NULL)", "a + b BETWEEN -10 AND 10", "a BETWEEN b AND 10",
    "CASE WHEN a > b THEN a WHEN x > y THEN b ELSE 3 END > 1",
    "CASE WHEN a > b THEN x WHEN flag THEN y END < 1", "CASE a WHEN b THEN TRUE ELSE flag END",
    "CASE WHEN flag THEN a > b WHEN a IS NULL THEN x > y END",
    "coalesce(a, b, 7) > 2", "coalesce(x, y, 0.5) > 0", "coalesce(flag, a > b, TRUE)",
    "coalesce(a + b, a - b) = 0", "coalesce(d, e) < today()", "coalesce(t, u) > now()",
    "nullif(a, b) > 0", "nullif(x, y) IS NULL", "nullif(a + b, 0) IS NULL",
    "least(a, b) < 0", "greatest(a, b, 3) = 3", "least(x, y) < 0", "greatest(x, y, 0.5) = 0.5",
    "least(d, e) < today()", "greatest(t, u) > now()", "least(m, a) > 1",
    "flag AND a > b", "flag OR a > b", "NOT (flag AND a > b)", "flag IS NULL OR a < b",
    "(flag AND a > b) = (x > y)",
    "d < e", "d = e", "days_since(d) > a", "days_until(e) - days_until(d) > 3",
    "days_since(d) > days_since(e)", "year(d) = year(e)", "month(d) + day(e) > 20",
    "dayofweek(d) = dayofweek(e)", "in_last_days(d, a)", "NOT in_last_days(d, a)",
    "in_last_days(t, a)", "in_last_days(u, a + b)", "t < u", "year(t) = year(u)",
    "month(t) > month(u)", "day(t) = day(u)", "dayofweek(t) = dayofweek(u)",
    "days_since(t) > days_since(u)", "days_since(t) = days_since(d)", "hour(t) = hour(u)",
    "t > now() - INTERVAL 30 DAY OR u > t", "d < t",
    "word = 'tea' OR a > b", "(lower(word) = 'tea') = flag", "length(word) > a",
    "length(labels) > a", "list_contains(labels, 'a') AND a > b", "word LIKE '%e%' OR x > y",
    "length(word) + length(labels) > 1", "word IN ('tea', '杭州') AND a + b > 0",
    "CASE WHEN word = 'tea' THEN a ELSE b END > 0", "word = other",
    "bucket('s') < 0.5 AND a > b", "bucket('s') < x", "bucket('s') < bucket('t')",
    "segment('plain') OR a + b = 2", "a + b > a * b AND x > y OR m > a",
]  # fmt: skip
WITHOUT = {
    "(flag AND a > b) = (x > y)", "hour(t) = hour(u)", "word = other", "d < t", "least(m, a) > 1",
    "m = a", "(lower(word) = 'tea') = flag", "flag IS NULL OR a < b",
    "a + b > a * b AND x > y OR m > a",
}  # fmt: skip
"""Rules that may be left to computing: truths and texts compared, hours, kinds that are mixed."""


@pytest.mark.parametrize("rule", RULES)
def test_a_program_agrees_with_computing(numbers: se.Engine, rule: str) -> None:
    term, clock, population = terms_of(numbers, rule)
    found = difference(term, population, clock)
    is_extreme = numbers.segment("a = 4611686018427387904").count() > 0
    assert found in {None, "inexact" if is_extreme else None, "none" if rule in WITHOUT else None}


@pytest.mark.parametrize("zone", ZONES)
def test_dates_are_those_of_the_stores_timezone(zone: str) -> None:
    engine = numbers_store(zone, extremes=False)
    for rule in RULES:
        if any(word in rule for word in ("(t", "(u", "(d", "today", "now")) and rule not in WITHOUT:
            term, clock, population = terms_of(engine, rule)
            assert difference(term, population, clock) is None, rule


def test_a_number_beyond_what_a_double_holds_is_left_to_computing() -> None:
    engine = numbers_store()
    for rule in ("a + 0.5 > x", "NOT m > x"):
        term, clock, population = terms_of(engine, rule)
        assert difference(term, population, clock) == "inexact"
        truths = truth(term, population.block(slice(0, population.rows), clock))
        assert engine.segment(rule).count() == (truths == TRUE).sum() > 0
        kept = engine.segment(f"flag AND ({rule})").ids().to_pylist()
        assert set(kept) <= set(engine.segment(rule).ids().to_pylist())


def joined_store() -> se.Engine:
    """Orders and lines of buyers and of nobody, with products that are there and that are not."""
    engine = se.Engine(timezone="Asia/Shanghai", as_of=NOW)
    buyers = pa.table({
        "customer_id": pa.array(["a", "b", "c"]), "city": ["X", None, "Y"],
        "born": pa.array([date(1990, 1, 1), None, date(2000, 2, 29)]), "level": [1, None, 3],
        "rate": [0.5, None, -1.0], "gold": pa.array([True, None, False]),
    })  # fmt: skip
    engine.load("customers", buyers, columns={n: n for n in buyers.column_names[2:]})
    products = pa.table({
        "product_id": ["p", "q"], "category": ["tea", None], "stock": pa.array([2, None]),
        "price": pa.array([Decimal("9.5"), None], pa.decimal128(18, 4)),
    })  # fmt: skip
    engine.load("products", products)
    count = 130
    lines = pa.table({
        "customer_id": [("a", "b", "c", "d")[n % 4] for n in range(count)],
        "time": [NOW - timedelta(hours=5 * n) for n in range(count)],
        "order_id": pa.array([n // 2 // 4 * 4 + n % 4 for n in range(count)]),
        "line_id": pa.array(range(count)),
        "product_id": [("p", "q", "gone", None)[n % 4 - n % 3] for n in range(count)],
        "quantity": pa.array([None if n % 5 == 0 else n % 7 for n in range(count)]),
        "amount": pa.array([None if n % 6 == 0 else Decimal(n % 11) for n in range(count)],
                           pa.decimal128(18, 4)),
    })  # fmt: skip
    engine.load("order_lines", lines)
    return engine


JOINS = [
    "quantity > customers.level", "quantity * 2 > product.stock", "amount > product.price",
    "amount > product.price * quantity", "customers.level > product.stock",
    "product.category = 'tea' AND quantity > customers.level",
    "customers.city = 'X' OR quantity > product.stock",
    "customers.gold OR quantity > product.stock",
    "CASE WHEN customers.gold THEN quantity ELSE product.stock END > 2",
    "coalesce(product.stock, customers.level, quantity) > 1",
    "coalesce(customers.gold, quantity > product.stock)",
    "year(time) > year(customers.born)", "days_since(time) > customers.level",
    "customers.rate < quantity", "length(customers.city) = quantity",
    "length(product.category) > quantity", "category = 'tea' OR amount > product.price",
    "product.stock IS NULL OR quantity > customers.level", "in_last_days(time, customers.level)",
    "is_purchase AND quantity > product.stock", "order_id % 8 > customers.level",
]  # fmt: skip


def test_events_look_up_their_buyers_and_products() -> None:
    engine = joined_store()
    for rule in JOINS:
        term, clock, population = terms_of(engine, f"count(order_lines) FILTER (WHERE {rule}) > 0")
        (source,) = term.sources()
        where, events = source.args[1], population.events_of("order_lines")
        assert events.reached == ("customers", "products")
        assert difference(where, events, clock) is None, rule
        _, truths = program_for(where, events, clock)
        assert (truths == TRUE).any(), rule
