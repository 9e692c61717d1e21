"""What did buyers do lately, and what did they leave open? Plain queries over the tables.

Each definition gives (customer_id, value) for those who have one. It asks for $as_of and for the
session's TimeZone. `arrival` numbers the rows of a table in the order of arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import duckdb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = "last_seen_at"
_TODAY = "CAST($as_of AS TIMESTAMPTZ)::DATE"


def _within(days: int, time: str = "time") -> str:
    age = f"({_TODAY} - CAST({time} AS DATE))"
    return f"{time} <= $as_of AND {age} BETWEEN 0 AND {days - 1}"


def _count(kind: str, days: int) -> str:
    return f"""
        SELECT customer_id, count(*) FROM behaviors
        WHERE kind = '{kind}' AND {_within(days)} GROUP BY ALL"""


def _last(put: str, taken: str) -> str:
    """The last of each product's being put somewhere or taken out, by each buyer."""
    return f"""
        SELECT customer_id, product_id, kind, time, arrival FROM behaviors
        WHERE kind IN ('{put}', '{taken}') AND product_id IS NOT NULL AND time <= $as_of
        QUALIFY row_number() OVER (
            PARTITION BY customer_id, product_id ORDER BY time DESC, arrival DESC
        ) = 1"""


_OPEN = f"""
    WITH last_ones AS (
        ({_last("cart", "cart_remove")}) UNION ALL ({_last("favorite", "unfavorite")})
    ),
    still_open AS (
        SELECT customer_id, CAST(product_id AS VARCHAR) AS product,
               max(time) AS moment, arg_max(arrival, (time, arrival)) AS arrival
        FROM last_ones AS put
        WHERE kind IN ('cart', 'favorite') AND {_within(30)}
        AND NOT EXISTS (
            FROM order_lines AS line
            WHERE line.customer_id = put.customer_id AND line.product_id = put.product_id
            AND line.is_purchase AND line.time >= put.time AND line.time <= $as_of
        )
        GROUP BY ALL
    )"""
_SEEN = """
    SELECT customer_id, epoch_us(max(time)) FROM (
        SELECT customer_id, time FROM behaviors WHERE kind IS DISTINCT FROM 'quote'
        UNION ALL SELECT customer_id, time FROM orders
        UNION ALL SELECT customer_id, time FROM reviews
        UNION ALL SELECT customer_id, time FROM messages WHERE kind = 'clicked'
        UNION ALL SELECT customer_id, time FROM impressions WHERE kind = 'clicked'
    ) WHERE time <= $as_of GROUP BY ALL"""

DEFINITIONS: Mapping[str, str] = {
    **{
        f"{name}_{days}d": _count(kind, days)
        for name, kind in (
            ("visits", "visit"), ("views", "view"), ("carts", "cart"), ("favorites", "favorite"),
            ("searches", "search"),
        )
        for days in (7, 30)
    },
    "open_carts_count": f"{_OPEN} SELECT customer_id, count(*) FROM still_open GROUP BY ALL",
    "open_cart_products": f"""
        {_OPEN} SELECT customer_id, list(product ORDER BY moment DESC, arrival DESC)
        FROM still_open GROUP BY ALL""",
    "last_seen_at": _SEEN,
    "is_interested": f"""
        SELECT customer_id, true FROM behaviors
        WHERE kind IN ('favorite', 'cart') AND {_within(30)} GROUP BY ALL""",
    "is_transacted": f"""
        SELECT customer_id, true FROM orders
        WHERE is_purchase AND {_within(365)} GROUP BY ALL""",
}  # fmt: skip
OVER_NOTHING = {
    **dict.fromkeys(DEFINITIONS, 0),
    "open_cart_products": [],
    "last_seen_at": None,
    "is_interested": False,
    "is_transacted": False,
}
"""What a buyer has of whom a definition says nothing."""


def interests(
    connection: duckdb.DuckDBPyConnection, as_of: datetime
) -> dict[object, dict[str, object]]:
    """Every trait of every row of `customers`, by customer_id."""
    everyone = connection.execute("SELECT customer_id FROM customers").fetchall()
    found: dict[object, dict[str, object]] = {one: dict(OVER_NOTHING) for (one,) in everyone}
    for name, sql in DEFINITIONS.items():
        for one, value in connection.execute(sql, {"as_of": as_of}).fetchall():
            found[one][name] = _EPOCH + timedelta(microseconds=value) if name == _INSTANT else value
    return found
