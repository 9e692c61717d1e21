"""The products of a pool -> the best of them for one buyer. The loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, inlined, kernel
from segengine.kernels.scan import ones_of, trailing_zeros
from segengine.traits.clock_loops import Clock, date_of

# Terms of a score, as `[pools]` names them, and reasons, as `pool_rank.py` does.
RECENT, TOGETHER, CATEGORY, RECENT_CATEGORY, BRAND, PRICE, BEST_SELLER = range(7)
(
    PINNED,
    OPEN_CART,
    VIEWED,
    BOUGHT_TOGETHER,
    OF_CATEGORY,
    OF_BRAND,
    OF_PRICE,
    SELLS_BEST,
    LISTED,
) = range(9)

MILLION = 1_000_000
_BITS = 10
_NEVER = np.int64(-(2**63))


class Shelf(NamedTuple):
    """The products by sales, the best seller first.

    category, brand: int32[places], codes, -1 for none  level: int32[places], of its price, -1 for
    none  sold: int64, how many places have sold anything
    """

    category: NDArray[np.int32]
    brand: NDArray[np.int32]
    level: NDArray[np.int32]
    sold: np.int64


class Taste(NamedTuple):
    """What a buyer likes.

    categories, brands: int32, codes  category_scores, brand_scores: float64, as long
    band: int64, the level of prices they choose, -1 for none  of_category, of_brand: int64, the
    sizes of the dictionaries
    """

    categories: NDArray[np.int32]
    category_scores: NDArray[np.float64]
    brands: NDArray[np.int32]
    brand_scores: NDArray[np.float64]
    band: np.int64
    of_category: np.int64
    of_brand: np.int64


class Lately(NamedTuple):
    """What a buyer did lately; a place of -1 is no product of the shop.

    did, did_category: int32[n], places and codes  weight: float64[n], faded by now
    opened: int32, places of open cart items, the latest first  bought: int32, places, not to show
    beside: int32[m], places of what is bought with theirs  besides: float64[m], how often
    """

    did: NDArray[np.int32]
    did_category: NDArray[np.int32]
    weight: NDArray[np.float64]
    opened: NDArray[np.int32]
    bought: NDArray[np.int32]
    beside: NDArray[np.int32]
    besides: NDArray[np.float64]


class Wanted(NamedTuple):
    """What is asked of a pool.

    words: uint64, a bit for each place  first: int32, places that stand first  pins: int64, how
    many of those are pins  k, most: int64, places in all, and of one category
    weights: float64[7], adding up to 1
    """

    words: Words
    first: NDArray[np.int32]
    pins: np.int64
    k: np.int64
    most: np.int64
    weights: NDArray[np.float64]


@kernel
def lately(
    head: int,
    previous: NDArray[np.int32],
    times: NDArray[np.int64],
    clock: Clock,
    since: np.int64,
    days: int,
    rows: NDArray[np.int64],
    ages: NDArray[np.int64],
) -> int:
    """A buyer's events on the dates that end today, the last arrival first; how many there are.

    since: the first instant of those dates  out: rows, ages int64[most], dates that have passed;
    what does not fit is counted only
    """
    count, row = 0, head
    while row >= 0:
        if since <= times[row] <= clock.as_of:
            age = clock.today - date_of(times[row], clock)
            if 0 <= age < days:
                if count < rows.shape[0]:
                    rows[count], ages[count] = row, age
                count += 1
        row = previous[row]
    return count


@inlined
def liked(
    codes: NDArray[np.int32], scores: NDArray[np.float64], weight: float, out: NDArray[np.float64]
) -> None:
    """Add each value's score, as a share of the greatest, to the entry after its code."""
    most = 0.0
    for k in range(codes.shape[0]):
        most = max(most, scores[k])
    if most > 0:
        for k in range(codes.shape[0]):
            out[codes[k] + 1] += weight * (scores[k] / most)


@inlined
def is_among(place: int, places: NDArray[np.int32]) -> bool:
    """Whether a place is one of a few."""
    for k in range(places.shape[0]):  # noqa: SIM110 - a loop compiles, `any` of a generator does not
        if places[k] == place:
            return True
    return False


@inlined
def saturated(sums: NDArray[np.float64], weight: float) -> None:
    """Let what was done come to less than 1, however much it is."""
    for k in range(sums.shape[0]):
        sums[k] = weight * (sums[k] / (1.0 + sums[k]))


@inlined
def by_score(scores: NDArray[np.int32], order: NDArray[np.int32], other: NDArray[np.int32]) -> None:
    """Sort 0, 1, 2, ... by score, the greatest first, equal ones as they stand, into `order`.

    scores: int32[n], 0 to a million: two rounds of ten bits  other: int32[n], scratch
    """
    count = scores.shape[0]
    mask = (1 << _BITS) - 1
    places = np.zeros((2, 1 << _BITS), np.int64)
    for k in range(count):
        key = MILLION - scores[k]
        places[0, key & mask] += 1
        places[1, key >> _BITS] += 1
    for part in range(2):
        begin = 0
        for key in range(1 << _BITS):
            held = places[part, key]
            places[part, key] = begin
            begin += held
    for k in range(count):
        key = (MILLION - scores[k]) & mask
        other[places[0, key]] = k
        places[0, key] += 1
    for at in range(count):
        k = other[at]
        key = (MILLION - scores[k]) >> _BITS
        order[places[1, key]] = k
        places[1, key] += 1


@kernel
def ranked(
    shelf: Shelf,
    taste: Taste,
    lately: Lately,
    wanted: Wanted,
    places: NDArray[np.int32],
    scores: NDArray[np.float64],
    reasons: NDArray[np.int8],
) -> int:
    """The products to show, in order; how many there are, at most k.

    Those that stand first, then by score in millionths, equal ones by place. A product whose
    category has had its most is passed over, and comes at the end where places are left.
    out: places int32[k]  scores float64[k], 0 to 1  reasons int8[k]
    """
    count = shelf.category.shape[0]
    weights = wanted.weights
    # Entry 0 of each is that of none.
    of_category, recent = np.zeros(taste.of_category + 1), np.zeros(taste.of_category + 1)
    of_brand, of_price = np.zeros(taste.of_brand + 1), np.zeros(4)
    own, beside = np.zeros(count), np.zeros(count)
    liked(taste.categories, taste.category_scores, weights[CATEGORY], of_category)
    liked(taste.brands, taste.brand_scores, weights[BRAND], of_brand)
    for k in range(lately.did.shape[0]):
        if lately.did[k] >= 0:
            own[lately.did[k]] += lately.weight[k]
        if lately.did_category[k] >= 0:
            recent[lately.did_category[k] + 1] += lately.weight[k]
    saturated(recent, weights[RECENT_CATEGORY])
    for k in range(recent.shape[0]):
        of_category[k] += recent[k]
    saturated(own, weights[RECENT])
    if taste.band >= 0:
        for level in range(3):
            apart = abs(level - taste.band)
            of_price[level + 1] = weights[PRICE] * (1.0 - 0.5 * apart)
    for k in range(lately.beside.shape[0]):
        place = lately.beside[k]
        beside[place] = max(beside[place], weights[TOGETHER] * lately.besides[k])
    sells = weights[BEST_SELLER] / max(shelf.sold, 1)

    words = wanted.words.copy()
    one = np.uint64(1)
    for place in lately.bought:
        words[place >> 6] &= ~(one << np.uint64(place & 63))
    for place in wanted.first:
        words[place >> 6] &= ~(one << np.uint64(place & 63))
    held = 0
    for word in range(words.shape[0]):
        held += ones_of(words[word])
    at, millionths = np.empty(held, np.int32), np.empty(held, np.int32)
    held = 0
    for word in range(words.shape[0]):
        rest = words[word]
        while rest != 0:
            place = 64 * word + trailing_zeros(rest)
            rest &= rest - one
            score = (
                own[place]
                + beside[place]
                + of_category[shelf.category[place] + 1]
                + of_brand[shelf.brand[place] + 1]
                + of_price[shelf.level[place] + 1]
                + sells * max(shelf.sold - place, 0)
            )
            at[held] = place
            millionths[held] = np.int32(score * MILLION + 0.5)
            held += 1
    order, other = np.empty(held, np.int32), np.empty(held, np.int32)
    by_score(millionths, order, other)

    shown = np.zeros(taste.of_category + 1, np.int32)
    found = min(wanted.first.shape[0], wanted.k)
    for k in range(found):
        places[k] = wanted.first[k]
        shown[shelf.category[places[k]] + 1] += 1
    for k in range(held):
        if found == wanted.k:
            break
        place = at[order[k]]
        category = shelf.category[place] + 1
        if category == 0 or shown[category] < wanted.most:
            shown[category] += 1
            places[found] = place
            found += 1
            order[k] = -1
    for k in range(held):
        if found == wanted.k:
            break
        if order[k] >= 0:
            places[found] = at[order[k]]
            found += 1

    for k in range(found):
        place = places[k]
        of_own = OPEN_CART if is_among(place, lately.opened) else VIEWED
        parts = (
            own[place],
            beside[place],
            of_category[shelf.category[place] + 1],
            of_brand[shelf.brand[place] + 1],
            of_price[shelf.level[place] + 1],
            sells * max(shelf.sold - place, 0),
        )
        score, most, reason = 0.0, 0.0, LISTED
        for part in range(6):
            score += parts[part]
            if parts[part] > most:
                most = parts[part]
                reason = of_own if part == 0 else VIEWED + part
        scores[k] = np.floor(score * MILLION + 0.5) / MILLION
        reasons[k] = reason
        if k < wanted.first.shape[0]:
            reasons[k] = PINNED if k < wanted.pins else OPEN_CART
    return found
