"""Running a campaign, recording it and reporting its effect, from a shell."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.csv as pc
import pytest

from segengine.cli.report import _stacked
from tests.cli.conftest import ask


@pytest.fixture
def own(shop: Path, tmp_path: Path) -> Path:
    """A copy of the shop that may be changed."""
    return Path(shutil.copytree(shop, tmp_path / "own"))


def test_a_campaign_is_run_recorded_and_reported(own: Path) -> None:
    out = own / "to-send.csv"
    made = ask("run", "spring", "--store", own, "--out", out, "--json")
    assert made.status == 0, made.err
    run = made.json["run"]
    assert run == "spring-2025-06-30-1"
    sent = pc.read_csv(out)
    assert sent.num_rows == made.json["count"] == sum(made.json["variants"].values())
    assert set(sent["arm"].to_pylist()) == {"treatment"}
    listed = ask("runs", "--store", own, "--json").json["runs"]
    assert [(each["run"], each["targeted"], each["held_out"]) for each in listed] == [
        (run, made.json["count"], made.json["held_out"])
    ]
    recorded = ask("record", "--all", run, "--store", own, "--json")
    assert (recorded.status, recorded.json["rows_loaded"]) == (0, sent.num_rows)
    again = ask("record", "--all", run, "--store", own)
    assert f"0 messages recorded, {sent.num_rows} were there already" in again.out
    page = own / "effect.html"
    report = ask("report", "campaign", "--run", run, "--by", "region", "--out", page, "--store",
                 own, "--json")  # fmt: skip
    figures = {each["name"]: each["value"] for each in report.json["figures"]}
    assert figures["sent"] == figures["delivered"] == sent.num_rows
    assert page.read_text(encoding="utf-8").count("<svg") >= 1


def test_the_file_of_whom_to_write_to_can_be_recorded_as_it_is(own: Path) -> None:
    out = own / "to-send.csv"
    run = ask("run", "spring", "--store", own, "--out", out, "--json").json
    assert set(pc.read_csv(out)["run"].to_pylist()) == {run["run"]}
    recorded = ask("record", out, "--store", own, "--json")
    assert (recorded.status, recorded.json["rows_loaded"]) == (0, run["count"]), recorded.err
    again = ask("record", "--all", run["run"], "--store", own)
    assert f"0 messages recorded, {run['count']} were there already" in again.out


def test_of_several_campaigns_all_are_run_or_none(own: Path) -> None:
    text = (own / "store.toml").read_text(encoding="utf-8")
    text += '\n[campaigns.first]\nsegment = "TRUE"\npriority = 3\n'
    (own / "store.toml").write_text(text, encoding="utf-8")
    assert "outside its window" in ask("run", "first", "over", "--store", own).err
    assert ask("runs", "--store", own, "--json").json["runs"] == []


def test_a_file_of_rows_is_recorded_with_its_mistakes_told(own: Path) -> None:
    run = ask("run", "spring", "--store", own, "--json").json["run"]
    ids = ask("run", "spring", "--store", own, "--out", own / "x.csv")
    assert ids.status == 0
    known = pc.read_csv(own / "x.csv")["customer_id"].to_pylist()
    rows = own / "rows.csv"
    lines = ["customer_id,run,kind,campaign", f"{known[0]},{run},delivered,x",
             f"{known[1]},{run},eaten,x", f"987654,{run},sent,x"]  # fmt: skip
    rows.write_text("\n".join(lines) + "\n", encoding="utf-8")
    refused = ask("record", rows, "--store", own)
    assert refused.status == 2
    assert "is not in the run" in refused.err
    assert "`eaten`" in refused.err
    assert "`--on-error skip`" in refused.err
    taken = ask("record", rows, "--on-error", "skip", "--store", own)
    assert "1 message recorded, 0 were there already, 2 left out" in taken.out
    assert "not looked at: campaign" in taken.out


def test_several_campaigns_are_planned_and_run(own: Path) -> None:
    text = (own / "store.toml").read_text(encoding="utf-8")
    text += '\n[campaigns.tea]\nsegment = "TRUE"\npriority = 3\n'
    (own / "store.toml").write_text(text, encoding="utf-8")
    made = ask("run", "spring", "tea", "--by", "value", "--store", own, "--json")
    assert made.status == 0, made.err
    assert {each["campaign"] for each in made.json["runs"]} == {"spring", "tea"}
    shown = ask("run", "spring", "tea", "--store", own)
    assert "run `tea-2025-06-30-2`: 92 buyers to write to, 0 held out" in shown.out


def test_the_hours_before_sending_are_shown(shop: Path) -> None:
    shown = ask("audience", "spring", "--hours", "--store", shop)
    assert "hour    buyers" in shown.out
    told = ask("audience", "spring", "--hours", "--store", shop, "--json").json
    assert sum(each["buyers"] for each in told["hours"]) == told["count"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "over"), "outside its window"),
        (("run", "sprin"), "did you mean `spring`"),
        (("run", "spring", "--by", "value"), "`--by` is for several campaigns"),
        (("run", "spring", "over", "--out", "x.csv"), "`--out` takes the buyers of one campaign"),
        (("record",), "give either a FILE"),
        (("record", "--all", "nope"), "unknown run `nope`"),
        (("report", "campaign"), "asked about a `run` or a `campaign`"),
        (("report", "rfm", "--run", "x"), "has no option `run`"),
    ],
)
def test_what_cannot_be_is_told_in_words(own: Path, words: tuple[str, ...], said: str) -> None:
    asked = ask(*words, "--store", own)
    assert asked.status in (1, 2)
    assert said in asked.err
    assert "Traceback" not in asked.err


def test_a_store_without_runs_says_how_to_make_one(shop: Path) -> None:
    asked = ask("runs", "--store", shop)
    assert "nothing has been run" in asked.err


def test_a_table_too_wide_for_a_terminal_is_shown_in_parts_with_its_first_column() -> None:
    names = ["run", "segment", *(f"number_{k}" for k in range(12))]
    rows = [["r" * 19, "s" * 60, *("12,345.67" for _ in range(12))]]
    is_text = [True, True, *(False for _ in range(12))]
    parts = _stacked(names, rows, is_text, 100)
    assert len(parts) > 1
    assert all(part[0] == 0 for part in parts)
    assert sorted({place for part in parts for place in part}) == list(range(14))
    assert _stacked(names, rows, is_text, 400) == [list(range(14))]
