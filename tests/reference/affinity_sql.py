"""How much do buyers care for categories and brands? One plain query over the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import duckdb

Affinities = dict[object, dict[str, dict[str, float]]]
"""Scores by customer_id, kind and value."""

# An age is one to the buyer's newest event: any other moment gives the same shares, until from far
# away all fades to nothing.
_SCORES = """
    WITH did AS (
        SELECT customer_id, time, category, brand, CASE kind {weights} ELSE 0 END AS weight
        FROM behaviors
        UNION ALL
        SELECT customer_id, time, category, brand, {purchase} FROM order_lines WHERE is_purchase
    ),
    shown AS (
        SELECT customer_id, {kind} AS value, weight,
               (max(epoch_us(time)) OVER (PARTITION BY customer_id) - epoch_us(time)) / 86.4e9
               AS age
        FROM did WHERE time <= $as_of AND weight > 0 AND {kind} IS NOT NULL
    ),
    faded AS (
        SELECT customer_id, value, sum(weight * pow(2, -age / $days)) AS score
        FROM shown GROUP BY ALL
    )
    SELECT customer_id, value, score / sum(score) OVER (PARTITION BY customer_id) FROM faded"""


def affinities(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime,
    half_life_days: float,
    weights: Mapping[str, float],
) -> Affinities:
    """The scores of every buyer who has any."""
    arms = " ".join(
        f"WHEN '{kind}' THEN CAST({weight!r} AS DOUBLE)"
        for kind, weight in weights.items()
        if kind != "purchase"
    )
    found: Affinities = {}
    for kind in ("category", "brand"):
        sql = _SCORES.format(weights=arms, kind=kind, purchase=repr(float(weights["purchase"])))
        asked = {"as_of": as_of, "days": half_life_days}
        for one, value, score in connection.execute(sql, asked).fetchall():
            found.setdefault(one, {}).setdefault(kind, {})[value] = score
    return found
