"""`segengine report` prints, answers in JSON and writes a page, and the three agree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from segengine.cli.outcome import BAD_INPUT
from segengine.reports.catalogue import REPORTS
from tests.cli.conftest import ask
from tests.golden import assert_golden
from tests.reports.pages import assert_page_is_its_data

GOLDEN = Path(__file__).parent / "golden"
SEGMENTS = {
    "profile": ["regulars"],
    "compare": ["regulars", "order_count = 1"],
}
NAMES = [name for name in REPORTS if name != "campaign"]
"""That of a campaign is about a run: `test_runs.py`."""
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_the_json(name: str, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / f"{name}.html"
    asked = ask("report", name, *SEGMENTS.get(name, []), "--store", shop, "--out", out, "--json")
    assert asked.status == 0, asked.err
    assert asked.json["report"] == name
    assert asked.err == f"wrote {out}\n"
    assert_page_is_its_data(out.read_text(encoding="utf-8"), asked.json)


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_has_every_figure_and_formula(name: str, shop: Path) -> None:
    asked = ask("report", name, *SEGMENTS.get(name, []), "--store", shop)
    found = ask("report", name, *SEGMENTS.get(name, []), "--store", shop, "--json").json
    said = " ".join(asked.out.split())
    for table in found["tables"]:
        assert table["title"] in said
        assert " ".join(table["formula"].split()) in said
    for figure in found["figures"]:
        # A title may be broken into lines.
        assert figure["title"].split()[0] in said


def test_a_report_reads_as_it_did(shop: Path) -> None:
    assert_golden(GOLDEN / "report_rfm.txt", ask("report", "rfm", "--store", shop).out)


def test_options_reach_their_report(shop: Path) -> None:
    found = ask("report", "lifecycle", "--since", "2025-06-10", "--store", shop, "--json").json
    (then,) = [figure for figure in found["figures"] if figure["name"] == "then"]
    assert then["value"] == "2025-06-10T15:59:59.999999Z"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["rfn"], "unknown report `rfn`; did you mean `rfm`?"),
        (["rfm", "--since", "2025-06-10"], "report `rfm` has no option `since`"),
        (["rfm", "regulars"], "report `rfm` is asked about no segment, not 1"),
        (["profile"], "report `profile` is asked about one segment, not 0"),
        (["compare", "regulars"], "report `compare` is asked about two segments, not 1"),
        (["lifecycle", "--since", "June"], "`--since June` is no date"),
        (["lifecycle", "--since", "2025-07-01"], "give an earlier date"),
        (["rfm", "--out", "rfm.csv"], "the name must end in .html"),
        (["rfm", "--out", "nowhere/rfm.html"], "there is no folder `nowhere`"),
    ],
)
def test_a_question_that_cannot_be_is_refused_in_words(
    typed: list[str], said: str, shop: Path
) -> None:
    asked = ask("report", *typed, "--store", shop)
    assert (asked.status, asked.out) == (BAD_INPUT, "")
    assert said in asked.err


@pytest.mark.skipif(BROWSER is None, reason="no chromium here to look at the page with")
@pytest.mark.parametrize("name", NAMES)
def test_a_browser_has_nothing_to_complain_about(name: str, shop: Path, tmp_path: Path) -> None:
    out, home = tmp_path / "report.html", tmp_path / "browser"
    ask("report", name, *SEGMENTS.get(name, []), "--store", shop, "--out", out)
    # Strict: whatever the page would fetch or run is an error on the console.
    text = out.read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    out.write_text(
        text.replace(
            "<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{policy}">'
        ),
        encoding="utf-8",
    )
    shown = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--enable-logging=stderr", f"--user-data-dir={home}", "--dump-dom",
         out.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert "CONSOLE" not in shown.stderr, shown.stderr
    assert shown.stdout.count("<svg") == text.count("<svg") >= 1
    assert "parsererror" not in shown.stdout


def test_a_bar_stands_beside_what_the_page_draws_first_where_there_is_room(shop: Path) -> None:
    asked = ask("report", "lifecycle", "--store", shop)
    found = ask("report", "lifecycle", "--store", shop, "--json").json
    (stages,) = [table for table in found["tables"] if table["name"] == "stages"]
    place = stages["columns"].index(stages["picture"]["y"][0])
    most = max(row[place] for row in stages["rows"])
    shown = asked.out.partition(stages["title"])[2].partition(stages["formula"][:20])[0]
    lines = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    for row in stages["rows"]:
        line = lines[row[0]]
        full = line.count("█") + line.count("#")
        assert full in (12 * row[place] // most, -(-12 * row[place] // most))
    assert any(row[place] == most and lines[row[0]].count("█") == 12 for row in stages["rows"])
