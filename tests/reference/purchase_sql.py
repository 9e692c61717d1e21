"""What did buyers buy, how do they rank, where are they in their life? Each trait as plain SQL.

One query gives a row a buyer. It asks for $as_of, the three thresholds of the life cycle, and for
the session's TimeZone. Quantiles are told exactly: five times a cut is a whole number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import duckdb
import pyarrow as pa

_WINDOWS = (7, 30, 90, 365)
_SUMS = ",\n".join(
    f"count(*) FILTER (WHERE age BETWEEN 0 AND {days - 1}) AS orders_{days}d, "
    f"coalesce(sum(amount) FILTER (WHERE age BETWEEN 0 AND {days - 1}), 0) AS amount_{days}d"
    for days in _WINDOWS
)
_PURCHASE = f"""
    people AS (SELECT customer_id, tags FROM customers),
    bought AS (
        SELECT customer_id, time, promotion, row_number() OVER () AS arrival,
               amount - coalesce(refund_amount, 0) AS amount, amount AS gross,
               date_diff('day', time::DATE, $as_of::TIMESTAMPTZ::DATE) AS age
        FROM orders WHERE is_purchase AND time <= $as_of
    ),
    placed AS (
        SELECT customer_id, count(*) AS orders_placed_count
        FROM orders WHERE time <= $as_of GROUP BY customer_id
    ),
    items AS (
        SELECT customer_id, coalesce(sum(quantity), 0) AS item_count,
               count(DISTINCT category) AS category_count, count(DISTINCT brand) AS brand_count
        FROM order_lines WHERE is_purchase AND time <= $as_of GROUP BY customer_id
    ),
    sums AS (
        SELECT customer_id, count(*) AS order_count,
               min(time) AS first_order_at, max(time) AS last_order_at,
               (list(time ORDER BY time))[2] AS second_order_at,
               min(age) AS recency_days, max(age) - min(age) AS span,
               coalesce(sum(amount), 0) AS amount_total, coalesce(sum(gross), 0) AS gross_total,
               sum(amount)::DOUBLE / count(amount) AS average_order_amount,
               last(amount ORDER BY time, arrival) AS last_order_amount,
               max(amount) AS max_order_amount,
               count(DISTINCT promotion) AS promotions_count,
               first(promotion ORDER BY time, arrival) FILTER (WHERE promotion IS NOT NULL)
                   AS first_promotion,
               {_SUMS}
        FROM bought GROUP BY customer_id
    ),
    facts AS (
        SELECT customer_id,
               first_order_at, second_order_at, last_order_at, recency_days,
               coalesce(order_count, 0) AS order_count,
               coalesce(orders_placed_count, 0) AS orders_placed_count,
               coalesce(item_count, 0) AS item_count,
               coalesce(amount_total, 0) AS amount_total,
               coalesce(gross_total, 0) AS gross_amount_total,
               average_order_amount, last_order_amount, max_order_amount,
               {", ".join(f"coalesce(orders_{d}d, 0) AS orders_{d}d" for d in _WINDOWS)},
               {", ".join(f"coalesce(amount_{d}d, 0) AS amount_{d}d" for d in _WINDOWS)},
               CASE WHEN order_count > 1 THEN span / (order_count - 1) END AS average_gap_days,
               CASE WHEN order_count > 1 AND span > 0
                    THEN recency_days / (span / (order_count - 1)) END AS gap_ratio,
               coalesce(category_count, 0) AS category_count,
               coalesce(brand_count, 0) AS brand_count,
               coalesce(promotions_count, 0) AS promotions_count, first_promotion,
               CASE coalesce(order_count, 0) WHEN 0 THEN 'potential' WHEN 1 THEN 'traded'
                    ELSE 'repeat' END AS trade_group
        FROM people LEFT JOIN sums USING (customer_id) LEFT JOIN placed USING (customer_id)
             LEFT JOIN items USING (customer_id)
    )"""


def _cut(value: str, parts: int, part: int) -> str:
    """`parts` times the continuous quantile at part/parts of a list of whole numbers."""
    place = f"({part} * (len({value}) - 1))"
    low = f"{value}[({place} // {parts}) + 1]"
    high = f"{value}[least(({place} // {parts}) + 2, len({value}))]"
    return f"({parts} * {low} + ({place} % {parts}) * ({high} - {low}))"


def _below(value: str, sorted_values: str, parts: int) -> str:
    """How many cuts lie below a value."""
    cuts = " + ".join(
        f"({_cut(sorted_values, parts, part)} < {parts} * {value})::INTEGER"
        for part in range(1, parts)
    )
    return f"({cuts})"


_UNITS = "(10000 * {})::HUGEINT"
_RFM = f"""
    fitted AS (
        SELECT list(recency_days::HUGEINT ORDER BY recency_days)
                   FILTER (WHERE order_count > 0) AS recencies,
               list(order_count::HUGEINT ORDER BY order_count)
                   FILTER (WHERE order_count > 0) AS counts,
               list({_UNITS.format("amount_total")} ORDER BY amount_total)
                   FILTER (WHERE order_count > 0) AS amounts,
               list({_UNITS.format("amount_365d")} ORDER BY amount_365d)
                   FILTER (WHERE amount_365d > 0) AS years
        FROM facts
    ),
    scored AS (
        SELECT customer_id,
               5 - {_below("recency_days", "recencies", 5)} AS r_score,
               1 + {_below("order_count", "counts", 5)} AS f_score,
               1 + {_below(_UNITS.format("amount_total"), "amounts", 5)} AS m_score
        FROM facts, fitted WHERE order_count > 0
    ),
    means AS (SELECT avg(r_score) AS r, avg(f_score) AS f, avg(m_score) AS m FROM scored),
    grouped AS (
        SELECT customer_id, r_score, f_score, m_score,
               concat(r_score, f_score, m_score) AS rfm_cell,
               (CASE WHEN m_score > m THEN 'important_' ELSE 'general_' END) ||
               (CASE WHEN r_score > r AND f_score > f THEN 'value' WHEN r_score > r THEN 'develop'
                     WHEN f_score > f THEN 'keep' ELSE 'win_back' END) AS rfm_group
        FROM scored, means
    ),
    tiered AS (
        SELECT customer_id, ['low', 'middle', 'high'][
                   1 + {_below(_UNITS.format("amount_365d"), "years", 3)}] AS value_tier
        FROM facts, fitted WHERE amount_365d > 0
    )"""

# The stage can change at a purchase, or where a local date begins.
_LIFE = """
    edges AS (
        SELECT customer_id, min(time)::DATE AS born FROM bought GROUP BY customer_id
    ),
    days AS (
        SELECT customer_id, unnest(generate_series(born, $as_of::TIMESTAMPTZ::DATE,
                                                   INTERVAL 1 DAY))::DATE AS day
        FROM edges
    ),
    moments AS (
        SELECT DISTINCT customer_id, time AS moment, time::DATE AS day FROM bought
        UNION SELECT customer_id, s.began, day FROM days JOIN starts s USING (day)
        WHERE s.began <= $as_of
    ),
    past AS (
        SELECT m.customer_id, m.moment, count(b.time) AS had,
               date_diff('day', max(b.time)::DATE, m.day) AS recency,
               date_diff('day', min(b.time)::DATE, max(b.time)::DATE) AS span
        FROM moments m LEFT JOIN bought b
             ON b.customer_id = m.customer_id AND b.time <= m.moment
        GROUP BY m.customer_id, m.moment, m.day
    ),
    stages AS (
        SELECT customer_id, moment,
               CASE WHEN had = 0 THEN 'prospect'
                    WHEN had = 1 AND recency <= $new_days THEN 'new'
                    WHEN recency <= $active_days AND had >= 3 AND span > 0
                         AND 2 * recency * (had - 1) > 3 * span THEN 'at_risk'
                    WHEN recency <= $active_days THEN 'active'
                    WHEN recency <= $sleeping_days THEN 'sleeping'
                    ELSE 'lapsed' END AS stage
        FROM past
    ),
    turns AS (
        SELECT customer_id, moment, stage,
               lag(stage, 1, 'prospect') OVER (PARTITION BY customer_id ORDER BY moment) AS before
        FROM stages
    ),
    changed AS (
        SELECT customer_id, max(moment) AS stage_changed_at,
               arg_max(before, moment) AS previous_stage, arg_max(stage, moment) AS lifecycle_stage
        FROM turns WHERE stage <> before GROUP BY customer_id
    )"""
_INTENT = """
    recent AS (
        SELECT *, date_diff('day', time::DATE, $as_of::TIMESTAMPTZ::DATE) AS age
        FROM behaviors WHERE time <= $as_of
    ),
    done AS (
        SELECT customer_id, list(DISTINCT kind) AS kinds,
               max(time) FILTER (WHERE kind = 'quote') AS quoted_at
        FROM recent WHERE age BETWEEN 0 AND 29 GROUP BY customer_id
    ),
    answered AS (
        SELECT customer_id, max(time) AS answered_at FROM (
            SELECT customer_id, time FROM recent WHERE kind = 'reply'
            UNION ALL SELECT customer_id, time FROM orders WHERE time <= $as_of
        ) GROUP BY customer_id
    ),
    looked AS (
        SELECT customer_id, max(views) AS views FROM (
            SELECT customer_id, product_id, count(*) AS views FROM recent
            WHERE age BETWEEN 0 AND 29 AND kind = 'view' AND product_id IS NOT NULL
            GROUP BY customer_id, product_id
        ) GROUP BY customer_id
    ),
    intents AS (
        SELECT customer_id,
               CASE WHEN list_contains(tags, 'never') THEN 'never'
                    WHEN quoted_at IS NOT NULL AND coalesce(answered_at <= quoted_at, TRUE)
                        THEN 'quoted_no_reply'
                    WHEN list_has_any(kinds, ['cart', 'favorite']) THEN 'interested'
                    WHEN list_contains(kinds, 'inquiry') OR views >= 3 THEN 'hesitating'
                    WHEN list_contains(kinds, 'visit') THEN 'not_now' END AS intent_stage
        FROM people LEFT JOIN done USING (customer_id) LEFT JOIN answered USING (customer_id)
             LEFT JOIN looked USING (customer_id)
    )"""
_ALL = f"""
    WITH {_PURCHASE}, {_RFM}, {_LIFE}, {_INTENT}
    SELECT facts.*, grouped.* EXCLUDE (customer_id), value_tier, intent_stage,
           coalesce(lifecycle_stage, 'prospect') AS lifecycle_stage,
           stage_changed_at, previous_stage
    FROM facts LEFT JOIN grouped USING (customer_id) LEFT JOIN tiered USING (customer_id)
         LEFT JOIN changed USING (customer_id) LEFT JOIN intents USING (customer_id)"""


def traits(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime,
    starts: Mapping[object, datetime],
    thresholds: tuple[int, int, int],
) -> dict[object, dict[str, object]]:
    """Every trait of these families, buyer by buyer.

    starts: the first moment of each local date that may matter, which SQL cannot tell where a
    clock jumps over midnight
    """
    connection.execute("CREATE TEMP TABLE starts (day DATE, began TIMESTAMPTZ)")
    if starts:
        connection.executemany(
            "INSERT INTO starts VALUES (?, ?)", [list(p) for p in starts.items()]
        )
    asked = dict(zip(("new_days", "active_days", "sleeping_days"), thresholds, strict=True))
    found = connection.sql(_ALL, params={"as_of": as_of, **asked}).to_arrow_table()
    for place, field in enumerate(found.schema):
        if pa.types.is_timestamp(field.type):
            # An hour that the clock shows twice is told apart in UTC.
            moments = found[field.name].cast(pa.timestamp("us", "UTC"))
            found = found.set_column(place, field.name, moments)
    return {row.pop("customer_id"): row for row in found.to_pylist()}
