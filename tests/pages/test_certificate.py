"""How long a page's answer holds: what bounds it, how closely, and that nothing changes before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine import days
from segengine.pages.active import NEVER, active_at, next_border, windows

AS_OF = datetime(2024, 3, 1, 12, 20, tzinfo=UTC)
MIDNIGHT = datetime(2024, 3, 2, tzinfo=UTC)
HOUR, MINUTE, TICK = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)


def engine_at(as_of: datetime = AS_OF, timezone: str = "UTC") -> se.Engine:
    engine = se.Engine(timezone=timezone, as_of=as_of)
    engine.load("customers", pa.table({"customer_id": [1, 2], "spent": [10, 20],
                                       "seen": [as_of - 30 * MINUTE, None]}),
                columns={"spent": "spent", "seen": "seen"})  # fmt: skip
    return engine


def until(engine: se.Engine, *modules: se.Module, visitor: Any = 1, **context: str) -> Any:
    engine.define_page(se.Page("p", [se.Slot("s", modules)]))
    return engine.page("p", visitor, context).valid_until


def happened(engine: se.Engine, *minutes: int, kind: str = "view", who: int = 1) -> None:
    """Behaviors so many minutes before as_of, negative ones after it."""
    engine.load("behaviors", pa.table({
        "customer_id": [who] * len(minutes), "kind": [kind] * len(minutes),
        "time": [engine.as_of - m * MINUTE for m in minutes],
    }))  # fmt: skip


# --- what never changes, and what changes at midnight


@pytest.mark.parametrize(
    "rule", [None, "spent > 5", "context.device = 'mobile'", "bucket('x') < 0.5", "seen IS NULL",
             "spent > CAST(context.n AS BIGINT)", "now() IS NULL",
             "now() - INTERVAL 1 HOUR < now()"],
)  # fmt: skip
def test_what_no_clock_moves_holds_for_ever(rule: str | None) -> None:
    engine = engine_at()
    for visitor in (1, 2, 99, None):
        assert until(engine, se.Module("m", rule=rule), visitor=visitor) is None


@pytest.mark.parametrize(
    "rule", ["order_count = 0", "recency_days > 3", "in_last_days(seen, 3)", "days_since(seen) < 9",
             "seen < today()", "count(orders) >= 1 AND today() > DATE '2020-01-01'",
             "percent_rank(order_count) OVER () > 0.5", "affinity('brand', 'x') > 0.5",
             "count(order_lines) FILTER (WHERE product.matrix_class = 'star') > 1",
             "seen >= now() - INTERVAL 3 DAY", "dayofweek(now()) = 5", "days_since(now()) = 0"],
)  # fmt: skip
def test_what_depends_on_the_date_holds_until_midnight(rule: str) -> None:
    engine = engine_at()
    for visitor in (1, 99, None):
        assert until(engine, se.Module("m", rule=rule), visitor=visitor) == MIDNIGHT


def test_midnight_is_the_stores() -> None:
    engine = engine_at(timezone="Asia/Shanghai")
    assert until(engine, se.Module("m", rule="order_count = 0")) == MIDNIGHT - 8 * HOUR


def test_caps_and_decays_hold_until_midnight() -> None:
    engine = engine_at()
    for option in ({"cap": se.Cap(1, 1)}, {"decay": se.Decay()}):
        assert until(engine, se.Module("m", **option)) == MIDNIGHT


def test_a_pages_own_rule_bounds_it_too() -> None:
    engine = engine_at()
    engine.define_page(se.Page("p", [se.Slot("s", [se.Module("m")])], rule="order_count = 0"))
    assert engine.page("p", 1).valid_until == MIDNIGHT


# --- windows and hours


def test_the_next_border_of_any_window_bounds_it() -> None:
    engine = engine_at()
    early = se.Module("early", starts_at=AS_OF - HOUR, ends_at=AS_OF + 3 * HOUR)
    late = se.Module("late", rule="spent > 99", starts_at=AS_OF + 2 * HOUR)
    past = se.Module("past", ends_at=AS_OF - HOUR)
    assert until(engine, past) is None
    assert until(engine, early, past) == AS_OF + 3 * HOUR
    assert until(engine, early, late) == AS_OF + 2 * HOUR
    engine.advance(AS_OF + 2 * HOUR)
    assert engine.page("p", 1).valid_until == AS_OF + 3 * HOUR


def test_hours_bound_it_over_midnight_and_where_the_clock_is_put_forward() -> None:
    engine = engine_at()
    night = se.Module("night", hours=[(22, 6)])
    assert until(engine, night) == datetime(2024, 3, 1, 22, tzinfo=UTC)
    engine.advance(datetime(2024, 3, 1, 23, tzinfo=UTC))
    assert engine.page("p", 1).valid_until == datetime(2024, 3, 2, 6, tzinfo=UTC)
    assert until(engine, se.Module("always", hours=[(9, 9)])) is None
    # In Berlin 2:00 is 3:00 on 31 March: a part from 2:30 on begins as the clock is put forward.
    berlin = ZoneInfo("Europe/Berlin")
    engine = engine_at(datetime(2024, 3, 31, 1, 0, tzinfo=berlin), "Europe/Berlin")
    forward = datetime(2024, 3, 31, 1, tzinfo=UTC)
    assert until(engine, se.Module("m", hours=[("02:30", 4)])) == forward
    engine.advance(forward)
    assert engine.page("p", 1).placements[0].module == "m"
    assert engine.page("p", 1).valid_until == datetime(2024, 3, 31, 2, tzinfo=UTC)


ZONES = ["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Africa/Cairo"]
CHANGES = [datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 10, 27, tzinfo=UTC),
           datetime(2024, 3, 10, tzinfo=UTC), datetime(2024, 4, 26, tzinfo=UTC)]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(-200_000, 200_000),
    st.lists(st.tuples(st.times(), st.times()), min_size=1, max_size=3), st.randoms(),
)  # fmt: skip
def test_modules_are_the_same_from_one_border_to_the_next(
    zone: str, near: datetime, seconds: int, hours: list[Any], rng: Random
) -> None:
    of, known = days.zone(zone), tuple(tuple(pair) for pair in hours)
    start = days.micros(near, of) + seconds * days.SECOND
    page = windows([(start + days.HOUR, start + 9 * days.HOUR, ()), (-(2**63), NEVER, known)])
    here = active_at(page, start, of)
    assert here.since == start < here.until
    for _ in range(8):
        at = rng.randrange(here.since, here.until)
        assert active_at(page, at, of).bits.tolist() == here.bits.tolist()
    border = next_border(known, start, of)
    assert start < border
    if any(first != last for first, last in known):
        assert border <= start + 2 * days.DAY


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(-200_000, 200_000))
def test_the_date_is_the_same_until_the_next_and_another_one_then(
    zone: str, near: datetime, seconds: int
) -> None:
    of = days.zone(zone)
    start = days.micros(near, of) + seconds * days.SECOND
    end = of.next_date(start)
    assert start < end <= start + 26 * days.HOUR
    assert of.day_of(end) != of.day_of(start) == of.day_of(end - 1)
    for step in range(1, 24):
        assert of.day_of(start + (end - 1 - start) * step // 24) == of.day_of(start)


# --- conditions on now()


def test_a_trait_that_now_meets_bounds_it_to_the_microsecond() -> None:
    engine = engine_at()
    recent = se.Module("recent", rule="seen >= now() - INTERVAL 1 HOUR")
    assert until(engine, recent) == AS_OF + 30 * MINUTE
    assert engine.page("p", 2).valid_until is None
    engine.advance(AS_OF + 30 * MINUTE)
    assert engine.page("p", 1).placements[0].module == "recent"
    assert engine.page("p", 1).valid_until == AS_OF + 30 * MINUTE + TICK
    engine.advance(AS_OF + 30 * MINUTE + TICK)
    assert engine.page("p", 1).placements[0].module is None
    assert engine.page("p", 1).valid_until is None


def test_events_that_now_meets_bound_it_those_alone_that_the_rest_admits() -> None:
    engine = engine_at()
    happened(engine, 10, 5, kind="view")
    happened(engine, 20, 200, kind="cart")
    rule = (
        "count(behaviors) FILTER (WHERE kind = 'cart' "
        "AND time BETWEEN now() - INTERVAL 24 HOUR AND now() - INTERVAL 30 MINUTE) >= 1"
    )
    module = se.Module("m", rule=rule)
    assert until(engine, module) == AS_OF + 10 * MINUTE
    assert until(engine, module, visitor=2) is None
    engine.advance(AS_OF + 11 * MINUTE)
    assert engine.page("p", 1).valid_until == AS_OF + timedelta(minutes=24 * 60 - 200)


def test_the_hour_of_the_clock_bounds_it_by_the_hour() -> None:
    engine = engine_at()
    assert until(engine, se.Module("m", rule="hour(now()) >= 9")) == AS_OF + 40 * MINUTE
    rule = "hour(now() - INTERVAL 30 MINUTE) >= 9"
    assert until(engine, se.Module("m", rule=rule)) == AS_OF + 10 * MINUTE


@pytest.mark.parametrize(
    ("zone", "at", "seen", "rule", "expected"),
    [
        # From noon on half a day ahead is the 31st, and a month before that still 29 February.
        ("UTC", (3, 30, 11, 30), (2, 29, 12, 15), "now() + INTERVAL 12 HOUR - INTERVAL 1 MONTH",
         (3, 30, 12, 0)),
        # At two the way back leads over the hour that 31 March has not.
        ("Europe/Berlin", (8, 31, 1, 30), (8, 31, 3, 15),
         "now() - INTERVAL 5 MONTH + INTERVAL 5 MONTH", (8, 31, 2, 15)),
        ("UTC", (3, 30, 11, 30), (3, 30, 13, 0),
         "now() - INTERVAL 1 DAY + INTERVAL 1 HOUR + INTERVAL 1 DAY", (3, 30, 12, 0)),
    ],
)  # fmt: skip
def test_spans_of_days_and_hours_one_after_the_other_never_promise_too_much(
    zone: str, at: Any, seen: Any, rule: str, expected: Any
) -> None:
    here = ZoneInfo(zone)
    start, last = (datetime(2024, *parts, tzinfo=here) for parts in (at, expected))
    engine = engine_at(start, zone)
    engine.append("customers", pa.table({
        "customer_id": [1], "seen": [datetime(2024, *seen, tzinfo=here)]
    }))  # fmt: skip
    promised = until(engine, se.Module("m", rule=f"seen <= {rule}"))
    assert start < promised <= last.astimezone(UTC)
    before = engine.page("p", 1).placements
    engine.advance(promised - TICK)
    assert engine.page("p", 1).placements == before


def test_what_nothing_bounds_is_never_promised_for_long() -> None:
    engine = engine_at()
    rule = "coalesce(seen, now()) > TIMESTAMP '2020-01-01 00:00:00'"
    assert until(engine, se.Module("m", rule=rule)) == AS_OF + TICK


# --- events ahead


def test_the_visitors_next_event_bounds_it_and_nobody_elses() -> None:
    engine = engine_at()
    happened(engine, -40, -50, 10)
    happened(engine, -20, who=2)
    rules = ("count(behaviors) >= 3", "views_7d >= 2", "max(behaviors.time) < today()")
    for rule in rules:
        assert until(engine, se.Module("m", rule=rule)) == AS_OF + 40 * MINUTE
        assert engine.page("p", 2).valid_until == AS_OF + 20 * MINUTE
        if "(behaviors)" not in rule:
            assert engine.page("p", 99).valid_until == MIDNIGHT
    assert until(engine, se.Module("m", rule="spent > 3")) is None
    assert until(engine, se.Module("m", rule="percent_rank(views_7d) OVER () > 0.3")) == (
        AS_OF + 20 * MINUTE)  # fmt: skip


# --- the law


RULES = (
    "count(behaviors) FILTER (WHERE time > now() - INTERVAL 90 MINUTE) >= 2", "views_7d >= 3",
    "max(behaviors.time) >= now() - INTERVAL 2 HOUR", "hour(now()) BETWEEN 9 AND 17",
    "count(behaviors) FILTER (WHERE in_last_days(time, 2) AND kind = 'cart') = 1",
    "seen BETWEEN now() - INTERVAL 1 DAY AND now()", "days_since(seen) <= 1",
    "min(behaviors.time) <= now() - INTERVAL 1 MONTH + INTERVAL 29 DAY",
    "last_seen_at >= now() - INTERVAL 45 MINUTE", "sum(orders.amount) > 10",
    "count(orders) FILTER (WHERE NOT time < now() - INTERVAL 3 HOUR) > 0", "recency_days = 0",
    "percent_rank(views_7d) OVER () >= 0.5", "seen IN (now(), now() - INTERVAL 25 MINUTE)",
)  # fmt: skip


def holds(seed: int) -> int:
    """No answer changes before it says so, at any of the moments of a walk; promises looked at."""
    rng = Random(seed)
    zone = rng.choice(ZONES)
    start = rng.choice(CHANGES) + timedelta(seconds=rng.randrange(-90_000, 90_000))
    engine = engine_at(start, zone)
    for who in (1, 2):
        minutes = [rng.randrange(-2000, 3000) for _ in range(rng.randrange(6))]
        happened(engine, *minutes, kind=rng.choice(("view", "cart")), who=who)
        if rng.random() < 0.7:
            engine.load("orders", pa.table({
                "customer_id": [who], "amount": [20.0],
                "time": [start + timedelta(minutes=rng.randrange(-3000, 1500))],
            }))  # fmt: skip
        engine.load("impressions", pa.table({
            "customer_id": [who] * 3, "module": ["m0"] * 3, "kind": ["shown", "shown", "clicked"],
            "time": [start + timedelta(minutes=rng.randrange(-4000, 1500)) for _ in range(3)],
        }))  # fmt: skip
    chosen = rng.sample(RULES, 4)
    modules = [se.Module(f"m{k}", rule=rule, hours=rng.choice((None, None, [(22, 6)])))
               for k, rule in enumerate(chosen)]  # fmt: skip
    modules[0] = se.Module("m0", cap=se.Cap(1, 2), decay=se.Decay(days=3), priority=1)
    made = [se.Slot(f"s{k}", [module, se.Module(f"none{k}", fallback=True)])
            for k, module in enumerate(modules)]  # fmt: skip
    engine.define_page(se.Page("p", made))
    promised: dict[Any, tuple[Any, datetime | None]] = {}
    looked = 0
    moments = sorted(start + timedelta(seconds=rng.randrange(2 * 86_400)) for _ in range(12))
    queue = [start, *moments]
    while queue:
        moment = queue.pop(0)
        engine.advance(moment)
        for visitor in (1, 2, None):
            answer = engine.page("p", visitor)
            found = (answer.placements, answer.rejected)
            before = promised.get(visitor)
            if before is not None and (before[1] is None or moment < before[1]):
                assert found == before[0], (seed, visitor, moment, before[1], chosen)
                looked += 1
            assert answer.valid_until is None or answer.valid_until > moment
            if before is None or before[1] is None or moment >= before[1]:
                promised[visitor] = (found, answer.valid_until)
                last = None if answer.valid_until is None else answer.valid_until - TICK
                if last is not None and last > moment and rng.random() < 0.5:
                    queue = sorted({*queue, last})
    assert all(a <= b for a, b in pairwise(sorted(moments)))
    return looked


@pytest.mark.parametrize("seed", range(12))
def test_no_answer_changes_before_it_says_so(seed: int) -> None:
    assert holds(seed) > 0


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 500))
def test_no_answer_of_many_stores_changes_before_it_says_so(seed: int) -> None:
    holds(seed)
