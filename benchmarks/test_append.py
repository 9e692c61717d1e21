"""One append to a store of 200,000 buyers, durable or not: 1,000 events in at most 20 ms.

Batches are made outside the timed part; what they come to is checked before any is timed.
SEGENGINE_BENCH_BUYERS=20000 makes a smaller store.
"""

import os
from itertools import count

import numpy as np
import pyarrow as pa
import pytest

import segengine as se
from segengine.demo import generate

BUYERS = int(os.environ.get("SEGENGINE_BENCH_BUYERS", "200000"))
TABLES = ("behaviors", "orders", "order_lines")
_orders = count(10**15)


@pytest.fixture(scope="module")
def engine():
    store = generate(BUYERS)
    engine = se.Engine(config=store.config)
    for name in store.tables:
        engine.load(name, store.reader(name))
    for table in TABLES:
        for rows in (1_000, 3):
            engine.append(table, batch(engine, table, rows))
    return engine


def batch(engine, table, rows):
    """Events of random buyers that happen now."""
    rng = np.random.default_rng(next(_orders))
    ids = np.asarray(engine.segment("TRUE").ids())
    products = np.asarray(engine.table("products", ["product_id"])["product_id"])
    now = pa.array([engine.as_of] * rows, pa.timestamp("us", "UTC"))
    columns = {"customer_id": rng.choice(ids, rows), "time": now}
    if table == "behaviors":
        columns["kind"] = rng.choice(["visit", "view", "cart"], rows)
        columns["product_id"] = rng.choice(products, rows)
    else:
        columns["order_id"] = [next(_orders) for _ in range(rows)]
        columns["amount"] = rng.integers(1, 500, rows).astype(np.float64)
    if table == "order_lines":
        columns |= {"line_id": np.arange(rows), "quantity": np.ones(rows, np.int64)}
        columns["product_id"] = rng.choice(products, rows)
    return pa.table(columns)


@pytest.mark.parametrize("rows", [3, 1_000])
@pytest.mark.parametrize("table", TABLES)
def test_an_append(benchmark, engine, table, rows):
    before = engine.connect([table]).execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    report = engine.append(table, batch(engine, table, rows))
    after = engine.connect([table]).execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    assert report.rows_loaded == rows == after - before

    def given():
        return (table, batch(engine, table, rows)), {}

    benchmark.pedantic(engine.append, setup=given, rounds=30)
