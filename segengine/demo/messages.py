"""Whom did the shop write to? Every past campaign's messages, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.demo.buyers import Buyers
from segengine.demo.columns import MOMENT, NEVER, TEXT, moments, text, time_order, whole, words
from segengine.demo.draws import happens, stream, waits
from segengine.demo.orders import Orders
from segengine.demo.rhythm import DAY, HOUR
from segengine.demo.setting import Setting
from segengine.demo.statuses import LATE

CHANNELS = ("sms", "email")
SMS, EMAIL = range(len(CHANNELS))
KINDS = ("sent", "delivered", "opened", "clicked", "failed", "unsubscribed")
SENT, DELIVERED, OPENED, CLICKED, FAILED, UNSUBSCRIBED = range(len(KINDS))
CLASSES = ("service", "care", "marketing")
SERVICE, CARE, MARKETING = range(len(CLASSES))

_OPENED = np.array([0.0, 0.24])
_CLICKED = np.array([0.045, 0.16])
"""Of the delivered (sms) and of the opened (email)."""
_UNSUBSCRIBED = 0.006
_FAILED = np.array([0.025, 0.045])

_CHANNEL_WORDS = words(CHANNELS)
_KIND_WORDS = words(KINDS)
_CLASS_WORDS = words(CLASSES)
_VARIANT_WORDS = words(("a", "b"))

SCHEMA = pa.schema(
    [
        ("customer_id", pa.int64()),
        ("time", MOMENT),
        ("campaign", TEXT),
        ("run", TEXT),
        ("channel", TEXT),
        ("kind", TEXT),
        ("class", TEXT),
        ("variant", TEXT),
        ("parts", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class PastCampaign:
    """One run of a campaign: when it began, over which channel, and to which share of whom.

    aim: `all` buyers, `buyers` with an order, `active` before they went quiet, `quiet` after.
    """

    name: str
    on: date
    hour: int
    channel: int
    kind: int
    share: float
    aim: str
    variants: int = 1
    parts: int = 1


def past_campaigns(dates: tuple[date, ...]) -> list[PastCampaign]:
    """What a shop sends in two years: newsletters, festivals, member days, care; by time."""
    yearly = {
        (3, 6): ("women_day", SMS, 0.16),
        (5, 31): ("mid_year_618", EMAIL, 0.3),
        (6, 16): ("mid_year_618", SMS, 0.2),
        (9, 8): ("harvest_fair", SMS, 0.12),
        (10, 31): ("double_11", EMAIL, 0.32),
        (11, 10): ("double_11", SMS, 0.26),
        (12, 11): ("double_12", SMS, 0.16),
    }
    found = []
    for day in dates:
        if (day.month, day.day) in yearly:
            name, channel, share = yearly[day.month, day.day]
            found.append(PastCampaign(name, day, 19, channel, MARKETING, share, "all", 2))
        if day.day == 5:
            found.append(PastCampaign("newsletter", day, 10, EMAIL, MARKETING, 0.14, "all", 2))
        if day.day == 27:
            found.append(PastCampaign("member_day", day, 20, SMS, MARKETING, 0.085, "active", 1, 2))
        if day.day == 14:
            found.append(PastCampaign("how_is_it_going", day, 15, EMAIL, CARE, 0.06, "buyers"))
        if day.day == 20 and day.month % 3 == 1:
            found.append(PastCampaign("win_back", day, 18, SMS, MARKETING, 0.2, "quiet", 2, 2))
        back = (dates[-1] - day).days
        if back in {1, 4, 6}:
            channel = EMAIL if back == 4 else SMS
            found.append(PastCampaign("summer_sale", day, 11, channel, MARKETING, 0.12, "all", 2))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Sends:
    """Messages sent, in the order of campaigns; arrays are [messages].

    campaign: place in the list of past campaigns; the one after the last is the apology for a
    late parcel. fails: whether it never arrives.
    """

    owner: NDArray[np.int64]
    time: NDArray[np.int64]
    campaign: NDArray[np.int64]
    variant: NDArray[np.int64]
    fails: NDArray[np.bool_]
    leaves: NDArray[np.bool_]


def message_batch(setting: Setting, chunk: int, buyers: Buyers, orders: Orders) -> pa.RecordBatch:
    """One chunk of the messages table, by time; sent, delivered and what followed are rows."""
    rng = stream(setting.seed, "messages", chunk)
    campaigns = past_campaigns(setting.dates)
    sends = _sends(rng, setting, campaigns, buyers, orders)
    apology = PastCampaign("parcel_late", setting.dates[-1], 0, SMS, SERVICE, 0.0, "buyers")
    every = [*campaigns, apology]
    channel_of = np.array([c.channel for c in every])
    send, time, kind = _outcomes(rng, sends, channel_of)

    kept = np.flatnonzero(time <= setting.end)
    order = kept[time_order(time[kept], setting.start)]
    send, time, kind = send[order], time[order], kind[order]
    campaign = sends.campaign[send]
    names = list(dict.fromkeys(c.name for c in every))
    name_of = np.array([names.index(c.name) for c in every])
    runs = words([f"{c.name}_{c.on:%Y%m%d}" for c in campaigns])
    variants = np.array([c.variants for c in every])[campaign]
    parts = np.array([c.parts for c in every])[campaign]
    billed = (channel_of[campaign] == SMS) & (kind == SENT)
    return pa.record_batch(
        [
            pa.array(sends.owner[send] + buyers.first_id),
            moments(time, setting.end),
            text(name_of[campaign], words(names)),
            text(np.where(campaign < len(campaigns), campaign, -1), runs),
            text(channel_of[campaign], _CHANNEL_WORDS),
            text(kind, _KIND_WORDS),
            text(np.array([c.kind for c in every])[campaign], _CLASS_WORDS),
            text(np.where(variants > 1, sends.variant[send], -1), _VARIANT_WORDS),
            whole(parts, pa.int32(), ~billed),
        ],
        schema=SCHEMA,
    )


def _sends(
    rng: np.random.Generator,
    setting: Setting,
    campaigns: list[PastCampaign],
    buyers: Buyers,
    orders: Orders,
) -> _Sends:
    """Who was sent what: those who consent, can be reached and did not unsubscribe before."""
    n = len(buyers.joined)
    allowed = buyers.consent & buyers.address
    dead = rng.random((len(CHANNELS), n), dtype=np.float32) < 0.012
    first_order = np.full(n, setting.end + 1)
    np.minimum.at(first_order, orders.owner, orders.placed)
    parts: list[tuple[NDArray[Any], ...]] = []
    for place, campaign in enumerate(campaigns):
        day = campaign.on
        begun = int(
            datetime(day.year, day.month, day.day, campaign.hour, tzinfo=setting.zone).timestamp()
        )
        aimed = {
            "all": buyers.joined < begun,
            "buyers": first_order < begun,
            "active": (buyers.joined < begun) & (buyers.quiet > begun),
            "quiet": (first_order < begun) & (buyers.quiet < begun - 30 * DAY),
        }[campaign.aim]
        chosen = aimed & allowed[campaign.channel] & happens(rng, n, campaign.share)
        owner = np.flatnonzero(chosen)
        time = begun + rng.integers(0, HOUR, len(owner))
        leaves = happens(rng, len(owner), _UNSUBSCRIBED)
        fails = dead[campaign.channel, owner] | happens(rng, len(owner), _FAILED[campaign.channel])
        leaves &= ~fails
        allowed[campaign.channel, owner[leaves]] = False
        variant = (happens(rng, len(owner), 0.5)).astype(np.int64)
        parts.append((owner, time, np.full(len(owner), place), variant, fails, leaves))
    parts.append(_apologies(rng, len(campaigns), buyers, orders, dead))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    sent = columns[1] <= setting.end
    owner, time, campaign_place, variant, fails, leaves = (column[sent] for column in columns)
    return _Sends(owner, time, campaign_place, variant, fails, leaves)


def _apologies(
    rng: np.random.Generator,
    place: int,
    buyers: Buyers,
    orders: Orders,
    dead: NDArray[np.bool_],
) -> tuple[NDArray[Any], ...]:
    """A service message for each parcel on the day it became late, whatever the consent."""
    statuses = orders.statuses
    late = (statuses.delivered - orders.placed > LATE) & (statuses.paid < statuses.delivered)
    late &= statuses.delivered < NEVER
    late &= buyers.address[SMS, orders.owner]
    which = np.flatnonzero(late)
    owner = orders.owner[which]
    time = orders.placed[which] + LATE + rng.integers(0, HOUR, len(which))
    nothing = np.zeros(len(which), np.int64)
    fails = dead[SMS, owner] | happens(rng, len(which), _FAILED[SMS])
    return owner, time, nothing + place, nothing, fails, np.zeros(len(which), np.bool_)


def _outcomes(
    rng: np.random.Generator, sends: _Sends, channel_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rows of all messages: which message, when, of which kind; later ones come later."""
    n = len(sends.owner)
    every = np.arange(n)
    channel = channel_of[sends.campaign]
    arrived = sends.time + 2 + waits(rng, n, 20.0)
    read = arrived + 30 + waits(rng, n, 4.0 * HOUR)
    opens = ~sends.fails & (rng.random(n) < _OPENED[channel])
    reaches = np.where(channel == EMAIL, opens, ~sends.fails)
    clicks = reaches & (rng.random(n) < _CLICKED[channel])
    rows = (
        (every, sends.time, SENT),
        (every[~sends.fails], arrived[~sends.fails], DELIVERED),
        (every[sends.fails], arrived[sends.fails], FAILED),
        (every[opens], read[opens], OPENED),
        (every[clicks], read[clicks] + 20 + waits(rng, int(clicks.sum()), 60.0), CLICKED),
        (every[sends.leaves], read[sends.leaves] + 45, UNSUBSCRIBED),
    )
    kind = np.repeat(np.array([r[2] for r in rows]), [len(r[0]) for r in rows])
    return np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows]), kind
