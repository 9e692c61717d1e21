"""Who is in a segment, counted again in plain Python."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from tests.reports.stores import Row, bought, figure, rows, shop

LEVELS = st.none() | st.integers(0, 3)
BUYERS = st.lists(
    st.fixed_dictionaries(
        {
            "gender": st.sampled_from(["f", "m", None]),
            "city": st.sampled_from([*(f"c{n:02d}" for n in range(30)), None]),
            "member_level": LEVELS,
            "weight": st.none() | st.integers(-50, 50).map(float),
            "is_gold": st.sampled_from([True, False, None]),
        }
    ),
    max_size=60,
)
SEGMENT, BASE = "member_level >= 1", "gender = 'f'"


def numbered(buyers: list[Row]) -> list[Row]:
    """Buyers with their ids."""
    return [{"customer_id": place, **buyer} for place, buyer in enumerate(buyers)]


def by_rule(buyers: list[Row]) -> tuple[list[Row], list[Row]]:
    """Who is in the segment, and who is in the base."""
    segment = [b for b in buyers if b["member_level"] is not None and b["member_level"] >= 1]
    return segment, [b for b in buyers if b["gender"] == "f"]


def written(value: object) -> str:
    """How a report names a value."""
    if value is None:
        return "(missing)"
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(BUYERS)
def test_shares_and_tgi_are_those_of_the_values_counted(buyers: list[Row]) -> None:
    buyers = numbered(buyers)
    report = shop(customers=buyers).report("profile", SEGMENT, base=BASE)
    segment, base = by_rule(buyers)
    names = {table.name for table in report.tables}
    for trait in ("gender", "member_level", "is_gold"):
        inside, whole = (Counter(written(b[trait]) for b in group) for group in (segment, base))
        if set(inside | whole) <= {"(missing)"}:
            assert f"trait_{trait}" not in names
            continue
        found = rows(report, f"trait_{trait}")
        assert {r[trait]: (r["segment"], r["base"]) for r in found} == {
            value: (inside[value], whole[value]) for value in inside | whole
        }
        for row in found:
            share = row["segment"] / len(segment) if segment else None
            base_share = row["base"] / len(base) if base else None
            assert (row["segment_share"], row["base_share"]) == (share, base_share)
            known = share is not None and base_share
            assert row["tgi"] == (pytest.approx(share / base_share * 100) if known else None)


@given(BUYERS)
def test_shares_of_a_trait_add_up_to_one_however_many_values_are_folded(
    buyers: list[Row],
) -> None:
    report = shop(customers=numbered(buyers)).report("profile", SEGMENT)
    for table in report.tables:
        if not table.name.startswith("trait_"):
            continue
        assert len(table.rows) <= 22
        for column in ("segment_share", "base_share"):
            shares = [r[column] for r in rows(report, table.name)]
            assert None in shares or sum(shares) == pytest.approx(1)


@given(BUYERS)
def test_means_and_medians_are_over_those_of_whom_it_is_known(buyers: list[Row]) -> None:
    buyers = numbered(buyers)
    report = shop(customers=buyers).report("profile", SEGMENT, base=BASE)
    found = [r for r in rows(report, "quantities") if r["trait"] == "weight"]
    groups = by_rule(buyers)
    if not any(groups):
        assert found == []
        return
    for row in found:
        for label, group in zip(("segment", "base"), groups, strict=True):
            known = [b["weight"] for b in group if b["weight"] is not None]
            assert row[f"{label}_known"] == len(known)
            expected = (mean(known), median(known)) if known else (None, None)
            assert row[f"{label}_mean"] == pytest.approx(expected[0])
            assert row[f"{label}_median"] == pytest.approx(expected[1])
    assert len(found) == (1 if any("weight" in b for b in buyers) else 0)


def test_sizes_and_sales_of_segment_and_base() -> None:
    customers = [
        {"customer_id": c, "gender": g} for c, g in [(1, "f"), (2, "f"), (3, "m"), (4, "m")]
    ]
    orders = [*bought(1, "2024-03-01", "2024-03-02"), *bought(3, "2024-03-01", amount="60")]
    report = shop(orders, customers=customers).report("profile", "gender = 'f'")
    values = {f.name: f.value for f in report.figures}
    assert values == {
        "segment": 2, "base": 4, "share": 0.5, "sales": Decimal(20), "sales_share": 0.25,
        "buyers": 1, "orders": 2, "sales_per_buyer": 20.0, "base_sales_per_buyer": 40.0,
        "sales_per_order": 10.0,
    }  # fmt: skip


def test_a_segment_need_not_lie_within_its_base() -> None:
    customers = [{"customer_id": c, "gender": g} for c, g in [(1, "f"), (2, "m"), (3, "m")]]
    report = shop(customers=customers).report(
        "profile", "customer_id IN (1, 2)", base="gender = 'm'"
    )
    assert figure(report, "share").value == 0.5
    assert figure(report, "share").formula.endswith("1 / 2")
    assert {r["gender"]: r["tgi"] for r in rows(report, "trait_gender")} == {"f": None, "m": 50.0}


def test_the_twenty_most_frequent_values_stand_alone() -> None:
    cities = [f"c{n:02d}" for n in range(25) for _ in range(30 - n)]
    customers = [{"customer_id": n, "city": city} for n, city in enumerate([*cities, None])]
    found = rows(shop(customers=customers).report("profile", "true"), "trait_city")
    assert [r["city"] for r in found] == [
        *(f"c{n:02d}" for n in range(20)),
        "(others)",
        "(missing)",
    ]
    assert found[20]["segment"] == 10 + 9 + 8 + 7 + 6


def test_an_age_band_is_of_full_years_on_the_date_of_the_store() -> None:
    # as_of is 2024-03-31 in UTC, and 1 April in Shanghai.
    birthdays = [date(2006, 4, 1), date(2006, 3, 31), date(1999, 3, 31), date(2024, 5, 1), None,
                 date(1900, 1, 1), date(1996, 2, 29)]  # fmt: skip
    customers = [{"customer_id": n, "birthday": day} for n, day in enumerate(birthdays)]
    expected = {"under 18": 1, "18-24": 1, "25-29": 2, "60 and over": 1, "(missing)": 2}
    found = rows(shop(customers=customers).report("profile", "true"), "trait_age_band")
    assert [(r["age_band"], r["segment"]) for r in found] == list(expected.items())
    found = rows(
        shop(customers=customers, timezone="Asia/Shanghai").report("profile", "true"),
        "trait_age_band",
    )
    assert found[0]["age_band"] == "18-24"
    assert found[0]["segment"] == 2


def test_a_tag_is_a_share_of_buyers_and_a_buyer_may_have_several() -> None:
    customers = [
        {"customer_id": n, "tags": tags} for n, tags in enumerate([["a", "b"], ["a"], [], []])
    ]
    found = rows(shop(customers=customers).report("profile", "customer_id < 2"), "trait_tags")
    assert [(r["tags"], r["segment_share"], r["base_share"], r["tgi"]) for r in found] == [
        ("a", 1.0, 0.5, 200.0),
        ("b", 0.5, 0.25, 200.0),
    ]


def test_stages_come_in_the_order_of_a_life() -> None:
    orders = [
        *bought(1, "2022-01-01"),
        *bought(2, "2024-03-20"),
        *bought(3, "2024-03-01", "2024-03-20"),
        *bought(4, "2023-12-01"),
    ]
    found = rows(shop(orders).report("profile", "true"), "trait_lifecycle_stage")
    assert [r["lifecycle_stage"] for r in found] == ["new", "active", "sleeping", "lapsed"]


@pytest.mark.parametrize("traits", ["gender, order_count", ["gender", "order_count"]])
def test_traits_can_be_chosen(traits: object) -> None:
    customers = [{"customer_id": 1, "gender": "f", "city": "x"}]
    report = shop(customers=customers).report("profile", "true", traits=traits)
    assert [t.name for t in report.tables] == ["trait_gender", "quantities"]
    assert [r["trait"] for r in rows(report, "quantities")] == ["order_count"]


def test_unknown_traits_are_refused_all_at_once() -> None:
    with pytest.raises(se.UnknownNameError, match=r"`gendr`; did you mean `gender`\?\n.*`ctiy`"):
        shop().report("profile", "true", traits="gendr,ctiy")
    for nothing in (" , ", [], 7, [7]):
        with pytest.raises(se.SegengineError, match="`traits`"):
            shop().report("profile", "true", traits=nothing)


def test_a_segment_is_a_name_or_a_rule_and_a_name_comes_first() -> None:
    customers = [{"customer_id": c, "gender": g} for c, g in [(1, "f"), (2, "f"), (3, "m")]]
    engine = shop(customers=customers)
    engine.define_segment("women", "gender = 'f'")
    engine.define_segment("is_gold", "gender = 'm'")
    sizes = {
        asked: figure(engine.report("profile", asked), "segment").value
        for asked in ("women", "gender = 'f'", "NOT segment('women')", "is_gold")
    }
    assert sizes == {"women": 2, "gender = 'f'": 2, "NOT segment('women')": 1, "is_gold": 1}
    assert figure(engine.report("profile", "women", base="is_gold"), "base").value == 1


def test_nobody_in_segment_or_base_leaves_shares_missing_and_a_note() -> None:
    engine = shop(customers=[{"customer_id": 1, "gender": "f"}])
    report = engine.report("profile", "false")
    assert rows(report, "trait_gender")[0]["segment_share"] is None
    assert "nobody is in `false`: there are no shares of it" in report.notes
    report = engine.report("profile", "true", base="false")
    assert (figure(report, "share").value, figure(report, "sales_share").value) == (None, None)
    assert rows(report, "trait_gender")[0]["tgi"] is None
    assert "nobody is in `false`: there are no shares of it" in report.notes
    report = shop().report("profile", "true")
    assert rows(report, "quantities") == []
    assert [t.name for t in report.tables] == ["quantities"]


def test_a_store_that_knows_nothing_says_of_what() -> None:
    report = shop(bought(1, "2024-03-01")).report("profile", "true", traits="gender,city,region")
    assert "nothing is known of: gender, city, region" in report.notes
