"""Every kernel is compiled beforehand; every engine is timed side by side."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import segengine.bench.run as bench_run
import segengine.cli.warmup as warmup_command
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
    assert found.json["total"] < 100, "the number of specialisations is bounded"
    monkeypatch.setattr(warmup_command, "_walk", lambda: iter(["nothing"]))
    shown = ask("warmup")
    assert "specialisations of" in shown.out
    assert "purchase_loops.purchase_facts" in shown.out
    assert str(jit.cache_folder()) in shown.out


def test_bench_prints_a_case_a_line_and_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "bench.parquet"
    asked = ask("bench", "--customers", "2000", "--repeats", "1", "--out", file, "--json")
    assert asked.status == 0, asked.err
    assert asked.json["customers"] == 2000
    assert len(asked.json["cases"]) == pq.read_table(file).num_rows > 0
    assert "all engines agree" in asked.err
    shown = ask("bench", "--customers", "2000", "--repeats", "1")
    assert shown.status == 0
    assert "geometric mean" in shown.out
    assert asked.json["cases"][0]["case"] in shown.out


def test_engines_that_disagree_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def disagree(*_: object, **__: object) -> None:
        raise AssertionError("the engines disagree on TRUE")

    monkeypatch.setattr(bench_run, "run", disagree)
    asked = ask("bench")
    assert asked.status == 1
    assert asked.err == "nothing was timed: the engines disagree on TRUE\n"
