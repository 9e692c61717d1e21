"""A campaign that cannot be is one error with all its mistakes, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import segengine as se
from tests.audiences.stores import AS_OF, store
from tests.golden import assert_golden

FOLDER = Path(__file__).parent / "golden"
LATER = datetime(2024, 3, 2, tzinfo=UTC)


def campaign(**options: Any) -> se.Campaign:
    return se.Campaign(options.pop("name", "c"), options.pop("segment", "TRUE"), **options)


BAD: dict[str, Callable[[], se.Campaign]] = {
    "weight below zero": lambda: campaign(variants={"a": -0.5, "b": 1.5}),
    "weights that do not add up": lambda: campaign(variants={"a": 0.5, "b": 0.6}),
    "no weights": lambda: campaign(variants={}),
    "weights that are no numbers": lambda: campaign(
        variants={"a": "half", "b": (1, 2, 3), "c": True, "d": float("nan")}
    ),
    "a window that ends before it starts": lambda: campaign(starts_at=LATER, ends_at=AS_OF),
    "a window of no time": lambda: campaign(starts_at=AS_OF, ends_at=AS_OF),
    "a window of two sorts": lambda: campaign(starts_at=AS_OF, ends_at=LATER.replace(tzinfo=None)),
    "a window of dates": lambda: campaign(starts_at=date(2024, 1, 1), ends_at="tomorrow"),
    "hours that no clock shows": lambda: campaign(hours=[(25, 3), ("9:00", "25:00"), 7, (1, 2, 3)]),
    "hours that are no list": lambda: campaign(hours="9-12"),
    "a holdout of 2": lambda: campaign(holdout=2),
    "a holdout that is no number": lambda: campaign(holdout="10%"),
    "an unknown kind": lambda: campaign(kind="spam"),
    "a limit below zero": lambda: campaign(limit=-1),
    "a limit that is no whole number": lambda: campaign(limit=2.5),
    "a priority that is no whole number": lambda: campaign(priority="high"),
    "a name of spaces": lambda: campaign(name="  "),
    "a name that is no text": lambda: campaign(name=None),
    "one exclusion that is no list": lambda: campaign(exclusions="spent > 3"),
    "rules that are no rules": lambda: campaign(segment=3, exclusions=[None, 5], value=7),
    "texts that are no texts": lambda: campaign(channel=5, salt=b"x", goal=3, order_by=3),
    "caps that cannot be": lambda: campaign(
        caps=[se.Cap(-1, 0, 5, "spam"), se.Cap(True, 1.5), 3, {"limit": 1, "dayz": 7}]
    ),
    "one cap that is no list": lambda: campaign(caps=se.Cap(1, 7)),
    "seven mistakes": lambda: campaign(
        name="",
        kind="spam",
        holdout=-1,
        limit=True,
        priority=1.5,
        window_days=0,
        variants={"a": 2},
    ),
}


def said(make: Callable[[], object]) -> str:
    with pytest.raises(se.DefinitionError) as caught:
        make()
    assert caught.value.field == "campaign"
    return str(caught.value)


def test_mistakes_of_a_campaign_read_as_they_were_found_good() -> None:
    told = [f"{what}\n{said(make)}\n" for what, make in BAD.items()]
    assert_golden(FOLDER / "mistakes.txt", "\n".join(told))


def test_all_mistakes_of_a_campaign_are_said_at_once() -> None:
    assert len(said(BAD["seven mistakes"]).splitlines()) == 1 + 7


def test_caps_may_be_written_as_in_a_store_and_the_same_one_counts_once() -> None:
    given = [se.Cap(2, 7), {"limit": 2, "days": 7}, {"limit": 0, "days": 1, "channel": "sms"}]
    assert campaign(caps=given).caps == (se.Cap(2, 7), se.Cap(0, 1, "sms"))
    assert campaign(caps=None).caps == ()


REFUSED: dict[str, tuple[Callable[[], se.Campaign], str]] = {
    "an unknown channel": (lambda: campaign(channel="smms"), "unknown channel `smms`"),
    "a channel of another store": (lambda: campaign(channel="pigeon"), "under store.channels"),
    "three mistakes in the rule": (
        lambda: campaign(segment="spend > 3 AND city = 3 AND nope(1)"),
        "(?s)unknown trait `spend`.*text.*whole number.*unknown function `nope`",
    ),
    "a mistake in the second exclusion": (
        lambda: campaign(exclusions=["spent > 3", "spent >"]),
        "value was expected",
    ),
    "a context": (lambda: campaign(segment="context.device = 'x'"), "page rules only"),
    "an unknown segment": (lambda: campaign(segment="segment('x')"), "unknown segment `x`"),
    "an order of lists": (lambda: campaign(order_by="tags"), "lists have no order"),
    "a cap for an unknown channel": (
        lambda: campaign(caps=[se.Cap(1, 7, "emial")]),
        "`emial`; did you mean `email`",
    ),
    "a value that is no number": (lambda: campaign(value="tags"), "a value is a number"),
    "a value of an unknown trait": (lambda: campaign(value="spend * 2"), "unknown trait `spend`"),
    "an unknown trait in the order": (lambda: campaign(order_by="spend DESC"), "unknown trait"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_campaign_that_the_store_refuses_leaves_it_as_it_was(what: str) -> None:
    make, message = REFUSED[what]
    engine = store()
    engine.define_campaign(campaign(segment="spent > 30"))
    before = (engine.data_version, engine.audience("c").ids(), engine.check())
    with pytest.raises(se.SegengineError, match=message) as caught:
        engine.define_campaign(make())
    assert 'campaign "c"' in str(caught.value) or "campaign `c`" in str(caught.value)
    assert (engine.data_version, engine.audience("c").ids(), engine.check()) == before


def test_an_unknown_campaign_is_named_with_its_neighbour() -> None:
    engine = store()
    with pytest.raises(se.UnknownNameError, match="unknown campaign `x`; none is defined"):
        engine.audience("x")
    engine.define_campaign(campaign(name="spring"))
    with pytest.raises(se.UnknownNameError, match="`sprin`; did you mean `spring`"):
        engine.audience("sprin")


def test_rules_of_a_campaign_may_be_python() -> None:
    engine = store()
    engine.define_campaign(
        campaign(
            segment=se.col("spent") > 20,
            exclusions=[se.col("spent") == 80],
            order_by=-se.col("spent"),
            limit=2,
        )
    )
    assert engine.audience("c").ids().to_pylist() == [6, 7]
    engine.define_campaign(campaign(exclusions=iter([se.col("spent") > 20])))
    assert engine.audience("c").ids().to_pylist() == [1, 2]


def test_a_campaign_is_frozen_and_keeps_what_it_was_given() -> None:
    made = campaign(variants={"a": (0.25, {"x": 1}), "b": 0.75}, goal="orders")
    arms = [(v.name, v.weight, v.payload) for v in made.variants]
    assert arms == [("a", 0.25, {"x": 1}), ("b", 0.75, None)]
    assert made.salt == "c"
    with pytest.raises(AttributeError):
        made.limit = 3  # type: ignore[misc]


def test_a_redefined_campaign_answers_anew_each_time() -> None:
    engine = store()
    for number in range(20):
        engine.define_campaign(campaign(segment=f"spent <= {10 * (number % 8 + 1)}"))
        assert engine.audience("c").count() == number % 8 + 1
