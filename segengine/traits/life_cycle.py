"""How far has a buyer come with the shop, since when, and where were they before?

The stages are told apart by thresholds on recency_days: those of `store.toml`, or, with
`lifecycle.thresholds = "fit"`, quantiles of the store's own gaps between purchases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from segengine.schema.kinds import Kind
from segengine.schema.store_config import LifecycleSettings
from segengine.schema.tables import ORDERS
from segengine.traits import life_cycle_loops
from segengine.traits.quantiles import quantiles_at
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

STAGES = ("prospect", "new", "active", "at_risk", "sleeping", "lapsed")
TRADE_GROUPS = ("potential", "traded", "repeat")

FEWEST_GAPS = 100
"""Gaps below which nothing is fitted: the .95 quantile of fewer rests on fewer than five."""

SHARES = {
    "new_days": Fraction(1, 2),
    "active_days": Fraction(4, 5),
    "sleeping_days": Fraction(19, 20),
}
"""Who comes back has come back by then: half of all times, four in five, nineteen in twenty."""

_NAME = "life cycle"
_TRAITS = (
    Trait("lifecycle_stage", _NAME, Kind.VARCHAR, "life",
          "prospect: no purchase; new: one, within new_days; at_risk: within active_days but "
          "gap_ratio above 1.5 with 3 or more; active: within active_days; sleeping: within "
          "sleeping_days; lapsed: longer", words=STAGES),
    Trait("previous_stage", _NAME, Kind.VARCHAR, "life", "lifecycle_stage before "
          "stage_changed_at", "", "prospect", words=STAGES),
    Trait("trade_group", _NAME, Kind.VARCHAR, "life",
          "potential, traded, repeat: 0, 1, 2 or more purchases", words=TRADE_GROUPS),
    Trait("stage_changed_at", _NAME, Kind.TIMESTAMP, "stage_moments",
          "latest moment up to as_of at which lifecycle_stage, with today's thresholds, "
          "changed", "instant", "prospect"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LifeCycleFit:
    """The thresholds that stages are told apart by, in dates, and where they come from."""

    new_days: int
    active_days: int
    sleeping_days: int
    source: str

    @property
    def shown(self) -> dict[str, dict[str, Any]]:
        """The thresholds as operators read them."""
        return {
            "lifecycle": {
                "new_days": self.new_days,
                "active_days": self.active_days,
                "sleeping_days": self.sleeping_days,
                "source": self.source,
            }
        }


def _fit(work: Work) -> LifeCycleFit:
    """The thresholds as given; or quantiles of the gaps, rounded up to whole dates.

    A gap is the dates from one purchase date of a buyer to the next; several purchases on one
    date are one. All gaps of all buyers count alike, up to as_of.
    """
    settings = work.config.lifecycle
    if settings.thresholds != "fit":
        return _given(settings, "as given in store.toml")
    purchases = work.purchases()
    out = np.zeros(len(purchases.times), np.int32)

    def loop(begin: int, end: int) -> None:
        life_cycle_loops.purchase_gaps(
            work.clock, purchases.begins[begin : end + 1], purchases.counts[begin:end],
            purchases.times, out,
        )  # fmt: skip

    work.over_buyers(loop)
    gaps = out[out > 0]
    if len(gaps) < FEWEST_GAPS:
        return _given(
            settings,
            f"as given: {len(gaps)} gaps between purchase dates, a fit needs {FEWEST_GAPS}",
        )
    cuts = quantiles_at(gaps, list(SHARES.values()))
    days = dict(zip(SHARES, map(math.ceil, cuts), strict=True))
    return LifeCycleFit(**days, source=f"fitted to {len(gaps):,} gaps between purchase dates")


def _given(settings: LifecycleSettings, source: str) -> LifeCycleFit:
    return LifeCycleFit(settings.new_days, settings.active_days, settings.sleeping_days, source)


def _place(work: Work, fitted: LifeCycleFit) -> None:
    purchases = work.purchases()
    days = (fitted.new_days, fitted.active_days, fitted.sleeping_days)
    thresholds = np.array(days, np.int64)

    def loop(begin: int, end: int) -> None:
        life_cycle_loops.life_cycle(
            work.rows[begin:end], work.clock, purchases.begins[begin : end + 1],
            purchases.counts[begin:end], purchases.times, thresholds,
            work.blocks["life"], work.blocks["stage_moments"][0],
        )  # fmt: skip

    work.over_buyers(loop)


LIFE_CYCLE = Family(
    _NAME, "How far a buyer has come with the shop.", _TRAITS, fit=_fit, place=_place,
    reads=(ORDERS,),
)  # fmt: skip
