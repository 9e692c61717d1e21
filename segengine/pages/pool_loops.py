"""The products of a pool -> the best of them for one buyer. The loops.

Products of one category, brand and price level are of one *sort*. Where the buyer did nothing with
them they differ by what sells better alone, so that the first on the shelf is the best of its sort:
a buyer's score is worked out once for each sort, and for the few products that they did something
with. Those compete, whoever wins makes room for the next of its sort.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, brief_kernel, inlined
from segengine.pages.pool_visit_loops import Lately, Shelf

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
ALIKE = 1e-12
"""Terms that differ by less are equally great: sums of the same may differ in their last digits."""
BLOCK = 64
"""Of so many rivals the best is kept, so that the next best is found among few."""
NONE_LEFT = np.int64(-1)


class Taste(NamedTuple):
    """What a buyer likes.

    categories, brands: int32, codes  category_scores, brand_scores: float64, as long
    band: int, the level of prices they choose, -1 for none  of_category, of_brand: int, the sizes
    of the dictionaries
    """

    categories: NDArray[np.int32]
    category_scores: NDArray[np.float64]
    brands: NDArray[np.int32]
    brand_scores: NDArray[np.float64]
    band: int
    of_category: int
    of_brand: int


class Wanted(NamedTuple):
    """What is asked of a pool.

    words: uint64, a bit for each place  pins: int32, places that stand first
    carts_first: bool  k, most: int, places in all, and of one category
    weights: float64[7], adding up to 1
    """

    words: Words
    pins: NDArray[np.int32]
    carts_first: bool
    k: int
    most: int
    weights: NDArray[np.float64]


class Terms(NamedTuple):
    """What a product comes to for a buyer by what it is, weighed.

    category, brand: float64, by 1 + code  price: float64[4], by 1 + level  sells: of the best
    seller
    """

    category: NDArray[np.float64]
    brand: NDArray[np.float64]
    price: NDArray[np.float64]
    sells: float


class Scratch(NamedTuple):
    """What one ranking writes to, used again by the next.

    own, beside: float64[places], 0 between rankings
    """

    own: NDArray[np.float64]
    beside: NDArray[np.float64]


def scratch_of(places: int) -> Scratch:
    """What rankings of so many places write to."""
    return Scratch(np.zeros(places), np.zeros(places))


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
def saturated(done: float, weight: float) -> float:
    """What was done, however much it is, comes to less than 1, and counts by its weight."""
    return weight * (done / (1.0 + done))


@inlined
def raised(ranks: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    """Write the greatest of each block; NONE_LEFT for a block without any."""
    for block in range(out.shape[0]):
        most = NONE_LEFT
        for k in range(block * BLOCK, min((block + 1) * BLOCK, ranks.shape[0])):
            most = max(most, ranks[k])
        out[block] = most


@inlined
def best_of(ranks: NDArray[np.int64], greatest: NDArray[np.int64]) -> int:
    """The rival of the greatest rank; -1 where none is left.

    ranks: int64[n], each a different one, or NONE_LEFT  greatest: as `raised` writes it
    """
    best = 0
    for block in range(1, greatest.shape[0]):
        if greatest[block] > greatest[best]:
            best = block
    if greatest.shape[0] == 0 or greatest[best] == NONE_LEFT:
        return -1
    found = best * BLOCK
    while ranks[found] != greatest[best]:
        found += 1
    return found


@inlined
def become(
    rival: int, rank: np.int64, ranks: NDArray[np.int64], greatest: NDArray[np.int64]
) -> None:
    """Give a rival another rank."""
    ranks[rival] = rank
    block, most = rival // BLOCK, NONE_LEFT
    for k in range(block * BLOCK, min((block + 1) * BLOCK, ranks.shape[0])):
        most = max(most, ranks[k])
    greatest[block] = most


@inlined
def is_in(place: int, words: Words) -> bool:
    """Whether the bit of a place is set."""
    return (words[place >> 6] >> np.uint64(place & 63)) & np.uint64(1) != 0


@inlined
def leave_out(places: NDArray[np.int32], words: Words) -> None:
    """Clear the bits of some places."""
    for k in range(places.shape[0]):
        words[places[k] >> 6] &= ~(np.uint64(1) << np.uint64(places[k] & 63))


@inlined
def stand_first(lately: Lately, wanted: Wanted) -> NDArray[np.int32]:
    """Pins, then, where asked, what is in the cart and in the pool and was not just bought."""
    opened = lately.opened.shape[0] if wanted.carts_first else 0
    first = np.empty(wanted.pins.shape[0] + opened, np.int32)
    count = wanted.pins.shape[0]
    first[:count] = wanted.pins
    for k in range(opened):
        place = lately.opened[k]
        if (
            is_in(place, wanted.words)
            and not is_among(place, lately.bought)
            and not is_among(place, first[:count])
        ):
            first[count] = place
            count += 1
    return first[:count]


@inlined
def score_of(place: int, shelf: Shelf, terms: Terms) -> float:
    """The terms of a product that follow from what it is, added up."""
    # Unsigned, or each look would ask whether its place counts from the end.
    at = np.uintp(place)
    return (
        terms.category[np.uintp(shelf.category[at] + 1)]
        + terms.brand[np.uintp(shelf.brand[at] + 1)]
        + terms.price[np.uintp(shelf.level[at] + 1)]
        + terms.sells * shelf.selling[at]
    )


@inlined
def rank_of(score: float, place: int) -> np.int64:
    """A score in millionths, as pools compare it, and of equal ones the place, the first first."""
    return (np.int64(score * MILLION + 0.5) << 32) | (0x7FFFFFFF - np.int64(place))


@inlined
def next_of(sort: int, at: int, shelf: Shelf, words: Words) -> int:
    """Where among the members of a sort the next one stands whose bit is set; the end for none."""
    end = shelf.begins[sort + 1]
    while at < end and not is_in(shelf.members[at], words):
        at += 1
    return at


@inlined
def sort_rank(sort: int, at: int, shelf: Shelf, terms: Terms) -> np.int64:
    """The rank of a sort by its member there; NONE_LEFT at its end."""
    if at >= shelf.begins[sort + 1]:
        return NONE_LEFT
    place = shelf.members[at]
    return rank_of(score_of(place, shelf, terms), place)


@inlined
def terms_of(taste: Taste, lately: Lately, wanted: Wanted) -> Terms:
    """What each category, brand and price level comes to for the buyer."""
    weights = wanted.weights
    # Entry 0 of each is that of none.
    of_category, recent = np.zeros(taste.of_category + 1), np.zeros(taste.of_category + 1)
    of_brand, of_price = np.zeros(taste.of_brand + 1), np.zeros(4)
    liked(taste.categories, taste.category_scores, weights[CATEGORY], of_category)
    liked(taste.brands, taste.brand_scores, weights[BRAND], of_brand)
    for k in range(lately.did.shape[0]):
        if lately.did_category[k] >= 0:
            recent[lately.did_category[k] + 1] += lately.weight[k]
    for k in range(recent.shape[0]):
        of_category[k] += saturated(recent[k], weights[RECENT_CATEGORY])
    if taste.band >= 0:
        for level in range(3):
            of_price[level + 1] = weights[PRICE] * (1.0 - 0.5 * abs(level - taste.band))
    return Terms(of_category, of_brand, of_price, weights[BEST_SELLER])


@inlined
def note_own(
    shelf: Shelf,
    lately: Lately,
    nearest: NDArray[np.int32],
    nearness: NDArray[np.float64],
    wanted: Wanted,
    own: NDArray[np.float64],
    beside: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Write what the buyer did with a product, below 0, and what is bought with theirs.

    The places written to, some more than once; nothing stands at the others.
    """
    weights, count = wanted.weights, 0
    touched = np.empty(lately.did.shape[0] + lately.anchors.shape[0] * nearest.shape[1], np.int32)
    for k in range(lately.did.shape[0]):
        place = lately.did[k]
        if place >= 0:
            own[place] += lately.weight[k]
            touched[count] = place
            count += 1
    for k in range(count):
        # Below 0 it is told from a sum that still has to be saturated.
        if own[touched[k]] > 0:
            own[touched[k]] = -saturated(own[touched[k]], weights[RECENT])
    for k in range(lately.anchors.shape[0]):
        row = shelf.row[lately.anchors[k]]
        if row < nearest.shape[0]:
            for n in range(nearest.shape[1]):
                if nearest[row, n] < 0:
                    break
                place = shelf.place[nearest[row, n]]
                beside[place] = max(beside[place], weights[TOGETHER] * nearness[row, n])
                touched[count] = place
                count += 1
    return touched[:count]


@brief_kernel
def ranked(
    shelf: Shelf,
    taste: Taste,
    lately: Lately,
    nearest: NDArray[np.int32],
    nearness: NDArray[np.float64],
    wanted: Wanted,
    scratch: Scratch,
    places: NDArray[np.int32],
    scores: NDArray[np.float64],
    reasons: NDArray[np.int8],
) -> int:
    """The products to show, in order; how many there are, at most k.

    Those that stand first, then by score in millionths, equal ones by place. A product whose
    category has had its most is passed over, and comes at the end where places are left.
    nearest: int32[rows, most], rows of what is bought with a product, -1 for no more
    nearness: float64[rows, most]  out: places int32[k]  scores float64[k], 0 to 1  reasons int8[k]
    """
    own, beside = scratch.own, scratch.beside
    terms = terms_of(taste, lately, wanted)
    touched = note_own(shelf, lately, nearest, nearness, wanted, own, beside)
    first = stand_first(lately, wanted)
    words = wanted.words.copy()
    leave_out(lately.bought, words)
    leave_out(first, words)
    # Rivals are the sorts, then the products that the buyer did something with, by themselves.
    sorts = shelf.begins.shape[0] - 1
    at = np.empty(sorts + touched.shape[0], np.int32)
    ranks = np.empty(at.shape[0], np.int64)
    rivals = sorts
    for k in range(touched.shape[0]):
        place = touched[k]
        if is_in(place, words):
            leave_out(touched[k : k + 1], words)
            score = beside[place] - own[place] + score_of(place, shelf, terms)
            at[rivals], ranks[rivals] = place, rank_of(score, place)
            rivals += 1
    for sort in range(sorts):
        at[sort] = next_of(sort, shelf.begins[sort], shelf, words)
        ranks[sort] = sort_rank(sort, at[sort], shelf, terms)
    ranks = ranks[:rivals]
    # Who is out of the choice, for now or for good, has no rank there.
    choice, greatest = ranks.copy(), np.empty(-(-rivals // BLOCK), np.int64)
    raised(choice, greatest)

    shown = np.zeros(taste.of_category + 1, np.int32)
    found, is_spread = min(first.shape[0], wanted.k), True
    for k in range(found):
        places[k] = first[k]
        shown[shelf.category[places[k]] + 1] += 1
    while found < wanted.k:
        best = best_of(choice, greatest)
        if best < 0 and is_spread:
            # Those whose category had its most come at the end.
            is_spread = False
            choice[:] = ranks
            raised(choice, greatest)
            best = best_of(choice, greatest)
        if best < 0:
            break
        place = shelf.members[at[best]] if best < sorts else at[best]
        category = shelf.category[place] + 1
        if is_spread and category > 0 and shown[category] >= wanted.most:
            # All of it at once: they may be nearly all there are.
            for rival in range(rivals):
                its = shelf.members[shelf.begins[rival]] if rival < sorts else at[rival]
                if shelf.category[its] + 1 == category:
                    choice[rival] = NONE_LEFT
            raised(choice, greatest)
            continue
        shown[category] += 1
        places[found] = place
        found += 1
        ranks[best] = NONE_LEFT
        if best < sorts:
            at[best] = next_of(best, at[best] + 1, shelf, words)
            ranks[best] = sort_rank(best, at[best], shelf, terms)
        become(best, ranks[best], choice, greatest)

    for k in range(found):
        place = places[k]
        of_own = OPEN_CART if is_among(place, lately.opened) else VIEWED
        parts = (
            -own[place],
            beside[place],
            terms.category[shelf.category[place] + 1],
            terms.brand[shelf.brand[place] + 1],
            terms.price[shelf.level[place] + 1],
            terms.sells * shelf.selling[place],
        )
        score, most = 0.0, 0.0
        for part in range(6):
            score += parts[part]
            most = max(most, parts[part])
        scores[k] = np.floor(score * MILLION + 0.5) / MILLION
        reasons[k] = LISTED
        if most > 0:
            # The first of those that are the greatest, but for the last digits of a sum.
            part = 0
            while parts[part] <= 0 or parts[part] < most - ALIKE:
                part += 1
            reasons[k] = of_own if part == 0 else VIEWED + part
        if k < first.shape[0]:
            reasons[k] = PINNED if k < wanted.pins.shape[0] else OPEN_CART
    for k in range(touched.shape[0]):
        own[touched[k]] = 0.0
        beside[touched[k]] = 0.0
    return found
