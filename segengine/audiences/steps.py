"""Who is left in at each step that one campaign decides alone?

population -> rule -> exclusions -> consent -> suppression -> global_holdout -> frequency_cap. Then
come arbitration and the limit, which other campaigns may have a say in, and last the holdout.
"""

from __future__ import annotations

from segengine.audiences.asking import Asking, CheckedCampaign
from segengine.audiences.campaign import Campaign
from segengine.audiences.caps import capped
from segengine.audiences.consent import consented
from segengine.audiences.ledger import Step
from segengine.rules.frame import Words
from segengine.rules.term import CheckedRule

GLOBAL_HOLDOUT_SALT = "global:holdout"


def before_others(checked: CheckedCampaign, asking: Asking) -> tuple[Step, ...]:
    """The seven steps from `population` to `frequency_cap`."""
    campaign, customers = checked.campaign, asking.view.population.customers
    live = customers.live[: customers.words].copy()
    wanted = Step(asking.words(checked.rule), checked.rule.text)
    kept = Step(
        _without(wanted.words, checked.exclusions, asking),
        "; ".join(rule.text for rule in checked.exclusions) or "none",
    )
    allowed = consented(kept.words, campaign.channel, asking)
    addressed = _unsuppressed(allowed.words, campaign, asking)
    open_to_all = _outside_global_holdout(addressed.words, campaign, asking)
    return (
        Step(live, "all buyers"), wanted, kept, allowed, addressed, open_to_all,
        capped(open_to_all.words, campaign, asking),
    )  # fmt: skip


def withheld(words: Words, campaign: Campaign, asking: Asking) -> Step:
    """The campaign's own holdout, the last step."""
    if not campaign.holdout:
        return Step(words, "none")
    below = asking.buckets.below(campaign.salt + ":holdout", campaign.holdout, words)
    return Step(words & ~below, f"{campaign.holdout:.4g} withheld to measure")


def _without(words: Words, rules: tuple[CheckedRule, ...], asking: Asking) -> Words:
    for rule in rules:
        words = words & ~asking.words(rule)
    return words


def _unsuppressed(words: Words, campaign: Campaign, asking: Asking) -> Step:
    if campaign.kind == "service":
        return Step(words, "service messages are not suppressed")
    suppressions = asking.policy.suppressions
    names = ", ".join(name for name, _ in suppressions) or "no suppression segment"
    left = _without(words, tuple(rule for _, rule in suppressions), asking)
    return Step(left, names)


def _outside_global_holdout(words: Words, campaign: Campaign, asking: Asking) -> Step:
    share = asking.policy.holdout_share
    if share == 0:
        return Step(words, "none")
    if campaign.kind != "marketing":
        return Step(words, f"does not bind {campaign.kind}")
    below = asking.buckets.below(GLOBAL_HOLDOUT_SALT, share)
    return Step(words & ~below, f"{share:.4g} of all buyers get no marketing")
