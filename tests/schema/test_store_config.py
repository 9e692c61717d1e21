"""store.toml: every setting parses, and every mistake is named with its place, all at once."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import segengine as se
from segengine.schema.kinds import Kind
from segengine.schema.range_mix import RangeMix
from segengine.schema.store_config import (
    LifecycleSettings,
    LoadSpec,
    RfmSettings,
    SegmentSpec,
    StoreConfig,
    parse_config,
    read_config,
)
from tests.golden import assert_golden

GOLDEN = Path(__file__).parent / "golden"
EXAMPLE = (GOLDEN / "api_example.toml").read_text()
SHARED = Path(__file__).resolve().parents[3] / "shared"


def mistakes(raw: dict[str, Any]) -> str:
    with pytest.raises(se.ConfigError) as caught:
        parse_config(raw)
    return str(caught.value)


def test_an_empty_file_gives_the_defaults() -> None:
    found = parse_config({})
    assert found == StoreConfig()
    assert (found.timezone, found.money_scale, found.consent_missing) == ("UTC", 4, "deny")
    assert found.lifecycle == LifecycleSettings(30, 60, 180)
    assert (found.rfm.mode, found.holdout_share, found.as_of) == ("quintile", 0.0, None)


def test_every_setting_is_read() -> None:
    text = """
    [store]
    timezone = "Asia/Shanghai"
    currency = "CNY"
    channels = ["sms", "email"]
    as_of = 2011-12-10T00:00:00Z
    money_scale = 2
    [load.orders]
    source = "orders/*.csv"
    where = "amount > 0"
    on_error = "skip"
    [load.orders.columns]
    time = "placed"
    [load.products]
    query = "SELECT * FROM 'p.parquet'"
    [tables.tickets]
    topic = "VARCHAR"
    minutes = "INTEGER"
    cost = "DECIMAL(10, 2)"
    labels = "VARCHAR[]"
    closed = "TIMESTAMPTZ"
    day = "date"
    urgent = "bool"
    share = "double"
    [rfm]
    mode = "fixed"
    recency = [7, 30, 90, 180]
    orders = [1, 2, 3, 6]
    amount = [10.5, 50, 100, 1000]
    [lifecycle]
    thresholds = "fit"
    new_days = 10
    active_days = 20
    sleeping_days = 40
    [consent]
    missing = "allow"
    [holdout]
    share = 0.05
    [constants]
    magic_number = 6
    factor = 1.5
    [segments]
    vip = "order_count > 3"
    [segments.complained]
    rule = "list_contains(tags, 'complained')"
    suppress = true
    [campaigns.spring]
    segment = "segment('vip')"
    [pages.home.slots.banner.modules.one]
    fallback = true
    """
    found = parse_config(tomllib.loads(text))
    assert found == StoreConfig(
        timezone="Asia/Shanghai",
        currency="CNY",
        channels=("sms", "email"),
        as_of=datetime(2011, 12, 10, tzinfo=UTC),
        money_scale=2,
        load={
            "orders": LoadSpec("orders/*.csv", None, "amount > 0", {"time": "placed"}, "skip"),
            "products": LoadSpec(query="SELECT * FROM 'p.parquet'"),
        },
        further_tables={
            "tickets": {
                "topic": Kind.VARCHAR,
                "minutes": Kind.BIGINT,
                "cost": Kind.MONEY,
                "labels": Kind.TAGS,
                "closed": Kind.TIMESTAMP,
                "day": Kind.DATE,
                "urgent": Kind.BOOLEAN,
                "share": Kind.DOUBLE,
            }
        },
        rfm=RfmSettings(
            "fixed",
            tuple(map(Decimal, (7, 30, 90, 180))),
            tuple(map(Decimal, (1, 2, 3, 6))),
            (Decimal("10.5"), Decimal(50), Decimal(100), Decimal(1000)),
        ),
        lifecycle=LifecycleSettings(10, 20, 40, "fit"),
        consent_missing="allow",
        holdout_share=0.05,
        constants={"magic_number": 6, "factor": 1.5},
        segments={
            "vip": SegmentSpec("order_count > 3"),
            "complained": SegmentSpec("list_contains(tags, 'complained')", suppress=True),
        },
        campaigns={"spring": {"segment": "segment('vip')"}},
        pages={"home": {"slots": {"banner": {"modules": {"one": {"fallback": True}}}}}},
    )


def test_the_example_of_the_api_is_the_one_tested_here() -> None:
    if not (SHARED / "api.md").is_file():
        pytest.skip("../shared is absent: the example stands in golden/api_example.toml alone")
    assert EXAMPLE in (SHARED / "api.md").read_text()


def test_the_example_of_the_api_opens_without_its_example_traits(tmp_path: Path) -> None:
    sections = [part for part in EXAMPLE.split("\n\n") if not part.startswith("[traits]")]
    assert len(sections) == len(EXAMPLE.split("\n\n")) - 1
    (tmp_path / "store.toml").write_text("\n\n".join(sections))
    with se.Engine.open(tmp_path) as engine:
        assert engine.timezone == "Asia/Shanghai"
        assert engine.check() == []
        assert engine.config.caps == (se.Cap(2, 7),)
        assert engine.table("customers", ["sms_consent", "has_email"]).num_rows == 0
        assert engine.table("tickets").column_names == ["customer_id", "event_id", "time", "topic"]
        assert engine.segment("order_count < store.magic_number AND segment('vip')").count() == 0


def test_empty_sections_say_nothing() -> None:
    assert parse_config({"affinity": {}, "caps": []}) == StoreConfig()


def test_caps_say_everything_that_is_wrong_with_them() -> None:
    text = mistakes({
        "store": {"channels": ["sms"]},
        "caps": [{"limit": 2}, {"limit": -1, "days": 0}, {"limit": 1, "days": 7, "chanel": "sms"},
                 {"limit": 1, "days": 7, "channel": "smms"}, 3,
                 {"limit": 1, "days": 7, "kind": "spam"}],
    })  # fmt: skip
    for said in ("a cap needs `days`", "`limit` of a cap", "`days` of a cap", "`chanel` is nothing",
                 "`smms`; did you mean `sms`", "not `3`", "not `spam`"):  # fmt: skip
        assert said in text
    assert "`[[caps]]`" in mistakes({"caps": {"limit": 2, "days": 7}})


def test_every_mistake_is_named_with_its_place_all_at_once() -> None:
    with pytest.raises(se.ConfigError) as caught:
        read_config(GOLDEN / "mistakes.toml")
    text = str(caught.value).replace(str(GOLDEN), "GOLDEN")
    assert_golden(GOLDEN / "mistakes.txt", text + "\n")
    assert caught.value.field == "store.timezone"


def test_a_section_that_is_no_section_is_named() -> None:
    text = mistakes({"store": 3, "segments": ["x"], "load": {"orders": "orders.csv"}})
    for place in ("store", "segments", "load.orders"):
        assert f"`{place}`: must be a section" in text


def test_thresholds_must_not_fall() -> None:
    assert "new_days <= active_days <= sleeping_days" in mistakes(
        {"lifecycle": {"new_days": 61, "active_days": 60}}
    )
    parse_config({"lifecycle": {"new_days": 0, "active_days": 0, "sleeping_days": 0}})


def test_the_four_targets_of_the_range_mix_come_to_one() -> None:
    assert parse_config({}).range_mix == RangeMix(0.30, 0.50, 0.15, 0.05)
    given = {"star": 0.1, "cash_cow": 0.2, "question": 0.3, "dog": 0.4}
    assert parse_config({"range_mix": given}).range_mix == RangeMix(**given)
    text = mistakes({"range_mix": {"star": 0.5}})
    assert "`range_mix`: the four shares must come to 1" in text
    assert "is 1.2" in text
    assert "`range_mix.dog`" in mistakes({"range_mix": {**given, "dog": 2}})
    assert "did you mean `cash_cow`" in mistakes({"range_mix": {**given, "cash_cows": 0.0}})


def test_cuts_go_with_mode_fixed_alone() -> None:
    assert "`rfm.recency`: is not a setting" in mistakes({"rfm": {"recency": [1, 2, 3, 4]}})
    missing = mistakes({"rfm": {"mode": "fixed"}})
    assert [f"`rfm.{name}`: is missing" in missing for name in ("recency", "orders", "amount")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[store\n", "is not TOML"),
        (b"[store]\ntimezone = 'UTC'\ntimezone = 'UTC'\n", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / "store.toml").write_bytes(text)
    with pytest.raises(se.ConfigError, match=says) as caught:
        se.Engine.open(tmp_path)
    assert str(tmp_path / "store.toml") in str(caught.value)


def test_a_folder_without_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(se.StoreError, match=r"there is no store at .*nowhere"):
        se.Engine.open(tmp_path / "nowhere")
    with pytest.raises(se.StoreError, match=r"has no store.toml"):
        se.Engine.open(tmp_path)
    (tmp_path / "store.toml").touch()
    with pytest.raises(se.StoreError, match=rf"store.toml` is a file, .* name `{tmp_path}`$"):
        se.Engine.open(tmp_path / "store.toml")


def test_a_config_given_to_the_engine_is_shaped_like_the_file() -> None:
    config = {"store": {"timezone": "Asia/Shanghai", "as_of": datetime(2024, 1, 1, 8)}}  # noqa: DTZ001
    engine = se.Engine(config=config)
    assert engine.as_of == datetime(2024, 1, 1, tzinfo=UTC)
    assert engine.as_of_is_fixed
