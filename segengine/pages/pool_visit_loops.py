"""A buyer's chains of events -> what they did lately, as places on the shelf. The loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import brief_kernel, inlined
from segengine.traits.clock_loops import Clock, date_of


class Shelf(NamedTuple):
    """The products by sales, the best seller first.

    category, brand: int32[places], codes, -1 for none  level: int32[places], of its price, -1 for
    none  selling: float64[places], from 1 for the best seller to 0 for what sold nothing
    row: int64[places], in the products  place: int32[rows]
    ids: int64[places], product_ids or their codes, ascending  by_id: int32[places], where each is
    members: int32[places], sort by sort, each ascending; a sort is a category, a brand and a level
    begins: int32[sorts + 1], where each sort's members begin
    """

    category: NDArray[np.int32]
    brand: NDArray[np.int32]
    level: NDArray[np.int32]
    selling: NDArray[np.float64]
    row: NDArray[np.int64]
    place: NDArray[np.int32]
    ids: NDArray[np.int64]
    by_id: NDArray[np.int32]
    members: NDArray[np.int32]
    begins: NDArray[np.int32]


class Doings(NamedTuple):
    """One buyer's behaviours, and all there is to know of them.

    head: int, the row of the latest, -1 for none  previous: int32[rows]  time: int64[rows]
    product: int64 or int32[rows]  kind, category: int32[rows]
    opened: int32[n], the rows that put what is in the cart there, the latest first
    """

    head: int
    previous: NDArray[np.int32]
    time: NDArray[np.int64]
    product: Any
    kind: NDArray[np.int32]
    category: NDArray[np.int32]
    opened: NDArray[np.int32]


class Lines(NamedTuple):
    """One buyer's order lines.  As `Doings`; is_purchase: int8[rows]"""

    head: int
    previous: NDArray[np.int32]
    time: NDArray[np.int64]
    product: Any
    is_purchase: NDArray[np.int8]


class Span(NamedTuple):
    """Which dates count, today the last of them.

    recent, just_bought, together: how many  half_life: dates  weights: float64[1 + kinds], what a
    doing counts for, entry 0 for no kind  since_recent, since_bought: the first instants
    """

    recent: int
    just_bought: int
    together: int
    half_life: float
    weights: NDArray[np.float64]
    since_recent: int
    since_bought: int


class Lately(NamedTuple):
    """What a buyer did lately; a place of -1 is no product of the shop.

    did, did_category: int32[n], places and codes  weight: float64[n], faded by now
    opened: int32, places of open cart items, the latest first  bought: int32, places of what was
    just bought, each once, ascending  anchors: int32, of what was bought a while ago, or opened
    """

    did: NDArray[np.int32]
    did_category: NDArray[np.int32]
    weight: NDArray[np.float64]
    opened: NDArray[np.int32]
    bought: NDArray[np.int32]
    anchors: NDArray[np.int32]


@inlined
def place_of(product: np.int64, ids: NDArray[np.int64], by_id: NDArray[np.int32]) -> int:
    """The place of a product by its id or code, -1 where the shop has no such product."""
    low, high = 0, ids.shape[0]
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < product:
            low = middle + 1
        else:
            high = middle
    if low < ids.shape[0] and ids[low] == product:
        return int(by_id[low])
    return -1


@inlined
def age_of(at: np.int64, since: int, days: int, clock: Clock) -> int:
    """How many dates have passed since an instant; -1 where it is on none of those that count."""
    if since <= at <= clock.as_of:
        age = clock.today - date_of(at, clock)
        if 0 <= age < days:
            return int(age)
    return -1


@inlined
def each_once(places: NDArray[np.int32]) -> NDArray[np.int32]:
    """The different ones, ascending."""
    places.sort()
    count = 0
    for k in range(places.shape[0]):
        if k == 0 or places[k] != places[count - 1]:
            places[count] = places[k]
            count += 1
    return places[:count]


@brief_kernel
def lately(
    clock: Clock,
    span: Span,
    doings: Doings,
    lines: Lines,
    ids: NDArray[np.int64],
    by_id: NDArray[np.int32],
) -> Lately:
    """What a buyer did on the dates that end today; ids, by_id: those of `Shelf`."""
    count, row = 0, doings.head
    while row >= 0:
        count += 1
        row = doings.previous[row]
    did, did_category = np.empty(count, np.int32), np.empty(count, np.int32)
    weight = np.empty(count)
    # In the order of arrival, in which sums of floats are made everywhere.
    first, row = count, doings.head
    while row >= 0:
        counts = span.weights[doings.kind[row] + 1]
        if counts > 0:
            age = age_of(doings.time[row], span.since_recent, span.recent, clock)
            if age >= 0:
                first -= 1
                did[first] = place_of(np.int64(doings.product[row]), ids, by_id)
                did_category[first] = doings.category[row]
                weight[first] = counts * np.exp2(-age / span.half_life)
        row = doings.previous[row]
    opened, count = np.empty(doings.opened.shape[0], np.int32), 0
    for k in range(doings.opened.shape[0]):
        place = place_of(np.int64(doings.product[doings.opened[k]]), ids, by_id)
        if place >= 0:
            opened[count] = place
            count += 1
    opened = opened[:count]
    count, row = 0, lines.head
    while row >= 0:
        count += 1
        row = lines.previous[row]
    bought, anchors = np.empty(count, np.int32), np.empty(count + opened.shape[0], np.int32)
    anchors[: opened.shape[0]] = opened
    kept, near, row = 0, opened.shape[0], lines.head
    days = max(span.just_bought, span.together)
    while row >= 0:
        if lines.is_purchase[row] == 1:
            age = age_of(lines.time[row], span.since_bought, days, clock)
            place = place_of(np.int64(lines.product[row]), ids, by_id) if age >= 0 else -1
            if place >= 0 and age < span.just_bought:
                bought[kept] = place
                kept += 1
            if place >= 0 and age < span.together:
                anchors[near] = place
                near += 1
        row = lines.previous[row]
    return Lately(
        did[first:],
        did_category[first:],
        weight[first:],
        opened,
        each_once(bought[:kept]),
        each_once(anchors[:near]),
    )
