"""How do other engines derive the purchase traits? One query each, grouped by buyer.

They are given the orders and lines as this engine hands them out: what is a purchase is decided,
and category and brand of a line are filled in. Every trait of the family is derived; the names of
the result are the catalogue's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import pyarrow as pa

from segengine.bench.engines.of_duckdb import DuckDB
from segengine.bench.engines.of_polars import Polars

WINDOWS = (7, 30, 90, 365)
ORDER_COLUMNS = ("customer_id", "time", "is_purchase", "amount", "refund_amount", "promotion")
LINE_COLUMNS = ("customer_id", "time", "is_purchase", "quantity", "category", "brand")


@dataclass(frozen=True, slots=True)
class Moment:
    """For when: as_of, its date, the timezone, and the first instant of each of the windows."""

    as_of: datetime
    today: date
    timezone: str
    since: Mapping[int, datetime]


class Deriving(Protocol):
    """Derives the purchase traits of all buyers with an order."""

    key: str
    name: str

    def derive(self) -> int:
        """Make the table of traits, and say how many buyers are in it."""
        ...

    def answer(self) -> pa.Table:
        """The table that was made last, by customer_id."""
        ...

    def close(self) -> None:
        """Let go of the tables."""
        ...


class DuckDBTraits(DuckDB):
    """One CREATE TABLE AS over two GROUP BYs."""

    def __init__(self, tables: Mapping[str, pa.Table], moment: Moment) -> None:
        super().__init__(tables)
        self._connection.execute(f"SET TimeZone = '{moment.timezone}'")
        self._query = _sql(moment)

    def derive(self) -> int:
        """As `Deriving`."""
        self._connection.execute(f"CREATE OR REPLACE TABLE traits AS {self._query}")
        ((count,),) = self._connection.execute("SELECT count(*) FROM traits").fetchall()
        return int(count)

    def answer(self) -> pa.Table:
        """As `Deriving`."""
        found = self._connection.sql("SELECT * FROM traits ORDER BY customer_id")
        return found.to_arrow_table()


def _sql(moment: Moment) -> str:
    as_of = _literal(moment.as_of)
    bought = "FILTER (WHERE is_purchase)"
    windows = ",\n".join(
        f"count(*) FILTER (WHERE is_purchase AND time >= {_literal(since)}) AS orders_{days}d,\n"
        f"coalesce(sum(net) FILTER (WHERE is_purchase AND time >= {_literal(since)}), 0) "
        f"AS amount_{days}d"
        for days, since in moment.since.items()
    )
    names = ", ".join(f"orders_{days}d, amount_{days}d" for days in WINDOWS)
    return f"""
        WITH given AS (
            SELECT customer_id, time, is_purchase, amount, promotion,
                   amount - coalesce(refund_amount, 0) AS net
            FROM orders WHERE time <= {as_of}
        ), bought AS (
            SELECT customer_id, count(*) AS orders_placed_count, count(*) {bought} AS order_count,
                   min(time) {bought} AS first_order_at, max(time) {bought} AS last_order_at,
                   (min(time, 2) {bought})[2] AS second_order_at,
                   coalesce(sum(net) {bought}, 0) AS amount_total,
                   coalesce(sum(amount) {bought}, 0) AS gross_amount_total,
                   count(net) {bought} AS known,
                   arg_max_null(net, time) {bought} AS last_order_amount,
                   max(net) {bought} AS max_order_amount,
                   count(DISTINCT promotion) {bought} AS promotions_count,
                   arg_min(promotion, time) {bought} AS first_promotion,
                   {windows}
            FROM given GROUP BY customer_id
        ), items AS (
            SELECT customer_id, sum(quantity) AS item_count,
                   count(DISTINCT category) AS category_count, count(DISTINCT brand) AS brand_count
            FROM order_lines WHERE is_purchase AND time <= {as_of} GROUP BY customer_id
        ), dated AS (
            SELECT *, date_diff('day', last_order_at::DATE, DATE '{moment.today}') AS recency_days,
                   date_diff('day', first_order_at::DATE, last_order_at::DATE) AS span
            FROM bought
        )
        SELECT customer_id, order_count, orders_placed_count, recency_days,
               first_order_at, second_order_at, last_order_at,
               amount_total, gross_amount_total, last_order_amount, max_order_amount,
               amount_total::DOUBLE / nullif(known, 0) AS average_order_amount,
               CASE WHEN order_count > 1 THEN span / (order_count - 1) END AS average_gap_days,
               CASE WHEN order_count > 1 AND span > 0
                    THEN recency_days / (span / (order_count - 1)) END AS gap_ratio,
               promotions_count, first_promotion, {names},
               coalesce(item_count, 0) AS item_count,
               coalesce(category_count, 0) AS category_count,
               coalesce(brand_count, 0) AS brand_count
        FROM dated LEFT JOIN items USING (customer_id)
    """


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat(sep=' ')}'"


class PolarsTraits(Polars):
    """Two lazy group_bys, collected into a frame."""

    def __init__(self, tables: Mapping[str, pa.Table], moment: Moment) -> None:
        super().__init__(tables)
        self._plan = self._traits(moment)
        self._found: Any = None

    def derive(self) -> int:
        """As `Deriving`."""
        self._found = None
        self._found = self._plan.collect()
        return int(self._found.height)

    def answer(self) -> pa.Table:
        """As `Deriving`."""
        found: pa.Table = self._found.sort("customer_id").to_arrow()
        return found

    def _traits(self, moment: Moment) -> Any:
        pl = self._pl
        happened = self._frames["orders"].filter(pl.col("time") <= moment.as_of)
        placed = happened.group_by("customer_id").agg(pl.len().alias("orders_placed_count"))
        net = pl.col("amount") - pl.col("refund_amount").fill_null(0)
        windows = []
        for days, since in moment.since.items():
            within = pl.col("time") >= since
            windows += [
                within.sum().alias(f"orders_{days}d"),
                pl.when(within).then(pl.col("net")).sum().alias(f"amount_{days}d"),
            ]
        bought = (
            happened.filter(pl.col("is_purchase"))
            .with_columns(net=net)
            .group_by("customer_id")
            .agg(
                pl.len().alias("order_count"),
                pl.col("time").min().alias("first_order_at"),
                pl.col("time").max().alias("last_order_at"),
                pl.col("time").sort().get(1, null_on_oob=True).alias("second_order_at"),
                pl.col("net").sum().alias("amount_total"),
                pl.col("amount").sum().alias("gross_amount_total"),
                pl.col("net").count().alias("known"),
                pl.col("net").get(pl.col("time").arg_max()).alias("last_order_amount"),
                pl.col("net").max().alias("max_order_amount"),
                pl.col("promotion").drop_nulls().n_unique().alias("promotions_count"),
                pl.col("promotion").sort_by("time").drop_nulls().first().alias("first_promotion"),
                *windows,
            )
        )
        lines = self._frames["order_lines"]
        items = (
            lines.filter(pl.col("is_purchase") & (pl.col("time") <= moment.as_of))
            .group_by("customer_id")
            .agg(
                pl.col("quantity").sum().alias("item_count"),
                pl.col("category").drop_nulls().n_unique().alias("category_count"),
                pl.col("brand").drop_nulls().n_unique().alias("brand_count"),
            )
        )
        last_day, first_day = (
            pl.col(name).dt.convert_time_zone(moment.timezone).dt.date()
            for name in ("last_order_at", "first_order_at")
        )
        span, gaps = (last_day - first_day).dt.total_days(), pl.col("order_count") - 1
        several = pl.col("order_count") > 1
        counts = [f"orders_{days}d" for days in WINDOWS]
        counts += ["order_count", "promotions_count", "item_count", "category_count", "brand_count"]
        sums = [f"amount_{days}d" for days in WINDOWS] + ["amount_total", "gross_amount_total"]
        return (
            placed.join(bought, on="customer_id", how="left")
            .join(items, on="customer_id", how="left")
            .with_columns(
                recency_days=(pl.lit(moment.today) - last_day).dt.total_days(),
                average_order_amount=pl.col("amount_total").cast(pl.Float64) / pl.col("known"),
                average_gap_days=pl.when(several).then(span / gaps),
            )
            .with_columns(
                gap_ratio=pl.when(several & (pl.col("average_gap_days") > 0)).then(
                    pl.col("recency_days") / pl.col("average_gap_days")
                ),
                **{name: pl.col(name).fill_null(0) for name in (*counts, *sums)},
            )
            .drop("known")
        )


RIVALS: Mapping[str, Any] = {kind.key: kind for kind in (DuckDBTraits, PolarsTraits)}
