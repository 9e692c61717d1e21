"""What does DuckDB say of a leaf that looks beyond one buyer's traits? Subqueries over the tables.

Beside `customers` there is a table for every kind of event, with all events in it, whatever
as_of; `arrival` numbers its rows, and the columns of an event's product are named `product.x`.
`affinities` has customer_id, kind, value and score, `buckets` customer_id, salt and value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .leaves import Affinity, Bucket, History, Population
from .rules import Node, Type, World, quoted, type_of

_TRAIT = "customers."


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: `row` is the alias that bare names are of, `buyer` the buyer's.

    `depth` tells the aliases of nested subqueries apart.
    """

    world: World
    row: str = "customers"
    buyer: str = "customers"
    depth: int = 0

    def column(self, name: str) -> str:
        """A column by its name in the rule."""
        if name.startswith(_TRAIT):
            return self.buyer + "." + identifier(name.removeprefix(_TRAIT))
        return self.row + "." + identifier(name)

    def of_event(self) -> Place:
        """Inside the FILTER of a history leaf."""
        return replace(self, row=f"e{self.depth}", depth=self.depth + 1)

    def of_other(self) -> Place:
        """Inside a population leaf, where every buyer is looked at in turn."""
        alias = f"b{self.depth}"
        return replace(self, row=alias, buyer=alias, depth=self.depth + 1)


Sql = Callable[[Node, Place], str]


def identifier(name: str) -> str:
    """The name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def instant_sql(moment: datetime) -> str:
    """An aware datetime as a literal."""
    return "TIMESTAMPTZ " + quoted(moment.astimezone(UTC).isoformat(sep=" "))


def leaf_sql(
    node: History | Population | Affinity | Bucket, place: Place, sql: Callable[[Node, Place], str]
) -> str:
    """The leaf as a scalar expression."""
    own = f"customer_id = {place.buyer}.customer_id"
    match node:
        case History():
            return _history_sql(node, place, sql)
        case Population():
            return _population_sql(node, place, sql)
        case Affinity(kind=kind, value=value):
            score = f"coalesce(max(CASE WHEN a.value = {quoted(value)} THEN a.score END), 0.0)"
            return (
                f"(SELECT CASE WHEN count(*) > 0 THEN CAST({score} AS DOUBLE) END"
                f" FROM affinities AS a WHERE a.{own} AND a.kind = {quoted(kind)})"
            )
        case Bucket(salt=salt):
            return f"(SELECT b.value FROM buckets AS b WHERE b.{own} AND b.salt = {quoted(salt)})"


def _history_sql(node: History, place: Place, sql: Sql) -> str:
    """A correlated scalar subquery over the events up to as_of."""
    inside = place.of_event()
    alias = inside.row
    where = f"{alias}.customer_id = {place.buyer}.customer_id"
    where += f' AND {alias}."time" <= {instant_sql(place.world.as_of)}'
    if node.where is not None:
        where += f" AND {sql(node.where, inside)}"
    column = inside.column(node.column.name) if node.column else "*"
    in_order = f'{alias}."time", {alias}.arrival'
    match node.function:
        case "count":
            value = "count(*)"
        case "count_distinct":
            value = f"count(DISTINCT {column})"
        case "avg":
            assert node.column is not None
            value = _average_sql(column, node.column.type)
        case "first" | "last":
            value = f"{node.function}({column} ORDER BY {in_order})"
        case _:
            value = _exact_sql(f"{node.function}({column})", type_of(node))
    found = f"(SELECT {value} FROM {identifier(node.table)} AS {alias} WHERE {where})"
    if node.function in {"count", "count_distinct", "sum"}:
        return _exact_sql(f"coalesce({found}, 0)", type_of(node))
    return found


def _exact_sql(value: str, kind: Type) -> str:
    """Sums of integers are HUGEINT and those of money DECIMAL(38, 4); both as the language's."""
    wanted = {Type.BIGINT: "BIGINT", Type.MONEY: "DECIMAL(24, 4)", Type.DOUBLE: "DOUBLE"}.get(kind)
    return f"CAST({value} AS {wanted})" if wanted else value


def _average_sql(operand: str, kind: Type, over: str = "") -> str:
    """One float64 division of the exact sum."""
    count = f"count({operand}){over}"
    if kind is Type.DOUBLE:
        return f"(sum({operand}){over} / CAST({count} AS DOUBLE))"
    if kind is Type.MONEY:
        operand, count = (
            f"CAST(CAST({operand} AS DECIMAL(28, 4)) * 10000 AS BIGINT)",
            f"({count} * 10000)",
        )
    total = f"CAST(CAST(sum({operand}){over} AS BIGINT) AS DOUBLE)"
    return f"({total} / CAST({count} AS DOUBLE))"


def _population_sql(node: Population, place: Place, sql: Sql) -> str:
    """A window over a subquery of the base; NULL for a buyer outside it."""
    inside = place.of_other()
    alias, kind = inside.row, type_of(node.operand)
    where = "x IS NOT NULL"
    condition = sql(node.where, inside) if node.where else "TRUE"
    keys = [f"k{number}" for number in range(len(node.partition))]
    columns = [f"{alias}.customer_id", f"{sql(node.operand, inside)} AS x"]
    columns += [
        f"{inside.column(column.name)} AS {key}"
        for column, key in zip(node.partition, keys, strict=True)
    ]
    base = (
        f"(SELECT * FROM (SELECT {', '.join(columns)} FROM customers AS {alias}"
        f" WHERE {condition}) WHERE {where})"
    )
    partition = f"PARTITION BY {', '.join(keys)}" if keys else ""
    over = f" OVER ({partition})"
    match node.function:
        case "percent_rank":
            value = f"percent_rank() OVER ({partition} ORDER BY x)"
        case "avg":
            value = _average_sql("x", kind, over)
        case "min" | "max":
            value = f"{node.function}(x){over}"
        case _:
            share = 0.5 if node.share is None else float(node.share)
            place_ = f"(count(*) OVER ({partition}) - 1) * CAST({share!r} AS DOUBLE)"
            base = (
                f"(SELECT *, CAST(x AS DOUBLE) AS number, {place_} AS place,"
                f" row_number() OVER ({partition} ORDER BY x) - 1 AS position FROM {base})"
            )
            low, high = (
                f"max(CASE WHEN position = {nearest}(place) THEN number END){over}"
                for nearest in ("floor", "ceil")
            )
            value = f"({low} + ({high} - {low}) * (place - floor(place)))"
    values = f"(SELECT customer_id, {value} AS v FROM {base})"
    return f"(SELECT w.v FROM {values} AS w WHERE w.customer_id = {place.buyer}.customer_id)"
