"""Claims about the server with the engine itself: a client hears what a program in-process does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from segengine_server import Client, ServerError, app, engine_api

import segengine as se
from tests.server.serving import serving

PHONE = {"device": "phone"}
UNTIL = datetime(2099, 1, 1, tzinfo=UTC)
RULES = ["region = 'north'", "score > 50 OR region IS NULL", "NOT (score < 10)", "score > 10000"]


def made(as_of: datetime | None) -> se.Engine:
    engine = se.Engine(as_of=as_of, config={"store": {"channels": ["sms"]}})
    ids = list(range(200))
    buyers = pa.table(
        {
            "customer_id": ids,
            "region": [("north", "south", None)[i % 3] for i in ids],
            "score": ids,
            "sms_consent": [i % 5 != 0 for i in ids],
        }
    )
    engine.load("customers", buyers, columns={"score": "score"})
    engine.define_segment("north", RULES[0])
    engine.define_segment("rich", "score > 150")
    engine.define_campaign(
        se.Campaign(
            "spring",
            "segment('north')",
            exclusions=("score > 190",),
            channel="sms",
            variants={"a": 0.5, "b": 0.5},
            holdout=0.1,
        )
    )
    vip = se.Module("vip", rule="segment('north') AND context.device = 'phone'", payload={"n": 1})
    banner = se.Slot("banner", [vip, se.Module("all", fallback=True)])
    engine.define_page(se.Page("home", [banner, se.Slot("foot", [vip])]))
    prices = [10.0 * (i + 1) for i in range(9)]
    engine.load("products", pa.table({"product_id": range(9), "price": prices}))
    picks = se.Module("picks", pool=se.Pool("price > 30", k=3, pin=[7]), ends_at=UNTIL)
    engine.define_page(se.Page("shelf", [se.Slot("picks", [picks]), se.Slot("none", [])]))
    return engine


@pytest.fixture(scope="module")
def real() -> se.Engine:
    return made(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))


@pytest.fixture(scope="module")
def asked(real: se.Engine) -> Iterator[Client]:
    with serving(real) as served, Client(served.target) as client:
        yield client


def test_an_engine_is_what_the_server_asks_for(real: se.Engine) -> None:
    fits: engine_api.Engine = real
    assert fits.as_of_is_fixed


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_the_same_buyers_on_both_sides(
    real: se.Engine, asked: Client, rule: str
) -> None:
    segment = real.segment(rule)
    count = asked.count(rule=rule)
    assert (count.count, count.as_of, count.data_version) == (
        segment.count(),
        real.as_of,
        real.data_version,
    )
    assert asked.stream(rule=rule).equals(segment.table([]))
    assert asked.stream(rule=rule, columns=["score", "region"]).equals(
        segment.table(["score", "region"])
    )
    for customer_id in (0, 1, 2, 199):
        why = segment.explain(customer_id)
        told = asked.explain(customer_id, rule=rule)
        assert (told.holds, told.step, told.text) == (why.holds, None, str(why))


def test_a_campaign_has_the_same_ledger_and_buyers_on_both_sides(
    real: se.Engine, asked: Client
) -> None:
    audience = real.audience("spring")
    count = asked.count(campaign="spring")
    assert count.count == audience.count() > 0
    assert count.ledger.equals(audience.ledger)
    assert (count.as_of, count.data_version) == (audience.as_of, audience.data_version)
    assert asked.stream(campaign="spring").equals(audience.table())
    assert asked.stream(campaign="spring", columns=["score"]).equals(audience.table(["score"]))
    for customer_id in range(60):
        why = audience.explain(customer_id)
        told = asked.explain(customer_id, campaign="spring")
        assert (told.holds, told.step, told.text) == (why.holds, why.step, str(why))


def test_match_and_pages_are_the_same_on_both_sides(real: se.Engine, asked: Client) -> None:
    for customer_id in range(0, 200, 7):
        assert asked.match(customer_id) == real.match(customer_id)
    visitors = [0, 1, "0", "nobody", 10**12, None]
    for told, visitor in zip(asked.pages("home", visitors, PHONE), visitors, strict=True):
        page = real.page("home", visitor, PHONE)
        assert (told.as_of, told.data_version, told.traits) == (
            page.as_of,
            page.data_version,
            list(page.traits),
        )
        assert [(p.slot, p.module, p.variant, p.reason, p.payload) for p in told.placements] == [
            (p.slot, p.module, p.variant, p.reason.value, p.payload) for p in page.placements
        ]
        assert told == asked.page("home", visitor, PHONE)


def test_products_and_how_long_they_may_be_kept_are_the_same_on_both_sides(
    real: se.Engine, asked: Client
) -> None:
    for visitor in (1, None):
        told, page = asked.page("shelf", visitor), real.page("shelf", visitor)
        products = [(str(p.product_id), p.score, p.reason) for p in page.placements[0].products]
        assert [(p.product_id, p.score, p.reason) for p in told.placements[0].products] == products
        assert len(products) == 3
        assert products[0][0] == "7"
        assert told.placements[1].products == []
        assert told.valid_until == page.valid_until is not None
        assert told == asked.pages("shelf", [visitor])[0]


def test_a_census_is_the_same_on_both_sides(real: se.Engine, asked: Client) -> None:
    for context in ({}, PHONE):
        told, census = asked.page_census("home", context), real.page_census("home", context)
        for each in fields(told):
            assert getattr(told, each.name) == getattr(census, each.name), each.name
    assert told.modules.column("reach").to_pylist() == [67, 133, 0]
    with pytest.raises(ServerError, match="unknown page `hme`"):
        asked.page_census("hme")


@pytest.mark.parametrize(
    ("ask", "code", "reason"),
    [
        (lambda c: c.count(rule="regio = 1 AND scor > 2"), "INVALID_ARGUMENT", "BAD_RULE"),
        (lambda c: c.count(rule=""), "INVALID_ARGUMENT", "BAD_RULE"),
        (lambda c: c.count(campaign=""), "NOT_FOUND", "UNKNOWN_NAME"),
        (lambda c: c.stream(rule="score > 1", columns=["scor"]), "NOT_FOUND", "UNKNOWN_NAME"),
        (lambda c: c.explain("1", rule="score > 1"), "NOT_FOUND", "UNKNOWN_CUSTOMER"),
        (lambda c: c.explain(1000, campaign="spring"), "NOT_FOUND", "UNKNOWN_CUSTOMER"),
        (lambda c: c.match(-1), "NOT_FOUND", "UNKNOWN_CUSTOMER"),
        (lambda c: c.page("hme"), "NOT_FOUND", "UNKNOWN_NAME"),
    ],
)
def test_what_the_engine_refuses_is_refused(
    asked: Client, ask: Callable[[Client], object], code: str, reason: str
) -> None:
    with pytest.raises(ServerError) as refused:
        ask(asked)
    assert (refused.value.code, refused.value.reason) == (code, reason)


def test_all_mistakes_of_a_rule_have_their_places(asked: Client) -> None:
    with pytest.raises(ServerError) as refused:
        asked.count(rule="regio = 'x'\n  AND scor > 2")
    places = [v.description.split(":")[0] for v in refused.value.violations]
    assert places == ["line 1, column 1", "line 2, column 7"]


def test_answers_stay_right_while_the_moment_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "TICK_SECONDS", 0.005)
    engine = made(None)
    before = datetime.now(UTC)  # noqa: TID251 - the test is about the clock
    with (
        serving(engine) as served,
        Client(served.target) as client,
        ThreadPoolExecutor(6) as threads,
    ):
        time.sleep(0.1)
        pages = list(threads.map(lambda i: client.page("home", i, PHONE), range(200)))
        counts = list(threads.map(lambda _: client.count(rule=RULES[0]), range(100)))
    assert {count.count for count in counts} == {67}
    assert all(count.as_of >= before for count in counts)
    assert len({count.data_version for count in counts}) > 1
    for i, page in enumerate(pages):
        assert page.placements[0].module == ("vip" if i % 3 == 0 else "all")
