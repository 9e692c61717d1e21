"""Who buys here? Each buyer's given columns, and the habits that all of a buyer's events follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.demo.catalogue import pick_products
from segengine.demo.columns import (
    MOMENT,
    NEVER,
    TAGS,
    TEXT,
    flags,
    moments,
    tags,
    text,
    whole,
    words,
)
from segengine.demo.draws import draw, happens, lottery, stream, waits
from segengine.demo.names import CATEGORIES, NICKNAMES, PLACES
from segengine.demo.rhythm import DAY, moment_at, work_at
from segengine.demo.setting import Setting

PROSPECTS = 0.17
"""Share of buyers who never order, whatever time they are given."""
BEFORE_HISTORY = 0.16
"""Share of buyers who joined in the year before the history begins."""

TAG_WORDS = ("vip", "complained", "staff", "wholesale", "livestream", "birthday_gift")
VIP, COMPLAINED, STAFF, WHOLESALE, LIVESTREAM, BIRTHDAY_GIFT = range(len(TAG_WORDS))

_GENDERS = words(("female", "male"))
_REGIONS = words(tuple(p[0] for p in PLACES))
_CITIES = words(tuple(city for p in PLACES for city in p[3]))
_CITY_REGION = np.array([r for r, p in enumerate(PLACES) for _ in p[3]])
_CITY_WEIGHT = [p[1] * 2.0**-k for p in PLACES for k in range(len(p[3]))]
_ACQUISITION = words(("search", "recommendation", "livestream", "short_video", "friend", "store"))
_CREDIT = words(("heart", "diamond", "crown", "golden_crown"))
_NICKNAMES = words(
    tuple(a + "_" + b + c for a in NICKNAMES[0] for b in NICKNAMES[1] for c in NICKNAMES[2])
)

_HOUR_TICKETS = lottery(
    [0.4, 0.1, 0, 0, 0, 0, 0.3, 1, 1.5, 2.5, 4, 3, 4, 4, 2.5, 2, 2, 2, 2.5, 4, 8, 10, 7, 3]
)
_LEVEL_CUTS = np.array([0.5, 1.6, 3.5, 7.0, 14.0])
"""Orders, give or take a lognormal third, from which a buyer has member level 1 to 5."""

SCHEMA = pa.schema(
    [
        ("customer_id", pa.int64()),
        ("nickname", TEXT),
        ("gender", TEXT),
        ("birthday", pa.date32()),
        ("region", TEXT),
        ("city", TEXT),
        ("joined_at", MOMENT),
        ("member_level", pa.int32()),
        ("card_claimed_at", MOMENT),
        ("acquisition_channel", TEXT),
        ("credit_level", TEXT),
        ("sms_consent", pa.bool_()),
        ("email_consent", pa.bool_()),
        ("has_sms", pa.bool_()),
        ("has_email", pa.bool_()),
        ("tags", TAGS),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Buyers:
    """A chunk of buyers in the order they joined; all arrays are [buyers] unless said otherwise.

    first_id: customer_id of the first; the others follow by one.
    joined, quiet: seconds since 1970; from `quiet` on the buyer does not order any more.
    orders: how many orders the buyer places, between first_work and last_work of the buying
    clock; one at first_work, unless the buyer is older than the history.
    brand_start, brand_end: the catalogue's rows of the preferred brand.
    payment, device, shop: preferred codes; bargain: takes promotions more often than not.
    consent, address: bool[channels, buyers], whether messages may and can be sent (sms, email);
    unasked: bool[channels, buyers], consent is not known.
    """

    first_id: int
    joined: NDArray[np.int64]
    quiet: NDArray[np.int64]
    orders: NDArray[np.int64]
    first_work: NDArray[np.float64]
    last_work: NDArray[np.float64]
    female: NDArray[np.bool_]
    category: NDArray[np.int64]
    brand_start: NDArray[np.int64]
    brand_end: NDArray[np.int64]
    payment: NDArray[np.int8]
    device: NDArray[np.int8]
    shop: NDArray[np.int8]
    hour: NDArray[np.int64]
    bargain: NDArray[np.bool_]
    city: NDArray[np.int64]
    member_level: NDArray[np.int64]
    card_claimed: NDArray[np.int64]
    consent: NDArray[np.bool_]
    unasked: NDArray[np.bool_]
    address: NDArray[np.bool_]
    tag_bits: NDArray[np.uint8]

    @property
    def ids(self) -> NDArray[np.int64]:
        """customer_id: int64[buyers]."""
        return np.arange(self.first_id, self.first_id + len(self.joined))

    @property
    def region(self) -> NDArray[np.int64]:
        """The code of the region the buyer's city lies in."""
        return _CITY_REGION[self.city]

    def has_tag(self, number: int) -> NDArray[np.bool_]:
        """Which buyers bear the tag of this place in TAG_WORDS."""
        return (self.tag_bits >> number & 1).astype(np.bool_)


def chunk_buyers(setting: Setting, chunk: int) -> Buyers:
    """One chunk of buyers. Ids follow the order of joining, over the chunks too."""
    n = setting.size_of(chunk)
    rng = stream(setting.seed, "buyers", chunk)
    start, end = setting.start, setting.end

    joined = _joined(rng, setting, chunk, n)
    since = np.maximum(joined, start)
    old = joined < start
    span = np.where(old, draw(rng, lottery([6, 44, 50]), n), draw(rng, lottery([33, 35, 32]), n))
    lifetime = rng.standard_exponential(n) * np.array([25.0, 210.0, 1600.0])[span] * DAY
    quiet = np.minimum(since + lifetime.astype(np.int64) + DAY, end)

    clock = setting.buying
    last_work = work_at(clock, quiet)
    delay = rng.standard_exponential(n) * np.where(happens(rng, n, 0.7), 1.5, 25.0)
    first_work = work_at(clock, since) + np.where(old, 0.0, delay)
    rate = np.minimum(0.0065 * np.exp(rng.standard_normal(n) * 1.15), 0.12)
    further = rng.poisson(rate * np.maximum(last_work - first_work, 0.0))
    comes = ~happens(rng, n, PROSPECTS) & (first_work < clock.total)
    orders = np.where(comes, 1 + further, 0)
    last_work = np.maximum(last_work, first_work)

    female = happens(rng, n, 0.64)
    category = _preferred_categories(rng, female)
    catalogue = setting.catalogue
    favourite = pick_products(
        rng, catalogue, catalogue.category_ends[category], catalogue.category_ends[category + 1]
    )

    level = np.searchsorted(_LEVEL_CUTS, orders * rng.lognormal(0.0, 0.33, n))
    keen = happens(rng, n, 0.22) | (happens(rng, n, 0.35) & (level >= 2))
    claimed = np.where(keen, joined + waits(rng, n, 45.0 * DAY), NEVER)
    asked = rng.random((2, n), dtype=np.float32)
    consent = asked < np.array([[0.62], [0.46]], np.float32)
    unasked = asked > np.array([[0.82], [0.70]], np.float32)
    address = rng.random((2, n), dtype=np.float32) < np.array([[0.94], [0.57]], np.float32)

    return Buyers(
        first_id=1 + chunk * setting.chunk,
        joined=joined,
        quiet=quiet,
        orders=orders,
        first_work=first_work,
        last_work=last_work,
        female=female,
        category=category,
        brand_start=catalogue.brand_start[favourite],
        brand_end=catalogue.brand_end[favourite],
        payment=draw(rng, lottery([52, 36, 8, 4]), n),
        device=draw(rng, lottery([80, 15, 5]), n),
        shop=draw(rng, lottery([68, 20, 12]), n),
        hour=draw(rng, _HOUR_TICKETS, n).astype(np.int64),
        bargain=happens(rng, n, 0.35),
        city=draw(rng, lottery(_CITY_WEIGHT), n).astype(np.int64),
        member_level=level,
        card_claimed=claimed,
        consent=consent,
        unasked=unasked,
        address=address,
        tag_bits=_tag_bits(rng, orders),
    )


def customer_batch(setting: Setting, chunk: int, buyers: Buyers) -> pa.RecordBatch:
    """One chunk of the customers table."""
    n = len(buyers.joined)
    rng = stream(setting.seed, "customers", chunk)
    gender = np.where(happens(rng, n, 0.11), -1, np.where(buyers.female, 0, 1))
    nickname = np.where(happens(rng, n, 0.03), -1, rng.integers(0, len(_NICKNAMES), n))
    years = 16 + rng.gamma(4.0, 4.6, n)
    birthday = pa.array(
        (setting.end // DAY - years * 365.2425).astype(np.int32),
        pa.int32(),
        mask=happens(rng, n, 0.34),
    ).view(pa.date32())
    credit = np.minimum(draw(rng, lottery([55, 32, 11, 2]), n) + (buyers.member_level >= 4), 3)
    return pa.record_batch(
        [
            pa.array(buyers.ids),
            text(nickname, _NICKNAMES),
            text(gender, _GENDERS),
            birthday,
            text(buyers.region, _REGIONS),
            text(buyers.city, _CITIES),
            moments(buyers.joined, setting.end),
            whole(buyers.member_level, pa.int32()),
            moments(buyers.card_claimed, setting.end),
            text(draw(rng, lottery([31, 22, 19, 14, 9, 5]), n), _ACQUISITION),
            text(np.where(happens(rng, n, 0.08), -1, credit), _CREDIT),
            flags(buyers.consent[0], buyers.unasked[0]),
            flags(buyers.consent[1], buyers.unasked[1]),
            flags(buyers.address[0]),
            flags(buyers.address[1]),
            tags(buyers.tag_bits, TAG_WORDS),
        ],
        schema=SCHEMA,
    )


def _joined(rng: np.random.Generator, setting: Setting, chunk: int, n: int) -> NDArray[np.int64]:
    """When each buyer of a chunk joined: each takes the next slice of the store's growth."""
    place = (chunk * setting.chunk + np.arange(n) + rng.random(n)) / setting.customers
    before = setting.start - ((1 - place / BEFORE_HISTORY) * 365 * DAY).astype(np.int64)
    clock = setting.joining
    during = moment_at(clock, (place - BEFORE_HISTORY) / (1 - BEFORE_HISTORY) * clock.total)
    return np.where(place < BEFORE_HISTORY, before, during)


def _preferred_categories(rng: np.random.Generator, female: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Each buyer's preferred category: by popularity, leaning to what women or men like."""
    popularity = np.array([c.popularity for c in CATEGORIES])
    leaning = np.array([c.liked_by_women for c in CATEGORIES])
    n = len(female)
    hers = draw(rng, lottery(popularity * np.sqrt(leaning)), n)
    his = draw(rng, lottery(popularity / np.sqrt(leaning)), n)
    return np.where(female, hers, his).astype(np.int64)


def _tag_bits(rng: np.random.Generator, orders: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Tags as bits, by place in TAG_WORDS; most buyers have none."""
    n = len(orders)
    bits = np.zeros(n, np.uint8)
    for number, wearers in (
        (VIP, (orders >= 8) & happens(rng, n, 0.45)),
        (COMPLAINED, (orders >= 1) & happens(rng, n, 0.018)),
        (STAFF, happens(rng, n, 0.0012)),
        (WHOLESALE, (orders >= 3) & happens(rng, n, 0.01)),
        (LIVESTREAM, happens(rng, n, 0.05)),
        (BIRTHDAY_GIFT, (orders >= 2) & happens(rng, n, 0.06)),
    ):
        bits |= wearers.astype(np.uint8) << np.uint8(number)
    return bits
