"""The census of a page, for people, for programs, and as a page to hand on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import segengine as se
from segengine.cli.census import LOST, census_json, show
from segengine.cli.show import console
from tests.cli.conftest import ask

MOBILE = ("--context", "device=mobile")


def test_census_says_who_sees_what_and_what_nobody_sees(shop: Path) -> None:
    asked = ask("census", "home", *MOBILE, "--store", shop)
    assert asked.status == 0
    assert asked.err == ""
    lines = [line.split() for line in asked.out.splitlines()]
    assert ["banner", "regulars", "50", "50.0", "%", "██████████"] in lines
    assert ["season", "50", "50.0", "%", "██████████"] in lines
    assert "nobody sees 1 module" in asked.out
    assert ["nobody", "footer", "NOT_ELIGIBLE", "100"] in lines
    assert "2 different pages" in asked.out


def test_census_has_every_figure_in_json(shop: Path) -> None:
    found = ask("census", "home", *MOBILE, "--store", shop, "--json").json
    regulars, season, nobody = found["modules"]
    lost = dict.fromkeys(LOST, 0)
    assert regulars == {"slot": "banner", "module": "regulars", "reach": 50, "share": 0.5,
                        **lost, "not_eligible": 50}  # fmt: skip
    assert season == {"slot": "banner", "module": "season", "reach": 50, "share": 0.5,
                      **lost, "outranked": 50}  # fmt: skip
    assert (nobody["reach"], found["never"]) == (0, ["nobody"])
    assert found["empty"][1] == {"slot": "footer", "buyers": 100, "share": 1.0}
    assert found["unseen"] == [{"module": "nobody", "slot": "footer", "reason": "NOT_ELIGIBLE",
                                "buyers": 100, "by": None, "by_buyers": 0}]  # fmt: skip
    assert (found["buyers"], found["different_pages"]) == (100, 2)
    assert [page["buyers"] for page in found["frequent"]] == [50, 50]
    assert found["context"] == {"device": "mobile"}


def test_census_says_which_part_of_the_request_is_not_given(shop: Path) -> None:
    asked = ask("census", "home", "--store", shop, "--json")
    assert asked.json["not_given"] == ["device"]
    assert asked.json["never"] == ["regulars", "nobody"]
    assert "context.device, not given by --context" in asked.err


def test_census_goes_into_a_file_as_a_table_or_as_a_page(shop: Path, tmp_path: Path) -> None:
    for ending in ("csv", "parquet", "html"):
        out = tmp_path / f"home.{ending}"
        assert ask("census", "home", *MOBILE, "--store", shop, "--out", out).status == 0
    rows = pq.read_table(tmp_path / "home.parquet")
    assert rows.column("reach").to_pylist() == [50, 50, 0]
    assert pyarrow.csv.read_csv(tmp_path / "home.csv").num_rows == 3
    html = (tmp_path / "home.html").read_text(encoding="utf-8")
    embedded = re.search(r'id="report">(.*?)</script>', html, re.DOTALL)
    assert embedded
    report = json.loads(embedded[1])
    assert {table["name"] for table in report["tables"]} == {
        "slot_banner", "slot_footer", "unseen", "frequent"
    }  # fmt: skip
    assert [figure["value"] for figure in report["figures"]] == [100, 2, 1]
    assert html.count("<svg") == 2


def test_census_of_an_unknown_page_or_into_a_bad_file_is_bad_input(shop: Path) -> None:
    asked = ask("census", "hom", "--store", shop)
    assert (asked.status, asked.out) == (2, "")
    assert "did you mean `home`?" in asked.err
    assert ask("census", "home", "--store", shop, "--out", "home.pdf").status == 2
    assert "is no pair" in ask("census", "home", "--context", "mobile", "--store", shop).err


def test_a_slot_of_many_modules_is_cut_short_and_its_buyers_are_not() -> None:
    engine = se.Engine()
    engine.load("customers", pa.table({"customer_id": range(1, 101)}))
    modules = [se.Module(f"m{k}", rule=f"customer_id % 20 = {k}") for k in range(20)]
    slots = [se.Slot("s", modules), se.Slot("e", [se.Module("x", rule="FALSE")])]
    engine.define_page(se.Page("many", slots))
    screen = console()
    with screen.capture() as printed:
        show(census_json(engine.page_census("many")), screen)
    assert re.search(r"8 more \(--out has all\) +40 +40.0 %", printed.get())
