"""What a request alone decides is what asking each rule would say, whatever was asked before."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

import segengine as se
from segengine.rules.match import Matcher
from tests.audiences.stores import AS_OF

RULES = [
    "context.device = 'mobile'", "NOT context.device = 'mobile'", "context.device IS NULL",
    "context.device IN ('mobile', 'tablet') AND spent > 10", "lower(context.source) LIKE 'ad%'",
    "CAST(context.cart AS DOUBLE) < 99", "CAST(context.cart AS DOUBLE) <= 99",
    "CAST(context.cart AS DOUBLE) = 99.5", "NOT CAST(context.cart AS DOUBLE) = 99.5",
    "CAST(context.cart AS DOUBLE) <> 99 AND context.device = 'tablet'",
    "CAST(context.n AS BIGINT) >= 3", "CAST(context.n AS BIGINT) % 2 = 1",
    "CAST(context.n AS BIGINT) IS NULL OR spent < 20", "spent > CAST(context.n AS BIGINT)",
    "context.device = context.source", "context.source < 'b' OR CAST(context.cart AS DOUBLE) > 5",
    "spent = 10 OR (context.device = 'mobile' AND CAST(context.n AS BIGINT) BETWEEN 2 AND 4)",
    "count(orders) FILTER (WHERE amount > 5) >= 1 AND context.device = 'mobile'", "spent > 0",
    "5 > CAST(context.n AS BIGINT)", "CAST(context.n AS DOUBLE) < CAST(context.cart AS DOUBLE)",
]  # fmt: skip
VALUES = {
    "device": ["mobile", "tablet", "", "\ud800", None],
    "source": ["advert", "Ads", "friend", "mobile", None],
    "cart": ["98.9", "99", "99.0", "99.5", "nan", "inf", "-0", "1e2", "x", "1_0", " 99 ", None],
    "n": ["2", "3", "4", "+3", "-5", "3.0", "9223372036854775808", "", None],
}


@pytest.fixture(scope="module")
def engine() -> se.Engine:
    found = se.Engine(as_of=AS_OF)
    spent = pa.table({"customer_id": [1, 2, 3], "spent": [10, 20, 30]})
    found.load("customers", spent, columns={"spent": "spent"})
    found.load("orders", pa.table({"customer_id": [2], "time": [AS_OF], "amount": [9.0]}))
    return found


def requests(rng: random.Random, count: int) -> list[dict[str, str]]:
    found = []
    for _ in range(count):
        given = {key: rng.choice(values) for key, values in VALUES.items()}
        found.append({key: value for key, value in given.items() if value is not None})
    return found


def test_a_matcher_agrees_with_every_rule_by_itself(engine: se.Engine) -> None:
    rules = [engine._definitions.rule(text, context=True) for text in RULES]
    matcher = Matcher(list(zip(RULES, rules, strict=True)))
    with engine._looking() as view:
        for place, request in enumerate(requests(random.Random(4), 300)):
            row = 1 + place % 3
            alone = [text for text, rule in zip(RULES, rules, strict=True)
                     if view.population.holds(view.plan(rule), row, request)]  # fmt: skip
            assert matcher.match(view, row, request) == alone, request
        assert matcher.match(view, 1) == matcher.match(view, 1, {})


def test_requests_that_no_rule_tells_apart_are_asked_once(engine: se.Engine) -> None:
    texts = ["context.device = 'mobile'", "CAST(context.cart AS DOUBLE) < 99",
             "CAST(context.cart AS DOUBLE) >= 200"]  # fmt: skip
    matcher = Matcher([(t, engine._definitions.rule(t, context=True)) for t in texts])
    with engine._looking() as view:
        for cart in range(1, 99):
            assert matcher.match(view, 1, {"cart": f"{cart}", "other": f"{cart}"}) == texts[1:2]
        assert matcher.match(view, 1, {"cart": "100"}) == []
        bound = matcher._bound
        assert bound is not None
        assert len(bound.layout.request.kept) == 2


def test_of_a_new_sort_of_request_only_what_is_new_is_asked(engine: se.Engine) -> None:
    texts = ["context.device = 'mobile'", "lower(context.source) = 'ad'",
             "CAST(context.cart AS DOUBLE) < 99", "context.device = context.source"]  # fmt: skip
    matcher = Matcher([(t, engine._definitions.rule(t, context=True)) for t in texts])
    with engine._looking() as view:
        asked = []
        for request in (
            {}, {"device": "mobile"}, {"source": "Ad"}, {"device": "mobile", "source": "Ad"},
            {"device": "mobile", "cart": "1"}, {"device": "mobile", "source": "Ad", "cart": "98"},
        ):  # fmt: skip
            matcher.match(view, 1, request)
            assert matcher._bound is not None
            asked.append(len(matcher._bound.layout.request.truths))
    # The last condition looks at two keys: it is asked for each pair.
    assert asked == [4, 6, 8, 9, 10, 10]


def test_sorts_of_requests_are_bounded(engine: se.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segengine.rules.request_tier._MOST_SORTS", 8)
    text = "length(context.q) > 2"
    matcher = Matcher([(text, engine._definitions.rule(text, context=True))])
    with engine._looking() as view:
        for number in range(200):
            assert bool(matcher.match(view, 1, {"q": str(number)})) is (number > 99)
        bound = matcher._bound
        assert bound is not None
        assert len(bound.layout.request.kept) <= 8
