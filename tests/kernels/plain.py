"""What does a tiny store answer? Said as JSON, so that a run without the JIT can be compared.

`NUMBA_DISABLE_JIT=1 python -m tests.kernels.plain`
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import segengine as se
from segengine.kernels import jit
from tests.reference.random_customers import COLUMNS
from tests.reference.rules import rule_text
from tests.rules.agreement import case


def answers() -> dict[str, Any]:
    """Bitmaps of rules as lists of words, buckets, an audience's ledger, traits."""
    found: dict[str, Any] = {}
    for seed, extremes in ((1, False), (2, True)):
        tiny = case(seed, 70, extremes=extremes)
        for rule in tiny.rules(12):
            text = rule_text(rule)
            segment = tiny.engine.segment(text)
            with segment._looking() as view:
                words = view.words(segment._rule())
            found[f"{seed}: {text}"] = [int(word) for word in words]
        shares = tiny.engine.segment("bucket('salt') < 0.5").ids()
        found[f"{seed}: bucket"] = shares.to_pylist()
    found["store"] = _store()
    return found


def _store() -> dict[str, Any]:
    as_of = datetime(2024, 3, 1, 12, tzinfo=UTC)
    engine = se.Engine(as_of=as_of, config={"store": {"channels": ["sms"]},
                                            "consent": {"missing": "allow"}})  # fmt: skip
    times = [as_of - timedelta(days=d, hours=d % 7) for d in range(40)]
    who = [d * d % 11 for d in range(40)]
    engine.load("orders", pa.table({
        "customer_id": who, "time": times, "amount": [float(d) for d in range(40)],
    }))  # fmt: skip
    engine.load("messages", pa.table({
        "customer_id": who, "time": times, "channel": ["sms"] * 40,
        "kind": [("delivered", "failed", "opened")[d % 3] for d in range(40)],
    }))  # fmt: skip
    engine.define_campaign(se.Campaign(
        "c", "order_count > 0", channel="sms", holdout=0.3, limit=6, order_by="amount_total DESC",
    ))  # fmt: skip
    audience = engine.audience("c")
    traits = engine.table("customers")
    return {
        "ledger": audience.ledger.to_pylist(),
        "ids": audience.ids().to_pylist(),
        "traits": [str(row) for row in traits.to_pylist()],
    }


if __name__ == "__main__":
    assert jit.JIT_OFF
    assert set(COLUMNS)
    json.dump(answers(), sys.stdout)
