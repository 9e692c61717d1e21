"""Columns with more different values than a byte, or 16,000, hold: still the same buyers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random

import pyarrow as pa
import pytest

import segengine as se
from tests.rules.stores import ids

ROWS = 25_000
AS_OF = datetime(2024, 3, 1, 12, tzinfo=UTC)
ADDED = ("n", "small", "x", "word", "day", "seen", "price")


def buyers(rng: Random, who: list[int]) -> pa.Table:
    """Nearly every value differs; about a tenth is null."""

    def some(make: object, kind: pa.DataType) -> pa.Array:
        assert callable(make)
        return pa.array([None if rng.random() < 0.1 else make() for _ in who], kind)

    return pa.table({
        "customer_id": pa.array(who, pa.int64()),
        "n": some(lambda: rng.randrange(-(10**9), 10**9), pa.int64()),
        "small": some(lambda: rng.randrange(300), pa.int64()),
        "x": some(lambda: rng.gauss(0, 1e6), pa.float64()),
        "word": some(lambda: f"{rng.choice('abcxyz')}{rng.randrange(30_000)}", pa.string()),
        "day": some(lambda: date(1930, 1, 1) + timedelta(rng.randrange(40_000)), pa.date32()),
        "seen": some(lambda: AS_OF - timedelta(seconds=rng.randrange(10**9)),
                   pa.timestamp("us", "UTC")),
        "price": some(lambda: rng.randrange(10**8) / 10_000, pa.float64()).cast(
            pa.decimal128(18, 4), safe=False),
    })  # fmt: skip


def rules(rng: Random, table: pa.Table) -> Iterator[str]:
    """Bounds at a buyer's value or beside it, in the words that DuckDB shares."""

    def literal(name: str, rank: int = 0) -> str:
        value = None
        while value is None:
            value = table[name][rng.randrange(table.num_rows)].as_py()
        if name in ("n", "small"):
            return str(value + rank)
        if name == "word":
            return f"'{value}'"
        if name == "day":
            return f"DATE '{value}'"
        return f"TIMESTAMPTZ '{value.isoformat(sep=' ')}'" if name == "seen" else f"{value:.4f}"

    for name in ADDED:
        yield f"{name} {rng.choice(('<', '<=', '=', '<>', '>', '>='))} {literal(name, 1)}"
        yield f"NOT {name} BETWEEN {literal(name)} AND {literal(name)}"
        yield f"{name} NOT IN ({', '.join(literal(name) for _ in range(5))})"
        yield f"{name} IN ({', '.join(literal(name) for _ in range(100))})"
        yield f"{name} > {literal(name)} AND {name} <= {literal(name)} OR {name} IS NULL"
    yield f"word LIKE '{rng.choice('abc')}1%' AND NOT n > {literal('n')}"
    yield f"starts_with(word, 'x') AND x < {literal('x')} AND small <> {literal('small')}"
    yield f"length(word) = 5 AND (price > {literal('price')} OR seen < {literal('seen')})"
    yield f"n + small > {literal('n')} AND day > {literal('day')}"


def differences(engine: se.Engine, table: pa.Table, rng: Random) -> list[str]:
    connection = engine.connect(["customers"])
    found = []
    for rule in rules(rng, table):
        rows = connection.execute(f"SELECT customer_id FROM customers WHERE {rule}").fetchall()
        if ids(engine, rule) != {who for (who,) in rows}:
            found.append(rule)
    return found


@pytest.mark.parametrize("seed", [1])
def test_scans_behind_codes_agree_with_duckdb_before_and_after_updates(seed: int) -> None:
    rng = Random(seed)
    table = buyers(rng, list(range(ROWS)))
    assert len(table["word"].unique()) > 16_384
    engine = se.Engine(timezone="UTC", as_of=AS_OF)
    engine.load("customers", table, columns={name: name for name in ADDED})
    assert differences(engine, table, rng) == []
    some = buyers(rng, rng.sample(range(2 * ROWS), 5000))
    engine.load("customers", some, columns={name: name for name in ADDED})
    engine.delete_customer(17)
    assert differences(engine, some, rng) == []
