"""Which promotions ran, when, and what did they take off the price?"""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from segengine.demo.draws import draw, lottery
from segengine.demo.rhythm import cells_of, season_of_new_year
from segengine.demo.setting import Setting

PROMOTIONS = (
    "new_buyer",
    "double_11",
    "mid_year_618",
    "new_year",
    "women_day",
    "member_day",
    "coupon",
)
NEW_BUYER, DOUBLE_11, MID_YEAR, NEW_YEAR, WOMEN_DAY, MEMBER_DAY, COUPON = range(len(PROMOTIONS))

_TAKEN = np.array([0.5, 0.7, 0.6, 0.4, 0.45, 0.4, 0.12])
"""The chance that an order which could use the promotion does; more for bargain hunters."""

_PERCENT = np.array([90, 80, 85, 88, 88, 92, 90, 100])
"""Percent of the list price still paid; the last is without a promotion."""


def choose_promotions(
    rng: np.random.Generator,
    setting: Setting,
    placed: NDArray[np.int64],
    is_first: NDArray[np.bool_],
    bargain: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The promotion of each order, -1 for none: int64[n]."""
    clock = setting.buying
    by_date = np.array([_running_on(day) for day in setting.dates])
    running = by_date[clock.day[cells_of(clock, placed)]]
    running = np.where(is_first & (running == COUPON), NEW_BUYER, running)
    chance = _TAKEN[running] * np.where(bargain, 1.5, 0.8)
    return np.where(rng.random(len(placed)) < chance, running, -1)


def percents(rng: np.random.Generator, promotion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Percent of the list price paid for a line, given its order's promotion: int64[n].

    A fifth of the lines are marked down on their own, by 5 to 30 percent.
    """
    marked = np.array([0, 5, 10, 20, 30])[draw(rng, lottery([80, 8, 7, 3, 2]), len(promotion))]
    percent: NDArray[np.int64] = _PERCENT[promotion] - marked
    return percent


def _running_on(day: date) -> int:
    """The code of the promotion that runs on a date; an ordinary date has coupons."""
    if day.month == 11 and day.day <= 12:
        return DOUBLE_11
    if day.month == 6 and day.day <= 19:
        return MID_YEAR
    if season_of_new_year(day):
        return NEW_YEAR
    if day.month == 3 and 5 <= day.day <= 8:
        return WOMEN_DAY
    return MEMBER_DAY if day.day == 28 else COUPON
