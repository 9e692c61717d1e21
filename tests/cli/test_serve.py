"""The server as a process: ready, asked, told to stop."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from segengine_server import Client

from tests.cli.conftest import ask
from tests.cli.test_outcome import SEGENGINE


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process that asks for no token, and the first line it printed."""
    process = subprocess.Popen(
        [*SEGENGINE, "serve", "--insecure", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def test_serve_says_where_it_is_answers_and_drains(shop: Path) -> None:
    with served("--store", str(shop), "--port", "0") as (process, line):
        assert line.startswith("ready on 127.0.0.1:")
        target = line.removeprefix("ready on ").strip()
        with Client(target) as client:
            assert client.count(rule="order_count >= 1").count == 75
            assert client.page("home", 3, {"device": "mobile"}).placements[0].module == "regulars"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out == ""
        assert "holds no buyers" not in err
        # Nor what other programs' code has to say of the end.
        assert err.splitlines()[-1].endswith("drained, and gone")
        assert "Traceback" not in err


def test_serve_as_json_says_where_it_is_in_one_object(shop: Path) -> None:
    with served("--store", str(shop), "--port", "0", "--json") as (process, line):
        found = json.loads(line)
        assert found["ready"] is True
        assert found["host"] == "127.0.0.1"
        assert found["port"] > 0
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_a_port_that_is_taken_ends_with_2(shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        asked = ask("serve", "--store", shop, "--port", port)
    assert asked.status == 2
    assert f"port `{port}`" in asked.err
    assert "taken" in asked.err


@pytest.mark.parametrize("arguments", [["--port", "99999"], ["--host", "nowhere.invalid"]])
def test_an_address_that_cannot_be_ends_with_2(shop: Path, arguments: list[str]) -> None:
    asked = ask("serve", "--store", shop, *arguments)
    assert asked.status == 2
    assert asked.out == ""


def test_a_store_without_buyers_is_served_and_that_is_logged_with_what_to_do(
    tmp_path: Path,
) -> None:
    (tmp_path / "store.toml").touch()
    metrics = ("--metrics-port", "0")
    with served("--store", str(tmp_path), "--port", "0", *metrics) as (process, line):
        assert line.startswith("ready on 127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert f"WARNING the store at `{tmp_path}` holds no buyers" in err
    assert f"`segengine load --store {tmp_path}`" in err
    # The port that was asked for as 0 is found nowhere else.
    assert re.search(r"INFO metrics .* http://127.0.0.1:[1-9][0-9]*/metrics$", err, re.MULTILINE)


def test_a_store_with_a_mistake_is_served_and_the_mistake_is_logged(tmp_path: Path) -> None:
    settings = '[segments]\nlate = "recencey_days > 3"\nall = "TRUE"\n'
    (tmp_path / "store.toml").write_text(settings, encoding="utf-8")
    with served("--store", str(tmp_path), "--port", "0") as (process, line):
        with Client(line.removeprefix("ready on ").strip()) as client:
            assert client.count(rule="segment('all')").count == 0
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "did you mean `recency_days`?" in err
