"""Who bought what? Buyers and their order lines, for the rules that read events."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from segengine.bench.population import AS_OF, moments, texts
from segengine.tables.column import decimals_of

LINES_PER_BUYER = 5
CATEGORIES = (
    "bath", "body", "brows", "eyes", "hair", "hands", "lips", "makeup", "men", "nails", "skincare",
    "sun",
)  # fmt: skip
BUYER_COLUMNS = ("member_level", "card_claimed_at")
LINE_COLUMNS = ("customer_id", "order_id", "line_id", "time", "category", "amount")

_MICROS = 1_000_000
_YEAR = 365 * 86_400 * _MICROS


def buyers_and_lines(rows: int, seed: int = 11) -> dict[str, pa.Table]:
    """`customers` and `order_lines`, five lines a buyer; the same seed gives the same.

    The lines stand in the order they arrived in, their times rising over the two years before
    AS_OF, no two alike; an order has one to four lines beside each other. member_level is 1 to 5;
    a tenth has claimed no card.
    """
    rng = np.random.default_rng(seed)
    as_of = int(AS_OF.timestamp()) * _MICROS
    claimed = as_of - (rng.random(rows) * 2 * _YEAR).astype(np.int64)
    customers = pa.table(
        {
            "customer_id": pa.array(np.arange(1, rows + 1)),
            "member_level": pa.array(rng.integers(1, 6, rows, dtype=np.int32)),
            "card_claimed_at": pa.array(claimed, mask=rng.random(rows) < 0.1).cast(
                pa.timestamp("us", "UTC")
            ),
        }
    )
    count = rows * LINES_PER_BUYER
    sizes = rng.integers(1, 5, count, dtype=np.int32)
    order = np.repeat(np.arange(1, count + 1), sizes)[:count]
    starts = np.r_[True, order[1:] != order[:-1]]
    line = (np.arange(count) - np.flatnonzero(starts)[order - 1] + 1).astype(np.int32)
    # Some buy often: half of the orders are of a third of the buyers.
    buyer = 1 + (rng.random(int(order[-1])) ** 1.6 * rows).astype(np.int64)
    time = np.sort(rng.random(count))
    micros = as_of - 2 * _YEAR + (time * (2 * _YEAR - count)).astype(np.int64) + np.arange(count)
    cents = np.exp(rng.normal(7.5, 0.9, count)).astype(np.int64) * 100
    lines = pa.table(
        {
            "customer_id": pa.array(buyer[order - 1]),
            "order_id": pa.array(order),
            "line_id": pa.array(line),
            "time": moments(micros),
            "category": texts(
                (rng.random(count) ** 1.5 * len(CATEGORIES)).astype(np.int32), CATEGORIES
            ),
            "amount": decimals_of(cents, None, pa.decimal128(18, 4)),
        }
    )
    return {"customers": customers, "order_lines": lines}
