"""A page of a thousand modules, one visitor: answers first, then times."""

# ruff: noqa: SLF001 - the suite's own comparison, and its visits
from __future__ import annotations

import pytest

from segengine.bench import page_rules, page_suite
from segengine.demo import generate
from segengine.engine import Engine

BUYERS, MODULES = 20_000, 1_000


@pytest.fixture(scope="module")
def engine():
    store = generate(BUYERS)
    found = Engine(config=store.config)
    with found.built_once():
        for table in store.tables:
            found.load(table, store.reader(table))
    return found


def _visits(engine, sort):
    (page,) = page_rules.pages(1, MODULES, engine.as_of, sort)
    engine.define_page(page)
    return page_suite._visits([page], BUYERS, 500)


@pytest.mark.parametrize("sort", ["plain", "capped", "pooled"])
def test_a_page_for_one_visitor_after_another(benchmark, engine, sort):
    visits = _visits(engine, sort)
    seen = page_suite._seen(engine, visits, engine.as_of) if sort == "capped" else {}
    if sort != "pooled":
        for visit in visits[:20]:
            page_suite._check(engine, visit, seen.get(visit.customer_id, []))
    turns = iter(range(10**9))

    def ask():
        visit = visits[next(turns) % len(visits)]
        return engine.page(visit.page, visit.customer_id, visit.context)

    assert len(benchmark(ask).placements) == page_rules.SLOTS


def test_the_losers_of_a_page(benchmark, engine):
    (visit, *_) = _visits(engine, "plain")
    answer = engine.page(visit.page, visit.customer_id, visit.context)
    assert len(benchmark(answer.losers)) + sum(
        placed.module is not None for placed in answer.placements
    ) == sum(len(slot.modules) for slot in visit.of.slots)
