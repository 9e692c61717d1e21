"""What publishing would change, at a few million buyers: the answer first, then times.

`BUYERS=5000000 pytest benchmarks/test_dry_run.py --benchmark-only` asks at another size.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

import segengine as se

AS_OF = datetime(2024, 3, 11, 12, tzinfo=UTC)
BUYERS = int(os.environ.get("BUYERS", "1000000"))
ARMS = {"a": 0.5, "b": 0.5}
WIDER = se.Campaign("spring", "segment('rich')", channel="sms", variants={"a": 0.6, "b": 0.4},
                    holdout=0.1)  # fmt: skip


@pytest.fixture(scope="module")
def engine():
    rng = np.random.default_rng(5)
    found = se.Engine(as_of=AS_OF, config={"store": {"channels": ["sms"]}})
    spent = rng.integers(0, 1000, BUYERS)
    found.load("customers", pa.table({
        "customer_id": np.arange(BUYERS), "spent": spent, "age": rng.integers(18, 90, BUYERS),
        "sms_consent": rng.random(BUYERS) < 0.8,
    }), columns={"spent": "spent", "age": "age"})  # fmt: skip
    found.prepare()
    found.define_segment("rich", "spent >= 500")
    for number in range(5):
        found.define_segment(f"old_{number}", f"segment('rich') AND age >= {30 + number}")
    found.define_campaign(
        se.Campaign("spring", "segment('rich') AND age < 60", channel="sms", variants=ARMS,
                    holdout=0.1)
    )  # fmt: skip
    diff = found.dry_run("rich", "spent >= 600")
    assert (diff.entered, diff.left) == (0, int(((spent >= 500) & (spent < 600)).sum()))
    assert diff.downstream.num_rows == 6
    wider = found.dry_run(WIDER)
    assert wider.left == 0 < wider.entered
    assert wider.affected > wider.entered
    return found


def test_a_segment_that_six_definitions_name(benchmark, engine):
    benchmark(engine.dry_run, "rich", "spent >= 600")


def test_a_segment_that_nothing_names(benchmark, engine):
    benchmark(engine.dry_run, "fresh", "spent >= 600 AND age < 50")


def test_a_campaign_with_other_variants(benchmark, engine):
    benchmark(engine.dry_run, WIDER)


def test_everybody_who_is_affected(benchmark, engine):
    benchmark(engine.dry_run(WIDER).table)
