"""Do all matchers find the same rules for a buyer?"""

from __future__ import annotations

import pytest

from segengine.bench.match_rules import BUYERS, CONDITIONS, TRAITS, said, workload
from segengine.bench.matchers import MATCHING_RIVALS, SegengineMatcher
from segengine.bench.optional import NotInstalledError

RULES = 200
ASKED = 30


@pytest.fixture(scope="module")
def work():
    return workload(RULES)


@pytest.fixture(scope="module")
def expected(work):
    matcher = SegengineMatcher(work)
    return [matcher.match(k + 1, buyer) for k, buyer in enumerate(work.buyers(ASKED))]


@pytest.mark.parametrize("key", MATCHING_RIVALS)
def test_every_rival_finds_the_rules_that_match_finds(key, work, expected):
    try:
        rival = MATCHING_RIVALS[key](work)
    except NotInstalledError as error:
        pytest.skip(f"{key}: {error}")
    found = [rival.match(k + 1, buyer) for k, buyer in enumerate(work.buyers(ASKED))]
    assert found == expected


def test_about_one_rule_of_a_hundred_holds(expected):
    share = sum(map(len, expected)) / (RULES * ASKED)
    assert 0.002 < share < 0.02


def test_a_rule_has_five_conditions_on_five_of_32_traits(work):
    assert len(TRAITS) == 32
    for rule in work.rules:
        assert len({c.trait for c in rule.conditions}) == CONDITIONS
    assert len({tuple(map(said, rule.conditions)) for rule in work.rules}) == RULES


def test_a_workload_is_the_same_every_time(work):
    again = workload(RULES)
    assert again.rules == work.rules
    assert again.customers.equals(work.customers)
    assert len(work.customers) == BUYERS
