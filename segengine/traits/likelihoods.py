"""How likely are these purchases, if these are the parameters, and where does it rise?

Two models of when buyers come back and one of what they spend, each as its mean log-likelihood
over buyers with the slope by every parameter, so that scipy climbs it in few steps. Time is in
weeks. Sums run over different histories, each as often as there are buyers who have it.

BG/NBD: Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science
24(2). Modified BG/NBD: Batislam, Denizel and Filiztekin (2007), IJRM 24(3), and Hoppe and Wagner
(2007), Marketing JRM 3(2). Gamma-Gamma: Fader and Hardie (2013), The Gamma-Gamma Model of
Monetary Value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAYS_PER_WEEK = 7
MOST_ROWS = 500_000
"""More different histories than this are put into cells."""

_FIELD = 22
_MOST_REPEATS = (1 << 64 - 2 * _FIELD) - 1
_WIDEST = 4
_CELLS_PER_E = 256


@dataclass(frozen=True, slots=True)
class Histories:
    """Different purchase histories and how many buyers have each.

    repeats: dates with a purchase after the first; recency: weeks from the first to the last
    such date; age: weeks from the first date to today; weight: the share of all buyers.
    """

    repeats: Floats
    recency: Floats
    age: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class Spends:
    """Different spends and how many buyers have each.

    repeats: repeat dates with a known amount; log_mean: logarithm of the mean amount of such a
    date, in units of the currency; weight: the share of all buyers with one.
    """

    repeats: Floats
    log_mean: Floats
    weight: Floats


def histories(
    repeats: NDArray[np.int32],
    recency_days: NDArray[np.int32],
    age_days: NDArray[np.int32],
    *,
    most: int = MOST_ROWS,
) -> Histories:
    """The different histories among buyers, whatever their order; arrays int32[buyers].

    Where there are more than `most`, days are put into cells: the wider, the more days, and the
    narrower, the more purchases, as the likelihood has powers of times to the number of purchases.
    A cell stands for its buyers by their mean weeks. The widest are a fourth of the days at one
    date, where estimates are within 0.2 % (a test holds them to that), whether `most` is reached
    or not.
    """
    fields = (np.minimum(repeats, _MOST_REPEATS), recency_days, age_days)
    key = np.zeros(len(repeats), np.uint64)
    for field in fields:
        key = (key << np.uint64(_FIELD)) | field.astype(np.uint64)
    key, counts = np.unique(key, return_counts=True)
    mask = np.uint64((1 << _FIELD) - 1)
    x = (key >> np.uint64(2 * _FIELD)).astype(np.int64)
    recency = ((key >> np.uint64(_FIELD)) & mask).astype(np.int64)
    age = (key & mask).astype(np.int64)
    cell, cells, parts = np.arange(len(key)), len(key), 256
    while cells > most and parts > _WIDEST:
        parts //= 2
        each = parts * (1 + x)
        wide = (x << (2 * _FIELD)) | (_cell(recency, each) << _FIELD) | _cell(age, each)
        found, cell = np.unique(wide, return_inverse=True)
        cells = len(found)
    in_cell = np.bincount(cell, counts, cells)

    def mean(values: NDArray[np.int64]) -> Floats:
        return np.bincount(cell, values * counts, cells) / in_cell

    weeks_recency, weeks_age = mean(recency) / DAYS_PER_WEEK, mean(age) / DAYS_PER_WEEK
    return Histories(mean(x), weeks_recency, weeks_age, in_cell / len(repeats))


def _cell(days: NDArray[np.int64], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of the cell that a day is in: its own below `parts`, then 1 / `parts` wide."""
    wide = parts * (1 + np.log(np.maximum(days, parts) / parts))
    return np.where(days < parts, days, wide.astype(np.int64))


def spends(
    repeats: NDArray[np.int32],
    total: NDArray[np.int64],
    unit: int,
    *,
    most: int = MOST_ROWS,
) -> Spends:
    """The different spends among buyers with a total above 0, whatever their order.

    repeats: int32[buyers], repeat dates with a known amount, each above 0; total: int64[buyers],
    their amounts, `unit` to one of the currency. Where there are more than `most` different
    spends, those with the same repeats whose means differ by less than 0.4 % become one.
    """
    order = np.lexsort((total, repeats))
    x, log_mean = repeats[order].astype(np.int64), np.log(total[order] / unit)
    log_mean -= np.log(x)
    step = (x[1:] != x[:-1]) | (log_mean[1:] != log_mean[:-1])
    cell = np.concatenate(([0], np.cumsum(step)))
    if cell[-1] >= most:
        near = np.floor(log_mean * _CELLS_PER_E)
        step = (x[1:] != x[:-1]) | (near[1:] != near[:-1])
        cell = np.concatenate(([0], np.cumsum(step)))
    in_cell = np.bincount(cell)
    means = np.bincount(cell, log_mean) / in_cell
    return Spends(np.bincount(cell, x) / in_cell, means, in_cell / len(repeats))


def repeat_likelihood(
    parameters: Floats, found: Histories, spare_chances: int
) -> tuple[float, Floats]:
    """Mean log-likelihood of BG/NBD (0 spare chances) or the modified BG/NBD (1), and its slope.

    parameters: r, alpha (weeks), a, b. After each repeat purchase a buyer may leave for good;
    in the modified model after the first purchase too, which is one more chance to leave. That
    is all that differs, so one formula serves both.
    """
    from scipy.special import digamma, gammaln  # noqa: PLC0415 - scipy loads when something is fitted

    r, alpha, a, b = parameters
    x, weight = found.repeats, found.weight
    different, place = np.unique(x, return_inverse=True)
    chances = different + spare_chances
    logs_age, logs_recency = np.log(alpha + found.age), np.log(alpha + found.recency)
    stays = -(r + x) * logs_age
    with np.errstate(divide="ignore"):
        # Who has had no chance to leave is here: logarithm of 0.
        odds = np.where(chances > 0, np.log(a / np.maximum(b + chances - 1, b)), -np.inf)
    leaves = odds[place] - (r + x) * logs_recency
    either = np.logaddexp(stays, leaves)
    here = np.exp(stays - either)
    gone = np.exp(leaves - either)
    by_repeats = gammaln(r + different) - gammaln(r) + r * np.log(alpha)
    by_repeats += gammaln(a + b) - gammaln(a + b + chances) + gammaln(b + chances) - gammaln(b)
    share = np.bincount(place, weight)
    value = float(np.dot(share, by_repeats) + np.dot(weight, either))
    share_gone = np.bincount(place, weight * gone)
    drop = digamma(a + b) - digamma(a + b + chances)
    slope = np.array(
        [
            np.dot(share, digamma(r + different) - digamma(r) + np.log(alpha))
            - np.dot(weight, here * logs_age + gone * logs_recency),
            r / alpha
            - np.dot(weight * (r + x), here / (alpha + found.age) + gone / (alpha + found.recency)),
            np.dot(share, drop) + share_gone.sum() / a,
            np.dot(share, drop + digamma(b + chances) - digamma(b))
            - np.dot(share_gone, 1 / np.maximum(b + chances - 1, b)),
        ]
    )
    return value, slope


def spend_likelihood(parameters: Floats, found: Spends) -> tuple[float, Floats]:
    """Mean log-likelihood of Gamma-Gamma and its slope; parameters: p, q, v (currency)."""
    from scipy.special import digamma, gammaln  # noqa: PLC0415 - scipy loads when something is fitted

    p, q, v = parameters
    x, weight = found.repeats, found.weight
    different, place = np.unique(x, return_inverse=True)
    share = np.bincount(place, weight)
    total = x * np.exp(found.log_mean)
    log_sum = np.log(v + total)
    log_total = np.log(x) + found.log_mean
    shape = p * different
    by_repeats = gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(v)
    value = float(
        np.dot(share, by_repeats)
        + np.dot(weight, p * x * log_total - found.log_mean - (p * x + q) * log_sum)
    )
    slope = np.array(
        [
            np.dot(share, different * (digamma(shape + q) - digamma(shape)))
            + np.dot(weight, x * (log_total - log_sum)),
            np.dot(share, digamma(shape + q)) - digamma(q) + np.log(v) - np.dot(weight, log_sum),
            q / v - np.dot(weight, (p * x + q) / (v + total)),
        ]
    )
    return value, slope
