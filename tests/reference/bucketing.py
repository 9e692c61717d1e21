"""Who gets a campaign, step by step? Published bucketing and the ledger, over plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from .local_time import local_time
from .rules import Node, World
from .twin import Buyer, evaluate, holds

CustomerId = int | str
Range = tuple[float, float]
STEPS = (
    "population",
    "rule",
    "exclusions",
    "consent",
    "suppression",
    "global_holdout",
    "frequency_cap",
    "arbitration",
    "limit",
    "holdout",
)


# Bucketing, as the GrowthBook SDKs publish it


def fnv1a(text: str) -> int:
    """FNV-1a of the text's UTF-8 bytes, 32 bits."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def bucket(seed: str, value: str, version: int = 2) -> float | None:
    """A number in [0, 1): one of 10,000 in version 2, of 1,000 in version 1; None for another."""
    if version == 2:
        return fnv1a(str(fnv1a(seed + value))) % 10_000 / 10_000
    if version == 1:
        return fnv1a(value + seed) % 1_000 / 1_000
    return None


def equal_weights(count: int) -> list[float]:
    """The same weight for each of `count` variations."""
    return [1 / count] * count if count > 0 else []


def bucket_ranges(
    count: int, coverage: float = 1.0, weights: Sequence[float] | None = None
) -> list[Range]:
    """The range [start, end) of each variation.

    Coverage is cut off to 0..1. Weights of the wrong number, or whose sum is further than 0.01
    from 1, count as equal ones.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != count or not 0.99 <= sum(weights) <= 1.01:
        weights = equal_weights(count)
    ranges, start = [], 0.0
    for weight in weights:
        ranges.append((start, start + coverage * weight))
        start += weight
    return ranges


def choose_variation(number: float, ranges: Iterable[Range]) -> int:
    """The first range that holds the number; -1 for none."""
    for index, (start, end) in enumerate(ranges):
        if start <= number < end:
            return index
    return -1


def in_namespace(user_id: str, namespace: tuple[str, float, float]) -> bool:
    """True when the user's bucket, version 1, lies in the namespace's range."""
    name, start, end = namespace
    number = bucket("__" + name, user_id, version=1)
    return number is not None and start <= number < end


# The ledger


@dataclass(frozen=True, slots=True)
class Message:
    """A contact event; `time` is an aware datetime. Messages are listed in order of arrival."""

    customer_id: CustomerId
    channel: str | None
    kind: str
    time: datetime
    message_class: str | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` messages of a class on the `days` dates that end today."""

    limit: int
    days: int
    channel: str | None = None
    kind: str = "marketing"


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the steps ask of a campaign. `variants` maps a name to a weight, in order."""

    name: str
    rule: Node
    exclusions: tuple[Node, ...] = ()
    channel: str | None = None
    kind: Literal["marketing", "care", "service"] = "marketing"
    variants: Mapping[str, float] = field(default_factory=dict)
    holdout: float = 0.0
    salt: str | None = None
    limit: int | None = None
    order_by: Node | None = None
    descending: bool = False
    caps: tuple[Cap, ...] = ()
    priority: int = 0
    value: Node | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """What the steps ask of the store."""

    consent_missing: Literal["deny", "allow"] = "deny"
    suppressions: tuple[Node, ...] = ()
    global_holdout: float = 0.0
    messages: tuple[Message, ...] = ()
    caps: tuple[Cap, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One step: entered - dropped = remaining."""

    step: str
    entered: int
    dropped: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Audience:
    """A campaign's answer. `dropped_at` names the step of everybody who is not targeted."""

    ledger: tuple[LedgerRow, ...]
    targeted: tuple[CustomerId, ...]
    variants: Mapping[CustomerId, str | None]
    dropped_at: Mapping[CustomerId, str]

    @property
    def held_out(self) -> set[CustomerId]:
        """The buyers who reached the last step and are withheld to measure."""
        return {one for one, step in self.dropped_at.items() if step == "holdout"}


Keep = Callable[[list[Buyer]], list[Buyer]]


def audience(
    campaign: Campaign,
    buyers: Sequence[Buyer],
    world: World,
    store: Store | None = None,
    arbitrated: Mapping[str, Keep] | None = None,
) -> Audience:
    """The buyers whom the campaign addresses, and at which step each other one was dropped.

    arbitrated: what the steps arbitration and limit keep in a plan; alone everybody passes
    arbitration. Buyers keep their given order.
    """
    store = store or Store()
    salt = campaign.name if campaign.salt is None else campaign.salt
    binding = campaign.kind in {"marketing", "care"}
    holdout_share = store.global_holdout if campaign.kind == "marketing" else 0.0
    first = within_limit(campaign, world)
    caps = caps_of(campaign, store)
    steps: dict[str, Keep] = {
        "rule": _each(lambda b: holds(campaign.rule, b, world) is True),
        "exclusions": _each(lambda b: not any(holds(e, b, world) for e in campaign.exclusions)),
        "consent": _each(lambda b: consents(b, campaign.channel, store)),
        "suppression": _each(
            lambda b: not (binding and any(holds(s, b, world) for s in store.suppressions))
        ),
        "global_holdout": _each(lambda b: not _in_share("global:holdout", b, holdout_share)),
        "frequency_cap": _each(
            lambda b: all(contacts(b, cap, store, world) < cap.limit for cap in caps)
        ),
        "limit": first,
        "holdout": _each(lambda b: not _in_share(f"{salt}:holdout", b, campaign.holdout)),
        **(arbitrated or {}),
    }
    remaining = list(buyers)
    ledger, dropped_at = [], {}
    for step in STEPS:
        kept = steps.get(step, list)(remaining)
        ids = {customer_id(buyer) for buyer in kept}
        dropped = [customer_id(buyer) for buyer in remaining if customer_id(buyer) not in ids]
        dropped_at.update(dict.fromkeys(dropped, step))
        ledger.append(LedgerRow(step, len(remaining), len(dropped), len(kept)))
        remaining = kept
    variants = {customer_id(b): variant(campaign.variants, salt, customer_id(b)) for b in remaining}
    return Audience(tuple(ledger), tuple(variants), variants, dropped_at)


def customer_id(buyer: Buyer) -> CustomerId:
    """The buyer's id."""
    value = buyer["customer_id"]
    assert isinstance(value, int | str)
    return value


def variant(variants: Mapping[str, float], salt: str, buyer_id: CustomerId) -> str | None:
    """The buyer's variant of the campaign with that salt; None without variants or in no range."""
    number = bucket(salt, str(buyer_id))
    assert number is not None
    chosen = choose_variation(number, bucket_ranges(len(variants), 1.0, list(variants.values())))
    return None if chosen < 0 else list(variants)[chosen]


def consents(buyer: Buyer, channel: str | None, store: Store) -> bool:
    """True when the buyer may be addressed on the channel; no channel asks nothing.

    A later failure or unsubscription is one after the last `delivered` by time, then arrival.
    """
    if channel is None:
        return True
    consent = buyer.get(f"{channel}_consent")
    if consent is None:
        consent = store.consent_missing == "allow"
    reachable = buyer.get(f"has_{channel}", True) is True
    decisive = [
        (message.time, arrival, message.kind)
        for arrival, message in enumerate(store.messages)
        if message.customer_id == buyer["customer_id"] and message.channel == channel
        if message.kind in {"delivered", "failed", "unsubscribed"}
    ]
    refused = bool(decisive) and max(decisive)[2] != "delivered"
    return consent is True and reachable and not refused


def caps_of(campaign: Campaign, store: Store) -> tuple[Cap, ...]:
    """The caps that bind a campaign: its own, and those of the store for its kind and channel."""
    if campaign.kind == "service":
        return ()
    return campaign.caps + tuple(cap for cap in store.caps if counts_towards(campaign, cap))


def counts_towards(campaign: Campaign, cap: Cap) -> bool:
    """Whether a cap counts what the campaign sends."""
    return campaign.kind == cap.kind and (cap.channel is None or cap.channel == campaign.channel)


def contacts(buyer: Buyer, cap: Cap, store: Store, world: World) -> int:
    """How many messages of a buyer a cap counts."""
    count = 0
    for message in store.messages:
        if message.customer_id != buyer["customer_id"] or message.time > world.as_of:
            continue
        if message.kind not in {"sent", "held_out"}:
            continue
        if (message.message_class or "marketing") != cap.kind:
            continue
        if cap.channel is not None and message.channel != cap.channel:
            continue
        age = (world.today - local_time(message.time, world.timezone).date()).days
        count += 0 <= age < cap.days
    return count


def _in_share(salt: str, buyer: Buyer, share: float) -> bool:
    number = bucket(salt, str(customer_id(buyer)))
    return number is not None and number < share


def _each(test: Callable[[Buyer], bool]) -> Callable[[list[Buyer]], list[Buyer]]:
    return lambda buyers: [buyer for buyer in buyers if test(buyer)]


def within_limit(campaign: Campaign, world: World) -> Keep:
    """The first `limit` buyers by `order_by`, nulls last, then by ascending customer_id."""

    def first(buyers: list[Buyer]) -> list[Buyer]:
        if campaign.limit is None:
            return buyers
        ranked = sorted(buyers, key=_id_key)
        if campaign.order_by is not None:
            values = {id(b): evaluate(campaign.order_by, b, world) for b in buyers}
            known = [b for b in ranked if values[id(b)] is not None]
            unknown = [b for b in ranked if values[id(b)] is None]

            def rank(buyer: Buyer) -> object:
                value = values[id(buyer)]
                return value.encode() if isinstance(value, str) else value

            # sorted() keeps the order of ids among ties, also when reversed
            ranked = sorted(known, key=rank, reverse=campaign.descending) + unknown  # type: ignore[arg-type]
        chosen = {id(buyer) for buyer in ranked[: campaign.limit]}
        return [buyer for buyer in buyers if id(buyer) in chosen]

    return first


def _id_key(buyer: Buyer) -> tuple[int, bytes]:
    value = customer_id(buyer)
    return (0, value.encode()) if isinstance(value, str) else (value, b"")
