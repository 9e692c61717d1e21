"""Which rules over the order lines are counted? Counts, sums, distinct orders, first and last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from segengine.bench.case import CLICKHOUSE, Case, Sql, first_day, instant, money
from segengine.bench.order_lines import CATEGORIES


def _category(k: int) -> str:
    return CATEGORIES[k % len(CATEGORIES)]


def _grouped(condition: Sql, having: Callable[[int], str]) -> Sql:
    """How many buyers have a group of lines like that."""

    def sql(dialect: str, k: int) -> str:
        return (
            f"SELECT count(*) FROM (SELECT customer_id FROM order_lines "
            f"WHERE {condition(dialect, k)} GROUP BY customer_id HAVING {having(k)}) AS found"
        )

    return sql


def _since(dialect: str, days: int) -> str:
    return f"time >= {instant(dialect, first_day(days))}"


def _lazy(
    condition: Callable[[Any, int], Any], having: Callable[[Any, int], Any]
) -> Callable[[Any, Mapping[str, Any], int], Any]:
    def lazy(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
        lines = frames["order_lines"].filter(condition(pl, k))
        groups = lines.group_by("customer_id").agg(having(pl, k).alias("holds"))
        return groups.select(pl.col("holds").sum())

    return lazy


def _recent(pl: Any, days: int) -> Any:
    return pl.col("time") >= first_day(days)


def _buyers_in(dialect: str, k: int) -> str:
    return (
        "SELECT count(DISTINCT customer_id) FROM order_lines "
        f"WHERE category = '{_category(k)}' AND {_since(dialect, 30 + k)}"
    )


def _buyers_in_polars(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
    found = (pl.col("category") == _category(k)) & _recent(pl, 30 + k)
    return frames["order_lines"].filter(found).select(pl.col("customer_id").n_unique())


def _buyers_without(dialect: str, k: int) -> str:
    return (
        "SELECT (SELECT count(*) FROM customers) - (SELECT count(DISTINCT customer_id) "
        f"FROM order_lines WHERE category = '{_category(k)}' AND {_since(dialect, 180 + k)})"
    )


def _buyers_without_polars(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
    found = (pl.col("category") == _category(k)) & _recent(pl, 180 + k)
    some = frames["order_lines"].filter(found).select(pl.col("customer_id").n_unique())
    everybody = frames["customers"].select(pl.len())
    both = pl.concat([everybody, some.rename({"customer_id": "len"})], how="vertical_relaxed")
    return both.select(pl.col("len").first().cast(pl.Int64) - pl.col("len").last())


def _at_the(end: str, condition: Sql, holds: Callable[[int], str]) -> Sql:
    """How many buyers' last (`max`) or first (`min`) line is like that.

    ClickHouse has a fast function for it. The others join with the time of that line, which is
    faster than theirs, and right because no two lines here have one time.
    """

    def sql(dialect: str, k: int) -> str:
        where = condition(dialect, k)
        if dialect == CLICKHOUSE:
            column, test = holds(k).split(" ", 1)
            return (
                f"SELECT count(*) FROM (SELECT customer_id FROM order_lines WHERE {where} "
                f"GROUP BY customer_id HAVING arg{end.title()}({column}, time) {test}) AS found"
            )
        return (
            "SELECT count(*) FROM order_lines JOIN "
            f"(SELECT customer_id AS buyer, {end}(time) AS moment "
            f"FROM order_lines WHERE {where} GROUP BY customer_id) AS ends "
            f"ON customer_id = buyer AND time = moment WHERE {holds(k)}"
        )

    return sql


def _since_the_card(dialect: str, k: int) -> str:
    del dialect
    return (
        "SELECT count(*) FROM (SELECT order_lines.customer_id FROM order_lines "
        "JOIN customers ON customers.customer_id = order_lines.customer_id "
        f"WHERE category = '{_category(k)}' AND time > card_claimed_at AND amount > {k} "
        f"GROUP BY order_lines.customer_id HAVING count(*) >= {1 + k % 3}) AS found"
    )


def _since_the_card_polars(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
    some = (pl.col("category") == _category(k)) & (pl.col("amount") > money(pl, k))
    lines = frames["order_lines"].filter(some)
    joined = lines.join(frames["customers"], on="customer_id")
    since = joined.filter(pl.col("time") > pl.col("card_claimed_at"))
    groups = since.group_by("customer_id").agg((pl.len() >= 1 + k % 3).alias("holds"))
    return groups.select(pl.col("holds").sum())


def _with_level(dialect: str, k: int) -> str:
    return (
        f"SELECT count(*) FROM customers WHERE member_level >= {2 + k % 3} AND customer_id IN "
        f"(SELECT customer_id FROM order_lines WHERE {_since(dialect, 60 + k)} "
        f"GROUP BY customer_id HAVING count(*) >= 2)"
    )


def _with_level_polars(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
    groups = frames["order_lines"].filter(_recent(pl, 60 + k)).group_by("customer_id")
    often = groups.agg(pl.len().alias("lines")).filter(pl.col("lines") >= 2)
    high = frames["customers"].filter(pl.col("member_level") >= 2 + k % 3)
    return high.join(often, on="customer_id", how="semi").select(pl.len())


HISTORY: tuple[Case, ...] = (
    Case("one category in 30 days",
         lambda k: f"count(order_lines) FILTER (WHERE category = '{_category(k)}' "
                   f"AND in_last_days(time, {30 + k})) >= 1",
         _buyers_in, _buyers_in_polars),
    Case("sum over a year",
         lambda k: f"sum(order_lines.amount) FILTER (WHERE in_last_days(time, 365)) >= {100 + k}",
         _grouped(lambda d, _: _since(d, 365), lambda k: f"sum(amount) >= {100 + k}"),
         _lazy(lambda pl, _: _recent(pl, 365),
               lambda pl, k: pl.col("amount").sum() >= money(pl, 100 + k))),
    Case("several lines in 90 days",
         lambda k: f"count(order_lines) FILTER (WHERE in_last_days(time, {90 + k})) >= 3",
         _grouped(lambda d, k: _since(d, 90 + k), lambda _: "count(*) >= 3"),
         _lazy(lambda pl, k: _recent(pl, 90 + k), lambda pl, _: pl.len() >= 3)),
    Case("distinct orders in a category",
         lambda k: f"count(DISTINCT order_lines.order_id) FILTER (WHERE category = "
                   f"'{_category(k)}' AND in_last_days(time, {600 + k})) >= {2 + k % 2}",
         _grouped(lambda d, k: f"category = '{_category(k)}' AND {_since(d, 600 + k)}",
                  lambda k: f"count(DISTINCT order_id) >= {2 + k % 2}"),
         _lazy(lambda pl, k: (pl.col("category") == _category(k)) & _recent(pl, 600 + k),
               lambda pl, k: pl.col("order_id").n_unique() >= 2 + k % 2)),
    Case("last category",
         lambda k: f"last(order_lines.category) FILTER (WHERE in_last_days(time, {365 + k})) = "
                   f"'{_category(k)}'",
         _at_the("max", lambda d, k: _since(d, 365 + k), lambda k: f"category = '{_category(k)}'"),
         _lazy(lambda pl, k: _recent(pl, 365 + k),
               lambda pl, k: pl.col("category").last() == _category(k))),
    Case("first amount",
         lambda k: f"first(order_lines.amount) >= {60 + k}",
         _at_the("min", lambda _d, _k: "TRUE", lambda k: f"amount >= {60 + k}"),
         _lazy(lambda pl, _: pl.lit(True),
               lambda pl, k: pl.col("amount").first() >= money(pl, 60 + k))),
    Case("greatest amount in a category",
         lambda k: f"max(order_lines.amount) FILTER (WHERE category = '{_category(k)}') >= "
                   f"{80 + k}",
         # Some amount is as great: that needs no groups.
         lambda _, k: "SELECT count(DISTINCT customer_id) FROM order_lines "
                      f"WHERE category = '{_category(k)}' AND amount >= {80 + k}",
         lambda pl, frames, k: frames["order_lines"].filter(
             (pl.col("category") == _category(k)) & (pl.col("amount") >= money(pl, 80 + k))
         ).select(pl.col("customer_id").n_unique())),
    Case("none of a category in 180 days",
         lambda k: f"count(order_lines) FILTER (WHERE category = '{_category(k)}' "
                   f"AND in_last_days(time, {180 + k})) = 0",
         _buyers_without, _buyers_without_polars),
    Case("since the card was claimed",
         lambda k: f"count(order_lines) FILTER (WHERE category = '{_category(k)}' "
                   f"AND time > customers.card_claimed_at AND amount > {k}) >= {1 + k % 3}",
         _since_the_card, _since_the_card_polars),
    Case("history beside a trait",
         lambda k: f"member_level >= {2 + k % 3} AND count(order_lines) FILTER "
                   f"(WHERE in_last_days(time, {60 + k})) >= 2",
         _with_level, _with_level_polars),
)  # fmt: skip
