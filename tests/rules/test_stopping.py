"""A question that nobody waits for ends, and leaves nothing behind that a later one could see."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine import stopping
from segengine.reports import catalogue
from segengine.reports.report import Source
from segengine.rules import evaluate
from segengine.stopping import Stop, StoppedError, ending, go_on, waited_for

RULES = ("score % 7 < 3", "count(behaviors) >= 2", "lower(city) LIKE '%a%'", "segment('much')",
         "sum(order_lines.amount) > 5", "score > 40 OR city = 'b'")  # fmt: skip


class After(Stop):
    """Set when it has been looked at so often."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    @property
    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    @is_set.setter
    def is_set(self, value: bool) -> None:
        pass


def made(seed: int, buyers: int) -> se.Engine:
    rng = np.random.default_rng(seed)
    engine = se.Engine(as_of=se.days.moment(1_700_000_000_000_000))
    engine.load("customers", pa.table({
        "customer_id": range(buyers), "score": rng.integers(0, 100, buyers),
        "city": rng.choice(["a", "b", "ca", "d"], buyers),
    }), columns={"score": "score"})  # fmt: skip
    owners = rng.integers(0, buyers, 3 * buyers)
    time = pa.array([1_600_000_000_000_000] * len(owners), pa.timestamp("us", "UTC"))
    engine.load("behaviors", pa.table({"customer_id": owners, "time": time,
                                       "kind": ["view"] * len(owners)}))  # fmt: skip
    engine.load("order_lines", pa.table({
        "customer_id": owners, "time": time, "order_id": [f"o{i}" for i in range(len(owners))],
        "product_id": ["p"] * len(owners), "quantity": [1] * len(owners),
        "amount": rng.integers(1, 9, len(owners)),
    }))  # fmt: skip
    engine.define_segment("much", "score > 50 AND city <> 'd'")
    return engine


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_a_question_that_was_stopped_anywhere_changes_no_later_answer(seed: int) -> None:
    rng = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "_PIECE", 128)
        engine = made(seed % 5, 700)
        expected = {rule: engine.segment(rule).ids() for rule in RULES}
        fresh = made(seed % 5, 700)
        for rule in RULES:
            with waited_for(After(rng.randrange(12))), suppress(StoppedError):
                assert fresh.segment(rule).ids() == expected[rule]
        for rule in RULES:
            assert fresh.segment(rule).ids() == expected[rule]


def test_a_scan_stops_between_two_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "_PIECE", 64)
    engine = made(1, 640)
    stop = After(5)
    with waited_for(stop), pytest.raises(StoppedError):
        engine.segment("score > 3").count()
    assert stop.looks > -4


def test_whoever_waits_is_answered() -> None:
    engine, stop = made(1, 100), Stop()
    with waited_for(stop):
        assert engine.segment("score >= 0").count() == 100
        assert stopping.current() is stop
    stop.set()
    go_on()
    with waited_for(stop), pytest.raises(StoppedError, match="nobody waits"):
        engine.segment("score >= 0").count()
    assert stopping.current() is None


def test_other_work_is_told_to_end_once_and_only_while_it_runs() -> None:
    stop, told = Stop(), []
    with waited_for(stop):
        with ending(lambda: told.append("over")):
            pass
        with ending(lambda: told.append("at work")):
            threading.Thread(target=stop.set).start()
            for _ in range(1000):
                if told:
                    break
                threading.Event().wait(0.005)
        with ending(lambda: told.append("late")):
            pass
    stop.set()
    assert told == ["at work", "late"]


def test_a_report_ends_while_duckdb_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, stop = made(1, 100), Stop()
    endless = "SELECT count(*) FROM range(100000000000) a, range(100000000000) b"

    def make(source: Source) -> None:
        threading.Timer(0.2, stop.set).start()
        source.connection.execute(endless)

    slow = replace(catalogue.REPORTS["lifecycle"], make=make)
    monkeypatch.setattr(catalogue, "REPORTS", {"lifecycle": slow})
    with waited_for(stop), pytest.raises(StoppedError):
        engine.report("lifecycle")
    monkeypatch.undo()
    assert engine.report("lifecycle").tables
