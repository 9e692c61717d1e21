"""Where does a buyer stand in the club? Each trait as one plain query over the tables.

A definition gives (customer_id, value) for those who have one. It asks for $as_of, for the levels'
thresholds, and for the session's TimeZone; `BY` stands for the measure of the levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import duckdb

_NONE: Mapping[str, object] = {
    "is_member": False,
    "is_card_holder": False,
    "check_ins_30d": 0,
    "check_in_streak_days": 0,
    "computed_level": None,
    "points_balance": 0,
}
_CHECKED_IN = """
    SELECT customer_id, CAST(time AS DATE) AS day,
           date_diff('day', CAST(time AS DATE), CAST($as_of AS DATE)) AS age
    FROM behaviors WHERE kind = 'check_in' AND time <= $as_of"""
_BOUGHT = "SELECT * FROM orders WHERE is_purchase AND time <= $as_of"
_NET = "coalesce(sum(amount - coalesce(refund_amount, 0)), 0)"
MEASURES = {
    "order_count": f"SELECT customer_id, count(*) AS value FROM ({_BOUGHT}) GROUP BY ALL",
    "amount_total": f"SELECT customer_id, {_NET} AS value FROM ({_BOUGHT}) GROUP BY ALL",
    "amount_365d": f"""
        SELECT customer_id, {_NET} AS value FROM ({_BOUGHT})
        WHERE date_diff('day', CAST(time AS DATE), CAST($as_of AS DATE)) BETWEEN 0 AND 364
        GROUP BY ALL""",
}

DEFINITIONS = {
    "is_member": f"""
        SELECT customer_id, true FROM customers
        WHERE member_level >= 1 AND customer_id IN (SELECT customer_id FROM ({_BOUGHT}))""",
    "is_card_holder": "SELECT customer_id, card_claimed_at IS NOT NULL FROM customers",
    "check_ins_30d": f"""
        SELECT customer_id, count(*) FROM ({_CHECKED_IN}) WHERE age BETWEEN 0 AND 29
        GROUP BY customer_id""",
    # Dates less their rank are the same for the dates of one run.
    "check_in_streak_days": f"""
        SELECT customer_id, count(*) AS length FROM (
            SELECT *, age - row_number() OVER (PARTITION BY customer_id ORDER BY age) AS run
            FROM (SELECT DISTINCT customer_id, day, age FROM ({_CHECKED_IN}) WHERE age >= 0)
        ) GROUP BY customer_id, run HAVING min(age) <= 1""",
    "computed_level": """
        SELECT customer_id, len(list_filter($thresholds, lambda t: coalesce(value, 0) >= t))
        FROM customers LEFT JOIN (BY) USING (customer_id) WHERE len($thresholds) > 0""",
    "points_balance": """
        SELECT customer_id, CASE WHEN abs(balance) < 9223372036854775808 THEN balance END FROM (
            SELECT customer_id, sum(CASE kind
                WHEN 'earn' THEN CAST(amount AS HUGEINT)
                WHEN 'spend' THEN -abs(CAST(amount AS HUGEINT))
                WHEN 'expire' THEN -abs(CAST(amount AS HUGEINT))
                ELSE 0 END) AS balance
            FROM points WHERE time <= $as_of AND amount IS NOT NULL GROUP BY customer_id)""",
}
ANSWERS = """
    SELECT customer_id, arg_max(answer, (time, arrival)) FROM (
        SELECT *, row_number() OVER () AS arrival FROM behaviors
    ) WHERE kind = 'survey' AND answer IS NOT NULL AND time <= $as_of
        AND list_contains($questions, question)
    GROUP BY customer_id"""


def standings(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime,
    by: str,
    thresholds: Sequence[Decimal],
    questions: Mapping[str, Sequence[str]],
) -> dict[object, dict[str, object]]:
    """Every trait of every buyer of the table `customers`; the questions by their trait."""
    given = {"as_of": as_of, "thresholds": list(thresholds)}
    ids = connection.execute("SELECT customer_id FROM customers").fetchall()
    none = {**_NONE, **dict.fromkeys(questions)}
    found: dict[object, dict[str, object]] = {one: dict(none) for (one,) in ids}
    for name, definition in DEFINITIONS.items():
        query = definition.replace("BY)", MEASURES[by] + ")")
        asked = {key: value for key, value in given.items() if f"${key}" in query}
        for one, value in connection.execute(query, asked).fetchall():
            found[one][name] = value
    for name, texts in questions.items():
        asked = {"as_of": as_of, "questions": list(texts)}
        for one, value in connection.execute(ANSWERS, asked).fetchall():
            found[one][name] = value
    return found
