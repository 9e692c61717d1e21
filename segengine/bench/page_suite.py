"""How long does it take to decide what a visitor sees, with thousands of modules?

The demo's store with so many buyers gets pages of believable rules. A sample of answers is
compared with asking every rule by itself; then `engine.page` is timed call by call, for visitors
drawn at random.
"""

# ruff: noqa: SLF001 - rules that read a request are asked by themselves nowhere else
from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segengine.audiences.bucketing import BUCKETS, bucket_of
from segengine.audiences.campaign import within_hours
from segengine.bench import page_rules
from segengine.bench.census_cases import census_cases
from segengine.bench.optional import titled
from segengine.bench.timing import DifferentAnswersError
from segengine.demo import generate
from segengine.engine import Engine
from segengine.pages.limits import CLICKED, SHOWN
from segengine.pages.page import Module, Page
from segengine.rules.expr import leaf_count
from segengine.rules.parse import parse

OURS = "segengine"
_CHECKED = 20
_CALLS = 4_000
_APPENDS = 200
_CAPPED_PAGES = 2
_IMPRESSIONS = 20
_POOLED = 10_000

Say = Callable[[str], None]
Seen = dict[int, list[tuple[str, str, datetime]]]
"""The impressions of each visitor: module, kind, time."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request."""

    of: Page
    customer_id: int
    context: Mapping[str, str]

    @property
    def page(self) -> str:
        """The page's name."""
        return self.of.name


def page_suite(
    customers: int, modules: int, pages: int, say: Say, *, calls: int = _CALLS
) -> dict[str, Any]:
    """`pages`: microseconds of a page for one visitor, by sort of page.

    Raises `DifferentAnswersError` where a page differs from asking rule by rule.
    """
    say(f"making a shop of {customers:,} buyers")
    store = generate(customers)
    engine = Engine(config=store.config)
    with engine.built_once():
        for table in store.tables:
            engine.load(table, store.reader(table))
    engine.prepare()
    few = min(_CAPPED_PAGES, pages)
    plain = list(page_rules.pages(pages, modules, store.as_of))
    some = modules * few // pages
    capped = list(page_rules.pages(few, some, store.as_of, "capped"))
    pooled = list(page_rules.pages(few, some, store.as_of, "pooled"))
    shelf = page_rules.with_a_pool(plain[0], _of_products(engine, _POOLED))
    for page in (*plain, *capped, *pooled, shelf):
        _define(engine, page, say)
    visits, returning, shopping, browsing = (
        _visits(pages, customers, 2 * calls) for pages in (plain, capped, pooled, [shelf])
    )
    say(f"{shelf.name}: a pool of {_products_in(engine, shelf):,} products; pages with pools of "
        f"products show {_pools_shown(engine, shopping):.1f} of them")  # fmt: skip
    seen = _seen(engine, returning, store.as_of)
    cases = []
    for what, asked, change in (
        ("a page", visits, None),
        ("a page with caps and decays", returning, None),
        ("a page with a pool of 10,000 products", browsing, None),
        ("a page with pools of products", shopping, None),
        ("a page after an append", visits[:_APPENDS], _cart),
    ):
        # What a pool shows is for the tests of pools, which ask product by product.
        compared = [] if asked in (shopping, browsing) else asked[:_CHECKED]
        for visit in compared:
            _check(engine, visit, seen.get(visit.customer_id, []))
        equal = f"{len(compared)} answers are those of asking rule by rule; " if compared else ""
        say(f"{what}: {equal}timing")
        cases.append(_timed(engine, what, asked, change))
    of_all = (("the census of a page", plain[0]), ("the same with caps and decays", capped[0]))
    cases += census_cases(engine, of_all, say)
    return {
        "suite": "pages",
        "sizes": {"customers": customers, "modules": modules, "pages": pages},
        "engines": {OURS: titled("segengine", "segengine")},
        "cases": cases,
        "geometric_mean_ms": {OURS: None},
        "times_as_fast": {},
        "geometric_mean_speedup": None,
    }


def _define(engine: Engine, page: Page, say: Say) -> None:
    began = time.perf_counter()
    engine.define_page(page)
    engine.page(page.name)
    modules = sum(len(slot.modules) for slot in page.slots)
    say(f"{page.name}: {modules:,} modules in {time.perf_counter() - began:.1f} s")


def _seen(engine: Engine, visits: Sequence[Visit], as_of: datetime) -> Seen:
    """What each visitor has seen of the modules that are shown first, told to the engine too."""
    rng = Random(3)  # noqa: S311 - made-up impressions
    rows: list[tuple[int, str, str, datetime]] = []
    for visit in visits:
        names = [p.module for p in engine.page(visit.page, visit.customer_id).placements]
        for _ in range(_IMPRESSIONS):
            kind = SHOWN if rng.random() < 0.9 else CLICKED
            moment = as_of - timedelta(seconds=rng.randrange(20 * 86_400))
            rows.append((visit.customer_id, str(rng.choice(names)), kind, moment))
    columns = ("customer_id", "module", "kind", "time")
    engine.append("impressions", pa.table([list(c) for c in zip(*rows, strict=True)], columns))
    found: Seen = {}
    for customer_id, module, kind, moment in rows:
        found.setdefault(customer_id, []).append((module, kind, moment))
    return found


def _of_products(engine: Engine, most: int) -> str | None:
    """A rule for the dearest so many products in stock, and those of the price of the last of them.

    None where there are no more.
    """
    products = engine.table("products", ["price", "stock"])
    prices = products["price"].filter(pc.greater(products["stock"], 0)).sort("descending")
    return None if len(prices) <= most else f"price >= {prices[most - 1]}"


def _products_in(engine: Engine, page: Page) -> int:
    """How many products the first pool of a page has, whoever asks."""
    with engine._looking() as view:
        pools = engine._definitions.page(page.name).pools.pools
        return next(pool.candidates(view).size for pool in pools if pool is not None)


def _pools_shown(engine: Engine, visits: Sequence[Visit]) -> float:
    """How many pools a visitor's page shows, on average over some."""
    some = visits[:200]
    answers = [engine.page(visit.page, visit.customer_id, visit.context) for visit in some]
    return sum(bool(p.products) for each in answers for p in each.placements) / len(some)


def _cart(engine: Engine, visit: Visit) -> None:
    row = {"customer_id": [visit.customer_id], "time": [engine.as_of], "kind": ["cart"]}
    engine.append("behaviors", pa.table(row))


def _visits(pages: Sequence[Page], customers: int, count: int) -> list[Visit]:
    rng = Random(5)  # noqa: S311 - made-up visits
    return [
        Visit(rng.choice(pages), rng.randrange(1, customers + 1), page_rules.request(rng))
        for _ in range(count)
    ]


def _timed(
    engine: Engine,
    what: str,
    visits: Sequence[Visit],
    change: Callable[[Engine, Visit], None] | None,
) -> dict[str, Any]:
    """A case: the median, and the 99th percentile, of one call.

    Unless something is changed before each, the first half of the visits is not timed: they are of
    other visitors, and leave what a server that has run for a while keeps, such as sorts of
    requests. Of those who are timed nothing is kept.
    """
    if change is None:
        for visit in visits[: len(visits) // 2]:
            engine.page(visit.page, visit.customer_id, visit.context)
        visits = visits[len(visits) // 2 :]
    found, names = np.empty(len(visits)), [visit.page for visit in visits]
    gc.collect()
    for place, visit in enumerate(visits):
        if change is not None:
            change(engine, visit)
        began = time.perf_counter()
        engine.page(names[place], visit.customer_id, visit.context)
        found[place] = time.perf_counter() - began
    half, most = np.percentile(1e6 * found, (50, 99))
    return {
        "case": what, "rule": "", "count": len(visits), "ms": {OURS: half / 1000},
        "ms_min": {OURS: float(found.min()) * 1000}, "repeats": len(visits), "speedup": None,
        "cannot": {}, "p50_us": round(float(half), 1), "p99_us": round(float(most), 1),
    }  # fmt: skip


def _check(engine: Engine, visit: Visit, seen: Sequence[tuple[str, str, datetime]]) -> None:
    """Raise where a page differs from asking each module by itself."""
    answer = engine.page(visit.page, visit.customer_id, visit.context)
    found = {p.slot: p.module for p in answer.placements}
    expected = _plainly(engine, visit, seen)
    if found != expected:
        raise DifferentAnswersError(
            f"page {visit.page} of buyer {visit.customer_id}, {dict(visit.context)}: "
            f"{found}, rule by rule {expected}"
        )


def _plainly(
    engine: Engine, visit: Visit, seen: Sequence[tuple[str, str, datetime]]
) -> dict[str, str | None]:
    """Which module fills each slot: every rule is asked by itself, of the buyer's frame."""
    local = engine.as_of.astimezone(ZoneInfo(engine.timezone))
    today = local.date()
    ages = [
        (module, kind, (today - moment.astimezone(local.tzinfo).date()).days, moment)
        for module, kind, moment in seen
    ]
    placed: dict[str, str | None] = {}
    for slot in visit.of.slots:
        ranked = []
        for module in slot.modules:
            mine = [each for each in ages if each[0] == module.name]
            shows = _may_show(engine, module, visit, local)
            priority = module.priority
            if module.cap is not None:
                under = [e for e in mine if e[1] == SHOWN and e[2] < module.cap.days]
                shows = shows and len(under) < module.cap.limit
            if module.decay is not None:
                clicks = [e[3] for e in mine if e[1] == CLICKED]
                lost = [e for e in mine if e[1] == SHOWN and e[2] < module.decay.days
                        and not any(click >= e[3] for click in clicks)]  # fmt: skip
                priority -= module.decay.priority * (len(lost) // module.decay.after)
            if shows and module.name not in placed.values():
                leaves = 0 if module.rule is None else leaf_count(parse(str(module.rule)))
                ranked.append((module.fallback, -priority, -leaves, module.name))
        placed[slot.name] = min(ranked)[3] if ranked else None
    return placed


def _may_show(engine: Engine, module: Module, visit: Visit, local: datetime) -> bool:
    """Whether a module's window, hours, rule and holdout let it show."""
    if module.starts_at is not None and local < module.starts_at:
        return False
    if module.ends_at is not None and local >= module.ends_at:
        return False
    if not within_hours(module.hours, local.time()):
        return False
    if module.rule is not None:
        rule = engine._definitions.rule(module.rule, context=True)
        with engine._looking() as view:
            row = view.row_of(visit.customer_id)
            if not view.population.holds(view.plan(rule), row, visit.context):
                return False
    out = bucket_of(module.salt + ":holdout", visit.customer_id) / BUCKETS
    return not out < module.holdout
