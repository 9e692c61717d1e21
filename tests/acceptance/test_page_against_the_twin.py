"""Does a visitor see what a slow, obvious decision says?"""

import random
from datetime import time, timedelta

import pyarrow as pa
import pytest

import segengine as se
from segengine.rules.expr import leaf_count
from segengine.rules.parse import parse
from tests.reference import pages
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.random_rules import Options, random_rule, random_world
from tests.reference.rules import Type, rule_text

DEVICES = ("mobile", "desktop", None)
HOURS = ((), ((time(9), time(18)),), ((time(22), time(6)),), ((time(0), time(12)),))


def random_module(rng, name, buyers, world):
    rule = None
    if rng.random() < 0.6:
        rule = random_rule(rng, COLUMNS, buyers, world, Options(depth=2))
    device = rng.choice((None, None, "mobile"))
    text = module_rule(rule, device)
    second = timedelta(seconds=1)
    before, now, after = world.as_of - second, world.as_of, world.as_of + second
    windows = [(None, None)] * 4 + [(now, None), (after, None), (None, now), (None, after)]
    starts_at, ends_at = rng.choice([*windows, (before, now), (now, after), (before, after)])
    return pages.Module(
        name,
        rule=rule,
        leaves=0 if text is None else leaf_count(parse(text)),
        device=device,
        priority=rng.randrange(3),
        starts_at=starts_at,
        ends_at=ends_at,
        hours=rng.choice(HOURS),
        variants=rng.choice(({}, {"a": 0.5, "b": 0.5})),
        holdout=rng.choice((0.0, 0.0, 0.5)),
        fallback=rng.random() < 0.2,
    )


def module_rule(rule, device):
    parts = [] if rule is None else [f"({rule_text(rule)})"]
    if device is not None:
        parts.append(f"context.device = '{device}'")
    return " AND ".join(parts) or None


def engine_module(module):
    starts_at, ends_at = module.starts_at, module.ends_at
    return se.Module(
        module.name,
        rule=module_rule(module.rule, module.device),
        priority=module.priority,
        starts_at=starts_at,
        ends_at=ends_at,
        hours=list(module.hours) or None,
        variants=dict(module.variants) or None,
        holdout=module.holdout,
        fallback=module.fallback,
    )


def compare(seed):
    rng = random.Random(seed)
    world = random_world(rng)
    table = random_customers(
        rng, 40, timezone=world.timezone, as_of=world.as_of, text_ids=rng.random() < 0.3
    )
    buyers = buyers_of(table)
    engine = se.Engine(timezone=world.timezone, as_of=world.as_of)
    engine.load("customers", table, columns={name: name for name in COLUMNS})
    names = [f"m{k}" for k in range(7)]
    slots = []
    for slot in ("top", "middle", "end")[: rng.randrange(1, 4)]:
        chosen = rng.sample(names, rng.randrange(6))
        slots.append((slot, [random_module(rng, n, buyers, world) for n in chosen]))
    engine.define_page(se.Page("p", [se.Slot(n, [engine_module(m) for m in ms])
                                     for n, ms in slots]))  # fmt: skip
    # An unknown visitor has no value in any column; added columns know no default.
    nobody = dict.fromkeys([*COLUMNS, "customer_id"])
    visitors = [(b["customer_id"], b) for b in rng.sample(buyers, 8)]
    visitors += [(None, nobody), ("nobody knows me", nobody | {"customer_id": "nobody knows me"})]
    for customer, buyer in visitors:
        request = {"device": rng.choice(DEVICES)}
        given = {k: v for k, v in request.items() if v is not None}
        answer = engine.page("p", customer, given)
        placed, rejected = pages.page(slots, buyer, world, given, known=customer is not None)
        found = [(p.slot, p.module, p.variant, str(p.reason)) for p in answer.placements]
        assert found == placed
        assert {(s, m, str(r)) for s, m, r in answer.rejected} == rejected
        assert len(answer.rejected) == len(rejected)


@pytest.mark.parametrize("seed", range(60))
def test_placements_and_losers_are_the_twins(seed):
    compare(seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 2000))
def test_many_random_pages_are_the_twins(seed):
    compare(seed)


def test_what_was_appended_a_moment_ago_changes_the_next_page():
    engine = se.Engine(timezone="UTC")
    module = se.Module("thanks", rule="orders_7d >= 1")
    engine.define_page(se.Page("home", [se.Slot("banner", [module])]))
    assert engine.page("home", 7).placements[0].module is None
    now = engine.as_of
    engine.append("orders", pa.table({"customer_id": [7], "time": [now], "amount": [5.0]}))
    assert engine.page("home", 7).placements[0].module == "thanks"


def test_types_of_the_random_columns_are_the_languages():
    assert set(COLUMNS.values()) == set(Type)
