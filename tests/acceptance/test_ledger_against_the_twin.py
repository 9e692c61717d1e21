"""Does every buyer leave a campaign at the step that a slow, obvious count says?"""

import random
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import pairwise

import pyarrow as pa
import pytest

import segengine as se
from segengine.audiences.ledger import STEPS
from tests.reference import bucketing, campaign_plan
from tests.reference.random_customers import COLUMNS, buyers_of, random_customers
from tests.reference.random_rules import Options, random_rule, random_world
from tests.reference.rules import Column, Constant, Type, rule_text

FLAGS = ("sms_consent", "has_sms", "email_consent")
KINDS = ("sent", "sent", "held_out", "delivered", "failed", "unsubscribed", "opened")
CLASSES = (None, "marketing", "marketing", "care", "service", "other")


def with_consents(rng, table):
    for name in FLAGS:
        values = [rng.choice((True, True, False, None)) for _ in range(table.num_rows)]
        if rng.random() < 0.8:
            table = table.append_column(name, pa.array(values, pa.bool_()))
    return table


def random_messages(rng, ids, world):
    return [
        bucketing.Message(
            rng.choice(ids),
            rng.choice(("sms", "sms", "email", None)),
            rng.choice(KINDS),
            # Few different moments, so that arrival decides often.
            world.as_of - timedelta(hours=rng.choice((0, 1, 2, 3, 4, 5, 30, 90, 700))),
            rng.choice(CLASSES),
        )
        for _ in range(2 * len(ids))
    ]


def random_caps(rng):
    return tuple(
        bucketing.Cap(
            limit=rng.choice((0, 1, 1, 2, 2, 3, 5)),
            days=rng.choice((1, 2, 7, 30)),
            channel=rng.choice((None, None, "sms", "email")),
            kind=rng.choice(("marketing", "marketing", "care")),
        )
        for _ in range(rng.choice((0, 0, 1, 1, 2)))
    )


def random_case(rng, rows=(1, 30, 64, 200)):
    world = random_world(rng)
    rows = rng.choice(rows)
    table = random_customers(
        rng, rows, timezone=world.timezone, as_of=world.as_of, text_ids=rng.random() < 0.4
    )
    table = with_consents(rng, table)
    buyers = buyers_of(table)
    messages = random_messages(rng, table["customer_id"].to_pylist(), world)

    def rule():
        return random_rule(rng, COLUMNS, buyers, world, Options(depth=2))

    store = bucketing.Store(
        consent_missing=rng.choice(("deny", "allow")),
        suppressions=tuple(rule() for _ in range(rng.randrange(2))),
        global_holdout=rng.choice((0.0, 0.05, 0.5)),
        messages=tuple(messages),
        caps=random_caps(rng),
    )
    return world, table, random_campaign(rng, "spring", rule), store


def random_campaign(rng, name, rule):
    order = rng.choice((None, *COLUMNS))
    if order in ("c_tags", "c_labels"):
        order = None
    value = rng.choice((None, "c_small", "c_small", "c_double", "c_money", "c_int"))
    return bucketing.Campaign(
        name,
        rule(),
        exclusions=tuple(rule() for _ in range(rng.randrange(3))),
        channel=rng.choice((None, "sms", "email")),
        kind=rng.choice(("marketing", "care", "service")),
        variants=rng.choice(({}, {"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.3, "c": 0.5})),
        holdout=rng.choice((0.0, 0.1, 0.5, 1.0)),
        salt=rng.choice((None, "salz", "盐")),
        limit=rng.choice((None, 0, 3, 20)),
        order_by=None if order is None else Column(order, COLUMNS[order]),
        descending=rng.random() < 0.5,
        caps=random_caps(rng),
        priority=rng.choice((0, 0, 1, 2)),
        value=None if value is None else Column(value, COLUMNS[value]),
    )


def engine_of(world, table, store):
    config = {
        "store": {"channels": ["sms", "email"]},
        "consent": {"missing": store.consent_missing},
        "holdout": {"share": store.global_holdout},
        "caps": [
            {key: value for key, value in asdict(cap).items() if value is not None}
            for cap in store.caps
        ],
    }
    engine = se.Engine(timezone=world.timezone, as_of=world.as_of, config=config)
    engine.load("customers", table, columns={name: name for name in COLUMNS})
    messages = {
        "customer_id": [m.customer_id for m in store.messages],
        "channel": [m.channel for m in store.messages],
        "kind": [m.kind for m in store.messages],
        "time": [m.time for m in store.messages],
        "class": [m.message_class for m in store.messages],
    }
    engine.load("messages", pa.table(messages))
    for number, rule in enumerate(store.suppressions):
        engine.define_segment(f"suppressed {number}", rule_text(rule), suppress=True)
    return engine


def campaign_of(campaign):
    order = None
    if campaign.order_by is not None:
        order = rule_text(campaign.order_by) + (" DESC" if campaign.descending else "")
    return se.Campaign(
        campaign.name,
        rule_text(campaign.rule),
        exclusions=[rule_text(rule) for rule in campaign.exclusions],
        channel=campaign.channel,
        kind=campaign.kind,
        variants=dict(campaign.variants) or None,
        holdout=campaign.holdout,
        salt=campaign.salt,
        limit=campaign.limit,
        order_by=order,
        caps=[se.Cap(cap.limit, cap.days, cap.channel, cap.kind) for cap in campaign.caps],
        priority=campaign.priority,
        value=None if campaign.value is None else rule_text(campaign.value),
    )


def compare(seed):
    world, table, campaign, store = random_case(random.Random(seed))
    engine = engine_of(world, table, store)
    engine.define_campaign(campaign_of(campaign))
    expected = bucketing.audience(campaign, buyers_of(table), world, store)
    assert_same(engine.audience("spring"), expected, table)


def assert_same(audience, expected, table):
    ledger = audience.ledger.to_pylist()
    assert [(r["step"], r["entered"], r["dropped"], r["remaining"]) for r in ledger] == [
        (r.step, r.entered, r.dropped, r.remaining) for r in expected.ledger
    ]
    for before, after in pairwise(ledger):
        assert before["remaining"] == after["entered"]
        assert after["entered"] - after["dropped"] == after["remaining"]
    assert set(audience.ids().to_pylist()) == set(expected.targeted)
    assert audience.count() == len(expected.targeted)
    rows = audience.table(["c_int"]).to_pylist()
    variants = {row["customer_id"]: row["variant"] for row in rows}
    assert variants == dict(expected.variants)
    for customer in table["customer_id"].to_pylist():
        told = audience.explain(customer)
        assert told.step == expected.dropped_at.get(customer)
        assert told.variant == expected.variants.get(customer)
        assert str(told)


def compare_plan(seed):
    """Several campaigns of few sorts over one population, so that they often want the same."""
    rng = random.Random(seed)
    world, table, _, store = random_case(rng, rows=(1, 20, 64, 90))
    buyers = buyers_of(table)
    wide = Constant(True, Type.BOOLEAN)
    store = replace(store, suppressions=(), caps=store.caps + random_caps(rng),
                    messages=store.messages[: len(store.messages) // 3])  # fmt: skip

    def rule():
        return random_rule(rng, COLUMNS, buyers, world, Options(depth=1))

    campaigns = []
    for name in ("spring", "summer", "autumn", "winter", "always")[: rng.randrange(2, 6)]:
        made = random_campaign(rng, name, rule)
        if rng.random() < 0.8:
            made = replace(made, rule=wide, exclusions=())
        if rng.random() < 0.8:
            made = replace(made, kind="marketing", channel=rng.choice((None, "sms")))
        campaigns.append(made)
    engine = engine_of(world, table, store)
    for campaign in campaigns:
        engine.define_campaign(campaign_of(campaign))
    names = [campaign.name for campaign in campaigns]
    for by in ("priority", "value"):
        rng.shuffle(names)
        plan = engine.plan_campaigns(names, by)
        expected = campaign_plan.plan(campaigns, buyers, world, store, by)
        ranked = sorted(campaigns, key=lambda c: (-c.priority, c.name))
        assert plan.order == tuple(c.name for c in ranked)
        for name in names:
            assert_same(plan.audiences[name], expected[name], table)
        for customer in table["customer_id"].to_pylist():
            told = plan.explain(customer)
            addressed = {n for n in names if customer in expected[n].variants}
            assert set(told.targeted) == addressed
        assert_reasons_sum(plan, expected, table)


def assert_reasons_sum(plan, expected, table):
    """Whoever lost a campaign lost it to one that they won, and the ledger has said so."""
    for name, audience in plan.audiences.items():
        reasons = dict(zip(STEPS, audience.ledger["reasons"].to_pylist(), strict=True))
        for customer in table["customer_id"].to_pylist():
            told = audience.explain(customer)
            if told.step != "arbitration":
                continue
            winners = [n for n in plan.order if f"caps used up by {n}" in str(told)]
            assert winners
            for winner in winners:
                assert expected[winner].dropped_at.get(customer, "holdout") == "holdout"
                assert winner in reasons["arbitration"]
                assert winner != name


@pytest.mark.parametrize("seed", range(20))
def test_campaigns_that_compete_get_whom_the_twin_gives_them(seed):
    compare_plan(seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_many_random_plans_are_the_twins(seed):
    compare_plan(seed)


@pytest.mark.parametrize("seed", range(30))
def test_ledger_members_arms_and_reasons_are_the_twins(seed):
    compare(seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_ledgers_of_many_random_campaigns_are_the_twins(seed):
    compare(seed)


def test_an_audience_does_not_change_with_the_store():
    engine = se.Engine(timezone="UTC")
    engine.load("customers", pa.table({"customer_id": [1, 2], "city": ["a", "b"]}))
    engine.define_campaign(se.Campaign("c", "city = 'a'"))
    audience = engine.audience("c")
    engine.append("customers", pa.table({"customer_id": [2, 3], "city": ["a", "a"]}))
    assert audience.ids().to_pylist() == [1]
    assert audience.table().num_rows == audience.count() == 1
    assert engine.audience("c").ids().to_pylist() == [1, 2, 3]
    assert engine.audience("c").data_version > audience.data_version
