"""Which rules over the buyers are counted? Every kind of condition, selective and broad."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from segengine.bench.case import (
    CLICKHOUSE,
    DATAFUSION,
    DUCKDB,
    Case,
    Rule,
    first_day,
    instant,
    money,
    quoted,
    where,
)
from segengine.bench.population import CITIES, COUPONS, OUTLETS, REGIONS, TAGS


def _eight(k: int) -> str:
    return (
        f"recency <= {90 + k} AND orders >= {1 + k % 3} AND amount > {200 + k}.5 "
        f"AND score > -1.{k:02d} AND member AND level >= {k % 4} "
        f"AND (region = '{REGIONS[k % 31]}' OR city < '{CITIES[500 + k]}')"
    )


def _eight_polars(pl: Any, k: int) -> Any:
    c = pl.col
    return (
        (c("recency") <= 90 + k)
        & (c("orders") >= 1 + k % 3)
        & (c("amount") > money(pl, 200 + k + 0.5))
        & (c("score") > -float(f"1.{k:02d}"))
        & c("member")
        & (c("level") >= k % 4)
        & ((c("region") == REGIONS[k % 31]) | (c("city") < CITIES[500 + k]))
    )


def _or_of_ands(k: int) -> str:
    return (
        f"(recency < {30 + k} AND orders > 3) OR (amount > {500 + k} AND level >= 4) "
        f"OR (region = '{REGIONS[k % 31]}' AND score > 0.{k:02d}) OR (member AND orders > {9 + k})"
    )


def _or_of_ands_polars(pl: Any, k: int) -> Any:
    c = pl.col
    return (
        ((c("recency") < 30 + k) & (c("orders") > 3))
        | ((c("amount") > money(pl, 500 + k)) & (c("level") >= 4))
        | ((c("region") == REGIONS[k % 31]) & (c("score") > float(f"0.{k:02d}")))
        | (c("member") & (c("orders") > 9 + k))
    )


def _outlets(k: int, count: int) -> list[int]:
    return [(17 * k + 41 * j) % OUTLETS for j in range(count)]


def _regions(k: int) -> list[str]:
    return [REGIONS[(k + 3 * j) % 31] for j in range(10)]


def _cities(k: int, count: int) -> list[str]:
    return [CITIES[(7 * k + 13 * j) % 2000] for j in range(count)]


def _integers(k: int, count: int) -> str:
    return f"outlet IN ({', '.join(map(str, _outlets(k, count)))})"


def _in_set(column: str, kind: str, members: Callable[[int], str]) -> Rule:
    """DuckDB looks a hundred up faster in a table than in a list."""
    return lambda k: f"{column} IN (SELECT unnest([{members(k)}]::{kind}[]))"


def _amounts(k: int) -> str:
    """ClickHouse compares exactly, and faster, with an amount of its own kind."""
    low, high = (f"toDecimal64('{amount}', 4)" for amount in (50.25 + k, 90.75 + k))
    return f"amount BETWEEN {low} AND {high}"


def _any_tags(k: int) -> list[str]:
    return [TAGS[(k + j) % 40] for j in (0, 11, 23)]


def _as_enum(k: int) -> str:
    """An ENUM compares by its place, which here is the order of the texts."""
    below = f"'{CITIES[500 + k]}'"
    return _eight(k).replace(below, f"{below}::city_words")


def _seen(dialect: str) -> Rule:
    return lambda k: f"seen_at >= {instant(dialect, first_day(20 + k))}"


def _joined(k: int) -> tuple[datetime, datetime]:
    start = datetime(2024, 1, 1, 9, tzinfo=UTC) + timedelta(days=k)
    return start, start + timedelta(days=150, hours=5)


def _joined_between(dialect: str) -> Rule:
    def condition(k: int) -> str:
        start, end = (instant(dialect, moment) for moment in _joined(k))
        return f"joined_at BETWEEN {start} AND {end}"

    return condition


def _joined_rule(k: int) -> str:
    start, end = (f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}'" for moment in _joined(k))
    return f"joined_at BETWEEN {start} AND {end}"


def _with_outlet(condition: str) -> Rule:
    """A condition that cannot vary, made new by one that leaves an outlet out."""
    return lambda k: f"{condition} AND outlet <> {k}"


def _without(pl: Any, k: int) -> Any:
    return pl.col("outlet") != k


def _birthday(function: str) -> Rule:
    return lambda k: f"{function} = {1 + k % 12} AND outlet <> {k}"


CONDITIONS: tuple[Case, ...] = (
    where("eight predicates, one OR", _eight, _eight_polars, duckdb=_as_enum),
    where("one whole number, selective", lambda k: f"recency < {3 + k}",
          lambda pl, k: pl.col("recency") < 3 + k),
    where("one whole number, broad", lambda k: f"recency >= {30 + k}",
          lambda pl, k: pl.col("recency") >= 30 + k),
    where("one float", lambda k: f"score > 1.{k:02d}",
          lambda pl, k: pl.col("score") > float(f"1.{k:02d}")),
    where("money between", lambda k: f"amount BETWEEN {50 + k}.25 AND {90 + k}.75",
          lambda pl, k: pl.col("amount").is_between(money(pl, 50.25 + k), money(pl, 90.75 + k)),
          clickhouse=_amounts),
    where("five ORs",
          lambda k: f"recency < {k} OR orders > {20 + k} OR amount > {90000 + k} "
                    f"OR score > 3.{k:02d} OR level = {k % 6}",
          lambda pl, k: (pl.col("recency") < k) | (pl.col("orders") > 20 + k)
                        | (pl.col("amount") > money(pl, 90000 + k))
                        | (pl.col("score") > float(f"3.{k:02d}")) | (pl.col("level") == k % 6)),
    where("four ANDs under ORs", _or_of_ands, _or_of_ands_polars),
    where("whole number in 1", lambda k: _integers(k, 1),
          lambda pl, k: pl.col("outlet").is_in(_outlets(k, 1))),
    where("whole number in 10", lambda k: _integers(k, 10),
          lambda pl, k: pl.col("outlet").is_in(_outlets(k, 10))),
    where("whole number in 100", lambda k: _integers(k, 100),
          lambda pl, k: pl.col("outlet").is_in(_outlets(k, 100)),
          duckdb=_in_set("outlet", "INTEGER", lambda k: ", ".join(map(str, _outlets(k, 100))))),
    where("text in 1", lambda k: f"city IN ({quoted(_cities(k, 1))})",
          lambda pl, k: pl.col("city").is_in(_cities(k, 1))),
    where("text in 10", lambda k: f"city IN ({quoted(_cities(k, 10))})",
          lambda pl, k: pl.col("city").is_in(_cities(k, 10))),
    where("text in 100", lambda k: f"city IN ({quoted(_cities(k, 100))})",
          lambda pl, k: pl.col("city").is_in(_cities(k, 100)),
          duckdb=_in_set("city", "city_words", lambda k: quoted(_cities(k, 100)))),
    where("text not in 10", lambda k: f"region NOT IN ({quoted(_regions(k))}) AND outlet <> {k}",
          lambda pl, k: ~pl.col("region").is_in(_regions(k)) & _without(pl, k)),
    where("negations",
          lambda k: f"NOT (recency > {60 + k} AND NOT (orders > {4 + k % 5} OR member)) "
                    f"AND NOT level = {k % 6}",
          lambda pl, k: ~((pl.col("recency") > 60 + k)
                          & ~((pl.col("orders") > 4 + k % 5) | pl.col("member")))
                        & (pl.col("level") != k % 6)),
    where("missing", _with_outlet("coupon IS NULL"),
          lambda pl, k: pl.col("coupon").is_null() & _without(pl, k)),
    where("not missing", lambda k: f"recency IS NOT NULL AND coupon <> '{COUPONS[k % 50]}'",
          lambda pl, k: pl.col("recency").is_not_null() & (pl.col("coupon") != COUPONS[k % 50])),
    where("missing, negated", lambda k: f"recency IS NULL AND NOT (orders > {2 + k} OR member)",
          lambda pl, k: pl.col("recency").is_null() & ~((pl.col("orders") > 2 + k)
                                                        | pl.col("member"))),
    where("text equal", lambda k: f"city = '{CITIES[k]}'",
          lambda pl, k: pl.col("city") == CITIES[k]),
    where("text begins", lambda k: f"city LIKE 'city-{k:03d}%'",
          lambda pl, k: pl.col("city").cat.starts_with(f"city-{k:03d}")),
    where("text ends", lambda k: f"city LIKE '%{k:02d}'",
          lambda pl, k: pl.col("city").cat.ends_with(f"{k:02d}")),
    where("text below", lambda k: f"city < '{CITIES[300 + k]}'",
          lambda pl, k: pl.col("city") < CITIES[300 + k],
          duckdb=lambda k: f"city < '{CITIES[300 + k]}'::city_words"),
    where("one tag", lambda k: f"list_contains(tags, '{TAGS[k % 40]}') AND outlet <> {k}",
          lambda pl, k: pl.col("tags").list.contains(TAGS[k % 40]) & _without(pl, k),
          duckdb=lambda k: f"list_contains(tags, '{TAGS[k % 40]}'::tags_words) AND outlet <> {k}",
          datafusion=lambda k: f"array_has(tags, '{TAGS[k % 40]}') AND outlet <> {k}",
          clickhouse=lambda k: f"has(tags, '{TAGS[k % 40]}') AND outlet <> {k}"),
    where("any of three tags",
          lambda k: f"list_has_any(tags, [{quoted(_any_tags(k))}]) AND outlet <> {k}",
          lambda pl, k: pl.any_horizontal(*(pl.col("tags").list.contains(t) for t in _any_tags(k)))
                        & _without(pl, k),
          # Three look-ups are faster than their own function for any of several.
          duckdb=lambda k: _any_tag("list_contains(tags, '{}'::tags_words)", k),
          datafusion=lambda k: _any_tag("array_has(tags, '{}')", k),
          clickhouse=lambda k: f"hasAny(tags, [{quoted(_any_tags(k))}]) AND outlet <> {k}"),
    where("without a tag",
          lambda k: f"NOT list_contains(tags, '{TAGS[k % 40]}') AND orders > {k}",
          lambda pl, k: ~pl.col("tags").list.contains(TAGS[k % 40]) & (pl.col("orders") > k),
          duckdb=lambda k: f"NOT list_contains(tags, '{TAGS[k % 40]}'::tags_words) "
                           f"AND orders > {k}",
          datafusion=lambda k: f"NOT array_has(tags, '{TAGS[k % 40]}') AND orders > {k}",
          clickhouse=lambda k: f"NOT has(tags, '{TAGS[k % 40]}') AND orders > {k}"),
    where("booleans", _with_outlet("(member OR NOT opted_in)"),
          lambda pl, k: (pl.col("member") | ~pl.col("opted_in")) & _without(pl, k)),
    where("in the last days", lambda k: f"in_last_days(seen_at, {20 + k})",
          lambda pl, k: pl.col("seen_at") >= first_day(20 + k),
          duckdb=_seen(DUCKDB), datafusion=_seen(DATAFUSION), clickhouse=_seen(CLICKHOUSE)),
    where("between two moments", _joined_rule,
          lambda pl, k: pl.col("joined_at").is_between(*_joined(k)),
          duckdb=_joined_between(DUCKDB), datafusion=_joined_between(DATAFUSION),
          clickhouse=_joined_between(CLICKHOUSE)),
    where("month of birthday", _birthday("month(birthday)"),
          lambda pl, k: (pl.col("birthday").dt.month() == 1 + k % 12) & _without(pl, k),
          datafusion=_birthday("date_part('month', birthday)"),
          clickhouse=_birthday("toMonth(birthday)")),
    where("column against column", lambda k: f"recency < orders * {10 + k}",
          lambda pl, k: pl.col("recency") < pl.col("orders") * (10 + k)),
    where("arithmetic", lambda k: f"orders * 3 + coalesce(level, 0) - {k} > 12",
          lambda pl, k: pl.col("orders") * 3 + pl.col("level").fill_null(0) - k > 12),
)  # fmt: skip


def _any_tag(look_up: str, k: int) -> str:
    return f"({' OR '.join(look_up.format(t) for t in _any_tags(k))}) AND outlet <> {k}"


# --- the buyer among the others -----------------------------------------------------------------


def _windowed(window: str, base: Rule, condition: Rule) -> Callable[[str, int], str]:
    """The rows of a base, a window over them as `w`, and the condition on it."""

    def sql(dialect: str, k: int) -> str:
        del dialect
        return (
            f"SELECT count(*) FROM (SELECT amount, {window} AS w FROM customers "
            f"WHERE {base(k)}) AS base WHERE {condition(k)}"
        )

    return sql


def _best_tenth(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
    base = frames["customers"].filter(
        (pl.col("orders") >= 2) & (pl.col("outlet") != k) & pl.col("amount").is_not_null()
    )
    rank = (pl.col("amount").rank("min") - 1) / (pl.len() - 1)
    return base.select((rank >= float(f"0.{900 + k}")).sum())


def _best_of_region(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
    base = frames["customers"].filter(pl.col("amount").is_not_null())
    rank = (pl.col("amount").rank("min") - 1) / (pl.len() - 1)
    return base.select((rank.over("region") >= float(f"0.{950 + k}")).sum())


def _above_average(pl: Any, frames: Mapping[str, Any], k: int) -> Any:
    amount = pl.col("amount").cast(pl.Float64)
    base = frames["customers"].filter((pl.col("recency") <= 300 + k) & amount.is_not_null())
    return base.select((amount > amount.mean().over("region")).sum())


POPULATION: tuple[Case, ...] = (
    Case("best tenth of those with orders",
         lambda k: "percent_rank(amount) FILTER (WHERE orders >= 2 AND "
                   f"outlet <> {k}) OVER () >= "
                   f"0.{900 + k}",
         _windowed("percent_rank() OVER (ORDER BY amount)",
                   lambda k: f"amount IS NOT NULL AND orders >= 2 AND outlet <> {k}",
                   lambda k: f"w >= 0.{900 + k}"),
         _best_tenth),
    Case("best twentieth of the region",
         lambda k: f"percent_rank(amount) OVER (PARTITION BY region) >= 0.{950 + k}",
         _windowed("percent_rank() OVER (PARTITION BY region ORDER BY amount)",
                   lambda _: "amount IS NOT NULL", lambda k: f"w >= 0.{950 + k}"),
         _best_of_region),
    Case("above the region's average",
         lambda k: f"amount > avg(amount) FILTER (WHERE recency <= {300 + k}) "
                   "OVER (PARTITION BY region)",
         _windowed("avg(amount) OVER (PARTITION BY region)",
                   lambda k: f"amount IS NOT NULL AND recency <= {300 + k}",
                   lambda _: "amount > w"),
         _above_average),
)  # fmt: skip
RULES = CONDITIONS + POPULATION
EIGHT = RULES[0].name
