"""What `reports/lift.py` says, beside scipy and beside the formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import contingency

from segengine.reports import lift
from segengine.reports.lift import Mean, Rate, lift_of_means, lift_of_rates, sample_ratio

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
counts = st.integers(1, 5_000)


@st.composite
def rates(draw: st.DrawFn, *, hits: int = 0) -> Rate:
    count = draw(st.integers(max(hits, 1), 5_000))
    return Rate(draw(st.integers(hits, count)), count)


def near(value: float | None) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


@EXAMPLES
@given(rates(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_of_a_share_is_that_of_scipy(rate: Rate, level: float) -> None:
    found = stats.binomtest(rate.hits, rate.count).proportion_ci(level, method="wilson")
    assert lift.wilson(rate, level) == (near(found.low), near(found.high))


@EXAMPLES
@given(rates(), rates())
def test_the_interval_of_two_shares_is_newcombes(treated: Rate, control: Rate) -> None:
    p1, p0 = treated.hits / treated.count, control.hits / control.count
    a = stats.binomtest(treated.hits, treated.count).proportion_ci(0.95, method="wilson")
    b = stats.binomtest(control.hits, control.count).proportion_ci(0.95, method="wilson")
    found = lift_of_rates(treated, control)
    low = p1 - p0 - math.sqrt((p1 - a.low) ** 2 + (b.high - p0) ** 2)
    high = p1 - p0 + math.sqrt((a.high - p1) ** 2 + (p0 - b.low) ** 2)
    assert (found.interval.low, found.interval.high) == (near(low), near(high))
    assert found.absolute == near(p1 - p0)


@EXAMPLES
@given(rates(hits=1), rates(hits=1))
def test_the_ratio_of_two_shares_and_its_interval_are_those_of_scipy(a: Rate, b: Rate) -> None:
    wanted = contingency.relative_risk(a.hits, a.count, b.hits, b.count)
    low, high = wanted.confidence_interval(0.95)
    found = lift_of_rates(a, b)
    assert found.relative == near(wanted.relative_risk - 1)
    assert found.relative_interval == lift.Interval(near(low - 1), near(high - 1))  # type: ignore[arg-type]


@EXAMPLES
@given(rates(), rates())
def test_the_test_of_two_shares_is_the_chi_square_test_of_scipy(a: Rate, b: Rate) -> None:
    hits = a.hits + b.hits
    found = lift_of_rates(a, b)
    if hits in (0, a.count + b.count):
        assert found.p is None
        return
    table = [[a.hits, a.count - a.hits], [b.hits, b.count - b.hits]]
    assert found.p == near(float(stats.chi2_contingency(table, correction=False).pvalue))


def test_newcombes_own_example_comes_out() -> None:
    """56 of 70 against 48 of 80: his table II, method 10."""
    found = lift_of_rates(Rate(56, 70), Rate(48, 80))
    assert found.interval.low == pytest.approx(0.0524, abs=5e-5)
    assert found.interval.high == pytest.approx(0.3339, abs=5e-5)


samples = st.lists(st.integers(0, 900).map(float), min_size=2, max_size=30).filter(
    lambda values: len(set(values)) > 1
)


def described(values: list[float]) -> Mean:
    return Mean(len(values), float(np.mean(values)), float(np.var(values, ddof=1)))


@EXAMPLES
@given(samples, samples)
def test_the_difference_of_means_is_welchs_in_scipy(a: list[float], b: list[float]) -> None:
    treated, control = described(a), described(b)
    found = lift_of_means(treated, control)
    if treated.variance + control.variance <= 1e-9:
        return
    wanted = stats.ttest_ind(a, b, equal_var=False)
    between = wanted.confidence_interval(0.95)
    scale = max(*a, *b, 1.0)
    assert found.interval.low == pytest.approx(between.low, rel=1e-7, abs=1e-7 * scale)
    assert found.interval.high == pytest.approx(between.high, rel=1e-7, abs=1e-7 * scale)
    assert found.p == pytest.approx(float(wanted.pvalue), rel=1e-6, abs=1e-12)


@EXAMPLES
@given(samples, samples)
def test_fiellers_bounds_are_the_ratios_at_which_the_difference_is_just_told_from_none(
    a: list[float], b: list[float]
) -> None:
    treated, control = described(a), described(b)
    found = lift_of_means(treated, control).relative_interval
    if found.low is None or found.high is None:
        return
    e1, e0 = treated.variance / treated.count, control.variance / control.count
    freedom = (e1 + e0) ** 2 / (e1**2 / (treated.count - 1) + e0**2 / (control.count - 1))
    t = float(stats.t.ppf(0.975, freedom))
    for bound in (found.low, found.high):
        ratio = 1 + bound
        off = (treated.mean - ratio * control.mean) ** 2
        wide = t * t * (e1 + ratio * ratio * e0)
        assert off == pytest.approx(wide, rel=1e-4, abs=1e-6 * max(treated.mean, 1) ** 2)
    assert found.low <= treated.mean / control.mean - 1 <= found.high


def test_an_arm_without_a_spread_or_without_two_is_nothing_to_compare() -> None:
    one, flat = Mean(1, 5.0, 0.0), Mean(9, 5.0, 0.0)
    for treated, control in ((one, flat), (flat, one), (flat, flat)):
        assert lift_of_means(treated, control).verdict == lift.NOTHING
    for a, b in ((Rate(0, 0), Rate(1, 2)), (Rate(1, 2), Rate(0, 0))):
        assert lift_of_rates(a, b).verdict == lift.NOTHING


@EXAMPLES
@given(st.lists(st.integers(0, 900), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_the_sample_ratio_is_the_chi_square_test_of_scipy(
    observed: list[int], draw: object
) -> None:
    weights = [1 + k for k in range(len(observed))]
    shares = [w / sum(weights) for w in weights]
    found = sample_ratio(observed, shares)
    if not sum(observed):
        assert found is None
        return
    assert found is not None
    wanted = stats.chisquare(observed, [sum(observed) * share for share in shares])
    assert found == (near(float(wanted.statistic)), near(float(wanted.pvalue)))


def test_a_single_arm_or_one_that_nobody_should_be_in_has_no_ratio() -> None:
    assert sample_ratio([5], [1.0]) is None
    assert sample_ratio([5, 0], [1.0, 0.0]) is None


@pytest.mark.parametrize(
    ("treated", "control", "verdict"),
    [
        (Rate(1_300, 10_000), Rate(1_000, 10_000), lift.MORE),
        (Rate(1_000, 10_000), Rate(1_300, 10_000), lift.LESS),
        (Rate(50_000, 500_000), Rate(50_100, 500_000), lift.SAME),
        (Rate(12, 100), Rate(10, 100), lift.SMALL),
        (Rate(0, 100), Rate(0, 100), lift.SMALL),
    ],
)
def test_a_verdict_follows_from_the_interval(treated: Rate, control: Rate, verdict: str) -> None:
    assert lift_of_rates(treated, control).verdict == verdict


def test_with_so_many_as_are_needed_the_test_finds_the_lift_four_times_in_five() -> None:
    found = lift_of_rates(Rate(30, 300), Rate(10, 100))
    assert found.verdict == lift.SMALL
    assert found.needed is not None
    control = round(found.needed / 4)
    drawn = np.random.default_rng(7)
    times = 2_000
    hits1 = drawn.binomial(3 * control, 0.11, times)
    hits0 = drawn.binomial(control, 0.10, times)
    seen = sum(
        (lift_of_rates(Rate(int(a), 3 * control), Rate(int(b), control)).p or 1) < 0.05
        for a, b in zip(hits1, hits0, strict=True)
    )
    assert seen / times == pytest.approx(0.8, abs=0.03)


def test_with_so_many_as_are_needed_a_difference_of_means_is_found_four_times_in_five() -> None:
    small = lift_of_means(Mean(60, 20.0, 900.0), Mean(30, 20.0, 900.0))
    assert small.verdict == lift.SMALL
    assert small.needed is not None
    control = round(small.needed / 3)
    drawn = np.random.default_rng(11)
    times = 2_000
    means1 = drawn.normal(22, 30 / math.sqrt(2 * control), times)
    means0 = drawn.normal(20, 30 / math.sqrt(control), times)
    seen = sum(
        (lift_of_means(Mean(2 * control, a, 900.0), Mean(control, b, 900.0)).p or 1) < 0.05
        for a, b in zip(means1, means0, strict=True)
    )
    assert seen / times == pytest.approx(0.8, abs=0.03)


def test_nobody_is_told_how_many_are_needed_where_nothing_happened_at_all() -> None:
    assert lift_of_rates(Rate(0, 50), Rate(0, 50)).needed is None
