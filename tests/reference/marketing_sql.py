"""What came of the messages? Each trait as one plain query over the tables as they stand.

A definition gives (customer_id, value) for those who have one. It asks for $as_of and for the
settings, for a table `goals` of (campaign, days, event), and for the session's TimeZone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import duckdb

_NONE: Mapping[str, object] = {
    "messages_count": 0,
    "messages_7d": 0,
    "messages_30d": 0,
    "responses_count": 0,
    "messages_since_last_order": 0,
    "last_contacted_at": None,
    "last_responded_at": None,
    "response_rate": None,
    "low_response": False,
    "is_lost_cause": False,
}

# Every pair of a message and an event it was sent for, however many there are.
_WITH = """
    WITH sent AS (
        SELECT row_number() OVER () AS message, customer_id, time, campaign
        FROM messages WHERE kind = 'sent' AND time <= $as_of
    ),
    wanted AS (
        SELECT sent.*, coalesce(goals.days, 3) AS days, coalesce(goals.event, 'any') AS event
        FROM sent LEFT JOIN goals USING (campaign)
    ),
    done AS (
        SELECT customer_id, time, 'visit' AS event, NULL AS campaign
        FROM behaviors WHERE kind = 'visit'
        UNION ALL SELECT customer_id, time, 'behaviors', NULL FROM behaviors
        UNION ALL SELECT customer_id, time, 'orders', NULL FROM orders
        UNION ALL SELECT customer_id, time, 'purchases', NULL FROM orders WHERE is_purchase
        UNION ALL SELECT customer_id, time, 'reviews', NULL FROM reviews
        UNION ALL SELECT customer_id, time, 'points', NULL FROM points
        UNION ALL SELECT customer_id, time, 'click', campaign FROM messages WHERE kind = 'clicked'
    ),
    met AS (
        SELECT message, min(done.time) AS responded_at
        FROM wanted JOIN done ON done.customer_id = wanted.customer_id
            AND done.time >= wanted.time AND done.time < wanted.time + to_hours(24 * wanted.days)
            AND done.time <= $as_of
            AND (
                done.event = wanted.event
                OR (wanted.event = 'any' AND done.event IN ('visit', 'purchases', 'click'))
            )
            AND (
                done.event <> 'click' OR done.campaign IS NULL OR wanted.campaign IS NULL
                OR done.campaign = wanted.campaign
            )
        GROUP BY message
    ),
    bought AS (
        SELECT customer_id, max(time) AS ordered_at
        FROM orders WHERE is_purchase AND time <= $as_of GROUP BY customer_id
    ),
    told AS (
        SELECT sent.*, met.responded_at, bought.ordered_at,
               date_diff('day', CAST(sent.time AS DATE), CAST($as_of AS DATE)) AS age
        FROM sent LEFT JOIN met USING (message) LEFT JOIN bought USING (customer_id)
    )"""
_VALUES = {
    "messages_count": "count(*)",
    "messages_7d": "count(*) FILTER (age BETWEEN 0 AND 6)",
    "messages_30d": "count(*) FILTER (age BETWEEN 0 AND 29)",
    "responses_count": "count(responded_at)",
    "messages_since_last_order": "count(*) FILTER (ordered_at IS NULL OR time > ordered_at)",
    "last_contacted_at": "max(time)",
    "last_responded_at": "max(responded_at)",
    "response_rate": "count(responded_at) / count(*)",
    "low_response": "count(*) >= $least AND count(responded_at) / count(*) < $low",
    "is_lost_cause": """
        date_diff('day', CAST(any_value(ordered_at) AS DATE), CAST($as_of AS DATE)) > $sleeping
        AND count(*) FILTER (time > ordered_at) >= $lost
        AND count(*) FILTER (responded_at > ordered_at) = 0""",
}
DEFINITIONS = {
    name: f"{_WITH} SELECT customer_id, coalesce({value}, false) FROM told GROUP BY customer_id"
    if isinstance(_NONE[name], bool)
    else f"{_WITH} SELECT customer_id, {value} FROM told GROUP BY customer_id"
    for name, value in _VALUES.items()
}


def contacts(
    connection: duckdb.DuckDBPyConnection, as_of: datetime, settings: Mapping[str, object]
) -> dict[object, dict[str, object]]:
    """Every trait of every buyer of the table `customers`.

    settings: least, low, lost as under `[response]`, and sleeping, of `[lifecycle]`
    """
    given = {"as_of": as_of, **settings}
    ids = connection.execute("SELECT customer_id FROM customers").fetchall()
    found: dict[object, dict[str, object]] = {one: dict(_NONE) for (one,) in ids}
    for name, query in DEFINITIONS.items():
        asked = {key: value for key, value in given.items() if f"${key}" in query}
        answer = connection.sql(query, params=asked).to_arrow_table()
        for one, value in zip(*(column.to_pylist() for column in answer.columns), strict=True):
            # A moment that a clock shows twice equals itself in UTC alone.
            is_moment = isinstance(value, datetime)
            found[one][name] = value.astimezone(UTC) if is_moment else value
    return found
