"""Who are the buyers of a segment, beside those of a base?

TGI (target group index) says how much oftener a value is met in the segment than in the base: 100
is as often, 200 twice as often. The segment need not lie within the base.
"""

from __future__ import annotations

from collections.abc import Sequence

from segengine.reports.profiled import CATEGORIES, listed, shown
from segengine.reports.rates import average, ratio, share_of_sales
from segengine.reports.report import MONEY, SHARE, Figure, Picture, Report, Source, Table, report_of
from segengine.reports.spread import (
    EVERYBODY,
    Sets,
    Totals,
    Value,
    averages,
    is_category,
    is_number,
    kinds,
    totals,
    values,
)
from segengine.reports.wording import PER_BUYER, PER_ORDER, said
from segengine.schema.tables import CUSTOMERS
from segengine.traits.catalogue import BY_NAME

TGI = "tgi = share of the value in the segment / its share in the base x 100"
SALES = "net amount of all their purchases"
NOTHING_KNOWN = "nothing is known of: {}"
NOT_SHOWN = "neither values to count nor quantities: {}"


def profile(
    source: Source, *, base: str | None = None, traits: str | Sequence[str] | None = None
) -> Report:
    """The report about one segment, the first of the source.

    base: whom it is put beside, the table `base`; None is everybody. traits: names, as a list or
    a text with commas; None is all that a portrait shows.
    """
    segment = f"`{source.segments[0]}`"
    other = "the store" if base is None else f"`{base}`"
    sets = Sets("segment_1", EVERYBODY if base is None else "base")
    inside, whole, both = totals(source, sets)
    tables = []
    quantities = []
    unknown, skipped = [], []
    for name, kind in chosen(source, traits):
        if is_category(name, kind, CATEGORIES):
            found = values(source, sets, name, kind, first="a DESC, b DESC")
            if found:
                tables.append(_shares(name, kind, found, inside, whole))
            elif inside.size or whole.size:
                unknown.append(name)
        elif is_number(kind):
            a, b = averages(source, sets, name)
            if inside.size or whole.size:
                quantities.append((
                    name, unit_of(name, kind), a.known, a.mean, a.median, b.known, b.mean, b.median,
                ))  # fmt: skip
        else:
            skipped.append(name)
    notes = empty_notes((segment, inside), (other, whole))
    if whole.sales <= 0 < whole.size:
        notes.append("sales of the base do not come to more than 0: no share of them is shown")
    notes += [NOTHING_KNOWN.format(", ".join(unknown))] if unknown else []
    notes += [NOT_SHOWN.format(", ".join(skipped))] if skipped else []
    tables.append(_quantities(quantities))
    figures = _figures(segment, other, inside, whole, both)
    title = f"Who is in {segment}, beside {other}"
    return report_of(source, "profile", title, figures, tables, notes)


def chosen(source: Source, traits: str | Sequence[str] | None) -> list[tuple[str, str]]:
    """The traits that are shown, each with its SQL type."""
    found = kinds(source)
    names = shown(source.columns[CUSTOMERS]) if traits is None else listed(traits)
    return [(name, found[name]) for name in names if name in found]


def unit_of(name: str, kind: str) -> str:
    """The unit of a quantity."""
    if kind.startswith("DECIMAL"):
        return MONEY
    trait = BY_NAME.get(name)
    return trait.unit if trait is not None else ""


def empty_notes(*sets: tuple[str, Totals]) -> list[str]:
    """What is to be said of sets without buyers."""
    return [
        f"nobody is in {label}: there are no shares of it"
        for label, found in sets
        if not found.size
    ]


def _figures(segment: str, other: str, inside: Totals, whole: Totals, both: Totals) -> list[Figure]:
    return [
        Figure("segment", f"In {segment}", inside.size, "buyers", "buyers the rule holds for"),
        Figure("base", f"In {other}", whole.size, "buyers", "buyers of the base"),
        Figure(
            "share",
            "Share of the base",
            ratio(both.size, whole.size),
            SHARE,
            f"buyers in segment and base / buyers in the base; {said(both.size, whole.size)}",
        ),
        Figure("sales", "Sales", inside.sales, MONEY, SALES),
        Figure(
            "sales_share",
            "Share of the base's sales",
            share_of_sales(both.sales, whole.sales),
            SHARE,
            "sales of buyers in segment and base / sales of the base; "
            f"{both.sales:f} / {whole.sales:f}",
        ),
        Figure("buyers", "Ever bought", inside.buyers, "buyers", "buyers with a purchase"),
        Figure("orders", "Orders", inside.orders, "orders", "purchases"),
        Figure(
            "sales_per_buyer",
            "Sales per buyer",
            average(inside.sales, inside.buyers),
            MONEY,
            PER_BUYER,
        ),
        Figure(
            "base_sales_per_buyer",
            "Sales per buyer of the base",
            average(whole.sales, whole.buyers),
            MONEY,
            PER_BUYER,
        ),
        Figure(
            "sales_per_order",
            "Sales per order",
            average(inside.sales, inside.orders),
            MONEY,
            PER_ORDER,
        ),
    ]


def _shares(name: str, kind: str, found: Sequence[Value], inside: Totals, whole: Totals) -> Table:
    rows = []
    for value in found:
        share, base = ratio(value.a, inside.size), ratio(value.b, whole.size)
        tgi = None if share is None or not base else share / base * 100
        rows.append((value.name, value.a, share, value.b, base, tgi))
    several = "; a buyer may have several" if kind.endswith("[]") else ""
    return Table(
        f"trait_{name}",
        name,
        f"share = buyers with the value / buyers of the segment, or of the base{several}; {TGI}",
        (name, "segment", "segment_share", "base", "base_share", "tgi"),
        tuple(rows),
        Picture("bars", name, ("segment_share", "base_share")),
        ("", "buyers", SHARE, "buyers", SHARE, ""),
    )


def _quantities(rows: Sequence[tuple[object, ...]]) -> Table:
    return Table(
        "quantities",
        "Quantities",
        "known: buyers of whom the trait is known; mean and median over those",
        ("trait", "unit", "segment_known", "segment_mean", "segment_median", "base_known",
         "base_mean", "base_median"),
        tuple(rows),
        None,
        ("", "", "buyers", "", "", "buyers", "", ""),
    )  # fmt: skip
