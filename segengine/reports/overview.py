"""How is the shop doing: sales, buyers new and returning, who, where, when, and what goes unpaid?

Sales are net amounts of purchases; a purchase whose amount is not known counts as an order and adds
nothing. Everything but levels is about the last n periods, up to that of as_of, which is not over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from segengine.reports.bought import make_bought
from segengine.reports.periods import (
    Window,
    checked_grain,
    first_day,
    label,
    number_sql,
    window,
)
from segengine.reports.rates import average, ratio, share_of_sales
from segengine.reports.report import MONEY, SHARE, Figure, Picture, Report, Source, Table, report_of
from segengine.reports.unpaid import (
    COLUMNS,
    NO_STATUS,
    unpaid_figure,
    unpaid_orders,
    unpaid_table,
)
from segengine.reports.wording import MISSING, NOTHING_BOUGHT, OTHERS, PER_BUYER, PER_ORDER, SALES

ORDERS = f"customer_id region {COLUMNS}"
PURCHASES = "customer_id time amount region"
CUSTOMERS = "customer_id member_level region"
MOST_REGIONS = 20
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNKNOWN_AMOUNTS = "{:,} purchases have no known amount: they count as orders and add no sales"
UNKNOWN = {
    "member_levels": "no member level is known of anybody",
    "regions": "no region is known of any purchase or its buyer",
}
"""Tables that are empty where nothing but missing values would stand in them, and why."""
NOT_POSITIVE = "sales do not come to more than 0: shares of sales are not shown"


def overview(source: Source, *, grain: str = "month", last: int | None = None) -> Report:
    """The report.

    grain: `day`, `week`, `month`, `quarter`. last: how many of the latest periods are shown, by
    default 30 days, 26 weeks, 13 months, 8 quarters.
    """
    checked_grain(grain)
    orders = make_bought(source)
    shown = window(source, grain, last, _earliest_order(source, grain))
    _make_shown(source, shown)
    total = _total(source)
    trend = _trend(source, shown)
    unpaid = unpaid_orders(source, shown)
    tables = [
        _sales(shown, trend),
        _new_returning(shown, trend),
        _levels(source),
        _regions(source, total),
        _hours(source, total),
        _weekdays(source, total),
        unpaid_table(source, unpaid, shown),
    ]
    figures = [*_figures(shown, total), unpaid_figure(unpaid)]
    notes = []
    if not orders:
        notes.append(NOTHING_BOUGHT)
    elif total[2] <= 0:
        notes.append(NOT_POSITIVE)
    if total[3]:
        notes.append(UNKNOWN_AMOUNTS.format(total[3]))
    notes.extend(UNKNOWN[table.name] for table in tables if not _says_anything(table))
    if not unpaid.known:
        notes.append(NO_STATUS)
    shown_tables = [t if _says_anything(t) else replace(t, rows=()) for t in tables]
    return report_of(source, "overview", "How the shop is doing", figures, shown_tables, notes)


def _says_anything(table: Table) -> bool:
    """Whether a table by level or region has a row of any known one; other tables always do."""
    return table.name not in UNKNOWN or any(row[0] != MISSING for row in table.rows)


def _earliest_order(source: Source, grain: str) -> int | None:
    """The period of the first order that was placed, paid or not."""
    found = source.row(f"SELECT min({number_sql(grain, 'time::DATE')}) FROM orders")[0]
    return None if found is None else int(found)


def _make_shown(source: Source, shown: Window) -> None:
    """Make `shown`: the purchases of the periods shown, each with its period and its region.

    The region is the order's, else the buyer's.
    """
    first = first_day(shown.grain, shown.first)
    source.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE shown AS
        SELECT p.customer_id, {number_sql(shown.grain, "p.time::DATE")} AS period, p.time, p.amount,
               coalesce(p.region, c.region) AS region
        FROM purchases p LEFT JOIN customers c USING (customer_id)
        WHERE p.time::DATE - DATE '1970-01-01' >= {first}
        """
    )


Total = tuple[int, int, Decimal, int]
"""Buyers, orders, sales, and orders without a known amount."""


def _total(source: Source) -> Total:
    buyers, orders, sales, unknown = source.row(
        "SELECT count(DISTINCT customer_id), count(*), coalesce(sum(amount), 0), "
        "count(*) - count(amount) FROM shown"
    )
    return int(buyers), int(orders), Decimal(sales), int(unknown)


def _figures(shown: Window, total: Total) -> list[Figure]:
    buyers, orders, sales, _ = total
    numbers = shown.numbers()
    span = "no period"
    if numbers:
        span = f"{label(shown.grain, numbers[0])} to {label(shown.grain, numbers[-1])}"
    return [
        Figure("sales", f"Sales, {span}", sales, MONEY, SALES),
        Figure("buyers", f"Buyers, {span}", buyers, "buyers", "distinct buyers with a purchase"),
        Figure("orders", f"Orders, {span}", orders, "orders", "purchases"),
        Figure("sales_per_buyer", "Sales per buyer", average(sales, buyers), MONEY, PER_BUYER),
        Figure("sales_per_order", "Sales per order", average(sales, orders), MONEY, PER_ORDER),
    ]


Trend = dict[int, tuple[int, int, Decimal, int]]
"""By period: buyers, orders, sales, and buyers who are new."""


def _trend(source: Source, shown: Window) -> Trend:
    rows = source.rows(
        f"""
        WITH firsts AS (
            SELECT customer_id, min({number_sql(shown.grain, "date")}) AS first
            FROM bought GROUP BY customer_id
        )
        SELECT period, count(DISTINCT customer_id), count(*), coalesce(sum(amount), 0),
               count(DISTINCT customer_id) FILTER (first = period)
        FROM shown JOIN firsts USING (customer_id) GROUP BY period
        """
    )
    return {
        int(period): (int(buyers), int(orders), Decimal(sales), int(new))
        for period, buyers, orders, sales, new in rows
    }


_NOTHING = (0, 0, Decimal(0), 0)


def _sales(shown: Window, trend: Trend) -> Table:
    rows = []
    for number in shown.numbers():
        buyers, orders, sales, _ = trend.get(number, _NOTHING)
        rows.append((
            label(shown.grain, number), number <= shown.complete, buyers, orders, sales,
            average(sales, buyers), average(sales, orders),
        ))  # fmt: skip
    return Table(
        "sales",
        f"Sales by {shown.grain}",
        f"{SALES}; {PER_BUYER}; {PER_ORDER}; complete: the {shown.grain} is over",
        ("period", "complete", "buyers", "orders", "sales", "sales_per_buyer", "sales_per_order"),
        tuple(rows),
        Picture("lines", "period", ("sales",)),
        ("", "", "buyers", "orders", MONEY, MONEY, MONEY),
    )


def _new_returning(shown: Window, trend: Trend) -> Table:
    rows = []
    for number in shown.numbers():
        buyers, _, _, new = trend.get(number, _NOTHING)
        rows.append((label(shown.grain, number), buyers, new, buyers - new, ratio(new, buyers)))
    return Table(
        "new_returning",
        f"New and returning buyers by {shown.grain}",
        "new: first purchase in P; returning: first purchase before P and one in P; "
        "new_share = new / buyers",
        ("period", "buyers", "new", "returning", "new_share"),
        tuple(rows),
        Picture("bars", "period", ("new", "returning")),
        ("", "buyers", "buyers", "buyers", SHARE),
    )


def _levels(source: Source) -> Table:
    rows = source.rows(
        """
        SELECT member_level, count(*), count(shown.customer_id), coalesce(sum(sales), 0)
        FROM customers LEFT JOIN (
            SELECT customer_id, sum(amount) AS sales FROM shown GROUP BY customer_id
        ) AS shown USING (customer_id)
        GROUP BY member_level ORDER BY member_level NULLS LAST
        """
    )
    everybody = sum(row[1] for row in rows)
    levels = [
        (MISSING if level is None else str(level), n, ratio(n, everybody), bought, Decimal(sales))
        for level, n, bought, sales in rows
    ]
    return Table(
        "member_levels",
        "Buyers of each member level",
        "customers: all of the level, whether they bought or not; share = customers / all; buyers "
        "and sales: of the periods shown",
        ("member_level", "customers", "share", "buyers", "sales"),
        tuple(levels),
        Picture("bars", "member_level", ("customers",)),
        ("", "buyers", SHARE, "buyers", MONEY),
    )


def _regions(source: Source, total: Total) -> Table:
    rows = source.rows(
        """
        WITH regions AS (
            SELECT region, row_number() OVER (
                ORDER BY region IS NULL, coalesce(sum(amount), 0) DESC, count(*) DESC, region
            ) AS place
            FROM shown GROUP BY region
        ),
        named AS (
            SELECT customer_id, amount,
                   CASE WHEN s.region IS NULL THEN $most + 2 WHEN place > $most THEN $most + 1
                        ELSE place END AS place,
                   CASE WHEN s.region IS NULL THEN $missing WHEN place > $most THEN $others
                        ELSE s.region END AS name
            FROM shown s JOIN regions r ON s.region IS NOT DISTINCT FROM r.region
        )
        SELECT name, count(DISTINCT customer_id), count(*), coalesce(sum(amount), 0)
        FROM named GROUP BY place, name ORDER BY place
        """,
        {"most": MOST_REGIONS, "missing": MISSING, "others": OTHERS},
    )
    return _shares_of_sales(
        "regions",
        f"Sales by region, the {MOST_REGIONS} largest",
        "region: the order's, else the buyer's; buyers: distinct",
        "region",
        rows,
        total,
    )


def _hours(source: Source, total: Total) -> Table:
    rows = source.rows(
        """
        SELECT hours.n, count(DISTINCT customer_id), count(customer_id), coalesce(sum(amount), 0)
        FROM range(24) AS hours(n) LEFT JOIN shown ON hour(shown.time) = hours.n
        GROUP BY hours.n ORDER BY hours.n
        """
    )
    named = [(f"{hour:02d}", *rest) for hour, *rest in rows] if total[1] else []
    return _shares_of_sales(
        "hours", "Sales by hour of the day", "hour: of the order's time, 00 to 23", "hour", named,
        total,
    )  # fmt: skip


def _weekdays(source: Source, total: Total) -> Table:
    rows = source.rows(
        """
        SELECT weekdays.n, count(DISTINCT customer_id), count(customer_id), coalesce(sum(amount), 0)
        FROM range(1, 8) AS weekdays(n) LEFT JOIN shown ON isodow(shown.time) = weekdays.n
        GROUP BY weekdays.n ORDER BY weekdays.n
        """
    )
    named = [(WEEKDAYS[day - 1], *rest) for day, *rest in rows] if total[1] else []
    return _shares_of_sales(
        "weekdays", "Sales by day of the week", "weekday: of the order's time", "weekday", named,
        total,
    )  # fmt: skip


def _shares_of_sales(
    name: str,
    title: str,
    formula: str,
    column: str,
    found: Sequence[Sequence[Any]],
    total: Total,
) -> Table:
    """Buyers, orders and sales of each value of a column, with its share of all sales.

    A share of sales that do not come to more than 0 says nothing, and is missing.
    """
    whole = total[2]
    rows = [
        (value, buyers, orders, Decimal(sales), share_of_sales(Decimal(sales), whole))
        for value, buyers, orders, sales in found
    ]
    return Table(
        name,
        title,
        f"{formula}; share = sales / all sales of the periods shown",
        (column, "buyers", "orders", "sales", "share"),
        tuple(rows),
        Picture("bars", column, ("sales",)),
        ("", "buyers", "orders", MONEY, SHARE),
    )
