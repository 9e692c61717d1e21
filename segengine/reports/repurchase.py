"""How many buyers buy again: within a period, in the next one, and after X orders?

A buyer "buys in P" with a purchase in P, a date of the store's timezone. The current period is
shown, and is not over; figures are of the latest period that is.
"""

from __future__ import annotations

from segengine.reports.bought import earliest_period, make_bought
from segengine.reports.periods import LAST, Window, checked_last, label, number_sql, window
from segengine.reports.rates import ratio
from segengine.reports.report import SHARE, Figure, Picture, Report, Source, Table, report_of
from segengine.reports.settled_orders import (
    CORRELATION,
    order_count_table,
    reached_counts,
    settled_figures,
    why_none,
)
from segengine.reports.wording import NOTHING_BOUGHT, ONE_A_DAY, said

WITHIN = "buyers with >= 2 orders in P / buyers with >= 1 in P"
_AFTER = {
    # name: (title, grain, how many periods before, formula)
    "next_month": (
        "From one month to the next", "month", 1, "bought in M-1 and M / bought in M-1",
    ),
    "two_month": (
        "From two months to the next", "month", 2,
        "bought in (M-2 or M-1) and M / bought in (M-2 or M-1)",
    ),
    "next_quarter": (
        "From one quarter to the next", "quarter", 1, "bought in Q-1 and Q / bought in Q-1",
    ),
}  # fmt: skip

Counts = dict[int, tuple[int, int]]
"""By period: those of the denominator, and how many of them are in the numerator."""


def repurchase(source: Source, *, last: int | None = None, one_order_a_day: bool = False) -> Report:
    """The report.

    last: how many of the latest periods each series shows, by default 30 days, 26 weeks, 13
    months, 8 quarters. one_order_a_day: a buyer's purchases of one date count as one order.
    """
    checked_last(last, "day")
    orders = make_bought(source, one_order_a_day=one_order_a_day)
    figures: list[Figure] = []
    tables: list[Table] = []
    for grain in LAST:
        shown = window(source, grain, last, earliest_period(source, grain))
        counts = within(source, grain)
        title = f"Repurchase within a {grain}"
        tables.append(_series(f"within_{grain}", title, WITHIN, shown, counts))
        figures.append(_figure(f"repurchase_{grain}", title, WITHIN, shown, counts))
    for name, (title, grain, before, formula) in _AFTER.items():
        shown = window(source, grain, last, earliest_period(source, grain))
        counts = after(source, grain, before)
        tables.append(_series(name, title, formula, shown, counts))
        figures.append(_figure(name, title, formula, shown, counts))
    reached = reached_counts(source)
    tables.append(order_count_table(reached))
    figures.extend(settled_figures(reached))
    notes = [CORRELATION]
    if one_order_a_day:
        notes.append(ONE_A_DAY)
    notes.append(NOTHING_BOUGHT if not orders else why_none(reached))
    return report_of(
        source, "repurchase", "Who buys again", figures, tables, [note for note in notes if note]
    )


def within(source: Source, grain: str) -> Counts:
    """By period: buyers with an order in it, and those with two or more. Needs `bought`."""
    rows = source.rows(
        f"""
        SELECT period, count(*), count(*) FILTER (orders >= 2)
        FROM (
            SELECT customer_id, {number_sql(grain, "date")} AS period, count(*) AS orders
            FROM bought GROUP BY ALL
        )
        GROUP BY period
        """
    )
    return {int(period): (int(buyers), int(again)) for period, buyers, again in rows}


def after(source: Source, grain: str, before: int) -> Counts:
    """By period P: who bought in one of the `before` periods before it, and who of them in P.

    Needs `bought`.
    """
    rows = source.rows(
        f"""
        WITH buying AS (
            SELECT DISTINCT customer_id, {number_sql(grain, "date")} AS period FROM bought
        ),
        candidates AS (
            SELECT DISTINCT customer_id, period + step AS period
            FROM buying, range(1, $before + 1) AS steps(step)
        )
        SELECT candidates.period, count(*), count(buying.period)
        FROM candidates LEFT JOIN buying USING (customer_id, period)
        GROUP BY candidates.period
        """,
        {"before": before},
    )
    return {int(period): (int(buyers), int(again)) for period, buyers, again in rows}


def _series(name: str, title: str, formula: str, shown: Window, counts: Counts) -> Table:
    rows = []
    for number in shown.numbers():
        buyers, again = counts.get(number, (0, 0))
        over = number <= shown.complete
        rows.append((label(shown.grain, number), over, buyers, again, ratio(again, buyers)))
    return Table(
        name,
        title,
        f"rate = {formula}; complete: the {shown.grain} is over",
        ("period", "complete", "buyers", "buyers_again", "rate"),
        tuple(rows),
        Picture("lines", "period", ("rate",)),
        ("", "", "buyers", "buyers", SHARE),
    )


def _figure(name: str, title: str, formula: str, shown: Window, counts: Counts) -> Figure:
    number = shown.latest_complete()
    buyers, again = counts.get(number, (0, 0))
    period = label(shown.grain, number)
    return Figure(
        name,
        f"{title}, {period}",
        ratio(again, buyers),
        SHARE,
        f"{formula}; {period}: {said(again, buyers)}",
    )
