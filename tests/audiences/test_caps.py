"""A cap counts the right messages, on the right dates, and binds the right campaigns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from tests.audiences.stores import AS_OF, store

DAY = 24 * 60
Sent = tuple[int, str, int, str | None, str | None]


def send(engine: se.Engine, *messages: Sent) -> None:
    """Messages (customer_id, kind, minutes before as_of, channel, class), live."""
    engine.append("messages", pa.table({
        "customer_id": [m[0] for m in messages],
        "kind": [m[1] for m in messages],
        "time": [AS_OF - timedelta(minutes=m[2]) for m in messages],
        "channel": pa.array([m[3] for m in messages], pa.string()),
        "class": pa.array([m[4] for m in messages], pa.string()),
    }))  # fmt: skip


def capped(engine: se.Engine, *caps: se.Cap, **options: Any) -> set[int | str]:
    """Whom the step `frequency_cap` drops from a campaign with these caps."""
    engine.define_campaign(se.Campaign("c", "TRUE", caps=caps, **options))
    audience = engine.audience("c")
    everybody = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
    return {who for who in everybody if audience.explain(who).step == "frequency_cap"}


def test_a_limit_of_nothing_allows_nothing_and_no_cap_allows_all() -> None:
    engine = store()
    assert capped(engine, se.Cap(0, 7)) == set(range(1, 9))
    assert capped(engine) == set()
    assert capped(store(caps=[{"limit": 0, "days": 1}])) == set(range(1, 9))


def test_what_was_sent_or_held_out_counts_and_nothing_else_does() -> None:
    engine = store()
    for who, kind in enumerate(("sent", "held_out", "delivered", "opened", "clicked", "failed"), 1):
        send(engine, (who, kind, 10, "sms", "marketing"))
    assert capped(engine, se.Cap(1, 7)) == {1, 2}


def test_the_limit_is_how_many_are_allowed() -> None:
    engine = store()
    for who in range(1, 5):
        send(engine, *[(who, "sent", 10 + n, "sms", "marketing") for n in range(who)])
    for limit in range(6):
        assert capped(engine, se.Cap(limit, 7)) == ({*range(limit, 5)} if limit else {*range(1, 9)})


def test_dates_are_the_stores_and_end_today() -> None:
    engine = se.Engine("Asia/Shanghai", AS_OF)
    engine.load("customers", pa.table({"customer_id": [1, 2, 3]}))
    # 20:00 here: today began 20 hours ago, and yesterday another 24.
    send(engine, (1, "sent", 20 * 60, "sms", None), (2, "sent", 20 * 60 + 1, "sms", None),
         (3, "sent", 44 * 60 + 1, "sms", None))  # fmt: skip
    assert [capped(engine, se.Cap(1, days)) for days in (1, 2, 3)] == [{1}, {1, 2}, {1, 2, 3}]
    engine.advance(AS_OF + timedelta(days=1))
    assert [capped(engine, se.Cap(1, days)) for days in (1, 2, 3)] == [set(), {1}, {1, 2}]


def test_a_message_of_the_future_does_not_count_before_it_is_there() -> None:
    engine = store()
    engine.load("messages", pa.table({
        "customer_id": [1], "kind": ["sent"], "time": [AS_OF + timedelta(minutes=30)],
    }))  # fmt: skip
    assert capped(engine, se.Cap(1, 7)) == set()
    engine.advance(AS_OF + timedelta(hours=1))
    assert capped(engine, se.Cap(1, 7)) == {1}


def test_a_class_counts_alone_and_none_counts_as_marketing() -> None:
    engine = store()
    for who, kind in enumerate(("marketing", "care", "service", None, "other"), 1):
        send(engine, (who, "sent", 10, "sms", kind))
    assert capped(engine, se.Cap(1, 7)) == {1, 4}
    assert capped(engine, se.Cap(1, 7, kind="care")) == {2}
    assert capped(engine, se.Cap(1, 7, kind="service")) == {3}


def test_a_channel_counts_alone_and_without_one_all_do() -> None:
    engine = store()
    for who, channel in enumerate(("sms", "email", "pigeon", None), 1):
        send(engine, (who, "sent", 10, channel, "marketing"))
    assert capped(engine, se.Cap(1, 7, "sms")) == {1}
    assert capped(engine, se.Cap(1, 7, "email")) == {2}
    assert capped(engine, se.Cap(1, 7)) == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("cap", "campaign", "bound"),
    [
        ({}, {}, True),
        ({}, {"channel": "sms"}, True),
        ({}, {"kind": "care"}, False),
        ({"kind": "care"}, {"kind": "care"}, True),
        ({"kind": "care"}, {}, False),
        ({}, {"kind": "service"}, False),
        ({"kind": "service"}, {"kind": "service"}, False),
        ({"channel": "sms"}, {"channel": "sms"}, True),
        ({"channel": "sms"}, {"channel": "email"}, False),
        ({"channel": "sms"}, {}, False),
    ],
)
def test_a_cap_of_the_store_binds_campaigns_of_its_kind_and_channel(
    cap: dict[str, str], campaign: dict[str, str], bound: bool
) -> None:
    engine = store(consent={"missing": "allow"}, caps=[{"limit": 0, "days": 7, **cap}])
    assert bool(capped(engine, **campaign)) is bound


def test_a_campaigns_own_cap_binds_it_whatever_it_counts_and_no_other() -> None:
    engine = store()
    send(engine, (1, "sent", 10, "sms", "marketing"))
    assert capped(engine, se.Cap(1, 7, "sms"), kind="care") == {1}
    assert capped(engine, se.Cap(1, 7), kind="service") == set()
    engine.define_campaign(se.Campaign("other", "TRUE"))
    assert engine.audience("other").count() == 8


def test_the_ledger_says_which_cap_dropped_how_many() -> None:
    engine = store(caps=[{"limit": 1, "days": 1}, {"limit": 2, "days": 7, "channel": "sms"}])
    for who, times in ((1, 2), (5, 1), (6, 1)):
        send(engine, *[(who, "sent", 5 + n, "sms", "marketing") for n in range(times)])
    engine.define_campaign(
        se.Campaign("c", "TRUE", channel="sms", caps=[se.Cap(9, 9, kind="care")])
    )
    audience = engine.audience("c")
    row = audience.ledger.to_pylist()[6]
    assert (row["entered"], row["dropped"]) == (5, 3)
    assert row["reasons"] == "1 in 1 day: 3, 2 in 7 days by sms: 1"
    assert "(1 in 1 day, 2 in 7 days by sms)" in str(audience.explain(1))
    assert "(1 in 1 day)" in str(audience.explain(5))
    engine.define_campaign(se.Campaign("free", "TRUE", kind="care"))
    said = engine.audience("free").ledger.to_pylist()[6]["reasons"]
    assert said == "no cap binds it"


def test_what_is_appended_counts_at_once_and_a_deleted_buyer_no_more() -> None:
    engine = store()
    for round_ in range(1, 4):
        send(engine, *[(who, "sent", 10, "sms", None) for who in (1, 2, 3)])
        assert capped(engine, se.Cap(round_, 7)) == {1, 2, 3}
        assert capped(engine, se.Cap(round_ + 1, 7)) == set()
    engine.delete_customer(2)
    assert capped(engine, se.Cap(3, 7)) == {1, 3}
