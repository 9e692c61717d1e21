"""Where a buyer stands among buyers, by hand: ranks, averages, quantiles, bases and partitions."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from tests.rules.stores import ids

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
WHO = tuple(range(1, 9))
EVERYONE = set(WHO)


@pytest.fixture(scope="module")
def store() -> se.Engine:
    """Eight buyers in the groups a (1 to 4), b (5) and none (6 to 8); 8 has no values."""
    engine = se.Engine(timezone="UTC", as_of=NOW)
    engine.load("customers", pa.table({
        "customer_id": WHO,
        "city": ["a", "a", "a", "a", "b", None, None, None],
        "n": pa.array([10, 20, 20, 40, 7, -5, 30, None]),
        "x": pa.array([0.5, 1.5, None, 2.0, float("nan"), -1.0, 8.0, None]),
        "m": pa.array([Decimal(v) if v else None for v in
                       ("1.5", "2.5", "2.5", "10", "3", "0", "4.5", None)], pa.decimal128(18, 4)),
        "day": [date(2024, 1, 1), date(2024, 1, 1), date(2023, 1, 1), None, None, date(2020, 2, 29),
                date(2025, 1, 1), None],
        "seen": [NOW - timedelta(days=d) for d in range(7)] + [None],
        "gold": pa.array([True, False, True, None, True, None, False, True]),
    }), columns={name: name for name in ("n", "x", "m", "day", "seen", "gold")})  # fmt: skip
    return engine


def asked(engine: se.Engine, rule: str) -> set[int | str]:
    """The buyers of a rule, as every way of asking gives them."""
    found = ids(engine, rule)
    segment = engine.segment(rule)
    assert segment.count() == len(found)
    for who in WHO:
        assert segment.contains(who) == segment.explain(who).holds == (who in found), (rule, who)
    return found


def valued(engine: se.Engine, leaf: str, values: dict[int, str | float]) -> None:
    """The leaf has these values, and none for anyone else."""
    for value in {*values.values()}:
        owners = {who for who, own in values.items() if own == value}
        said = f"{value!r}" if isinstance(value, float | int) else value
        assert asked(engine, f"{leaf} = {said}") == owners, (leaf, value)
        assert asked(engine, f"NOT {leaf} = {said}") == set(values) - owners
    assert asked(engine, f"{leaf} IS NULL") == EVERYONE - set(values)
    assert asked(engine, f"{leaf} IS NOT NULL") == set(values)


def test_a_rank_is_the_share_of_those_with_less(store: se.Engine) -> None:
    """Ties share the rank of the first of them; who has no value has no rank."""
    ranks = {6: 0.0, 5: 1 / 6, 1: 2 / 6, 2: 3 / 6, 3: 3 / 6, 7: 5 / 6, 4: 1.0}
    valued(store, "percent_rank(n) OVER ()", ranks)
    assert asked(store, "percent_rank(n) OVER () >= 0.5") == {2, 3, 4, 7}
    assert asked(store, "percent_rank(n) OVER () > 0.5") == {4, 7}
    assert asked(store, "percent_rank(n) OVER () BETWEEN 0.1 AND 0.4") == {1, 5}
    assert asked(store, "percent_rank(n) OVER () < 0") == set()
    assert asked(store, "percent_rank(n) OVER () <= 1") == EVERYONE - {8}
    assert asked(store, "NOT percent_rank(n) OVER () < 0.5") == {2, 3, 4, 7}
    assert asked(store, "percent_rank(n) OVER () IN (0, 1)") == {4, 6}


def test_nan_is_no_value(store: se.Engine) -> None:
    valued(store, "percent_rank(x) OVER ()", {6: 0.0, 1: 0.25, 2: 0.5, 4: 0.75, 7: 1.0})


def test_money_dates_and_moments_are_ranked_too(store: se.Engine) -> None:
    ranks = {6: 0.0, 1: 1 / 6, 2: 2 / 6, 3: 2 / 6, 5: 4 / 6, 7: 5 / 6, 4: 1.0}
    valued(store, "percent_rank(m) OVER ()", ranks)
    valued(store, "percent_rank(day) OVER ()", {6: 0.0, 3: 0.25, 1: 0.5, 2: 0.5, 7: 1.0})
    ranks = {who: (7 - who) / 6 for who in range(1, 8)}
    valued(store, "percent_rank(seen) OVER ()", ranks)
    valued(store, "percent_rank(days_since(seen)) OVER ()", {w: (w - 1) / 6 for w in ranks})


def test_a_condition_makes_the_base_and_who_is_outside_has_no_value(store: se.Engine) -> None:
    leaf = "percent_rank(n) FILTER (WHERE gold) OVER ()"
    valued(store, leaf, {5: 0.0, 1: 0.5, 3: 1.0})
    assert asked(store, f"{leaf} >= 0 OR n = 40") == {1, 3, 4, 5}
    assert asked(store, f"NOT {leaf} >= 0.5") == {5}
    valued(store, "avg(n) FILTER (WHERE NOT gold) OVER ()", {2: 25.0, 7: 25.0})
    valued(store, "max(n) FILTER (WHERE n < 0) OVER ()", {6: -5})
    valued(store, "percent_rank(n) FILTER (WHERE FALSE) OVER ()", {})
    valued(store, "avg(n) FILTER (WHERE n > 1000) OVER ()", {})


def test_in_a_base_of_one_the_rank_is_zero(store: se.Engine) -> None:
    valued(store, "percent_rank(n) FILTER (WHERE city = 'b') OVER ()", {5: 0.0})
    leaf = "percent_rank(n) FILTER (WHERE n = 40) OVER ()"
    assert asked(store, f"{leaf} <= 0") == {4}
    assert asked(store, f"{leaf} > 0") == set()
    assert asked(store, f"{leaf} >= -1") == {4}
    valued(store, "median(n) FILTER (WHERE n = 40) OVER ()", {4: 40.0})
    valued(store, "quantile(n, 0.3) FILTER (WHERE n = 40) OVER ()", {4: 40.0})


def test_those_without_a_group_are_a_group(store: se.Engine) -> None:
    over = "OVER (PARTITION BY city)"
    ranks = {1: 0.0, 2: 1 / 3, 3: 1 / 3, 4: 1.0, 5: 0.0, 6: 0.0, 7: 1.0}
    valued(store, f"percent_rank(n) {over}", ranks)
    firsts: dict[int, str | float] = dict.fromkeys((1, 2, 3, 4), 10)
    valued(store, f"min(n) {over}", {**firsts, 5: 7, 6: -5, 7: -5})
    valued(store, f"max(n) {over}", {1: 40, 2: 40, 3: 40, 4: 40, 5: 7, 6: 30, 7: 30})
    valued(store, f"avg(n) {over}", {1: 22.5, 2: 22.5, 3: 22.5, 4: 22.5, 5: 7.0, 6: 12.5, 7: 12.5})
    valued(store, f"median(n) {over}",
           {1: 20.0, 2: 20.0, 3: 20.0, 4: 20.0, 5: 7.0, 6: 12.5, 7: 12.5})  # fmt: skip
    assert asked(store, f"n = max(n) {over}") == {4, 5, 7}
    assert asked(store, f"n > avg(n) {over}") == {4, 7}
    assert asked(store, f"percent_rank(n) {over} >= 0.3") == {2, 3, 4, 7}


def test_several_keys_make_groups_of_their_own(store: se.Engine) -> None:
    leaf = "max(n) OVER (PARTITION BY city, gold)"
    valued(store, leaf, {1: 20, 2: 20, 3: 20, 4: 40, 5: 7, 6: -5, 7: 30})
    leaf = "percent_rank(n) FILTER (WHERE n <> 7) OVER (PARTITION BY gold)"
    valued(store, leaf, {1: 0.0, 3: 1.0, 2: 0.0, 7: 1.0, 4: 1.0, 6: 0.0})
    leaf = "min(n) OVER (PARTITION BY x)"
    valued(store, leaf, {1: 10, 2: 20, 3: 7, 4: 40, 5: 7, 6: -5, 7: 30})
    leaf = "max(n) OVER (PARTITION BY day)"
    valued(store, leaf, {1: 20, 2: 20, 3: 20, 4: 40, 5: 40, 6: -5, 7: 30})


def test_what_a_base_comes_to_is_said_to_all_in_it(store: se.Engine) -> None:
    seven = [who for who in WHO if who != 8]
    valued(store, "avg(n) OVER ()", dict.fromkeys(seven, 122 / 7))
    valued(store, "median(n) OVER ()", dict.fromkeys(seven, 20.0))
    valued(store, "min(n) OVER ()", dict.fromkeys(seven, -5))
    valued(store, "max(n) OVER ()", dict.fromkeys(seven, 40))
    valued(store, "avg(m) OVER ()", dict.fromkeys(seven, 24 / 7))
    valued(store, "median(m) OVER ()", dict.fromkeys(seven, 2.5))
    valued(store, "max(m) OVER ()", dict.fromkeys(seven, 10))
    valued(store, "avg(x) OVER ()", dict.fromkeys((1, 2, 4, 6, 7), 2.2))
    valued(store, "min(day) OVER ()", dict.fromkeys((1, 2, 3, 6, 7), "DATE '2020-02-29'"))
    valued(store, "max(seen) OVER ()", dict.fromkeys(seven, "now()"))


@pytest.mark.parametrize(
    ("share", "value"),
    [("0", -5), ("0.0", -5), ("1", 40), ("1.0", 40), ("0.5", 20), ("0.25", 8.5), ("0.75", 25),
     ("0.125", 4)],
)  # fmt: skip
def test_a_quantile_lies_between_two_values_where_it_falls_there(
    store: se.Engine, share: str, value: float
) -> None:
    valued(store, f"quantile(n, {share}) OVER ()", dict.fromkeys((1, 2, 3, 4, 5, 6, 7), value))


def test_places_join_other_conditions_and_each_other(store: se.Engine) -> None:
    top = "percent_rank(n) OVER () >= 0.5"
    assert asked(store, f"{top} AND city = 'a'") == {2, 3, 4}
    assert asked(store, f"{top} OR n IS NULL") == {2, 3, 4, 7, 8}
    assert asked(store, f"NOT ({top}) AND NOT gold") == set()
    assert asked(store, f"{top} AND percent_rank(x) OVER () <= 0.5") == {2}
    assert asked(store, "percent_rank(n) OVER () = percent_rank(m) OVER ()") == {4, 6, 7}
    assert asked(store, "n - min(n) OVER () > 20") == {2, 3, 4, 7}
    assert asked(store, "CASE WHEN n > avg(n) OVER () THEN 'up' ELSE 'down' END = 'down'") \
        == {1, 5, 6, 8}  # fmt: skip
    assert asked(store, "coalesce(percent_rank(n) OVER (), 0.0) = 0") == {6, 8}


def test_deleted_buyers_are_in_no_base_and_new_ones_are() -> None:
    engine = se.Engine(timezone="UTC", as_of=NOW)
    table = pa.table({"customer_id": [1, 2, 3], "n": [1, 2, 3]})
    engine.load("customers", table, columns={"n": "n"})
    middle = engine.segment("percent_rank(n) OVER () = 0.5")
    top = engine.segment("n = max(n) OVER ()")
    assert (middle.ids().to_pylist(), top.ids().to_pylist()) == ([2], [3])
    engine.delete_customer(3)
    assert (middle.ids().to_pylist(), top.ids().to_pylist()) == ([], [2])
    engine.load("customers", pa.table({"customer_id": [4], "n": [9]}), columns={"n": "n"})
    assert (middle.ids().to_pylist(), top.ids().to_pylist()) == ([2], [4])
    assert top.contains(4)
    assert not top.contains(2)


def test_history_may_be_ranked_and_follows_what_is_appended() -> None:
    engine = se.Engine(timezone="UTC", as_of=NOW)
    engine.load("reviews", pa.table({
        "customer_id": [1, 1, 1, 2, 2, 3], "time": [NOW - timedelta(days=1)] * 6,
        "rating": [5, 4, 3, 1, 1, 2],
    }))  # fmt: skip
    busiest = engine.segment("count(reviews) = max(count(reviews)) OVER ()")
    ranked = engine.segment("percent_rank(avg(reviews.rating)) OVER () >= 0.5")
    assert busiest.ids().to_pylist() == [1]
    assert ranked.ids().to_pylist() == [1, 3]
    engine.append("reviews", pa.table({"customer_id": [2, 2], "time": [NOW] * 2, "rating": [5, 5]}))
    assert busiest.ids().to_pylist() == [2]
    assert ranked.ids().to_pylist() == [1, 2]


VALUES = st.lists(st.none() | st.integers(-4, 4), min_size=1, max_size=30)


@settings(max_examples=20)
@given(VALUES, st.lists(st.sampled_from([None, "a", "b"]), min_size=30, max_size=30), st.booleans())
def test_every_threshold_of_a_rank_cuts_where_the_rank_does(
    values: list[int | None], cities: list[str | None], by_city: bool
) -> None:
    """Ranks that are compared with a constant are never made; those of `explain` are."""
    cities = cities[: len(values)]
    engine = se.Engine(as_of=NOW)
    engine.load("customers", pa.table({
        "customer_id": pa.array(range(len(values)), pa.int64()), "n": pa.array(values, pa.int64()),
        "city": pa.array(cities, pa.string()),
    }), columns={"n": "n"})  # fmt: skip
    ranks: dict[int, float] = {}
    groups: dict[Any, list[int]] = {}
    for who, value in enumerate(values):
        if value is not None:
            groups.setdefault(cities[who] if by_city else None, []).append(value)
    for who, value in enumerate(values):
        if value is not None:
            own = groups[cities[who] if by_city else None]
            smaller = sum(other < value for other in own)
            ranks[who] = smaller / (len(own) - 1) if len(own) > 1 else 0.0
    over = "OVER (PARTITION BY city)" if by_city else "OVER ()"
    for rank in sorted({*ranks.values(), 0.0, 0.5, 1.0})[:6]:
        for bound in (rank, math.nextafter(rank, 2), math.nextafter(rank, -1)):
            said = np.format_float_positional(bound, unique=True, trim="0")
            found = ids(engine, f"percent_rank(n) {over} >= {said}")
            assert found == {who for who, own in ranks.items() if own >= bound}
            found = ids(engine, f"percent_rank(n) {over} < {said}")
            assert found == {who for who, own in ranks.items() if own < bound}
    known = [value for value in values if value is not None]
    if known and not by_city:
        middle = statistics.median(known)
        assert ids(engine, f"median(n) OVER () = {float(middle)}") == set(ranks)
