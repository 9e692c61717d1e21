"""Does a rule mean what SQL says, for all buyers and for each?"""

import random

import pytest

import segengine as se
from tests.reference.duckdb_oracle import open_customers, true_ids
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.random_rules import Options, random_rule, random_world
from tests.reference.rules import rule_text
from tests.reference.twin import holds

ROWS = (1, 5, 63, 64, 65, 300)
RULES_A_TABLE = 25


def random_store(rng):
    world = random_world(rng)
    rows = rng.choice(ROWS)
    text_ids = rng.random() < 0.3
    table = random_customers(
        rng, rows, timezone=world.timezone, as_of=world.as_of, text_ids=text_ids
    )
    engine = se.Engine(timezone=world.timezone, as_of=world.as_of)
    engine.load("customers", table, columns={name: name for name in COLUMNS})
    return world, table, engine


def compare(seed, rules):
    """Counts of rules with a difference, and of rules that hold for some but not for all."""
    rng = random.Random(seed)
    useful = 0
    for _ in range(rules // RULES_A_TABLE):
        world, table, engine = random_store(rng)
        connection, buyers = open_customers(table), buyers_of(table)
        for _ in range(RULES_A_TABLE):
            rule = random_rule(rng, COLUMNS, buyers, world, Options(null_literals=True))
            segment = engine.segment(rule_text(rule))
            found = set(segment.ids().to_pylist())
            expected = true_ids(connection, rule, world.timezone, world.as_of)
            assert found == expected, (rule_text(rule), world)
            assert segment.count() == len(found)
            useful += 0 < len(found) < table.num_rows
            for buyer in rng.sample(buyers, min(6, len(buyers))):
                customer = buyer["customer_id"]
                told = (segment.contains(customer), segment.explain(customer).holds)
                assert told == (customer in found,) * 2, (rule_text(rule), customer)
    return useful


def test_no_rule_differs_from_duckdb_and_one_truth():
    assert compare(seed=20261121, rules=300) > 100


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(4))
def test_two_thousand_rules_do_not_differ_from_duckdb(seed):
    assert compare(seed=seed, rules=500) > 200


def test_extremes_are_what_the_language_decided():
    rng = random.Random(5)
    for _ in range(6):
        world = random_world(rng)
        table = random_customers(rng, 40, timezone=world.timezone, extremes=True)
        # The smallest integer cannot be kept; its rows are bad and left out.
        engine = se.Engine(timezone=world.timezone, as_of=world.as_of)
        engine.load("customers", table, columns={n: n for n in COLUMNS}, on_error="skip")
        kept = set(engine.segment("TRUE").ids().to_pylist())
        buyers = [b for b in buyers_of(table) if b["customer_id"] in kept]
        for _ in range(20):
            rule = random_rule(rng, COLUMNS, buyers, world, Options(avoid_overflow=False))
            found = set(engine.segment(rule_text(rule)).ids().to_pylist())
            expected = {b["customer_id"] for b in buyers if holds(rule, b, world) is True}
            assert found == expected, (rule_text(rule), world)


def test_scan_codes_stay_exact_while_traits_change():
    rng = random.Random(8)
    world = random_world(rng)
    table = random_customers(rng, 400, timezone=world.timezone, as_of=world.as_of)
    engine = se.Engine(timezone=world.timezone, as_of=world.as_of)
    columns = {name: name for name in COLUMNS}
    engine.load("customers", table.slice(0, 100), columns=columns)
    engine.prepare()
    for step in range(1, 6):
        # New buyers, and new values for old ones, against codes made for the first hundred.
        fresh = random_customers(
            rng, 100 * step, timezone=world.timezone, as_of=world.as_of
        ).select(["customer_id", *COLUMNS])
        engine.append("customers", fresh)
        now = engine.table("customers", ["customer_id", *COLUMNS])
        buyers = now.to_pylist()
        connection = open_customers(now)
        for _ in range(12):
            rule = random_rule(rng, COLUMNS, buyers, world)
            found = set(engine.segment(rule_text(rule)).ids().to_pylist())
            assert found == true_ids(connection, rule, world.timezone, world.as_of)
