"""Do two judges give a rule the same buyers? Differences come back as sentences, none is good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pyarrow as pa

import segengine as se
from tests.reference import duckdb_oracle, twin
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.random_rules import Options, random_rule, random_world
from tests.reference.rules import Node, World, rule_text
from tests.rules.stores import engine_over, ids, load

CustomerId = int | str
SIZES = (1, 63, 64, 65, 300)


@dataclass(frozen=True, slots=True)
class Case:
    """An engine and what it holds, a world with the segment `vip`, and a source of rules."""

    seed: int
    rng: Random
    world: World
    customers: pa.Table
    engine: se.Engine
    options: Options

    def rules(self, count: int) -> Iterator[Node]:
        """Rules near the values of the first buyers."""
        buyers = buyers_of(self.customers.slice(0, 300))
        for _ in range(count):
            yield random_rule(self.rng, COLUMNS, buyers, self.world, self.options)

    def said(self, rule: Node, what: str) -> str:
        """A difference, with what is needed to see it again."""
        world = self.world
        return f"seed {self.seed}, {world.timezone}, {world.as_of}, {rule_text(rule)}: {what}"


def case(seed: int, rows: int, *, extremes: bool = False) -> Case:
    """The case of a seed; `extremes` has values whose sums and products overflow."""
    rng = Random(seed)
    bare = random_world(rng)
    customers = random_customers(
        rng, min(rows, 300), timezone=bare.timezone, as_of=bare.as_of,
        text_ids=rng.random() < 0.3, extremes=extremes,
    )  # fmt: skip
    if extremes:
        # The smallest integer stands for "missing" and is refused.
        engine = se.Engine(timezone=bare.timezone, as_of=bare.as_of)
        load(engine, customers, on_error="skip")
        kept = set(engine.table("customers", ["customer_id"])["customer_id"].to_pylist())
        customers = customers.filter([i in kept for i in customers["customer_id"].to_pylist()])
    else:
        customers = repeated(customers, rows)
        engine = engine_over(customers, bare)
    within = Options(depth=2, avoid_overflow=not extremes)
    buyers = buyers_of(customers.slice(0, 300)) or [dict.fromkeys(("customer_id", *COLUMNS))]
    vip = random_rule(rng, COLUMNS, buyers, bare, within)
    engine.define_segment("vip", rule_text(vip))
    options = Options(
        depth=rng.choice((2, 3, 5)), avoid_overflow=not extremes, segments=("vip",),
        null_literals=True,
    )  # fmt: skip
    world = World(bare.as_of, bare.timezone, {"vip": vip})
    return Case(seed, rng, world, customers, engine, options)


def repeated(customers: pa.Table, rows: int) -> pa.Table:
    """As many rows as asked, the given ones over and over, each with an id of its own."""
    if rows <= customers.num_rows:
        return customers
    many = pa.concat_tables([customers] * (rows // customers.num_rows + 1)).slice(0, rows)
    fresh = pa.array([str(i) for i in range(rows)] if pa.types.is_string(
        customers["customer_id"].type) else list(range(rows)))  # fmt: skip
    return many.set_column(0, "customer_id", fresh)


def with_duckdb(found: Case, count: int) -> Iterator[str]:
    """The rules to which the engine and DuckDB give different buyers."""
    connection = duckdb_oracle.open_customers(found.customers)
    world = found.world
    for rule in found.rules(count):
        theirs = duckdb_oracle.true_ids(
            connection, rule, world.timezone, world.as_of, world.segments
        )
        yield from _compared(found, rule, theirs)


def with_twin(found: Case, count: int) -> Iterator[str]:
    """The rules to which the engine and the slow twin give different buyers."""
    buyers = buyers_of(found.customers)
    for rule in found.rules(count):
        yield from _compared(found, rule, twin.true_ids(rule, buyers, found.world))


def _compared(found: Case, rule: Node, theirs: set[CustomerId]) -> Iterator[str]:
    ours = ids(found.engine, rule_text(rule))
    if ours != theirs:
        one = min(ours ^ theirs, key=str)
        yield found.said(rule, f"engine {one in ours}, judge {one in theirs} for {one!r}")
    yield from one_truth(found, rule, ours)


def one_truth(found: Case, rule: Node, ours: set[CustomerId]) -> Iterator[str]:
    """Where contains, explain and count say otherwise than ids."""
    segment = found.engine.segment(rule_text(rule))
    if segment.count() != len(ours):
        yield found.said(rule, f"count {segment.count()}, ids {len(ours)}")
    everybody: Sequence[CustomerId] = found.customers["customer_id"].to_pylist()
    for who in found.rng.sample(everybody, min(5, len(everybody))):
        said = (who in ours, segment.contains(who), segment.explain(who).holds)
        if len(set(said)) > 1:
            yield found.said(rule, f"ids, contains, explain of {who!r} say {said}")
