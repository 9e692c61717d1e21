"""What do all buyers see on a page? The census of a page, as a report to be drawn.

It is made of a census (`pages/census.py`), not of tables, so that it is not among the reports that
are asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from segengine.pages.census import Census
from segengine.reports.report import SHARE, Figure, Picture, Report, Table

MOST_DRAWN = 30

_MODULES = (
    "reach: the buyers who see the module in this slot; share: reach / all buyers. What kept the "
    "others from it: outranked, they could have seen it and another came first; already_shown, in "
    "a slot before; held_out; capped; not_eligible, by its rule, the page's, or no product in its "
    "pool; inactive, outside its window. A row adds up to all buyers."
)
_UNSEEN = (
    "reason: what kept the buyers who came nearest to the module from it, buyers: how many they "
    "are; by: where outranked, the module that most of them see, by_buyers: how many do"
)


def census_report(census: Census, timezone: str, currency: str) -> Report:
    """The census of a page with a table and a picture for each slot."""
    figures = [
        Figure("buyers", "Buyers", census.buyers, "buyers", "all buyers of the store"),
        Figure("different_pages", "Different pages", census.different_pages, "pages",
               "different combinations of modules and variants, over all slots"),
        Figure("never", "Modules that nobody sees", len(census.never), "modules",
               "modules whose reach is 0 in every slot"),
    ]  # fmt: skip
    modules, tables = census.modules.to_pylist(), []
    for slot in census.empty.to_pylist():
        name = slot["slot"]
        rows = [row for row in modules if row["slot"] == name]
        rows.sort(key=lambda row: (-row["reach"], row["module"]))
        columns = tuple(column for column in census.modules.column_names if column != "slot")
        empty = (f"empty: {slot['buyers']:,} buyers, {100 * slot['share']:.1f} %."
                 if slot["buyers"] else "empty for nobody.")  # fmt: skip
        drawn = Picture("bars", "module", ("reach",)) if len(rows) <= MOST_DRAWN else None
        tables.append(Table(
            f"slot_{name}", f"Slot {name}", f"{empty} {_MODULES}", columns,
            tuple(tuple(row[column] for column in columns) for row in rows), drawn,
            tuple(SHARE if column == "share" else "" for column in columns),
        ))  # fmt: skip
    if census.variants.num_rows:
        tables.append(_plain(
            "variants", "Variants", "reach: buyers who see it in this variant",
            census.variants.column_names, census.variants.to_pylist(),
        ))  # fmt: skip
    tables.append(_plain(
        "unseen", "Modules that nobody sees, and why", _UNSEEN, census.unseen.column_names,
        census.unseen.to_pylist(),
    ))  # fmt: skip
    pages = [
        {"buyers": row["buyers"], "share": row["share"],
         **{p["slot"]: _seen(p["module"], p["variant"]) for p in row["placements"]}}
        for row in census.frequent.to_pylist()
    ]  # fmt: skip
    slots = census.empty.column("slot").to_pylist()
    tables.append(_plain("frequent", "The most frequent pages", "buyers who see exactly this",
                         ["buyers", "share", *slots], pages))  # fmt: skip
    notes = [f"Asked with {key} = {value}." for key, value in census.context.items()]
    return Report(
        "page_census", f"Census of the page {census.page}", census.as_of, census.data_version,
        timezone, currency, tuple(figures), tuple(tables), tuple(notes),
    )  # fmt: skip


def _seen(module: str | None, variant: str | None) -> str:
    if module is None:
        return "-"
    return module if variant is None else f"{module} / {variant}"


def _plain(
    name: str, title: str, formula: str, columns: Sequence[str], rows: Sequence[dict[str, object]]
) -> Table:
    units = tuple(SHARE if column == "share" else "" for column in columns)
    listed = tuple(tuple(row[column] for column in columns) for row in rows)
    return Table(name, title, formula, tuple(columns), listed, None, units)
