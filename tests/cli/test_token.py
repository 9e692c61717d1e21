"""Tokens are printed once and refused where they cannot be; a server is not open by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segengine.cli.app import app
from tests.server.ports import free_port


def ask(*arguments: object) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, [str(each) for each in arguments])
    return found.exit_code, found.stdout, found.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store.toml").write_text('[store]\ntimezone = "UTC"\n')
    return tmp_path


def test_a_token_is_made_listed_and_taken_out(folder: Path) -> None:
    code, text, said = ask("token", "create", "shop", "--scope", "read:page", "--store", folder)
    assert code == 0
    assert text.startswith("seg_")
    assert "printed once" in said
    assert text.strip() not in (folder / "tokens.toml").read_text()
    code, listed, _ = ask("token", "list", "--store", folder, "--json")
    (found,) = json.loads(listed)["tokens"]
    assert (found["name"], found["scopes"], found["expires_at"]) == ("shop", ["read:page"], None)
    assert "never" in ask("token", "list", "--store", folder)[1]
    assert ask("token", "remove", "shop", "--store", folder)[0] == 0
    assert json.loads(ask("token", "list", "--store", folder, "--json")[1]) == {"tokens": []}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["token", "create", "x", "--scope", "read"], "unknown scope `read`"),
        (["token", "create", "x", "--scope", "admin", "--days", "99999999"], "1 to 36500 days"),
        (["token", "create", "x", "--scope", "admin", "--calls-per-second", "nan"], "above 0"),
        (["token", "remove", "x"], "cannot be read"),
        (["serve", "--port", "0"], "`--tokens FILE` names another file, and `--insecure` answers"),
        (["serve", "--port", "0"], "`segengine token create NAME --scope read:page --store"),
        (["serve", "--host", "0.0.0.0", "--port", "0"], "whoever has a token, and there are none"),
        (["serve", "--host", "0.0.0.0", "--port", "0", "--insecure"], "reached by others"),
        (["serve", "--port", "0", "--insecure", "--tokens", "t.toml"], "keep one of them"),
        (["serve", "--port", "0", "--insecure", "--tls-cert", "c.pem"], "`--tls-key`"),
        (["serve", "--port", "0", "--tokens", "t.toml"], "t.toml` cannot be read"),
    ],
)
def test_what_cannot_be_is_bad_input(folder: Path, arguments: list[str], words: str) -> None:
    code, _, said = ask(*arguments, "--store", folder)
    assert (code, words in said) == (2, True), said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tls-cert", "none.pem", "--tls-key", "none.key"], "none.key` cannot be read: No such"),
        (["--port", "FREE", "--metrics-port", "FREE"], "is asked for twice, for calls and for"),
    ],
)
def test_what_keeps_a_server_from_listening_is_said_before_the_store_is_opened(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "store.toml").write_text("cannot be opened")
    port = str(free_port())
    given = [port if each == "FREE" else each for each in arguments]
    code, _, said = ask("serve", "--port", "0", "--insecure", "--store", tmp_path, *given)
    assert (code, words in said) == (2, True), said


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["serve", "--insecure"],
        ["token", "create", "x", "--scope", "admin"],
        ["token", "list"],
        ["token", "remove", "x"],
    ],
)
@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("nowhere", "there is no store at `{}`; `segengine init --store {}` makes one"),
        ("empty", "`{}` has no store.toml; `segengine init --store {}` writes one"),
        ("shop/store.toml", "`{}` is a file, and a store is the directory that holds store.toml"),
    ],
)
def test_where_there_is_no_store_that_is_what_is_said(
    tmp_path: Path, arguments: list[str], store: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "store.toml").touch()
    code, _, said = ask(*arguments, "--store", tmp_path / store)
    assert (code, words.replace("{}", str(tmp_path / store)) in said) == (2, True), said
    assert not list(tmp_path.rglob("tokens.toml*"))


def test_a_file_of_tokens_may_be_elsewhere_than_in_a_store(tmp_path: Path) -> None:
    file = tmp_path / "who.toml"
    code, text, _ = ask("token", "create", "x", "--scope", "admin", "--tokens", file)
    assert (code, text.startswith("seg_"), file.exists()) == (0, True, True)
