"""Every command is there, and its help shows how it is called."""

from __future__ import annotations

import pytest

from segengine.cli.app import app
from tests.cli.conftest import ask

COMMANDS = (
    "demo init load count segment products audience plan page census explain run runs record "
    "traits report preview diff publish undefine versions check bench warmup serve"
).split()
WITHOUT_A_STORE = {"bench", "warmup"}


def test_the_commands_are_those_of_the_api() -> None:
    assert [
        c.name or c.callback.__name__ for c in app.registered_commands if c.callback
    ] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_the_options_that_all_have(command: str) -> None:
    asked = ask(command, "--help")
    assert asked.status == 0
    assert "Example:" in asked.out
    assert f"segengine {command}" in asked.out.split("Example:")[1]
    assert "--json" in asked.out
    assert ("--store" in asked.out) or command in WITHOUT_A_STORE


def test_help_loses_nothing_in_brackets() -> None:
    # Typer takes `[word]` in a docstring for markup, and it is gone.
    assert not [c for c in app.registered_commands if "[" in str(c.callback.__doc__)]


def test_help_lists_every_command() -> None:
    asked = ask("--help")
    assert asked.status == 0
    assert all(command in asked.out for command in COMMANDS)


def test_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert ask("--version").out == f"segengine {version('segengine')}\n"
