"""0, 1 or 2; a message that helps; never a traceback; nothing on standard output but the answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import segengine.cli.count as count_command
from segengine.cli import outcome
from segengine.cli.outcome import (
    BAD_INPUT,
    FAILURE,
    INTERRUPTED,
    Commands,
    InputError,
    noted_interrupts,
)
from tests.cli.conftest import ask

SEGENGINE = [sys.executable, "-m", "segengine.cli"]


def run(
    *arguments: str | Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [*SEGENGINE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["count", "recencey_days <= 30"], "did you mean `recency_days`?"),
        (["count", "recency_days <="], "line 1"),
        (["audience", "sprung"], "did you mean `spring`?"),
        (["page", "hume"], "did you mean `home`?"),
        (["explain", "12345", "TRUE"], "unknown customer `12345`"),
        (["explain", "3"], "give either a rule or `--campaign NAME`"),
        (["explain", "3", "TRUE", "--campaign", "spring"], "one of the two"),
        (["segment", "TRUE", "--columns", "regoin"], "did you mean `region`?"),
        (["segment", "TRUE", "--out", "ids.xlsx"], "must end in .parquet or .csv"),
        (["segment", "TRUE", "--out", "no/such/folder/ids.csv"], "there is no folder"),
        (["page", "home", "--context", "mobile"], "write `--context device=mobile`"),
        (["page", "home", "--context", "a=1", "--context", "a=2"], "`a` twice"),
        (["load", "orders", "nowhere.csv"], "there is no file"),
        (["load", "ordres", "nowhere.csv"], "did you mean `orders`?"),
        (["load", "--where", "TRUE"], "under `[load.TABLE]`"),
        (["load", "orders", "x.csv", "--column", "amount"], "write `--column"),
    ],
)
def test_bad_input_ends_with_2_and_says_what_to_do(
    shop: Path, arguments: list[str], said: str
) -> None:
    asked = ask(*arguments, "--store", shop)
    assert asked.status == 2
    assert said in asked.err
    assert "Traceback" not in asked.err
    assert asked.out == ""


def test_no_store_ends_with_2_and_names_the_command_that_makes_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        asked = ask("count", "TRUE", "--store", folder)
        assert asked.status == 2
        assert "segengine init" in asked.err
        assert asked.out == ""


def test_bad_settings_end_with_2_and_name_every_mistake(tmp_path: Path) -> None:
    settings = '[store]\ntimezone = "Mars"\n[lifecycle]\nnew_dais = 3\n'
    (tmp_path / "store.toml").write_text(settings, encoding="utf-8")
    asked = ask("count", "TRUE", "--store", tmp_path)
    assert asked.status == 2
    assert "store.timezone" in asked.err
    assert "lifecycle.new_dais" in asked.err


def test_a_damaged_store_is_a_failure_and_the_file_is_named(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "store.toml").write_text("[store]\n", encoding="utf-8")
    assert ask("load", "customers", shop / "customers.parquet", "--store", tmp_path).status == 0
    damaged = next(tmp_path.glob("snapshots/*/customers.arrow"))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    asked = ask("count", "TRUE", "--store", tmp_path)
    assert asked.status == 1
    assert "customers.arrow" in asked.err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["count"], ["segment", "TRUE", "--limit", "x"]]
)
def test_a_call_that_cannot_be_read_ends_with_2(arguments: list[str]) -> None:
    asked = ask(*arguments)
    assert asked.status == 2
    assert asked.out == ""
    assert "Traceback" not in asked.err


def test_what_nobody_foresaw_is_one_line_and_1(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("a\nb")

    monkeypatch.setattr(count_command, "share", fails)
    asked = ask("count", "TRUE", "--store", shop)
    assert asked.status == 1
    assert asked.err.startswith("internal error: KeyError: ")
    assert asked.err.count("\n") == 1
    assert asked.out == ""


def test_with_debug_the_traceback_is_shown(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(count_command, "share", fails)
    monkeypatch.setenv("SEGENGINE_DEBUG", "1")
    with pytest.raises(AssertionError):
        assert ask("count", "TRUE", "--store", shop).err.startswith("internal error")


def test_mistakes_reach_the_shell_without_a_traceback(shop: Path) -> None:
    for arguments in (
        ["count", "recencey_days <= 30", "--store", str(shop)],
        ["audience", "sprung", "--store", str(shop), "--json"],
        ["load", "orders", "nowhere.csv", "--store", str(shop)],
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()


def test_json_is_all_there_is_on_standard_output(shop: Path) -> None:
    done = run("audience", "spring", "--store", shop, "--json")
    assert done.returncode == 0
    assert done.stdout.startswith('{"campaign"')
    assert done.stdout.endswith("}\n")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_names_survive_a_terminal_without_unicode(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text("[store]\n", encoding="utf-8")
    (tmp_path / "c.csv").write_text("customer_id,city\n1,上海\n", encoding="utf-8")
    assert ask("load", "customers", tmp_path / "c.csv", "--store", tmp_path).status == 0
    arguments = ("segment", "TRUE", "--columns", "city", "--store", tmp_path)
    assert ask(*arguments, "--json").json["rows"][0]["city"] == "上海"
    assert "上海" in ask(*arguments).out
    plain = {"PYTHONIOENCODING": "ascii"}
    assert "??" in run(*arguments, environment=plain).stdout
    assert json.loads(run(*arguments, "--json", environment=plain).stdout)["rows"] == [
        {"customer_id": 1, "city": "上海"}
    ]


def test_a_reader_who_has_gone_ends_it_quietly(shop: Path) -> None:
    process = subprocess.Popen(
        [*SEGENGINE, "segment", "TRUE", "--limit", "100", "--store", str(shop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 1
    process.stderr.close()


def test_ctrl_c_ends_it_quietly() -> None:
    process = subprocess.Popen(
        [*SEGENGINE, "demo", "--customers", "50000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "making up" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    # Python ends by the signal itself when it came inside exec(); shells show both as 130.
    assert process.returncode in (128 + signal.SIGINT, -signal.SIGINT)
    assert "Traceback" not in said


class Freed:
    """Interrupted while it is freed."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def freed_and_then(more: Callable[[], object]) -> None:
    Freed()
    more()


def test_ctrl_c_while_an_object_is_freed_is_not_passed_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hook = sys.unraisablehook
    with noted_interrupts() as pressed:
        with pytest.raises(KeyboardInterrupt):
            freed_and_then(lambda: time.sleep(20))
        assert pressed.is_set()
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


def test_an_interrupt_that_was_passed_over_does_not_come_after_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    monkeypatch.setattr(outcome, "_FREED_SECONDS", 0.2)
    try:
        with noted_interrupts() as pressed:
            Freed()
        time.sleep(0.4)
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed.is_set()
    assert heard == []


def test_who_presses_again_is_interrupted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "_FREED_SECONDS", 0.2)
    with noted_interrupts():
        with pytest.raises(KeyboardInterrupt):
            freed_and_then(lambda: signal.raise_signal(signal.SIGINT))
        time.sleep(0.4)


def test_what_else_is_raised_while_an_object_is_freed_is_told_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda passed: told.append(str(passed.exc_value)))

    class Fails:
        def __del__(self) -> None:
            raise LookupError("it was not there")

    with noted_interrupts():
        Fails()
    assert told == ["it was not there"]


@pytest.mark.parametrize("error", [RuntimeError("Query interrupted"), InputError("it was cut off")])
def test_what_a_library_makes_of_ctrl_c_is_no_error(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer(cls=Commands)

    @app.command()
    def count() -> None:
        raise error

    @app.command()
    def other() -> None:
        pass

    pressed = threading.Event()
    for status in (FAILURE if isinstance(error, RuntimeError) else BAD_INPUT, INTERRUPTED):
        with pytest.raises(SystemExit) as ended:
            app(["count"], obj=pressed)
        assert ended.value.code == status
        assert bool(capsys.readouterr().err) == (not pressed.is_set())
        pressed.set()
