"""One buyer's messages, and what followed each -> how often they answer, and when last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock, is_within

_NO_VALUE = np.int64(-(2**63))
_NEVER = np.int64(2**63 - 1)

# Rows of the outputs; `traits/marketing.py` names them in the same order.
MESSAGES, MESSAGES_7D, MESSAGES_30D, RESPONSES, SINCE_ORDER = range(5)
CONTACTED_AT, RESPONDED_AT = range(2)
LOW_RESPONSE, LOST_CAUSE = range(2)

# What a message is to bring about: any of a click, a visit and a purchase; a click; or an event
# of one sort, numbered as below. From FIRST_OTHER on they are those of further tables.
ANY, CLICK = -2, -1
VISIT, PURCHASE, ORDER, BEHAVIOR, FIRST_OTHER = range(5)


class Messages(NamedTuple):
    """The messages of these buyers, by their `History`; `sent` and `clicked` are kinds."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    kind: NDArray[np.int32]
    campaign: NDArray[np.int32]
    sent: np.int32
    clicked: np.int32


class Behaviors(NamedTuple):
    """What these buyers did, by its `History`; `visit` is a kind."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    kind: NDArray[np.int32]
    visit: np.int32


class Ordered(NamedTuple):
    """The orders of these buyers, by their `History`."""

    begins: NDArray[np.int64]
    events: NDArray[np.int32]
    time: NDArray[np.int64]
    is_purchase: NDArray[np.int8]


class Others(NamedTuple):
    """Events of further tables: buyer k has the places begins[k] to begins[k + 1].

    at: int64[events]  sort: int16[events], FIRST_OTHER and above
    """

    begins: NDArray[np.int64]
    at: NDArray[np.int64]
    sort: NDArray[np.int16]


class Goals(NamedTuple):
    """What the messages of a campaign are for, by its code + 1; entry 0: no campaign.

    window: int64[1 + campaigns], microseconds  event: int16[1 + campaigns]
    """

    window: NDArray[np.int64]
    event: NDArray[np.int16]


class Contacts(NamedTuple):
    """One buyer's messages and clicks by time, at one moment the messages first; scratch.

    at: int64[n]  what: int32[n], twice (the campaign's code + 1), and 1 more for a click
    first: int64[sorts, n], the earliest event of a sort from this contact on, before the next
    """

    at: NDArray[np.int64]
    what: NDArray[np.int32]
    first: NDArray[np.int64]


@inlined
def room_for(contacts: int, sorts: int) -> Contacts:
    """Scratch for so many contacts."""
    at, what = np.empty(contacts, np.int64), np.empty(contacts, np.int32)
    return Contacts(at, what, np.empty((sorts, contacts), np.int64))


@kernel
def marketing_facts(
    rows: NDArray[np.int64],
    clock: Clock,
    since_7d: np.int64,
    since_30d: np.int64,
    messages: Messages,
    behaviors: Behaviors,
    orders: Ordered,
    others: Others,
    goals: Goals,
    sorts: int,
    least: int,
    low: float,
    counts: NDArray[np.int32],
    times: NDArray[np.int64],
    rates: NDArray[np.float64],
    flags: NDArray[np.int8],
) -> None:
    """Write every fact of these buyers; `flags[LOST_CAUSE]` is for `lost_causes`.

    rows: int64[n]  since_7d, since_30d: the first instants of these dates
    sorts: how many sorts of events there are  least, low: when a response is low
    out: counts int32[5, rows]  times int64[2, rows]  rates float64[1, rows]  flags int8[2, rows]
    """
    contacts = room_for(64, sorts)
    clicks = np.full(goals.window.shape[0], _NEVER)
    nearest = np.empty(sorts, np.int64)
    for index in range(rows.shape[0]):
        buyer = rows[index]
        many = messages.begins[index + 1] - messages.begins[index]
        if many > contacts.at.shape[0]:
            contacts = room_for(2 * many, sorts)
        for k in range(5):
            counts[k, buyer] = 0
        count, sent = 0, 0
        for place in range(messages.begins[index], messages.begins[index + 1]):
            row = messages.events[place]
            at, kind = messages.time[row], messages.kind[row]
            if at > clock.as_of or kind not in (messages.sent, messages.clicked):
                continue
            contacts.at[count] = at
            contacts.what[count] = 2 * (messages.campaign[row] + 1) + (kind == messages.clicked)
            count += 1
            if kind == messages.sent:
                sent += 1
                counts[MESSAGES_7D, buyer] += is_within(at, since_7d, 7, clock)
                counts[MESSAGES_30D, buyer] += is_within(at, since_30d, 30, clock)
        times[CONTACTED_AT, buyer] = _NO_VALUE
        times[RESPONDED_AT, buyer] = _NO_VALUE
        rates[0, buyer] = np.nan
        flags[LOW_RESPONSE, buyer] = 0
        if sent == 0:
            continue
        _in_time_order(contacts, count)
        contacts.first[:, :count] = _NEVER
        ordered = _followed(index, clock.as_of, behaviors, orders, others, contacts, count)
        responses = _answered(contacts, count, goals, clicks, nearest, times, buyer)
        counts[MESSAGES, buyer] = sent
        counts[RESPONSES, buyer] = responses
        for k in range(count):
            if contacts.what[k] & 1 == 0:
                times[CONTACTED_AT, buyer] = contacts.at[k]
                counts[SINCE_ORDER, buyer] += contacts.at[k] > ordered
        rates[0, buyer] = responses / sent
        flags[LOW_RESPONSE, buyer] = sent >= least and responses / sent < low


@inlined
def _in_time_order(contacts: Contacts, count: int) -> None:
    """Sort by time, a message before a click; most arrive in this order."""
    at, what = contacts.at, contacts.what
    moves = 0
    for index in range(1, count):
        moment, this = at[index], what[index]
        place = index
        while place > 0 and (
            at[place - 1] > moment or (at[place - 1] == moment and what[place - 1] & 1 > this & 1)
        ):
            at[place], what[place] = at[place - 1], what[place - 1]
            place -= 1
            moves += 1
        at[place], what[place] = moment, this
        if moves > 64 * count:
            # Far from sorted: very many contacts that came in disorder.
            first = np.argsort(what[:count] & 1, kind="mergesort")
            order = first[np.argsort(at[:count][first], kind="mergesort")]
            moments, these = at[:count][order], what[:count][order]
            at[:count] = moments
            what[:count] = these
            return


@inlined
def _followed(
    index: int,
    as_of: np.int64,
    behaviors: Behaviors,
    orders: Ordered,
    others: Others,
    contacts: Contacts,
    count: int,
) -> np.int64:
    """Note every event up to `as_of` at the contact it follows; when was the last purchase?"""
    ordered = _NO_VALUE
    for place in range(behaviors.begins[index], behaviors.begins[index + 1]):
        row = behaviors.events[place]
        at = behaviors.time[row]
        if contacts.at[0] <= at <= as_of:
            slot = _last_until(at, contacts.at, count)
            contacts.first[BEHAVIOR, slot] = min(contacts.first[BEHAVIOR, slot], at)
            if behaviors.kind[row] == behaviors.visit:
                contacts.first[VISIT, slot] = min(contacts.first[VISIT, slot], at)
    for place in range(orders.begins[index], orders.begins[index + 1]):
        row = orders.events[place]
        at = orders.time[row]
        if at > as_of:
            continue
        bought = orders.is_purchase[row] == 1
        if bought:
            ordered = max(ordered, at)
        if contacts.at[0] <= at:
            slot = _last_until(at, contacts.at, count)
            contacts.first[ORDER, slot] = min(contacts.first[ORDER, slot], at)
            if bought:
                contacts.first[PURCHASE, slot] = min(contacts.first[PURCHASE, slot], at)
    for place in range(others.begins[index], others.begins[index + 1]):
        at = others.at[place]
        if contacts.at[0] <= at <= as_of:
            slot, sort = _last_until(at, contacts.at, count), others.sort[place]
            contacts.first[sort, slot] = min(contacts.first[sort, slot], at)
    return ordered


@inlined
def _last_until(moment: np.int64, at: NDArray[np.int64], count: int) -> int:
    """The last place whose time is not after a moment; at[0] is not."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) >> 1
        if at[middle] <= moment:
            low = middle
        else:
            high = middle
    return low


@inlined
def _answered(
    contacts: Contacts,
    count: int,
    goals: Goals,
    clicks: NDArray[np.int64],
    nearest: NDArray[np.int64],
    times: NDArray[np.int64],
    buyer: np.int64,
) -> int:
    """How many messages got what they were for within their window; writes when last.

    clicks: the nearest click of each campaign, all _NEVER before and after: scratch
    nearest: int64[sorts], scratch
    """
    nearest[:] = _NEVER
    any_click, responses = _NEVER, 0
    for k in range(count - 1, -1, -1):
        campaign, at = contacts.what[k] >> 1, contacts.at[k]
        for sort in range(nearest.shape[0]):
            nearest[sort] = min(nearest[sort], contacts.first[sort, k])
        if contacts.what[k] & 1:
            clicks[campaign] = at
            any_click = at
            continue
        click = any_click if campaign == 0 else min(clicks[campaign], clicks[0])
        event = goals.event[campaign]
        if event == ANY:
            met = min(click, nearest[VISIT], nearest[PURCHASE])
        elif event == CLICK:
            met = click
        else:
            met = nearest[event]
        # Unsigned, so that the compiler may not assume that the difference fits.
        if met != _NEVER and np.uint64(met) - np.uint64(at) < np.uint64(goals.window[campaign]):
            responses += 1
            times[RESPONDED_AT, buyer] = max(times[RESPONDED_AT, buyer], met)
    for k in range(count):
        clicks[contacts.what[k] >> 1] = _NEVER
    return responses


@kernel
def lost_causes(
    rows: NDArray[np.int64],
    stage: NDArray[np.int32],
    lapsed: np.int32,
    since_order: NDArray[np.int32],
    many: int,
    responded_at: NDArray[np.int64],
    last_order_at: NDArray[np.int64],
    out: NDArray[np.int8],
) -> None:
    """Whether a lapsed buyer had `many` messages since the last order, and no response since.

    rows: int64[n]  stage, since_order: int32[rows]  responded_at, last_order_at: int64[rows]
    out: int8[rows]
    """
    for index in range(rows.shape[0]):
        row = rows[index]
        out[row] = (
            stage[row] == lapsed
            and since_order[row] >= many
            # Missing is the least moment: no response is before every order.
            and responded_at[row] <= last_order_at[row]
        )
