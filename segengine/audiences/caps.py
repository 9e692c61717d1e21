"""Who has had as many messages as a cap allows?

A cap counts rows of `messages` that are `sent`, or `held_out` as if sent, of its class, on its
channel or on all, on the dates that end today. Rows without a class count as marketing. A count
that is compared with a small number is a rule of its own, so the answer is kept.
"""

from __future__ import annotations

import numpy as np

from segengine.audiences.asking import Asking
from segengine.audiences.campaign import Campaign
from segengine.audiences.ledger import Step, counted_causes
from segengine.rules.frame import Words
from segengine.schema.cap_settings import Cap

NO_CLASS = "marketing"
"""What a message counts as that names no class: the most bound."""


def binding(campaign: Campaign, caps: tuple[Cap, ...]) -> tuple[Cap, ...]:
    """The caps that bind a campaign: its own, and the store's of its kind and channel.

    Service messages pass all caps. A cap of the store for one channel leaves campaigns on other
    channels alone, and campaigns without one.
    """
    if campaign.kind == "service":
        return ()
    general = [cap for cap in caps if counts_towards(campaign, cap)]
    return tuple(dict.fromkeys([*campaign.caps, *general]))


def counts_towards(campaign: Campaign, cap: Cap) -> bool:
    """Whether a message of this campaign is one that a cap counts."""
    return cap.kind == campaign.kind and cap.channel in (None, campaign.channel)


def used_rule(cap: Cap, used: int) -> str:
    """The rule of those who had at least `used` of the messages that a cap counts."""
    of_class = f"class = '{cap.kind}'"
    if cap.kind == NO_CLASS:
        of_class = f"({of_class} OR class IS NULL)"
    on_channel = "" if cap.channel is None else f" AND channel = '{cap.channel}'"
    counted = f"kind IN ('sent', 'held_out') AND {of_class}{on_channel}"
    return f"count(messages) FILTER (WHERE {counted} AND in_last_days(time, {cap.days})) >= {used}"


def used(cap: Cap, times: int, asking: Asking) -> Words:
    """Those who had at least so many of the messages that a cap counts; 0: everybody."""
    if times <= 0:
        words = asking.view.population.customers.words
        return np.full(words, np.iinfo(np.uint64).max, np.uint64)
    return asking.holding(used_rule(cap, times))


def said(cap: Cap, campaign: Campaign) -> str:
    """A cap as the ledger of a campaign says it."""
    return str(cap) if cap.kind == campaign.kind else f"{cap} of {cap.kind}"


def capped(words: Words, campaign: Campaign, asking: Asking) -> Step:
    """Those who have had fewer messages than each cap allows."""
    if campaign.kind == "service":
        return Step(words, "service messages are not capped")
    caps = binding(campaign, asking.policy.caps)
    if not caps:
        return Step(words, "no cap binds it")
    causes = [(said(cap, campaign), words & used(cap, cap.limit, asking)) for cap in caps]
    for _, full in causes:
        words = words & ~full
    otherwise = ", ".join(text for text, _ in causes)
    return Step(words, counted_causes(causes, otherwise), tuple(causes))
