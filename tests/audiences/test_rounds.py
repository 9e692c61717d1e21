"""Round after round of messages: nobody is written to against a cap, a consent or a suppression."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest

import segengine as se

BUYERS = 120
START = datetime(2024, 2, 20, 9, tzinfo=UTC)
Row = dict[str, Any]


def random_store(rng: Random) -> tuple[se.Engine, list[se.Cap], list[Row]]:
    """Buyers with consents, caps of the store, and campaigns that want the same buyers."""
    caps = [
        se.Cap(rng.randrange(1, 4), rng.choice((1, 2, 5, 9)), rng.choice((None, "sms")),
               rng.choice(("marketing", "marketing", "care")))
        for _ in range(rng.randrange(1, 4))
    ]  # fmt: skip
    sections = [{"limit": c.limit, "days": c.days, "kind": c.kind}
                | ({"channel": c.channel} if c.channel else {}) for c in caps]  # fmt: skip
    engine = se.Engine(as_of=START, config={
        "store": {"channels": ["sms", "email"]}, "caps": sections, "holdout": {"share": 0.1},
    })  # fmt: skip
    people = [
        {"customer_id": who, "sms_consent": rng.choice((True, True, True, False, None)),
         "email_consent": rng.random() < 0.8, "has_sms": rng.random() < 0.9,
         "spent": rng.randrange(100), "angry": rng.random() < 0.1}
        for who in range(BUYERS)
    ]  # fmt: skip
    engine.load("customers", pa.Table.from_pylist(people), columns={"spent": "spent",
                                                                    "angry": "angry"})  # fmt: skip
    engine.define_segment("angry", "angry", suppress=True)
    for number in range(rng.randrange(2, 6)):
        engine.define_campaign(se.Campaign(
            f"c{number}", f"spent % {rng.randrange(1, 4)} = 0",
            channel=rng.choice(("sms", "sms", "email")),
            kind=rng.choice(("marketing", "marketing", "care")), priority=rng.randrange(2),
            value=rng.choice((None, f"spent % {rng.randrange(2, 9)}")),
            limit=rng.choice((None, 15, 40)), order_by="spent DESC", holdout=rng.choice((0, 0.3)),
        ))  # fmt: skip
    return engine, caps, people


def sent_rows(engine: se.Engine, plan: se.CampaignPlan, rng: Random) -> list[Row]:
    """What running a plan leaves in `messages`: sent, or held out; some fail or unsubscribe."""
    rows: list[Row] = []
    for name, audience in plan.audiences.items():
        campaign = engine.campaigns[name]
        shared = {"campaign": name, "channel": campaign.channel, "class": campaign.kind}
        for kind, ids in (("sent", audience.ids()), ("held_out", audience.held_out())):
            for who in ids.to_pylist():
                rows.append({"customer_id": who, "time": engine.as_of, "kind": kind, **shared})
                if kind == "sent":
                    came = rng.choices(("delivered", "failed", "unsubscribed"), (20, 1, 1))[0]
                    rows.append({**rows[-1], "kind": came})
    return rows


def assert_within_caps(rows: list[Row], caps: list[se.Cap], today: datetime) -> None:
    for cap in caps:
        counted: dict[int, int] = {}
        for row in rows:
            age = (today.date() - row["time"].date()).days
            if (row["kind"] in ("sent", "held_out") and row["class"] == cap.kind
                    and cap.channel in (None, row["channel"]) and age < cap.days):  # fmt: skip
                counted[row["customer_id"]] = counted.get(row["customer_id"], 0) + 1
        assert max(counted.values(), default=0) <= cap.limit, cap


def assert_allowed(new: list[Row], before: list[Row], people: list[Row]) -> None:
    telling = ("delivered", "failed", "unsubscribed")
    for row in new:
        if row["kind"] != "sent":
            continue
        who, channel = row["customer_id"], row["channel"]
        assert people[who][f"{channel}_consent"] is True
        assert channel != "sms" or people[who]["has_sms"]
        assert not people[who]["angry"]
        last = [old["kind"] for old in before if old["customer_id"] == who
                and old["channel"] == channel and old["kind"] in telling]  # fmt: skip
        assert last[-1:] in ([], ["delivered"])


def go_through(seed: int, rounds: int) -> int:
    rng = Random(seed)
    engine, caps, people = random_store(rng)
    names = list(engine.campaigns)
    rows: list[Row] = []
    for _ in range(rounds):
        chosen = rng.sample(names, rng.randrange(1, len(names) + 1))
        plan = engine.plan_campaigns(chosen, rng.choice(("priority", "value")))
        for name, audience in plan.audiences.items():
            ledger = audience.ledger.to_pylist()
            assert all(r["entered"] - r["dropped"] == r["remaining"] for r in ledger)
            limit = engine.campaigns[name].limit
            assert limit is None or ledger[8]["remaining"] <= limit
        new = sent_rows(engine, plan, rng)
        assert_allowed(new, rows, people)
        rows += new
        assert_within_caps(rows, caps, engine.as_of)
        if new:
            engine.append("messages", pa.Table.from_pylist(new))
        engine.advance(engine.as_of + timedelta(hours=rng.choice((1, 7, 24, 30, 80))))
    return len(rows)


@pytest.mark.parametrize("seed", range(4))
def test_no_cap_consent_or_suppression_is_violated_over_rounds(seed: int) -> None:
    assert go_through(seed, 4) > 0


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 160))
def test_nor_over_many_rounds_of_many_stores(seed: int) -> None:
    assert go_through(seed, 12) > 0
