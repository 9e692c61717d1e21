"""The twin and DuckDB agree on leaves about history and other buyers, and with known answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from random import Random

import pyarrow as pa
import pytest

from . import duckdb_oracle, twin
from .leaf_cases import leaf_case
from .leaf_twin import quantile
from .leaves import Affinity, History, Population
from .rules import Column, Compare, Constant, CustomerId, Node, Row, Type, World, rule_text

SIZES = (0, 1, 63, 65, 120)


def disagreements(seeds: range, count: int) -> Iterator[str]:
    """The rules to which twin and DuckDB give different buyers."""
    for seed in seeds:
        case = leaf_case(seed, SIZES[seed % len(SIZES)])
        world = case.world
        connection = duckdb_oracle.open_tables(case.shop.standing, world)
        for rule in case.rules(count):
            ours = twin.true_ids(rule, world.everyone, world)
            theirs = duckdb_oracle.ids_in(connection, rule, world)
            if ours != theirs:
                one = min(ours ^ theirs, key=str)
                yield f"seed {seed}, {world.timezone}: {one!r} {one in ours}: {rule_text(rule)}"


def test_twin_and_duckdb_give_the_same_buyers_by_their_history_and_among_others() -> None:
    assert list(disagreements(range(10), 22)) == []


@pytest.mark.prove
@pytest.mark.parametrize("first", range(1000, 1100, 10))
def test_twin_and_duckdb_agree_on_leaves_at_length(first: int) -> None:
    assert list(disagreements(range(first, first + 10), 40)) == []


def test_a_seed_gives_the_same_shop_and_the_same_rules() -> None:
    def told() -> list[str]:
        case = leaf_case(3, 65)
        rules = [rule_text(rule) for rule in case.rules(5)]
        return [*rules, *(str(table) for table in case.shop.standing.values())]

    assert told() == told()


AS_OF = datetime(2024, 3, 1, 12, tzinfo=UTC)
POINTS: dict[int, list[tuple[int, str | None, int | None]]] = {
    1: [(-1, "earn", 5), (-1, "spend", None), (-3, "earn", None), (1, "earn", 7)],
    2: [(0, None, 5)],
}
"""By buyer: hours from as_of, kind and amount, in order of arrival. Buyer 3 has none."""


def little_world() -> World:
    everyone: list[Row] = [
        {"customer_id": 1, "level": 3, "city": None},
        {"customer_id": 2, "level": 3, "city": "x"},
        {"customer_id": 3, "level": 5, "city": None},
        {"customer_id": 4, "level": None, "city": "x"},
    ]
    history: dict[CustomerId, list[Row]] = {}
    for one, points in POINTS.items():
        rows: list[Row] = [
            {"customer_id": one, "time": AS_OF + timedelta(hours=h), "kind": kind, "amount": n}
            for h, kind, n in sorted(points, key=itemgetter(0))
            if h <= 0
        ]
        history[one] = rows
    affinities: dict[CustomerId, dict[str, dict[str, float]]] = {1: {"category": {"tea": 0.4}}}
    return World(AS_OF, "UTC", {}, {"points": history}, everyone, affinities)


def values(node: Node) -> list[object]:
    world = little_world()
    return [twin.evaluate(node, buyer, world) for buyer in world.everyone]


AMOUNT, KIND = Column("amount", Type.BIGINT), Column("kind", Type.VARCHAR)
LEVEL, CITY = Column("level", Type.BIGINT), Column("city", Type.VARCHAR)
EARNED = Compare("=", KIND, Constant("earn", Type.VARCHAR))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (History("count", "points"), [3, 1, 0, 0]),
        (History("count", "points", None, EARNED), [2, 0, 0, 0]),
        (History("sum", "points", AMOUNT), [5, 5, 0, 0]),
        (History("avg", "points", AMOUNT), [5.0, 5.0, None, None]),
        (History("count_distinct", "points", KIND), [2, 0, 0, 0]),
        (History("first", "points", AMOUNT), [None, 5, None, None]),
        (History("last", "points", KIND), ["spend", None, None, None]),
        (History("max", "points", AMOUNT), [5, 5, None, None]),
        (Population("percent_rank", LEVEL), [0.0, 0.0, 1.0, None]),
        (Population("percent_rank", LEVEL, partition=(CITY,)), [0.0, 0.0, 1.0, None]),
        (Population("median", LEVEL), [3.0, 3.0, 3.0, None]),
        (Population("quantile", LEVEL, Decimal("0.75")), [4.0, 4.0, 4.0, None]),
        (Population("avg", LEVEL, partition=(CITY,)), [4.0, 3.0, 4.0, None]),
        (Affinity("category", "tea"), [0.4, None, None, None]),
        (Affinity("category", "skincare"), [0.0, None, None, None]),
    ],
)
def test_a_leaf_has_the_value_that_the_language_decided(node: Node, expected: object) -> None:
    assert values(node) == expected


def test_our_quantile_is_duckdbs_but_for_the_last_digits() -> None:
    rng = Random(4)
    connection = duckdb_oracle.open_customers(pa.table({"x": [1.0]}))
    for _ in range(40):
        numbers = sorted(rng.gauss(0, 50) for _ in range(rng.randrange(1, 9)))
        share = rng.choice((0.1, 0.25, 0.5, 0.9))
        listed = f"(SELECT unnest({numbers!r}::DOUBLE[]) AS x)"
        query = f"SELECT quantile_cont(x, {share}) FROM {listed}"
        (theirs,) = connection.execute(query).fetchone() or (None,)
        assert quantile(numbers, share) == pytest.approx(theirs, rel=1e-12)
