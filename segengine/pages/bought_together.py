"""Which products are bought together?

For each product the 20 nearest others by cosine: the orders that have both, over the root of the
orders that have the one times the orders that have the other. Orders are the purchases of the last
365 dates with 2 to 50 different products: one product says nothing about another, and who buys
more than 50 at once buys for a shop. They are those that were there at the last fit, so that an
append changes nothing; worked out when first asked, and kept until the next fit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from segengine.errors import UnknownNameError
from segengine.kernels import jit
from segengine.pages import bought_together_loops
from segengine.pages.bought_together_loops import Bought, Neighbours
from segengine.pages.pool_shelf import Shelves, id_order, rows_named
from segengine.rules.segment import View
from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.traits.product_places import product_places
from segengine.traits.work import Fits

NEAREST = 20
DAYS = 365
MOST_PRODUCTS = 50
_FEW = 256
"""Products from which on threads share the work, each a range of them."""


class Together(NamedTuple):
    """The nearest of each product, by row, of the products that were there at the fit."""

    fits: Fits
    nearest: Neighbours


class BoughtTogether:
    """What is bought together, kept until the next fit.  least: orders two products must share"""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._kept: Together | None = None

    def of(self, view: View) -> Neighbours:
        """The nearest of each product."""
        kept = self._kept
        if kept is None or kept.fits is not view.population.product_traits.fits:
            with self._shelves.lock:
                kept = self._kept
                if kept is None or kept.fits is not view.population.product_traits.fits:
                    nearest = _nearest(view, self._shelves.settings.least_orders)
                    kept = Together(view.population.product_traits.fits, nearest)
                    self._kept = kept
        return kept.nearest

    def nbytes(self) -> int:
        """Bytes that are kept."""
        return 0 if self._kept is None else sum(int(a.nbytes) for a in self._kept.nearest)


def _nearest(view: View, least: int) -> Neighbours:
    traits, tables = view.population.product_traits, view.population.tables
    fitted, work = traits.fitted, traits.at_fit()
    products = len(fitted.growth)
    out = Neighbours(
        np.full((products, NEAREST), -1, np.int32), np.zeros((products, NEAREST)),
        np.zeros((products, NEAREST), np.int32),
    )  # fmt: skip
    if not products or not fitted.lines:
        return out
    orders, lines = tables.events[ORDERS], tables.events[ORDER_LINES]
    bought = Bought(
        work.values(ORDERS, "time"), work.values(ORDERS, "is_purchase"), orders.extra("owner"),
        orders.extra("last_line"), work.values(ORDER_LINES, "time"),
        work.values(ORDER_LINES, "is_purchase"), lines.extra("previous_in_order"),
        product_places(tables, ORDER_LINES, slice(0, fitted.lines)),
    )  # fmt: skip
    ends = np.empty(fitted.orders + 1, np.int64)
    held = np.empty(fitted.lines, np.int32)
    count = bought_together_loops.baskets_of(
        bought, fitted.orders, fitted.lines, products, work.clock, work.since(DAYS), DAYS,
        MOST_PRODUCTS, ends, held,
    )  # fmt: skip
    ends = ends[: count + 1]
    held = held[: int(ends[-1])]
    begins = np.zeros(products + 1, np.int64)
    bought_together_loops.count_baskets(held, begins)
    np.cumsum(begins, out=begins)
    baskets = np.empty(len(held), np.int32)
    bought_together_loops.place_baskets(ends, held, begins.copy(), baskets)
    by_id = id_order(view.population.products.trait("product_id"), products)
    # Ranges of equal work, not of equal products: a few best sellers are in most orders.
    parts = jit.THREADS if products >= _FEW else 1
    shares = np.searchsorted(begins, np.arange(parts + 1) * (len(held) / parts))
    shares[0], shares[-1] = 0, products

    def part(k: int) -> None:
        bought_together_loops.neighbours_of(
            int(shares[k]), int(shares[k + 1]), held, begins, baskets, by_id, least, out
        )

    jit.each(part, parts)
    return out


def bought_together(kept: BoughtTogether, view: View, product_id: int | str) -> pa.Table:
    """Table(product_id, score, orders): what is bought with a product, the nearest first.

    score: the cosine, 0 to 1  orders: how many orders have both. Raises `UnknownNameError` for a
    product that the shop has not given.
    """
    (row,) = rows_named(view, (product_id,)).tolist()
    if row < 0:
        raise UnknownNameError(f"unknown product `{product_id}`", field="product_id")
    nearest = kept.of(view)
    if row >= len(nearest.product):
        near = np.empty(0, np.int32)
    else:
        near = nearest.product[row]
        near = near[near >= 0]
    ids = view.population.products.trait("product_id")
    found = ids.to_arrow(near.astype(np.int64), view.population.money_scale)
    scores, orders = (
        (values[row, : len(near)] if len(near) else values.ravel()[:0])
        for values in (nearest.score, nearest.orders)
    )
    return pa.table(
        {"product_id": found, "score": scores.copy(), "orders": orders.astype(np.int64)}
    )
