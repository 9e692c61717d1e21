"""Which purchases are counted, each on which date?

Every report of purchases begins with `bought`, a table of the connection: customer_id, time, date
(of the store's timezone), amount (net of refunds; null where it is not known).
"""

from __future__ import annotations

from segengine.reports.periods import number_sql
from segengine.reports.report import Source

COLUMNS = "customer_id time amount"
"""The columns of `purchases` that it takes."""


def make_bought(source: Source, *, one_order_a_day: bool = False) -> int:
    """Make the table `bought`, and say how many orders it holds.

    one_order_a_day: a buyer's purchases of one date are one order, at the time of the first, with
    the sum of their amounts.
    """
    each = "SELECT customer_id, time, time::DATE AS date, amount FROM purchases"
    if one_order_a_day:
        each = (
            "SELECT customer_id, min(time) AS time, date, sum(amount) AS amount "
            f"FROM ({each}) GROUP BY customer_id, date"
        )
    source.connection.execute(f"CREATE OR REPLACE TEMP TABLE bought AS {each}")
    return int(source.row("SELECT count(*) FROM bought")[0])


def earliest_period(source: Source, grain: str) -> int | None:
    """The period of the first purchase; None where there is none. Needs `bought`."""
    found = source.row(f"SELECT min({number_sql(grain, 'date')}) FROM bought")[0]
    return None if found is None else int(found)
