"""What is every trait of a product, said in plain SQL? Run by DuckDB over a store's tables.

`given` are the products as the shop gave them; lines, behaviors, orders and stages of buyers are
those of `engine.connect()`, so only events up to as_of. Each trait is a query of its own, as its
definition reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

GIVEN = pa.schema(
    [
        ("category", pa.string()),
        ("price", pa.decimal128(18, 4)),
        ("cost", pa.decimal128(18, 4)),
        ("matrix_class", pa.string()),
        ("role", pa.string()),
    ]
)

_VIEWS = """
CREATE TEMP VIEW sold AS
  SELECT product_id, customer_id, order_id, quantity, amount, category,
         date_diff('day', time::DATE, moment()::DATE) AS age
  FROM order_lines WHERE is_purchase;
CREATE TEMP VIEW seen AS
  SELECT product_id, customer_id, date_diff('day', time::DATE, moment()::DATE) AS age
  FROM behaviors WHERE kind = 'view';
CREATE TEMP VIEW windows AS
  SELECT product_id, coalesce(sum(amount) FILTER (age BETWEEN 0 AND 89), 0) AS now,
         coalesce(sum(amount) FILTER (age BETWEEN 90 AND 179), 0) AS before,
         count(sold.age) FILTER (age BETWEEN 0 AND 179) AS lines
  FROM given LEFT JOIN sold USING (product_id) GROUP BY product_id;
CREATE TEMP VIEW store AS
  SELECT CASE WHEN sum(before) > 0 THEN sum(now)::DOUBLE / sum(before)::DOUBLE - 1 END AS overall
  FROM windows;
CREATE TEMP VIEW growths AS
  SELECT product_id,
         CASE WHEN before > 0 THEN now::DOUBLE / before::DOUBLE - 1 END AS growth,
         CASE WHEN before > 0 THEN coalesce(growth > overall, false) ELSE now > 0 END AS is_high
  FROM windows, store;
CREATE TEMP VIEW shares AS
  SELECT product_id, category,
         CASE WHEN category IS NOT NULL AND sum(now) OVER (PARTITION BY category) > 0
              THEN now::DOUBLE / sum(now) OVER (PARTITION BY category)::DOUBLE END AS share
  FROM windows JOIN given USING (product_id);
CREATE TEMP VIEW classes AS
  SELECT product_id,
         coalesce(share > avg(share) OVER (PARTITION BY category) + 1e-12, false) AS is_large
  FROM shares;
CREATE TEMP VIEW unit_prices AS
  SELECT category, (10000 * price)::BIGINT AS price, 1 AS source FROM given WHERE price > 0
  UNION ALL
  SELECT category, ((10000 * amount)::BIGINT + quantity // 2) // quantity, 2 FROM order_lines
  WHERE is_purchase AND amount > 0 AND quantity > 0;
CREATE TEMP VIEW cuts AS
  SELECT category, quantile_cont(price, 1.0 / 3) AS low, quantile_cont(price, 2.0 / 3) AS high
  FROM unit_prices WHERE category IS NOT NULL
  GROUP BY category, source HAVING count(DISTINCT price) > 1
  QUALIFY row_number() OVER (PARTITION BY category ORDER BY source) = 1;
CREATE TEMP VIEW levels AS
  SELECT product_id,
         CASE WHEN NOT price > 0 OR price IS NULL OR low IS NULL THEN NULL
              WHEN 10000 * price > high THEN 'high'
              WHEN 10000 * price > low THEN 'middle' ELSE 'low' END AS price_level
  FROM given LEFT JOIN cuts USING (category);
CREATE TEMP VIEW margins AS
  SELECT product_id, CASE WHEN price <> 0 THEN (price - cost)::DOUBLE / price::DOUBLE END AS margin
  FROM given;
CREATE TEMP VIEW first_orders AS
  SELECT customer_id, arg_min(row, (time, row)) AS row
  FROM (SELECT *, row_number() OVER () AS row FROM orders) WHERE is_purchase GROUP BY customer_id;
CREATE TEMP VIEW firsts AS
  SELECT product_id, count(DISTINCT o.customer_id) AS buyers
  FROM first_orders f
  JOIN (SELECT *, row_number() OVER () AS row FROM orders) o USING (row)
  JOIN order_lines l ON l.order_id = o.order_id AND l.is_purchase
  JOIN given USING (product_id) GROUP BY product_id;
CREATE TEMP VIEW keepers AS
  SELECT product_id, count(DISTINCT customer_id) AS buyers,
         count(DISTINCT customer_id) FILTER (lifecycle_stage IN ('at_risk', 'sleeping')) AS leaving
  FROM sold JOIN given USING (product_id) JOIN customers USING (customer_id) GROUP BY product_id;
"""


def _sold(what: str, days: int) -> str:
    return f"(SELECT {what} FROM sold WHERE sold.product_id = g.product_id AND age < {days})"


def _seen(what: str, days: int) -> str:
    return f"(SELECT {what} FROM seen WHERE seen.product_id = g.product_id AND age < {days})"


CURRENT: Mapping[str, str] = {
    **{f"units_{n}d": _sold("coalesce(sum(quantity), 0)", n) for n in (30, 90)},
    **{f"amount_{n}d": _sold("coalesce(sum(amount), 0)", n) for n in (30, 90)},
    **{f"buyers_{n}d": _sold("count(DISTINCT customer_id)", n) for n in (30, 90)},
    **{f"views_{n}d": _seen("count(*)", n) for n in (30, 90)},
    "conversion_rate": """(SELECT avg((v.customer_id IN (
        SELECT customer_id FROM sold WHERE sold.product_id = g.product_id AND age < 30))::INT)
        FROM (SELECT DISTINCT customer_id FROM seen
              WHERE seen.product_id = g.product_id AND age < 30) v)""",
    "margin": "(SELECT margin FROM margins m WHERE m.product_id = g.product_id)",
}
FITTED: Mapping[str, str] = {
    "growth": "(SELECT growth FROM growths w WHERE w.product_id = g.product_id)",
    "share": "(SELECT share FROM shares s WHERE s.product_id = g.product_id)",
    "price_level": "(SELECT price_level FROM levels p WHERE p.product_id = g.product_id)",
    "matrix_class": """coalesce(matrix_class, (
        SELECT CASE WHEN g.category IS NULL OR lines = 0 THEN NULL
                    WHEN is_high AND is_large THEN 'star' WHEN is_large THEN 'cash_cow'
                    WHEN is_high THEN 'question' ELSE 'dog' END
        FROM windows JOIN growths USING (product_id) JOIN classes USING (product_id)
        WHERE windows.product_id = g.product_id))""",
    "role": """coalesce(role, CASE
        WHEN (SELECT buyers FROM firsts f WHERE f.product_id = g.product_id)
             > (SELECT quantile_cont(buyers, 0.8) FROM firsts) THEN 'traffic'
        WHEN (SELECT margin FROM margins m WHERE m.product_id = g.product_id)
             > (SELECT quantile_cont(margin, 0.8) FROM margins) + 1e-12 THEN 'profit'
        WHEN (SELECT price_level FROM levels p WHERE p.product_id = g.product_id) = 'high'
             THEN 'edge'
        WHEN (SELECT price_level FROM levels p WHERE p.product_id = g.product_id) = 'low'
             AND (SELECT leaving / buyers FROM keepers k WHERE k.product_id = g.product_id)
                 > (SELECT sum(leaving) / sum(buyers) FROM keepers) + 1e-12
             THEN 'retention' END)""",
}


def product_traits(
    connection: duckdb.DuckDBPyConnection, given: pa.Table, as_of: datetime
) -> dict[object, dict[str, Any]]:
    """Every trait of every product, by product_id."""
    connection.register("given", given)
    moment = as_of.isoformat()
    connection.execute(f"CREATE TEMP MACRO moment() AS TIMESTAMPTZ '{moment}'")
    connection.execute(_VIEWS)
    asked = ", ".join(f"{sql} AS {name}" for name, sql in {**CURRENT, **FITTED}.items())
    rows = connection.sql(f"SELECT product_id, {asked} FROM given g").to_arrow_table()
    return {row.pop("product_id"): row for row in rows.to_pylist()}
