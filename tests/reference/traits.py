"""What do a buyer's events say about the buyer? tables.md's families purchase, RFM, life cycle.

Everything is told from the events as they stand, with exact numbers; floats only where a trait is
one. A trait that nothing supports is None; counts and sums over nothing are 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import cast

from .local_time import local_date, start_of_date
from .orders import CustomerId, Line, Order, Row, orders_and_lines, visible
from .rules import Value, World

Traits = dict[str, Value]
WINDOWS = (7, 30, 90, 365)
RFM_GROUPS: Mapping[str, str] = {
    "HHH": "important_value",
    "HLH": "important_develop",
    "LHH": "important_keep",
    "LLH": "important_win_back",
    "HHL": "general_value",
    "HLL": "general_develop",
    "LHL": "general_keep",
    "LLL": "general_win_back",
}
_FIFTHS = tuple(Fraction(step, 5) for step in (1, 2, 3, 4))
_THIRDS = (Fraction(1, 3), Fraction(2, 3))
_INTENT_DAYS = 30
_RESTLESS_GAP_RATIO = Fraction(3, 2)


@dataclass(frozen=True, slots=True)
class Events:
    """Event rows as dicts, in order of arrival. `quotes` are behaviors of kind quote."""

    orders: Sequence[Row] = ()
    order_lines: Sequence[Row] = ()
    behaviors: Sequence[Row] = ()
    quotes: Sequence[Row] = ()
    products: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Thresholds of recency_days, each included."""

    new_days: int = 30
    active_days: int = 60
    sleeping_days: int = 180


@dataclass(frozen=True, slots=True)
class Fitted:
    """What needs the whole population: cut points ascending, and the mean scores of buyers."""

    recency_cuts: tuple[Fraction, ...]
    order_cuts: tuple[Fraction, ...]
    amount_cuts: tuple[Fraction, ...]
    tier_cuts: tuple[Fraction, ...]
    mean_scores: tuple[Fraction, Fraction, Fraction] | None = None


@dataclass(frozen=True, slots=True)
class History:
    """One buyer's events up to `as_of`, each list by (time, arrival)."""

    orders: list[Order] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    behaviors: list[tuple[datetime, Row]] = field(default_factory=list)

    @property
    def purchases(self) -> list[Order]:
        """The orders that count as bought."""
        return [order for order in self.orders if order.is_purchase]


def customer_traits(
    events: Events,
    world: World,
    customers: Iterable[Row] = (),
    *,
    lifecycle: Lifecycle | None = None,
    fixed_cuts: Fitted | None = None,
    fitted: Fitted | None = None,
) -> dict[CustomerId, Traits]:
    """Every trait of every buyer, given ones and those seen only in events.

    Scores are fitted to these buyers unless `fitted` is given. `fixed_cuts` replaces the cuts of
    recency, orders and amount; its other fields are ignored.
    """
    given = {cast("CustomerId", row["customer_id"]): row for row in customers}
    histories = histories_of(events, world)
    people = dict.fromkeys([*given, *histories])
    thresholds = lifecycle or Lifecycle()
    found: dict[CustomerId, Traits] = {}
    for one in people:
        history = histories.get(one, History())
        tags = cast("Sequence[str]", given.get(one, {}).get("tags") or ())
        found[one] = purchase_traits(history, world)
        found[one] |= lifecycle_traits(history, world, thresholds)
        found[one]["intent_stage"] = intent_stage(history, tags, world)
    fit = fitted or fit_population(found.values(), fixed_cuts)
    return {one: traits | rfm_traits(traits, fit) for one, traits in found.items()}


def histories_of(events: Events, world: World) -> dict[CustomerId, History]:
    """The events of each buyer who has any up to `as_of`."""
    found: dict[CustomerId, History] = defaultdict(History)
    products = {row["product_id"]: row for row in events.products}
    orders, lines = orders_and_lines(events.orders, events.order_lines, world, products)
    for order in orders:
        found[order.customer_id].orders.append(order)
    for line in lines:
        found[line.customer_id].lines.append(line)
    quotes = [{**row, "kind": "quote"} for row in events.quotes]
    for moment, row in visible([*events.behaviors, *quotes], world):
        found[cast("CustomerId", row["customer_id"])].behaviors.append((moment, row))
    return dict(found)


# Purchase


def purchase_traits(history: History, world: World) -> Traits:
    """The family purchase. Amounts are net of refunds, gross_amount_total excepted."""
    purchases = history.purchases
    lines = [line for line in history.lines if line.is_purchase]
    times = [order.time for order in purchases]
    nets = [order.net for order in purchases if order.net is not None]
    grosses = [order.amount for order in purchases if order.amount is not None]
    promotions = [order.promotion for order in purchases if order.promotion is not None]
    recency = (world.today - local_date(times[-1], world.timezone)).days if times else None
    gap = average_gap(times, world.timezone)
    traits: Traits = {
        "first_order_at": times[0] if times else None,
        "second_order_at": times[1] if len(times) > 1 else None,
        "last_order_at": times[-1] if times else None,
        "recency_days": recency,
        "order_count": len(purchases),
        "orders_placed_count": len(history.orders),
        "item_count": _total(line.quantity for line in lines),
        "amount_total": sum(nets, Decimal(0)),
        "gross_amount_total": sum(grosses, Decimal(0)),
        "average_order_amount": float(sum(nets, Decimal(0)) / len(nets)) if nets else None,
        "last_order_amount": purchases[-1].net if purchases else None,
        "max_order_amount": max(nets, default=None),
        "average_gap_days": None if gap is None else float(gap),
        "gap_ratio": float(recency / gap) if gap and recency is not None else None,
        "category_count": len({line.category for line in lines} - {None}),
        "brand_count": len({line.brand for line in lines} - {None}),
        "promotions_count": len(set(promotions)),
        "first_promotion": promotions[0] if promotions else None,
    }
    for days in WINDOWS:
        recent = [o for o in purchases if in_last_days(o.time, days, world)]
        traits[f"orders_{days}d"] = len(recent)
        traits[f"amount_{days}d"] = sum((o.net for o in recent if o.net is not None), Decimal(0))
    return traits


def _total(quantities: Iterable[int | float | Decimal | None]) -> int | float | Decimal:
    total: int | float | Decimal = 0
    for quantity in quantities:
        total += quantity or 0  # type: ignore[operator]
    return total


def in_last_days(moment: datetime, days: int, world: World) -> bool:
    """True on one of the `days` local dates that end today."""
    return 0 <= (world.today - local_date(moment, world.timezone)).days < days


def average_gap(times: Sequence[datetime], timezone: str) -> Fraction | None:
    """Dates from the first to the last purchase over the gaps between; None below two."""
    if len(times) < 2:
        return None
    days = (local_date(times[-1], timezone) - local_date(times[0], timezone)).days
    return Fraction(days, len(times) - 1)


# RFM


def quantile(ordered: Sequence[Fraction], share: Fraction) -> Fraction:
    """The continuous quantile: linear between the two nearest of the ascending values."""
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def cuts_of(values: Iterable[Value], shares: Iterable[Fraction]) -> tuple[Fraction, ...]:
    """The quantiles of the values; none without values."""
    ordered = sorted(Fraction(cast("Decimal", value)) for value in values)
    return tuple(quantile(ordered, share) for share in shares) if ordered else ()


def cuts_below(value: Value, cuts: Iterable[Fraction]) -> int:
    """How many cuts lie strictly below the value; so ties share a score."""
    return sum(cut < Fraction(cast("Decimal", value)) for cut in cuts)


def fit_population(population: Iterable[Traits], fixed: Fitted | None = None) -> Fitted:
    """Cut points over the buyers with a purchase, and their mean scores."""
    everybody = list(population)
    buyers = [traits for traits in everybody if traits["order_count"]]
    spending = [t["amount_365d"] for t in everybody if cast("Decimal", t["amount_365d"]) > 0]
    cuts = fixed or Fitted(
        cuts_of((traits["recency_days"] for traits in buyers), _FIFTHS),
        cuts_of((traits["order_count"] for traits in buyers), _FIFTHS),
        cuts_of((traits["amount_total"] for traits in buyers), _FIFTHS),
        (),
    )
    scores = [_scores(traits, cuts) for traits in buyers]
    means = [Fraction(sum(score[i] for score in scores), len(scores) or 1) for i in range(3)]
    return Fitted(
        cuts.recency_cuts,
        cuts.order_cuts,
        cuts.amount_cuts,
        cuts_of(spending, _THIRDS),
        (means[0], means[1], means[2]),
    )


def _scores(traits: Traits, cuts: Fitted) -> tuple[int, int, int]:
    return (
        5 - cuts_below(traits["recency_days"], cuts.recency_cuts),
        1 + cuts_below(traits["order_count"], cuts.order_cuts),
        1 + cuts_below(traits["amount_total"], cuts.amount_cuts),
    )


def rfm_traits(traits: Traits, fitted: Fitted) -> Traits:
    """Scores, cell, group and tier of one buyer against the fitted cuts."""
    names = ("r_score", "f_score", "m_score", "rfm_cell", "rfm_group")
    found: Traits = dict.fromkeys(names)
    spent = cast("Decimal", traits["amount_365d"])
    tiers = ("low", "middle", "high")
    found["value_tier"] = tiers[cuts_below(spent, fitted.tier_cuts)] if spent > 0 else None
    if not traits["order_count"]:
        return found
    scores = _scores(traits, fitted)
    assert fitted.mean_scores is not None
    pairs = zip(scores, fitted.mean_scores, strict=True)
    levels = "".join("H" if score > mean else "L" for score, mean in pairs)
    found |= dict(zip(names, scores, strict=False))
    found["rfm_cell"] = "".join(map(str, scores))
    found["rfm_group"] = RFM_GROUPS[levels]
    return found


# Life cycle


def lifecycle_traits(history: History, world: World, thresholds: Lifecycle) -> Traits:
    """The stage, since when, what it was before, and the trade group."""
    times = [order.time for order in history.purchases]
    changed_at, previous = stage_change(times, world, thresholds)
    return {
        "lifecycle_stage": stage_at(times, world.as_of, world.timezone, thresholds),
        "stage_changed_at": changed_at,
        "previous_stage": previous,
        "trade_group": ("potential", "traded", "repeat")[min(len(times), 2)],
    }


def stage_at(
    times: Sequence[datetime], moment: datetime, timezone: str, thresholds: Lifecycle
) -> str:
    """The life cycle stage at a moment, by the purchases up to it."""
    past = [time for time in times if time <= moment]
    if not past:
        return "prospect"
    recency = (local_date(moment, timezone) - local_date(past[-1], timezone)).days
    if len(past) == 1 and recency <= thresholds.new_days:
        return "new"
    gap = average_gap(past, timezone)
    if recency <= thresholds.active_days:
        restless = bool(gap) and recency / cast("Fraction", gap) > _RESTLESS_GAP_RATIO
        return "at_risk" if restless and len(past) >= 3 else "active"
    return "sleeping" if recency <= thresholds.sleeping_days else "lapsed"


def stage_change(
    times: Sequence[datetime], world: World, thresholds: Lifecycle
) -> tuple[datetime | None, str | None]:
    """The latest moment up to `as_of` at which the stage changed, and the stage before.

    By brute force: the stage can change only at a purchase or where a local date starts.
    """
    if not times:
        return None, None
    moments = set(times)
    day: date = local_date(times[0], world.timezone)
    while day <= world.today:
        moments.add(start_of_date(day, world.timezone))
        day += timedelta(days=1)
    changed_at, previous, stage = None, None, "prospect"
    for moment in sorted(moments):
        now = stage_at(times, moment, world.timezone, thresholds)
        if moment <= world.as_of and now != stage:
            changed_at, previous, stage = moment, stage, now
    return changed_at, previous


def intent_stage(history: History, tags: Sequence[str | None], world: World) -> str | None:
    """What the last 30 dates say the buyer intends; the first that holds of those below."""
    if "never" in tags:
        return "never"
    recent = [
        (moment, row)
        for moment, row in history.behaviors
        if in_last_days(moment, _INTENT_DAYS, world)
    ]
    kinds = {row["kind"] for _, row in recent}
    quotes = [moment for moment, row in recent if row["kind"] == "quote"]
    answers = [moment for moment, row in history.behaviors if row["kind"] == "reply"]
    answers += [order.time for order in history.orders]
    if quotes and not any(answer > max(quotes) for answer in answers):
        return "quoted_no_reply"
    if kinds & {"cart", "favorite"}:
        return "interested"
    views = Counter(row.get("product_id") for _, row in recent if row["kind"] == "view")
    del views[None]
    if "inquiry" in kinds or max(views.values(), default=0) >= 3:
        return "hesitating"
    return "not_now" if "visit" in kinds else None
