"""Which products carry the shop, and is the range mixed as it should be?

Growth, share, class and role are the product traits of that name, fitted to all products; the
report counts them and sets the mix beside the target of store.toml.
"""

from __future__ import annotations

from decimal import Decimal

from segengine.errors import ReportError
from segengine.reports.rates import ratio, share_of_sales
from segengine.reports.report import (
    MONEY,
    SHARE,
    Figure,
    Picture,
    Report,
    Source,
    Table,
    report_of,
)

COLUMNS = (
    "product_id category brand units_90d amount_90d buyers_90d views_90d growth share "
    "conversion_rate margin price_level matrix_class role"
)
CLASSES = ("star", "cash_cow", "question", "dog")
LEVELS = ("high", "middle", "low")
ROLES = ("traffic", "profit", "edge", "retention")
TOP, MOST = 20, 1_000
NONE = "(none)"
NO_PRODUCTS = "the store knows no products: there is nothing to show"
NO_SALES = "no product was sold on the 90 dates that end today: none has growth, share or class"
NO_CATEGORIES = (
    "no product has a category: none has share, price level or class, and the range mix is empty"
)
_SALES = "sales: sum of amount_90d, what purchased lines say before refunds in part"


def products(source: Source, *, top: int = TOP) -> Report:
    """The range mix beside its target, growth by share, roles, categories, the best and the worst.

    top: how many of the best and of the worst sellers are listed, 1 to 1,000.
    """
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= MOST:
        raise ReportError(
            f"`top`: must be a whole number of products from 1 to {MOST:,}, not `{top}`",
            field="top",
        )
    count, sold, classed, categories, sales, units = source.row(
        """
        SELECT count(*), count(*) FILTER (units_90d > 0),
               count(*) FILTER (list_contains($classes, matrix_class)),
               count(DISTINCT category), coalesce(sum(amount_90d), 0), coalesce(sum(units_90d), 0)
        FROM products
        """,
        {"classes": list(CLASSES)},
    )
    (growth,) = source.fits.shown.get("store_growth", (None,))
    notes = []
    if not count:
        notes.append(NO_PRODUCTS)
    elif not sold:
        notes.append(NO_SALES)
    if count and not categories:
        notes.append(NO_CATEGORIES)
    figures = [
        Figure("products", "Products", count, "products", "count of products"),
        Figure("sold", "Sold in 90 dates", sold, "products", "count where units_90d > 0"),
        Figure("classed", "With a class", classed, "products",
               "count where matrix_class is one of the four; the range mix is of these"),
        Figure("sales", "Sales of 90 dates", sales, MONEY, "sum of amount_90d over products"),
        Figure("units", "Units of 90 dates", units, "units", "sum of units_90d over products"),
        Figure("store_growth", "Growth of the store", growth, SHARE,
               "amounts of all lines of the 90 dates that end today over those of the 90 before, "
               "minus 1, when fitted"),
    ]  # fmt: skip
    return report_of(
        source, "products", "Products and their mix", figures,
        [_mix(source), _matrix(source), _roles(source, sales), _levels(source, sales),
         _categories(source, sales), _listed(source, top, best=True),
         _listed(source, top, best=False)],
        notes,
    )  # fmt: skip


def _sums(source: Source, column: str) -> dict[str | None, tuple[int, Decimal]]:
    """Products and sales by a column of products."""
    found = source.rows(
        f"SELECT {column}, count(*), coalesce(sum(amount_90d), 0) FROM products GROUP BY {column}"
    )
    return {value: (count, sales) for value, count, sales in found}


def _nothing(source: Source) -> Decimal:
    """0 at the scale of money."""
    (found,) = source.row("SELECT coalesce(sum(amount_90d) FILTER (FALSE), 0) FROM products")
    return Decimal(found)


def _mix(source: Source) -> Table:
    targets = source.config.range_mix
    sums, nothing = _sums(source, "matrix_class"), _nothing(source)
    found = [sums.get(name, (0, nothing)) for name in CLASSES]
    count, sales = sum(n for n, _ in found), sum((s for _, s in found), nothing)
    rows = []
    for name, (products_, amount) in zip(CLASSES, found, strict=True):
        part, target = ratio(products_, count), float(getattr(targets, name))
        of_sales = share_of_sales(amount, sales)
        rows.append((
            name, products_, amount, part, of_sales, target,
            None if part is None else part - target,
            None if of_sales is None else of_sales - target,
        ))  # fmt: skip
    return Table(
        "range_mix", "The range mix beside its target",
        f"products: count by matrix_class; {_SALES}; share_of_products, share_of_sales: of all "
        "with a class; target: range_mix of store.toml; products_over, sales_over: share - target",
        ("matrix_class", "products", "sales", "share_of_products", "share_of_sales", "target",
         "products_over", "sales_over"),
        tuple(rows),
        Picture("shares", "matrix_class", ("share_of_products", "share_of_sales", "target")),
        ("", "products", MONEY, SHARE, SHARE, SHARE, SHARE, SHARE),
    )  # fmt: skip


def _matrix(source: Source) -> Table:
    sums, nothing = _sums(source, "matrix_class"), _nothing(source)
    means = {
        name: (growth, share)
        for name, growth, share in source.rows(
            "SELECT matrix_class, median(growth), median(share) FROM products GROUP BY matrix_class"
        )
    }
    places = (("high", "low", "question"), ("high", "high", "star"),
              ("low", "low", "dog"), ("low", "high", "cash_cow"))  # fmt: skip
    rows = tuple(
        (growth, share, name, *sums.get(name, (0, nothing)), *means.get(name, (None, None)))
        for growth, share, name in places
    )
    return Table(
        "matrix", "Growth by share",
        "growth is high above the store's, share (of the category's amount_90d) above the "
        f"category's mean. products: count by matrix_class; {_SALES}; median_growth, "
        "median_share: medians over those products",
        ("growth", "share", "matrix_class", "products", "sales", "median_growth", "median_share"),
        rows,
        Picture("grid", "share", ("growth", "products", "sales")),
        ("", "", "", "products", MONEY, SHARE, SHARE),
    )  # fmt: skip


def _roles(source: Source, sales: Decimal) -> Table:
    return _counted(
        source, sales, "roles", "Products by role", "role", (*ROLES, NONE),
        "role: the first that holds of traffic (top fifth by share in buyers' first orders), "
        "profit (top fifth by margin), edge (top price level of its category), retention (low "
        "price level, bought by at_risk and sleeping buyers above average), or the seller's own",
    )  # fmt: skip


def _levels(source: Source, sales: Decimal) -> Table:
    return _counted(
        source, sales, "price_levels", "Products by price level", "price_level", (*LEVELS, NONE),
        "price_level: high, middle, low by thirds of unit price within the category",
    )  # fmt: skip


def _counted(
    source: Source,
    sales: Decimal,
    name: str,
    title: str,
    column: str,
    values: tuple[str, ...],
    meaning: str,
) -> Table:
    """Products and sales by a column whose values are known; NONE is where it is missing."""
    sums, nothing = _sums(source, column), _nothing(source)
    everything = sum(count for count, _ in sums.values())
    rows = []
    # The seller may have given words of their own.
    others = sorted(str(value) for value in sums if value is not None and value not in values)
    for value in (*values, *others):
        count, amount = sums.get(None if value == NONE else value, (0, nothing))
        rows.append((value, count, ratio(count, everything), amount, share_of_sales(amount, sales)))
    return Table(
        name, title,
        f"{meaning}. products: count; share_of_products: of all products; {_SALES}; "
        "share_of_sales: of all products' sales",
        (column, "products", "share_of_products", "sales", "share_of_sales"),
        tuple(rows),
        Picture("bars", column, ("share_of_products", "share_of_sales")),
        ("", "products", SHARE, MONEY, SHARE),
    )  # fmt: skip


def _categories(source: Source, sales: Decimal) -> Table:
    rows = source.rows(
        """
        SELECT coalesce(category::VARCHAR, $none), count(*), count(*) FILTER (units_90d > 0),
               coalesce(sum(amount_90d), 0) AS sales
        FROM products GROUP BY category ORDER BY sales DESC, category NULLS LAST LIMIT $top
        """,
        {"none": NONE, "top": TOP},
    )
    return Table(
        "categories", f"Sales by category, the {TOP} largest",
        f"products: count; sold: count where units_90d > 0; {_SALES}; share_of_sales: of all "
        "products' sales",
        ("category", "products", "sold", "sales", "share_of_sales"),
        tuple((*row, share_of_sales(row[3], sales)) for row in rows),
        Picture("bars", "category", ("sales",)),
        ("", "products", "products", MONEY, SHARE),
    )  # fmt: skip


def _listed(source: Source, top: int, *, best: bool) -> Table:
    rows = source.rows(
        f"""
        SELECT product_id, category, brand, units_90d, amount_90d, buyers_90d, views_90d, growth,
               share, conversion_rate, margin, price_level, matrix_class, role
        FROM (
            SELECT *, row_number() OVER (
                ORDER BY amount_90d DESC NULLS LAST, product_id) AS place, count(*) OVER () AS all_
            FROM products WHERE units_90d > 0
        )
        WHERE {"place <= $top" if best else "place > greatest(all_ - $top, $top)"}
        ORDER BY place {"" if best else "DESC"}
        """,
        {"top": top},
    )
    which = (
        f"the {top:,} with the greatest amount_90d"
        if best
        else f"the {top:,} with the least amount_90d of those sold, none that stands above"
    )
    return Table(
        "best" if best else "worst", "Best sellers" if best else "Worst sellers of those sold",
        f"{which}. amount_90d: amounts of purchased lines on the 90 dates that end today, as the "
        "lines give them; growth: over the 90 dates before, minus 1; share: of the category's; "
        "conversion_rate and the rest: the product's traits",
        ("product_id", "category", "brand", "units_90d", "amount_90d", "buyers_90d", "views_90d",
         "growth", "share", "conversion_rate", "margin", "price_level", "matrix_class", "role"),
        tuple((str(row[0]), *row[1:]) for row in rows),
        Picture("bars", "product_id", ("amount_90d",)),
        ("", "", "", "units", MONEY, "buyers", "views", SHARE, SHARE, SHARE, SHARE, "", "", ""),
    )  # fmt: skip
