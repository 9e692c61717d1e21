"""What did a run do beyond doing nothing, and its variants beyond each other? Were arms as dealt?

All that `lift.py` says, as tables of a report: an arm beside the held-out, variants two by two, and
the sizes of arms beside those that were designed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from segengine.audiences.bucketing import BUCKETS, share_limit, variant_table
from segengine.audiences.runs import HELD_OUT, NO_VARIANT, RunFacts
from segengine.reports import lift
from segengine.reports.campaign_units import Arm, together
from segengine.reports.lift import LEVEL, Lift, lift_of_means, lift_of_rates, sample_ratio
from segengine.reports.report import MONEY, SHARE, Picture, Table

ALL = "all"
"""The targeted of a run, whatever their variant."""
Arms = Mapping[tuple[int, int], Arm]
_WORTH = f"{lift.WORTH:.0%}".replace("%", " %")
_NEEDED = (
    f"needed: buyers of both arms together with whom a lift of {_WORTH} would be seen, at 5 %, "
    f"four times in five; {lift.SMALL}: the interval holds 0 and a lift of {_WORTH} too"
)
_BASE = (
    "treated: buyers sent, delivered or not, so that arms are as they were dealt; held out: those "
    "with a row held_out; the window of both is as long"
)
_RATES = (
    "lift = value - value of the held-out, with Newcombe's 95 % interval (method 10, from "
    "Wilson's); relative = value / value of the held-out - 1, with Katz's logarithmic interval; "
    "p: chi-square test without correction"
)
_MEANS = (
    "value: mean over all buyers of the arm, those who bought nothing among them; lift = value - "
    "value of the held-out, with Welch's 95 % interval; relative = value / value of the held-out - "
    "1, by Fieller's theorem; p: Welch's test"
)
Measure = tuple[
    str, str, str, str, Callable[[Arm, Arm, float], Lift], Callable[[Arm], float | None]
]


def _response(treated: Arm, control: Arm, level: float) -> Lift:
    return lift_of_rates(treated.response, control.response, level)


def _conversion(treated: Arm, control: Arm, level: float) -> Lift:
    return lift_of_rates(treated.conversion, control.conversion, level)


def _sales(treated: Arm, control: Arm, level: float) -> Lift:
    return lift_of_means(treated.sales, control.sales, level)


MEASURES: tuple[Measure, ...] = (
    ("response", "response rate", SHARE,
     f"value: share with an answer to the goal, clicks aside: no held-out can make one; {_RATES}",
     _response, lambda arm: arm.response.value),
    ("conversion", "conversion", SHARE, f"value: share with a purchase; {_RATES}", _conversion,
     lambda arm: arm.conversion.value),
    ("sales", "sales per buyer of the arm", MONEY, _MEANS, _sales, lambda arm: arm.sales.value),
)  # fmt: skip


def treated_arms(facts: RunFacts, run: int, arms: Arms) -> list[tuple[str, Arm]]:
    """All targeted of a run, then each variant, as far as their windows have begun."""
    numbers = range(len(facts.variants)) if facts.variants else (NO_VARIANT,)
    there = [(number, arms[run, number]) for number in numbers if (run, number) in arms]
    if not there:
        return []
    found = [(ALL, together([arm for _, arm in there]))]
    if facts.variants:
        found += [(facts.variants[number][0], arm) for number, arm in there]
    return found


def lift_tables(
    runs: Sequence[RunFacts], arms: Arms, only_clicks: Sequence[bool]
) -> tuple[list[Table], dict[str, list[Lift]]]:
    """A table for each measure; and by measure the lift of all targeted, of each run."""
    tables = []
    whole: dict[str, list[Lift]] = {}
    for name, title, unit, formula, lifted, value in MEASURES:
        rows: list[tuple[object, ...]] = []
        of_runs = whole.setdefault(name, [])
        for number, facts in enumerate(runs):
            control = arms.get((number, HELD_OUT))
            if control is None or (name == "response" and only_clicks[number]):
                continue
            for arm, treated in treated_arms(facts, number, arms):
                found = lifted(treated, control, LEVEL)
                if arm == ALL:
                    of_runs.append(found)
                label = arm if len(runs) == 1 else f"{facts.run}, {arm}"
                rows.append((
                    label, treated.sales.count, value(treated), control.sales.count,
                    value(control), found.absolute, found.interval.low, found.interval.high,
                    found.relative, found.relative_interval.low, found.relative_interval.high,
                    found.p, found.verdict, found.needed,
                ))  # fmt: skip
        tables.append(
            Table(
                f"lift_in_{name}",
                f"Lift in {title}",
                f"{formula}; {_BASE}; {_NEEDED}",
                ("arm", "treated", "value", "held_out", "held_out_value", "lift", "low", "high",
                 "relative", "relative_low", "relative_high", "p", "verdict", "needed"),
                tuple(rows),
                Picture("intervals", "arm", ("lift", "low", "high")),
                ("", "buyers", unit, "buyers", unit, unit, unit, unit, SHARE, SHARE, SHARE, "", "",
                 "buyers"),
            )
        )  # fmt: skip
    return tables, whole


def compared_tables(runs: Sequence[RunFacts], arms: Arms) -> list[Table]:
    """Variants two by two, a table for each measure; none where no run has two."""
    tables = []
    for name, title, unit, formula, lifted, value in MEASURES:
        rows: list[tuple[object, ...]] = []
        for number, facts in enumerate(runs):
            there = [arm for arm in treated_arms(facts, number, arms) if arm[0] != ALL]
            pairs = list(combinations(there, 2))
            level = 1 - (1 - LEVEL) / max(len(pairs), 1)
            for (one, a), (other, b) in pairs:
                found = lifted(a, b, level)
                p = None if found.p is None else min(1.0, found.p * len(pairs))
                rows.append((
                    facts.run, one, other, value(a), value(b), found.absolute, found.interval.low,
                    found.interval.high, p, found.verdict, found.needed,
                ))  # fmt: skip
        if rows:
            said = formula.replace("the held-out", "the other").replace("95 % interval", "interval")
            tables.append(
                Table(
                    f"variants_in_{name}",
                    f"Variants beside each other: {title}",
                    f"{said}; several comparisons of a run: Bonferroni's, each interval at 1 - 5 % "
                    f"/ comparisons and p x comparisons; {_NEEDED}",
                    ("run", "variant", "other", "value", "other_value", "difference", "low", "high",
                     "p", "verdict", "needed"),
                    tuple(rows),
                    None,
                    ("", "", "", unit, unit, unit, unit, unit, "", "", "buyers"),
                )
            )  # fmt: skip
    return tables


def ratio_table(runs: Sequence[RunFacts]) -> tuple[Table, list[str]]:
    """Sizes of arms as the run froze them, beside those designed; and what is suspect."""
    rows: list[tuple[object, ...]] = []
    notes = []
    for facts in runs:
        checks: list[tuple[str, list[str], list[int], list[float]]] = []
        if facts.holdout > 0:
            share = share_limit(facts.holdout) / BUCKETS
            sizes = [sum(facts.targeted), facts.held_out]
            checks.append(("holdout", ["targeted", "held out"], sizes, [1 - share, share]))
        if len(facts.variants) > 1:
            dealt = variant_table([weight for _, weight in facts.variants])
            shares = [float((dealt == k).mean()) for k in range(len(facts.variants))]
            names = [name for name, _ in facts.variants]
            checks.append(("variants", names, list(facts.targeted), shares))
        for check, names, observed, shares in checks:
            found = _ratio_of_dealt(observed, shares)
            chi, p = (None, None) if found is None else found
            verdict = "nothing to test" if p is None else "as designed"
            if p is not None and p < lift.SUSPECT:
                verdict = "not as designed"
                notes.append(
                    f"run `{facts.run}`: the {check} is not dealt as designed (p = {p:.2g}): do "
                    "not trust its lift before you know why"
                )
            total = sum(observed)
            for name, count, share in zip(names, observed, shares, strict=True):
                rows.append((
                    facts.run, check, name, share, total * share, count, chi, p, verdict,
                ))  # fmt: skip
    return (
        Table(
            "sample_ratio",
            "Are the arms as large as designed?",
            "observed: buyers as frozen, those deleted since among them; expected = share x all; "
            "chi_square = sum of (observed - expected)^2 / expected, p from as many degrees of "
            f"freedom as arms less 1; not as designed: p below {lift.SUSPECT:g}",
            ("run", "check", "arm", "share", "expected", "observed", "chi_square", "p", "verdict"),
            tuple(rows),
            None,
            ("", "", "", SHARE, "buyers", "buyers", "", "", ""),
        ),
        notes,
    )


def _ratio_of_dealt(observed: Sequence[int], shares: Sequence[float]) -> tuple[float, float] | None:
    """The check of the arms that are dealt at all: one of weight 0 hides no fault of the others."""
    dealt = [place for place, share in enumerate(shares) if share > 0]
    return sample_ratio([observed[place] for place in dealt], [shares[place] for place in dealt])
