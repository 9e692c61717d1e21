"""How much more did those do who were written to, and is that more than chance?

Rates: the difference with Newcombe's interval, made of the two Wilson intervals (Statistics in
Medicine 17, 1998, method 10), the ratio with Katz's logarithmic interval (Biometrika 65, 1978), and
the p-value of the chi-square test without correction. Means, such as sales per buyer: Welch's
interval and test (Biometrika 34, 1947), the ratio by Fieller's theorem with Welch's degrees of
freedom. Shares of arms: Pearson's chi-square test. The number of buyers needed is that of the
two-sided test at 5 % with power 80 %, the arms in the ratio that they have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LEVEL = 0.95
"""Of every interval, but for several at once."""
POWER = 0.8
WORTH = 0.1
"""The lift that is looked for, of the value without: smaller ones are not worth a campaign."""
SUSPECT = 0.001
"""Arms that chance alone would mix so unevenly less often than this were not dealt as designed."""

MORE, LESS = "more", "less"
SAME = "no lift of 10 % or more, either way"
SMALL = "too small to measure"
NOTHING = "nothing to compare"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many."""

    hits: int
    count: int

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.hits / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of so many values, and their variance (of a sample: over count - 1)."""

    count: int
    mean: float
    variance: float

    @property
    def value(self) -> float | None:
        """The mean; None of nothing."""
        return self.mean if self.count else None


@dataclass(frozen=True, slots=True)
class Interval:
    """From low to high; None: not bounded there, or not known."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Lift:
    """What one arm does beyond another: in absolute terms, and as a share of the other's.

    p: None where there is no test. needed: buyers in both arms together with whom a lift of `WORTH`
    would be seen, where the arms are too small to tell; else None. verdict: in words.
    """

    absolute: float | None
    interval: Interval
    relative: float | None
    relative_interval: Interval
    p: float | None
    needed: int | None
    verdict: str


def _special() -> Any:
    from scipy import special  # noqa: PLC0415 - scipy loads when a report asks

    return special


def wilson(rate: Rate, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share; `rate` of one at least."""
    z, n, p = _z(level), rate.count, rate.hits / rate.count
    middle, below = p + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if rate.hits == 0 else (middle - half) / below
    high = 1.0 if rate.hits == n else (middle + half) / below
    return low, high


def lift_of_rates(treated: Rate, control: Rate, level: float = LEVEL) -> Lift:
    """How much more often; `NOTHING` where one of the arms is empty."""
    if not treated.count or not control.count:
        return _nothing()
    p1, p0 = treated.hits / treated.count, control.hits / control.count
    (low1, high1), (low0, high0) = wilson(treated, level), wilson(control, level)
    difference = p1 - p0
    interval = Interval(
        difference - math.hypot(p1 - low1, high0 - p0),
        difference + math.hypot(high1 - p1, p0 - low0),
    )
    base = p0 or _pooled(treated, control)
    return Lift(
        difference, interval, p1 / p0 - 1 if p0 else None, _katz(treated, control, level),
        _p_of_rates(treated, control), *_verdict(interval, base, _needed(base, treated, control)),
    )  # fmt: skip


def lift_of_means(treated: Mean, control: Mean, level: float = LEVEL) -> Lift:
    """How much more on average; `NOTHING` where an arm has no two, or all have the same."""
    if treated.count < 2 or control.count < 2:
        return _nothing()
    error1, error0 = treated.variance / treated.count, control.variance / control.count
    error = error1 + error0
    if error <= 0:
        return _nothing()
    freedom = error * error / (
        error1**2 / (treated.count - 1) + error0**2 / (control.count - 1)
    )  # fmt: skip
    t = float(_special().stdtrit(freedom, (1 + level) / 2))
    difference, half = treated.mean - control.mean, t * math.sqrt(error)
    interval = Interval(difference - half, difference + half)
    base = abs(control.mean) or abs(
        (treated.count * treated.mean + control.count * control.mean)
        / (treated.count + control.count)
    )
    return Lift(
        difference, interval, treated.mean / control.mean - 1 if control.mean > 0 else None,
        _fieller(treated.mean, error1, control.mean, error0, t),
        float(2 * _special().stdtr(freedom, -abs(difference) / math.sqrt(error))),
        *_verdict(interval, base, _needed_means(base, treated, control)),
    )  # fmt: skip


def sample_ratio(observed: Sequence[int], shares: Sequence[float]) -> tuple[float, float] | None:
    """Chi-square and its p-value of arms against their shares; None where that is no question.

    shares: above 0, adding up to 1.
    """
    total = sum(observed)
    if not total or len(observed) < 2 or min(shares) <= 0:
        return None
    found = sum(
        (n - total * share) ** 2 / (total * share)
        for n, share in zip(observed, shares, strict=True)
    )
    return found, float(_special().chdtrc(len(observed) - 1, found))


def _nothing() -> Lift:
    return Lift(None, Interval(), None, Interval(), None, None, NOTHING)


def _z(level: float) -> float:
    return float(_special().ndtri((1 + level) / 2))


def _pooled(treated: Rate, control: Rate) -> float:
    return (treated.hits + control.hits) / (treated.count + control.count)


def _p_of_rates(treated: Rate, control: Rate) -> float | None:
    pooled = _pooled(treated, control)
    spread = pooled * (1 - pooled) * (1 / treated.count + 1 / control.count)
    if spread <= 0:
        return None
    difference = treated.hits / treated.count - control.hits / control.count
    return float(_special().chdtrc(1, difference * difference / spread))


def _katz(treated: Rate, control: Rate, level: float) -> Interval:
    """Of the ratio, less 1; unknown where one of the arms has no hit."""
    if not treated.hits or not control.hits:
        return Interval()
    ratio = treated.hits / treated.count / (control.hits / control.count)
    spread = math.sqrt(1 / treated.hits - 1 / treated.count + 1 / control.hits - 1 / control.count)
    factor = math.exp(_z(level) * spread)
    return Interval(ratio / factor - 1, ratio * factor - 1)


def _fieller(m1: float, error1: float, m0: float, error0: float, t: float) -> Interval:
    """Of the ratio, less 1; unknown where the other mean is not told from 0."""
    below = m0 * m0 - t * t * error0
    if m0 <= 0 or below <= 0:
        return Interval()
    root = m1 * m1 * m0 * m0 - below * (m1 * m1 - t * t * error1)
    half = math.sqrt(max(root, 0.0))
    return Interval((m1 * m0 - half) / below - 1, (m1 * m0 + half) / below - 1)


def _needed(base: float, treated: Rate, control: Rate) -> int | None:
    """Buyers in both arms with whom a share of `base` and one `WORTH` higher are told apart."""
    p0, p1 = base, min(base * (1 + WORTH), 1.0)
    if p1 <= p0:
        return None
    ratio = treated.count / control.count
    mixed = (p0 + ratio * p1) / (1 + ratio)
    root = _z(LEVEL) * math.sqrt(mixed * (1 - mixed) * (1 + 1 / ratio)) + float(
        _special().ndtri(POWER)
    ) * math.sqrt(p1 * (1 - p1) / ratio + p0 * (1 - p0))
    return _both(root * root / (p1 - p0) ** 2, ratio)


def _needed_means(base: float, treated: Mean, control: Mean) -> int | None:
    """The same of means, with the variances as they are."""
    if base <= 0:
        return None
    ratio = treated.count / control.count
    factor = _z(LEVEL) + float(_special().ndtri(POWER))
    spread = treated.variance / ratio + control.variance
    return _both(factor * factor * spread / (WORTH * base) ** 2, ratio)


def _both(control: float, ratio: float) -> int:
    return math.ceil(control) + math.ceil(control * ratio)


def _verdict(interval: Interval, base: float, needed: int | None) -> tuple[int | None, str]:
    """What an interval says, and where it says nothing, how many buyers would be needed."""
    low, high = interval.low, interval.high
    assert low is not None
    assert high is not None
    if low > 0:
        return None, MORE
    if high < 0:
        return None, LESS
    if max(-low, high) < WORTH * base:
        return None, SAME
    return needed, SMALL
