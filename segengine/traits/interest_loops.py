"""One buyer's doings -> how much they did lately, when they were last seen, what they left open."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock, is_within

VISIT, VIEW, CART, FAVORITE, SEARCH, CART_REMOVE, UNFAVORITE, OTHER, NOT_THEIRS = range(9)
"""What a behaviour is: those before CART_REMOVE are counted, the last is the shop's doing."""
COUNTED = 5
OPEN = 2 * COUNTED
"""The row of the counts that is open_carts_count; before it, per kind, 7 dates and 30."""
WEEK, MONTH, YEAR = 7, 30, 365
IS_INTERESTED, IS_TRANSACTED = range(2)

_NEVER = np.int64(-(2**63))


class Behaviors(NamedTuple):
    """What these buyers did.

    begins, events: their `History`
    meaning: int8[1 + kinds], what a kind's code means, entry 0 for a missing one
    no_product: int64 or int32  time: int64[rows]  kind: int32[rows]
    product: of the type of no_product, [rows]
    """

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    meaning: NDArray[np.int8]
    no_product: Any
    time: NDArray[np.int64]
    kind: NDArray[np.int32]
    product: Any


class Lines(NamedTuple):
    """The order lines of these buyers; their products are of the type of those of behaviours."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]
    product: Any


class Orders(NamedTuple):
    """The orders of these buyers."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]


class Wanted(NamedTuple):
    """The products that one buyer put somewhere or took out again, and room for more.

    product: int64[n]  cart_at, favorite_at: int64[n], when last put in or taken out
    cart, favorite: int32[n], the behaviour that put it in, -1 where it was taken out
    bought_at: int64[n]  slots: int32[2^k], at least 2n, the places of products by hash, -1: free
    """

    product: NDArray[np.int64]
    cart_at: NDArray[np.int64]
    cart: NDArray[np.int32]
    favorite_at: NDArray[np.int64]
    favorite: NDArray[np.int32]
    bought_at: NDArray[np.int64]
    slots: NDArray[np.int32]


@inlined
def wanted_for(count: int) -> Wanted:
    """Room for `count` products, which is a power of two."""
    return Wanted(
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.int32),
        np.empty(count, np.int64),
        np.empty(count, np.int32),
        np.empty(count, np.int64),
        np.full(2 * count, -1, np.int32),
    )


@inlined
def slot_of(product: np.int64, wanted: Wanted) -> int:
    """The slot that holds the place of a product, or the free one for it."""
    mask = np.int64(wanted.slots.shape[0] - 1)
    # The upper half of a product with an odd number far from any pattern of ids.
    mixed = np.uint64(product) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> np.uint64(33)) & mask
    while wanted.slots[slot] >= 0 and wanted.product[wanted.slots[slot]] != product:
        slot = (slot + 1) & mask
    return int(slot)


@inlined
def noted(product: np.int64, at: np.int64, row: int, did: int, count: int, wanted: Wanted) -> int:
    """Note that a product was put in or taken out; how many products are noted then.

    Of one product the later counts, and of two at one moment the later arrival.
    """
    slot = slot_of(product, wanted)
    k = wanted.slots[slot]
    if k < 0:
        k = count
        count += 1
        wanted.slots[slot] = k
        wanted.product[k] = product
        wanted.cart_at[k] = wanted.favorite_at[k] = wanted.bought_at[k] = _NEVER
        wanted.cart[k] = wanted.favorite[k] = -1
    if did in (CART, CART_REMOVE):
        if at >= wanted.cart_at[k]:
            wanted.cart_at[k] = at
            wanted.cart[k] = row if did == CART else -1
    elif at >= wanted.favorite_at[k]:
        wanted.favorite_at[k] = at
        wanted.favorite[k] = row if did == FAVORITE else -1
    return count


@inlined
def still_open(
    count: int, wanted: Wanted, since: np.int64, clock: Clock, out: NDArray[np.int32], begin: int
) -> int:
    """Write the behaviour that last put each open product somewhere; how many are open."""
    found = 0
    for k in range(count):
        row, at = np.int32(-1), _NEVER
        if (
            wanted.cart[k] >= 0
            and wanted.cart_at[k] > wanted.bought_at[k]
            and is_within(wanted.cart_at[k], since, MONTH, clock)
        ):
            row, at = wanted.cart[k], wanted.cart_at[k]
        if (
            wanted.favorite[k] >= 0
            and wanted.favorite_at[k] > wanted.bought_at[k]
            and is_within(wanted.favorite_at[k], since, MONTH, clock)
        ):
            other, when = wanted.favorite[k], wanted.favorite_at[k]
            if when > at or (when == at and other > row):
                row = other
        if row >= 0:
            out[begin + found] = row
            found += 1
    return found


@inlined
def newest_first(rows: NDArray[np.int32], time: NDArray[np.int64]) -> None:
    """Sort behaviours by (time, arrival), the latest first."""
    count = rows.shape[0]
    if count > 64:
        # Rows first and times stably next: (time, arrival).
        ascending = np.sort(rows)
        times = np.empty(count, np.int64)
        for k in range(count):
            times[k] = time[ascending[k]]
        order = np.argsort(times, kind="mergesort")
        for k in range(count):
            rows[k] = ascending[order[count - 1 - k]]
        return
    for index in range(1, count):
        row = rows[index]
        at = time[row]
        place = index
        while place > 0 and (
            time[rows[place - 1]] < at or (time[rows[place - 1]] == at and rows[place - 1] < row)
        ):
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row


@inlined
def longer(codes: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """The codes, in an array of at least `size`."""
    if size <= codes.shape[0]:
        return codes
    grown = np.empty(2 * size, np.int32)
    grown[: codes.shape[0]] = codes
    return grown


@kernel
def interest_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    since: NDArray[np.int64],
    behaviors: Behaviors,
    orders: Orders,
    lines: Lines,
    counts: NDArray[np.int32],
    seen: NDArray[np.int64],
    flags: NDArray[np.int8],
    lengths: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Write what these buyers did, and give the behaviours behind their open products.

    rows: int64[n]  since: int64[3], the first instants of 7, 30 and 365 dates
    The result: int32, rows of behaviours, buyer after buyer, the newest first.
    out: counts int32[11, rows]  seen int64[rows], when last seen  flags int8[2, rows]
    lengths int32[n], how many open products each of these buyers has
    """
    wanted = wanted_for(64)
    put = np.empty(64, np.int32)
    found = np.empty(64, np.int32)
    used = 0
    for index in range(rows.shape[0]):
        buyer = rows[index]
        for k in range(OPEN):
            counts[k, buyer] = 0
        latest, putting = _NEVER, 0
        for place in range(behaviors.begins[index], behaviors.begins[index + 1]):
            row = behaviors.events[place]
            at = behaviors.time[row]
            if at > clock.as_of:
                continue
            did = behaviors.meaning[behaviors.kind[row] + 1]
            if did != NOT_THEIRS:
                latest = max(latest, at)
            if at < since[1] or did >= OTHER:
                continue
            if did < COUNTED and is_within(at, since[1], MONTH, clock):
                counts[2 * did + 1, buyer] += 1
                if is_within(at, since[0], WEEK, clock):
                    counts[2 * did, buyer] += 1
            if (
                did in (CART, FAVORITE, CART_REMOVE, UNFAVORITE)
                and behaviors.product[row] != behaviors.no_product
            ):
                put = longer(put, putting + 1)
                put[putting] = row
                putting += 1
        is_transacted = False
        for place in range(orders.begins[index], orders.begins[index + 1]):
            row = orders.events[place]
            at = orders.time[row]
            if at <= clock.as_of:
                latest = max(latest, at)
                if orders.is_purchase[row] == 1 and is_within(at, since[2], YEAR, clock):
                    is_transacted = True
        seen[buyer] = latest
        flags[IS_TRANSACTED, buyer] = is_transacted
        flags[IS_INTERESTED, buyer] = (
            counts[2 * CART + 1, buyer] > 0 or counts[2 * FAVORITE + 1, buyer] > 0
        )
        count = 0
        if putting > 0:
            if 2 * putting > wanted.slots.shape[0]:
                size = wanted.product.shape[0]
                while size < putting:
                    size *= 2
                wanted = wanted_for(size)
            for k in range(putting):
                row = put[k]
                count = noted(
                    np.int64(behaviors.product[row]), behaviors.time[row], row,
                    behaviors.meaning[behaviors.kind[row] + 1], count, wanted,
                )  # fmt: skip
            for place in range(lines.begins[index], lines.begins[index + 1]):
                row = lines.events[place]
                at = lines.time[row]
                if since[1] <= at <= clock.as_of and lines.is_purchase[row] == 1:
                    k = wanted.slots[slot_of(np.int64(lines.product[row]), wanted)]
                    if k >= 0:
                        wanted.bought_at[k] = max(wanted.bought_at[k], at)
            found = longer(found, used + count)
            is_open = still_open(count, wanted, since[1], clock, found, used)
            newest_first(found[used : used + is_open], behaviors.time)
            for k in range(count):
                # Found again by their products, in the order they came, they are freed last first.
                last = count - 1 - k
                wanted.slots[slot_of(wanted.product[last], wanted)] = -1
            count = is_open
        lengths[index] = count
        counts[OPEN, buyer] = count
        used += count
    return found[:used].copy()


@kernel
def ordered_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    since: np.int64,
    orders: Orders,
    seen: NDArray[np.int64],
    flags: NDArray[np.int8],
) -> None:
    """What only orders tell: who has a purchase in the last 365 dates; `seen` is raised.

    rows: int64[n]  since: the first instant of these dates  out: as of `interest_facts`
    """
    for index in range(rows.shape[0]):
        buyer = rows[index]
        is_transacted = False
        for place in range(orders.begins[index], orders.begins[index + 1]):
            row = orders.events[place]
            at = orders.time[row]
            if at <= clock.as_of:
                seen[buyer] = max(seen[buyer], at)
                if orders.is_purchase[row] == 1 and is_within(at, since, YEAR, clock):
                    is_transacted = True
        flags[IS_TRANSACTED, buyer] = is_transacted


@kernel
def latest_of_all(
    owners: NDArray[np.int32],
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    counts: NDArray[np.bool_],
    events: int,
    as_of: np.int64,
    out: NDArray[np.int64],
) -> None:
    """Raise each owner's moment to that of their latest event that counts, up to as_of.

    owners: int32[events], -1 for none  kind: int32[events], or empty where every event counts
    counts: bool[1 + kinds], entry 0 for a missing kind  out: int64[owners]
    """
    for row in range(events):
        owner, at = owners[row], time[row]
        if owner < 0 or at > as_of or at <= out[owner]:
            continue
        if kind.shape[0] == 0 or counts[kind[row] + 1]:
            out[owner] = at


@kernel
def latest_of_some(
    rows: NDArray[np.int64],
    begins: NDArray[np.int64],
    events: NDArray[np.int32],
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    counts: NDArray[np.bool_],
    as_of: np.int64,
    out: NDArray[np.int64],
) -> None:
    """The same for some owners.  rows: int64[n]  begins, events: the `History` of their events"""
    for index in range(rows.shape[0]):
        owner = rows[index]
        for place in range(begins[index], begins[index + 1]):
            row = events[place]
            at = time[row]
            if out[owner] < at <= as_of and (kind.shape[0] == 0 or counts[kind[row] + 1]):
                out[owner] = at
