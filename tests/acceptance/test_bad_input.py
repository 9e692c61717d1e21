"""What does a mistake get? One clear error that says what and where, and nothing changed."""

import random
import string
from datetime import UTC, datetime

import pyarrow as pa
import pytest

import segengine as se

AS_OF = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine():
    made = se.Engine(
        timezone="UTC",
        as_of=AS_OF,
        config={"store": {"channels": ["sms"]}, "segments": {"vip": "amount_total > 100"}},
    )
    made.load("customers", pa.table({"customer_id": [1, 2, 3], "city": ["a", "b", None]}))
    return made


def unchanged(engine, act, *words, error=se.SegengineError):
    """The act fails with all these words and leaves every answer as it was."""
    before = (
        engine.data_version,
        engine.table("customers"),
        engine.table("orders"),
        sorted(engine.segments.definitions),
        sorted(engine.campaigns),
        sorted(engine.pages),
    )
    with pytest.raises(error) as caught:
        act()
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert "Traceback" not in str(caught.value)
    after = (
        engine.data_version,
        engine.table("customers"),
        engine.table("orders"),
        sorted(engine.segments.definitions),
        sorted(engine.campaigns),
        sorted(engine.pages),
    )
    assert after == before


def test_a_missing_file(engine):
    unchanged(engine, lambda: engine.load("orders", "nowhere.csv"), "nowhere.csv")


def test_a_column_that_is_not_there(engine):
    orders = pa.table({"buyer": [1], "when": ["2024-05-01"]})
    columns = {"customer_id": "buyr", "time": "when"}
    unchanged(engine, lambda: engine.load("orders", orders, columns=columns), "buyr", "buyer")


def test_a_table_that_lacks_what_it_needs(engine):
    orders = pa.table({"customer_id": [1]})
    unchanged(engine, lambda: engine.load("orders", orders), "`time`", "orders")


def test_a_time_that_cannot_be_read(engine):
    orders = pa.table({"customer_id": [1, 2], "time": ["2024-05-01", "yesterday"]})
    unchanged(engine, lambda: engine.load("orders", orders), "time", "yesterday", "1 row")


def test_a_missing_customer_id(engine):
    rows = pa.table({"customer_id": pa.array([4, None])})
    unchanged(engine, lambda: engine.load("customers", rows), "customer_id", "null")


def test_a_customer_id_given_twice(engine):
    rows = pa.table({"customer_id": [7, 7]})
    unchanged(engine, lambda: engine.load("customers", rows), "customer_id", "7")


def test_a_rule_with_three_mistakes_names_all_three(engine):
    rule = "recencey_days <= 30 AND city = 3 AND fooo(1) > 2"
    words = ["recencey_days", "did you mean `recency_days`", "city = 3", "fooo", "line 1, column 1"]
    unchanged(engine, lambda: engine.segment(rule), *words, error=se.RuleError)
    unchanged(engine, lambda: engine.define_segment("x", rule), *words, error=se.RuleError)


@pytest.mark.parametrize("ask", ["audience", "page"])
def test_an_unknown_campaign_or_page(engine, ask):
    unchanged(engine, lambda: getattr(engine, ask)("sprng"), "sprng", error=se.UnknownNameError)


def test_an_unknown_customer(engine):
    segment = engine.segment("TRUE")
    assert not segment.contains(99)
    unchanged(engine, lambda: segment.explain(99), "99", error=se.UnknownCustomer)
    unchanged(engine, lambda: engine.match(99), "99", error=se.UnknownCustomer)
    unchanged(engine, lambda: engine.delete_customer(99), "99", error=se.UnknownCustomer)


def test_a_negative_weight(engine):
    def define():
        variants = {"a": -0.5, "b": 1.5}
        engine.define_campaign(se.Campaign("c", "segment('vip')", variants=variants))

    unchanged(engine, define, "-0.5", "`a`", error=se.DefinitionError)


def test_a_window_that_ends_before_it_starts(engine):
    def define():
        engine.define_campaign(
            se.Campaign(
                "c",
                "segment('vip')",
                starts_at=datetime(2024, 2, 1, tzinfo=UTC),
                ends_at=datetime(2024, 1, 1, tzinfo=UTC),
            )
        )

    unchanged(engine, define, "the window ends", error=se.DefinitionError)


def test_a_module_with_a_mistake_names_its_place(engine):
    def define():
        module = se.Module("m", rule="segment('vpi')")
        engine.define_page(se.Page("home", [se.Slot("banner", [module])]))

    unchanged(engine, define, "home", "banner", "vpi", "vip")


def test_a_campaign_that_names_a_channel_nobody_declared(engine):
    campaign = se.Campaign("c", "TRUE", channel="smss")
    unchanged(engine, lambda: engine.define_campaign(campaign), "smss", "sms")


@pytest.mark.parametrize(
    "rule",
    [
        "1; DROP TABLE x",
        "SELECT 1",
        "city IN (SELECT 1)",
        "(" * 1000 + "TRUE" + ")" * 1000,
        "NOT " * 1000 + "TRUE",
        " OR ".join(["(TRUE"] * 1000) + ")" * 1000,
        "city = 'a' AND " * 6000 + "TRUE",
        "",
        ";",
        "-- nothing",
        "city",
        "city = ",
        "city = 'a",
        "amount_total / 0",
        "city::INTEGER = 1",
        "list_filter(tags, x -> x = 'a')",
        "\ud800",
        "\x00",
    ],
)
def test_what_is_no_rule_is_one_clear_error(engine, rule):
    unchanged(engine, lambda: engine.segment(rule), error=se.RuleError)


def test_random_texts_never_yield_a_traceback(engine):
    rng = random.Random(3)
    words = [
        *(
            "city",
            "amount_total",
            "recency_days",
            "tags",
            "now()",
            "NULL",
            "TRUE",
            "'a'",
            "3",
            "1.5",
        ),
        *("AND", "OR", "NOT", "(", ")", "=", "<", "<>", ">=", "IN", "(1, 2)", "BETWEEN", "LIKE"),
        *("CASE", "WHEN", "THEN", "END", "INTERVAL 3 DAY", "+", "-", "*", "//", "%", "IS", ","),
        *("DATE '2024-02-30'", "segment('vip')", "[", "]", "::", ".", "context.x", "count(", ";"),
        *("FILTER", "OVER", "SELECT", "CAST(", "AS BIGINT)", "\n", "--", "/*", "'", '"', "é", "😀"),
    ]
    outcomes = set()
    for _ in range(3000):
        text = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 14)))
        if rng.random() < 0.2:
            text = "".join(rng.choice(string.printable) for _ in range(rng.randrange(40)))
        try:
            engine.segment(text).count()
            outcomes.add("answered")
        except se.RuleError:
            outcomes.add("refused")
    assert outcomes == {"answered", "refused"}
