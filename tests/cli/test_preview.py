"""What `segengine preview` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import ask

ACTIVE = ("--set", "lifecycle.new_days=1", "--set", "lifecycle.active_days=1")


def test_preview_counts_who_moves_and_names_some(shop: Path) -> None:
    found = ask("preview", *ACTIVE, "--store", shop, "--json").json
    assert found["settings"] == [
        {"setting": "lifecycle.new_days", "before": 30, "after": 1},
        {"setting": "lifecycle.active_days", "before": 60, "after": 1},
    ]
    assert sum(each["buyers"] for each in found["stages"]) == found["buyers"]
    moves = [each for each in found["stages"] if each["before"] != each["after"]]
    assert moves
    shown = ask("preview", *ACTIVE, "--store", shop).out
    moved = sum(each["buyers"] for each in moves)
    assert f"{moved:,} of {found['buyers']:,} buyers would be in another stage" in shown
    assert "nothing has been changed" in shown
    for each in found["traits"]:
        assert each["trait"] in shown


def test_preview_takes_words_numbers_and_lists(shop: Path) -> None:
    cuts = [f"rfm.{name}=[1, 2, 3, 4.5]" for name in ("recency", "orders", "amount")]
    arguments = [word for cut in ("rfm.mode=fixed", *cuts) for word in ("--set", cut)]
    found = ask("preview", *arguments, "--store", shop, "--json").json
    assert found["settings"][0] == {"setting": "rfm.mode", "before": "quintile", "after": "fixed"}
    assert found["fits_after"]["recency"] == [1, 2, 3, 4.5]
    fitted = ask("preview", "--set", 'lifecycle.thresholds="fit"', "--store", shop)
    assert "lifecycle.thresholds: given -> fit" in fitted.out
    # So small a shop has too few gaps: the thresholds stay, and only where they come from changes.
    assert "stage_changed_at" not in fitted.out


def test_preview_of_the_settings_as_they_are_says_so(shop: Path) -> None:
    shown = ask("preview", "--set", "lifecycle.active_days=60", "--store", shop).out
    assert "these are the settings the store has" in shown
    assert "0 of " in shown


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("active_days=50", "names no section; write `--set lifecycle.active_days=50`"),
        ("lifecycle.active_days", "is no pair"),
        ("lifecycle.activ_days=50", "did you mean `active_days`?"),
        ("lifecycle.active_days=x", "must be a whole number"),
        ("segments.vip=TRUE", "no trait of buyers depends on it"),
    ],
)
def test_preview_refuses_what_is_no_setting(shop: Path, setting: str, said: str) -> None:
    found = ask("preview", "--set", setting, "--store", shop)
    assert found.status == 2
    assert said in " ".join(found.err.split())
    assert found.out == ""
