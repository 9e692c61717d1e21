"""Is every engine that is timed asked the same question?"""

import pytest

from segengine.bench.cases import CASES, EIGHT
from segengine.bench.engines import DuckDB, Polars, Segengine
from segengine.bench.population import population
from segengine.bench.run import run

BUYERS = 3_000


@pytest.fixture(scope="module")
def engines():
    table = population(BUYERS)
    return [kind(table) for kind in (Segengine, DuckDB, Polars)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_engines_give_one_answer(case, engines):
    for k in range(12):
        answers = {engine.name: engine.count(case, k) for engine in engines}
        assert len(set(answers.values())) == 1, (case.rule(k), answers)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_case_is_empty_or_holds_for_everybody(case, engines):
    counts = [engines[0].count(case, k) for k in range(1, 10)]
    assert 0 < sum(counts) < BUYERS * len(counts)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_repeat_is_a_new_rule(case):
    assert len({case.rule(k) for k in range(1, 10)}) == 9


def test_the_rule_of_eight_predicates_has_eight():
    assert next(c for c in CASES if c.name == EIGHT).rule(1).count(" AND ") == 6
    assert next(c for c in CASES if c.name == EIGHT).rule(1).count(" OR ") == 1


def test_a_wrong_answer_is_never_timed(monkeypatch):
    monkeypatch.setattr(DuckDB, "count", lambda self, case, k: -1)
    with pytest.raises(AssertionError, match="disagree"):
        run(500, repeats=1)


def test_a_run_says_what_was_measured_and_on_what():
    result = run(2_000, repeats=1)
    assert [row["case"] for row in result["cases"]] == [case.name for case in CASES]
    assert all(len(row["ms"]) == 3 for row in result["cases"])
    assert result["machine"]["cores"] >= 1
    assert result["read_bandwidth_gb_per_s"] > 0
