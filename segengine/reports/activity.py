"""Who was active in which period, and in which one first?

`active` is a table of the connection: customer_id, period (a number of `periods.py`), each pair
once, and the buyer's first period and acquisition channel beside it. To be active is to visit, to
do anything (any row of `behaviors`), or to buy, and a buyer is new in the first period they were
active in: of the same kind, so that a buyer whose visits nobody recorded is not new when they buy.
"""

from __future__ import annotations

from segengine.errors import ReportError, did_you_mean
from segengine.reports.periods import number_sql
from segengine.reports.report import Source

BEHAVIORS = "customer_id time kind"
CUSTOMERS = "customer_id acquisition_channel"
PURCHASES = "customer_id time"

WHAT = {
    "visit": ("visited", "FROM behaviors WHERE kind = 'visit'"),
    "behaviour": ("did anything", "FROM behaviors"),
    "purchase": ("bought", "FROM purchases"),
}
"""How a buyer can be active: the word for it, and where it is written."""
_ALSO = {"behavior": "behaviour"}


def checked_activity(activity: str) -> str:
    """The kind of activity, or a `ReportError` that names those there are."""
    activity = _ALSO.get(activity, activity)
    if activity not in WHAT:
        known = did_you_mean(str(activity), list(WHAT)) or "known: " + ", ".join(WHAT)
        raise ReportError(f"`activity`: `{activity}` is none; {known}", field="activity")
    return activity


def make_active(source: Source, activity: str, grain: str) -> int | None:
    """Make the table `active`, and say the first period anybody was active in, if there is one."""
    _, where = WHAT[checked_activity(activity)]
    source.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE active AS
        WITH dated AS (
            SELECT DISTINCT customer_id, {number_sql(grain, "time::DATE")} AS period {where}
        )
        SELECT customer_id, period, min(period) OVER (PARTITION BY customer_id) AS first,
               acquisition_channel AS channel
        FROM dated LEFT JOIN customers USING (customer_id)
        """
    )
    found = source.row("SELECT min(period) FROM active")[0]
    return None if found is None else int(found)
