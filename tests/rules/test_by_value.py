"""In large tables a condition on one or two columns is asked once a value, not once a row."""

from __future__ import annotations

import pytest

from segengine.rules import by_value, evaluate
from tests.rules.agreement import case, with_duckdb


@pytest.mark.parametrize("seed", range(700, 706))
def test_asked_by_value_a_rule_has_the_same_buyers(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_value, "_MANY_ROWS", 0)
    monkeypatch.setattr(by_value, "_ROWS_A_PAIR", 0)
    monkeypatch.setattr(evaluate, "_MANY_RUNS", 1)
    monkeypatch.setattr(evaluate, "_MANY_OPEN", 0)
    assert list(with_duckdb(case(seed, 300), 18)) == []
