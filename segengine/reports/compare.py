"""How do two segments differ, and how many buyers do they share?

The rows are those of a profile, for both, with the difference: always the first less the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from segengine.reports.profile import (
    NOT_SHOWN,
    NOTHING_KNOWN,
    SALES,
    chosen,
    empty_notes,
    unit_of,
)
from segengine.reports.profiled import CATEGORIES
from segengine.reports.rates import average, ratio
from segengine.reports.report import MONEY, SHARE, Figure, Picture, Report, Source, Table, report_of
from segengine.reports.spread import (
    Average,
    Sets,
    Totals,
    Value,
    averages,
    is_category,
    is_number,
    totals,
    values,
)
from segengine.reports.wording import PER_BUYER, PER_ORDER, said


def compare(source: Source, *, traits: str | Sequence[str] | None = None) -> Report:
    """The report about two segments, the first two of the source.

    traits: names, as a list or a text with commas; None is all that a portrait shows.
    """
    first, second = (f"`{segment}`" for segment in source.segments[:2])
    sets = Sets("segment_1", "segment_2")
    a, b, both = totals(source, sets)
    tables = [_totals(a, b)]
    quantities = []
    unknown, skipped = [], []
    for name, kind in chosen(source, traits):
        if is_category(name, kind, CATEGORIES):
            found = values(source, sets, name, kind, first="a + b DESC, a DESC")
            if found:
                tables.append(_shares(name, kind, found, a, b))
            elif a.size or b.size:
                unknown.append(name)
        elif is_number(kind):
            found_in = averages(source, sets, name)
            if a.size or b.size:
                quantities.append(_quantity(name, unit_of(name, kind), *found_in))
        else:
            skipped.append(name)
    tables.append(_quantities(quantities))
    notes = [f"A is {first}; B is {second}", *empty_notes((first, a), (second, b))]
    notes += [NOTHING_KNOWN.format(", ".join(unknown))] if unknown else []
    notes += [NOT_SHOWN.format(", ".join(skipped))] if skipped else []
    figures = _figures(first, second, a, b, both)
    return report_of(source, "compare", f"{first} beside {second}", figures, tables, notes)


def _figures(first: str, second: str, a: Totals, b: Totals, both: Totals) -> list[Figure]:
    either = a.size + b.size - both.size
    return [
        Figure("a", f"In {first}", a.size, "buyers", "buyers in A"),
        Figure("b", f"In {second}", b.size, "buyers", "buyers in B"),
        Figure("both", "In both", both.size, "buyers", "buyers in A and in B"),
        Figure("only_a", f"Only in {first}", a.size - both.size, "buyers", "A - both"),
        Figure("only_b", f"Only in {second}", b.size - both.size, "buyers", "B - both"),
        Figure("either", "In either", either, "buyers", "A + B - both"),
        Figure(
            "shared_of_a",
            f"Share of {first} that is in both",
            ratio(both.size, a.size),
            SHARE,
            f"both / A; {said(both.size, a.size)}",
        ),
        Figure(
            "shared_of_b",
            f"Share of {second} that is in both",
            ratio(both.size, b.size),
            SHARE,
            f"both / B; {said(both.size, b.size)}",
        ),
        Figure(
            "shared_of_either",
            "Share of either that is in both",
            ratio(both.size, either),
            SHARE,
            f"both / either; {said(both.size, either)}",
        ),
    ]


def _totals(a: Totals, b: Totals) -> Table:
    rows: list[tuple[object, ...]] = [
        ("customers", "buyers", a.size, b.size, a.size - b.size),
        ("buyers", "buyers", a.buyers, b.buyers, a.buyers - b.buyers),
        ("orders", "orders", a.orders, b.orders, a.orders - b.orders),
        ("sales", MONEY, a.sales, b.sales, a.sales - b.sales),
    ]
    for name, left, right in (
        ("sales_per_buyer", average(a.sales, a.buyers), average(b.sales, b.buyers)),
        ("sales_per_order", average(a.sales, a.orders), average(b.sales, b.orders)),
    ):
        rows.append((name, MONEY, left, right, _less(left, right)))
    return Table(
        "totals",
        "Sizes and sales",
        f"customers: all in it; buyers: with a purchase; sales: {SALES}; {PER_BUYER}; {PER_ORDER}; "
        "difference = A - B",
        ("measure", "unit", "a", "b", "difference"),
        tuple(rows),
    )


def _shares(name: str, kind: str, found: Sequence[Value], a: Totals, b: Totals) -> Table:
    rows = []
    for value in found:
        left, right = ratio(value.a, a.size), ratio(value.b, b.size)
        rows.append((value.name, value.a, left, value.b, right, _less(left, right)))
    several = "; a buyer may have several" if kind.endswith("[]") else ""
    return Table(
        f"trait_{name}",
        name,
        f"share = buyers with the value / buyers of the segment{several}; "
        "difference = a_share - b_share",
        (name, "a", "a_share", "b", "b_share", "difference"),
        tuple(rows),
        Picture("bars", name, ("a_share", "b_share")),
        ("", "buyers", SHARE, "buyers", SHARE, SHARE),
    )


def _quantity(name: str, unit: str, a: Average, b: Average) -> tuple[object, ...]:
    return (
        name, unit, a.known, a.mean, a.median, b.known, b.mean, b.median,
        _less(a.mean, b.mean), _less(a.median, b.median),
    )  # fmt: skip


def _quantities(rows: Sequence[tuple[object, ...]]) -> Table:
    return Table(
        "quantities",
        "Quantities",
        "known: buyers of whom the trait is known; mean and median over those; difference = A - B",
        ("trait", "unit", "a_known", "a_mean", "a_median", "b_known", "b_mean", "b_median",
         "mean_difference", "median_difference"),
        tuple(rows),
        None,
        ("", "", "buyers", "", "", "buyers", "", "", "", ""),
    )  # fmt: skip


def _less(left: float | Decimal | None, right: float | Decimal | None) -> float | None:
    """A difference; None where either is not known."""
    return None if left is None or right is None else float(left) - float(right)
