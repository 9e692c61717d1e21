"""Scores, groups and cut points, worked out again in plain Python."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import given

import segengine as se
from tests.reports.stores import AS_OF, Drawn, at, bought, drawn_shops, figure, rows, shop

Facts = dict[int, tuple[int, int, Decimal]]
HIGH = {"HHH": "important_value", "HLH": "important_develop", "LHH": "important_keep",
        "LLH": "important_win_back", "HHL": "general_value", "HLL": "general_develop",
        "LHL": "general_keep", "LLL": "general_win_back"}  # fmt: skip


def facts_of(drawn: Drawn) -> Facts:
    """Buyer -> days since the last purchase, purchases, amount."""
    days: dict[int, list[date]] = {}
    for buyer, day in drawn.seen(drawn.orders):
        days.setdefault(buyer, []).append(day)
    amounts = {buyer: Decimal(0) for buyer in days}
    for row in drawn.orders:
        if row["time"] <= drawn.as_of:
            amounts[row["customer_id"]] += row["amount"] or 0
    return {
        buyer: ((drawn.today - max(found)).days, len(found), amounts[buyer])
        for buyer, found in days.items()
    }


def cuts_of(values: list[Fraction]) -> list[Fraction]:
    ordered = sorted(values)
    found = []
    for k in range(1, 5):
        place = Fraction(k, 5) * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        found.append(ordered[low] + (place - low) * (ordered[high] - ordered[low]))
    return found


def scores_of(facts: Facts) -> dict[int, tuple[int, int, int]]:
    cuts = [cuts_of([Fraction(f[place]) for f in facts.values()]) for place in range(3)]
    below = {
        buyer: [sum(cut < Fraction(f[place]) for cut in cuts[place]) for place in range(3)]
        for buyer, f in facts.items()
    }
    return {buyer: (5 - r, 1 + f, 1 + m) for buyer, (r, f, m) in below.items()}


@given(drawn_shops())
def test_grid_groups_and_cuts_are_those_of_plain_python(drawn: Drawn) -> None:
    report = drawn.engine().report("rfm")
    facts = facts_of(drawn)
    scores = scores_of(facts) if facts else {}
    assert figure(report, "buyers").value == len(facts)
    sales = sum((f[2] for f in facts.values()), Decimal(0))
    assert figure(report, "sales").value == sales
    for cell, (r, f) in zip(rows(report, "grid"), product(range(5, 0, -1), range(1, 6)),
                            strict=True):  # fmt: skip
        inside = [b for b, score in scores.items() if score[:2] == (r, f)]
        assert (cell["r_score"], cell["f_score"], cell["buyers"]) == (r, f, len(inside))
        assert cell["sales"] == sum((facts[b][2] for b in inside), Decimal(0))
        assert cell["share"] == (len(inside) / len(facts) if facts else None)
        mean = sum(scores[b][2] for b in inside) / len(inside) if inside else None
        assert cell["mean_m_score"] == (None if mean is None else pytest.approx(mean))
    if not facts:
        return
    means = [sum(s[k] for s in scores.values()) / len(scores) for k in range(3)]
    groups = {
        b: HIGH["".join("H" if s[k] > means[k] else "L" for k in range(3))]
        for b, s in scores.items()
    }
    for row in rows(report, "groups"):
        inside = [b for b, group in groups.items() if group == row["rfm_group"]]
        assert row["buyers"] == len(inside)
        assert row["sales"] == sum((facts[b][2] for b in inside), Decimal(0))
        for name, place in (("mean_recency_days", 0), ("mean_orders", 1), ("mean_amount", 2)):
            mean = float(sum(facts[b][place] for b in inside)) / len(inside) if inside else None
            assert row[name] == (None if mean is None else pytest.approx(mean))
    *cuts, last = rows(report, "cuts")
    for place, name in enumerate(("recency_days", "order_count", "amount_total")):
        expected = cuts_of([Fraction(f[place]) for f in facts.values()])
        assert [cut[name] for cut in cuts] == pytest.approx([float(c) for c in expected])
        assert last[name] == pytest.approx(means[place])


@given(drawn_shops())
def test_what_each_score_holds_covers_every_buyer_once(drawn: Drawn) -> None:
    held = rows(drawn.engine().report("rfm"), "scores")
    buyers = len(facts_of(drawn))
    for name in ("recency", "orders", "amount"):
        assert sum(row[f"{name}_buyers"] for row in held) == buyers
        known = [(row[f"{name}_lowest"], row[f"{name}_highest"]) for row in held
                 if row[f"{name}_buyers"]]  # fmt: skip
        # Ranges of different scores do not meet; recency falls as scores rise.
        ordered = known if name == "recency" else known[::-1]
        assert all(a[1] < b[0] for a, b in pairwise(ordered))


def test_a_fit_stays_that_of_the_load_while_buyers_are_appended() -> None:
    engine = shop(bought(1, "2024-03-01") + bought(2, "2024-01-01", "2024-02-01"))
    before = engine.report("rfm")
    engine.append("orders", _order(3))
    after = engine.report("rfm")
    assert (figure(before, "buyers").value, figure(after, "buyers").value) == (2, 3)
    assert figure(after, "fitted_buyers").value == 2
    assert figure(after, "fitted_at").value == "2024-03-31T21:30:00Z"
    assert rows(after, "cuts") == rows(before, "cuts")


def _order(customer: int) -> object:
    import pyarrow as pa

    return pa.table({"customer_id": [customer], "time": [at("2024-03-31 21:00")],
                     "amount": [Decimal("5.00")]})  # fmt: skip


def test_given_cuts_are_said_to_be_given() -> None:
    fixed = {"mode": "fixed", "recency": [1, 2, 3, 4], "orders": [1, 2, 3, 4],
             "amount": [1, 2, 3, 4.5]}  # fmt: skip
    engine = se.Engine(as_of=AS_OF, config={"rfm": fixed})
    engine.load("orders", _order(1))
    report = engine.report("rfm")
    assert [row["amount_total"] for row in rows(report, "cuts")][:4] == [1, 2, 3, 4.5]
    (cuts,) = [t for t in report.tables if t.name == "cuts"]
    assert "given in store.toml" in cuts.formula


def test_sales_below_zero_have_no_shares() -> None:
    report = shop(bought(1, "2024-03-01", amount="-2")).report("rfm")
    assert figure(report, "sales").value == Decimal(-2)
    assert {row["share_of_sales"] for row in rows(report, "grid")} == {None}


def test_a_store_without_purchases_says_so() -> None:
    for engine in (se.Engine(as_of=AS_OF), shop(customers=[{"customer_id": 1}])):
        report = engine.report("rfm")
        assert "No buyer has a purchase" in report.notes[0]
        assert figure(report, "buyers").value == 0
        assert figure(report, "mean_r_score").value is None
        assert {row["buyers"] for row in rows(report, "groups")} == {0}


def test_equal_buyers_share_every_score() -> None:
    report = shop([row for c in range(1, 8) for row in bought(c, "2024-03-01")]).report("rfm")
    counts = [row["buyers"] for row in rows(report, "grid") if row["buyers"]]
    assert counts == [7]
    assert rows(report, "scores")[0]["recency_lowest"] == 30
