"""Two segments side by side."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from tests.reports.stores import bought, figure, rows, shop


@given(st.lists(st.sampled_from(["x", "y", "xy", ""]), max_size=30))
def test_overlap_is_that_of_sets_and_adds_up(members: list[str]) -> None:
    customers = [{"customer_id": n, "tags": list(tags)} for n, tags in enumerate(members)]
    engine = shop(customers=customers)
    report = engine.report("compare", "list_has(tags, 'x')", "list_has(tags, 'y')")
    a, b = ({n for n, tags in enumerate(members) if tag in tags} for tag in "xy")
    value = {f.name: f.value for f in report.figures}
    counts = ("a", "b", "both", "only_a", "only_b", "either")
    sets = (a, b, a & b, a - b, b - a, a | b)
    assert [value[name] for name in counts] == [len(each) for each in sets]
    for name, whole in (("shared_of_a", a), ("shared_of_b", b), ("shared_of_either", a | b)):
        assert value[name] == (len(a & b) / len(whole) if whole else None)


def test_the_same_rows_for_both_with_the_difference() -> None:
    customers = [
        {"customer_id": c, "gender": g} for c, g in [(1, "f"), (2, "m"), (3, "m"), (4, None)]
    ]
    orders = [*bought(1, "2024-03-01", "2024-03-05"), *bought(2, "2024-03-01", amount="7.50")]
    report = shop(orders, customers=customers).report(
        "compare", "customer_id <= 2", "customer_id >= 2", traits="gender,order_count"
    )
    assert [tuple(r.values()) for r in rows(report, "totals")] == [
        ("customers", "buyers", 2, 3, -1),
        ("buyers", "buyers", 2, 1, 1),
        ("orders", "orders", 3, 1, 2),
        ("sales", "money", Decimal("27.5"), Decimal("7.5"), Decimal(20)),
        ("sales_per_buyer", "money", 13.75, 7.5, 6.25),
        ("sales_per_order", "money", 27.5 / 3, 7.5, 27.5 / 3 - 7.5),
    ]
    found = [tuple(r.values()) for r in rows(report, "trait_gender")]
    assert found == [
        ("m", 1, 0.5, 2, 2 / 3, 0.5 - 2 / 3),
        ("f", 1, 0.5, 0, 0.0, 0.5),
        ("(missing)", 0, 0.0, 1, 1 / 3, -1 / 3),
    ]
    (quantity,) = rows(report, "quantities")
    assert quantity == {
        "trait": "order_count", "unit": "purchases", "a_known": 2, "a_mean": 1.5, "a_median": 1.5,
        "b_known": 3, "b_mean": 1 / 3, "b_median": 0.0, "mean_difference": 1.5 - 1 / 3,
        "median_difference": 1.5,
    }  # fmt: skip


def test_a_segment_beside_itself_does_not_differ() -> None:
    engine = shop(bought(1, "2024-03-01"), customers=[{"customer_id": 1, "gender": "f"}])
    report = engine.report("compare", "true", "true")
    for table in report.tables:
        for row in rows(report, table.name):
            differences = [v for k, v in row.items() if k.endswith("difference")]
            assert all(not difference for difference in differences)


def test_nobody_in_one_of_them_is_said() -> None:
    report = shop(bought(1, "2024-03-01")).report("compare", "true", "false")
    assert figure(report, "shared_of_b").value is None
    assert "nobody is in `false`: there are no shares of it" in report.notes


@pytest.mark.parametrize("segments", [(), ("true",), ("true", "true", "true")])
def test_two_segments_are_compared(segments: tuple[str, ...]) -> None:
    with pytest.raises(se.SegengineError, match="is asked about two segments"):
        shop().report("compare", *segments)
