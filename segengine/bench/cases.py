"""Which rules are counted? Each case gives a new rule per repeat, so that no answer is reused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of rule.

    `rule(k)` is its k-th variant as SQL that all engines share, `polars(pl, k)` the same as a
    Polars expression.
    """

    name: str
    rule: Callable[[int], str]
    polars: Callable[[Any, int], Any]


def _money(pl: Any, amount: float) -> Any:
    return pl.lit(f"{amount:.4f}").str.to_decimal(scale=4)


def _eight(k: int) -> str:
    return (
        f"recency <= {90 + k} AND orders >= 2 AND amount > {200 + k}.5 AND score > -1.{k:02d} "
        f"AND member AND level >= 1 "
        f"AND (region = 'region-{k % 31:02d}' OR city < 'city-0{500 + k}')"
    )


def _eight_polars(pl: Any, k: int) -> Any:
    c = pl.col
    return (
        (c("recency") <= 90 + k)
        & (c("orders") >= 2)
        & (c("amount") > _money(pl, 200 + k + 0.5))
        & (c("score") > -float(f"1.{k:02d}"))
        & c("member")
        & (c("level") >= 1)
        & (
            (c("region") == f"region-{k % 31:02d}")
            | (c("city").cast(pl.String) < f"city-0{500 + k}")
        )
    )


def _regions(k: int, count: int) -> list[str]:
    return [f"region-{(k + 3 * j) % 31:02d}" for j in range(count)]


CASES: tuple[Case, ...] = (
    Case("eight predicates, one OR", _eight, _eight_polars),
    Case("one whole number, selective", lambda k: f"recency < {3 + k}",
         lambda pl, k: pl.col("recency") < 3 + k),
    Case("one whole number, broad", lambda k: f"recency >= {30 + k}",
         lambda pl, k: pl.col("recency") >= 30 + k),
    Case("one float", lambda k: f"score > 1.{k:02d}",
         lambda pl, k: pl.col("score") > float(f"1.{k:02d}")),
    Case("money between", lambda k: f"amount BETWEEN {50 + k}.25 AND {90 + k}.75",
         lambda pl, k: pl.col("amount").is_between(_money(pl, 50.25 + k), _money(pl, 90.75 + k))),
    Case("text equal", lambda k: f"city = 'city-{k:04d}'",
         lambda pl, k: pl.col("city") == f"city-{k:04d}"),
    Case("text in 10", lambda k: "region IN (" + ", ".join(f"'{r}'" for r in _regions(k, 10)) + ")",
         lambda pl, k: pl.col("region").is_in(pl.Series(_regions(k, 10), dtype=pl.Categorical))),
    Case("text like", lambda k: f"city LIKE '%{k % 10}7'",
         lambda pl, k: pl.col("city").cast(pl.String).str.ends_with(f"{k % 10}7")),
    Case("missing, negated", lambda k: f"recency IS NULL AND NOT (orders > {2 + k} OR member)",
         lambda pl, k: pl.col("recency").is_null() & ~((pl.col("orders") > 2 + k)
                                                       | pl.col("member"))),
    Case("five ORs",
         lambda k: f"recency < {k} OR orders > {20 + k} OR amount > {90000 + k} "
                   f"OR score > 3.{k:02d} OR level = {k % 6}",
         lambda pl, k: (pl.col("recency") < k) | (pl.col("orders") > 20 + k)
                       | (pl.col("amount") > _money(pl, 90000 + k))
                       | (pl.col("score") > float(f"3.{k:02d}")) | (pl.col("level") == k % 6)),
    Case("column against column", lambda k: f"recency < orders * {10 + k}",
         lambda pl, k: pl.col("recency") < pl.col("orders") * (10 + k)),
)  # fmt: skip
EIGHT = CASES[0].name
