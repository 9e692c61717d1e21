"""What does the demo shop sell? Products, uneven in what they cost and in how often they sell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.demo.columns import (
    MOMENT,
    MONEY,
    TAGS,
    TEXT,
    moments,
    money,
    tags,
    text,
    whole,
    words,
)
from segengine.demo.draws import draw, happens, lottery, stream
from segengine.demo.names import BRANDS, BRANDS_PER_CATEGORY, CATEGORIES
from segengine.demo.rhythm import DAY, HISTORY_DATES

MOST_PRODUCTS = 20_000
FEWEST_PRODUCTS = 400
CUSTOMERS_PER_PRODUCT = 100

PRODUCT_TAGS = ("new", "hot", "gift", "limited", "imported", "refill")

SCHEMA = pa.schema(
    [
        ("product_id", TEXT),
        ("category", TEXT),
        ("brand", TEXT),
        ("price", MONEY),
        ("cost", MONEY),
        ("listed_at", MOMENT),
        ("stock", pa.int32()),
        ("tags", TAGS),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The products, sorted by category, then brand, so that either is one range of rows.

    All arrays are [products] unless said otherwise. `share` is float64[products + 1], the sum of
    popularity before each product: a draw between the shares of a range's ends is one of its
    products, by popularity. `stand_in` is a product of the same category that was on sale before
    the history began, for events before a product was listed.
    """

    category: NDArray[np.int64]
    brand: NDArray[np.int64]
    price: NDArray[np.int64]
    cost: NDArray[np.int64]
    listed: NDArray[np.int64]
    stock: NDArray[np.int64]
    tag_bits: NDArray[np.uint8]
    number: NDArray[np.int64]
    share: NDArray[np.float64]
    stand_in: NDArray[np.int64]
    category_ends: NDArray[np.int64]
    brand_start: NDArray[np.int64]
    brand_end: NDArray[np.int64]
    id_words: Any
    category_words: Any
    brand_words: Any


def product_count(customers: int) -> int:
    """A hundredth of the buyers, from 400 up to 20,000."""
    return min(MOST_PRODUCTS, max(FEWEST_PRODUCTS, customers // CUSTOMERS_PER_PRODUCT))


def build_catalogue(seed: int, customers: int, start: int, end: int) -> Catalogue:
    """The products of a store whose history is [start, end], in seconds since 1970."""
    n = product_count(customers)
    rng = stream(seed, "catalogue", 0)
    popularity = np.array([c.popularity for c in CATEGORIES])
    category = np.sort(draw(rng, lottery(np.sqrt(popularity)), n)).astype(np.int64)
    category[: len(CATEGORIES)] = np.arange(len(CATEGORIES))
    category.sort()
    brand = _brands(rng, category)
    order = np.lexsort((brand, category))
    brand = brand[order]

    median = np.array([c.median_price for c in CATEGORIES])[category]
    price = _tidy_prices(rng, median * rng.lognormal(0.0, 0.55, n))
    margin = np.array([c.cost_share for c in CATEGORIES])[category] * rng.uniform(0.75, 1.3, n)
    cost = np.where(happens(rng, n, 0.04), -1, (price * np.minimum(margin, 0.95)).astype(np.int64))

    age = np.where(
        happens(rng, n, 0.65),
        -rng.integers(10, 900, n) * DAY,
        rng.integers(0, HISTORY_DATES - 2, n) * DAY,
    )
    # INVARIANT: the first product of each category is older than the history, for stand_in.
    first = np.searchsorted(category, np.arange(len(CATEGORIES)))
    age[first] = -400 * DAY
    listed = np.minimum(start + age + rng.integers(8, 20, n) * 3600, end)

    attraction = rng.pareto(1.6, n) + 0.12
    within = np.add.reduceat(attraction, first)
    weight = attraction / within[category] * popularity[category]
    stock = np.where(
        happens(rng, n, 0.06), 0, rng.negative_binomial(1.2, 0.006, n) + (weight * 40).astype(int)
    )
    hot = weight > np.quantile(weight, 0.95)
    bits = np.packbits(
        np.stack(
            [
                listed > end - 45 * DAY,
                hot,
                happens(rng, n, 0.08),
                happens(rng, n, 0.04),
                happens(rng, n, 0.12),
                happens(rng, n, 0.05),
                np.zeros(n, np.bool_),
                np.zeros(n, np.bool_),
            ]
        ),
        axis=0,
        bitorder="little",
    )[0]
    number = rng.permutation(n) + 1
    changes = np.flatnonzero(np.diff(brand + category * len(BRANDS), prepend=-1))
    ends = np.append(changes[1:], n)
    run = np.searchsorted(changes, np.arange(n), side="right") - 1
    return Catalogue(
        category=category,
        brand=brand,
        price=price,
        cost=cost,
        listed=listed,
        stock=stock,
        tag_bits=bits,
        number=number,
        share=np.concatenate(([0.0], np.cumsum(weight))),
        stand_in=_stand_ins(rng, category, listed < start),
        category_ends=np.append(first, n),
        brand_start=changes[run],
        brand_end=ends[run],
        id_words=words([f"P{k:05d}" for k in number]),
        category_words=words([c.name for c in CATEGORIES]),
        brand_words=words(BRANDS),
    )


def product_batch(catalogue: Catalogue, until: int) -> pa.RecordBatch:
    """The products table, one batch."""
    n = len(catalogue.price)
    return pa.record_batch(
        [
            text(np.arange(n), catalogue.id_words),
            text(catalogue.category, catalogue.category_words),
            text(catalogue.brand, catalogue.brand_words),
            money(catalogue.price),
            money(catalogue.cost, catalogue.cost < 0),
            moments(catalogue.listed, until),
            whole(catalogue.stock, pa.int32()),
            tags(catalogue.tag_bits, PRODUCT_TAGS),
        ],
        schema=SCHEMA,
    )


def pick_products(
    rng: np.random.Generator,
    catalogue: Catalogue,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> NDArray[np.int64]:
    """One product of each range of rows [start, end), by popularity: int64[n]."""
    low, high = catalogue.share[starts], catalogue.share[ends]
    point = low + rng.random(len(starts)) * (high - low)
    found = np.searchsorted(catalogue.share, point, side="right") - 1
    return np.minimum(found, ends - 1)


def on_sale(
    catalogue: Catalogue, products: NDArray[np.int64], moments: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The products, or their stand-ins where the event came before the product was listed."""
    early = catalogue.listed[products] > moments
    return np.where(early, catalogue.stand_in[products], products)


def _brands(rng: np.random.Generator, category: NDArray[np.int64]) -> NDArray[np.int64]:
    """A brand for each product: mostly one of its category's five, some of the next category's."""
    n = len(category)
    home = np.where(happens(rng, n, 0.12), (category + 1) % len(CATEGORIES), category)
    place = draw(rng, lottery([40, 25, 17, 11, 7]), n).astype(np.int64)
    return home * np.int64(BRANDS_PER_CATEGORY) + place


def _tidy_prices(rng: np.random.Generator, yuan: NDArray[np.float64]) -> NDArray[np.int64]:
    """Prices in cents that end as prices do: 59.00, 59.90, and in nines above a hundred."""
    whole_yuan = np.maximum(yuan.astype(np.int64), 5)
    large = whole_yuan >= 100
    whole_yuan = np.where(large, whole_yuan // 10 * 10 + 9, whole_yuan)
    tail = np.where(large, 0, draw(rng, lottery([50, 35, 15]), len(yuan)).astype(np.int64))
    cents: NDArray[np.int64] = whole_yuan * 100 + np.array([0, 90, 50])[tail]
    return cents


def _stand_ins(
    rng: np.random.Generator, category: NDArray[np.int64], old: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """For each product one of its category that is older than the history: itself where it is."""
    candidates = np.flatnonzero(old)
    low = np.searchsorted(category[candidates], category, side="left")
    high = np.searchsorted(category[candidates], category, side="right")
    chosen = candidates[low + (rng.random(len(category)) * (high - low)).astype(np.int64)]
    return np.where(old, np.arange(len(category)), chosen)
