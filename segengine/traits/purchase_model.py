"""What do a store's own purchases say about the next ones?

Three models, fitted by maximum likelihood to many buyers at once: BG/NBD for how often buyers come
back, the modified BG/NBD for who is still a customer, Gamma-Gamma for what a visit is worth. Each
is its parameters, or the reason why there are none: a store with too little behind it gets no
prediction rather than a wrong one. The formulas are in `likelihoods.py`.

A fit depends on the purchases alone: not on the order in which they came, nor on an earlier fit.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.traits.likelihoods import (
    Floats,
    histories,
    repeat_likelihood,
    spend_likelihood,
    spends,
)

LEAST_BUYERS = 200
LEAST_REPEAT_BUYERS = 50
LEAST_DAYS = 90
"""Below any of these nothing is fitted."""

_MOST_KEPT = 4
_KEPT: dict[bytes, PurchaseModel] = {}
"""The last fits by what they were fitted to: tables are loaded one after the other, and most
change no purchase."""
_KEPT_LOCK = threading.Lock()

_STEEPEST = 1e-6
_BOUND = 1e-3


class RepeatParameters(NamedTuple):
    """How buyers come back and leave: of BG/NBD or of the modified BG/NBD; alpha in weeks.

    A buyer purchases at a rate drawn from Gamma(r, alpha), and leaves for good at a chance drawn
    from Beta(a, b), after each repeat purchase (BG/NBD) or after each purchase (modified).
    """

    r: float
    alpha: float
    a: float
    b: float


class SpendParameters(NamedTuple):
    """What a purchase date is worth: Gamma-Gamma; v in units of the currency.

    An amount is Gamma(p, n), where n differs between buyers as Gamma(q, v).
    """

    p: float
    q: float
    v: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there are no parameters, for the operator to read."""

    reason: str


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """What was fitted to how many buyers with a purchase, and to how many who came back.

    of_buyers: how many buyers there are with a purchase, of whom `buyers` were taken.
    """

    buyers: int
    repeat_buyers: int
    of_buyers: int
    orders: RepeatParameters | Refused
    """BG/NBD."""
    alive: RepeatParameters | Refused
    """Modified BG/NBD."""
    spend: SpendParameters | Refused
    """Gamma-Gamma."""

    @property
    def shown(self) -> dict[str, dict[str, Any] | str]:
        """The parameters of each model by name, or the reason why it has none; fitted to whom."""
        models = {"BG/NBD": self.orders, "modified BG/NBD": self.alive, "Gamma-Gamma": self.spend}
        shown: dict[str, dict[str, Any] | str] = {
            name: found.reason if isinstance(found, Refused) else found._asdict()
            for name, found in models.items()
        }
        shown["models_fitted_to"] = {
            "buyers": self.buyers,
            "repeat_buyers": self.repeat_buyers,
            "of_buyers": self.of_buyers,
        }
        return shown


class _Search(NamedTuple):
    """Where parameters are looked for, by their names.

    One that ends at its `most` and is among `alike` says that buyers are as good as alike in
    this, which the model can hold; at any other end there is no estimate.
    """

    start: dict[str, float]
    least: tuple[float, ...]
    most: tuple[float, ...]
    alike: str


def fit_purchase_model(
    repeats: NDArray[np.int32],
    recency_days: NDArray[np.int32],
    age_days: NDArray[np.int32],
    valued: NDArray[np.int32],
    total: NDArray[np.int64],
    unit: int,
) -> PurchaseModel:
    """All three models of the buyers with a purchase.

    repeats: dates with a purchase after the first; recency_days: dates from the first to the last
    of them; age_days: dates from the first to today; valued: repeat dates with a known amount;
    total: their amounts, `unit` to one of the currency, the smallest integer where the sum is too
    large. All arrays: [buyers].
    """
    buyers, repeat_buyers = len(repeats), int(np.count_nonzero(repeats))
    if reason := too_little(repeats, age_days):
        none = Refused(reason)
        return PurchaseModel(buyers, repeat_buyers, buyers, none, none, none)
    key = hashlib.blake2b(str(unit).encode())
    for array in (repeats, recency_days, age_days, valued, total):
        key.update(array.tobytes())
    kept = _KEPT.get(key.digest())
    if kept is None:
        kept = _fitted(repeats, recency_days, age_days, valued, total, unit)
        with _KEPT_LOCK:
            _KEPT[key.digest()] = kept
            while len(_KEPT) > _MOST_KEPT:
                del _KEPT[next(iter(_KEPT))]
    return kept


def _fitted(
    repeats: NDArray[np.int32],
    recency_days: NDArray[np.int32],
    age_days: NDArray[np.int32],
    valued: NDArray[np.int32],
    total: NDArray[np.int64],
    unit: int,
) -> PurchaseModel:
    found = histories(repeats, recency_days, age_days)
    age = float(np.dot(found.weight, found.age))
    search = _Search(
        {"r": 1.0, "alpha": age, "a": 1.0, "b": 2.0},
        least=(1e-3, 1e-2, 1e-4, 1e-4), most=(1e2, 1e6, 1e2, 1e6), alike="ra",
    )  # fmt: skip

    def fitted(name: str, spare_chances: int) -> RepeatParameters | Refused:
        best = _climb(name, search, lambda at: repeat_likelihood(at, found, spare_chances))
        return best if isinstance(best, Refused) else RepeatParameters(*best)

    return PurchaseModel(
        len(repeats), int(np.count_nonzero(repeats)), len(repeats), fitted("BG/NBD", 0),
        fitted("the modified BG/NBD", 1), _fit_spend(valued, total, unit),
    )  # fmt: skip


def too_little(repeats: NDArray[np.int32], age_days: NDArray[np.int32]) -> str:
    """What the purchases of these buyers fall short of; empty: nothing.  Arrays: [buyers]."""
    buyers, repeat_buyers = len(repeats), int(np.count_nonzero(repeats))
    days = int(age_days.max(initial=0))
    short = [
        f"{n:,} {what}, and {least:,} are needed"
        for n, what, least in (
            (buyers, "buyers with a purchase", LEAST_BUYERS),
            (repeat_buyers, "buyers with purchases on two dates or more", LEAST_REPEAT_BUYERS),
            (days, "dates from the first purchase to today", LEAST_DAYS),
        )
        if n < least
    ]
    return "too few purchases to predict from: " + "; ".join(short) if short else ""


def _fit_spend(
    valued: NDArray[np.int32], total: NDArray[np.int64], unit: int
) -> SpendParameters | Refused:
    """Gamma-Gamma of the buyers with a repeat purchase and an amount above 0."""
    taken = (valued > 0) & (total > 0)
    count = int(np.count_nonzero(taken))
    if count < LEAST_REPEAT_BUYERS:
        return Refused(
            f"too few amounts to predict from: {count:,} buyers with repeat purchases that come "
            f"to more than 0, and {LEAST_REPEAT_BUYERS:,} are needed"
        )
    found = spends(valued[taken], total[taken], unit)
    # Fitted in units of the usual amount, so that no currency is harder than another.
    usual = float(np.dot(found.weight, found.log_mean))
    found = replace(found, log_mean=found.log_mean - usual)
    search = _Search(
        {"p": 1.0, "q": 2.0, "v": 1.0},
        least=(1e-3, 1e-3, 1e-6), most=(1e3, 1e3, 1e6), alike="pq",
    )  # fmt: skip
    best = _climb("Gamma-Gamma", search, lambda at: spend_likelihood(at, found))
    if isinstance(best, Refused):
        return best
    p, q, v = best
    if q <= 1:
        return Refused(
            f"Gamma-Gamma finds no mean amount: q is {q:.3g}, and it has to be above 1; "
            "a few amounts are too large for the others"
        )
    return SpendParameters(p, q, v * float(np.exp(usual)))


def _climb(
    name: str, search: _Search, likelihood: Callable[[Floats], tuple[float, Floats]]
) -> tuple[float, ...] | Refused:
    """The parameters at the top of a likelihood, or why there is no top.

    Searched by their logarithms, from one start, within bounds.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - scipy loads when something is fitted

    def depth(logs: Floats) -> tuple[float, Floats]:
        at = np.exp(logs)
        value, slope = likelihood(at)
        return -value, -slope * at

    low, high = np.log(search.least), np.log(search.most)
    start = np.log(list(search.start.values()))
    found = minimize(
        depth, start, jac=True, method="L-BFGS-B", bounds=np.column_stack((low, high)),
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1_000, "maxls": 50},
    )  # fmt: skip
    for k, parameter in enumerate(search.start):
        is_least, is_most = found.x[k] < low[k] + _BOUND, found.x[k] > high[k] - _BOUND
        if is_least or (is_most and parameter not in search.alike):
            return Refused(
                f"{name} has no best {parameter}: it runs to {np.exp(found.x[k]):.3g}, so that "
                "these purchases are not what the model is of"
            )
    # A line search that can go no lower calls itself failed at the very top: the slope decides.
    steepest = np.abs(np.clip(found.x - found.jac, low, high) - found.x).max()
    if not (np.isfinite(found.fun) and steepest <= _STEEPEST):
        return Refused(f"{name} did not settle within {found.nit:,} steps ({found.message})")
    return tuple(float(v) for v in np.exp(found.x))
