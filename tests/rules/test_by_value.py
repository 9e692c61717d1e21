"""In large tables a condition on one whole number is asked once a value, not once a row."""

from __future__ import annotations

import pytest

from segengine.rules import evaluate
from tests.rules.agreement import case, with_duckdb


@pytest.mark.parametrize("seed", range(700, 706))
def test_asked_by_value_a_rule_has_the_same_buyers(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_MANY_ROWS", 0)
    monkeypatch.setattr(evaluate, "_MANY_RUNS", 1)
    assert list(with_duckdb(case(seed, 300), 18)) == []
