"""The settled order count is the first X at 90 % of the level, by whole numbers."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from segengine.reports.settled_orders import Settled, settled
from tests.reports.stores import bought, figure, rows, shop


def by_fractions(reached: list[int]) -> tuple[int, Fraction] | None:
    """The definition, with fractions."""
    reaching = dict(enumerate([*reached, 0], 1))
    enough = [x for x in range(1, len(reached) + 1) if reaching[x] >= 100]
    upper = [x for x in enough if x > Fraction(len(enough), 2)]
    if not upper:
        return None
    level = Fraction(sum(reaching[x + 1] for x in upper), sum(reaching[x] for x in upper))
    if not level:
        return None
    p = {x: Fraction(reaching[x + 1], reaching[x]) for x in enough}
    return next(x for x in enough if p[x] >= Fraction(9, 10) * level), level


@given(st.lists(st.integers(1, 3_000), max_size=30))
def test_it_is_the_definition(counts: list[int]) -> None:
    reached = sorted(counts, reverse=True)
    found = settled(reached)
    expected = by_fractions(reached)
    if found is None:
        assert expected is None
    else:
        assert (found.orders, Fraction(found.next, found.reached)) == expected


def test_exactly_nine_tenths_of_the_level_is_settled() -> None:
    # p(1) = 108 / 240 = .45, and the level is p(2) = 54 / 108 = .5.
    assert settled([240, 108, 54]) == Settled(1, 54, 108, 2, 2)
    assert settled([241, 108, 54]) == Settled(2, 54, 108, 2, 2)


def test_the_middle_of_an_odd_number_counts_to_the_upper_half() -> None:
    found = settled([1_000, 500, 400, 350, 320, 10])
    assert found is not None
    assert (found.from_orders, found.to_orders) == (3, 5)


def test_fewer_than_a_hundred_buyers_or_none_who_came_back_settle_nothing() -> None:
    assert settled([]) is None
    assert settled([99, 99, 99]) is None
    assert settled([500]) is None


def test_what_is_settled_is_said_to_be_a_correlation_and_what_is_not_says_why() -> None:
    report = shop(bought(1, "2024-01-01", "2024-01-02")).report("repurchase")
    assert figure(report, "settled_order_count").value is None
    assert figure(report, "plateau").value is None
    assert any("correlation" in note for note in report.notes)
    assert any("needs 100 buyers with a purchase, and there are 1" in n for n in report.notes)
    once = [row for c in range(1, 121) for row in bought(c, "2024-01-01")]
    assert any("nobody came back" in n for n in shop(once).report("repurchase").notes)


def test_old_buyers_are_those_whose_xth_order_is_older_than_180_dates() -> None:
    # 2024-03-31 less 180 dates is 2023-10-03: older is 2023-10-02 and before.
    orders = [
        *bought(1, "2023-10-02T23:00", "2024-03-01"),
        *bought(2, "2023-10-03T01:00", "2024-03-01"),
        *bought(3, "2023-01-01"),
    ]
    first, second = rows(shop(orders).report("repurchase"), "after_orders")
    assert first == {
        "orders": 1, "buyers": 3, "buyers_next": 2, "rate": 2 / 3,
        "old_buyers": 2, "old_buyers_next": 1, "old_rate": 1 / 2,
    }  # fmt: skip
    assert (second["buyers"], second["buyers_next"], second["rate"]) == (2, 0, 0.0)
    assert (second["old_buyers"], second["old_rate"]) == (0, None)
