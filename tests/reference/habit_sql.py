"""What are the habits of buyers? Each trait as one plain query over the tables as they stand.

A definition gives (customer_id, value) for those who have one. It asks for $as_of and $least, the
minimum of evidence, and for the session's TimeZone. Whole numbers of HUGEINT keep prices exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import duckdb

_LINES = """
    lines AS (
        SELECT *, coalesce(CAST(order_id AS VARCHAR), '#' || row_number() OVER ()) AS purchase
        FROM order_lines WHERE is_purchase AND time <= $as_of
    )"""
_BOUGHT = """
    bought AS (
        SELECT *, row_number() OVER () AS purchase FROM orders WHERE is_purchase AND time <= $as_of
    )"""
_DONE = """
    done AS (
        SELECT *, row_number() OVER () AS behavior FROM behaviors WHERE time <= $as_of
    )"""
_CHOICES = {
    "category": (_LINES, "SELECT customer_id, category, purchase, time FROM lines"),
    "brand": (_LINES, "SELECT customer_id, brand, purchase, time FROM lines"),
    "payment": (_BOUGHT, "SELECT customer_id, payment, purchase, time FROM bought"),
    "hour": (_BOUGHT, "SELECT customer_id, date_part('hour', time), purchase, time FROM bought"),
    "weekday": (
        _BOUGHT, "SELECT customer_id, date_part('isodow', time), purchase, time FROM bought"
    ),
    "device": (_DONE, "SELECT customer_id, device, behavior, time FROM done"),
}  # fmt: skip
_PREFERRED = """
    known AS (
        SELECT customer_id, count(DISTINCT event) AS known
        FROM chosen WHERE value IS NOT NULL GROUP BY customer_id
    ),
    times AS (
        SELECT customer_id, value, count(DISTINCT event) AS times, max(time) AS latest
        FROM chosen WHERE value IS NOT NULL GROUP BY customer_id, value
    ),
    preferred AS (
        SELECT customer_id, value, times / known AS share
        FROM times JOIN known USING (customer_id) WHERE known >= $least
        QUALIFY row_number() OVER (
            PARTITION BY customer_id ORDER BY times DESC, latest DESC, value
        ) = 1
    )"""

_DISCOUNT = f"""
    WITH {_LINES}
    SELECT customer_id,
           CAST(sum(list_amount) - sum(amount) AS DOUBLE) / CAST(sum(list_amount) AS DOUBLE)
    FROM lines WHERE amount IS NOT NULL AND list_amount IS NOT NULL
    GROUP BY customer_id HAVING count(DISTINCT purchase) >= $least AND sum(list_amount) > 0"""
_PROMOTION = f"""
    WITH {_BOUGHT}
    SELECT customer_id, count(promotion) / count(*)
    FROM bought GROUP BY customer_id HAVING count(*) >= $least"""

# Three times a cut is a whole number: cuts lie at thirds between two whole prices.
_CUTS = f"""{_LINES},
    priced AS (
        SELECT customer_id, purchase, category,
               (2 * CAST(amount * 10000 AS HUGEINT) + quantity) // (2 * CAST(quantity AS HUGEINT))
                   AS price
        FROM lines WHERE amount > 0 AND quantity > 0 AND category IS NOT NULL
    ),
    prices AS (
        SELECT 1 AS source, category, CAST(price * 10000 AS HUGEINT) AS price
        FROM products WHERE price > 0 AND category IS NOT NULL
        UNION ALL SELECT 2, category, price FROM priced
    ),
    ranked AS (
        SELECT source, category, price,
               row_number() OVER (PARTITION BY source, category ORDER BY price) - 1 AS place,
               count(*) OVER (PARTITION BY source, category) - 1 AS last
        FROM prices
    ),
    neighbours AS (
        SELECT source, category, last, min(price) AS lowest, max(price) AS highest,
               max(price) FILTER (place = last // 3) AS low,
               max(price) FILTER (place = least(last // 3 + 1, last)) AS above_low,
               max(price) FILTER (place = 2 * last // 3) AS high,
               max(price) FILTER (place = least(2 * last // 3 + 1, last)) AS above_high
        FROM ranked GROUP BY source, category, last
    ),
    cuts AS (
        SELECT category,
               3 * low + last % 3 * (above_low - low) AS low3,
               3 * high + 2 * last % 3 * (above_high - high) AS high3
        FROM neighbours WHERE lowest < highest
        QUALIFY row_number() OVER (PARTITION BY category ORDER BY source) = 1
    )"""
_PRICE_BAND = f"""
    WITH {_CUTS},
    placed AS (
        SELECT customer_id, purchase,
               CAST(3 * price > low3 AS INTEGER) + CAST(3 * price > high3 AS INTEGER) AS band
        FROM priced JOIN cuts USING (category)
    )
    SELECT customer_id, ['low', 'middle', 'high'][1 + list_sort(list(band))[(count(*) + 1) // 2]]
    FROM placed GROUP BY customer_id HAVING count(DISTINCT purchase) >= $least"""


def _definitions() -> Mapping[str, str]:
    found = {}
    for name, (events, chosen) in _CHOICES.items():
        made = f"WITH {events}, chosen(customer_id, value, event, time) AS ({chosen}), {_PREFERRED}"
        found[f"preferred_{name}"] = f"{made} SELECT customer_id, value FROM preferred"
        found[f"preferred_{name}_share"] = f"{made} SELECT customer_id, share FROM preferred"
    return found | {
        "discount_share": _DISCOUNT, "promotion_share": _PROMOTION, "price_band": _PRICE_BAND
    }  # fmt: skip


DEFINITIONS = _definitions()


def habits(
    connection: duckdb.DuckDBPyConnection, as_of: datetime, least: int
) -> dict[object, dict[str, object]]:
    """Every habit of every buyer of the table `customers`, None where there is none."""
    given = {"as_of": as_of, "least": least}
    ids = connection.execute("SELECT customer_id FROM customers").fetchall()
    found: dict[object, dict[str, object]] = {one: dict.fromkeys(DEFINITIONS) for (one,) in ids}
    for name, query in DEFINITIONS.items():
        asked = {key: value for key, value in given.items() if f"${key}" in query}
        for one, value in connection.execute(query, asked).fetchall():
            found[one][name] = value
    return found


def price_levels(
    connection: duckdb.DuckDBPyConnection, as_of: datetime
) -> dict[object, str | None]:
    """The band of every product's price within its category."""
    query = f"""
        WITH {_CUTS}
        SELECT product_id, CASE WHEN products.price > 0 AND low3 IS NOT NULL THEN
            ['low', 'middle', 'high'][
                1 + CAST(3 * CAST(price * 10000 AS HUGEINT) > low3 AS INTEGER)
                  + CAST(3 * CAST(price * 10000 AS HUGEINT) > high3 AS INTEGER)
            ] END
        FROM products LEFT JOIN cuts USING (category)"""
    return dict(connection.execute(query, {"as_of": as_of}).fetchall())
