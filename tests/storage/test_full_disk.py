"""Where the disk is full a change is refused and nothing of it is there; with room it is taken.

A limit on the size of files stands for the disk: a process that has it is told at a write that
there is no more room, wherever that is, and lifting it makes room again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = '''
import resource, signal, sys
from contextlib import contextmanager
from pathlib import Path
import pyarrow as pa
import segengine as se
from segengine_server import Client, ServerError
from tests.server.serving import serving

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])

@contextmanager
def full():
    """No file may grow beyond what it is now."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

def refused(change):
    version, count = engine.data_version, engine.segment("true").count()
    with full():
        try:
            change()
        except se.StoreError as error:
            print("refused:", error)
        else:
            raise AssertionError("it was taken in")
        # Questions go on.
        assert engine.segment("true").count() == count
        assert engine.segment("city = 'x'").count() == cities
    assert engine.data_version == version

def batch(number):
    return pa.table({"customer_id": [number, number + 1], "city": ["x", "y" * 5_000]})

engine = se.Engine.open(folder)
engine.append("customers", batch(0))
engine.define_campaign(se.Campaign("spring", "true"))
cities = 1
long = "x" * 5_000
'''
LOAD = """
products = pa.table({"product_id": ["p", "q"]})
with full():
    try:
        engine.load("products", products)
    except se.StoreError as error:
        print("load:", error)
    assert engine.segment("true").count() == 2
"""
CHANGES = {
    "append": 'lambda: engine.append("customers", batch(10), key="k")',
    "delete": "lambda: engine.delete_customer(0)",
    "define": "lambda: engine.define_segment('some', f'city = {long!r}')",
    "run": 'lambda: engine.run_campaign("spring")',
    "compact": "lambda: engine.compact()",
}


def ran(folder: Path, program: str) -> str:
    root = Path(__file__).parents[2]
    (folder / "store.toml").write_text("[store]\nas_of = 2026-01-31T12:00:00Z\n")
    path = os.pathsep.join([str(root), str(root / "server"), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, str(folder)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path}, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_no_change_is_taken_by_halves_and_all_are_taken_when_there_is_room(tmp_path: Path) -> None:
    again = "\n".join(
        f"change = {change}\nrefused(change)\nprint({name!r}, 'again')\nchange()\n"
        f"cities = engine.segment(\"city = 'x'\").count()"
        for name, change in CHANGES.items()
    )
    said = ran(
        tmp_path,
        again
        + """
assert engine.segment("true").ids().to_pylist() == [1, 10, 11]
assert engine.append("customers", batch(10), key="k").rows_loaded == 2
assert engine.segment("true").count() == 3
engine.close()
with se.Engine.open(folder) as opened:
    assert opened.segment("true").ids().to_pylist() == [1, 10, 11]
    assert list(opened.segments.definitions) == ["some"]
    assert len(opened.runs) == 1
""",
    )
    assert said.count("refused:") == len(CHANGES)
    assert said.count("again") == len(CHANGES)
    assert all("`" in line for line in said.splitlines() if line.startswith("refused:"))


def test_a_load_that_cannot_be_kept_says_so_and_the_store_is_what_it_was(tmp_path: Path) -> None:
    said = ran(
        tmp_path,
        LOAD
        + """
engine.close()
with se.Engine.open(folder) as opened:
    assert opened.segment("true").count() == 2
    assert len(opened.table("products")) == 0
    opened.load("products", products)
with se.Engine.open(folder) as opened:
    assert len(opened.table("products")) == 2
""",
    )
    assert said.startswith("load: ")
    assert "cannot write a snapshot to `" in said
    assert "is in no file, and in this process alone" in said


def test_nothing_is_acknowledged_after_a_load_that_is_in_no_file_until_a_snapshot_keeps_it(
    tmp_path: Path,
) -> None:
    said = ran(
        tmp_path,
        LOAD
        + """
for change in (lambda: engine.append("customers", batch(10), key="k"),
               lambda: engine.delete_customer(0)):
    try:
        change()
    except se.StoreError as error:
        print("refused:", error)
assert engine.segment("true").count() == 2
with full():
    try:
        engine.snapshot()
    except se.StoreError as error:
        print("snapshot:", error)
engine.snapshot()
assert engine.append("customers", batch(10), key="k").rows_loaded == 2
engine.close()
with se.Engine.open(folder) as opened:
    assert opened.segment("true").count() == 4
    assert len(opened.table("products")) == 2
""",
    )
    lines = said.splitlines()
    kinds = [line.split(":")[0] for line in lines]
    assert kinds == ["load", "refused", "refused", "snapshot"]
    assert "`Engine.snapshot`, which keeps it" in lines[0]
    assert all("what was loaded before is in no file yet" in line for line in lines[1:3])
    assert "`Engine.snapshot`, which keeps it" in lines[3]


def test_over_the_wire_questions_go_on_and_a_change_may_be_sent_again(tmp_path: Path) -> None:
    said = ran(
        tmp_path,
        """
engine.claim()
with serving(engine) as served, Client(served.target) as client:
    with full():
        for change in (lambda: client.append("customers", batch(10), key="k"),
                       lambda: client.delete_customer(0)):
            try:
                change()
            except ServerError as error:
                print(error.code, error.reason, error)
        assert client.count(rule="true").count == 2
    assert client.append("customers", batch(10), key="k").rows_loaded == 2
    assert client.count(rule="true").count == 4
""",
    )
    first, second = said.splitlines()
    assert first.startswith("UNAVAILABLE NOT_WRITTEN nothing was")
    assert second.startswith("UNAVAILABLE NOT_WRITTEN nothing was")
