"""One buyer's purchase dates -> is this still a customer, and what will they buy?

Expected purchases of BG/NBD are a sum of what can only be positive, so that no buyer is too heavy
and no parameter special. Of a buyer who is here, the number of purchases in the next t weeks that
there would be if nobody left is negative binomial: N with size r + x and z = t / (alpha + T + t).
The chance to be here still after k of them is s(k) = (b + x)(b + x + 1)... / (a + b + x)..., k
factors each. So a buyer who is here makes

    sum over j of P(N = j) (s(0) + s(1) + ... + s(j - 1))

purchases: formula (10) of Fader, Hardie and Lee (2005) without its hypergeometric function, its
difference of great numbers, and its division by a - 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import day_start
from segengine.kernels.jit import inlined, kernel
from segengine.traits.clock_loops import Clock, date_of
from segengine.traits.purchase_loops import plus

_NO_VALUE = np.int64(-(2**63))
_LAST_DAY = np.int64(2_932_896)
_DAYS_PER_WEEK = 7.0
_LARGE = 1e100
_ENOUGH = 1e-15
_REMEMBERED_DAYS = 20_000
ORDERS_DAYS = 90
"""The span of expected_orders_90d and expected_amount_90d."""
LEAST_ALIVE = 0.5
"""Below this p_alive, nobody expects a next order."""

# Rows of the outputs; `traits/prediction.py` names them in the same order.
P_ALIVE, ORDERS, AMOUNT, LIFETIME = range(4)


class Dates(NamedTuple):
    """What predictions know of a buyer, for n buyers; no purchase: `repeats` is -1.

    repeats: int32[n], dates with a purchase after the first; recency: int32[n], dates from the
    first to the last of them; age: int32[n], dates from the first to today; valued: int32[n],
    repeat dates with a known amount; total: int64[n], net amounts on repeat dates, the smallest
    integer where the sum is too large; last: int32[n], the last date, in days since 1970.
    """

    repeats: NDArray[np.int32]
    recency: NDArray[np.int32]
    age: NDArray[np.int32]
    valued: NDArray[np.int32]
    total: NDArray[np.int64]
    last: NDArray[np.int32]


class Model(NamedTuple):
    """Fitted parameters, NaN where a model was refused; times in weeks, money in the currency."""

    orders: NDArray[np.float64]
    """float64[4]: r, alpha, a, b of BG/NBD."""
    alive: NDArray[np.float64]
    """float64[4]: r, alpha, a, b of the modified BG/NBD."""
    spend: NDArray[np.float64]
    """float64[3]: p, q, v of Gamma-Gamma."""
    weeks: NDArray[np.float64]
    """float64[spans]: ORDERS_DAYS first, then the ends of the steps of the horizon, rising."""
    discount: NDArray[np.float64]
    """float64[spans]: what one unit of money in each step is worth today; the first is not used."""
    unit: np.float64


@kernel
def purchase_dates(
    clock: Clock,
    begins: NDArray[np.int64],
    counts: NDArray[np.int32],
    orders: NDArray[np.int32],
    times: NDArray[np.int64],
    amounts: NDArray[np.int64],
    refunds: NDArray[np.int64],
    out: Dates,
) -> None:
    """Write what predictions know of these buyers.

    begins, counts, orders, times: the `Purchases` of n buyers  amounts, refunds: int64[rows of
    orders]  out: `Dates` of n buyers
    """
    days = np.empty(64, np.int64)
    known = np.empty(64, np.int64)
    for index in range(counts.shape[0]):
        begin, count = begins[index], counts[index]
        out.repeats[index], out.recency[index], out.age[index] = -1, 0, 0
        out.valued[index], out.total[index], out.last[index] = 0, 0, 0
        if count == 0:
            continue
        if count > days.shape[0]:
            days = np.empty(2 * count, np.int64)
            known = np.empty(2 * count, np.int64)
        first = np.int64(2**62)
        for k in range(count):
            days[k] = date_of(times[begin + k], clock)
            first = min(first, days[k])
        amount, valued = np.int64(0), 0
        for k in range(count):
            net = amounts[orders[begin + k]]
            if net != _NO_VALUE and days[k] != first:
                refund = refunds[orders[begin + k]]
                if refund != _NO_VALUE:
                    net -= refund
                amount = plus(amount, net)
                known[valued] = days[k]
                valued += 1
        out.repeats[index] = different(days, count) - 1
        last = days[count - 1]
        out.recency[index] = last - first
        # Today is before the last date where the clock has gone back over midnight since.
        out.age[index] = max(clock.today, last) - first
        out.valued[index] = different(known, valued)
        out.total[index] = amount
        out.last[index] = last


@inlined
def different(days: NDArray[np.int64], count: int) -> int:
    """How many different dates the first `count` are; they are sorted, the latest last."""
    for k in range(1, count):
        if days[k] < days[k - 1]:
            # A clock that went back over midnight.
            days[:count] = np.sort(days[:count])
            break
    found = min(count, 1)
    for k in range(1, count):
        if days[k] != days[k - 1]:
            found += 1
    return found


@inlined
def chance_alive(
    parameters: NDArray[np.float64], chances: float, x: float, recency: float, age: float
) -> float:
    """The chance that a buyer who had so many chances to leave is here; 0 chances: 1.

    BG/NBD: x chances; the modified BG/NBD: x + 1. recency, age: weeks
    """
    if chances == 0:
        return 1.0
    r, alpha, a, b = parameters[0], parameters[1], parameters[2], parameters[3]
    silence = (r + x) * np.log((alpha + age) / (alpha + recency))
    # A long silence of a heavy buyer: 1e-300 is as good as 0.
    return 1.0 / (1.0 + np.exp(min(np.log(a / (b + chances - 1.0)) + silence, 690.0)))


@inlined
def purchases_while_here(
    parameters: NDArray[np.float64],
    x: float,
    age: float,
    weeks: NDArray[np.float64],
    scratch: NDArray[np.float64],
    made: NDArray[np.float64],
) -> None:
    """Expected purchases in the next `weeks` of a buyer who is here today.

    age: weeks  weeks: float64[spans], the greatest of which decides where the sum ends
    scratch: float64[3, spans]  out: made float64[spans]
    """
    r, alpha, a, b = parameters[0], parameters[1], parameters[2], parameters[3]
    odds, term, mass = scratch[0], scratch[1], scratch[2]
    size, spans, far = r + x, weeks.shape[0], 0
    for k in range(spans):
        odds[k] = weeks[k] / (alpha + age + weeks[k])
        # As if P(N = 0) were 1: all are divided by their sum in the end, and none underflows.
        term[k], mass[k], made[k] = 1.0, 1.0, 0.0
        if weeks[k] > weeks[far]:
            far = k
    here, sum_here, j = 1.0, 0.0, 0
    while True:
        growth = (size + j) / (j + 1.0)
        sum_here += here
        here *= (b + x + j) / (a + b + x + j)
        j += 1
        for k in range(spans):
            term[k] *= growth * odds[k]
            mass[k] += term[k]
            made[k] += term[k] * sum_here
        # What is left is below a geometric series, and of shorter spans less is left. Below size
        # 1 the ratio rises towards the odds, above it falls towards them.
        ratio = max((size + j) / (j + 1.0) * odds[far], odds[far])
        if ratio < 1.0:
            rest = term[far] * ratio / (1.0 - ratio) * (sum_here + 1.0 / (1.0 - ratio))
            if rest <= _ENOUGH * made[far]:
                break
        if j & 15 == 0:
            for k in range(spans):
                if mass[k] > _LARGE or made[k] > _LARGE:
                    term[k] /= _LARGE
                    mass[k] /= _LARGE
                    made[k] /= _LARGE
    for k in range(spans):
        made[k] /= mass[k]


@kernel
def predict(
    rows: NDArray[np.int64],
    clock: Clock,
    dates: Dates,
    model: Model,
    chances: NDArray[np.float64],
    next_at: NDArray[np.int64],
) -> None:
    """Write the predictions of these buyers; what has no model, or no purchase, is missing.

    rows: int64[n]
    out: chances float64[4, rows]: p_alive, orders, amount, lifetime value; next_at int64[rows]
    """
    spans = model.weeks.shape[0]
    scratch, made = np.empty((3, spans)), np.empty(spans)
    discounted = 0.0
    # Buyers of one date differ by their age alone, and they are most: each age is summed once.
    oldest = 0
    for index in range(rows.shape[0]):
        if dates.repeats[index] == 0:
            oldest = max(oldest, dates.age[index])
    once = np.full((min(oldest, _REMEMBERED_DAYS) + 1, 2), np.nan)
    has_orders, has_alive = not np.isnan(model.orders[0]), not np.isnan(model.alive[0])
    has_spend = not np.isnan(model.spend[0])
    for index in range(rows.shape[0]):
        buyer = rows[index]
        chances[P_ALIVE, buyer] = np.nan
        chances[ORDERS, buyer] = np.nan
        chances[AMOUNT, buyer] = np.nan
        chances[LIFETIME, buyer] = np.nan
        next_at[buyer] = _NO_VALUE
        if dates.repeats[index] < 0:
            continue
        x = float(dates.repeats[index])
        recency = dates.recency[index] / _DAYS_PER_WEEK
        age = dates.age[index] / _DAYS_PER_WEEK
        if has_alive:
            alive = chance_alive(model.alive, x + 1.0, x, recency, age)
            chances[P_ALIVE, buyer] = alive
            if alive >= LEAST_ALIVE:
                # The gap of a buyer who buys at the rate expected of them at their last purchase.
                gap = (model.alive[1] + recency) / (model.alive[0] + x) * _DAYS_PER_WEEK
                if gap < _LAST_DAY - dates.last[index]:
                    day = dates.last[index] + np.int64(np.floor(gap + 0.5))
                    next_at[buyer] = day_start(day, clock.starts, clock.offsets)
        if not has_orders:
            continue
        if x == 0.0 and dates.age[index] < once.shape[0]:
            kept = dates.age[index]
            if np.isnan(once[kept, 0]):
                purchases_while_here(model.orders, x, age, model.weeks, scratch, made)
                once[kept, 0] = made[0]
                once[kept, 1] = worth_today(made, model.discount)
            expected, discounted = once[kept, 0], once[kept, 1]
        else:
            purchases_while_here(model.orders, x, age, model.weeks, scratch, made)
            expected, discounted = made[0], worth_today(made, model.discount)
        here = chance_alive(model.orders, x, x, recency, age)
        chances[ORDERS, buyer] = here * expected
        if has_spend and dates.total[index] != _NO_VALUE:
            amount = amount_of_a_date(
                model.spend, dates.valued[index], dates.total[index] / model.unit
            )
            chances[AMOUNT, buyer] = here * expected * amount
            chances[LIFETIME, buyer] = here * discounted * amount


@inlined
def worth_today(made: NDArray[np.float64], discount: NDArray[np.float64]) -> float:
    """Expected purchases of each step of the horizon, discounted and summed."""
    total, before = 0.0, 0.0
    for k in range(1, made.shape[0]):
        total += (made[k] - before) * discount[k]
        before = made[k]
    return total


@inlined
def amount_of_a_date(spend: NDArray[np.float64], valued: int, total: float) -> float:
    """The mean amount expected of a purchase date, in the currency; a total below 0 counts as 0."""
    p, q, v = spend[0], spend[1], spend[2]
    return p * (v + max(total, 0.0)) / (p * valued + q - 1.0)
