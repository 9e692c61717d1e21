"""What do the steps of a campaign ask, and of what?

Consent, reach and caps are rules as a segment is: checked once, kept as bitmaps, and mended after
each batch. Within one question each rule is answered once, however many campaigns ask it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from segengine.audiences.bucketing import Buckets
from segengine.audiences.campaign import Campaign
from segengine.audiences.text_check import CheckedText
from segengine.rules.frame import Words
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule, Term
from segengine.schema.cap_settings import Cap


@dataclass(frozen=True, slots=True)
class CheckedCampaign:
    """A campaign whose rules are checked; `order_by` with its direction."""

    campaign: Campaign
    rule: CheckedRule
    exclusions: tuple[CheckedRule, ...]
    order_by: Term | None = None
    descending: bool = False
    text: CheckedText | None = None
    value: Term | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What the store decides for every campaign. `rule`: a rule's text, checked and catalogued."""

    consent_missing: str
    holdout_share: float
    suppressions: tuple[tuple[str, CheckedRule], ...]
    caps: tuple[Cap, ...]
    rule: Callable[[str], CheckedRule]
    price_per_part: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """One question about campaigns: the store held still, its policy, and what was answered."""

    view: View
    policy: Policy
    buckets: Buckets
    answered: dict[int, tuple[CheckedRule, Words]] = field(default_factory=dict)

    def words(self, rule: CheckedRule) -> Words:
        """The buyers a rule holds for, which nobody writes to."""
        found = self.answered.get(id(rule))
        if found is None:
            # The rule is kept beside its bitmap, so that no other can have its identity.
            found = self.answered[id(rule)] = (rule, self.view.words(rule))
        return found[1]

    def holding(self, text: str) -> Words:
        """The buyers that a rule's text holds for."""
        return self.words(self.policy.rule(text))
