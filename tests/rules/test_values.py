"""language.md's table of values, one test for each matter that it decides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from tests.rules.stores import AS_OF, CONFIG, ids, little_store

MOST = 2**63 - 1


@pytest.fixture(scope="module")
def store() -> se.Engine:
    """One buyer, 1, of whom every trait is known, and one, 2, of whom none is."""
    engine = se.Engine(as_of=AS_OF, config=CONFIG)
    values: dict[str, tuple[Any, pa.DataType]] = {
        "n": (7, pa.int64()), "minus": (-7, pa.int64()), "zero": (0, pa.int64()),
        "most": (MOST, pa.int64()), "least": (-MOST, pa.int64()),
        "x": (2.5, pa.float64()), "huge": (1e308, pa.float64()), "nil": (0.0, pa.float64()),
        "spent": (Decimal("0.1"), pa.decimal128(18, 4)), "price": (Decimal("0.2"),
                                                                   pa.decimal128(18, 4)),
        "flag": (True, pa.bool_()), "off": (False, pa.bool_()),
        "city": ("Hangzhou", pa.string()), "odd": ("50% a_b\\c", pa.string()),
        "emoji": ("😀", pa.string()), "last_bmp": ("\uffff", pa.string()),
        "born": (date(1992, 2, 29), pa.date32()),
        "seen": (datetime(2024, 2, 29, 17, tzinfo=UTC), pa.timestamp("us", "UTC")),
        "labels": (["a", None, "b"], pa.list_(pa.string())), "tags": (["vip"],
                                                                      pa.list_(pa.string())),
    }  # fmt: skip
    columns = {name: pa.array([value, None], kind) for name, (value, kind) in values.items()}
    table = pa.table({"customer_id": pa.array([1, 2], pa.int64()), **columns})
    engine.load("customers", table, columns={n: n for n in values if n not in ("city", "tags")})
    return engine


def true_of(store: se.Engine, *rules: str) -> None:
    """Each rule holds for 1, its opposite does not, and neither says anything of 2."""
    for rule in rules:
        assert ids(store, rule) == {1}, rule
        assert ids(store, f"NOT ({rule})") == set(), rule


def unknown_of(store: se.Engine, *values: str) -> None:
    for value in values:
        assert ids(store, f"({value}) IS NULL") == {1, 2}, value


@pytest.mark.parametrize("value", ["most + 1", "least - 1", "most * 2", "least * 2", "most - least",
                                   "most * most", "-(least) + 1", "most + most"])  # fmt: skip
def test_whole_numbers_beyond_64_bits_are_null(store: se.Engine, value: str) -> None:
    unknown_of(store, value)


def test_sums_and_products_of_whole_numbers_are_exact(store: se.Engine) -> None:
    true_of(store, f"most - 1 = {MOST - 1}", f"least + 1 = {1 - MOST}", "n * minus = -49",
            f"most - 0 = {MOST}", "-n = minus", "abs(minus) = n")  # fmt: skip


def test_division_gives_a_double_and_null_by_zero(store: se.Engine) -> None:
    true_of(store, "n / 2 = 3.5", "n / minus = -1", "x / 2 = 1.25")
    unknown_of(store, "n / 0", "n / zero", "n / nil", "x / 0.0", "nil / nil")


def test_whole_division_goes_towards_zero_and_is_null_by_zero(store: se.Engine) -> None:
    true_of(store, "n // 2 = 3", "minus // 2 = -3", "n // -2 = -3", "n % 3 = 1", "minus % 3 = -1",
            "n % -3 = 1", "least // -1 = most", "least % -1 = 0")  # fmt: skip
    unknown_of(store, "n // 0", "n % zero")


def test_money_stays_exact_in_sums_and_beside_whole_numbers(store: se.Engine) -> None:
    true_of(store, "spent + price = 0.3", "price - spent = 0.1", "spent * 3 = 0.3",
            "spent + 1 = 1.1", "spent - n = -6.9", "n + spent = 7.1")  # fmt: skip


def test_money_beside_a_double_is_a_double(store: se.Engine) -> None:
    true_of(store, "spent * 3.0 <> 0.3", "spent + 2e-1 <> 0.3", "spent / 1 = 0.1", "spent < x")


def test_money_against_a_finer_number_is_decided_exactly(store: se.Engine) -> None:
    true_of(store, "spent <> 0.10000000000000000000000000000000001", "spent < 0.10000001",
            "spent > 0.0999999999999999999999999999999999999", "spent <= 0.1", "spent = 0.10",
            "spent NOT IN (0.100001, 5)", "spent IN (0.1, 0.100001)")  # fmt: skip


def test_money_beyond_its_range_is_null(store: se.Engine) -> None:
    unknown_of(store, "spent * most", "spent + most", "spent - least")
    true_of(store, "spent < most", "spent > least")


def test_what_is_not_finite_is_null(store: se.Engine) -> None:
    unknown_of(store, "huge * 10", "huge + huge", "-(huge) * 100.0", "huge / 0.01")


def test_a_number_with_a_point_is_a_double_beside_whole_numbers(store: se.Engine) -> None:
    true_of(store, "n < 7.5", "n = 7.0", "most = 9223372036854775807.0", "n + 0.5 = 7.5")


def test_text_and_numbers_do_not_meet(store: se.Engine) -> None:
    for rule in ("city = 3", "n = '7'", "coalesce(city, n) = 7", "n IN (1, '7')"):
        with pytest.raises(se.RuleError, match="text"):
            store.segment(rule)


def test_text_compares_by_its_bytes(store: se.Engine) -> None:
    true_of(store, "emoji > last_bmp", "city > 'Hangz'", "city < 'hangzhou'", "city <> 'hangzhou'",
            "greatest(emoji, last_bmp) = emoji")  # fmt: skip


def test_dates_and_times_without_a_zone_are_the_stores(store: se.Engine) -> None:
    true_of(store, "seen = TIMESTAMP '2024-03-01 01:00:00'", "seen >= DATE '2024-03-01'",
            "seen = TIMESTAMP '2024-02-29 17:00:00+00:00'", "hour(seen) = 1",
            "day(seen) = 1")  # fmt: skip
    for rule in ("today() = DATE '2024-03-01'", "now() = TIMESTAMP '2024-03-01 20:00:00'",
                 "today() = TIMESTAMP '2024-03-01 00:00:00'"):  # fmt: skip
        assert ids(store, rule) == {1, 2}, rule


@pytest.mark.parametrize(
    ("zone", "as_of", "rule"),
    [
        # The clock goes forward on 2024-03-10: that day has 23 hours.
        ("America/New_York", datetime(2024, 3, 11, 4, tzinfo=UTC),
         "now() - INTERVAL 1 DAY = now() - INTERVAL 23 HOUR"),
        ("America/New_York", datetime(2024, 3, 11, 4, tzinfo=UTC),
         "now() - INTERVAL 1 WEEK = now() - INTERVAL 167 HOUR"),
        # Midnight of 2024-03-10 is skipped, that of the day after is not.
        ("America/Havana", datetime(2024, 3, 10, 12, tzinfo=UTC),
         "today() + INTERVAL 1 DAY = DATE '2024-03-11'"),
        ("Asia/Shanghai", datetime(2024, 3, 31, 1, tzinfo=UTC),
         "today() - INTERVAL 1 MONTH = DATE '2024-02-29'"),
        ("Asia/Shanghai", datetime(2024, 2, 29, 1, tzinfo=UTC),
         "today() + INTERVAL 1 YEAR = DATE '2025-02-28'"),
        ("Asia/Shanghai", datetime(2024, 2, 29, 1, tzinfo=UTC),
         "DATE '2024-01-31' + INTERVAL 1 MONTH = today()"),
    ],
)  # fmt: skip
def test_days_weeks_months_and_years_follow_the_stores_calendar(
    zone: str, as_of: datetime, rule: str
) -> None:
    engine = se.Engine(timezone=zone, as_of=as_of)
    engine.load("customers", pa.table({"customer_id": [1]}))
    assert ids(engine, rule) == {1}


def test_an_interval_stands_only_beside_a_moment_that_is_the_same_for_all(store: se.Engine) -> None:
    with pytest.raises(se.RuleError, match="compare `seen` with `now\\(\\) - INTERVAL 3 DAY`"):
        store.segment("seen + INTERVAL 3 DAY > now()")


def test_a_moment_beyond_every_calendar_is_null(store: se.Engine) -> None:
    unknown_of(store, "now() + INTERVAL 999999999 YEAR")


def test_like_knows_two_wildcards_and_no_escape_unless_given(store: se.Engine) -> None:
    true_of(store, "odd LIKE '50\\%%' ESCAPE '\\'", "odd LIKE '50% a_b\\c'", "odd LIKE '%\\_'",
            "odd LIKE '%\\c'",
            "odd LIKE '50!% a!_b\\c' ESCAPE '!'", "city LIKE 'H_ngzho_'", "city NOT LIKE 'h%'",
            "city ILIKE 'h%U'", "emoji LIKE '_'")  # fmt: skip


def test_a_null_list_is_null_and_null_elements_match_nothing(store: se.Engine) -> None:
    true_of(store, "list_contains(labels, 'a')", "list_has_any(labels, ['x', 'b'])",
            "list_has_all(labels, [])", "len(labels) = 3", "list_has_all(labels, ['a', NULL])",
            "NOT list_has_any(labels, [NULL])")  # fmt: skip
    unknown_of(store, "list_contains(labels, NULL)", "list_contains(NULL, 'a')")


def test_tags_are_never_null(store: se.Engine) -> None:
    assert ids(store, "NOT list_contains(tags, 'x')") == {1, 2}
    assert ids(store, "tags IS NULL") == set()
    assert ids(store, "len(tags) = 0") == {2}


@pytest.mark.parametrize(
    ("today", "until"),
    [(date(2023, 2, 27), 1), (date(2023, 2, 28), 0), (date(2023, 3, 1), 365),
     (date(2024, 2, 28), 1), (date(2024, 2, 29), 0), (date(2024, 3, 1), 364)],
)  # fmt: skip
def test_29_february_is_28_february_in_other_years(today: date, until: int) -> None:
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    engine = se.Engine(as_of=noon)
    engine.load("customers", pa.table({"customer_id": [1], "birthday": [date(1992, 2, 29)]}))
    assert ids(engine, f"days_until_birthday(birthday) = {until}") == {1}


def test_logic_has_three_values(store: se.Engine) -> None:
    """For 2 everything is unknown: AND with false is false, OR with true is true."""
    assert ids(store, "NOT (flag AND 1 = 2)") == {1, 2}
    assert ids(store, "flag OR 1 = 1") == {1, 2}
    assert ids(store, "flag OR NOT flag") == {1}
    assert ids(store, "NOT flag") == set()
    assert ids(store, "flag IS NOT TRUE") == {2}
    assert ids(store, "off IS FALSE") == {1}


def test_missing_is_equal_to_missing_only_where_distinct_is_asked(store: se.Engine) -> None:
    assert ids(store, "n = n") == {1}
    assert ids(store, "n IS NOT DISTINCT FROM n") == {1, 2}
    assert ids(store, "n IS DISTINCT FROM 7") == {2}
    assert ids(store, "city IS NOT DISTINCT FROM NULL") == {2}


def test_null_in_a_list_makes_what_is_not_found_unknown(store: se.Engine) -> None:
    assert ids(store, "n IN (7, NULL)") == {1}
    assert ids(store, "n NOT IN (8, NULL)") == set()
    assert ids(store, "city NOT IN ('x', NULL)") == set()
    assert ids(store, "x NOT IN (1.5, NULL)") == set()


@pytest.mark.parametrize("value", ["n + NULL", "NULL - n", "n * NULL", "n // NULL", "n % NULL",
                                   "spent + NULL", "spent * NULL", "x / NULL", "-(NULL)",
                                   "NULL + NULL", "abs(NULL)", "lower(NULL)"])  # fmt: skip
def test_arithmetic_with_null_is_null(store: se.Engine, value: str) -> None:
    unknown_of(store, value)


def test_least_and_greatest_pass_over_what_is_missing(store: se.Engine) -> None:
    assert ids(store, "least(n, 100) = 7") == {1}
    assert ids(store, "least(n, 100) = 100") == {2}
    assert ids(store, "greatest(n, NULL) IS NULL") == {2}


def test_case_takes_the_first_branch_that_is_true(store: se.Engine) -> None:
    assert ids(store, "CASE WHEN flag THEN 'yes' ELSE 'no' END = 'no'") == {2}
    assert ids(store, "CASE n WHEN 1 THEN 'a' WHEN 7 THEN 'b' END = 'b'") == {1}
    assert ids(store, "CASE n WHEN NULL THEN 'a' ELSE 'b' END = 'b'") == {1, 2}


def test_recency_and_last_days_count_the_dates_that_end_today() -> None:
    """`days_since(t) <= 30` admits 31 dates, `in_last_days(t, 30)` admits 30; no future."""
    engine = se.Engine(as_of=AS_OF, timezone="Asia/Shanghai")
    seen = [AS_OF - timedelta(days=d) for d in (-1, 0, 29, 30, 31)]
    table = pa.table({"customer_id": list(range(5)), "joined_at": seen})
    engine.load("customers", table)
    assert ids(engine, "days_since(joined_at) <= 30") == {0, 1, 2, 3}
    assert ids(engine, "in_last_days(joined_at, 30)") == {1, 2}
    assert ids(engine, "in_last_days(joined_at, 0)") == set()
    assert ids(engine, "days_until(joined_at) = 1") == {0}


def test_store_constants_are_numbers_of_the_configuration() -> None:
    engine = little_store()
    assert ids(engine, "visits > store.magic_number") == {1}
    assert ids(engine, "rate = 2 * store.share") == {1}
