"""Each step drops whom it should, whatever the other steps do, and says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.audiences.ledger import STEPS
from tests.audiences.stores import AS_OF, say, steps, store
from tests.golden import assert_golden

FOLDER = Path(__file__).parent / "golden"


def dropped(engine: se.Engine, **campaign: Any) -> dict[int | str, str]:
    """Who is dropped where by a campaign for everybody."""
    found = steps(engine, se.Campaign("c", campaign.pop("segment", "TRUE"), **campaign))
    return {who: step for who, step in found.items() if step is not None}


def test_the_steps_are_always_all_there_in_order() -> None:
    engine = se.Engine(as_of=AS_OF)
    engine.define_campaign(se.Campaign("c", "order_count > 1"))
    ledger = engine.audience("c").ledger
    assert ledger["step"].to_pylist() == list(STEPS)
    assert set(ledger["remaining"].to_pylist()) == {0}
    assert ledger.column_names == ["step", "entered", "dropped", "remaining", "reasons"]


def test_consent_is_asked_of_the_campaigns_channel_alone() -> None:
    assert dropped(store(), channel="sms") == {2: "consent", 3: "consent", 4: "consent"}
    assert dropped(store()) == {}
    assert set(dropped(store(), channel="email").values()) == {"consent"}
    assert len(dropped(store(), channel="email")) == 8


def test_a_store_may_take_silence_for_consent() -> None:
    allowing = store(consent={"missing": "allow"})
    assert dropped(allowing, channel="sms") == {2: "consent", 4: "consent"}
    assert dropped(allowing, channel="email") == {}


def test_the_last_word_about_a_channel_counts_by_time_then_arrival() -> None:
    engine = store()
    say(engine, (1, "delivered", 30), (1, "failed", 20), (5, "failed", 30), (5, "delivered", 20),
        (6, "unsubscribed", 10), (6, "delivered", 10), (7, "delivered", 10), (7, "failed", 10),
        (8, "sent", 5), (8, "opened", 4))  # fmt: skip
    found = dropped(engine, channel="sms")
    assert {who for who in (1, 5, 6, 7, 8) if who in found} == {1, 7}
    say(engine, (1, "delivered", 25))
    assert 1 in dropped(engine, channel="sms")
    say(engine, (1, "delivered", 15))
    assert 1 not in dropped(engine, channel="sms")


def test_messages_of_another_channel_or_of_the_future_say_nothing() -> None:
    engine = store()
    say(engine, (1, "failed", 10), channel="email")
    say(engine, (5, "unsubscribed", -10))
    assert set(dropped(engine, channel="sms")) == {2, 3, 4}
    engine.advance(AS_OF + timedelta(minutes=10))
    assert set(dropped(engine, channel="sms")) == {2, 3, 4, 5}


@pytest.mark.parametrize(
    ("kind", "suppressed", "held_out"),
    [("marketing", True, True), ("care", True, False), ("service", False, False)],
)
def test_kinds_of_campaigns_are_bound_by_different_steps(
    kind: str, suppressed: bool, held_out: bool
) -> None:
    engine = store(400, holdout={"share": 0.5})
    engine.define_segment("complained", "spent <= 1000", suppress=True)
    found = dropped(engine, kind=kind)
    assert ("suppression" in found.values()) is suppressed
    assert ("global_holdout" in found.values()) is held_out
    if suppressed:
        assert {who for who, step in found.items() if step == "suppression"} == set(range(1, 101))


def test_exclusions_drop_who_is_in_any_of_them_and_unknown_is_not_in() -> None:
    engine = store()
    rules = ["spent = 10", se.col("spent") == 20, "sms_consent"]
    assert dropped(engine, exclusions=rules) == dict.fromkeys((1, 2, 4, 5, 6, 7, 8), "exclusions")


def test_a_buyer_who_is_deleted_is_nobodys_audience() -> None:
    engine = store()
    engine.define_campaign(se.Campaign("c", "TRUE"))
    before = engine.audience("c")
    engine.delete_customer(5)
    after = engine.audience("c")
    assert (before.count(), after.count()) == (8, 7)
    assert after.ledger["entered"][0].as_py() == 7
    with pytest.raises(se.UnknownCustomer):
        before.explain(5)


def test_a_buyer_who_came_later_is_unknown_to_a_frozen_audience() -> None:
    engine = store()
    engine.define_campaign(se.Campaign("c", "TRUE"))
    before = engine.audience("c")
    engine.append("customers", pa.table({"customer_id": [99]}))
    with pytest.raises(se.UnknownCustomer, match="unknown customer `99`"):
        before.explain(99)
    assert engine.audience("c").explain(99).holds


def test_conditions_of_a_frozen_audience_are_said_to_be_those_of_now() -> None:
    engine = store()
    engine.define_campaign(se.Campaign("c", "member_level > 3", exclusions=["gender = 'x'"]))
    before = engine.audience("c")
    assert "\n  rule:\n" in str(before.explain(5))
    engine.append("customers", pa.table({"customer_id": [5], "member_level": [4]}))
    found = before.explain(5)
    assert found.step == "rule"
    assert "\n  rule, as the buyer is now:\n    yes" in str(found)
    assert engine.audience("c").explain(5).holds


def test_a_window_is_a_number_of_days_and_no_switch() -> None:
    with pytest.raises(se.DefinitionError, match="`window_days` is a whole number from 1"):
        se.Campaign("c", "TRUE", window_days=True)


@pytest.mark.parametrize(
    ("window", "active"),
    [
        ({}, True),
        ({"starts_at": AS_OF}, True),
        ({"starts_at": AS_OF + timedelta(microseconds=1)}, False),
        ({"ends_at": AS_OF}, False),
        ({"ends_at": AS_OF + timedelta(microseconds=1)}, True),
        ({"starts_at": AS_OF.replace(tzinfo=None)}, True),
        ({"hours": [(9, 12)]}, False),
        ({"hours": [(12, 13)]}, True),
        ({"hours": [(22, 6)]}, False),
        ({"hours": [("22:00", "12:01")]}, True),
        ({"hours": [(1, 2), ("11:30", "12:30")]}, True),
        ({"hours": [(0, 24)]}, True),
    ],
)
def test_a_campaign_outside_its_window_can_be_asked_about(
    window: dict[str, Any], active: bool
) -> None:
    engine = store()
    engine.define_campaign(se.Campaign("c", "TRUE", **window))
    audience = engine.audience("c")
    assert audience.active is active
    assert audience.count() == 8


def test_an_audience_says_when_and_of_which_data_it_is_true() -> None:
    engine = store()
    engine.define_campaign(se.Campaign("c", "TRUE"))
    audience = engine.audience("c")
    assert (audience.as_of, audience.data_version) == (AS_OF, engine.data_version)


def test_a_table_has_the_id_the_variant_and_what_is_asked() -> None:
    engine = store()
    engine.define_campaign(se.Campaign("c", "spent <= 20", variants={"only": (1, {"text": "x"})}))
    rows = engine.audience("c").table(["spent", "variant", "customer_id"]).to_pylist()
    assert rows == [{"customer_id": 1, "variant": "only", "spent": 10},
                    {"customer_id": 2, "variant": "only", "spent": 20}]  # fmt: skip
    engine.define_campaign(se.Campaign("none", "spent <= 10"))
    assert engine.audience("none").table().to_pylist() == [{"customer_id": 1, "variant": None}]
    with pytest.raises(se.UnknownNameError, match="unknown trait `spend`; did you mean `spent`"):
        engine.audience("c").table(["spend"])


def test_a_ledger_and_its_explanations_read_as_they_were_found_good() -> None:
    engine = store(12, holdout={"share": 0.2}, consent={"missing": "allow"})
    engine.define_segment("complained", "spent = 60", suppress=True)
    engine.define_campaign(se.Campaign(
        "spring", "spent >= 20 AND spent < 500", exclusions=["spent = 50", "has_sms IS NULL"],
        channel="sms", limit=5, order_by="spent DESC", holdout=0.4,
        variants={"a": 0.5, "b": 0.5},
    ))  # fmt: skip
    audience = engine.audience("spring")
    lines = [f"{r['step']}: {r['entered']} - {r['dropped']} = {r['remaining']} ({r['reasons']})"
             for r in audience.ledger.to_pylist()]  # fmt: skip
    lines += ["", *(str(audience.explain(who)) for who in range(1, 13)), ""]
    assert_golden(FOLDER / "spring.txt", "\n".join(lines))
