"""What a buyer did with things of a category or brand -> their share of interest in each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel

CATEGORY, BRAND = range(2)


class Doings(NamedTuple):
    """The events of these buyers in one table, as far as they show interest.

    begins, events: their `History`
    weights: float64[1 + sorts], what an event of a sort counts for, entry 0 for a missing one
    time: int64[rows]  sort: int32 or int8[rows]  category, brand: int32[rows], -1 for none
    """

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    weights: NDArray[np.float64]
    time: NDArray[np.int64]
    sort: NDArray[np.int32] | NDArray[np.int8]
    category: NDArray[np.int32]
    brand: NDArray[np.int32]


class Evidence(NamedTuple):
    """One buyer's events that count, and room for more.

    at: int64  weight: float64  value: int32[2, events], category and brand, -1 for none
    """

    at: NDArray[np.int64]
    weight: NDArray[np.float64]
    value: NDArray[np.int32]


class Scores(NamedTuple):
    """Scores of one kind, buyer after buyer.  codes: int32[scores]  scores: float64[scores]"""

    codes: NDArray[np.int32]
    scores: NDArray[np.float64]


@inlined
def room_for(count: int, kept: Evidence) -> Evidence:
    """The evidence, with room for `count` events."""
    if count <= kept.at.shape[0]:
        return kept
    size = 2 * count
    at, weight = np.empty(size, np.int64), np.empty(size, np.float64)
    value = np.empty((2, size), np.int32)
    before = kept.at.shape[0]
    at[:before] = kept.at
    weight[:before] = kept.weight
    value[:, :before] = kept.value
    return Evidence(at, weight, value)


@inlined
def gathered(index: int, doings: Doings, as_of: np.int64, count: int, kept: Evidence) -> int:
    """Add what buyer `index` did up to as_of and counts for something; how many there are then."""
    for place in range(doings.begins[index], doings.begins[index + 1]):
        row = doings.events[place]
        # Missing is below -1 where sorts are truths.
        weight = doings.weights[max(doings.sort[row], -1) + 1]
        if weight > 0:
            at = doings.time[row]
            category, brand = doings.category[row], doings.brand[row]
            if at <= as_of and (category >= 0 or brand >= 0):
                kept.at[count] = at
                kept.weight[count] = weight
                kept.value[CATEGORY, count] = category
                kept.value[BRAND, count] = brand
                count += 1
    return count


@inlined
def folded(
    kept: Evidence,
    count: int,
    kind: int,
    half_life: float,
    places: NDArray[np.int32],
    codes: NDArray[np.int32],
    scores: NDArray[np.float64],
    begin: int,
) -> int:
    """Write the scores of one kind from `begin` on; how many values there is evidence for.

    Events fade by their distance from the newest that counts. Any other moment would give the
    same shares, but far from it everything fades to nothing.
    places: int32[dictionary], all -1 before and after
    """
    newest = np.int64(-(2**63))
    for k in range(count):
        if kept.value[kind, k] >= 0:
            newest = max(newest, kept.at[k])
    found, total = 0, 0.0
    for k in range(count):
        value = kept.value[kind, k]
        if value >= 0:
            shown = kept.weight[k] * np.exp2(-(newest - kept.at[k]) / half_life)
            place = places[value]
            if place < 0:
                place = begin + found
                places[value] = place
                codes[place] = value
                scores[place] = 0.0
                found += 1
            scores[place] += shown
            total += shown
    for place in range(begin, begin + found):
        scores[place] /= total
        places[codes[place]] = -1
    return found


@inlined
def longer(codes: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """The codes, in an array of at least `size`."""
    if size <= codes.shape[0]:
        return codes
    grown = np.empty(2 * size, np.int32)
    grown[: codes.shape[0]] = codes
    return grown


@inlined
def longer_scores(scores: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The scores, in an array of at least `size`."""
    if size <= scores.shape[0]:
        return scores
    grown = np.empty(2 * size, np.float64)
    grown[: scores.shape[0]] = scores
    return grown


@kernel
def affinity_facts(
    buyers: int,
    as_of: np.int64,
    half_life: float,
    behaviors: Doings,
    lines: Doings,
    categories: int,
    brands: int,
    out: NDArray[np.int32],
    brand_out: NDArray[np.int32],
) -> tuple[Scores, Scores]:
    """The scores of `buyers` buyers by category, and those by brand.

    half_life: microseconds  categories, brands: the sizes of their dictionaries
    out, brand_out: int32[buyers], how many categories and brands each buyer has
    """
    kept = Evidence(np.empty(64, np.int64), np.empty(64, np.float64), np.empty((2, 64), np.int32))
    place_of_category = np.full(categories, -1, np.int32)
    place_of_brand = np.full(brands, -1, np.int32)
    codes, scores = np.empty(64, np.int32), np.empty(64, np.float64)
    brand_codes, brand_scores = np.empty(64, np.int32), np.empty(64, np.float64)
    used, brand_used = 0, 0
    for index in range(buyers):
        most = behaviors.begins[index + 1] - behaviors.begins[index]
        most += lines.begins[index + 1] - lines.begins[index]
        kept = room_for(most, kept)
        count = gathered(index, behaviors, as_of, 0, kept)
        count = gathered(index, lines, as_of, count, kept)
        codes, scores = longer(codes, used + count), longer_scores(scores, used + count)
        found = folded(kept, count, CATEGORY, half_life, place_of_category, codes, scores, used)
        out[index] = found
        used += found
        brand_codes = longer(brand_codes, brand_used + count)
        brand_scores = longer_scores(brand_scores, brand_used + count)
        found = folded(
            kept, count, BRAND, half_life, place_of_brand, brand_codes, brand_scores, brand_used
        )
        brand_out[index] = found
        brand_used += found
    return (
        Scores(codes[:used].copy(), scores[:used].copy()),
        Scores(brand_codes[:brand_used].copy(), brand_scores[:brand_used].copy()),
    )
