"""What is neither a segment nor a rule."""

from __future__ import annotations

import pytest

import segengine as se
from tests.reports.stores import shop


@pytest.fixture(scope="module")
def engine() -> se.Engine:
    found = shop()
    found.define_segment("big spenders", "order_count > 3")
    return found


@pytest.mark.parametrize("asked", ["big spendrs", "bigspenders", " big spender "])
def test_a_mistyped_name_is_an_unknown_segment_and_the_near_one_is_named(
    engine: se.Engine, asked: str
) -> None:
    with pytest.raises(se.UnknownNameError, match=r"no rule either; did you mean `big spenders`\?"):
        engine.report("profile", asked)
    with pytest.raises(se.UnknownNameError):
        engine.report("profile", "true", base=asked)
    with pytest.raises(se.UnknownNameError):
        engine.report("compare", "true", asked)


def test_a_name_near_no_segment_but_near_a_trait_says_so(engine: se.Engine) -> None:
    with pytest.raises(se.UnknownNameError, match=r"did you mean `gender`\?"):
        engine.report("profile", "gendr")
    with pytest.raises(se.UnknownNameError, match="write a rule or a defined name"):
        engine.report("profile", "zzzz")


@pytest.mark.parametrize("rule", ["ordr_count > 3", "nix AND nothing", "order_count >", "(", ""])
def test_a_rule_with_a_mistake_is_shown_the_mistake(engine: se.Engine, rule: str) -> None:
    with pytest.raises(se.RuleError):
        engine.report("profile", rule)
