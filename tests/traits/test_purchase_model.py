"""Models of the next purchase: against published formulas, integrals, and stores made by them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import gammaln, hyp2f1
from scipy.stats import beta as beta_of
from scipy.stats import gamma as gamma_of

from segengine.kernels import jit
from segengine.traits import likelihoods, prediction_loops
from segengine.traits import purchase_model as model
from segengine.traits.purchase_model import RepeatParameters, SpendParameters

Floats = NDArray[np.float64]
UNIT = 100
CDNOW = RepeatParameters(0.243, 4.414, 0.793, 2.426)


class Made(NamedTuple):
    """Buyers made by known parameters; times in whole days, totals in hundredths."""

    repeats: NDArray[np.int32]
    recency: NDArray[np.int32]
    age: NDArray[np.int32]
    total: NDArray[np.int64]
    is_here: NDArray[np.bool_]
    later: NDArray[np.int64]
    """Purchases in the 90 days after today."""


def made(
    buyers: int, rates: RepeatParameters, spend: SpendParameters, *, spare: int, seed: int = 1
) -> Made:
    """Buyers who are born over 600 days, buy as the model says, and are seen 20 days after.

    A step of time is an hour, so that days round little; one purchase date at most is made of a
    day by counting different days.
    """
    rng = np.random.default_rng(seed)
    born = rng.uniform(0, 600, buyers)
    today = 620.0
    rate = rng.gamma(rates.r, 1 / rates.alpha, buyers) / 7
    leaves = rng.beta(rates.a, rates.b, buyers)
    size = rng.gamma(spend.q, 1 / spend.v, buyers)
    repeats, recency, total, later = (np.zeros(buyers, np.int64) for _ in range(4))
    is_here = np.ones(buyers, np.bool_)
    for k in range(buyers):
        at = born[k]
        seen = set()
        if spare and rng.random() < leaves[k]:
            is_here[k] = False
            continue
        while True:
            at += rng.exponential(1 / rate[k])
            if at >= today + 90:
                break
            if at < today:
                seen.add(int(at) - int(born[k]))
            else:
                later[k] += 1
            if rng.random() < leaves[k]:
                is_here[k] = at >= today
                break
        seen.discard(0)
        repeats[k], recency[k] = len(seen), max(seen, default=0)
        total[k] = round(UNIT * rng.gamma(spend.p, 1 / size[k], len(seen)).sum())
    age = np.floor(today) - np.floor(born)
    return Made(
        repeats.astype(np.int32), recency.astype(np.int32), age.astype(np.int32), total, is_here,
        later,
    )  # fmt: skip


def fitted(store: Made) -> model.PurchaseModel:
    return model.fit_purchase_model(
        store.repeats, store.recency, store.age, store.repeats, store.total, UNIT
    )


def parameters(found: Any) -> Floats:
    assert not isinstance(found, model.Refused), found
    return np.array(found)


def expected(of: RepeatParameters, x: float, age: float, weeks: list[float]) -> Floats:
    """Expected purchases of a buyer who is here."""
    out = np.empty(len(weeks))
    prediction_loops.purchases_while_here(
        np.array(of), x, age, np.array(weeks), np.empty((3, len(weeks))), out
    )
    return out


# --- likelihoods --------------------------------------------------------------------------------


def likelihood_of_one(
    of: RepeatParameters, x: int, recency: float, age: float, spare: int
) -> float:
    """The likelihood of one history, integrated over all rates and chances to leave.

    Here still: rate^x e^(-rate age) (1 - p)^chances; gone at the last date: p (1 - p)^(chances - 1)
    rate^x e^(-rate recency). Rates and chances are independent, so each integral is of one kind.
    """
    here, gone = halves(of, x, recency, age, spare)
    return here + gone


def halves(
    of: RepeatParameters, x: int, recency: float, age: float, spare: int
) -> tuple[float, float]:
    chances = x + spare

    def over_rates(until: float) -> float:
        rates = gamma_of(of.r, scale=1 / of.alpha)
        # By quantiles, where the density of small r is without end at 0.
        return quad(lambda u: rates.ppf(u) ** x * np.exp(-rates.ppf(u) * until), 0, 1, limit=200)[0]

    def over_chances(left: int, stayed: int) -> float:
        chance = beta_of(of.a, of.b)
        return quad(lambda u: chance.ppf(u) ** left * (1 - chance.ppf(u)) ** stayed, 0, 1)[0]

    here = over_rates(age) * over_chances(0, chances)
    gone = over_rates(recency) * over_chances(1, chances - 1) if chances else 0.0
    return here, gone


HISTORIES = [(0, 0.0, 30.0), (1, 3.0, 30.0), (3, 20.0, 22.0), (6, 5.0, 25.0)]
RATES = RepeatParameters(1.3, 6.0, 0.9, 2.4)


@pytest.mark.parametrize("spare", [0, 1])
@pytest.mark.parametrize(("x", "recency", "age"), HISTORIES)
def test_likelihood_is_the_integral_over_rates_and_chances(
    x: int, recency: float, age: float, spare: int
) -> None:
    one = likelihoods.Histories(*(np.array([v], np.float64) for v in (x, recency, age, 1)))
    value, _ = likelihoods.repeat_likelihood(np.array(RATES), one, spare)
    assert np.exp(value) == pytest.approx(
        likelihood_of_one(RATES, x, recency, age, spare), rel=1e-6
    )


@pytest.mark.parametrize("spare", [0, 1])
def test_slopes_are_those_of_the_likelihoods(spare: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 9, 50).astype(np.int32)
    recency = np.where(x > 0, rng.integers(1, 200, 50), 0).astype(np.int32)
    age = (recency + rng.integers(0, 200, 50)).astype(np.int32)
    found = likelihoods.histories(x, recency, age)
    at = np.array(RATES)
    slope = approx_fprime(at, lambda p: likelihoods.repeat_likelihood(p, found, spare)[0], 1e-7)
    assert likelihoods.repeat_likelihood(at, found, spare)[1] == pytest.approx(slope, rel=1e-4)
    taken = x > 0
    spent = likelihoods.spends(x[taken], rng.integers(1, 10**6, 50)[taken], UNIT)
    at = np.array([2.0, 3.0, 40.0])
    slope = approx_fprime(at, lambda p: likelihoods.spend_likelihood(p, spent)[0], 1e-7)
    assert likelihoods.spend_likelihood(at, spent)[1] == pytest.approx(slope, rel=1e-4)


def test_likelihood_of_spend_is_the_density_of_the_mean() -> None:
    """By the density of Fader and Hardie's note, formula (1a), of each buyer alone."""
    p, q, v = 6.25, 3.74, 15.44
    x, total = np.array([1, 2, 7, 7], np.int32), np.array([500, 20_000, 7, 30_000])
    means = total / UNIT / x
    logs = (
        gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v)
        + (p * x - 1) * np.log(means) + p * x * np.log(x) - (p * x + q) * np.log(v + means * x)
    )  # fmt: skip
    value, _ = likelihoods.spend_likelihood(np.array([p, q, v]), likelihoods.spends(x, total, UNIT))
    assert value == pytest.approx(logs.mean(), rel=1e-12)


def test_each_different_history_is_kept_once_with_its_share_of_buyers() -> None:
    x, recency, age = (np.array(v, np.int32) for v in ([1, 0, 1, 1], [7, 0, 7, 7], [21, 9, 21, 14]))
    found = likelihoods.histories(x, recency, age)
    assert found.repeats.tolist() == [0, 1, 1]
    assert found.recency.tolist() == [0, 1, 1]
    assert found.age.tolist() == [9 / 7, 2, 3]
    assert found.weight.tolist() == [0.25, 0.25, 0.5]


# --- fits ---------------------------------------------------------------------------------------

SPEND = SpendParameters(4.0, 3.5, 60.0)


@pytest.fixture(scope="module")
def store() -> Made:
    return made(12_000, RepeatParameters(0.9, 6.0, 0.8, 2.5), SPEND, spare=0)


@pytest.fixture(scope="module")
def modified() -> Made:
    return made(12_000, RepeatParameters(0.9, 6.0, 0.8, 2.5), SPEND, spare=1, seed=2)


def test_a_fit_finds_the_parameters_that_made_a_store(store: Made, modified: Made) -> None:
    """Dates merge a day's purchases and times are whole days, so that estimates lean a little."""
    assert parameters(fitted(store).orders) == pytest.approx([0.9, 6.0, 0.8, 2.5], rel=0.2)
    assert parameters(fitted(modified).alive) == pytest.approx([0.9, 6.0, 0.8, 2.5], rel=0.2)
    assert parameters(fitted(store).spend) == pytest.approx(SPEND, rel=0.1)


def test_predictions_come_true_among_buyers_made_by_the_model(store: Made, modified: Made) -> None:
    found = fitted(store)
    out = predicted(found, store)
    assert out[1].sum() == pytest.approx(store.later.sum(), rel=0.08)
    heavy = store.repeats >= 3
    assert out[1][heavy].sum() == pytest.approx(store.later[heavy].sum(), rel=0.08)
    alive = predicted(fitted(modified), modified)[0]
    for low in np.arange(0, 1, 0.2):
        some = (alive >= low) & (alive < low + 0.2)
        if some.sum() > 200:
            assert modified.is_here[some].mean() == pytest.approx(alive[some].mean(), abs=0.06)


def predicted(found: model.PurchaseModel, store: Made, *, unit: int = UNIT) -> Floats:
    """p_alive, expected orders, expected amount and lifetime value over 30 days: float64[4, n]."""
    count = len(store.repeats)
    none = np.full(4, np.nan)
    zone = prediction_loops.Clock(
        np.int64(0), np.int64(0), np.array([np.iinfo(np.int64).min]), np.zeros(1, np.int64)
    )
    out = np.zeros((4, count))
    prediction_loops.predict(
        np.arange(count), zone,
        prediction_loops.Dates(
            store.repeats, store.recency, store.age, store.repeats, store.total,
            np.zeros(count, np.int32),
        ),
        prediction_loops.Model(
            *(none if isinstance(v, model.Refused) else np.array(v)
              for v in (found.orders, found.alive, found.spend)),
            np.array([90 / 7, 30 / 7]), np.ones(2), np.float64(unit),
        ),
        out, np.zeros(count, np.int64),
    )  # fmt: skip
    return out


def test_a_fit_does_not_depend_on_the_order_of_buyers(store: Made) -> None:
    order = np.random.default_rng(5).permutation(len(store.repeats))
    assert fitted(Made(*(a[order] for a in store))) == fitted(store)


def best(found: likelihoods.Histories, spare: int) -> Floats:
    start = {"r": 1.0, "alpha": 9.0, "a": 1.0, "b": 2.0}
    search = model._Search(start, (1e-3,) * 4, (1e3,) * 4, "")
    return parameters(
        model._climb("", search, lambda at: likelihoods.repeat_likelihood(at, found, spare))
    )


def test_cells_change_estimates_by_less_than_a_500th(store: Made) -> None:
    days = (store.repeats, store.recency, store.age)
    exact = likelihoods.histories(*days)
    cells = likelihoods.histories(*days, most=1)
    assert 1 < len(cells.weight) <= len(exact.weight) // 2
    assert cells.weight.sum() == pytest.approx(1, rel=1e-12)
    for spare in (0, 1):
        assert best(cells, spare) == pytest.approx(best(exact, spare), rel=2e-3)
    taken = (store.repeats > 0) & (store.total > 0)
    spends = (store.repeats[taken], store.total[taken], UNIT)
    few = likelihoods.spends(*spends, most=1_000)
    assert len(few.weight) < len(likelihoods.spends(*spends).weight)
    at = np.array(SPEND)
    assert likelihoods.spend_likelihood(at, few)[0] == pytest.approx(
        likelihoods.spend_likelihood(at, likelihoods.spends(*spends))[0], rel=1e-6
    )


def test_the_currency_does_not_matter(store: Made) -> None:
    dear = fitted(store._replace(total=store.total * 100_000))
    p, q, v = parameters(fitted(store).spend)
    assert parameters(dear.spend) == pytest.approx([p, q, v * 100_000], rel=1e-5)


# --- refusals -----------------------------------------------------------------------------------


def flat(buyers: int, repeats: int, days: int) -> Made:
    """Buyers born on one date, some of whom came back once."""
    x = np.zeros(buyers, np.int32)
    x[:repeats] = 1
    age = np.full(buyers, days, np.int32)
    return Made(x, x * (days // 2), age, x * np.int64(1_000), x > 0, x.astype(np.int64))


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        (flat(0, 0, 0), "0 buyers with purchases on two dates or more, and 50 are needed; 0 dates"),
        (flat(199, 60, 400), "199 buyers with a purchase, and 200 are needed"),
        (flat(200, 49, 400), "49 buyers with purchases on two dates or more, and 50 are needed"),
        (flat(200, 50, 89), "89 dates from the first purchase to today, and 90 are needed"),
    ],
    ids=["nothing", "buyers", "repeats", "days"],
)  # fmt: skip
def test_too_few_purchases_are_refused_with_the_reason(store: Made, reason: str) -> None:
    found = fitted(store)
    for each in (found.orders, found.alive, found.spend):
        assert isinstance(each, model.Refused)
        assert reason in each.reason
    assert np.isnan(predicted(found, store)).all()


def test_purchases_that_are_not_what_the_model_is_of_are_refused() -> None:
    """All came back once and no more; nobody ever left."""
    rng = np.random.default_rng(1)
    here = rng.poisson(5, 500).astype(np.int32) + np.int32(1)
    days = np.full(500, 400, np.int32)
    nobody_left = Made(here, days, days, here * np.int64(1_000), here > 0, here.astype(np.int64))
    for store in (flat(500, 500, 400), nobody_left):
        found = fitted(store)
        for each in (found.orders, found.alive):
            assert isinstance(each, model.Refused)
            assert "NBD has no best " in each.reason
        assert np.isnan(predicted(found, store)).all()


def test_buyers_who_leave_alike_have_predictions() -> None:
    """The chances to leave run together, where BG/NBD is a model still."""
    store = made(3_000, RepeatParameters(0.9, 6.0, 800.0, 2_500.0), SPEND, spare=0)
    r, alpha, a, b = parameters(fitted(store).orders)
    assert (r, alpha, a / (a + b)) == pytest.approx((0.9, 6.0, 800 / 3_300), rel=0.1)
    assert predicted(fitted(store), store)[1].sum() == pytest.approx(store.later.sum(), rel=0.1)


def test_equal_amounts_are_expected_again(store: Made) -> None:
    equal = store._replace(total=store.repeats.astype(np.int64) * 1_000)
    found = fitted(equal)
    assert found.orders == fitted(store).orders
    _, orders, amount, value = predicted(found, equal)
    assert amount == pytest.approx(orders * 10, rel=2e-3)
    assert np.isfinite(value).all()


def test_amounts_without_a_mean_are_refused_and_orders_are_not(store: Made) -> None:
    """One amount in a buyer's place, and a few beyond all measure."""
    rng = np.random.default_rng(2)
    total = (rng.pareto(0.5, len(store.total)) * 1_000 + 1).astype(np.int64)
    found = fitted(store._replace(total=total))
    assert isinstance(found.spend, model.Refused)
    assert "Gamma-Gamma finds no mean amount: q is " in found.spend.reason
    assert found.orders == fitted(store).orders
    chances = predicted(found, store)
    assert np.isfinite(chances[:2]).all()
    assert np.isnan(chances[2:]).all()


def test_amounts_of_nothing_and_below_are_left_out(store: Made) -> None:
    total = store.total.copy()
    total[::2] = -total[::2]
    half = Made(*(a[1::2] for a in store))
    assert fitted(store._replace(total=total)).spend == fitted(half).spend
    found = fitted(store._replace(total=-store.total))
    assert isinstance(found.spend, model.Refused)
    assert "0 buyers with repeat purchases that come to more than 0" in found.spend.reason


# --- expectations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "of", [CDNOW, RepeatParameters(2.5, 20.0, 1.7, 4.0), RepeatParameters(0.9, 2.0, 3.0, 0.5)]
)
@pytest.mark.parametrize("x", [0, 1, 4, 19])
@pytest.mark.parametrize("age", [3.0, 38.86, 150.0])
def test_expected_purchases_are_those_of_the_published_formula(
    of: RepeatParameters, x: int, age: float
) -> None:
    """Formula (10) of Fader, Hardie and Lee, by scipy's hypergeometric function."""
    r, alpha, a, b = of
    weeks = [90 / 7, 1.0, 52.0]
    formula = [
        (a + b + x - 1) / (a - 1)
        * (1 - ((alpha + age) / (alpha + age + t)) ** (r + x)
           * hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + age + t)))
        for t in weeks
    ]  # fmt: skip
    assert expected(of, x, age, weeks) == pytest.approx(formula, rel=1e-9)


def test_expected_purchases_have_no_special_parameters() -> None:
    """At a = 1 and at a + b = 1 the published formula divides by zero."""
    for of in (RepeatParameters(0.5, 5.0, 1.0, 2.0), RepeatParameters(0.5, 5.0, 0.4, 0.6)):
        near = [RepeatParameters(of.r, of.alpha, of.a * e, of.b) for e in (1 - 1e-6, 1 + 1e-6)]
        low, high = (expected(n, 0, 9.0, [50.0])[0] for n in near)
        assert low > expected(of, 0, 9.0, [50.0])[0] > high


def test_where_nobody_leaves_purchases_are_those_of_the_rate() -> None:
    of = RepeatParameters(2.0, 8.0, 1e-12, 1.0)
    assert expected(of, 3, 10.0, [26.0]) == pytest.approx([5 / 18 * 26], rel=1e-9)


@pytest.mark.skipif(jit.JIT_OFF, reason="a million steps of plain Python")
def test_the_heaviest_buyer_and_the_newest_have_finite_expectations() -> None:
    heavy = expected(CDNOW, 5_000, 5_000 / 7, [90 / 7, 52.0])
    rate = (CDNOW.r + 5_000) / (CDNOW.alpha + 5_000 / 7)
    # The more a buyer has bought without leaving, the less they leave: nearly the rate.
    assert 0.9 * rate * 52 < heavy[1] < rate * 52
    assert heavy[0] == pytest.approx(heavy[1] * 90 / 364, rel=0.05)
    new = expected(RepeatParameters(0.2, 0.01, 0.5, 2.0), 0, 0.0, [90 / 7, 521.0])
    assert np.isfinite(new).all()
    assert 0 < new[0] < new[1]


@pytest.mark.parametrize(("x", "recency", "age"), HISTORIES)
def test_the_chance_to_be_alive_is_the_share_of_the_integrals(
    x: int, recency: float, age: float
) -> None:
    for spare in (0, 1):
        here, gone = halves(RATES, x, recency, age, spare)
        chance = prediction_loops.chance_alive(
            np.array(RATES), float(x + spare), float(x), recency, age
        )
        assert chance == pytest.approx(here / (here + gone), rel=1e-6)


def test_plain_bg_nbd_is_sure_of_a_buyer_of_one_date_and_the_modified_is_not() -> None:
    at = np.array(CDNOW)
    assert prediction_loops.chance_alive(at, 0.0, 0.0, 0.0, 30.0) == 1
    assert 0.3 < prediction_loops.chance_alive(at, 1.0, 0.0, 0.0, 30.0) < 0.9
    assert 0 < prediction_loops.chance_alive(at, 1e4, 1e4, 50.0, 5_000.0) < 1e-200


def test_the_amount_of_a_date_lies_between_the_buyers_and_everybodys() -> None:
    spend = np.array(SPEND)
    everybody = prediction_loops.amount_of_a_date(spend, 0, 0.0)
    assert everybody == pytest.approx(4.0 * 60 / 2.5)
    means = [prediction_loops.amount_of_a_date(spend, n, 10.0 * n) for n in (1, 5, 1_000)]
    assert everybody > means[0] > means[1] > means[2] > 10
    assert means[2] == pytest.approx(10, rel=0.01)
    assert prediction_loops.amount_of_a_date(spend, 2, -5.0) == pytest.approx(240 / (8 + 2.5))


def test_scipy_is_not_loaded_before_something_is_fitted() -> None:
    """Numba asks scipy for its version, which loads neither of the parts that take time."""
    code = (
        "import sys, segengine; segengine.Engine(); "
        "sys.exit('scipy.optimize' in sys.modules or 'scipy.special' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
