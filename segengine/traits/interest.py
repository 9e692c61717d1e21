"""What did a buyer look at, want and leave open lately, and when were they last seen?

A product is open where it is in the cart or a favourite, put there within 30 dates, and was not
bought since. What was put in last counts, or what was taken out after it: `cart_remove` takes a
product out of the cart, `unfavorite` from the favourites, and neither from the other. A product
bought at or after it was put somewhere is not open there. A behaviour without a product opens and
closes nothing, and where no lines are loaded nothing is known to be bought.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.traits import interest_loops
from segengine.traits.interest_loops import Behaviors, Lines, Orders
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

OPEN_PRODUCTS = "open_cart_products"
_BEHAVIORS = "behaviors"
_MEANINGS = {
    "visit": interest_loops.VISIT,
    "view": interest_loops.VIEW,
    "cart": interest_loops.CART,
    "favorite": interest_loops.FAVORITE,
    "search": interest_loops.SEARCH,
    "cart_remove": interest_loops.CART_REMOVE,
    "unfavorite": interest_loops.UNFAVORITE,
    "quote": interest_loops.NOT_THEIRS,
}
_SEEN_IN = {"reviews": (), "messages": ("clicked",), "impressions": ("clicked",)}
"""Further tables in which a buyer does something themselves, and by which kinds; (): by any."""
_COUNTED = (
    ("visits", "visits"),
    ("views", "views of products"),
    ("carts", "times something was put in the cart"),
    ("favorites", "times the shop or a product was made a favourite"),
    ("searches", "searches"),
)
assert [_MEANINGS[kind] for kind in ("visit", "view", "cart", "favorite", "search")] == [*range(5)]


def _traits() -> tuple[Trait, ...]:
    counts = [
        Trait(f"{name}_{days}d", "interest", Kind.BIGINT, "interest",
              f"{told} on the {days} dates that end today", name, source=_BEHAVIORS, narrow=True)
        for name, told in _COUNTED
        for days in (interest_loops.WEEK, interest_loops.MONTH)
    ]  # fmt: skip
    return (
        *counts,
        Trait("open_carts_count", "interest", Kind.BIGINT, "interest",
              f"how many products are in {OPEN_PRODUCTS}", "products",
              source="behaviors, purchased lines", narrow=True),
        Trait(OPEN_PRODUCTS, "interest", Kind.TAGS, "",
              "product_ids put in the cart or made a favourite on the 30 dates that end today, not "
              "taken out since and not bought since; the newest first", "", "never; empty for none",
              "behaviors, purchased lines", items=(_BEHAVIORS, "product_id")),
        Trait("last_seen_at", "interest", Kind.TIMESTAMP, "interest_at",
              "moment of the last behaviour (a quote is the shop's), order, review, or click on a "
              "message or a module", "instant", "nothing of these",
              "behaviors, orders, reviews, messages, impressions"),
        Trait("is_interested", "interest", Kind.BOOLEAN, "interest_flags",
              "made the shop or a product a favourite, or put something in the cart, on the 30 "
              "dates that end today; taking it back does not cancel", source=_BEHAVIORS),
        Trait("is_transacted", "interest", Kind.BOOLEAN, "interest_flags",
              "a purchase on the 365 dates that end today"),
    )  # fmt: skip


def _facts(work: Work) -> None:
    if work.only_adds and not work.has_news_of(_BEHAVIORS, ORDER_LINES):
        _add(work)
    else:
        _derive(work)


def _add(work: Work) -> None:
    """Nothing was done or taken back: buyers were seen, or have bought."""
    seen = work.blocks["interest_at"][0]
    if work.has_news_of(ORDERS):
        interest_loops.ordered_facts(
            work.rows, work.clock, work.since(interest_loops.YEAR), _orders(work), seen,
            work.blocks["interest_flags"],
        )  # fmt: skip
    for table, kinds in _SEEN_IN.items():
        if work.has_news_of(table):
            _see(work, table, kinds, seen)


def _orders(work: Work) -> Orders:
    return Orders(*work.history(ORDERS), work.values(ORDERS, "time"),
                  work.values(ORDERS, "is_purchase"))  # fmt: skip


def _derive(work: Work) -> None:
    """All of it, from all events."""
    seen = work.blocks["interest_at"][0]
    meaning = np.full(1 + work.dictionary(_BEHAVIORS, "kind").size, interest_loops.OTHER, np.int8)
    meant = work.dictionary(_BEHAVIORS, "kind").codes_of(tuple(_MEANINGS))
    is_known = meant >= 0
    meaning[meant[is_known] + 1] = np.array(list(_MEANINGS.values()), np.int8)[is_known]
    product = work.tables.column(_BEHAVIORS, "product_id")
    no_product = product.dtype.type(product.missing)
    did, ordered, bought = work.history(_BEHAVIORS), _orders(work), work.history(ORDER_LINES)
    of_line = [work.values(ORDER_LINES, n) for n in ("time", "is_purchase", "product_id")]
    of_behavior = [work.values(_BEHAVIORS, name) for name in ("time", "kind", "product_id")]
    dates = (interest_loops.WEEK, interest_loops.MONTH, interest_loops.YEAR)
    since = np.array([work.since(days) for days in dates], np.int64)
    lengths = np.zeros(len(work.rows), np.int32)
    open_by_begin: dict[int, NDArray[np.int32]] = {}

    def loop(begin: int, end: int) -> None:
        open_by_begin[begin] = interest_loops.interest_facts(
            work.rows[begin:end], work.clock, since,
            Behaviors(did.begins[begin:], did.events, meaning, no_product, *of_behavior),
            ordered._replace(begins=ordered.begins[begin:]),
            Lines(bought.begins[begin:], bought.events, *of_line),
            work.blocks["interest"], seen, work.blocks["interest_flags"], lengths[begin:end],
        )  # fmt: skip

    work.over_buyers(loop)
    found = [open_by_begin[begin] for begin in sorted(open_by_begin)]
    codes = work.rows_of(_BEHAVIORS, np.concatenate([np.empty(0, np.int32), *found]))
    work.give_lists(OPEN_PRODUCTS, lengths, codes, np.empty(0, np.float64))
    for table, kinds in _SEEN_IN.items():
        _see(work, table, kinds, seen)


def _codes(work: Work, table: str, kinds: tuple[str, ...]) -> NDArray[np.int64]:
    """The codes of those kinds that a table has."""
    found = work.dictionary(table, "kind").codes_of(kinds)
    return found[found >= 0].astype(np.int64)


def _see(work: Work, table: str, kinds: tuple[str, ...], seen: NDArray[np.int64]) -> None:
    """Raise when buyers were last seen by what they did in a further table."""
    events = work.tables.events[table]
    if events.rows == 0 and work.is_of_all:
        return
    kind, counts = np.empty(0, np.int32), np.empty(0, np.bool_)
    if kinds:
        kind = work.values(table, "kind")
        counts = np.zeros(1 + work.dictionary(table, "kind").size, np.bool_)
        counts[_codes(work, table, kinds) + 1] = True
    time = work.values(table, "time")
    if work.is_of_all:
        # Once through the table as it stands: no list of every buyer's events is worth making.
        interest_loops.latest_of_all(
            events.extra("owner"), time, kind, counts, events.rows, work.clock.as_of, seen
        )
    else:
        begins, found = work.history(table)
        interest_loops.latest_of_some(
            work.rows, begins, found, time, kind, counts, work.clock.as_of, seen
        )


INTEREST = Family(
    "interest", "What a buyer looked at and wanted lately.", _traits(), facts=_facts,
    reads=(_BEHAVIORS, ORDERS, ORDER_LINES, *_SEEN_IN),
)  # fmt: skip
