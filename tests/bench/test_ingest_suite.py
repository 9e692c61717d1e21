"""The suite appends to every table, and checks that nothing is missing and every trait is right."""

from __future__ import annotations

import pytest

from segengine.bench import ingest_suite as suites
from segengine.bench.ingest_suite import MIX, ingest_suite
from segengine.bench.timing import DifferentAnswersError
from segengine.traits.some_buyers import SomeBuyers


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "ROWS", 20)
    monkeypatch.setattr(suites, "LARGE", 500)


def test_every_table_is_appended_to_and_what_it_took_is_told() -> None:
    result = ingest_suite(300, lambda _: None, batches=3)
    cases = {case["case"]: case for case in result["cases"]}
    assert {table for table, _ in MIX} <= set(cases)
    assert cases["orders"]["count"] == 60
    assert 0 < cases["orders, refunded"]["count"] <= 60
    assert cases["order lines before their orders"]["count"] == 60
    assert cases["behaviors, 500 rows a batch"]["count"] == 1500
    for case in cases.values():
        assert case["events_per_second"] > 0
        assert 0 < case["log_share"] < 1
        assert 0 < case["longest_hold_ms"] <= 1000 * case["count"]
    assert cases["mixed, looked at"]["looks"] >= 0


def test_a_trait_that_is_not_current_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(work: SomeBuyers) -> None:
        """Lets everything stay as it was."""

    monkeypatch.setattr(SomeBuyers, "write_back", forgetful)
    with pytest.raises(DifferentAnswersError, match="differ from a rebuild"):
        ingest_suite(300, lambda _: None, batches=2)
