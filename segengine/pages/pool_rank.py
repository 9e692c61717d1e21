"""Which products of a pool does this buyer see, and why each?

A score is a sum of terms, each from 0 to 1 and weighed as `[pools]` says, over the sum of the
weights, in millionths:

- recent: what the buyer did with the product on the last dates: the sum s of the weights of their
  doings, each half as much for every half-life of dates since, as s / (1 + s)
- bought_together: the greatest cosine with a product they bought or have in the cart
- category, brand: their affinity to it, as a share of their greatest
- recent_category: as recent, of all they did in the category
- price: 1 where its price level is the band they choose, 1/2 one apart, 0 two apart
- best_seller: from 1 for the product that sells best to 0 for those that sell nothing

First come pins, then, where asked, open cart items, then the others by score, of equals the better
seller, then the smaller product_id. What the buyer has just bought is left out, pins excepted. A
category that has its most of the places is passed over while others have candidates. The reason of
a product is the term that gives it most, of equals the first. Everything counts in whole dates, so
that an answer stands until midnight, while nothing happens.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from segengine.kernels import bits
from segengine.pages import pool_loops
from segengine.pages.bought_together import NEAREST
from segengine.pages.bought_together_loops import Neighbours
from segengine.pages.pool_candidates import ReadyPool
from segengine.pages.pool_loops import Wanted
from segengine.pages.pool_visit import Visit
from segengine.rules.frame import Words
from segengine.rules.segment import View

_ONE = np.uint64(1)
_NONE_NEAR = Neighbours(
    np.empty((0, NEAREST), np.int32), np.empty((0, NEAREST)), np.empty((0, NEAREST), np.int32)
)


class PoolReason(StrEnum):
    """Why a product stands where it does: what speaks for it most.

    `viewed` is anything done lately with the product itself; `listed` that nothing speaks for it.
    """

    PINNED = "pinned"
    OPEN_CART = "open_cart"
    VIEWED = "viewed"
    BOUGHT_TOGETHER = "bought_together"
    CATEGORY = "category"
    BRAND = "brand"
    PRICE = "price"
    BEST_SELLER = "best_seller"
    LISTED = "listed"


_REASONS = tuple(PoolReason)


class Product(NamedTuple):
    """A product of a pool: its score, 0 to 1, and its reason."""

    product_id: int | str
    score: float
    reason: PoolReason


def has_products(ready: ReadyPool, visit: Visit) -> bool:
    """Whether at least one product of the pool may be shown to the buyer."""
    candidates = ready.candidates(visit.view)
    if len(candidates.pins):
        return True
    # Gathering what was bought waits until it could matter.
    return candidates.size > 0 and visit.remains(candidates) > 0


def products_for(ready: ReadyPool, visit: Visit) -> tuple[Product, ...]:
    """The products of the pool for the buyer, in order, at most k; none where none is left."""
    pool, candidates = ready.pool, ready.candidates(visit.view)
    if not candidates.size and not len(candidates.pins):
        return ()
    ranker, shelf = visit.ranker, visit.placed.shelf
    nearest = _NONE_NEAR
    if len(visit.lately.anchors) and ranker.settings.bought_together > 0:
        nearest = ranker.together.of(visit.view)
    wanted = Wanted(
        candidates.words, candidates.pins, pool.open_carts_first, pool.k,
        ranker.settings.most_of(pool.k), ranker.weights,
    )  # fmt: skip
    places, scores = np.empty(pool.k, np.int32), np.empty(pool.k)
    reasons = np.empty(pool.k, np.int8)
    scratch = visit.placed.take_scratch()
    count = pool_loops.ranked(
        shelf, visit.taste, visit.lately, nearest.product, nearest.score, wanted, scratch,
        places, scores, reasons,
    )  # fmt: skip
    visit.placed.scratch.append(scratch)
    ids = visit.placed.ids_of(visit.view, places[:count])
    found = zip(ids, scores[:count].tolist(), reasons[:count].tolist(), strict=True)
    return tuple([Product(each, score, _REASONS[reason]) for each, score, reason in found])


def pool_nonempty(ready: ReadyPool, view: View) -> Words:
    """For which buyers at least one product of the pool may be shown: uint64[words].

    All of them, or none, but for those who have just bought every candidate. Rows that are
    nobody's are among them.
    """
    rows = view.population.rows
    candidates = ready.candidates(view)
    out = np.zeros(-(-rows // 64), np.uint64)
    if not candidates.size and not len(candidates.pins):
        return out
    out[:] = ~np.uint64(0)
    bought = ready.ranker.bought_by_all(view)
    if len(candidates.pins) or candidates.size > bought.most:
        return out
    held = (candidates.words[bought.place >> 6] >> (bought.place & 63).astype(np.uint64)) & _ONE
    different = np.bincount(bought.owner[held == 1], minlength=rows)
    bits.clear_rows(np.flatnonzero(different == candidates.size), out)
    return out
