"""Is this buyer still a customer, what will they buy, and when are they due?

Each buyer's purchase dates against the models that were fitted to the store's buyers
(`purchase_model.py`, of many to those of `purchase_sample.py`); a model that was refused leaves its
traits missing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.schema.prediction_settings import PredictionSettings
from segengine.schema.tables import ORDERS
from segengine.traits import prediction_loops
from segengine.traits.likelihoods import DAYS_PER_WEEK
from segengine.traits.prediction_loops import LEAST_ALIVE, ORDERS_DAYS, Dates, Model
from segengine.traits.purchase_model import (
    PurchaseModel,
    Refused,
    RepeatParameters,
    SpendParameters,
    fit_purchase_model,
    too_little,
)
from segengine.traits.purchase_sample import sampled
from segengine.traits.trait import NO_PURCHASE, Family, Trait
from segengine.traits.work import Work

STEP_DAYS = 30
"""Lifetime value is discounted step by step, each from its middle; the last may be shorter."""

_NAME = "prediction"
_NONE = f"{NO_PURCHASE}, or a store with too few to predict from"
_TRAITS = (
    Trait("p_alive", _NAME, Kind.DOUBLE, "chances",
          "chance that the buyer is still a customer, by the modified BG/NBD model", "0 to 1",
          _NONE),
    Trait("expected_orders_90d", _NAME, Kind.DOUBLE, "chances",
          f"dates with a purchase to be expected among the {ORDERS_DAYS} after today, by the "
          "BG/NBD model", "dates", _NONE),
    Trait("expected_amount_90d", _NAME, Kind.DOUBLE, "chances",
          "expected_orders_90d times the amount expected of such a date, net of refunds, by the "
          "Gamma-Gamma model", "money", _NONE),
    Trait("lifetime_value", _NAME, Kind.DOUBLE, "chances",
          "the same over the `prediction.horizon_days` after today, worth less the later by "
          "`prediction.yearly_discount`; what was bought so far is not in it", "money", _NONE),
    Trait("expected_next_order_at", _NAME, Kind.TIMESTAMP, "due",
          "beginning of the date when the next purchase is due: the last purchase plus the gap "
          "of a buyer who bought so often until then; past for who is overdue", "instant",
          f"{_NONE}, or p_alive below {LEAST_ALIVE:g}"),
)  # fmt: skip


def dates_of(work: Work) -> Dates:
    """What predictions know of the buyers of a work, in the order of its rows."""
    purchases = work.purchases()
    amounts, refunds = (work.values(ORDERS, name) for name in ("amount", "refund_amount"))
    count = len(work.rows)
    repeats, recency, age, valued, last = (np.empty(count, np.int32) for _ in range(5))
    found = Dates(repeats, recency, age, valued, np.empty(count, np.int64), last)

    def loop(begin: int, end: int) -> None:
        prediction_loops.purchase_dates(
            work.clock, purchases.begins[begin : end + 1], purchases.counts[begin:end],
            purchases.orders, purchases.times, amounts, refunds, _some(found, slice(begin, end)),
        )  # fmt: skip

    work.over_buyers(loop)
    return found


def _some(dates: Dates, which: slice | NDArray[np.bool_]) -> Dates:
    return Dates(
        dates.repeats[which], dates.recency[which], dates.age[which], dates.valued[which],
        dates.total[which], dates.last[which],
    )  # fmt: skip


def _fit(work: Work) -> PurchaseModel:
    """The models of `prediction.most_buyers` buyers at most.

    Of all, where so few of a large store come back that those taken are too few to tell.
    """
    dates = dates_of(work)
    bought = dates.repeats >= 0
    most = work.config.prediction.most_buyers
    chosen = _some(dates, sampled(work.tables.customers, work.rows, bought, most))
    if too_little(chosen.repeats, chosen.age):
        chosen = _some(dates, bought)
    found = fit_purchase_model(
        chosen.repeats, chosen.recency, chosen.age, chosen.valued, chosen.total,
        10**work.tables.money_scale,
    )  # fmt: skip
    return replace(found, of_buyers=int(np.count_nonzero(bought)))


def _place(work: Work, fitted: PurchaseModel) -> None:
    dates = dates_of(work)
    model = model_of(fitted, work.config.prediction, 10**work.tables.money_scale)

    def loop(begin: int, end: int) -> None:
        prediction_loops.predict(
            work.rows[begin:end], work.clock, _some(dates, slice(begin, end)),
            model, work.blocks["chances"], work.blocks["due"][0],
        )  # fmt: skip

    work.over_buyers(loop)


def model_of(fitted: PurchaseModel, settings: PredictionSettings, unit: int) -> Model:
    """What the loop reads: parameters, spans of time, and what money in each is worth today."""
    steps = np.arange(0, settings.horizon_days, STEP_DAYS, dtype=np.float64)
    ends = np.minimum(steps + STEP_DAYS, settings.horizon_days)
    discount = (1 + settings.yearly_discount) ** (-(steps + ends) / 2 / 365)
    return Model(
        orders=_numbers(fitted.orders, 4),
        alive=_numbers(fitted.alive, 4),
        spend=_numbers(fitted.spend, 3),
        weeks=np.concatenate(([ORDERS_DAYS], ends)) / DAYS_PER_WEEK,
        discount=np.concatenate(([1.0], discount)),
        unit=np.float64(unit),
    )


def refused_traits(fitted: PurchaseModel) -> dict[str, str]:
    """The traits that are missing for everybody, and the reason why their model was refused.

    None of a store without any purchase: nothing is known of its buyers yet, whatever is asked.
    """
    if not fitted.of_buyers:
        return {}
    needed = {
        "p_alive": (fitted.alive,),
        "expected_orders_90d": (fitted.orders,),
        "expected_amount_90d": (fitted.orders, fitted.spend),
        "lifetime_value": (fitted.orders, fitted.spend),
        "expected_next_order_at": (fitted.alive,),
    }
    reasons = {
        name: next((m.reason for m in models if isinstance(m, Refused)), "")
        for name, models in needed.items()
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _numbers(
    parameters: RepeatParameters | SpendParameters | Refused, count: int
) -> NDArray[np.float64]:
    if isinstance(parameters, Refused):
        return np.full(count, np.nan)
    return np.array(parameters, np.float64)


PREDICTION = Family(
    _NAME,
    "What a buyer may be expected to do next; how it is worked out is on a "
    "[page of its own](prediction.md).",
    _TRAITS,
    fit=_fit,
    place=_place,
    reads=(ORDERS,),
)
