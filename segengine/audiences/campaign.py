"""What is a campaign: whom it wants, whom it leaves out, how it is split and when it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from segengine.audiences.budget import Budget, read_budget
from segengine.audiences.text import template_mistakes
from segengine.errors import DefinitionError, did_you_mean
from segengine.rules.builder import Rule
from segengine.schema.cap_settings import KINDS, Cap, caps_of
from segengine.schema.identifiers import is_definition_name, is_text
from segengine.schema.response_settings import Goal

RuleLike = str | Rule


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm: its share of the buyers, and what to send them."""

    name: str
    weight: float
    payload: Any = None


@dataclass(frozen=True, slots=True, init=False)
class Campaign:
    """A named audience with a purpose.

    segment, exclusions: rule text or expressions; a saved one is `segment('vip')`.
    channel: consent is asked for it; None asks nobody. kind: service, care or marketing.
    starts_at, ends_at: the window [starts_at, ends_at). hours: (from, to) pairs of the store's
    clock. variants: name -> weight or (weight, payload), weights adding up to 1.
    holdout: the share withheld to measure. salt: what buckets are hashed with, by default the
    name. limit: at most so many, held out included, by `order_by` then customer_id.
    caps: how often at most those whom it wants have been written to; they bind this campaign alone.
    priority, value: who goes first among campaigns that compete, see `plan_campaigns`.
    text: a template such as `Dear {nickname|friend}`. budget: so many parts, {"parts": n} or
    {"cost": money}, spent in the order of the limit.
    goal: the event table whose rows are responses, by default a click, a visit or a purchase,
    within `window_days` times 24 hours of a message.
    """

    name: str
    segment: RuleLike
    exclusions: tuple[RuleLike, ...]
    channel: str | None
    kind: str
    starts_at: datetime | None
    ends_at: datetime | None
    hours: tuple[tuple[time, time], ...]
    priority: int
    value: RuleLike | None
    budget: Budget | None
    variants: tuple[Variant, ...]
    holdout: float
    salt: str
    limit: int | None
    order_by: str | None
    caps: tuple[Cap, ...]
    goal: str | None
    window_days: int
    text: str | None
    payload: Any

    def __init__(
        self,
        name: str,
        segment: RuleLike,
        *,
        exclusions: Sequence[RuleLike] = (),
        channel: str | None = None,
        kind: str = "marketing",
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        hours: Sequence[tuple[Any, Any]] | None = None,
        priority: int = 0,
        value: RuleLike | None = None,
        budget: Any = None,
        variants: Mapping[str, Any] | None = None,
        holdout: float = 0.0,
        salt: str | None = None,
        limit: int | None = None,
        order_by: str | None = None,
        caps: Sequence[Cap] = (),
        goal: str | None = None,
        window_days: int = 3,
        text: str | None = None,
        payload: Any = None,
    ) -> None:
        place = f"campaign `{name}`"
        mistakes = [
            *name_mistakes(name),
            *window_mistakes(starts_at, ends_at),
            *share_mistakes("holdout", holdout),
            *text_mistakes(channel=channel, salt=salt, goal=goal),
        ]
        if isinstance(exclusions, str | Rule) or not isinstance(exclusions, Iterable):
            mistakes.append(f"`exclusions` is a list of rules, not `{exclusions}`")
            exclusions = ()
        exclusions = tuple(exclusions)
        if isinstance(order_by, Rule):
            order_by = str(order_by)
        if order_by is not None and not (isinstance(order_by, str) and order_by.strip()):
            mistakes.append(f"`order_by` is an expression such as `amount_total DESC`, "
                            f"not `{order_by}`")  # fmt: skip
        if value is not None and not isinstance(value, str | Rule):
            mistakes.append(f"`value` is an expression, not `{value}`")
        for rule, where in ((segment, "segment"), *((x, "exclusions") for x in exclusions)):
            if not isinstance(rule, str | Rule):
                mistakes.append(f"`{where}` is a rule's text or an expression, not `{rule}`")
        if kind not in KINDS:
            mistakes.append(f"`kind` is one of {', '.join(KINDS)}, not `{kind}`")
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)
                                  or limit < 0):  # fmt: skip
            mistakes.append(f"`limit` is a whole number from 0, not `{limit}`")
        if not isinstance(window_days, int) or isinstance(window_days, bool) or window_days < 1:
            mistakes.append(f"`window_days` is a whole number from 1, not `{window_days}`")
        if not isinstance(priority, int) or isinstance(priority, bool):
            mistakes.append(f"`priority` is a whole number, not `{priority}`")
        found, wrong = read_variants(variants)
        mistakes += wrong
        day_parts, wrong = read_hours(hours)
        mistakes += wrong
        spent, wrong = read_budget(budget)
        mistakes += [*wrong, *template_mistakes(text)]
        bounds, wrong = caps_of(caps)
        mistakes += wrong
        refuse(place, mistakes, "campaign")
        values = {
            "name": name, "segment": segment, "exclusions": exclusions,
            "channel": channel, "kind": kind, "starts_at": starts_at, "ends_at": ends_at,
            "hours": day_parts, "priority": priority, "value": value, "budget": spent,
            "variants": found,
            "holdout": float(holdout), "salt": name if salt is None else salt, "limit": limit,
            "order_by": order_by, "caps": bounds, "goal": goal, "window_days": window_days,
            "text": text, "payload": payload,
        }  # fmt: skip
        for key, each in values.items():
            object.__setattr__(self, key, each)

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each variant, in their order."""
        return tuple(variant.weight for variant in self.variants)

    @property
    def aim(self) -> Goal:
        """What its messages are for, and within which window."""
        return Goal(self.window_days, self.goal)


def refuse(place: str, mistakes: Sequence[str], field: str) -> None:
    """All mistakes of a definition as one error."""
    if mistakes:
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise DefinitionError(f"{place} cannot be:\n{lines}", field=field)


def name_mistakes(name: object) -> list[str]:
    """What is wrong with a definition's name."""
    if isinstance(name, str) and is_definition_name(name):
        return []
    return [f"`{name}` is no name: printable text without spaces at its ends"]


def text_mistakes(**given: object) -> list[str]:
    """What is wrong with options that are a text where they are given."""
    return [
        f"`{name}` is a text, not `{value!r}`"
        for name, value in given.items()
        if value is not None and not is_text(value)
    ]


def window_mistakes(starts_at: object, ends_at: object) -> list[str]:
    """What is wrong with a window [starts_at, ends_at)."""
    found = [
        f"`{where}` is a moment, not `{value}`"
        + (f"; with its hour it is `{value}T00:00:00`" if isinstance(value, date) else "")
        for value, where in ((starts_at, "starts_at"), (ends_at, "ends_at"))
        if value is not None and not isinstance(value, datetime)
    ]
    found += [
        f"`{where}` is a moment that UTC has no date for: `{value}`"
        for value, where in ((starts_at, "starts_at"), (ends_at, "ends_at"))
        if isinstance(value, datetime) and not _is_in_utc(value)
    ]
    if not found and isinstance(starts_at, datetime) and isinstance(ends_at, datetime):
        same_kind = (starts_at.tzinfo is None) == (ends_at.tzinfo is None)
        if not same_kind:
            found.append("give both `starts_at` and `ends_at` a timezone, or neither")
        elif ends_at <= starts_at:
            found.append(f"the window ends ({ends_at}) before it has started ({starts_at})")
    return found


def _is_in_utc(moment: datetime) -> bool:
    try:
        return moment.tzinfo is None or moment.astimezone(UTC) is not None
    except OverflowError:
        return False


def share_mistakes(what: str, share: object) -> list[str]:
    """What is wrong with a share."""
    good = isinstance(share, int | float) and not isinstance(share, bool)
    if good and 0 <= share <= 1:  # type: ignore[operator]
        return []
    return [f"`{what}` is a share from 0 to 1, not `{share}`"]


def read_variants(variants: Mapping[str, Any] | None) -> tuple[tuple[Variant, ...], list[str]]:
    """name -> weight or (weight, payload) as variants, and what is wrong with them."""
    if variants is None:
        return (), []
    if not isinstance(variants, Mapping) or not variants:
        return (), ["`variants` maps names to weights"]
    found, wrong = [], []
    for name, given in variants.items():
        weight, payload = given, None
        if isinstance(given, list | tuple):
            if len(given) != 2:
                wrong.append(f"variant `{name}` is a weight, or a weight and a payload")
                continue
            weight, payload = given
        wrong += name_mistakes(name)
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= 1:
            wrong.append(f"variant `{name}` has the weight `{weight}`; it is a number from 0 to 1")
        else:
            found.append(Variant(str(name), float(weight), payload))
    total = sum(v.weight for v in found)
    if not wrong and abs(total - 1) > 1e-9:
        wrong.append(f"the weights of the variants add up to {total:g}, not to 1")
    return tuple(found), wrong


def read_hours(
    hours: Sequence[tuple[Any, Any]] | None,
) -> tuple[tuple[tuple[time, time], ...], list[str]]:
    """(from, to) pairs of the store's clock, and what is wrong with them.

    An hour is a whole number, `HH:MM`, or a time; `24` and `24:00` are the day's end. A pair
    whose end is not after its start runs over midnight.
    """
    if hours is None:
        return (), []
    found, wrong = [], []
    if not isinstance(hours, Sequence) or isinstance(hours, str):
        return (), ["`hours` is a list of (from, to) pairs"]
    for pair in hours:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            wrong.append(f"`hours` is a list of (from, to) pairs, not `{pair}`")
            continue
        start, end = (_clock_time(part) for part in pair)
        if start is None or end is None:
            wrong.append(f"`hours` holds hours such as 9 or '09:30', not `{pair}`")
        else:
            found.append((start, end))
    return tuple(found), wrong


def _clock_time(value: object) -> time | None:
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return time(value % 24) if 0 <= value <= 24 else None
        text = str(value)
        return time(0) if text in ("24:00", "24") else time.fromisoformat(text)
    except ValueError:
        return None


def within_hours(hours: tuple[tuple[time, time], ...], at: time) -> bool:
    """Whether a time of day lies in one of the day-parts [from, to); no parts: always."""
    if not hours:
        return True
    return any(
        start <= at < end if start < end else (at >= start or at < end) for start, end in hours
    )


def campaign_of(name: str, section: Mapping[str, Any]) -> Campaign:
    """The campaign that a `[campaigns.NAME]` section says."""
    given = dict(section)
    known = (
        "segment exclusions channel kind starts_at ends_at hours priority value budget variants "
        "holdout salt limit order_by caps goal window_days text payload"
    ).split()
    mistakes = [
        f"`{key}` is not a setting; {did_you_mean(key, known)}".rstrip("; ")
        for key in given
        if key not in known
    ]
    if "segment" not in given:
        mistakes.append("a `segment` is needed: the rule that says whom the campaign wants")
    refuse(f"campaign `{name}`", mistakes, f"campaigns.{name}")
    return Campaign(name, given.pop("segment"), **given)
