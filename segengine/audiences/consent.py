"""Who may be addressed on a channel, and who can be reached there?

Three questions, in this order: has the buyer said yes; is there an address; and did the last
message that tells arrive? Each is a rule over columns or messages.
"""

from __future__ import annotations

import numpy as np

from segengine.audiences.asking import Asking
from segengine.audiences.ledger import Step, counted_causes
from segengine.rules.frame import Words

Cause = tuple[str, Words]
_NO_CONSENT, _NO_ADDRESS, _UNREACHED = "no consent", "no address", "out of reach"
"""In the ledger; an explanation has room for more words."""


def consented(words: Words, channel: str | None, asking: Asking) -> Step:
    """Those who may be and can be reached on a channel; no channel asks nobody."""
    if channel is None:
        return Step(words, "no channel, nobody is asked")
    causes: list[Cause] = []
    counts: list[Cause] = []
    for label, text, allowed in _allowed(channel, asking):
        lost = words & ~allowed
        causes.append((text, lost))
        counts.append((label, lost))
        words = words & allowed
    lost = words & asking.holding(unreachable_rule(channel))
    causes.append((f"the last message by {channel} failed, or the buyer unsubscribed", lost))
    counts.append((_UNREACHED, lost))
    return Step(words & ~lost, counted_causes(counts, f"asked for {channel}"), tuple(causes))


def consent_rule(channel: str, missing: str) -> str:
    """The rule of those who have said yes; `allow` takes silence for it."""
    name = f"customers.{channel}_consent"
    return f"{name} OR {name} IS NULL" if missing == "allow" else name


def unreachable_rule(channel: str) -> str:
    """The rule of those whose last telling message, by (time, arrival), did not arrive."""
    telling = "kind IN ('delivered', 'failed', 'unsubscribed')"
    last = f"last(messages.kind) FILTER (WHERE channel = '{channel}' AND {telling})"
    return f"{last} IN ('failed', 'unsubscribed')"


def _allowed(channel: str, asking: Asking) -> list[tuple[str, str, Words]]:
    """What has to be true: what the ledger and what an explanation calls its lack, and of whom."""
    given, missing = asking.view.population.customers.given, asking.policy.consent_missing
    found = []
    if f"{channel}_consent" in given:
        rule = consent_rule(channel, missing)
        found.append((_NO_CONSENT, f"no consent to {channel}", asking.holding(rule)))
    elif missing != "allow":
        nobody = np.zeros(asking.view.population.customers.words, np.uint64)
        found.append((_NO_CONSENT, f"nobody has said yes to {channel}", nobody))
    if f"has_{channel}" in given:
        address = asking.holding(f"customers.has_{channel}")
        found.append((_NO_ADDRESS, f"no address for {channel}", address))
    return found
