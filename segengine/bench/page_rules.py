"""Which pages does a large shop have? Made-up ones over the demo store, of believable rules.

Most conditions are on traits; some read the request, few the events or the clock. The same seed
gives the same pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random

from segengine.pages.limits import Decay
from segengine.pages.page import Module, Page, Slot
from segengine.pages.pool import Pool
from segengine.schema.cap_settings import Cap

MODULES, PAGES = 10_000, 10
SLOTS = 8
DEVICES = ("mobile", "desktop", "tablet")
SOURCES = ("search", "advert", "friend", "newsletter")
_CATEGORIES = ("skincare", "tea", "fragrance", "makeup", "snacks", "home")
_REGIONS = ("Henan", "Yunnan", "Hubei", "Hebei", "Guangdong", "Sichuan", "Zhejiang")
_STAGES = ("prospect", "new", "active", "sleeping", "lapsed")
_SEGMENTS = ("champions", "about_to_lapse", "lapsed_big_spenders")
_HOURS = ([(9, 18)], [(18, 24)], [(22, 6)], [("11:30", "13:30"), (17, 20)])

Condition = Callable[[Random], str]


def _of_traits(rng: Random) -> str:
    low = rng.randrange(1, 200)
    return rng.choice((
        f"recency_days BETWEEN {low} AND {low + rng.randrange(10, 300)}",
        f"recency_days <= {rng.choice((3, 7, 14, 30, 60, 90))}",
        f"order_count >= {rng.randrange(1, 12)}",
        f"orders_365d = {rng.randrange(4)}",
        f"amount_365d >= {rng.randrange(100, 4000)}",
        f"amount_total BETWEEN {10 * low} AND {10 * low + rng.randrange(300, 3000)}",
        f"average_order_amount > {rng.randrange(80, 600)}",
        f"r_score >= {rng.randrange(2, 6)} AND f_score >= {rng.randrange(2, 6)}",
        f"lifecycle_stage IN ('{rng.choice(_STAGES)}', '{rng.choice(_STAGES)}')",
        f"preferred_category = '{rng.choice(_CATEGORIES)}'",
        f"region IN ('{rng.choice(_REGIONS)}', '{rng.choice(_REGIONS)}')",
        f"member_level >= {rng.randrange(1, 6)}",
        f"gender = '{rng.choice(('female', 'male'))}'",
        f"discount_share > {rng.randrange(1, 40) / 100}",
        f"p_alive < {rng.randrange(10, 95) / 100}",
        f"points_balance >= {rng.randrange(100, 3000)}",
        f"views_7d >= {rng.randrange(1, 9)}",
        f"visits_30d > {rng.randrange(1, 9)}",
        "open_carts_count > 0",
        "NOT list_contains(tags, 'staff')",
        "sms_consent",
        f"days_until_birthday(birthday) <= {rng.choice((3, 7, 14))}",
        f"segment('{rng.choice(_SEGMENTS)}')",
        f"gap_ratio BETWEEN {rng.randrange(1, 9) / 10} AND {rng.randrange(10, 40) / 10}",
    ))  # fmt: skip


def _of_request(rng: Random) -> str:
    return rng.choice((
        f"context.device = '{rng.choice(DEVICES)}'",
        f"context.source IN ('{rng.choice(SOURCES)}', '{rng.choice(SOURCES)}')",
        f"CAST(context.cart_value AS DOUBLE) < {rng.choice((99, 149, 199, 299, 499))}",
    ))  # fmt: skip


def _of_events(rng: Random) -> str:
    days = rng.choice((3, 7, 30))
    return rng.choice((
        f"count(behaviors) FILTER (WHERE kind = 'cart' AND in_last_days(time, {days})) >= 1",
        f"count(order_lines) FILTER (WHERE in_last_days(time, {30 * days})) >= 1",
        f"affinity('category', '{rng.choice(_CATEGORIES)}') >= 0.{rng.randrange(2, 6)}",
        "last_seen_at >= now() - INTERVAL 1 HOUR",
    ))  # fmt: skip


def _rule(rng: Random) -> str:
    """Two to four conditions: a third reads the request, a twentieth events or the clock."""
    parts = [_of_traits(rng) for _ in range(rng.randrange(2, 4))]
    if rng.random() < 1 / 3:
        parts.append(_of_request(rng))
    if rng.random() < 1 / 20:
        parts.append(_of_events(rng))
    return " AND ".join(parts)


def pages(count: int, modules: int, as_of: datetime, sort: str = "plain") -> Iterator[Page]:
    """So many pages of so many modules in all, of a sort.

    sort: of those that are `capped` a third has a cap and a third a decay; of those that are
    `pooled` a third shows products.
    """
    rng = Random(f"pages {sort}")  # noqa: S311 - made-up pages
    for number in range(count):
        each = modules * (number + 1) // count - modules * number // count
        slots = []
        for slot in range(SLOTS):
            held = each * (slot + 1) // SLOTS - each * slot // SLOTS
            made = [_module(rng, f"m{slot}_{k}", as_of, sort) for k in range(held)]
            made.append(Module(f"fallback_{slot}", fallback=True))
            slots.append(Slot(f"slot_{slot}", made))
        yield Page(f"{sort}_{number}", slots)


def _module(rng: Random, name: str, as_of: datetime, sort: str) -> Module:
    starts_at = as_of + timedelta(days=rng.randrange(-40, 10)) if rng.random() < 0.2 else None
    ends_at = as_of + timedelta(days=rng.randrange(10, 40)) if rng.random() < 0.2 else None
    third = rng.randrange(3)
    return Module(
        name,
        rule=_rule(rng),
        priority=rng.randrange(100),
        starts_at=starts_at,
        ends_at=ends_at,
        hours=rng.choice(_HOURS) if rng.random() < 0.1 else None,
        variants={"a": 0.5, "b": 0.5} if rng.random() < 0.2 else None,
        holdout=0.1 if rng.random() < 0.1 else 0.0,
        cap=Cap(rng.randrange(1, 4), rng.choice((1, 7, 30)))
        if (sort, third) == ("capped", 0)
        else None,
        decay=Decay(rng.randrange(1, 30), rng.randrange(1, 4))
        if (sort, third) == ("capped", 1)
        else None,
        pool=_pool(rng) if (sort, third) == ("pooled", 0) else None,
        payload={"title": name},
    )


def _pool(rng: Random) -> Pool:
    rule = f"category = '{rng.choice(_CATEGORIES)}'" if rng.random() < 0.5 else None
    return Pool(rule, k=rng.choice((4, 10)))


def with_a_pool(page: Page, rule: str | None) -> Page:
    """The page, named `shelf`, with a pool of such products before what its first slot has."""
    first, *others = page.slots
    pool = Module("pool", pool=Pool(rule, k=10), priority=1_000)
    return Page("shelf", [Slot(first.name, [pool, *first.modules]), *others])


def request(rng: Random) -> dict[str, str]:
    """What a visit brings along."""
    found = {"device": rng.choice(DEVICES)}
    if rng.random() < 0.5:
        found["source"] = rng.choice(SOURCES)
    if rng.random() < 0.5:
        found["cart_value"] = f"{rng.randrange(1, 60_000) / 100}"
    return found
