"""How far does a prediction of value look ahead, and what is later money worth?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.config_reader import Reader, between, share

MOST_DAYS = 3_650


@dataclass(frozen=True, slots=True)
class PredictionSettings:
    """`horizon_days`: dates after today; `yearly_discount`: 0.1 makes a year later 1 / 1.1."""

    horizon_days: int = 365
    yearly_discount: float = 0.1


def read_prediction(reader: Reader, raw: object) -> PredictionSettings:
    """The section `[prediction]`; mistakes are noted."""
    section = reader.section(raw, "prediction")
    defaults = PredictionSettings()
    horizon = reader.take(
        section, "prediction.horizon_days", between(1, MOST_DAYS), defaults.horizon_days
    )
    discount = reader.take(section, "prediction.yearly_discount", share, defaults.yearly_discount)
    reader.nothing_left(section, "prediction", ["horizon_days", "yearly_discount"])
    return PredictionSettings(horizon, discount)
