"""Every kernel is compiled beforehand; every engine is timed side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import segengine.bench.run as bench_run
import segengine.cli.warmup as warmup_command
from segengine.bench import readme
from segengine.bench.timing import DifferentAnswersError
from segengine.kernels import jit
from tests.cli.conftest import ask


def test_warmup_names_the_specialisations_and_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask("warmup", "--json")
    assert found.status == 0, found.err
    assert found.json["cache"] == str(jit.cache_folder())
    assert found.json["total"] == sum(found.json["specialisations"].values())
    assert "warming: events that arrive, ids are texts" in found.err
    if jit.JIT_OFF:
        return
    assert found.json["specialisations"]["purchase_loops.purchase_facts"] >= 1
    # In a process of its own: this one has compiled for every test before.
    alone = subprocess.run(
        [sys.executable, "-m", "segengine.cli", "warmup", "--json"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert json.loads(alone.stdout)["total"] < 200, "the number of specialisations is bounded"
    monkeypatch.setattr(warmup_command, "_walk", lambda: iter(["nothing"]))
    shown = ask("warmup")
    assert "specialisations of" in shown.out
    assert "purchase_loops.purchase_facts" in shown.out
    assert str(jit.cache_folder()) in shown.out


FEW = ("bench", "--customers", "1000", "--repeats", "1", "--engine", "duckdb", "--engine", "python")


def test_bench_prints_a_case_a_line_and_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "bench.parquet"
    asked = ask(*FEW, "--suite", "rules", "--out", file, "--json")
    assert asked.status == 0, asked.err
    (suite,) = asked.json["suites"]
    assert suite["sizes"] == {"customers": 1000}
    assert pq.read_table(file).num_rows == 2 * len(suite["cases"])
    assert "all engines agree" in asked.err
    assert "timing rules 1/" in asked.err
    shown = ask(*FEW, "--suite", "rules")
    assert shown.status == 0
    assert "geometric mean" in shown.out
    assert suite["cases"][0]["case"] in shown.out


def test_bench_writes_a_result_that_a_readme_is_made_of(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    asked = ask(*FEW, "--suite", "match", "--rules", "50", "--out", file, "--json")
    assert asked.status == 0, asked.err
    saved = json.loads(file.read_text(encoding="utf-8"))
    assert saved == asked.json
    assert "| 50 rules, one buyer |" in readme.performance(saved)
    shown = ask(*FEW, "--suite", "match", "--rules", "50")
    assert "plain Python" in shown.out


def test_bench_shows_the_families_of_traits() -> None:
    shown = ask(*FEW, "--suite", "traits")
    assert shown.status == 0, shown.err
    for said in ("all purchase traits", "life cycle", "scan codes", "building all traits: 1/1"):
        assert said in shown.out + shown.err


def test_bench_shows_the_pages_of_a_shop_call_by_call() -> None:
    shown = ask(
        "bench", "--suite", "pages", "--customers", "200", "--modules", "24", "--pages", "2"
    )
    assert shown.status == 0, shown.err
    for said in ("24 modules, 2 pages", "p99 us", "a page with caps and decays"):
        assert said in shown.out
    assert "plain_1: 20 modules" in shown.err


def test_bench_knows_its_suites_and_engines(tmp_path: Path) -> None:
    for option, known in (("--suite", "history"), ("--engine", "polars")):
        asked = ask("bench", option, "nothing")
        assert asked.status == 2
        assert f"`{option} nothing`: known are" in asked.err
        assert known in asked.err
    asked = ask("bench", "--out", tmp_path / "none" / "bench.json")
    assert asked.status == 2
    assert "there is no folder" in asked.err


def test_engines_that_disagree_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def disagree(*_: object, **__: object) -> None:
        raise DifferentAnswersError("a case: the engines disagree on TRUE: one 1, two 2")

    monkeypatch.setattr(bench_run, "run", disagree)
    asked = ask("bench")
    assert asked.status == 1
    assert asked.err == "the answers differ: a case: the engines disagree on TRUE: one 1, two 2\n"
