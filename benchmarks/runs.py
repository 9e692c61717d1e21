"""How long do a run, its recording and its report take? `python benchmarks/runs.py 5000000`.

The answers are checked before they are timed: everybody targeted is recorded once, and the report
counts as many buyers, sales and responses as were put in.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

import segengine as se

AS_OF = datetime(2026, 3, 15, 12, tzinfo=UTC)
SETTINGS = """
[store]
as_of = 2026-03-15T12:00:00Z
[text]
price_per_part = 0.05
[campaigns.spring]
segment = "customer_id % 2 = 0"
holdout = 0.1
variants = { a = 0.5, b = 0.5 }
text = "{region|Dear friend}, tea of the new harvest is here"
"""


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long a step took."""
    begun = time.perf_counter()
    yield
    print(f"{what:<58} {1000 * (time.perf_counter() - begun):>10,.0f} ms", flush=True)


def main(buyers: int) -> None:
    """Time every step over a store of so many buyers, two orders each."""
    drawn = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "store.toml").write_text(SETTINGS, encoding="utf-8")
        engine = se.Engine.open(folder)
        ids = np.arange(buyers)
        regions = pa.array(["north", "south", "east", "west"]).take(pa.array(ids % 4))
        minutes = drawn.integers(-500_000, 3_000, 2 * buyers)
        with engine.built_once():
            engine.load("customers", pa.table({"customer_id": ids, "region": regions}))
            engine.load("orders", pa.table({
                "customer_id": drawn.integers(0, buyers, 2 * buyers),
                "time": np.datetime64(AS_OF.replace(tzinfo=None), "us")
                + minutes.astype("timedelta64[m]"),
                "amount": drawn.integers(1, 100, 2 * buyers).astype(float),
            }))  # fmt: skip
        engine.audience("spring")
        with timed("send_hours"):
            engine.send_hours("spring")
        with timed("run_campaign, with texts counted and the file synced"):
            run = engine.run_campaign("spring")
        with timed("record_messages(run)"):
            report = engine.record_messages(run)
        assert report.rows_loaded == run.count()
        few = pa.table({"customer_id": run.ids().slice(0, 1000), "run": [run.run] * 1000})
        with timed("record_messages, 1,000 repeats"):
            assert engine.record_messages(few).rows_repeated == 1000
        kinds = few.append_column("kind", pa.array(["delivered"] * 1000))
        with timed("record_messages, 1,000 delivered"):
            assert engine.record_messages(kinds).rows_loaded == 1000
        engine.advance(AS_OF + timedelta(days=3))
        with timed('report("campaign")'):
            found = engine.report("campaign", run=run.run)
        figures = {figure.name: figure.value for figure in found.figures}
        assert figures["sent"] == run.count()
        assert figures["cost"] == run.count() * Decimal("0.05")
        with timed('report("campaign", by="region")'):
            engine.report("campaign", run=run.run, by="region")
        with timed("delete_customer, from the run and its file too"):
            engine.delete_customer(int(run.ids()[0].as_py()))
        engine.close()
        with timed("open again"):
            se.Engine.open(folder).close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
