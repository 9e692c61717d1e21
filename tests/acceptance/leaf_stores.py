"""An engine that holds a random shop, and where its answers differ from DuckDB's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

import segengine as se
from segengine.schema.kinds import Kind
from tests.reference import duckdb_oracle
from tests.reference.leaf_cases import CONSTANTS, DECLARED, LeafCase
from tests.reference.random_events import EVENTS, Shop
from tests.reference.rules import CustomerId, Node, Type, World, rule_text

BATCH = 25
"""Rules that are saved as segments together, so that match is asked about all of them at once."""

_SQL = {
    Type.BOOLEAN: "BOOLEAN", Type.DOUBLE: "DOUBLE", Type.MONEY: "DECIMAL", Type.DATE: "DATE",
    Type.VARCHAR: "VARCHAR", Type.TEXTS: "VARCHAR[]",
}  # fmt: skip


def engine_of(case: LeafCase) -> se.Engine:
    """The shop loaded as its source gives it, with the case's constants, trait and segments."""
    return with_definitions(loaded(case.shop, case.world), case)


def with_definitions(engine: se.Engine, case: LeafCase) -> se.Engine:
    """The engine with what the case's rules speak of beside tables."""
    install(engine, case.world.affinities)
    engine.define_trait(DECLARED, rule_text(case.declared))
    for name, rule in case.world.segments.items():
        engine.define_segment(name, rule_text(rule))
    return engine


def loaded(shop: Shop, world: World) -> se.Engine:
    """An engine with the shop's tables."""
    engine = empty(world)
    for name in shop.given:
        load(engine, name, shop.given[name])
    return engine


def empty(world: World) -> se.Engine:
    """An engine with nothing in it at the world's moment."""
    tickets = {n: _SQL[kind] for n, kind in EVENTS["tickets"].items() if n != "time"}
    config = {"constants": dict(CONSTANTS), "tables": {"tickets": tickets}}
    return se.Engine(timezone=world.timezone, as_of=world.as_of, config=config)


def load(engine: se.Engine, name: str, table: pa.Table) -> None:
    """Add rows of a table, those columns too that no store has."""
    engine.load(name, table, columns={n: f'"{n}"' for n in table.column_names})


def install(
    engine: se.Engine, affinities: Mapping[CustomerId, Mapping[str, Mapping[str, float]]]
) -> None:
    """These scores of the buyers who are there in place of what behaviour would give."""
    tables = engine._tables
    customers = tables.customers
    for kind in ("category", "brand"):
        found: list[Mapping[str, float]] = [{}] * customers.rows
        for one in engine.segment("TRUE").ids().to_pylist():
            row = customers.row_of(one)
            assert row is not None
            found[row] = affinities[one][kind]
        dictionary = tables.dictionary_for("behaviors", kind, Kind.VARCHAR)
        assert dictionary is not None
        values = [value for scores in found for value in scores]
        codes = dictionary.encode(pa.array(values, pa.large_string()))
        counts = np.array([len(scores) for scores in found], np.int32)
        scores = np.array([x for each in found for x in each.values()], np.float64)
        tables.affinities.kept[kind].fill(counts, codes, scores)


def standing(engine: se.Engine, shop: Shop) -> dict[str, pa.Table]:
    """The engine's own tables in the form that DuckDB is asked about."""
    found = {"customers": engine.table("customers", ["customer_id", *shop.columns["customers"]])}
    products = engine.table("products")
    for name in (*EVENTS, "purchases"):
        columns = shop.standing[name].schema
        own = [n for n in columns.names if "." not in n and n != "arrival"]
        table = engine.table(name, own)
        table = table.append_column("arrival", pa.array(range(table.num_rows), pa.int64()))
        if "product_id" in own:
            place = {p: at for at, p in enumerate(products["product_id"].to_pylist())}
            rows = pa.array([place.get(p) for p in table["product_id"].to_pylist()], pa.int64())
            for column in (n for n in columns.names if n.startswith("product.")):
                values = products[column.removeprefix("product.")].combine_chunks().take(rows)
                table = table.append_column(column, values)
        found[name] = table
    return found


def differences(case: LeafCase, count: int) -> Iterator[str]:
    """Where the engine and DuckDB give a rule different buyers, or the engine two answers."""
    engine = engine_of(case)
    connection = duckdb_oracle.open_tables(case.shop.standing, case.world)
    rules = case.rules(count)
    while batch := list(islice(rules, BATCH)):
        yield from _of_batch(case, engine, connection, batch)


def _of_batch(
    case: LeafCase, engine: se.Engine, connection: object, rules: Sequence[Node]
) -> Iterator[str]:
    everyone = case.shop.standing["customers"]["customer_id"].to_pylist()
    some = case.maker.rng.sample(everyone, min(5, len(everyone)))
    texts = [rule_text(rule) for rule in rules]
    for number, text in enumerate(texts):
        engine.define_segment(f"r{number}", text)
    matched = {one: set(engine.match(one)) for one in some}
    for number, (rule, text) in enumerate(zip(rules, texts, strict=True)):
        where = f"seed {case.seed}, {case.world.timezone}, {case.world.as_of}, {text}"
        theirs = duckdb_oracle.ids_in(connection, rule, case.world)
        segment = engine.segment(text)
        ours = set(segment.ids().to_pylist())
        if ours != theirs:
            one = min(ours ^ theirs, key=str)
            yield f"{where}: engine {one in ours}, DuckDB {one in theirs} for {one!r}"
        if segment.count() != len(ours):
            yield f"{where}: count {segment.count()}, ids {len(ours)}"
        for one in some:
            told = (
                one in ours,
                segment.contains(one),
                segment.explain(one).holds,
                f"r{number}" in matched[one],
            )
            if len(set(told)) > 1:
                yield f"{where}: ids, contains, explain, match of {one!r} say {told}"
