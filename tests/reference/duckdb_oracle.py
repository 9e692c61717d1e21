"""What does DuckDB say? A rule as SQL that means what language.md says, and its answer.

Only the session's TimeZone is set. Every difference between DuckDB and the language is spelt in
the SQL: literals are cast, a division is by nullif(x, 0), an overflow is caught by TRY.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import assert_never

import duckdb
import pyarrow as pa

from .leaf_sql import Place, instant_sql, leaf_sql
from .leaves import Affinity, Bucket, History, Named, Population
from .rules import (
    CALENDAR_UNITS,
    And,
    Arithmetic,
    Between,
    Call,
    Case,
    Column,
    Compare,
    Constant,
    In,
    IsNull,
    Like,
    Negative,
    Node,
    Not,
    Now,
    Or,
    Segment,
    Shift,
    Today,
    Type,
    World,
    common_type,
    constant_text,
    is_point,
    quoted,
    type_of,
)

_SQL_TYPES: Mapping[Type, str] = {
    Type.BOOLEAN: "BOOLEAN",
    Type.BIGINT: "BIGINT",
    Type.DOUBLE: "DOUBLE",
    Type.MONEY: "DECIMAL(28, 6)",  # a literal of money may have more places than money
    Type.VARCHAR: "VARCHAR",
    Type.DATE: "DATE",
    Type.TIMESTAMP: "TIMESTAMPTZ",
    Type.TEXTS: "VARCHAR[]",
}
_LARGEST_MONEY = "CAST('922337203685477.5807' AS DECIMAL(24, 4))"


def open_customers(customers: pa.Table) -> duckdb.DuckDBPyConnection:
    """A connection of its own whose table `customers` is a copy of the given one."""
    connection = duckdb.connect()
    connection.register("given_customers", customers)
    connection.execute("CREATE TABLE customers AS SELECT * FROM given_customers")
    return connection


def open_tables(tables: Mapping[str, pa.Table], world: World) -> duckdb.DuckDBPyConnection:
    """A connection of its own with copies of the tables, and what the world gives to leaves."""
    connection = duckdb.connect()
    given: dict[str, pa.Table] = dict(tables)
    ids = tables["customers"]["customer_id"].type
    scores = [
        (one, kind, value, score)
        for one, kinds in world.affinities.items()
        for kind, values in kinds.items()
        for value, score in values.items()
    ]
    buckets = [(one, salt, x) for salt, found in world.buckets.items() for one, x in found.items()]
    text, number = pa.string(), pa.float64()
    given["affinities"] = _listed(
        scores, {"customer_id": ids, "kind": text, "value": text, "score": number}
    )
    given["buckets"] = _listed(buckets, {"customer_id": ids, "salt": text, "value": number})
    for name, table in given.items():
        connection.register(f"given_{name}", table)
        connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM "given_{name}"')
    return connection


def _listed(rows: Sequence[tuple[object, ...]], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    return pa.table(
        {
            name: pa.array(values, kind)
            for (name, kind), values in zip(kinds.items(), columns, strict=True)
        }
    )


def true_ids(
    connection: duckdb.DuckDBPyConnection,
    rule: Node,
    timezone: str,
    as_of: datetime,
    segments: Mapping[str, Node] | None = None,
) -> set[int | str]:
    """The customer_ids of the table `customers` for whom the rule is TRUE."""
    return ids_in(connection, rule, World(as_of, timezone, segments or {}))


def ids_in(connection: duckdb.DuckDBPyConnection, rule: Node, world: World) -> set[int | str]:
    """The customer_ids of the table `customers` for whom the rule is TRUE in a world."""
    connection.execute(f"SET TimeZone = {quoted(world.timezone)}")
    query = f"SELECT customer_id FROM customers WHERE {rule_sql(rule, world)}"
    return {row[0] for row in connection.execute(query).fetchall()}


def rule_sql(node: Node, world: World) -> str:
    """The rule as a DuckDB expression over `customers`, every composite in parentheses."""
    return sql_at(node, Place(world))


def sql_at(node: Node, place: Place) -> str:
    """The node as a DuckDB expression where a name means what it means at the place."""

    def sql(part: Node) -> str:
        return sql_at(part, place)

    def at(part: Node, target: Type) -> str:
        return _sql_in_type(part, target, place)

    match node:
        case Column(name=name):
            return place.column(name)
        case Constant():
            return _constant_sql(node, node.type)
        case Now():
            return instant_sql(place.world.as_of)
        case Today():
            return f"DATE '{place.world.today.isoformat()}'"
        case Segment(name=name):
            return f"({sql(place.world.segments[name])})"
        case Shift():
            return _shift_sql(node, place)
        case Arithmetic():
            return _arithmetic_sql(node, place)
        case Negative(operand=operand):
            return _bounded(f"- {at(operand, type_of(operand))}", type_of(operand))
        case Call():
            return _call_sql(node, place)
        case Case(whens=whens, otherwise=otherwise):
            target = type_of(node)
            arms = "".join(f" WHEN {sql(a)} THEN {at(b, target)}" for a, b in whens)
            last = f" ELSE {at(otherwise, target)}" if otherwise else ""
            return f"(CASE{arms}{last} END)"
        case Compare(operator=operator, left=left, right=right):
            target = common_type((left, right))
            return f"({at(left, target)} {operator} {at(right, target)})"
        case Between(operand=operand, low=low, high=high, negated=negated):
            target = common_type((operand, low, high))
            between = f"{at(operand, target)} BETWEEN {at(low, target)} AND {at(high, target)}"
            return f"(NOT ({between}))" if negated else f"({between})"
        case In(operand=operand, options=options, negated=negated):
            target = common_type((operand, *options))
            listed = ", ".join(at(option, target) for option in options)
            return f"({at(operand, target)} {'NOT ' if negated else ''}IN ({listed}))"
        case IsNull(operand=operand, negated=negated):
            return f"({sql(operand)} IS {'NOT ' if negated else ''}NULL)"
        case Like(operand=operand, pattern=pattern, escape=escape, folded=folded, negated=negated):
            keyword = ("NOT " if negated else "") + ("ILIKE" if folded else "LIKE")
            last = f" ESCAPE {quoted(escape)}" if escape else ""
            return f"({sql(operand)} {keyword} {quoted(pattern)}{last})"
        case Not(operand=operand):
            return f"(NOT {sql(operand)})"
        case And(parts=parts):
            return "(" + " AND ".join(map(sql, parts)) + ")"
        case Or(parts=parts):
            return "(" + " OR ".join(map(sql, parts)) + ")"
        case Named(meaning=meaning):
            return sql(meaning)
        case History() | Population() | Affinity() | Bucket():
            return leaf_sql(node, place, sql_at)
        case _:
            assert_never(node)


def _sql_in_type(node: Node, target: Type, place: Place) -> str:
    """The node's SQL, cast where its own type is narrower than the target."""
    if isinstance(node, Constant):
        return _constant_sql(node, target)
    text = sql_at(node, place)
    return text if type_of(node) is target else f"CAST({text} AS {_SQL_TYPES[target]})"


def _constant_sql(node: Constant, target: Type) -> str:
    if target in {Type.DOUBLE, Type.MONEY, Type.BIGINT} and node.value is not None:
        return f"CAST('{constant_text(node)}' AS {_SQL_TYPES[target]})"
    if isinstance(node.value, datetime):
        return "TIMESTAMPTZ " + quoted(node.value.isoformat(sep=" "))
    return f"CAST({constant_text(node)} AS {_SQL_TYPES[target]})"


def _shift_sql(node: Shift, place: Place) -> str:
    """Calendar units over the wall clock and back: ICU's own sum differs where a time repeats."""
    base, kind = sql_at(node.base, place), type_of(node.base)
    interval = f"INTERVAL ({node.count}) {node.unit}"
    if node.unit not in CALENDAR_UNITS:
        return f"(CAST({base} AS TIMESTAMPTZ) + {interval})"
    if kind is Type.DATE:
        return f"CAST({base} + {interval} AS DATE)"
    zone = quoted(place.world.timezone)
    return f"((({base}) AT TIME ZONE {zone} + {interval}) AT TIME ZONE {zone})"


def _arithmetic_sql(node: Arithmetic, place: Place) -> str:
    result = type_of(node)
    operand = Type.DOUBLE if node.operator == "/" else result
    left, right = (_arithmetic_operand(part, operand, place) for part in (node.left, node.right))
    if node.operator == "%":  # DuckDB calls the smallest integer % -1 an overflow; it is 0
        right = f"(CASE WHEN {right} = -1 THEN 1 ELSE {right} END)"
    if node.operator in {"/", "//", "%"}:
        right = f"nullif({right}, 0)"
    return _bounded(f"{left} {node.operator} {right}", result)


def _arithmetic_operand(node: Node, target: Type, place: Place) -> str:
    """An integer that multiplies money keeps its own type: DECIMAL times DECIMAL adds places."""
    if target is Type.MONEY and type_of(node) is Type.BIGINT and not is_point(node):
        return sql_at(node, place)
    return _sql_in_type(node, target, place)


def _bounded(expression: str, result: Type) -> str:
    """The expression, or NULL beyond int64, money's int64 of 1/10,000, or the finite.

    TRY takes no subquery: an overflow beside a history or population leaf is an error.
    """
    attempt = "" if "(SELECT " in expression else "TRY"
    if result is Type.DOUBLE:
        return f"(CASE WHEN isfinite({expression}) THEN {expression} END)"
    if result is Type.BIGINT:
        return f"{attempt}(CAST({expression} AS BIGINT))"
    money = f"{attempt}(CAST({expression} AS DECIMAL(24, 4)))"
    return f"(CASE WHEN abs({money}) <= {_LARGEST_MONEY} THEN {money} END)"


def _call_sql(node: Call, place: Place) -> str:
    def sql(part: Node) -> str:
        return sql_at(part, place)

    arguments, today = node.arguments, sql_at(Today(), place)
    match node.function, arguments:
        case "coalesce" | "least" | "greatest", _:
            listed = (_sql_in_type(part, type_of(node), place) for part in arguments)
            return f"{node.function}({', '.join(listed)})"
        case "nullif", (value, other):
            same = sql_at(Compare("=", value, other), place)
            return f"(CASE WHEN {same} THEN NULL ELSE {sql(value)} END)"
        case "starts_with" | "ends_with", (text, Constant(value="")):
            # DuckDB 2.0 turns this filter into IS NOT NULL of the columns inside `text`
            return f"contains({sql(text)}, '')"
        case "abs", (value,):
            return _bounded(f"abs({sql(value)})", type_of(value))
        case "days_since", (moment,):
            return f"({today} - CAST({sql(moment)} AS DATE))"
        case "days_until", (moment,):
            return f"(CAST({sql(moment)} AS DATE) - {today})"
        case "days_until_birthday", (birthday,):
            return _birthday_sql(sql(birthday), place.world.today.year, today)
        case "in_last_days", (moment, count):
            days = f"({today} - CAST({sql(moment)} AS DATE))"
            return f"({days} BETWEEN 0 AND {sql(count)} - 1)"
        case _:
            return f"{node.function}({_joined(map(sql, arguments))})"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _birthday_sql(birthday: str, year: int, today: str) -> str:
    """DuckDB's years move 29 February to the 28th, as the language wants."""

    def in_year(wanted: int) -> str:
        return f"CAST({birthday} + to_years(CAST({wanted} - year({birthday}) AS INT)) AS DATE)"

    this, following = in_year(year), in_year(year + 1)
    return f"((CASE WHEN {this} >= {today} THEN {this} ELSE {following} END) - {today})"
