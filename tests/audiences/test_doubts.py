"""Check says what may not be meant in a campaign, and nothing of those that are as usual."""

from __future__ import annotations

from typing import Any

import pytest

import segengine as se
from tests.audiences.stores import store


def said(engine: se.Engine) -> list[tuple[str, str, str]]:
    return [(f.place, f.severity, f.message) for f in engine.check() if "campaign" in f.place]


def define(engine: se.Engine, name: str = "c", **options: Any) -> None:
    engine.define_campaign(se.Campaign(name, options.pop("segment", "spent > 20"), **options))


@pytest.mark.parametrize("exclusion", ["spent > 20", "spent >= 0", "spent > 10 OR has_sms"])
def test_a_campaign_that_excludes_itself_is_legal_empty_and_warned_of(exclusion: str) -> None:
    engine = store()
    define(engine, exclusions=["has_sms AND spent = 1", exclusion])
    assert engine.audience("c").count() == 0
    ((place, severity, message),) = said(engine)
    assert (place, severity) == ('campaign "c"', "warning")
    assert "excludes itself" in message
    assert f"`{exclusion}`" in message


def test_an_exclusion_that_leaves_somebody_is_nothing_to_say() -> None:
    engine = store()
    define(engine, exclusions=["spent > 30", "has_sms"])
    assert said(engine) == []


def test_two_campaigns_with_equal_everything_are_noted_and_go_by_name() -> None:
    engine = store(caps=[{"limit": 1, "days": 7}])
    options: dict[str, Any] = {"variants": {"a": (1, {"x": [1]})}, "exclusions": ["has_sms"]}
    define(engine, "b", **options)
    define(engine, "a", **options)
    ((place, severity, message),) = said(engine)
    assert (place, severity) == ('campaign "a"', "note")
    assert "campaign `b`" in message
    plan = engine.plan_campaigns(["b", "a"])
    assert plan.order == ("a", "b")
    assert plan.audiences["b"].count() == 0
    define(engine, "a", **options, priority=1)
    assert said(engine) == []


def test_caps_that_bind_nothing_or_allow_nothing_are_said() -> None:
    engine = store(caps=[{"limit": 0, "days": 7, "kind": "care"}])
    define(engine, "s", kind="service", caps=[se.Cap(1, 7)])
    define(engine, "c", kind="care", segment="spent > 30")
    define(engine, "m", segment="spent > 40", caps=[se.Cap(1, 7), se.Cap(0, 1)])
    found = {place: (severity, message) for place, severity, message in said(engine)}
    assert found['campaign "s"'][0] == "warning"
    assert "allows none of its messages (0 in 7 days)" in found['campaign "c"'][1]
    assert "(0 in 1 day)" in found['campaign "m"'][1]
    assert len(found) == 3
