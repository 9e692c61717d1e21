"""Which stores do campaigns ask? A little one, written out, with consents and messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import segengine as se

AS_OF = datetime(2024, 3, 1, 12, tzinfo=UTC)


def store(rows: int = 8, **config: Any) -> se.Engine:
    """Buyers 1 to `rows`: 2 refuses sms, 3 never answered, 4 has no number; spent is 10 x id."""
    engine = se.Engine(as_of=AS_OF, config={"store": {"channels": ["sms", "email"]}, **config})
    ids = list(range(1, rows + 1))
    table = pa.table({
        "customer_id": pa.array(ids, pa.int64()),
        "sms_consent": pa.array([{2: False, 3: None}.get(i, True) for i in ids], pa.bool_()),
        "has_sms": pa.array([i != 4 for i in ids], pa.bool_()),
        "spent": pa.array([10 * i for i in ids], pa.int64()),
    })  # fmt: skip
    engine.load("customers", table, columns={"spent": "spent"})
    return engine


def say(engine: se.Engine, *messages: tuple[int, str, int], channel: str = "sms") -> None:
    """Contact events (customer_id, kind, minutes before as_of), in this order of arrival."""
    engine.load("messages", pa.table({
        "customer_id": [who for who, _, _ in messages],
        "kind": [kind for _, kind, _ in messages],
        "time": [AS_OF - timedelta(minutes=minutes) for _, _, minutes in messages],
        "channel": [channel] * len(messages),
    }))  # fmt: skip


def steps(engine: se.Engine, campaign: se.Campaign) -> dict[int | str, str | None]:
    """The step that dropped each buyer, None for one who is targeted."""
    engine.define_campaign(campaign)
    audience = engine.audience(campaign.name)
    everybody = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
    return {who: audience.explain(who).step for who in everybody}
