"""What `segengine publish` and `undefine` do, and what is left for the next command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import ask

NEXT = """
[traits]
double = "order_count * 2"
[segments]
twice = "double >= 4"
regulars = "order_count >= 2"
[campaigns.again]
segment = "segment('twice')"
"""


@pytest.fixture
def shop(shop: Path, tmp_path: Path) -> Path:
    """A shop of each test's own."""
    return Path(shutil.copytree(shop, tmp_path / "shop"))


@pytest.fixture
def following(tmp_path: Path) -> Path:
    path = tmp_path / "next.toml"
    path.write_text(NEXT)
    return path


def test_what_a_file_defines_is_in_force_for_the_next_command(shop: Path, following: Path) -> None:
    first = ask("publish", following, "--store", shop)
    assert first.status == 0
    assert "trait double: in force, version 1" in first.out
    # The store.toml says the same of this one.
    assert "segment regulars: is so already, version 1" in first.out
    again = ask("publish", following, "--store", shop, "--json").json
    assert (len(again["definitions"]), again["changed"]) == (4, 0)
    count = ask("count", "segment('twice')", "--store", shop, "--json").json["count"]
    assert count == ask("count", "order_count >= 2", "--store", shop, "--json").json["count"] > 0
    assert ask("audience", "again", "--store", shop).status == 0


def test_a_definition_goes_when_nobody_names_it_and_comes_back_as_it_was(
    shop: Path, following: Path
) -> None:
    ask("publish", following, "--store", shop)
    used = ask("undefine", "trait", "double", "--store", shop)
    assert used.status == 2
    assert "in use by segment `twice`" in used.err
    assert "deleted, version 2" in ask("undefine", "campaign", "again", "--store", shop).out
    assert "unknown campaign" in ask("audience", "again", "--store", shop).err
    listed = ask("versions", "campaign", "again", "--store", shop).out
    assert "deleted" in listed
    back = ask("versions", "campaign", "again", "--restore", "1", "--store", shop, "--json").json
    assert [each["version"] for each in back["versions"]] == [1, 2, 3]
    assert ask("audience", "again", "--store", shop).status == 0


def test_what_stands_in_the_stores_file_is_not_changed_from_elsewhere(
    shop: Path, tmp_path: Path
) -> None:
    path = tmp_path / "next.toml"
    path.write_text(
        '[store]\ncurrency = "EUR"\n[segments]\nregulars = "order_count >= 3"\nnew = "TRUE"'
    )
    for arguments in (["publish", path], ["undefine", "segment", "regulars"]):
        found = ask(*arguments, "--store", shop)
        assert found.status == 2
        assert "stands in store.toml" in found.err
    assert "new" not in ask("versions", "--store", shop).out
    path.write_text('[store]\ncurrency = "EUR"\n[segments]\nnew = "TRUE"')
    assert "[store] of" in ask("publish", path, "--store", shop).err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["publish", "nowhere.toml"], "there is no file `nowhere.toml`"),
        (["undefine", "segment", "regulrs"], "did you mean `regulars`"),
        (["undefine", "segmnt", "regulars"], "did you mean `segment`"),
        (["versions", "--restore", "1"], "is for one definition"),
        (["versions", "segment", "regulars", "--restore", "7"], "has no version `7`"),
    ],
)
def test_what_is_not_there_is_named(shop: Path, arguments: list[str], said: str) -> None:
    found = ask(*arguments, "--store", shop)
    assert found.status == 2
    assert said in found.err
