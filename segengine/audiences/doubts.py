"""Which campaigns are sound, and still may not be what was meant?

What is said is certain: a proof is looked for, and what is not found is not said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any

from segengine.audiences.asking import CheckedCampaign
from segengine.audiences.campaign import Campaign
from segengine.audiences.caps import binding
from segengine.rules.catalogue import Finding
from segengine.rules.containment import Decided, Shape, Shapes, implies
from segengine.rules.plan import Plan
from segengine.rules.ranges import Domain
from segengine.rules.term import CheckedRule, Term
from segengine.schema.cap_settings import Cap

_ITSELF = (
    "it excludes itself: whoever is in its segment is in its exclusions (`{0}`), so it is empty"
)
_NONE_ALLOWED = "a cap allows none of its messages ({0}): it is empty"
_UNBOUND = "service messages pass all caps: its `caps` bind nothing"
_SAME = "all of it is the same as of campaign `{0}`; where they compete, the name decides"


def doubts(
    campaigns: Sequence[CheckedCampaign],
    caps: tuple[Cap, ...],
    plan: Callable[[CheckedRule], Plan],
    domains: Callable[[Term], Domain],
) -> list[Finding]:
    """What is worth a second look, in the order of the campaigns. caps: those of the store."""
    shapes = Shapes(domains)
    found = []
    first: dict[str, list[Campaign]] = {}
    for checked in campaigns:
        campaign = checked.campaign
        said = [
            *_excludes_itself(checked, lambda rule: shapes.of(plan(rule).root)),
            *_capped(campaign, caps),
            *_same(campaign, first.setdefault(str(campaign.segment), [])),
        ]
        first[str(campaign.segment)].append(campaign)
        found += [Finding(f'campaign "{campaign.name}"', *each) for each in said]
    return found


def _excludes_itself(
    checked: CheckedCampaign, shape: Callable[[CheckedRule], Shape]
) -> Iterable[tuple[str, str]]:
    wanted = shape(checked.rule)
    if wanted == Decided(False):
        return
    for rule in checked.exclusions:
        if implies(wanted, shape(rule)):
            yield "warning", _ITSELF.format(rule.text)
            return


def _capped(campaign: Campaign, caps: tuple[Cap, ...]) -> Iterable[tuple[str, str]]:
    if campaign.kind == "service" and campaign.caps:
        yield "warning", _UNBOUND
    closed = [str(cap) for cap in binding(campaign, caps) if cap.limit == 0]
    if closed:
        yield "note", _NONE_ALLOWED.format(", ".join(closed))


def _same(campaign: Campaign, others: Sequence[Campaign]) -> Iterable[tuple[str, str]]:
    mine = _said(campaign)
    for other in others:
        if _said(other) == mine:
            yield "note", _SAME.format(other.name)
            return


def _said(campaign: Campaign) -> list[Any]:
    """All that a campaign says but its name; rules as their text."""
    found: list[Any] = []
    for field in fields(campaign):
        value = getattr(campaign, field.name)
        if field.name == "name":
            continue
        if field.name == "salt" and value == campaign.name:
            value = None
        if field.name == "exclusions":
            value = [str(rule) for rule in value]
        elif field.name in ("segment", "value"):
            value = None if value is None else str(value)
        found.append(value)
    return found
