"""What did buyers say? Reviews of delivered lines, kind in general, less so of late parcels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from segengine.demo.buyers import Buyers
from segengine.demo.columns import MOMENT, TEXT, moments, text, time_order, whole
from segengine.demo.draws import draw, happens, lottery, stream, waits
from segengine.demo.orders import IDS_PER_CHUNK, Orders
from segengine.demo.rhythm import DAY, HOUR
from segengine.demo.setting import Setting
from segengine.demo.statuses import LATE

_REVIEWED = 0.213
_IN_TIME = (3, 3, 8, 22, 64)  # chances of ratings 1 to 5
_TOO_LATE = (20, 17, 22, 21, 20)

SCHEMA = pa.schema(
    [
        ("review_id", pa.int64()),
        ("customer_id", pa.int64()),
        ("time", MOMENT),
        ("product_id", TEXT),
        ("rating", pa.int32()),
    ]
)


def review_batch(setting: Setting, chunk: int, buyers: Buyers, orders: Orders) -> pa.RecordBatch:
    """One chunk of the reviews table, by time."""
    rng = stream(setting.seed, "reviews", chunk)
    delivered = orders.statuses.delivered
    reviewed = np.flatnonzero((delivered <= setting.end) & happens(rng, len(delivered), _REVIEWED))
    n = len(reviewed)
    time = delivered[reviewed] + 2 * HOUR + waits(rng, n, 3.5 * DAY)
    late = delivered[reviewed] - orders.placed[reviewed] > LATE
    rating = 1 + np.where(late, draw(rng, lottery(_TOO_LATE), n), draw(rng, lottery(_IN_TIME), n))
    starts = orders.baskets.starts
    counts = np.diff(starts, append=len(orders.baskets.order))[reviewed]
    line = starts[reviewed] + (rng.random(n) * counts).astype(np.int64)
    product = orders.baskets.product[line]

    said = np.flatnonzero(time <= setting.end)
    order = said[time_order(time[said], setting.start)]
    first_id = (chunk + 1) * IDS_PER_CHUNK
    return pa.record_batch(
        [
            pa.array(np.arange(first_id, first_id + len(order))),
            pa.array(orders.owner[reviewed[order]] + buyers.first_id),
            moments(time[order], setting.end),
            text(product[order], setting.catalogue.id_words),
            whole(rating[order], pa.int32()),
        ],
        schema=SCHEMA,
    )
