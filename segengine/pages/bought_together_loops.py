"""Orders -> for each product, the products that are bought with it. The loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel
from segengine.traits.clock_loops import Clock, is_within


class Bought(NamedTuple):
    """Orders and their lines.

    time, is_purchase, owner, last_line: of orders  line_time, line_is_purchase, previous: of
    lines, the one before in the same order  product: int32[lines], rows of the products, -1: none
    """

    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    owner: NDArray[np.int32]
    last_line: NDArray[np.int32]
    line_time: NDArray[np.int64]
    line_is_purchase: NDArray[np.int8]
    previous: NDArray[np.int32]
    product: NDArray[np.int32]


class Neighbours(NamedTuple):
    """For each product those bought with it, the nearest first, and -1 where there are no more.

    product: int32[products, most]  score: float64[products, most]  orders: int32[products, most]
    """

    product: NDArray[np.int32]
    score: NDArray[np.float64]
    orders: NDArray[np.int32]


@kernel
def baskets_of(
    bought: Bought,
    orders: int,
    lines: int,
    products: int,
    clock: Clock,
    since: np.int64,
    days: int,
    most: int,
    ends: NDArray[np.int64],
    held: NDArray[np.int32],
) -> int:
    """Write the different products of each order that counts; how many orders those are.

    An order counts if it is a purchase of a buyer who is there, on the dates that end today, of 2
    to `most` products.  orders, lines, products: how many of each there are for this question
    out: ends int64[orders + 1], where each basket ends, entry 0 the beginning; held int32[lines]
    """
    found, used = 0, np.int64(0)
    ends[0] = 0
    stamps = np.full(products, -1, np.int32)
    for order in range(orders):
        if bought.is_purchase[order] != 1 or bought.owner[order] < 0:
            continue
        if not is_within(bought.time[order], since, days, clock):
            continue
        begin, line = used, bought.last_line[order]
        while line >= 0:
            product = bought.product[line] if line < lines else np.int32(-1)
            if (
                0 <= product < products
                and bought.line_is_purchase[line] == 1
                and bought.line_time[line] <= clock.as_of
                and stamps[product] != order
            ):
                stamps[product] = order
                held[used] = product
                used += 1
            line = bought.previous[line]
        if 2 <= used - begin <= most:
            found += 1
            ends[found] = used
        else:
            used = begin
    return found


@kernel
def count_baskets(held: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """Add to out[p + 1] how many baskets hold product p.  held: int32[n]"""
    for k in range(held.shape[0]):
        out[held[k] + 1] += 1


@kernel
def place_baskets(
    ends: NDArray[np.int64],
    held: NDArray[np.int32],
    places: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Write where the baskets of each product begin, one product after another; places move on.

    The last product of each basket becomes ~product: whoever comes to a basket need not look up
    where it ends, which is another cache miss.
    ends: int64[baskets + 1]  held: int32[n]  places: int64[products + 1], the first of each
    out: int32[n], places in `held`
    """
    for basket in range(ends.shape[0] - 1):
        for k in range(ends[basket], ends[basket + 1]):
            out[places[held[k]]] = ends[basket]
            places[held[k]] += 1
        held[ends[basket + 1] - 1] = ~held[ends[basket + 1] - 1]


@kernel
def neighbours_of(
    first: int,
    last: int,
    held: NDArray[np.int32],
    begins: NDArray[np.int64],
    baskets: NDArray[np.int32],
    id_order: NDArray[np.int64],
    least: int,
    out: Neighbours,
) -> None:
    """Write the nearest of the products [first, last): by cosine, then by orders, then by id.

    held, baskets: as `place_baskets` has written them  begins: int64[products + 1], where the
    baskets of each begin  id_order: int64[products]  least: orders that two products must share
    out: rows [first, last) are written, -1 where there are no more
    """
    most = out.product.shape[1]
    together = np.zeros(begins.shape[0] - 1, np.int32)
    met = np.empty(begins.shape[0] - 1, np.int32)
    nearness = np.empty(most)
    for product in range(first, last):
        own, count = begins[product + 1] - begins[product], 0
        for place in range(begins[product], begins[product + 1]):
            k, is_last = baskets[place], False
            while not is_last:
                is_last = held[k] < 0
                other = ~held[k] if is_last else held[k]
                if together[other] == 0:
                    met[count] = other
                    count += 1
                together[other] += 1
                k += 1
        kept = 0
        for k in range(count):
            other = met[k]
            shared = np.int64(together[other])
            together[other] = 0
            if other == product or shared < least:
                continue
            # Of one product: the square of the cosine but for its own orders. A quotient of two
            # whole numbers, so that equal ones are equal.
            near = np.float64(shared * shared) / (begins[other + 1] - begins[other])
            place = kept
            while place > 0:
                rival = out.product[product, place - 1]
                ahead = near - nearness[place - 1]
                if ahead == 0:
                    ahead = np.float64(shared - out.orders[product, place - 1])
                if ahead == 0:
                    ahead = np.float64(id_order[rival] - id_order[other])
                if ahead < 0:
                    break
                if place < most:
                    out.product[product, place] = rival
                    out.orders[product, place] = out.orders[product, place - 1]
                    nearness[place] = nearness[place - 1]
                place -= 1
            if place < most:
                out.product[product, place] = other
                out.orders[product, place] = shared
                nearness[place] = near
                kept = min(kept + 1, most)
        for place in range(kept):
            other = out.product[product, place]
            theirs = begins[other + 1] - begins[other]
            out.score[product, place] = out.orders[product, place] / np.sqrt(
                np.float64(own) * theirs
            )
        for place in range(kept, most):
            out.product[product, place] = -1
            out.orders[product, place] = 0
            out.score[product, place] = 0.0
