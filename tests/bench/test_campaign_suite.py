"""Ledgers and plans are measured, and every step of each is compared with SQL first."""

import pytest

from segengine.bench import campaign_suite
from segengine.bench.timing import DifferentAnswersError


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(campaign_suite, "CAMPAIGNS", 4)


def test_ledgers_are_compared_then_timed():
    told = []
    result = campaign_suite.campaign_suite(500, 1, told.append)
    assert "SQL agrees on 8 ledgers of 10 steps" in told
    assert result["sizes"] == {"customers": 500, "messages": 1000, "campaigns": 4}
    assert [case["case"] for case in result["cases"]] == [
        "ledger of a campaign, first time", "ledger of a campaign",
        "ledger of a campaign, after a message", "plan of 4, first time", "plan of 4",
        "plan of 4, after a message", "plan of 4 by value",
    ]  # fmt: skip
    assert all(case["ms"]["segengine"] > 0 for case in result["cases"])


def test_a_ledger_that_differs_is_no_result(monkeypatch):
    monkeypatch.setattr(campaign_suite, "_ledger", lambda *_, **__: [0] * 10)
    with pytest.raises(DifferentAnswersError, match=r"campaign 0: .* SQL counts"):
        campaign_suite.campaign_suite(100, 1, lambda _: None)
