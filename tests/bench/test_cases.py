"""Is every engine that is timed asked the same question?"""

from __future__ import annotations

import pytest

from segengine.bench.case import CLICKHOUSE, DATAFUSION, DUCKDB
from segengine.bench.engines import RIVALS, Segengine
from segengine.bench.history_cases import HISTORY
from segengine.bench.optional import NotInstalledError
from segengine.bench.order_lines import LINES_PER_BUYER, buyers_and_lines
from segengine.bench.population import COLUMNS, population
from segengine.bench.rule_cases import CONDITIONS, EIGHT, POPULATION, RULES

BUYERS = 2_000
ALL = (*RULES, *HISTORY)


@pytest.fixture(scope="module")
def tables():
    return {"rules": {"customers": population(BUYERS)}, "history": buyers_and_lines(BUYERS)}


@pytest.fixture(scope="module")
def loaded(tables):
    """Engines by key and suite, made when they are first asked for."""
    made = {}

    def engine(key: str, case):
        suite = "history" if case in HISTORY else "rules"
        if (key, suite) not in made:
            kind = Segengine if key == Segengine.key else RIVALS[key]
            try:
                made[key, suite] = kind(tables[suite])
            except NotInstalledError as error:
                pytest.skip(f"{key}: {error}")
        return made[key, suite]

    yield engine
    for each in made.values():
        each.close()


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_this_engine_gives_duckdbs_answer(case, loaded):
    for k in range(8):
        assert loaded(Segengine.key, case).count(case, k) == loaded("duckdb", case).count(
            case, k
        ), case.rule(k)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@pytest.mark.parametrize("key", [key for key in RIVALS if key != "duckdb"])
def test_every_rival_gives_duckdbs_answer(key, case, loaded):
    for k in (0, 3, 7):
        expected = loaded("duckdb", case).count(case, k)
        assert loaded(key, case).count(case, k) == expected, case.rule(k)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_no_case_is_empty_or_holds_for_everybody(case, loaded):
    counts = [loaded("duckdb", case).count(case, k) for k in range(1, 10)]
    assert 0 < sum(counts) < BUYERS * len(counts)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_every_repeat_is_a_new_question_to_every_engine(case):
    repeats = range(40)
    assert len({case.rule(k) for k in repeats}) == len(repeats)
    for dialect in (DUCKDB, DATAFUSION, CLICKHOUSE):
        assert len({case.sql(dialect, k) for k in repeats}) == len(repeats)


def test_there_are_shapes_of_every_kind():
    assert len(CONDITIONS) >= 22
    assert len(POPULATION) >= 3
    assert len(HISTORY) >= 5
    assert len({case.name for case in ALL}) == len(ALL)
    text = " ".join(case.rule(1) for case in ALL)
    for word in ("BETWEEN", "IN (", "NOT IN", "IS NULL", "IS NOT NULL", "LIKE", "NOT (", " OR ",
                 "list_contains", "list_has_any", "in_last_days", "percent_rank", "PARTITION BY",
                 "avg(", "sum(", "count(DISTINCT", "last(", "first(", "customers."):  # fmt: skip
        assert word in text, word


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_asked_for(column):
    assert any(column in case.rule(1) for case in RULES)


def test_the_rule_of_eight_predicates_has_eight():
    rule = next(c for c in RULES if c.name == EIGHT).rule(1)
    assert rule.count(" AND ") == 6
    assert rule.count(" OR ") == 1


def test_lines_arrive_in_the_order_of_their_times(tables):
    lines = tables["history"]["order_lines"]
    times = lines["time"].to_numpy()
    assert len(lines) == LINES_PER_BUYER * BUYERS
    assert (times[1:] > times[:-1]).all()
    pairs = set(zip(lines["order_id"].to_pylist(), lines["line_id"].to_pylist(), strict=True))
    assert len(pairs) == len(lines)
