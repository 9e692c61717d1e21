"""The load driver reads h2load's logs as they are, and plans the load that it is asked for."""

from __future__ import annotations

import stat
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.load import outcomes
from benchmarks.load.h2load import (
    QUIET_SECONDS,
    Loaded,
    NoLoadError,
    framed,
    load,
    read_log,
    script,
)
from benchmarks.load.mix import percentiles
from benchmarks.load.processes import NotStartedError, Use, started, use_of
from benchmarks.load.served import NotCopiedError, copy_of


def loaded(*taken_us: float, failed: int = 0, seconds: float = 2.0) -> Loaded:
    moments = np.arange(len(taken_us), dtype=np.int64)
    return Loaded(moments, np.array(taken_us), failed, seconds, Use(0.5, 1))


def test_a_log_is_read_in_the_order_of_sending_and_its_failures_are_counted() -> None:
    sent, taken, failed = read_log(
        ["300\t200\t7\n", "100\t200\t1500\n", "200\t-1\t9\n", "250\t503\t3\n", "400\t20"]
    )
    assert sent.tolist() == [100, 300]
    assert taken.tolist() == [1500, 7]
    assert failed == 2


def test_an_empty_log_is_no_request() -> None:
    sent, taken, failed = read_log([])
    assert (len(sent), len(taken), failed) == (0, 0, 0)


def test_percentiles_are_milliseconds_of_what_was_answered() -> None:
    found = loaded(*range(1_000, 102_000, 1_000), failed=3)
    assert found.ms(50) == 51
    assert found.ms(99) == 100
    assert found.per_second == 50.5
    assert round(found.cpu_us) == round(500_000 / 101)
    nothing = loaded(failed=1)
    assert np.isnan(nothing.ms(50))
    assert np.isnan(nothing.cpu_us)


def test_a_script_asks_at_the_rate_for_the_time_that_it_is_given() -> None:
    for rate, seconds in ((50.0, 4.0), (1_000.0, 2.0), (0.1, 1.0)):
        lines = script("http://127.0.0.1:1/x", rate, seconds, 3).splitlines()
        moments = [float(line.split("\t")[0]) for line in lines]
        assert all(line.endswith("\thttp://127.0.0.1:1/x") for line in lines)
        assert moments == sorted(moments)
        quiet = 1000 * QUIET_SECONDS
        assert all(quiet <= moment < quiet + 1000 * seconds for moment in moments)
        # Five standard deviations of a Poisson count.
        assert abs(len(moments) - rate * seconds) <= 5 * (rate * seconds) ** 0.5 + 1


def test_connections_do_not_ask_at_the_same_moments() -> None:
    one, other = (set(script("x", 100, 1, seed).split()) - {"x"} for seed in (0, 1))
    assert one
    assert not one & other


def test_a_shop_that_is_kept_stays_as_it_is_when_its_copy_is_written_to(tmp_path: Path) -> None:
    kept = tmp_path / "shop"
    (kept / "snapshots").mkdir(parents=True)
    (kept / "snapshots" / "events").write_bytes(b"as made")
    with copy_of(kept) as copied:
        assert (copied / "snapshots" / "events").read_bytes() == b"as made"
        (copied / "snapshots" / "events").write_bytes(b"more")
        (copied / "log").write_bytes(b"new")
    assert (kept / "snapshots" / "events").read_bytes() == b"as made"
    assert [path.name for path in kept.iterdir()] == ["snapshots"]
    assert list(tmp_path.iterdir()) == [kept]


def test_a_shop_in_the_directory_where_one_is_is_copied_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "shop"
    kept.mkdir()
    monkeypatch.chdir(kept)
    with copy_of(Path()) as copied:
        assert copied.parent.parent == tmp_path
    assert not list(kept.iterdir())


def test_a_shop_that_cannot_be_copied_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "shop"
    kept.mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(NotCopiedError, match=r"as much room again: No space left"), copy_of(kept):
        pass
    assert list(tmp_path.iterdir()) == [kept]


def test_a_message_is_framed_as_grpc_has_it() -> None:
    assert framed(b"abc") == b"\0" + struct.pack(">I", 3) + b"abc"
    assert framed(b"") == b"\0\0\0\0\0"


def test_without_h2load_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoLoadError, match="nghttp2-client"):
        load("127.0.0.1:1", "/x", [b""], [], seconds=1)


FAKE = """#!{python}
import sys
arguments = sys.argv[1:]
log = next(a.partition("=")[2] for a in arguments if a.startswith("--log-file="))
body = next(a[2:] for a in arguments if a.startswith("-d"))
plan = [a.partition("=")[2] for a in arguments if a.startswith("--timing-script-file=")]
size = len(open(body, "rb").read())
if size == 5 + 13:
    sys.exit("such a message is not sent")
with open(log, "w") as file:
    for number, _ in enumerate(open(plan[0]) if plan else range(10)):
        file.write(f"{{number}}\\t200\\t{{1000 * size}}\\n")
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An h2load that answers after as many milliseconds as its body has bytes."""
    path = tmp_path / "h2load"
    path.write_text(FAKE.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("fake")
def test_every_connection_sends_its_own_message_and_all_logs_are_one() -> None:
    found = load("127.0.0.1:1", "/x", [b"", b"abcde"], [], seconds=0.05, connections=3)
    assert sorted(set(found.taken_us.tolist())) == [5_000, 10_000]
    assert found.requests == 30
    assert found.failed == 0
    paced = load("127.0.0.1:1", "/x", [b""], [], seconds=2, rate=40, connections=2)
    planned = sum(len(script("x", 20, 2, seed).splitlines()) for seed in range(2))
    assert paced.requests == planned
    assert paced.seconds == 2


@pytest.mark.usefixtures("fake")
def test_an_h2load_that_fails_is_no_measurement() -> None:
    with pytest.raises(NoLoadError, match="such a message is not sent"):
        load("127.0.0.1:1", "/x", [b"", b"thirteen byte"], [], seconds=0.05, connections=2)


def test_a_process_that_does_not_get_ready_is_said_and_ended(tmp_path: Path) -> None:
    with pytest.raises(NotStartedError, match="was not ready"), started("json.tool", "nowhere"):
        raise AssertionError("it is not ready")


def test_a_process_says_what_it_has_to_and_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "says_it.py").write_text(
        "import json, time\nprint(json.dumps({'port': 7}), flush=True)\ntime.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with started("says_it") as running:
        assert running.said == {"port": 7}
        used = use_of([running.pid])
        assert used.resident_bytes > 0
        assert used.since(used).cpu_seconds == 0
    assert running.process.returncode is not None


def test_calls_are_read_of_metrics_by_how_they_ended() -> None:
    text = (
        "# HELP segengine_calls_total Calls.\n"
        'segengine_calls_total{code="OK",method="PageService/GetPage"} 12.0\n'
        'segengine_calls_total{code="RESOURCE_EXHAUSTED",method="PageService/GetPage"} 3.0\n'
        'segengine_calls_total{code="OK",method="PageService/BatchGetPages"} 5.0\n'
        'segengine_call_seconds_count{code="OK",method="PageService/GetPage"} 12.0\n'
    )
    assert outcomes.counted(text) == {"OK": 12, "RESOURCE_EXHAUSTED": 3}


def test_percentiles_of_no_call_are_none() -> None:
    assert percentiles([]) == {}
    assert percentiles([0.001, 0.003])["worst_ms"] == 3


def test_every_measure_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.load.__main__ import _parser

    for what in ("pages", "overload", "stream", "workers"):
        asked: Any = _parser().parse_args([what, "--customers", "9", "--json", "x.json"])
        assert asked.customers == 9
        assert callable(asked.measure)
    with pytest.raises(SystemExit):
        _parser().parse_args(["nothing"])
    capsys.readouterr()


def test_what_ended_between_two_looks_is_the_difference() -> None:
    before, after = {"OK": 3}, {"OK": 5, "BUSY": 2, "GONE": 0}
    assert outcomes.since(before, after) == {"OK": 2, "BUSY": 2}
    assert outcomes.calls_by_end(0) == {}
    refused = Loaded(
        np.arange(9), np.ones(9), 0, 2.0, Use(0.5, 1), {"OK": 4, "RESOURCE_EXHAUSTED": 5}
    )
    assert (refused.per_second, refused.answered_per_second) == (4.5, 2.0)
    assert loaded(1.0, 2.0).answered_per_second == 1.0
