"""The products of a page, and until when it may be kept, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import ask

SETTINGS = """
[store]
timezone = "Asia/Shanghai"
as_of = 2026-03-15T12:00:00+08:00
[pages.home.slots.top.modules.picks]
rule = "order_count >= 0"
variants = { a = 1.0 }
[pages.home.slots.top.modules.picks.pool]
rule = "price < 100"
k = 2
pin = ["[b]p3[/b]"]
[pages.home.slots.end.modules.bye]
ends_at = 2026-03-15T13:30:00+08:00
[pages.plain.slots.top.modules.any]
"""
PRODUCTS = "product_id,price,stock\np1,10,5\np2,20,5\n[b]p3[/b],30,1\np4,500,9\n"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a few products and a page that shows some."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "store.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "products.csv").write_text(PRODUCTS, encoding="utf-8")
    loaded = ask("load", "products", folder / "products.csv", "--store", folder)
    assert loaded.status == 0, loaded.err
    return folder


def test_page_shows_the_products_of_a_module_best_first(shelf: Path) -> None:
    asked = ask("page", "home", "--store", shelf)
    lines = [line.split() for line in asked.out.splitlines()]
    place = next(i for i, line in enumerate(lines) if line[:2] == ["top", "picks"])
    assert lines[place][1:] == ["picks", "/", "a", "MATCHED"]
    assert lines[place + 1][:4] == ["1.", "[b]p3[/b]", "pinned", "score"]
    assert lines[place + 2][0] == "2."
    found = ask("page", "home", "--store", shelf, "--json").json
    products = found["placements"][0]["products"]
    assert [sorted(each) for each in products] == [["product_id", "reason", "score"]] * 2
    assert (products[0]["product_id"], products[0]["reason"]) == ("[b]p3[/b]", "pinned")
    assert all(0 <= p["score"] <= 1 for p in products)


def test_page_says_until_when_it_may_be_kept(shelf: Path) -> None:
    kept = "unless the store is told something new"
    shown = ask("page", "home", "--store", shelf).out
    assert f"may be kept until 2026-03-15 13:30:00, {kept}" in shown
    found = ask("page", "home", "--store", shelf, "--json").json
    assert found["valid_until"] == "2026-03-15T05:30:00Z"
    assert "may be kept until the store is told something new" in ask(
        "page", "plain", "--store", shelf
    ).out  # fmt: skip
    assert ask("page", "plain", "--store", shelf, "--json").json["valid_until"] is None
