"""`segengine audience --preview` and `--texts`: what is sent, and what it costs."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import ask

TEXT = """
[text]
signature = "[S] "
price_per_part = 0.05

[campaigns.texted]
segment = "TRUE"
variants = { a = 0.5, b = 0.5 }
text = "{nickname|friend}: {order_count} orders"
budget = { parts = 30 }
"""


@pytest.fixture
def texting(shop: Path, tmp_path: Path) -> Path:
    """The shop, with a campaign that has a text."""
    folder = tmp_path / "shop"
    shutil.copytree(shop, folder)
    with (folder / "store.toml").open("a", encoding="utf-8") as file:
        file.write(TEXT)
    return folder


def test_a_preview_has_ten_texts_and_what_all_cost(texting: Path) -> None:
    found = ask("audience", "texted", "--preview", "--json", "--store", texting).json
    assert len(found["preview"]) == 10
    assert {row["variant"] for row in found["preview"]} == {"a", "b"}
    for row in found["preview"]:
        assert row["text"].startswith("[S] ")
        assert row["text"].endswith(" orders")
        assert (row["parts"], row["cost"]) == (1, "0.05")
        assert row["characters"] == len(row["text"])
    assert sum(line["buyers"] for line in found["bill"]) == found["count"] == 30
    shown = ask("audience", "texted", "--preview", "--store", texting)
    assert shown.status == 0
    assert "30 parts, 1.50 to send: 30 buyers with 1 part" in shown.out
    assert all(row["text"] in shown.out for row in found["preview"])


def test_nothing_is_previewed_that_is_not_asked_for(texting: Path) -> None:
    assert "preview" not in ask("audience", "texted", "--json", "--store", texting).json
    assert "to send" not in ask("audience", "texted", "--store", texting).out


def test_out_has_the_text_of_each_buyer(texting: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    asked = ask("audience", "texted", "--texts", "--columns", "order_count", "--out", file,
                "--store", texting)  # fmt: skip
    assert asked.status == 0, asked.err
    with file.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 30
    assert list(rows[0]) == ["customer_id", "variant", "order_count", "text", "characters",
                             "parts", "cost"]  # fmt: skip
    assert all(row["text"].endswith(f": {row['order_count']} orders") for row in rows)


def test_texts_without_a_file_come_to_nothing_and_it_is_said(texting: Path) -> None:
    asked = ask("audience", "texted", "--texts", "--store", texting)
    assert asked.status == 0
    assert "`--texts` says what `--out FILE` has" in asked.err


@pytest.mark.parametrize("option", [("--preview",), ("--preview", "--json"), ("--texts", "--out")])
def test_a_campaign_without_a_text_has_none_to_show(
    texting: Path, tmp_path: Path, option: tuple[str, ...]
) -> None:
    file = (str(tmp_path / "x.csv"),) if "--out" in option else ()
    asked = ask("audience", "spring", *option, *file, "--store", texting)
    assert asked.status == 2
    assert "campaign `spring` has no `text`" in asked.err
