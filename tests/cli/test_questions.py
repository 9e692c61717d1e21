"""Counts, lists, ledgers, pages and reasons, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import ask

STEPS = (
    "population rule exclusions consent suppression global_holdout frequency_cap arbitration "
    "limit holdout"
).split()
AS_OF = "2025-06-30T12:00:00Z"


def test_count_prints_the_count_the_whole_and_the_moment_by_the_shops_clock(shop: Path) -> None:
    asked = ask("count", "order_count >= 1", "--store", shop)
    assert asked.status == 0
    assert asked.out.startswith("75 of 100 buyers (75.0 %), as of 2025-06-30 20:00 Asia/Shanghai")
    assert asked.err == ""


def test_count_as_json_is_one_object_with_the_public_names(shop: Path) -> None:
    asked = ask("count", "order_count >= 1", "--store", shop, "--json")
    assert asked.json == {"count": 75, "as_of": AS_OF, "data_version": asked.json["data_version"]}
    assert asked.err == ""


def test_segment_shows_some_and_says_how_many_are_left(shop: Path) -> None:
    asked = ask("segment", "order_count >= 1", "--limit", "3", "--store", shop)
    assert asked.status == 0
    assert "75 buyers, 72 of them not shown" in asked.out
    assert len(asked.out.splitlines()) == 2 + 3 + 1


def test_segment_shows_what_a_shop_wrote_as_it_stands(shop: Path) -> None:
    asked = ask("segment", "customer_id = 3", "--columns", "region, hat_size", "--store", shop)
    assert "[b]south[/b]" in asked.out
    assert "1.5" in asked.out


def test_segment_as_json_keeps_money_exact_and_missing_null(shop: Path) -> None:
    columns = "region,amount_total,last_order_at,tags"
    asked = ask(
        "segment", "customer_id IN (2, 25)", "--columns", columns, "--store", shop, "--json"
    )
    assert asked.json["count"] == 2
    assert asked.json["as_of"] == AS_OF
    first, second = sorted(asked.json["rows"], key=lambda row: row["customer_id"])
    assert first == {
        "customer_id": 2,
        "region": None,
        "amount_total": "4.2000",
        "last_order_at": "2025-06-03T04:00:00Z",
        "tags": [],
    }
    assert second["tags"] == ["complained"]


def test_audience_prints_every_step_of_a_ledger_that_sums(shop: Path) -> None:
    asked = ask("audience", "spring", "--store", shop)
    assert asked.status == 0
    assert [line.split()[0] for line in asked.out.splitlines()[2:12]] == STEPS
    found = ask("audience", "spring", "--store", shop, "--json").json
    assert [row["step"] for row in found["ledger"]] == STEPS
    assert found["ledger"][0]["entered"] == 100
    for row, following in zip(found["ledger"], found["ledger"][1:], strict=False):
        assert row["entered"] - row["dropped"] == row["remaining"] == following["entered"]
        assert isinstance(row["reasons"], str)
    assert found["count"] == found["ledger"][-1]["remaining"] == sum(found["variants"].values())
    assert set(found["variants"]) == {"a", "b"}
    assert found["active"] is True
    assert found["as_of"] == AS_OF
    assert f"{found['count']} buyers targeted (a " in asked.out


def test_audience_says_when_a_campaign_is_outside_its_window(shop: Path) -> None:
    assert "outside its window" in ask("audience", "over", "--store", shop).out
    assert ask("audience", "over", "--store", shop, "--json").json["active"] is False


def test_page_shows_the_winner_and_where_asked_why_the_others_lost(shop: Path) -> None:
    for device, module, reason in (("mobile", "regulars", "MATCHED"), ("tv", "season", "FALLBACK")):
        context = ("--context", f"device={device}")
        found = ask("page", "home", "--customer", "3", *context, "--store", shop, "--json").json
        banner, footer = found["placements"]
        assert (banner["slot"], banner["module"], banner["reason"]) == ("banner", module, reason)
        assert (footer["module"], footer["reason"]) == (None, "EMPTY")
        assert {"slot": "footer", "module": "nobody", "reason": "NOT_ELIGIBLE"} in found["rejected"]
        shown = ask("page", "home", "--customer", "3", *context, "--store", shop)
        assert shown.status == 0
        assert module in shown.out
        assert "NOT_ELIGIBLE" not in shown.out
        assert "2 others did not show; --rejected says why" in shown.out
        asked = ask("page", "home", "--customer", "3", *context, "--rejected", "--store", shop)
        assert "NOT_ELIGIBLE" in asked.out
        assert "--rejected" not in asked.out
    assert found["customer_id"] == 3
    assert found["context"] == {"device": "tv"}


def test_page_hands_out_a_payload_with_dates_as_text(shop: Path) -> None:
    arguments = ("page", "home", "--customer", "3", "--context", "device=mobile", "--store", shop)
    banner = ask(*arguments, "--json").json["placements"][0]
    assert banner["payload"] == {"title": "Good to see you", "since": "2025-06-01"}


def test_page_answers_for_somebody_nobody_knows_and_says_so(shop: Path) -> None:
    for customer_id in ("12345", "not-a-number"):
        asked = ask("page", "home", "--customer", customer_id, "--store", shop, "--json")
        assert asked.status == 0
        assert asked.json["placements"][0]["reason"] == "FALLBACK"
        assert "no history" in asked.err
    assert ask("page", "home", "--store", shop).err == ""


def test_explain_prints_the_conditions_as_a_tree(shop: Path) -> None:
    asked = ask("explain", "3", "order_count >= 2 AND region = 'north'", "--store", shop)
    assert asked.status == 0
    lines = [line.split() for line in asked.out.splitlines()]
    assert [line[0] for line in lines] == ["no", "yes", "no", "nearest:"]
    found = ask("explain", "3", "order_count >= 99", "--store", shop, "--json").json
    assert found["nearest"] == [{"conditions": ["order_count >= 99"],
                                 "values": {"order_count": "3"}}]  # fmt: skip
    found = ask("explain", "3", "order_count >= 2", "--store", shop, "--json").json
    assert found["holds"] is True
    assert found["reason"]["values"] == {"order_count": "3"}
    assert found["as_of"] == AS_OF


def test_explain_names_the_step_that_dropped_a_buyer(shop: Path) -> None:
    # Number 30 has two orders, lives in no region, and has refused.
    found = ask("explain", "30", "--campaign", "spring", "--store", shop, "--json").json
    assert (found["holds"], found["step"], found["variant"]) == (False, "consent", None)
    assert "consent" in ask("explain", "30", "--campaign", "spring", "--store", shop).out


def test_an_id_is_text_where_the_stores_ids_are_texts(text_shop: Path) -> None:
    for customer_id in ("ab-1", "007"):
        asked = ask("explain", customer_id, "region IS NOT NULL", "--store", text_shop, "--json")
        assert asked.json["customer_id"] == customer_id
        assert asked.json["holds"] is True
    assert ask("explain", "7", "TRUE", "--store", text_shop).status == 2


def test_check_finds_nothing_in_a_sound_store(shop: Path) -> None:
    asked = ask("check", "--store", shop)
    assert asked.status == 0
    assert asked.out == "all sound: 2 segments, 2 campaigns, 1 page\n"
    counts = {"errors": 0, "warnings": 0, "notes": 0}
    assert ask("check", "--store", shop, "--json").json == {"findings": [], **counts}


def test_check_says_what_is_worth_a_second_look_and_exits_0(tmp_path: Path) -> None:
    rules = 'never = "order_count > 3 AND order_count < 2"\nmonth = "recency_days <= 30"\n'
    (tmp_path / "store.toml").write_text(f"[segments]\n{rules}", encoding="utf-8")
    asked = ask("check", "--store", tmp_path)
    assert asked.status == 0
    assert "never true" in asked.out
    counted = "2 segments, 0 campaigns, 0 pages; 1 warning, 3 notes"
    assert asked.out.splitlines()[-1] == f"all sound: {counted}"


@pytest.mark.parametrize("rule", ["recencey_days <= 30", "recency_days <="])
def test_check_exits_1_and_names_each_mistake(tmp_path: Path, rule: str) -> None:
    (tmp_path / "store.toml").write_text(f'[segments]\nlate = "{rule}"\n', encoding="utf-8")
    asked = ask("check", "--store", tmp_path)
    assert asked.status == 1
    assert "late" in asked.out
    found = ask("check", "--store", tmp_path, "--json")
    assert found.status == 1
    assert found.json["errors"] == 1
    assert set(found.json["findings"][0]) == {"place", "severity", "message"}


def test_traits_lists_the_catalogue_and_the_shops_own_columns(shop: Path) -> None:
    from segengine.traits.catalogue import CATALOGUE
    from segengine.traits.products import PRODUCT_TRAITS

    listed = ask("traits", "--json").json["traits"]
    products = [f"products.{trait.name}" for trait in PRODUCT_TRAITS]
    assert [row["name"] for row in listed] == [*(trait.name for trait in CATALOGUE), *products]
    keys = {"name", "family", "kind", "unit", "definition", "missing", "source"}
    assert set(listed[0]) == keys
    ours = {r["name"]: r for r in ask("traits", "--store", shop, "--json").json["traits"]}
    assert ours["hat_size"]["kind"] == "DOUBLE"
    assert ours["sms_consent"]["family"] == "given"
    shown = ask("traits", "--store", shop).out
    assert "hat_size" in shown
    assert all(trait.name in shown for trait in CATALOGUE)


def test_traits_lists_the_survey_questions_that_were_named_or_asked(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text('[answers]\nskin = "肤质"\n', encoding="utf-8")
    (tmp_path / "asked.csv").write_text(
        "customer_id,time,kind,question,answer\n1,2024-01-01,survey,Hair colour?,red\n"
    )
    ask("load", "behaviors", tmp_path / "asked.csv", "--store", tmp_path)
    listed = ask("traits", "--store", tmp_path, "--json").json["traits"]
    ours = {row["name"]: row for row in listed if row["name"].startswith("answer_")}
    assert {row["family"] for row in ours.values()} == {"membership"}
    assert "`肤质`" in ours["answer_skin"]["definition"]
    assert "`Hair colour?`" in ours["answer_hair_colour"]["definition"]
    assert len(listed) == len({row["name"] for row in listed})


def test_traits_says_what_is_fitted_to_the_store(shop: Path) -> None:
    fits = ask("traits", "--store", shop, "--json").json["fits"]
    assert fits["lifecycle"]["active_days"] == 60
    assert len(fits["recency"]) == 4
    assert "fitted_at" in fits
    shown = ask("traits", "--store", shop).out
    assert "lifecycle: new_days 30, active_days 60, sleeping_days 180, source as given" in shown
    assert "fits" not in ask("traits", "--json").json


def test_traits_lists_what_the_store_declares_itself(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text(
        "[traits]\n"
        "carts = \"count(behaviors) FILTER (WHERE kind = 'cart')\"\n"
        'per_order = "amount_total / order_count"\n'
        'broken = "no_such_trait + 1"\n',
        encoding="utf-8",
    )
    listed = ask("traits", "--store", tmp_path, "--json").json["traits"]
    ours = {row["name"]: row for row in listed if row["family"] == "declared"}
    assert {name: row["kind"] for name, row in ours.items()} == {
        "carts": "BIGINT",
        "per_order": "DOUBLE",
        "broken": "",
    }
    assert ours["carts"]["source"] == "behaviors"
    assert ours["per_order"]["definition"] == "amount_total / order_count"
    assert "cannot be" in ours["broken"]["missing"]
    assert "amount_total / order_count" in ask("traits", "--store", tmp_path).out
