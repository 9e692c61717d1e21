"""How long does a campaign's ledger take, alone and in a plan of twenty that compete?

Buyers, their consents and two messages each are made; ledgers and the plan by priority are compared
with plain SQL, step by step, at full size, before anything is timed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from segengine.audiences.campaign import Campaign
from segengine.audiences.ledger import STEPS
from segengine.audiences.steps import GLOBAL_HOLDOUT_SALT
from segengine.bench.optional import titled
from segengine.bench.population import AS_OF, moments, population, texts
from segengine.bench.timing import DifferentAnswersError
from segengine.engine import Engine
from segengine.schema.cap_settings import Cap

OURS = "segengine"
CAMPAIGNS = 20
MESSAGES_PER_BUYER = 2
SHARE = 0.05
HOLDOUT = 0.1
CAPS = (Cap(2, 7, "sms"), Cap(4, 30))
COLUMNS = ("recency", "orders", "amount", "score", "region", "level", "member")
_KINDS = ("sent", "delivered", "failed", "unsubscribed")
_CLASSES = ("marketing", "care", "service")
_DAY = 86_400_000_000

Say = Callable[[str], None]
Result = dict[str, Any]


def campaign_suite(customers: int, repeats: int, say: Say) -> Result:
    """`campaigns`: milliseconds of ledgers and plans. Raises `DifferentAnswersError`."""
    say(f"making {customers:,} buyers and {MESSAGES_PER_BUYER * customers:,} messages")
    buyers, messages = _buyers(customers), _messages(customers)
    engine = _engine(buyers, messages)
    campaigns = [_campaign(number, customers) for number in range(CAMPAIGNS)]
    for campaign in campaigns:
        engine.define_campaign(campaign)
    _checked(engine, campaigns, buyers, messages, say)
    del buyers, messages
    gc.collect()
    cases = _timed(engine, campaigns, customers, repeats, say)
    sizes = {"customers": customers, "messages": MESSAGES_PER_BUYER * customers,
             "campaigns": CAMPAIGNS}  # fmt: skip
    mean = statistics.geometric_mean([case["ms"][OURS] for case in cases])
    return {
        "suite": "campaigns",
        "sizes": sizes,
        "engines": {OURS: titled("segengine", "segengine")},
        "cases": cases,
        "geometric_mean_ms": {OURS: mean},
        "times_as_fast": {},
        "geometric_mean_speedup": None,
    }


def _campaign(number: int, customers: int, salt: str | None = None) -> Campaign:
    """One of many that want much the same buyers; every fifth reaches a fiftieth of all."""
    limited = number % 5 == 0
    return Campaign(
        f"campaign {number}",
        f"recency BETWEEN {5 * number} AND {400 + 10 * number} AND orders >= {1 + number % 3}",
        exclusions=[f"region = 'region-{number:02}'"],
        channel="sms",
        holdout=HOLDOUT,
        variants={"a": 0.5, "b": 0.5},
        priority=CAMPAIGNS - number,
        value=f"score * {1 + number % 4}",
        limit=customers // 50 if limited else None,
        order_by="amount DESC" if limited else None,
        salt=salt,
    )


def _buyers(rows: int) -> pa.Table:
    rng = np.random.default_rng(17)
    given = population(rows).select(["customer_id", *COLUMNS])
    silent = rng.random(rows) < 0.05
    yes = pa.array(rng.random(rows) < 0.85, mask=silent)
    return given.append_column("sms_consent", yes).append_column(
        "has_sms", pa.array(rng.random(rows) < 0.95)
    )


def _messages(rows: int) -> pa.Table:
    """Messages in the order of their times, over the last 300 days, no two at one moment."""
    rng = np.random.default_rng(19)
    many = MESSAGES_PER_BUYER * rows
    end = int(AS_OF.timestamp()) * 1_000_000
    at = np.sort(rng.integers(0, 300 * _DAY - many, many)) + np.arange(many)
    kinds = rng.choice(len(_KINDS), many, p=(0.5, 0.46, 0.03, 0.01)).astype(np.int32)
    classes = rng.choice(len(_CLASSES), many, p=(0.7, 0.2, 0.1)).astype(np.int32)
    return pa.table(
        {
            "customer_id": pa.array(rng.integers(1, rows + 1, many)),
            "time": moments(end - 300 * _DAY + at),
            "kind": texts(kinds, _KINDS),
            "class": texts(classes, _CLASSES),
            "channel": texts(rng.integers(0, 2, many, dtype=np.int32), ("sms", "email")),
        }
    )


def _engine(buyers: pa.Table, messages: pa.Table) -> Engine:
    caps = [{"limit": c.limit, "days": c.days} | ({"channel": c.channel} if c.channel else {})
            for c in CAPS]  # fmt: skip
    engine = Engine(
        "UTC", AS_OF,
        {"store": {"channels": ["sms", "email"]}, "holdout": {"share": SHARE}, "caps": caps},
    )  # fmt: skip
    with engine.built_once():
        engine.load("customers", buyers, columns={name: name for name in COLUMNS})
        engine.load("messages", messages)
    engine.define_segment("complained", "score < -2.5", suppress=True)
    engine.prepare()
    return engine


def _checked(
    engine: Engine,
    campaigns: list[Campaign],
    buyers: pa.Table,
    messages: pa.Table,
    say: Say,
) -> None:
    """Every ledger, alone and in the plan by priority, is what SQL counts."""
    plan = engine.plan_campaigns([campaign.name for campaign in campaigns])
    with duckdb.connect() as sql:
        sql.execute("SET TimeZone = 'UTC'")
        sql.register("given", buyers)
        sql.register("messages", messages)
        _prepared(sql, engine)
        for campaign in campaigns:
            alone = engine.audience(campaign.name).ledger
            wanted = _ledger(sql, engine, campaign, arbitrated=False)
            _compare(campaign.name, alone, wanted)
            wanted = _ledger(sql, engine, campaign, arbitrated=True)
            _compare(f"{campaign.name} in the plan", plan.audiences[campaign.name].ledger, wanted)
    say(f"SQL agrees on {2 * len(campaigns)} ledgers of {len(STEPS)} steps")


def _prepared(sql: duckdb.DuckDBPyConnection, engine: Engine) -> None:
    """Each buyer with what all campaigns ask: reach, suppression, holdout, how often written to."""
    held = pa.table({"id": engine.segment(f"bucket('{GLOBAL_HOLDOUT_SALT}') < {SHARE}").ids()})
    sql.register("held", held)
    used = ", ".join(
        f"""count(*) FILTER (WHERE kind IN ('sent', 'held_out') AND class = 'marketing'
            AND date_diff('day', time::DATE, DATE '{AS_OF:%Y-%m-%d}') < {cap.days}
            {f"AND channel = '{cap.channel}'" if cap.channel else ""}) AS used_{place}"""
        for place, cap in enumerate(CAPS)
    )
    sql.execute(f"""
        CREATE TABLE buyers AS
        SELECT given.*,
            coalesce(sms_consent, FALSE) AND coalesce(has_sms, FALSE)
                AND coalesce(last, 'delivered') = 'delivered' AS consents,
            coalesce(score < -2.5, FALSE) AS suppressed,
            customer_id IN (SELECT id FROM held) AS globally,
            {", ".join(f"coalesce(used_{k}, 0) AS used_{k}" for k in range(len(CAPS)))}
        FROM given LEFT JOIN (
            SELECT customer_id, {used},
                arg_max(kind, time) FILTER (WHERE channel = 'sms' AND kind <> 'sent') AS last
            FROM messages GROUP BY customer_id
        ) USING (customer_id)
    """)
    sql.execute("CREATE TABLE won (customer_id BIGINT)")


def _ledger(
    sql: duckdb.DuckDBPyConnection, engine: Engine, campaign: Campaign, *, arbitrated: bool
) -> list[int]:
    """Who remains at each step; in a plan, who is won is won for the campaigns after it."""
    salt = f"bucket('{campaign.salt}:holdout') < {HOLDOUT}"
    sql.register("own", pa.table({"id": engine.segment(salt).ids()}))
    sql.execute(
        "CREATE OR REPLACE TABLE wins AS SELECT customer_id, count(*) AS n FROM won GROUP BY 1"
    )
    room = " AND ".join(f"used_{k} < {cap.limit}" for k, cap in enumerate(CAPS))
    left = " AND ".join(f"used_{k} + coalesce(n, 0) < {cap.limit}" for k, cap in enumerate(CAPS))
    conditions = [
        "TRUE", str(campaign.segment), f"NOT ({campaign.exclusions[0]})", "consents",
        "NOT suppressed", "NOT globally", room, left if arbitrated else "TRUE",
    ]  # fmt: skip
    flags, so_far = [], []
    for place, condition in enumerate(conditions):
        so_far.append(f"({condition})")
        flags.append(f"{' AND '.join(so_far)} AS step_{place}")
    limit = campaign.limit if campaign.limit is not None else 2**62
    sql.execute(f"""
        CREATE OR REPLACE TABLE steps AS
        SELECT *, step_7 AND row_number() OVER (
            PARTITION BY step_7 ORDER BY {campaign.order_by or "1"} NULLS LAST, customer_id
        ) <= {limit} AS step_8
        FROM (SELECT *, {", ".join(flags)} FROM buyers LEFT JOIN wins USING (customer_id))
    """)
    if arbitrated:
        sql.execute("INSERT INTO won SELECT customer_id FROM steps WHERE step_8")
    counts = ", ".join(f"count(*) FILTER (WHERE step_{k})" for k in range(9))
    last = "count(*) FILTER (WHERE step_8 AND customer_id NOT IN (SELECT id FROM own))"
    return list(sql.execute(f"SELECT {counts}, {last} FROM steps").fetchall()[0])


def _compare(what: str, ledger: pa.Table, wanted: list[int]) -> None:
    found = ledger["remaining"].to_pylist()
    if found != wanted:
        raise DifferentAnswersError(f"{what}: {found}, and SQL counts {wanted}")


def _timed(
    engine: Engine, campaigns: list[Campaign], customers: int, repeats: int, say: Say
) -> list[Result]:
    names = [campaign.name for campaign in campaigns]
    middle, fresh = campaigns[CAMPAIGNS // 2 + 1], count()

    def forget() -> None:
        engine.append("customers", pa.table({"customer_id": [1]}))
        engine._population.standing.clear()  # noqa: SLF001 - nothing else forgets on purpose

    def new_salts(chosen: list[Campaign]) -> None:
        forget()
        turn = next(fresh)
        for campaign in chosen:
            number = campaigns.index(campaign)
            engine.define_campaign(_campaign(number, customers, f"{campaign.name} {turn}"))

    def append() -> None:
        one = pa.table({"customer_id": [7], "time": [AS_OF], "kind": ["sent"], "channel": ["sms"]})
        engine.append("messages", one)

    def plan(by: str) -> int:
        return int(engine.plan_campaigns(names, by).ledger["remaining"][-1].as_py())

    def ledger() -> int:
        return int(engine.audience(middle.name).ledger["remaining"][-1].as_py())

    def first() -> int:
        return plan("priority")

    asked: list[tuple[str, Callable[[], None], Callable[[], int]]] = [
        ("ledger of a campaign, first time", lambda: new_salts([middle]), ledger),
        ("ledger of a campaign", lambda: None, ledger),
        ("ledger of a campaign, after a message", append, ledger),
        (f"plan of {CAMPAIGNS}, first time", lambda: new_salts(campaigns), first),
        (f"plan of {CAMPAIGNS}", lambda: None, first),
        (f"plan of {CAMPAIGNS}, after a message", append, first),
        (f"plan of {CAMPAIGNS} by value", lambda: None, lambda: plan("value")),
    ]  # fmt: skip
    cases = []
    for name, before, ask in asked:
        say(f"timing campaigns: {name}")
        ask()
        times = []
        for _ in range(repeats):
            before()
            began = time.perf_counter()
            answer = ask()
            times.append(1000 * (time.perf_counter() - began))
        cases.append(_case(name, str(middle.segment), answer, times))
    return cases


def _case(name: str, rule: str, answer: int, times: list[float]) -> Result:
    return {
        "case": name,
        "rule": rule,
        "count": answer,
        "ms": {OURS: statistics.median(times)},
        "ms_min": {OURS: min(times)},
        "repeats": len(times),
        "speedup": None,
        "cannot": {},
    }
