"""What went wrong? Each trait as one plain query over orders as they were told, and reviews.

A definition gives (customer_id, value) for those who have one. It asks for $as_of, for a table
`told` of orders with `has_status` and `is_purchase`, and for the session's TimeZone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import duckdb

_NONE: Mapping[str, object] = {
    "unpaid_orders_count": 0,
    "closed_orders_count": 0,
    "bad_reviews_count": 0,
    "worst_rating_90d": None,
    "refund_rate": None,
}
_REFUND = "(refund_amount > 0 OR (refund_amount IS NULL AND refunded_at IS NOT NULL))"

DEFINITIONS = {
    "unpaid_orders_count": """
        SELECT customer_id, count(*) FROM told
        WHERE time <= $as_of AND has_status AND NOT is_purchase
          AND paid_at IS NULL AND closed_at IS NULL
        GROUP BY customer_id""",
    "closed_orders_count": """
        SELECT customer_id, count(*) FROM told
        WHERE time <= $as_of AND closed_at IS NOT NULL GROUP BY customer_id""",
    "refund_rate": f"""
        SELECT customer_id, count(*) FILTER ({_REFUND}) / count(*) FROM told
        WHERE time <= $as_of AND (is_purchase OR {_REFUND}) GROUP BY customer_id""",
    "bad_reviews_count": """
        SELECT customer_id, count(*) FROM reviews
        WHERE time <= $as_of AND rating <= 3 GROUP BY customer_id""",
    "worst_rating_90d": """
        SELECT customer_id, min(rating) FROM reviews
        WHERE time <= $as_of
          AND date_diff('day', CAST(time AS DATE), CAST($as_of AS DATE)) BETWEEN 0 AND 89
        GROUP BY customer_id""",
}


def complaints(
    connection: duckdb.DuckDBPyConnection, as_of: datetime
) -> dict[object, dict[str, object]]:
    """Every trait of every buyer of the table `customers`."""
    ids = connection.execute("SELECT customer_id FROM customers").fetchall()
    found: dict[object, dict[str, object]] = {one: dict(_NONE) for (one,) in ids}
    for name, query in DEFINITIONS.items():
        for one, value in connection.execute(query, {"as_of": as_of}).fetchall():
            if one in found:
                found[one][name] = value
    return found
