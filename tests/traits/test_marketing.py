"""What came of the messages: against SQL, after any batches, and by example."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import ConfigError
from segengine.traits import marketing
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.reference.marketing_sql import DEFINITIONS, contacts
from tests.traits.histories import Shop, differences, engine_of, traits_of
from tests.traits.test_incremental import Life

NAMES = [trait.name for trait in marketing.MARKETING.traits]
TABLES = ("customers", "orders", "orders", "behaviors", "messages", "messages", "messages")
GOALS = (None, None, "orders", "purchases", "behaviors", "messages", "reviews", "points", "none")
EVENTS = {None: "any", "messages": "click", "none": "any"}
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)


def trait(found: se.Engine, name: str) -> list[Any]:
    return found.table("customers", [name])[name].to_pylist()


def messages(*rows: tuple[float, str, str | None]) -> pa.Table:
    """Messages of buyer 1: hours ago, kind, campaign."""
    return pa.table(
        {
            "customer_id": [1] * len(rows),
            "time": pa.array([AS_OF - hours * HOUR for hours, _, _ in rows],
                             pa.timestamp("us", tz="UTC")),
            "kind": [kind for _, kind, _ in rows],
            "campaign": pa.array([campaign for _, _, campaign in rows], pa.string()),
        }
    )  # fmt: skip


def written(*rows: tuple[float, str, str | None], config: Any = None) -> se.Engine:
    found = engine(config=config)
    found.load("messages", messages(*rows))
    return found


def visit(hours: float) -> pa.Table:
    return pa.table({"customer_id": [1], "time": [AS_OF - hours * HOUR], "kind": ["visit"]})


# --- against SQL ----------------------------------------------------------------------------------


def drawn_config(rng: Random) -> dict[str, Any]:
    """Settings under which these small shops differ."""
    campaigns = {
        name: {"segment": "TRUE", "window_days": rng.choice((1, 2, 3, 30, 400))}
        for name in rng.sample("abcd", rng.randrange(4))
    }
    for section in campaigns.values():
        goal = rng.choice(GOALS)
        if goal is not None:
            section["goal"] = goal
    response = {
        "least_messages": rng.choice((1, 2, 5)),
        "low_rate": rng.choice((0.0, 0.3, 0.5, 1.0)),
        "lost_cause_messages": rng.choice((1, 1, 2)),
    }
    stages = {"new_days": 0, "active_days": 0, "sleeping_days": rng.choice((0, 3, 30))}
    return {"campaigns": campaigns, "response": response, "lifecycle": stages}


def disagreements(seed: int, *, buyers: int = 6, batches: int = 9, rows: int = 8) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    shop.ties = True
    config = drawn_config(rng)
    found = engine_of(shop, config)
    for table in rng.choices((*TABLES, "reviews", "points"), k=batches):
        batch = shop.batch(table, rows)
        found.load(batch.table, batch.to_arrow())
    tables = ["customers", "orders", "behaviors", "messages", "reviews", "points"]
    connection = found.connect(tables)
    goals = [
        {"campaign": name, "days": c["window_days"],
         "event": EVENTS.get(c.get("goal"), c.get("goal"))}
        for name, c in config["campaigns"].items()
    ]  # fmt: skip
    types = {"campaign": pa.string(), "days": pa.int64(), "event": pa.string()}
    connection.register("goals", pa.Table.from_pylist(goals, pa.schema(types)))
    response = config["response"]
    told = {
        "least": response["least_messages"], "low": response["low_rate"],
        "lost": response["lost_cause_messages"], "sleeping": config["lifecycle"]["sleeping_days"],
    }  # fmt: skip
    return differences(traits_of(found, NAMES), contacts(connection, shop.as_of, told))


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_contacts_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed) == []


@settings(max_examples=2)
@given(st.integers(0, 2**32))
def test_contacts_of_a_larger_shop_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed, buyers=40, batches=12, rows=150) == []


@pytest.mark.prove
def test_contacts_equal_their_definitions_in_sql_at_length() -> None:
    assert {seed: found for seed in range(1000) if (found := disagreements(seed))} == {}


def test_every_trait_has_a_definition_in_sql() -> None:
    assert set(DEFINITIONS) == set(NAMES)


# --- incremental equals full ----------------------------------------------------------------------


def changed(seed: int) -> list[str]:
    life = Life(seed, steps=12, rows=6, config=drawn_config(Random(seed)))
    return differences(traits_of(life.engine, NAMES), traits_of(life.fresh(), NAMES))


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_contacts_after_any_batches_equal_those_of_a_fresh_build(seed: int) -> None:
    assert changed(seed) == []


@pytest.mark.prove
def test_contacts_after_any_batches_equal_those_of_a_fresh_build_at_length() -> None:
    assert {seed: found for seed in range(300) if (found := changed(seed))} == {}


@settings(max_examples=6)
@given(st.integers(0, 2**32))
def test_a_campaign_defined_later_judges_the_messages_that_are_there(seed: int) -> None:
    rng = Random(seed)
    shop = Shop.drawn(rng)
    config = drawn_config(rng)
    late, early = engine_of(shop), engine_of(shop, {"campaigns": config["campaigns"]})
    for table in rng.choices((*TABLES, "reviews", "points"), k=8):
        batch = shop.batch(table, 8).to_arrow()
        late.load(table, batch)
        early.load(table, batch)
    for name, section in config["campaigns"].items():
        late.define_campaign(se.Campaign(name, **section))
    assert differences(traits_of(late, NAMES), traits_of(early, NAMES)) == []


# --- by example -----------------------------------------------------------------------------------


def test_a_message_counts_by_its_sent_row_whatever_its_class() -> None:
    found = engine()
    sent = messages((1, "sent", "a"), (2, "sent", "b"), (3, "sent", None), (3, "delivered", "a"),
                    (4, "held_out", "a"), (5, "failed", "b"), (6, "opened", "a"))  # fmt: skip
    found.load("messages", sent.append_column(
        "class", [["service", "care", "marketing", *["marketing"] * 4]]))  # fmt: skip
    assert trait(found, "messages_count") == [3]
    assert trait(found, "last_contacted_at") == [AS_OF - HOUR]
    assert trait(found, "responses_count") == [0]


@pytest.mark.parametrize(
    ("later", "responds"), [(0 * HOUR, 1), (72 * HOUR - TICK, 1), (72 * HOUR, 0), (-TICK, 0)]
)
def test_a_window_is_from_the_message_to_72_hours_later_exclusive(
    later: timedelta, responds: int
) -> None:
    found = written((100, "sent", "a"))
    moment = AS_OF - 100 * HOUR + later
    found.append("behaviors", pa.table({"customer_id": [1], "time": [moment], "kind": ["visit"]}))
    assert trait(found, "responses_count") == [responds]
    assert trait(found, "last_responded_at") == [moment if responds else None]
    assert found.segment("response_rate = 1").count() == responds


def test_hours_are_counted_and_not_dates_where_the_clock_changes() -> None:
    # In Berlin 31 March 2024 had 23 hours: three dates later at the same hour is 71 hours.
    sent = AS_OF.replace(month=3, day=29, hour=12)
    found = se.Engine(timezone="Europe/Berlin", as_of=sent + timedelta(days=9))
    found.load("messages", pa.table({"customer_id": [1], "time": [sent], "kind": ["sent"]}))
    late = sent + 72 * HOUR
    for moment, responds in ((late, 0), (late - TICK, 1)):
        seen = pa.table({"customer_id": [1], "time": [moment], "kind": ["visit"]})
        found.append("behaviors", seen)
        assert trait(found, "responses_count") == [responds]


def test_only_a_click_a_visit_or_a_purchase_is_a_response_by_default() -> None:
    found = written((10, "sent", "a"), (9, "opened", "a"))
    kinds = ["view", "cart", "inquiry", "survey"]
    found.append("behaviors", pa.table(
        {"customer_id": [1] * 4, "time": [AS_OF - 5 * HOUR] * 4, "kind": kinds}))  # fmt: skip
    unpaid = orders(1, time=AS_OF - 4 * HOUR, order_id=["o"], paid_at=pa.nulls(1))
    found.append("orders", unpaid)
    assert trait(found, "responses_count") == [0]
    found.append("orders", orders(1, time=AS_OF - 4 * HOUR, order_id=["o"], paid_at=[AS_OF]))
    assert trait(found, "responses_count") == [1]
    assert trait(found, "last_responded_at") == [AS_OF - 4 * HOUR]
    found.append("orders", orders(1, time=AS_OF - 4 * HOUR, order_id=["o"], closed_at=[AS_OF]))
    assert trait(found, "responses_count") == [0]


def test_a_late_visit_turns_a_message_into_one_with_a_response() -> None:
    found = written((60, "sent", "a"), (200, "sent", "b"))
    assert trait(found, "response_rate") == [0.0]
    found.append("behaviors", visit(50))
    assert trait(found, "response_rate") == [0.5]
    assert found.segment("responses_count = 1").count() == 1
    found.append("behaviors", visit(190))
    assert trait(found, "response_rate") == [1.0]


def test_one_event_answers_every_open_message_and_a_message_is_answered_once() -> None:
    found = written((60, "sent", "a"), (50, "sent", "b"), (40, "sent", None))
    for hours in (45, 30, 20):
        found.append("behaviors", visit(hours))
    assert trait(found, "responses_count") == [3]
    # The first event of each: 45 hours ago for the first two, 30 for the third.
    assert trait(found, "last_responded_at") == [AS_OF - 30 * HOUR]


def test_a_click_is_of_its_own_campaign_where_both_name_one() -> None:
    assert trait(written((9, "sent", "a"), (8, "clicked", "b")), "responses_count") == [0]
    assert trait(written((9, "sent", "a"), (8, "clicked", "a")), "responses_count") == [1]
    assert trait(written((9, "sent", "a"), (8, "clicked", None)), "responses_count") == [1]
    assert trait(written((9, "sent", None), (8, "clicked", "b")), "responses_count") == [1]
    mixed = written((9, "sent", "a"), (8, "clicked", "b"), (7, "clicked", "a"))
    assert trait(mixed, "last_responded_at") == [AS_OF - 7 * HOUR]


def test_a_click_at_the_moment_of_its_message_counts_in_whichever_order_they_arrive() -> None:
    for rows in (((9, "clicked", "a"), (9, "sent", "a")), ((9, "sent", "a"), (9, "clicked", "a"))):
        assert trait(written(*rows), "responses_count") == [1]


def test_a_campaigns_own_goal_and_window_decide() -> None:
    config = {"campaigns": {"a": {"segment": "TRUE", "goal": "reviews", "window_days": 5}}}
    found = written((110, "sent", "a"), (110, "sent", "b"), config=config)
    found.append("behaviors", visit(109))
    assert trait(found, "responses_count") == [1]
    found.append("reviews", pa.table({"customer_id": [1], "time": [AS_OF], "rating": [5]}))
    assert trait(found, "responses_count") == [2]
    assert trait(found, "last_responded_at") == [AS_OF]


def test_a_goal_that_is_no_table_is_the_default_one() -> None:
    config = {"campaigns": {"a": {"segment": "TRUE", "goal": "count(orders)"}}}
    found = written((10, "sent", "a"), config=config)
    found.append("behaviors", visit(9))
    assert trait(found, "responses_count") == [1]


def test_defining_a_campaign_anew_judges_its_messages_anew() -> None:
    found = written((80, "sent", "a"))
    found.append("behaviors", visit(5))
    rate = found.segment("response_rate > 0")
    assert rate.count() == 0
    found.define_campaign(se.Campaign("a", "TRUE", window_days=4))
    assert rate.count() == 1
    found.define_campaign(se.Campaign("a", "TRUE", window_days=4, goal="orders"))
    assert rate.count() == 0


def test_messages_since_the_last_order_are_those_after_the_last_purchase() -> None:
    found = written((50, "sent", "a"), (40, "sent", "a"), (30, "sent", "a"))
    assert trait(found, "messages_since_last_order") == [3]
    found.append("orders", orders(1, time=AS_OF - 40 * HOUR))
    assert trait(found, "messages_since_last_order") == [1]


def test_a_low_response_needs_enough_messages() -> None:
    config = {"response": {"least_messages": 3, "low_rate": 0.5}}
    found = written((500, "sent", "a"), (400, "sent", "a"), config=config)
    assert trait(found, "low_response") == [False]
    found.append("messages", messages((300, "sent", "a")))
    assert trait(found, "low_response") == [True]
    found.append("behaviors", visit(299))
    assert trait(found, "low_response") == [True]
    found.append("behaviors", visit(399))
    assert trait(found, "low_response") == [False]


def test_a_lost_cause_is_lapsed_and_silent_since_the_last_order() -> None:
    config = {"response": {"lost_cause_messages": 2}}
    sent = [(24.0 * days, "sent", "a") for days in (250, 100, 50)]
    found = written(*sent, config=config)
    assert trait(found, "is_lost_cause") == [False]  # never bought, never lapsed
    found.append("orders", orders(1, time=AS_OF - timedelta(days=200)))
    assert trait(found, "is_lost_cause") == [True]
    found.advance(AS_OF - timedelta(days=30))
    assert trait(found, "is_lost_cause") == [False]
    found.advance(AS_OF)
    found.append("behaviors", visit(24 * 99))
    assert trait(found, "is_lost_cause") == [False]


def test_events_after_as_of_are_in_no_count_until_the_moment_reaches_them() -> None:
    found = written((1, "sent", "a"), (-5, "sent", "a"), (-6, "clicked", "a"))
    assert (trait(found, "messages_count"), trait(found, "responses_count")) == ([1], [0])
    found.advance(AS_OF + 5 * HOUR)
    assert (trait(found, "messages_count"), trait(found, "responses_count")) == ([2], [0])
    found.advance(AS_OF + 6 * HOUR)
    assert (trait(found, "messages_count"), trait(found, "responses_count")) == ([2], [2])
    found.advance(AS_OF)
    assert (trait(found, "messages_count"), trait(found, "responses_count")) == ([1], [0])


def test_a_store_without_messages_or_consent_columns_has_zeros() -> None:
    found = engine()
    found.load("customers", customers(1, 2))
    rows = found.table("customers", NAMES).to_pylist()
    assert rows[0] == rows[1] == {
        "messages_count": 0, "messages_7d": 0, "messages_30d": 0, "responses_count": 0,
        "messages_since_last_order": 0, "last_contacted_at": None, "last_responded_at": None,
        "response_rate": None, "low_response": False, "is_lost_cause": False,
    }  # fmt: skip


def test_one_buyer_with_very_many_messages_in_disorder_is_counted_like_any() -> None:
    hours = list(range(1, 1500))
    Random(5).shuffle(hours)
    rows = [(float(h), "sent" if h % 3 else "clicked", "a" if h % 2 else None) for h in hours]
    expected = written(*sorted(rows, reverse=True))
    found = written(*rows)
    assert traits_of(found, NAMES) == traits_of(expected, NAMES)
    assert trait(found, "messages_count") == [1000]


def test_every_wrong_setting_is_named() -> None:
    wrong = {"least_messages": 0, "low_rate": 2, "lost_cause_messages": "many", "rate": 1}
    with pytest.raises(ConfigError) as error:
        se.Engine(config={"response": wrong})
    for key in wrong:
        assert f"`response.{key}`" in str(error.value)
