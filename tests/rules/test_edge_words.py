"""The buyers whose first or last text is one of some are found among few, as one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import segengine as se

AS_OF = datetime(2024, 3, 11, 12, tzinfo=UTC)
KINDS = ("sent", "delivered", "failed", "unsubscribed", None)
RULES = tuple(
    f"{agg}(messages.kind) FILTER (WHERE {where}) {test}"
    for agg in ("first", "last")
    for where in ("channel = 'sms' AND kind IN ('delivered', 'failed')", "TRUE", "channel = 'x'")
    for test in ("IN ('failed', 'unsubscribed')", "= 'sent'", "<> 'sent'", "IS NULL",
                 "= 'never'", "IS DISTINCT FROM 'failed'")
)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_bitmap_of_edges_is_every_buyer_for_whom_they_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, buyers = 600, 150
    # Many at one moment, so that the order of arrival decides; some ahead of as_of.
    times = [AS_OF - timedelta(hours=int(h)) for h in rng.integers(-3, 12, count)]
    engine = se.Engine("UTC", AS_OF)
    engine.load("customers", pa.table({"customer_id": range(buyers + 20)}))
    engine.load("messages", pa.table({
        "customer_id": rng.integers(0, buyers, count),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "kind": [KINDS[k] for k in rng.integers(0, len(KINDS), count)],
        "channel": [("sms", "email")[k] for k in rng.integers(0, 2, count)],
    }))  # fmt: skip
    for rule in RULES:
        segment = engine.segment(rule)
        held = set(segment.ids().to_pylist())
        assert held == {b for b in range(buyers + 20) if segment.contains(b)}, rule
