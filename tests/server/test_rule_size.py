"""A rule that nobody would write is refused at once, whatever asks with it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from segengine_server import Client, Limits, ServerError
from segengine_server.catalog_answers import Put
from segengine_server.errors import RequestError
from segengine_server.rule_size import RuleSize
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire.segengine_pb2_grpc import PageServiceStub

import segengine as se
from tests.server.fake_engine import FakeEngine
from tests.server.serving import serving

LARGE = {
    "a megabyte of text": "x" * (1 << 20),
    "a megabyte of brackets": "(" * (1 << 20),
    "a megabyte of NOT": "NOT " * (1 << 18) + "true",
    "many conditions": " OR ".join(["order_count = 1"] * 2_000),
    "many conditions in other letters": " or ".join(["order_count=1"] * 2_000),
    "many cases": "CASE " + "WHEN true THEN 1 " * 1_500 + "END = 1",
}


@pytest.mark.parametrize("rule", LARGE.values(), ids=LARGE)
def test_a_large_rule_is_refused_and_the_engine_is_not_asked(rule: str) -> None:
    engine = FakeEngine()
    with serving(engine) as served, Client(served.target) as client:
        for ask in (
            lambda: client.count(rule=rule),
            lambda: client.stream(rule=rule),
            lambda: client.explain(1, rule=rule),
            lambda: client.dry_run_segment("some", rule),
        ):
            with pytest.raises(ServerError) as refused:
                ask()
            assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "BAD_REQUEST")
            assert "are read" in str(refused.value)
        assert engine.asked == []
        began = time.process_time()
        with pytest.raises(RequestError):
            RuleSize().admit(rule)
        assert time.process_time() - began < 1


def test_what_is_admitted_is_for_whoever_starts_the_server_to_say() -> None:
    limits = Limits(rule=RuleSize(bytes=200, conditions=3))
    with serving(FakeEngine(), limits) as served, Client(served.target) as client:
        assert client.count(rule="a > 1 AND b > 2 AND c > 3").count == 10
        with pytest.raises(ServerError, match=r"joins 4 conditions, at most 3 are read"):
            client.count(rule="a > 1 AND b > 2 AND c > 3 OR d > 4")
        with pytest.raises(ServerError, match=r"has 205 bytes, at most 200 are read"):
            client.count(rule="a = '" + "x" * 199 + "'")


def test_a_long_list_is_one_condition() -> None:
    engine = se.Engine(as_of=datetime(2026, 1, 31, tzinfo=UTC))
    listed = ", ".join(map(str, range(8_000)))
    with serving(engine) as served, Client(served.target) as client:
        assert client.count(rule=f"order_count IN ({listed})").count == 0


@pytest.mark.parametrize("depth", [100, 3_000, 30_000])
def test_a_deep_rule_is_refused_in_words_and_breaks_no_thread(depth: int) -> None:
    engine = se.Engine(as_of=datetime(2026, 1, 31, tzinfo=UTC))
    with serving(engine) as served, Client(served.target) as client:
        for rule in ("(" * depth + "true" + ")" * depth, "-" * depth + "1 > 0"):
            with pytest.raises(ServerError) as refused:
                client.count(rule=rule)
            assert refused.value.code == "INVALID_ARGUMENT"
        assert client.count(rule="true").count == 0


def insist(client: Client) -> None:
    """Ask until the connection has a place: gRPC refuses some that come at the same moment."""
    while True:
        try:
            client.count(rule="x")
        except ServerError as error:
            if error.code != "UNAVAILABLE":
                raise
            time.sleep(0.01)
        else:
            return


def test_one_connection_takes_no_more_places_than_it_may() -> None:
    engine = FakeEngine()
    engine.free = threading.Event()
    limits = Limits(calls_per_connection=2, audience_threads=8, audience_calls=8)
    with serving(engine, limits) as served, Client(served.target, timeout=20) as greedy:
        # It has heard by its first answer how many calls it may make.
        greedy.page("home")
        asking = [threading.Thread(target=insist, args=(greedy,)) for _ in range(5)]
        for each in asking:
            each.start()
        for _ in range(2):
            assert engine.at_work.acquire(timeout=10)
        assert not engine.at_work.acquire(timeout=0.3)
        # Another connection: those of one process to one address are else the same.
        apart = (("grpc.use_local_subchannel_pool", 1),)
        with grpc.insecure_channel(served.target, options=apart) as other:
            page = PageServiceStub(other).GetPage  # type: ignore[no-untyped-call]
            assert page(pb.GetPageRequest(page="home"), timeout=10).data_version == 7
        engine.free.set()
        for each in asking:
            each.join(20)
        assert len(engine.asked) == 7


FEW = RuleSize(bytes=300, conditions=3)
SMALL, MANY = "spent > 1 AND spent > 2", "spent > 1 AND spent > 2 OR spent > 3 OR spent > 4"
WIDE = "spent IN (" + ", ".join(map(str, range(100, 200))) + ")"


def page_of(**rules: str) -> dict[str, Any]:
    """A page whose modules have these rules."""
    modules: dict[str, Any] = {name: {"rule": rule} for name, rule in rules.items()}
    return {"slots": {"top": {"modules": modules}}}


DEFINITIONS = {
    "segment": ({"rule": MANY}, ["rule"]),
    "trait": ({"expression": MANY}, ["expression"]),
    "campaign": (
        {"segment": MANY, "exclusions": [SMALL, WIDE], "value": WIDE, "order_by": MANY,
         "goal": MANY, "payload": {"rule": WIDE}},
        ["segment", "value", "order_by", "goal", "exclusions[1]"],
    ),
    "page": (
        {"rule": WIDE, "slots": {
            "top": {"modules": {"a": {"rule": SMALL}, "b": {"rule": MANY}}},
            "low": {"modules": {"c": {"pool": {"rule": MANY}}}},
        }},
        ["rule", "slots.top.modules.b.rule", "slots.low.modules.c.pool.rule"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_each_rule_of_a_definition_is_bounded_and_named_by_its_place(kind: str) -> None:
    definition, places = DEFINITIONS[kind]
    engine = se.Engine(as_of=datetime(2026, 1, 31, tzinfo=UTC))
    change = [Put("segment", "fine", {"rule": "true"}), Put(kind, "large", definition)]
    with serving(engine, Limits(rule=FEW)) as served, Client(served.target) as client:
        for ask in (client.catalog.put_all, client.catalog.dry_run):
            with pytest.raises(ServerError) as refused:
                ask(change)
            assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "BAD_REQUEST")
            told = {each.field: each.description for each in refused.value.violations}
            assert list(told) == [f"definitions[1].{place}" for place in places]
            assert all("are read" in each for each in told.values())
        assert list(client.catalog.in_force()) == []
        if kind == "campaign":
            with pytest.raises(ServerError, match="joins 4 conditions, at most 3 are read"):
                client.dry_run_campaign("large", definition)


def test_a_page_may_have_any_number_of_rules_that_are_small() -> None:
    engine = se.Engine(as_of=datetime(2026, 1, 31, tzinfo=UTC))
    rules = {f"m{n}": "order_count > 1 AND order_count > 2" for n in range(500)}
    with serving(engine, Limits(rule=FEW)) as served, Client(served.target) as client:
        assert client.catalog.put("page", "home", page_of(**rules)).version == 1


def test_what_is_no_rules_text_is_left_to_be_refused_where_it_is_read() -> None:
    for kind, written in (
        ("page", {"slots": 1}), ("page", {"slots": {"s": 1, "t": {"modules": [MANY]}}}),
        ("page", {"slots": {"s": {"modules": {"m": 1, "n": {"rule": 1, "pool": MANY}}}}}),
        ("campaign", {"segment": 1, "exclusions": MANY}), ("campaign", {"exclusions": [1, None]}),
        ("nothing", {"rule": MANY}), ("segment", {"rule": None}),
    ):  # fmt: skip
        FEW.admit_all(kind, written)
