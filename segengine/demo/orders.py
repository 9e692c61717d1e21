"""Who ordered when? The orders and order lines of a chunk of buyers, and both tables of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.demo.baskets import Baskets, fill_baskets
from segengine.demo.buyers import WHOLESALE, Buyers
from segengine.demo.columns import (
    MOMENT,
    MONEY,
    TEXT,
    moments,
    money,
    text,
    time_order,
    whole,
    words,
)
from segengine.demo.draws import draw, happens, lottery, stream
from segengine.demo.names import PLACES
from segengine.demo.promotions import PROMOTIONS, choose_promotions
from segengine.demo.rhythm import moment_at, move_to_hour
from segengine.demo.setting import Setting
from segengine.demo.statuses import (
    CHANNELS,
    CLOSE_REASONS,
    COD,
    PAYMENTS,
    STORE,
    Statuses,
    follow_orders,
)

IDS_PER_CHUNK = 1_000_000_000
"""order_id is chunk x this + place: unique without knowing how many orders other chunks have."""

ORDER_SCHEMA = pa.schema(
    [
        ("order_id", pa.int64()),
        ("customer_id", pa.int64()),
        ("time", MOMENT),
        ("paid_at", MOMENT),
        ("shipped_at", MOMENT),
        ("arrived_at", MOMENT),
        ("delivered_at", MOMENT),
        ("confirmed_at", MOMENT),
        ("closed_at", MOMENT),
        ("refunded_at", MOMENT),
        ("refund_amount", MONEY),
        ("close_reason", TEXT),
        ("amount", MONEY),
        ("payment", TEXT),
        ("channel", TEXT),
        ("region", TEXT),
        ("promotion", TEXT),
    ]
)

LINE_SCHEMA = pa.schema(
    [
        ("order_id", pa.int64()),
        ("line_id", pa.int64()),
        ("customer_id", pa.int64()),
        ("time", MOMENT),
        ("product_id", TEXT),
        ("category", TEXT),
        ("brand", TEXT),
        ("quantity", pa.int32()),
        ("amount", MONEY),
        ("list_amount", MONEY),
    ]
)

_PAYMENTS = words(PAYMENTS)
_CHANNELS = words(CHANNELS)
_REASONS = words(CLOSE_REASONS)
_PROMOTIONS = words(PROMOTIONS)
_REGIONS = words(tuple(p[0] for p in PLACES))


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """The orders of a chunk of buyers by time; arrays are int64[orders].

    owner: position of the buyer in the chunk. placed: seconds since 1970. payment, channel,
    region, promotion: codes, -1 for none.
    """

    first_id: int
    owner: NDArray[np.int64]
    placed: NDArray[np.int64]
    payment: NDArray[np.int64]
    channel: NDArray[np.int64]
    region: NDArray[np.int64]
    promotion: NDArray[np.int64]
    baskets: Baskets
    statuses: Statuses

    @property
    def ids(self) -> NDArray[np.int64]:
        """order_id: int64[orders]."""
        return np.arange(self.first_id, self.first_id + len(self.placed))


def chunk_orders(setting: Setting, chunk: int, buyers: Buyers) -> Orders:
    """All orders of one chunk of buyers, with their lines and what became of them."""
    rng = stream(setting.seed, "orders", chunk)
    owner, placed, is_first = _placed(rng, setting, buyers)
    n = len(owner)
    channel = _habit(rng, buyers.shop[owner], [70, 22, 8])
    payment = _habit(rng, buyers.payment[owner], [50, 37, 9, 4])
    payment = np.where((channel == STORE) & (payment == COD), 0, payment)
    elsewhere = draw(rng, lottery([p[1] for p in PLACES]), n)
    region = np.where(happens(rng, n, 0.04), elsewhere, buyers.region[owner])
    promotion = choose_promotions(rng, setting, placed, is_first, buyers.bargain[owner])

    baskets = fill_baskets(
        stream(setting.seed, "lines", chunk),
        setting.catalogue,
        placed=placed,
        promotion=promotion,
        category=buyers.category[owner],
        brand_start=buyers.brand_start[owner],
        brand_end=buyers.brand_end[owner],
        in_bulk=buyers.has_tag(WHOLESALE)[owner],
    )
    statuses = follow_orders(
        stream(setting.seed, "statuses", chunk),
        setting,
        placed=placed,
        channel=channel,
        payment=payment,
        region=region,
        amount=baskets.total,
        category=setting.catalogue.category[baskets.product[baskets.starts]],
    )
    first_id = (chunk + 1) * IDS_PER_CHUNK
    return Orders(first_id, owner, placed, payment, channel, region, promotion, baskets, statuses)


def order_batch(setting: Setting, _chunk: int, buyers: Buyers, orders: Orders) -> pa.RecordBatch:
    """One chunk of the orders table."""
    end = setting.end
    status = orders.statuses
    return pa.record_batch(
        [
            pa.array(orders.ids),
            pa.array(orders.owner + buyers.first_id),
            moments(orders.placed, end),
            moments(status.paid, end),
            moments(status.shipped, end),
            moments(status.arrived, end),
            moments(status.delivered, end),
            moments(status.confirmed, end),
            moments(status.closed, end),
            moments(status.refunded, end),
            money(status.refund, status.refund == 0),
            text(status.reason, _REASONS),
            money(orders.baskets.total),
            text(orders.payment, _PAYMENTS),
            text(orders.channel, _CHANNELS),
            text(orders.region, _REGIONS),
            text(orders.promotion, _PROMOTIONS),
        ],
        schema=ORDER_SCHEMA,
    )


def line_batch(setting: Setting, _chunk: int, buyers: Buyers, orders: Orders) -> pa.RecordBatch:
    """One chunk of the order_lines table."""
    catalogue, baskets = setting.catalogue, orders.baskets
    product = baskets.product
    return pa.record_batch(
        [
            pa.array(baskets.order + orders.first_id),
            pa.array(baskets.number),
            pa.array(orders.owner[baskets.order] + buyers.first_id),
            moments(orders.placed[baskets.order], setting.end),
            text(product, catalogue.id_words),
            text(catalogue.category[product], catalogue.category_words),
            text(catalogue.brand[product], catalogue.brand_words),
            whole(baskets.quantity, pa.int32()),
            money(baskets.amount),
            money(baskets.list_amount),
        ],
        schema=LINE_SCHEMA,
    )


def _placed(
    rng: np.random.Generator, setting: Setting, buyers: Buyers
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Owner, moment and whether it was meant as the owner's first, of each order, by time."""
    counts = buyers.orders
    owner = np.repeat(np.arange(len(counts)), counts)
    n = len(owner)
    is_first = np.zeros(n, np.bool_)
    starts = np.cumsum(counts) - counts
    is_first[starts[(counts > 0) & (buyers.joined >= setting.start)]] = True
    low = buyers.first_work[owner]
    work = low + rng.random(n) * (buyers.last_work[owner] - low)
    placed = moment_at(setting.buying, np.where(is_first, low, work))
    placed = np.maximum(placed, buyers.joined[owner])
    placed = move_to_hour(
        rng, setting.buying, placed, buyers.hour[owner], buyers.joined[owner], 0.4
    )
    order = time_order(placed, setting.start)
    return owner[order], placed[order], is_first[order]


def _habit(
    rng: np.random.Generator, own: NDArray[np.int8], weights: list[float]
) -> NDArray[np.int64]:
    """The buyer's own option four times in five, else any: int64[n]."""
    n = len(own)
    return np.where(happens(rng, n, 0.8), own, draw(rng, lottery(weights), n)).astype(np.int64)
