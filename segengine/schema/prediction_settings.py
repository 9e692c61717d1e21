"""How far does a prediction of value look ahead, what is later money worth, who is it fitted to?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.config_reader import Reader, between, share

MOST_DAYS = 3_650
FEWEST_BUYERS, MOST_BUYERS = 1_000, 1_000_000_000
"""Bounds of `most_buyers`: parameters of fewer than these say little of a large store."""


@dataclass(frozen=True, slots=True)
class PredictionSettings:
    """`horizon_days`: dates after today; `yearly_discount`: 0.1 makes a year later 1 / 1.1.

    `most_buyers`: to how many buyers the models are fitted at most.
    """

    horizon_days: int = 365
    yearly_discount: float = 0.1
    most_buyers: int = 200_000


def read_prediction(reader: Reader, raw: object) -> PredictionSettings:
    """The section `[prediction]`; mistakes are noted."""
    section = reader.section(raw, "prediction")
    defaults = PredictionSettings()
    horizon = reader.take(
        section, "prediction.horizon_days", between(1, MOST_DAYS), defaults.horizon_days
    )
    discount = reader.take(section, "prediction.yearly_discount", share, defaults.yearly_discount)
    most = reader.take(
        section, "prediction.most_buyers", between(FEWEST_BUYERS, MOST_BUYERS), defaults.most_buyers
    )
    known = ["horizon_days", "yearly_discount", "most_buyers"]
    reader.nothing_left(section, "prediction", known)
    return PredictionSettings(horizon, discount, most)
