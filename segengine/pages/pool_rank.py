"""Which products of a pool does this buyer see, and why each?

A score is a sum of terms, each from 0 to 1 and weighed as `[pools]` says, over the sum of the
weights, in millionths:

- recent: what the buyer did with the product on the last dates: the sum s of the weights of their
  doings, each half as much for every half-life of dates since, as s / (1 + s)
- bought_together: the greatest cosine with a product they bought or have in the cart
- category, brand: their affinity to it, as a share of their greatest
- recent_category: as recent, of all they did in the category
- price: 1 where its price level is the band they choose, 1/2 one apart, 0 two apart
- best_seller: from 1 for the product that sells best to 0 for those that sell nothing

First come pins, then, where asked, open cart items, then the others by score, of equals the better
seller, then the smaller product_id. What the buyer has just bought is left out, pins excepted. A
category that has its most of the places is passed over while others have candidates. The reason of
a product is the term that gives it most. Everything counts in whole dates, so that an answer stands
until midnight, while nothing happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import bits, fold
from segengine.pages import pool_loops
from segengine.pages.bought_together import BoughtTogether
from segengine.pages.pool_loops import Lately, Taste, Wanted
from segengine.pages.pool_shelf import (
    BEHAVIORS,
    Candidates,
    Placed,
    ReadyPool,
    Shelves,
    sold_lines,
)
from segengine.rules.frame import Words
from segengine.rules.segment import View
from segengine.schema.pool_settings import TERMS, PoolSettings
from segengine.schema.tables import ORDER_LINES
from segengine.tables.list_column import ListColumn
from segengine.traits.clock_loops import Clock
from segengine.traits.interest import OPEN_PRODUCTS
from segengine.traits.product_places import product_places

POOL_TRAITS = (OPEN_PRODUCTS, "price_band")
"""The traits of a buyer that every pool reads; their affinities and events come beside them."""
_ROOM = 256
_NOTHING = np.empty(0, np.int64)


class PoolReason(StrEnum):
    """Why a product stands where it does: what speaks for it most.

    `viewed` is anything done lately with the product itself; `listed` that nothing speaks for it.
    """

    PINNED = "pinned"
    OPEN_CART = "open_cart"
    VIEWED = "viewed"
    BOUGHT_TOGETHER = "bought_together"
    CATEGORY = "category"
    BRAND = "brand"
    PRICE = "price"
    BEST_SELLER = "best_seller"
    LISTED = "listed"


_REASONS = tuple(PoolReason)


@dataclass(frozen=True, slots=True)
class Product:
    """A product of a pool: its score, 0 to 1, and its reason."""

    product_id: int | str
    score: float
    reason: PoolReason


@dataclass(slots=True)
class Ranker:
    """What ranks the pools of a store, kept between questions."""

    settings: PoolSettings
    shelves: Shelves
    together: BoughtTogether
    weights: NDArray[np.float64]


def ranker(settings: PoolSettings) -> Ranker:
    """A ranker that knows nothing yet."""
    shelves = Shelves(settings)
    weights = np.array([getattr(settings, name) for name in TERMS])
    return Ranker(settings, shelves, BoughtTogether(shelves), weights / weights.sum())


class Visit:
    """One buyer before the shelf: what they did lately, gathered when a pool first asks.

    row: the buyer's, or that of nobody
    """

    def __init__(self, ranker: Ranker, view: View, row: int) -> None:
        self.ranker, self.view, self.row = ranker, view, row

    @cached_property
    def placed(self) -> Placed:
        """The shelf as the products are."""
        return self.ranker.shelves.placed(self.view)

    @cached_property
    def _clock(self) -> Clock:
        clock, zone = self.view.clock, self.view.clock.zone
        segment = np.searchsorted(zone.starts, clock.as_of, side="right") - 1
        return Clock(
            np.int64(clock.as_of), np.int64(clock.today), zone.starts, zone.offsets,
            np.int64(segment),
        )  # fmt: skip

    def _events(self, table: str, days: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of the buyer's events on the dates that end today, and how old each is."""
        tables = self.view.population.tables
        head = int(tables.customers.heads(table)[self.row])
        if head < 0 or days == 0:
            return _NOTHING, _NOTHING
        events, clock = tables.events[table], self._clock
        since = np.int64(self.view.clock.zone.start_of_day(int(clock.today) - (days - 1)))
        room = _ROOM
        while True:
            rows, ages = np.empty(room, np.int64), np.empty(room, np.int64)
            count = pool_loops.lately(
                head, events.extra("previous"), events.columns["time"].values, clock, since, days,
                rows, ages,
            )  # fmt: skip
            if count <= room:
                # In order of arrival, as sums of floats are made everywhere.
                return rows[:count][::-1], ages[:count][::-1]
            room = count

    def _products(self, table: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of the products of some events, -1 for none."""
        tables = self.view.population.tables
        if not len(rows):
            return rows
        named = tables.events[table].columns["product_id"]
        if named.kind is not tables.products.columns["product_id"].kind:
            return np.full(len(rows), -1, np.int64)
        return tables.product_rows(named.values[rows])

    @cached_property
    def _bought(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The products of lines bought lately, and the dates since."""
        settings = self.ranker.settings
        days = max(settings.just_bought_days, settings.bought_together_days)
        rows, ages = self._events(ORDER_LINES, days)
        if len(rows):
            lines = self.view.population.tables.events[ORDER_LINES]
            counts = lines.columns["is_purchase"].values[rows] == 1
            rows, ages = rows[counts], ages[counts]
        found = self._products(ORDER_LINES, rows)
        return found[found >= 0], ages[found >= 0]

    @cached_property
    def just_bought(self) -> NDArray[np.int32]:
        """The places of what is not to be shown again yet, each once."""
        rows, ages = self._bought
        if not len(rows):
            return np.empty(0, np.int32)
        return np.unique(self.placed.place[rows[ages < self.ranker.settings.just_bought_days]])

    @cached_property
    def _opened(self) -> NDArray[np.int64]:
        """The products left in the cart or among favourites, the latest first."""
        column = self.view.population.customers.traits[OPEN_PRODUCTS]
        assert isinstance(column, ListColumn)
        found = self._products(BEHAVIORS, column.kept.of(self.row)[0].astype(np.int64))
        return found[found >= 0]

    @cached_property
    def lately(self) -> Lately:
        """What the buyer did lately, as the loops read it."""
        settings, tables = self.ranker.settings, self.view.population.tables
        placed = self.placed
        did, ages = self._events(BEHAVIORS, settings.recent_days)
        places, categories, weight = np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)
        if len(did):
            behaviors = tables.events[BEHAVIORS].columns
            kinds = self.ranker.shelves.weights_of_kinds(tables)
            weight = kinds[behaviors["kind"].values[did] + 1]
            did, ages, weight = did[weight > 0], ages[weight > 0], weight[weight > 0]
            weight = weight * np.exp2(-ages / settings.half_life_days)
            places = placed.places_of(self._products(BEHAVIORS, did))
            categories = behaviors["category"].values[did]
        rows, ages = self._bought
        anchors = np.unique(
            np.concatenate((rows[ages < settings.bought_together_days], self._opened))
        )
        beside, besides = np.empty(0, np.int32), np.empty(0)
        if len(anchors):
            nearest = self.ranker.together.of(self.view)
            anchors = anchors[anchors < len(nearest.product)]
            near, besides = nearest.product[anchors].ravel(), nearest.score[anchors].ravel()
            beside, besides = placed.place[near[near >= 0]], besides[near >= 0]
        return Lately(
            places, categories, weight, placed.places_of(self._opened), self.just_bought, beside,
            besides,
        )  # fmt: skip

    @cached_property
    def taste(self) -> Taste:
        """What the buyer likes, as the loops read it."""
        population = self.view.population
        kept = population.tables.affinities.kept
        sizes = []
        for kind in ("category", "brand"):
            dictionary = population.tables.column(BEHAVIORS, kind).dictionary
            assert dictionary is not None
            sizes.append(np.int64(dictionary.size))
        band = np.int64(population.trait("price_band").values[self.row])
        return Taste(*kept["category"].of(self.row), *kept["brand"].of(self.row), band, *sizes)

    def remains(self, candidates: Candidates) -> int:
        """How many products of a pool are left for the buyer, pins aside."""
        count = candidates.count
        if not count or not len(self.just_bought):
            return count
        words, places = candidates.words, self.just_bought
        held = words[places >> 6] >> (places & 63).astype(np.uint64)
        return count - int(np.count_nonzero(held & np.uint64(1)))


def has_products(ready: ReadyPool, visit: Visit) -> bool:
    """Whether at least one product of the pool may be shown to the buyer."""
    candidates = ready.candidates(visit.view)
    if len(candidates.pins):
        return True
    # Gathering what was bought waits until it could matter.
    return candidates.count > 0 and visit.remains(candidates) > 0


def products_for(ready: ReadyPool, visit: Visit) -> tuple[Product, ...]:
    """The products of the pool for the buyer, in order, at most k; none where none is left."""
    pool, candidates = ready.pool, ready.candidates(visit.view)
    first = candidates.pins
    if pool.open_carts_first:
        opened = visit.lately.opened
        words = candidates.words
        fits = (words[opened >> 6] >> (opened & 63).astype(np.uint64)) & np.uint64(1)
        opened = opened[(fits == 1) & ~np.isin(opened, visit.just_bought)]
        first = np.concatenate((first, opened[~np.isin(opened, first)]))
    if not candidates.count and not len(first):
        return ()
    settings, placed = visit.ranker.settings, visit.placed
    wanted = Wanted(
        candidates.words, first, np.int64(len(candidates.pins)), np.int64(pool.k),
        np.int64(settings.most_of(pool.k)), visit.ranker.weights,
    )  # fmt: skip
    places, scores = np.empty(pool.k, np.int32), np.empty(pool.k)
    reasons = np.empty(pool.k, np.int8)
    count = pool_loops.ranked(
        placed.shelf, visit.taste, visit.lately, wanted, places, scores, reasons
    )
    ids = _ids(visit.view, placed.row[places[:count]])
    found = zip(ids, scores[:count].tolist(), reasons[:count].tolist(), strict=True)
    return tuple(Product(each, score, _REASONS[reason]) for each, score, reason in found)


def _ids(view: View, rows: NDArray[np.int64]) -> list[int | str]:
    column = view.population.tables.products.columns["product_id"]
    if column.dictionary is None:
        numbers: list[int | str] = column.values[rows].tolist()
        return numbers
    offsets, data = column.dictionary.arrays()
    codes = column.values[rows]
    begins, ends = offsets[codes].tolist(), offsets[codes + 1].tolist()
    return [data[b:e].tobytes().decode() for b, e in zip(begins, ends, strict=True)]


def pool_nonempty(ready: ReadyPool, view: View, ranker: Ranker) -> Words:
    """For which buyers at least one product of the pool may be shown: uint64[words].

    All of them, or none, but for those who have just bought every candidate.
    """
    rows = view.population.rows
    candidates = ready.candidates(view)
    out = np.zeros(-(-rows // 64), np.uint64)
    if not candidates.count and not len(candidates.pins):
        return out
    out[:] = ~np.uint64(0)
    if len(candidates.pins):
        return out
    settings, tables = ranker.settings, view.population.tables
    placed = ranker.shelves.placed(view)
    work = view.population.product_traits.work_at(view.clock.as_of)
    lines = sold_lines(work, settings.just_bought_days, tables.events[ORDER_LINES].rows)
    owner = tables.events[ORDER_LINES].extra("owner")[lines]
    # Who has fewer lines than there are candidates cannot have bought them all.
    many = np.bincount(owner, minlength=rows) >= candidates.count
    lines, owner = lines[many[owner]], owner[many[owner]]
    if not len(lines):
        return out
    bought = placed.places_of(product_places(tables, ORDER_LINES, lines).astype(np.int64))
    lies = bought >= 0
    bought, owner = bought[lies], owner[lies]
    held = (candidates.words[bought >> 6] >> (bought & 63).astype(np.uint64)) & np.uint64(1)
    pairs = np.unique(owner[held == 1].astype(np.int64) * len(placed.row) + bought[held == 1])
    different = np.bincount(pairs // max(1, len(placed.row)), minlength=rows)
    bits.clear_rows(np.flatnonzero(different >= candidates.count), out)
    return out


def pool_holds_until(ready: ReadyPool, visit: Visit) -> int:
    """The moment at which time alone could change the pool's products for the buyer: micros UTC.

    The next date; before it, the buyer's next event that is stored and lies ahead; where the rule
    counts sales, anybody's; where it asks `now()`, the moment after as_of.
    """
    view, tables = visit.view, visit.view.population.tables
    as_of = view.clock.as_of
    until = view.clock.zone.next_date(as_of)
    if ready.asks_now:
        return as_of + 1
    for table in (BEHAVIORS, ORDER_LINES):
        events = tables.events[table]
        if events.latest <= as_of:
            continue
        times = events.columns["time"].values
        if ready.asks_sales:
            ahead = times[: events.rows]
        else:
            head = int(tables.customers.heads(table)[visit.row])
            ahead = times[_chain(head, events.extra("previous"))]
        ahead = ahead[ahead > as_of]
        if len(ahead):
            until = min(until, int(ahead.min()))
    return until


def _chain(head: int, previous: NDArray[np.int32]) -> NDArray[np.int64]:
    """The rows of all events of one buyer in a table, those ahead too."""
    rows = np.empty(fold.chain_rows(head, previous, _NOTHING.copy()), np.int64)
    fold.chain_rows(head, previous, rows)
    return rows


class PoolsOfPage:
    """The pools of a page's modules, and which of them have anything to show.

    pools: one for each module, None for a module without
    """

    def __init__(self, pools: Sequence[ReadyPool | None]) -> None:
        self.pools = tuple(pools)
        self._places = [place for place, pool in enumerate(pools) if pool is not None]
        self._asks_now = any(pool is not None and pool.asks_now for pool in pools)
        self._asks_sales = any(pool is not None and pool.asks_sales for pool in pools)
        self._kept: tuple[object, Placed, NDArray[np.int64]] | None = None

    @property
    def are_any(self) -> bool:
        """Whether any module has a pool."""
        return bool(self._places)

    def barren(self, visit: Visit) -> NDArray[np.uint8]:
        """Whose pool has nothing for the buyer: uint8[modules].

        Pools are looked at one by one only where the buyer has bought enough to empty them.
        """
        sizes = self._sizes(visit)
        found = (sizes == 0).astype(np.uint8)
        bought = len(visit.just_bought)
        if bought:
            for place in np.flatnonzero((sizes > 0) & (sizes <= bought)).tolist():
                pool = self.pools[place]
                assert pool is not None
                found[place] = not has_products(pool, visit)
        return found

    def _sizes(self, visit: Visit) -> NDArray[np.int64]:
        """How many candidates each has, -1 for those that no purchase empties: int64[modules]."""
        view, placed = visit.view, visit.placed
        moment: object = view.clock.today
        if self._asks_now:
            moment = view.clock.as_of, view.data_version
        elif self._asks_sales:
            moment = view.clock.today, view.data_version
        kept = self._kept
        if kept is None or kept[1] is not placed or kept[0] != moment:
            sizes = np.full(len(self.pools), -1, np.int64)
            for place in self._places:
                pool = self.pools[place]
                assert pool is not None
                candidates = pool.candidates(view)
                if not len(candidates.pins):
                    sizes[place] = candidates.count
            kept = self._kept = (moment, placed, sizes)
        return kept[2]
