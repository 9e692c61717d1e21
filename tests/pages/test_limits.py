"""Caps and decays of modules: what they may be, and what is wrong with the others."""

from __future__ import annotations

from typing import Any

import pytest

import segengine as se
from segengine.pages.page import page_of

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a cap with a channel": ({"cap": se.Cap(1, 7, "sms")}, "have no channel and no class"),
    "a cap with a class": ({"cap": se.Cap(1, 7, kind="care")}, "have no channel and no class"),
    "a cap in words with a channel": (
        {"cap": {"limit": 1, "days": 7, "channel": "sms"}}, "have no channel and no class"),
    "a cap that is a number": ({"cap": 3}, r"`cap` is a `Cap\(limit, days\)`, not `3`"),
    "no dates": ({"cap": se.Cap(1, 0)}, "`cap.days` is a whole number from 1 to .*, not `0`"),
    "less than none": ({"cap": se.Cap(-1, 1)}, "`cap.limit` is a whole number .*, not `-1`"),
    "half a cap": ({"cap": {"limit": 1}}, "`cap` needs `days`"),
    "a typo": ({"cap": {"limit": 1, "day": 3}}, "`cap.day` is not a setting; did you mean `days`"),
    "two mistakes": (
        {"cap": {"limit": True, "days": 2.5}}, "(?s)`cap.limit`.*True.*`cap.days`.*2.5"),
    "a decay that is a number": ({"decay": 1}, "`decay` is a `Decay"),
    "a decay of nothing": ({"decay": {"after": 0}}, "`decay.after` is a whole number from 1"),
    "a decay with a typo": ({"decay": {"afer": 2}}, "`decay.afer` is not a setting"),
    "a priority too far": ({"priority": 10**16}, "`priority` is within"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused_in_words(what: str) -> None:
    options, said = BAD[what]
    with pytest.raises(se.DefinitionError, match=said):
        se.Module("m", **options)


def test_every_mistake_of_a_module_is_told_at_once() -> None:
    with pytest.raises(se.DefinitionError) as caught:
        se.Module("m", holdout=3, cap={"limit": -1, "days": 0}, decay={"priority": 0})
    for said in ("holdout", "cap.limit", "cap.days", "decay.priority"):
        assert f"`{said}`" in str(caught.value)


@pytest.mark.parametrize("given", [{"priority": 0}, {"after": 0}, {"days": -1}, {"days": 1.5}])
def test_a_decay_is_of_whole_numbers_from_1(given: dict[str, Any]) -> None:
    (key,) = given
    with pytest.raises(se.DefinitionError, match=f"`{key}` is a whole number from 1"):
        se.Decay(**given)


def test_a_store_says_them_as_sections() -> None:
    module = {"cap": {"limit": 3, "days": 7}, "decay": {"priority": 5, "after": 2}}
    page = page_of("p", {"slots": {"s": {"modules": {"m": module}}}})
    (made,) = page.slots[0].modules
    assert (made.cap, made.decay) == (se.Cap(3, 7), se.Decay(5, 2, 30))
    assert made == se.Module("m", cap=se.Cap(3, 7), decay=se.Decay(priority=5, after=2))


def test_neither_is_the_default() -> None:
    module = se.Module("m")
    assert module.cap is None
    assert module.decay is None
