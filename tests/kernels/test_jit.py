"""How kernels are compiled and kept, and that nothing is compiled for a rule."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import segengine as se
from segengine.kernels import jit
from tests.kernels import plain
from tests.reference.rules import rule_text
from tests.rules.agreement import case
from tests.rules.stores import ids

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "segengine"


def test_kernels_say_the_same_as_plain_python() -> None:
    """Every kernel and every intrinsic's twin, run by the interpreter in another process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.kernels.plain"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said, compiled = json.loads(done.stdout), json.loads(json.dumps(plain.answers()))
    assert {rule: said[rule] for rule in said if said[rule] != compiled.get(rule)} == {}
    assert said.keys() == compiled.keys()
    shop = [compiled[f"shop: {rule}"][0] for rule in plain.LEAVES]
    assert sum(0 < len(ids) < 70 for ids in shop) > len(shop) - 6


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the sources that hold kernels."""
    shutil.copytree(
        PACKAGE / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("*.pyc")
    )
    for source in PACKAGE.glob("*/*_loops.py"):
        (tmp_path / source.parent.name).mkdir(exist_ok=True)
        shutil.copy(source, tmp_path / source.parent.name)
    return tmp_path


def folders(package: Path) -> dict[str, str]:
    """The fingerprint of each source of kernels."""
    sources = [*package.glob("kernels/*.py"), *package.glob("*/*_loops.py")]
    return {
        source.relative_to(package).as_posix(): jit.fingerprint(package, source)
        for source in sources
    }


def test_kernels_are_kept_by_their_source_and_what_it_imports(package: Path) -> None:
    assert folders(package) == folders(PACKAGE)


@pytest.mark.parametrize(
    ("changed", "moved", "stays"),
    [
        ("kernels/bits.py", "kernels/bits.py", "kernels/calendar.py"),
        ("kernels/calendar.py", "traits/clock_loops.py", "kernels/scan.py"),
        # Through clock_loops: a helper's helper.
        ("kernels/calendar.py", "traits/intent_loops.py", "audiences/limit_loops.py"),
        ("kernels/scan.py", "kernels/table_scan.py", "kernels/history.py"),
        ("kernels/jit.py", "kernels/history.py", "kernels/__init__.py"),
    ],
)
def test_a_changed_kernel_moves_those_that_use_it_to_another_folder(
    package: Path, changed: str, moved: str, stays: str
) -> None:
    before = folders(package)
    path = package / changed
    path.write_text(path.read_text() + "\n# changed\n")
    after = folders(package)
    assert after[changed] != before[changed]
    assert after[moved] != before[moved]
    assert after[stays] == before[stays]


def test_all_kernels_of_a_process_are_under_one_folder_of_its_machine() -> None:
    assert jit.cache_folder().name.startswith("kernels-")


def test_the_cache_stands_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGENGINE_KERNEL_CACHE", str(tmp_path))
    assert jit.cache_folder().parent == tmp_path
    monkeypatch.delenv("SEGENGINE_KERNEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert jit.cache_folder().parent == tmp_path / "x" / "segengine"


def ask(rules: int, seeds: range) -> None:
    """Rules for all and for one, with both kinds of ids."""
    for seed in seeds:
        found = case(seed, 300)
        for rule in found.rules(rules):
            text = rule_text(rule)
            ids(found.engine, text)
            found.engine.segment(text).explain(found.customers["customer_id"][0].as_py())
        ids(found.engine, "bucket('a') < 0.5")


@pytest.mark.skipif(jit.JIT_OFF, reason="nothing is compiled with the JIT off")
def test_no_rule_compiles_anything_once_kernels_are_warm() -> None:
    # Scans, comparisons and sums of every kind of column; 2 to 5 have both kinds of ids.
    ask(15, range(2, 6))
    before = jit.specialisations()
    ask(40, range(30, 35))
    assert jit.specialisations() == before


@pytest.mark.skipif(jit.JIT_OFF, reason="nothing is compiled with the JIT off")
def test_each_kernel_has_few_compiled_versions() -> None:
    assert max(jit.specialisations().values()) <= 16


def test_ranges_cover_everything_once_and_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_SMALL", 100)
    seen: list[tuple[int, int]] = []
    for count in (0, 1, 99, 100, 101, 6400, 6401):
        seen.clear()
        jit.over_ranges(lambda begin, end: seen.append((begin, end)), count)
        covered = [row for begin, end in sorted(seen) for row in range(begin, end)]
        assert covered == list(range(count))
        assert all(begin % 64 == 0 for begin, _ in seen)


def test_a_failure_in_a_range_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_SMALL", 100)

    def work(begin: int, end: int) -> None:
        if end == 1000:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        jit.over_ranges(work, 1000)


def test_scans_that_scan_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets of a new salt are computed within a scan: workers must not wait for workers."""
    monkeypatch.setattr(jit, "_SMALL", 100)
    engine = se.Engine()
    engine.load("customers", pa.table({"customer_id": np.arange(5000)}))
    counts: list[int] = []

    def ask_much(number: int) -> None:
        counts.extend(engine.segment(f"bucket('{number} {i}') < 1.0").count() for i in range(10))

    threads = [threading.Thread(target=ask_much, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert counts == [5000] * 40
