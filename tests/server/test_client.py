"""Claims about the client: plain calls, plain data."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any

import numpy as np
import pytest
from segengine_server import Client, ServerError, page_bytes
from segengine_server.answers import Page, Placement

from tests.server.fake_engine import AS_OF, CENSUS, LEDGER, FakeEngine


def test_a_campaigns_count_has_its_ledger(client: Client) -> None:
    count = client.count(campaign="spring")
    assert (count.count, count.as_of, count.data_version) == (3, AS_OF, 7)
    assert count.as_of.tzinfo is UTC
    assert count.ledger.equals(LEDGER)


def test_a_rules_count_has_an_empty_ledger(client: Client, engine: FakeEngine) -> None:
    count = client.count(rule="recency_days < 30")
    assert (count.count, count.as_of, count.data_version) == (10, AS_OF, 7)
    assert count.ledger.num_rows == 0
    assert count.ledger.schema == LEDGER.schema
    assert engine.asked == [("segment", "recency_days < 30")]


def test_an_explanation_says_whether_where_and_why(client: Client) -> None:
    dropped = client.explain(18, campaign="spring")
    assert (dropped.holds, dropped.step) == (False, "consent")
    assert str(dropped) == "AND: False\n  recency_days < 30: False"
    assert client.explain(17, campaign="spring").step is None
    assert client.explain(17, rule="x").holds
    assert client.explain(18, rule="x").step is None


def test_match_names_segments(client: Client) -> None:
    assert client.match(17) == ["lapsed", "vip"]
    assert client.match("a") == []


def test_a_page_is_plain_data(client: Client) -> None:
    assert client.page("home", 17, {"device": "phone"}) == Page(
        placements=[
            Placement("banner", "for 17", None, "MATCHED", [], None),
            Placement("grid", "all", "b", "FALLBACK", [], {"title": "春节", "n": [1, None]}),
        ],
        as_of=AS_OF,
        data_version=7,
        valid_until=None,
        traits=["recency_days", "vip"],
    )


def test_the_engine_is_asked_what_the_client_was_asked(client: Client, engine: FakeEngine) -> None:
    client.page("home", 17, {"device": "phone"})
    client.page("home", "17")
    client.page("home", np.int64(17))
    client.page("home")
    assert engine.asked == [
        ("page", "home", 17, {"device": "phone"}),
        ("page", "home", "17", {}),
        ("page", "home", 17, {}),
        ("page", "home", None, {}),
    ]


def test_what_a_visit_brings_along_becomes_texts(client: Client, engine: FakeEngine) -> None:
    context: Any = {"cart_value": 180, "device": None, "entry": "search"}
    client.page("home", 17, context)
    client.pages("home", [17], context)
    client.page_census("home", context)
    assert [asked[-1] for asked in engine.asked] == [{"cart_value": "180", "entry": "search"}] * 3


def test_pages_are_in_the_order_asked_however_many(client: Client) -> None:
    asked: list[int | str | None] = [*range(250), "a", None]
    modules = [page.placements[0].module for page in client.pages("home", asked)]
    assert modules == [*(f"for {i}" for i in range(250)), "for a", None]
    assert client.pages("home", []) == []


def test_a_batch_of_pages_is_what_single_pages_are(client: Client) -> None:
    assert client.pages("home", [17, None]) == [client.page("home", 17), client.page("home")]


def test_equal_payloads_and_changing_ones_are_each_their_own(
    engine: FakeEngine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = iter([{"n": 1}, {"n": 1}, {"n": 1.0}, [1], "text", 0, None])

    def page(name: str, customer_id: object, context: object) -> Page:
        placement = Placement("grid", "all", None, "MATCHED", [], next(payloads))
        return Page([placement], AS_OF, 7, None, [])

    monkeypatch.setattr(engine, "page", page)
    monkeypatch.setattr(page_bytes, "MOST_KEPT", 2)
    told = [client.page("home").placements[0].payload for _ in range(7)]
    assert [repr(payload) for payload in told] == [
        "{'n': 1}",
        "{'n': 1}",
        "{'n': 1.0}",
        "[1]",
        "'text'",
        "0",
        "None",
    ]


def test_a_question_that_names_neither_or_both_is_a_mistake_of_the_program(client: Client) -> None:
    for both in ({}, {"campaign": "spring", "rule": "x"}):
        for ask in (client.count, client.stream, client.batches):
            with pytest.raises(TypeError, match="one of the two"):
                ask(**both)
    with pytest.raises(TypeError, match="list of names"):
        client.stream(rule="x", columns="spent")


def test_threads_may_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(lambda i: client.page("home", i), range(200)))
    assert [page.placements[0].module for page in pages] == [f"for {i}" for i in range(200)]


def test_a_census_is_plain_data(client: Client, engine: FakeEngine) -> None:
    assert client.page_census("home", {"device": "phone"}) == CENSUS
    assert engine.asked == [("page_census", "home", {"device": "phone"})]


def test_one_census_is_made_at_a_time(client: Client, engine: FakeEngine) -> None:
    engine.free = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(client.page_census, "home")
        assert engine.at_work.acquire(timeout=20)
        with pytest.raises(ServerError, match="at work already") as refused:
            client.page_census("home")
        assert refused.value.reason == "BUSY"
        assert client.page("home", 17).placements[0].module == "for 17"
        engine.free.set()
        assert first.result(20) == CENSUS


def test_a_census_that_nobody_waits_for_ends(client: Client, engine: FakeEngine) -> None:
    engine.free = threading.Event()
    with pytest.raises(ServerError) as late:
        client.page_census("home", timeout=0.2)
    assert late.value.code == "DEADLINE_EXCEEDED"
    assert engine.at_work.acquire(timeout=20)
    time.sleep(1)  # until the server has heard that nobody waits
    engine.free.set()
    assert client.page_census("home") == CENSUS
    worked = 0
    while engine.at_work.acquire(blocking=False):
        worked += 1
    assert worked == 10
