"""Who gets which of several campaigns? Each buyer chooses, each campaign rejects, over dicts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from .bucketing import (
    Audience,
    Campaign,
    Cap,
    CustomerId,
    Store,
    audience,
    caps_of,
    contacts,
    counts_towards,
    customer_id,
    within_limit,
)
from .rules import World
from .twin import Buyer, evaluate

Choices = dict[CustomerId, list[str]]


def plan(
    campaigns: Sequence[Campaign],
    buyers: Sequence[Buyer],
    world: World,
    store: Store,
    by: Literal["priority", "value"],
) -> dict[str, Audience]:
    """The audience of each campaign where they compete, by name."""
    ranked = sorted(campaigns, key=lambda c: (-c.priority, c.name))
    wanted = {c.name: _wanted(c, buyers, world, store) for c in ranked}
    rejected: dict[str, set[CustomerId]] = {c.name: set() for c in ranked}
    orders = {customer_id(b): _order(b, ranked, world, by) for b in buyers}
    used = {
        (customer_id(b), cap): contacts(b, cap, store, world)
        for cap in dict.fromkeys(cap for c in ranked for cap in caps_of(c, store))
        for b in buyers
    }
    while True:
        choices = {
            own: _choice(own, order, wanted, rejected, used, store) for own, order in orders.items()
        }
        for campaign in ranked:
            came = [b for b in buyers if campaign.name in choices[customer_id(b)]]
            kept = within_limit(campaign, world)(came)
            if len(kept) < len(came):
                stay = {customer_id(b) for b in kept}
                rejected[campaign.name] |= {customer_id(b) for b in came} - stay
                break
        else:
            break
    found = {}
    for campaign in ranked:
        name = campaign.name
        chosen = {one for one, names in choices.items() if name in names}
        keep = {"arbitration": _among(chosen | rejected[name]), "limit": _among(chosen)}
        found[name] = audience(campaign, buyers, world, store, keep)
    return found


def _among(ids: set[CustomerId]):  # type: ignore[no-untyped-def]
    return lambda buyers: [b for b in buyers if customer_id(b) in ids]


def _wanted(
    campaign: Campaign, buyers: Sequence[Buyer], world: World, store: Store
) -> set[CustomerId]:
    """Who passes every step of a campaign up to its caps."""
    alone = audience(campaign, buyers, world, store)
    later = {"arbitration", "limit", "holdout"}
    return {customer_id(b) for b in buyers
            if alone.dropped_at.get(customer_id(b), "holdout") in later}  # fmt: skip


def _order(buyer: Buyer, ranked: Sequence[Campaign], world: World, by: str) -> list[Campaign]:
    """The campaigns as a buyer goes through them."""
    worth = {c.name: _worth(c, buyer, world) for c in ranked}
    if by == "priority":
        return sorted(ranked, key=lambda c: (-c.priority, worth[c.name], c.name))
    return sorted(ranked, key=lambda c: (worth[c.name], -c.priority, c.name))


def _choice(
    own: CustomerId,
    order: Sequence[Campaign],
    wanted: dict[str, set[CustomerId]],
    rejected: dict[str, set[CustomerId]],
    used: dict[tuple[CustomerId, Cap], int],
    store: Store,
) -> list[str]:
    """The campaigns a buyer goes to, best first, within the caps."""
    won: list[Campaign] = []
    for campaign in order:
        if own not in wanted[campaign.name] or own in rejected[campaign.name]:
            continue
        room = all(
            used[own, cap] + sum(counts_towards(w, cap) for w in won) < cap.limit
            for cap in caps_of(campaign, store)
        )
        if room:
            won.append(campaign)
    return [campaign.name for campaign in won]


def _worth(campaign: Campaign, buyer: Buyer, world: World) -> tuple[bool, float]:
    """Higher values sort first, missing ones last."""
    value = None if campaign.value is None else evaluate(campaign.value, buyer, world)
    if value is None:
        return True, 0.0
    assert isinstance(value, int | float | Decimal)
    return False, -float(value)
