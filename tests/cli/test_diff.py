"""What `segengine diff` and `segengine versions` say."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv as pc
import pytest

from tests.cli.conftest import SETTINGS, ask

NEXT = (
    SETTINGS.replace('regulars = "order_count >= 2"', 'regulars = "order_count >= 3"')
    .replace("limit = 30", "limit = 20")
    .replace("share = 0.05", "share = 0.1")
    .replace("[campaigns.over]", "[campaigns.other]")
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "next.toml"
    path.write_text(NEXT, encoding="utf-8")
    return path


def test_diff_compares_every_definition_of_a_file(shop: Path, file: Path) -> None:
    found = ask("diff", file, "--store", shop, "--json").json
    said = {(d["kind"], d["name"]): d for d in found["definitions"]}
    assert {key: d["change"] for key, d in said.items()} == {
        ("segment", "regulars"): "changed",
        ("campaign", "spring"): "changed",
        ("campaign", "over"): "removed",
        ("campaign", "other"): "new",
    }
    regulars = said["segment", "regulars"]
    assert (regulars["entered"], regulars["left"], regulars["stayed"]) == (0, 25, 25)
    assert [row["name"] for row in regulars["downstream"]] == ["spring", "home"]
    spring = said["campaign", "spring"]
    assert {"setting": "limit", "before": 30, "after": 20} in spring["settings"]
    assert spring["ledgers"][-1]["before_remaining"] == spring["left"] + spring["stayed"]
    assert found["not_compared"] == ["holdout"]
    shown = ask("diff", file, "--store", shop)
    assert "segment regulars: changed, against version 1" in shown.out
    assert "rule: order_count >= 2 -> order_count >= 3" in shown.out
    assert "0 enter, 25 leave, 25 stay" in shown.out
    assert "limit: 30 -> 20" in shown.out
    assert "campaign other: new" in shown.out
    assert "nothing has been changed" in shown.out
    assert "[holdout]" in shown.err


def test_a_part_of_a_file_leaves_the_rest_as_it_is(shop: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.toml"
    part.write_text("[segments]\nlapsed = \"NOT segment('regulars')\"\n", encoding="utf-8")
    found = ask("diff", part, "--part", "--store", shop, "--json").json
    assert [(d["name"], d["change"]) for d in found["definitions"]] == [("lapsed", "new")]
    assert found["not_compared"] == []
    # As a whole file it takes everything else out, so that what it names is gone.
    whole = ask("diff", part, "--store", shop)
    assert whole.status == 2
    assert "unknown segment `regulars`" in whole.err


def test_the_stores_own_file_has_nothing_to_say(shop: Path) -> None:
    shown = ask("diff", shop / "store.toml", "--store", shop)
    assert "every definition is written as it is in force" in shown.out
    assert ask("diff", shop / "store.toml", "--store", shop, "--json").json["definitions"] == []


def test_diff_writes_everybody_who_is_affected(shop: Path, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "who.csv"
    found = ask("diff", file, "--store", shop, "--out", out, "--json").json
    table = pc.read_csv(out)
    assert table.column_names == ["kind", "name", "customer_id", "change", "before", "after"]
    assert table.num_rows == sum(d["affected"] for d in found["definitions"])
    none = tmp_path / "none.csv"
    ask("diff", shop / "store.toml", "--store", shop, "--out", none)
    assert pc.read_csv(none).num_rows == 0


def test_diff_tries_a_rule_for_a_segment(shop: Path) -> None:
    found = ask("diff", "--segment", "regulars", "order_count >= 3", "--store", shop, "--json").json
    (only,) = found["definitions"]
    assert (only["name"], only["left"]) == ("regulars", 25)
    suppressing = ask("diff", "--segment", "regulars", "TRUE", "--suppress", "--store", shop).out
    assert "suppress: not given -> true" in suppressing
    assert ask("diff", "--segment", "regulars", "order_cont > 3", "--store", shop).status == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nofile.toml"], "there is no file `nofile.toml`; to try a rule"),
        (["TRUE", "--suppress"], "name it with `--segment NAME`"),
        (["TRUE", "--segment", "regulars", "--part"], "does not go with `--segment`"),
        (["TRUE", "--segment", "regulars", "--out", "x.txt"], "must end in .parquet or .csv"),
    ],
)
def test_diff_refuses_what_makes_no_sense(shop: Path, arguments: list[str], said: str) -> None:
    found = ask("diff", *arguments, "--store", shop)
    assert found.status == 2
    assert said in found.err


def test_versions_list_what_is_in_force_and_what_each_said(shop: Path) -> None:
    found = ask("versions", "--store", shop, "--json").json["versions"]
    assert [(v["kind"], v["name"], v["version"]) for v in found] == [
        ("segment", "regulars", 1),
        ("segment", "complained", 1),
        ("campaign", "spring", 1),
        ("campaign", "over", 1),
        ("page", "home", 1),
    ]
    shown = ask("versions", "--store", shop).out
    assert "rule: order_count >= 2" in shown
    assert "more" in shown
    one = ask("versions", "campaign", "spring", "--store", shop).out
    assert "limit: 30" in one
    assert "slots and modules" in ask("versions", "page", "home", "--store", shop).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["segment"], "name the segment too"),
        (["segmnt", "x"], "did you mean `segment`"),
        (["campaign", "sprng"], "did you mean `spring`"),
    ],
)
def test_versions_name_what_is_not_there(shop: Path, arguments: list[str], said: str) -> None:
    found = ask("versions", *arguments, "--store", shop)
    assert found.status == 2
    assert said in found.err
