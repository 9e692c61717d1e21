"""Is nothing timed that is not right, and is everything said that a time depends on?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segengine.bench import optional, suites
from segengine.bench.engines import DuckDB
from segengine.bench.history_cases import HISTORY
from segengine.bench.readme import BEGIN, END, performance, with_performance
from segengine.bench.rule_cases import RULES
from segengine.bench.run import run
from segengine.bench.suites import ALL_RIVALS, SUITES
from segengine.bench.timing import Asked, DifferentAnswersError, check, timed
from tests.golden import assert_golden

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def result():
    return run(1_000, repeats=1, rules=60, engines=("duckdb", "python"))


def test_every_suite_has_its_cases_and_engines(result):
    shapes = {suite["suite"]: [case["case"] for case in suite["cases"]]
              for suite in result["suites"]}  # fmt: skip
    assert tuple(shapes) == SUITES
    assert shapes["rules"] == shapes["catalogue"] == [case.name for case in RULES]
    assert shapes["history"] == [case.name for case in HISTORY]
    rivals = {suite["suite"]: list(suite["engines"]) for suite in result["suites"]}
    assert rivals["rules"] == ["segengine", "duckdb"]
    assert rivals["match"] == ["segengine", "python"]


def test_a_case_has_a_time_or_a_reason_for_every_engine(result):
    for suite in result["suites"]:
        for case in suite["cases"]:
            for key in suite["engines"]:
                assert (case["ms"][key] is None) == (key in case["cannot"]), case["case"]


def test_a_result_says_on_what_it_was_measured(result):
    assert result["machine"]["cores"] >= 1
    assert result["read_bandwidth_gb_per_s"] > 0
    assert result["peak_memory_mb"] > 0
    assert result["versions"]["duckdb"] in result["suites"][0]["engines"]["duckdb"]
    memory = result["suites"][0]["memory"]
    assert 0 < memory["scan_code_bytes_per_row"] < memory["bytes_per_row"]


def test_a_result_survives_being_saved(result):
    assert performance(json.loads(json.dumps(result))) == performance(result)


def test_segments_are_compared_with_the_rivals_times_for_new_rules(result):
    rules, catalogue = result["suites"][:2]
    for new, defined in zip(rules["cases"], catalogue["cases"], strict=True):
        assert new["ms"]["duckdb"] == defined["ms"]["duckdb"]
        assert new["count"] == defined["count"]


def test_one_suite_is_run_alone():
    alone = run(500, repeats=1, suites=("catalogue",), engines=("duckdb",))
    assert [suite["suite"] for suite in alone["suites"]] == ["catalogue"]
    assert alone["suites"][0]["cases"][0]["speedup"] > 0


def test_a_wrong_answer_is_an_error_that_names_engine_and_case(monkeypatch):
    monkeypatch.setattr(DuckDB, "count", lambda self, case, k: -1)
    with pytest.raises(DifferentAnswersError, match=r"eight predicates.*duckdb -1"):
        run(500, repeats=1, suites=("rules",), engines=("duckdb",))


def test_an_answer_that_is_wrong_only_while_timed_is_found():
    asked = Asked("a case", lambda k: f"rule {k}", {"one": lambda k: k, "two": lambda k: min(k, 6)})
    check(asked)
    with pytest.raises(DifferentAnswersError, match="rule 7"):
        timed(asked, 9)


def test_an_engine_that_cannot_is_left_out_of_a_case_with_its_reason():
    def cannot(k: int) -> int:
        raise ValueError("no such function\nand more")

    asked = Asked("a case", lambda k: f"rule {k}", {"one": lambda k: k, "two": cannot})
    check(asked)
    assert asked.cannot == {"two": "no such function"}
    assert list(timed(asked, 2).by_engine) == ["one"]


def test_a_slow_case_is_repeated_three_times():
    asked = Asked("a case", lambda k: f"rule {k}", {"one": lambda k: k})
    assert len(timed(asked, 50, budget_seconds=0).by_engine["one"]) == 3


def test_a_package_that_is_absent_is_said_and_the_others_go_on(monkeypatch):
    def absent(name: str) -> None:
        raise optional.NotInstalledError(optional.HOW)

    for place in ("of_polars", "of_datafusion", "of_chdb"):
        monkeypatch.setattr(f"segengine.bench.engines.{place}.module", absent)
    said: list[str] = []
    found = run(500, repeats=1, suites=("rules",), engines=ALL_RIVALS, say=said.append)
    assert list(found["suites"][0]["engines"]) == ["segengine", "duckdb"]
    assert found["absent"]["chdb"] == "not installed: pip install segengine[bench]"
    assert "left out: chdb is not installed: pip install segengine[bench]" in said


def test_history_has_a_size_of_its_own():
    assert suites.MOST_WITH_HISTORY == 5_000_000


def test_a_saved_result_becomes_the_readmes_tables():
    saved = json.loads((HERE / "golden" / "result.json").read_text(encoding="utf-8"))
    assert_golden(HERE / "golden" / "readme.md", performance(saved) + "\n")
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = with_performance(readme, saved)
    assert once == f"before\n{BEGIN}\n{performance(saved)}\n{END}\nafter\n"
    assert with_performance(once, saved) == once
