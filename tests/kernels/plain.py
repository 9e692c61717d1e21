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
from tests.acceptance.leaf_stores import engine_of
from tests.reference.leaf_cases import leaf_case
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
    return found | _leaves()


LEAVES = (
    "c_int > 3", "c_small NOT IN (0, 4, NULL)", "c_double BETWEEN -1 AND 40.5", "c_money <= 1.25",
    "c_text LIKE '%a%'", "c_city IN ('Paris', 'Oslo') OR c_city IS NULL", "c_flag", "NOT c_flag",
    "c_date < today()", "in_last_days(c_time, 400)", "days_until_birthday(birthday) < 100",
    "len(c_tags) > 1", "list_has_any(c_tags, ['vip', 'new'])", "c_int + c_int2 * 2 > 10",
    "c_double / c_small > 0.5", "month(c_date) = month(birthday)", "year(c_time) > 2020",
    "CASE WHEN c_flag THEN c_int ELSE c_small END >= 1", "coalesce(c_int, c_small, 0) > 1",
    "least(c_int, c_small) < greatest(c_int2, 3)", "nullif(c_small, 1) IS NULL",
    "bucket('spring') < 0.4", "affinity('category', 'tea') >= 0.2", "declared > 1",
    "segment('plain') OR segment('vip')", "store.magic_number = 6 AND c_int > 0",
    "percent_rank(c_int) OVER () >= 0.5",
    "percent_rank(c_double) OVER (PARTITION BY c_group) < 0.5",
    "c_int > avg(c_int) FILTER (WHERE c_small > 0) OVER (PARTITION BY c_city)",
    "c_money >= median(c_money) OVER ()", "c_time = max(c_time) OVER (PARTITION BY c_flag)",
    "c_double >= quantile(c_double, 0.75) OVER ()", "c_date = min(c_date) OVER ()",
    "count(orders) >= 2", "count(purchases) FILTER (WHERE in_last_days(time, 200)) >= 1",
    "count(DISTINCT order_lines.order_id) >= 2", "count(DISTINCT orders.channel) = 1",
    "sum(purchases.amount) > 100", "avg(orders.amount) > 10", "min(orders.amount) < 5",
    "max(orders.time) > now() - INTERVAL 200 DAY", "first(orders.channel) = last(orders.channel)",
    "max(orders.channel) > 'b'", "sum(order_lines.quantity) % 2 = 1",
    "count(order_lines) FILTER (WHERE product.price > 10 OR amount > product.cost) > 0",
    "count(orders) FILTER (WHERE amount > customers.c_int AND customers.c_flag) > 0",
)  # fmt: skip
"""Rules of every kind of leaf, over the shop of a case."""


def _leaves() -> dict[str, Any]:
    """The buyers of each, all at once and one by one."""
    case = leaf_case(6, 70)
    engine = engine_of(case)
    found = {}
    for rule in (*LEAVES, *(rule_text(rule) for rule in case.rules(8))):
        segment = engine.segment(rule)
        ids = segment.ids().to_pylist()
        some = case.shop.standing["customers"]["customer_id"].to_pylist()[:4]
        found[f"shop: {rule}"] = [ids, [segment.contains(who) for who in some]]
    listed = engine.segment(se.col("c_int").is_in(pa.array([0, 1, 7, 100, None])))
    found["shop: an array"] = listed.ids().to_pylist()
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
