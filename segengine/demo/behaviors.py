"""What did buyers do in the shop? Visits step by step, some of which led to an order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.demo.buyers import Buyers
from segengine.demo.catalogue import on_sale, pick_products
from segengine.demo.columns import MOMENT, TEXT, moments, text, time_order, words
from segengine.demo.draws import draw, happens, lottery, stream
from segengine.demo.names import CATEGORIES
from segengine.demo.orders import Orders
from segengine.demo.rhythm import moment_at, move_to_hour, work_at
from segengine.demo.setting import Setting
from segengine.demo.statuses import STORE

KINDS = (
    *("visit", "view", "search", "read", "cart", "cart_remove", "favorite", "unfavorite"),
    *("follow", "unfollow", "inquiry", "quote", "reply", "check_in", "claim", "share"),
    *("vote", "survey", "game", "draw", "win"),
)
_CODE = {kind: code for code, kind in enumerate(KINDS)}
VISIT, VIEW, CART, CHECK_IN = (_CODE[k] for k in ("visit", "view", "cart", "check_in"))
INQUIRY, QUOTE, REPLY = (_CODE[k] for k in ("inquiry", "quote", "reply"))
SEARCH, FAVORITE, SURVEY = (_CODE[k] for k in ("search", "favorite", "survey"))

_STEP_CHANCES = {
    "view": 56.0,
    "search": 12.0,
    "read": 5.0,
    "cart": 9.5,
    "cart_remove": 1.4,
    "favorite": 5.0,
    "unfavorite": 0.5,
    "follow": 0.8,
    "unfollow": 0.1,
    "inquiry": 2.4,
    "check_in": 3.2,
    "claim": 1.2,
    "share": 1.1,
    "vote": 0.2,
    "survey": 0.3,
    "game": 0.6,
    "draw": 0.5,
    "win": 0.1,
}
_LENGTH_CHANCES = (24, 22, 18, 13, 9, 6, 4, 2.5, 1.5)  # of 1 to 9 steps
_LED_CHANCES = (15, 45, 22, 12, 6)  # of 2 to 6 steps before an order
_OF_PRODUCT = np.isin(
    KINDS, ["view", "cart", "cart_remove", "favorite", "unfavorite", "inquiry", "quote", "reply"]
) | np.isin(KINDS, ["share"])
_OF_ACTIVITY = np.isin(KINDS, ["check_in", "claim", "vote", "game", "draw", "win"])

_VISITS_PER_YEAR = 1.02
_LED_BY_VISIT = 0.42
"""Share of online orders before which the visit was seen: the others came from another device."""
_SHOP_FAVORITES = 0.22

_DEVICES = words(("mobile", "desktop", "tablet"))
_SOURCES = words(("direct", "search", "recommendation", "ad", "sms", "share", "livestream"))
_ACTIVITIES = words(("daily_check_in", "summer_wheel", "card_day", "brand_vote", "new_year_quiz"))
_QUESTIONS = words(("skin_type", "household", "found_us"))
_ANSWERS = words(
    (
        *("dry", "oily", "mixed", "sensitive"),
        *("single", "couple", "family", "shared"),
        *("friend", "search", "livestream", "advert"),
    )
)
_ANSWERS_EACH = 4
_KIND_WORDS = words(KINDS)
_QUERIES = words(tuple(sorted({s for c in CATEGORIES for s in c.searches})))
_QUERY_START = np.cumsum([0, *(len(c.searches) for c in CATEGORIES)])
_QUERY_CODE = np.array(
    [_QUERIES.to_pylist().index(s) for c in CATEGORIES for s in c.searches], np.int64
)

SCHEMA = pa.schema(
    [
        ("customer_id", pa.int64()),
        ("time", MOMENT),
        ("kind", TEXT),
        ("product_id", TEXT),
        ("category", TEXT),
        ("brand", TEXT),
        ("query", TEXT),
        ("source", TEXT),
        ("device", TEXT),
        ("activity", TEXT),
        ("question", TEXT),
        ("answer", TEXT),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class _Visits:
    """Visits to the shop, in any order; arrays are [visits].

    product: what was ordered at its end, -1 where nothing was. length: steps; gap: seconds
    between two steps.
    """

    owner: NDArray[np.int64]
    begun: NDArray[np.int64]
    product: NDArray[np.int64]
    length: NDArray[np.int64]
    gap: NDArray[np.int64]


def behavior_batch(setting: Setting, chunk: int, buyers: Buyers, orders: Orders) -> pa.RecordBatch:
    """One chunk of the behaviors table, by time."""
    rng = stream(setting.seed, "behaviors", chunk)
    visits = _visits(rng, setting, buyers, orders)
    count = len(visits.owner)
    source = draw(rng, lottery([34, 21, 17, 11, 6, 6, 5]), count)
    device = np.where(
        happens(rng, count, 0.82),
        buyers.device[visits.owner],
        draw(rng, lottery([74, 21, 5]), count),
    )
    own = happens(rng, count, 0.55)
    anything = draw(rng, lottery([c.popularity for c in CATEGORIES]), count)
    theme = np.where(own, buyers.category[visits.owner], anything).astype(np.int64)

    visit, moment, kind = _steps(rng, visits, setting)
    n = len(visit)
    product = _products(rng, setting, visits, buyers, visit, kind, theme, moment)
    catalogue = setting.catalogue
    known = product >= 0
    category = np.where(
        known, catalogue.category[product], np.where(kind == SEARCH, theme[visit], -1)
    )

    query = np.full(n, -1, np.int32)
    asked = np.flatnonzero(kind == SEARCH)
    low, high = _QUERY_START[theme[visit[asked]]], _QUERY_START[theme[visit[asked]] + 1]
    query[asked] = _QUERY_CODE[low + (rng.random(len(asked)) * (high - low)).astype(np.int64)]

    activity = np.full(n, -1, np.int32)
    played = np.flatnonzero(_OF_ACTIVITY[kind])
    activity[played] = np.where(
        kind[played] == CHECK_IN, 0, 1 + draw(rng, lottery([4, 3, 2, 1]), len(played))
    )
    question, answer = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    surveyed = np.flatnonzero(kind == SURVEY)
    question[surveyed] = draw(rng, lottery([3, 2, 1]), len(surveyed))
    answer[surveyed] = question[surveyed] * _ANSWERS_EACH + draw(
        rng, lottery([4, 3, 2, 1]), len(surveyed)
    )
    return pa.record_batch(
        [
            pa.array(visits.owner[visit] + buyers.first_id),
            moments(moment, setting.end),
            text(kind, _KIND_WORDS),
            text(product, catalogue.id_words),
            text(category, catalogue.category_words),
            text(np.where(known, catalogue.brand[product], -1), catalogue.brand_words),
            text(query, _QUERIES),
            text(source[visit], _SOURCES),
            text(device[visit], _DEVICES),
            text(activity, _ACTIVITIES),
            text(question, _QUESTIONS),
            text(answer, _ANSWERS),
        ],
        schema=SCHEMA,
    )


def _visits(rng: np.random.Generator, setting: Setting, buyers: Buyers, orders: Orders) -> _Visits:
    """Visits that led to an order, and visits for their own sake until some time after the last."""
    clock = setting.browsing
    n = len(buyers.joined)
    since = work_at(clock, buyers.joined)
    stays = happens(rng, n, 0.22)
    until = np.where(stays, clock.total, work_at(clock, buyers.quiet))
    rate = (
        _VISITS_PER_YEAR / 365 * np.exp(rng.standard_normal(n) * 0.9) * (1 + buyers.orders) ** 0.45
    )
    counts = np.minimum(rng.poisson(0.35 + rate * (until - since)), 200)
    owner = np.repeat(np.arange(n), counts)
    work = since[owner] + rng.random(len(owner)) * (until - since)[owner]
    joined = buyers.joined[owner]
    begun = np.maximum(moment_at(clock, work), joined)
    begun = move_to_hour(rng, clock, begun, buyers.hour[owner], joined, 0.35)

    seen = np.flatnonzero(
        (orders.channel != STORE) & happens(rng, len(orders.owner), _LED_BY_VISIT)
    )
    buying_length = 2 + draw(rng, lottery(_LED_CHANCES), len(seen)).astype(np.int64)
    buying_gap = rng.integers(15, 120, len(seen))
    lead = buying_length * buying_gap + rng.integers(10, 90, len(seen))
    came = np.maximum(orders.placed[seen] - lead, buyers.joined[orders.owner[seen]])
    return _Visits(
        owner=np.concatenate((owner, orders.owner[seen])),
        begun=np.concatenate((begun, np.maximum(came, setting.start))),
        product=np.concatenate(
            (np.full(len(owner), -1), orders.baskets.product[orders.baskets.starts[seen]])
        ),
        length=np.concatenate(
            (1 + draw(rng, lottery(_LENGTH_CHANCES), len(owner)).astype(np.int64), buying_length)
        ),
        gap=np.concatenate((rng.integers(10, 150, len(owner)), buying_gap)),
    )


def _steps(
    rng: np.random.Generator, visits: _Visits, setting: Setting
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """The visit, moment and kind of every step by time; steps after as_of are left out.

    A visit begins with `visit`, one that leads to an order goes on with `view` and `cart`; an
    inquiry may be answered by a quote, and a quote by a reply.
    """
    visit = np.repeat(np.arange(len(visits.owner), dtype=np.int64), visits.length)
    starts: NDArray[np.int64] = np.cumsum(visits.length) - visits.length
    place = np.arange(len(visit), dtype=np.int64) - starts[visit]
    moment = visits.begun[visit] + place * visits.gap[visit]
    chances = np.array([_STEP_CHANCES.get(kind, 0.0) for kind in KINDS])
    kind = draw(rng, lottery(chances), len(visit))
    kind[place == 0] = VISIT
    bought = visits.product[visit] >= 0
    kind[bought & (place == 1)] = VIEW
    kind[bought & (place == 2)] = CART
    for before, after, chance in ((INQUIRY, QUOTE, 0.4), (QUOTE, REPLY, 0.5)):
        follows = np.flatnonzero((kind[:-1] == before) & (place[1:] > 0)) + 1
        kind[follows[happens(rng, len(follows), chance)]] = after
    kept = np.flatnonzero(moment <= setting.end)
    order = kept[time_order(moment[kept], setting.start)]
    return visit[order], moment[order], kind[order]


def _products(
    rng: np.random.Generator,
    setting: Setting,
    visits: _Visits,
    buyers: Buyers,
    visit: NDArray[np.int64],
    kind: NDArray[np.int8],
    theme: NDArray[np.int64],
    moment: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The product of every step, -1 where it has none: a favorite without one is the shop.

    On the way to an order mostly what was ordered, else of the visit's theme or the buyer's brand.
    """
    catalogue = setting.catalogue
    shop = (kind == FAVORITE) & happens(rng, len(kind), _SHOP_FAVORITES)
    at = np.flatnonzero(_OF_PRODUCT[kind] & ~shop)
    of_visit = visit[at]
    owner, wanted = visits.owner[of_visit], theme[of_visit]
    loyal = happens(rng, len(at), 0.25)
    ends = catalogue.category_ends
    low = np.where(loyal, buyers.brand_start[owner], ends[wanted])
    high = np.where(loyal, buyers.brand_end[owner], ends[wanted + 1])
    found = on_sale(catalogue, pick_products(rng, catalogue, low, high), moment[at])
    ordered = visits.product[of_visit]
    kept = (ordered >= 0) & (happens(rng, len(at), 0.6) | (kind[at] == CART))
    product = np.full(len(kind), -1, np.int64)
    product[at] = np.where(kept, ordered, found)
    return product
