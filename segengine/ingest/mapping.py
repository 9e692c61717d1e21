"""Which of our columns does a source fill, from what, and how is each value read?

A mapping is planned from the source's types before a row is read; a value that cannot be read
becomes a status beside the row, never an error in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

import duckdb

from segengine.days import FIRST_INSTANT, LAST_INSTANT
from segengine.errors import LoadError, did_you_mean
from segengine.ingest.sources import Source, only_select, said
from segengine.schema.identifiers import is_column_name, quoted
from segengine.schema.kinds import MONEY_DIGITS, Kind, kind_named
from segengine.schema.tables import TableSpec

OK, IS_NULL, UNREADABLE, INFINITE = 0, 1, 2, 3
_FIRST_TIME = f"make_timestamptz({FIRST_INSTANT})"
_LAST_TIME = f"make_timestamptz({LAST_INSTANT})"
_READ_AS = {
    Kind.TIMESTAMP: "a time",
    Kind.DATE: "a date",
    Kind.BIGINT: "a whole number of 64 bits",
    Kind.DOUBLE: "a number",
    Kind.MONEY: "an amount of money",
    Kind.BOOLEAN: "true or false",
    Kind.TAGS: "a list of texts",
    Kind.VARCHAR: "text",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How one of our columns is read: `raw` from the source, `typed` and `status` from `raw`."""

    name: str
    kind: Kind
    raw: str
    typed: str
    status: str | None

    def reason(self, status: int) -> str:
        """The status in words."""
        if status == IS_NULL:
            return "is null"
        if status == INFINITE:
            return "is infinite"
        return f"cannot be read as {_READ_AS[self.kind]}"


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """All readings of one load, and the source's columns that nobody asked for."""

    readings: tuple[Reading, ...]
    ignored: tuple[str, ...]
    where: str | None

    def sql(self, relation: str) -> str:
        """One SELECT: per reading its typed value, and its status and text where bad."""
        inner = ", ".join(f"(\n{r.raw}\n) AS r{i}" for i, r in enumerate(self.readings))
        outer = []
        for i, reading in enumerate(self.readings):
            outer.append(f"{reading.typed} AS v{i}")
            if reading.status is not None:
                outer.append(f"CAST({reading.status} AS TINYINT) AS s{i}")
                outer.append(
                    f"CASE WHEN ({reading.status}) > 1 THEN CAST(r{i} AS VARCHAR) END AS t{i}"
                )
        where = f" WHERE (\n{self.where}\n)" if self.where else ""
        return f"SELECT {', '.join(outer)} FROM (SELECT {inner} FROM {relation}{where})"


def plan_mapping(
    source: Source,
    spec: TableSpec,
    columns: Mapping[str, str],
    where: str | None,
    kinds: Mapping[str, Kind],
    computed: Container[str],
    *,
    money_scale: int,
) -> ColumnPlan:
    """The mapping of a load; mistakes that concern whole columns are one error here.

    `kinds`: those of added columns and identifiers that are fixed already; `computed`: names
    that no source may fill.
    """
    available = _described(source, f"SELECT * FROM {source.relation}", "the source")
    by_lower = {name.lower(): name for name in available}
    wanted = {name.lower(): text for name, text in columns.items()}
    for name, original in by_lower.items():
        if name in spec.by_name or name in kinds:
            wanted.setdefault(name, quoted(original))
    mistakes = [
        LoadError(f"`{n}` cannot be a column's name: letters, digits and `_` only", field=n)
        for n in wanted
        if not is_column_name(n)
    ]
    mistakes += [
        LoadError(f"`{n}` is a trait, and computed; give the column another name", field=n)
        for n in wanted
        if n in computed
    ]
    mistakes += [_lacks(source, spec, n, available) for n in spec.required if n not in wanted]
    readings: list[Reading] = []
    try:
        if where is not None:
            _type_of(source, where, "`where`")
    except LoadError as mistake:
        mistakes.append(mistake)
    plain = _plain_types(wanted, available)
    for name, text in wanted.items():
        place = f"column `{name}` of `{spec.name}`"
        try:
            sql_type = plain.get(name) or _type_of(source, text, place)
            kind = _kind_for(spec, name, sql_type, kinds, place)
            reading = _reading(
                f"r{len(readings)}", name, kind, text, sql_type, place, money_scale,
                required=name in spec.required, identifier=_is_identifier(spec, name),
            )  # fmt: skip
            readings.append(reading)
        except LoadError as mistake:
            mistakes.append(mistake)
    if mistakes:
        raise LoadError("\n".join(str(m) for m in mistakes), field=mistakes[0].field)
    words = _words(" ".join([*wanted.values(), where or ""]))
    ignored = tuple(n for n in available if n.lower() not in words)
    return ColumnPlan(tuple(readings), ignored, where)


def _lacks(source: Source, spec: TableSpec, name: str, available: Mapping[str, str]) -> LoadError:
    nearest = did_you_mean(name, [n.lower() for n in available])
    have = ", ".join(f"`{n}`" for n in available) or "none"
    return LoadError(
        f"{source.shown} has no column `{name}`, which `{spec.name}` needs; give one this name, or "
        f'`load` it with columns={{"{name}": "..."}}; {f"{nearest} " if nearest else ""}'
        f"the source has {have}",
        field=name,
    )


def _is_identifier(spec: TableSpec, name: str) -> bool:
    return name in spec.by_name and spec.by_name[name].identifier


def _words(sql: str) -> set[str]:
    """The names, quoted or not, that SQL may mean; what stands in a literal is none."""
    without_literals = re.sub(r"'(?:[^']|'')*'", " ", sql)
    quoted_names = re.findall(r'"((?:[^"]|"")*)"', without_literals)
    bare = re.findall(r"\w+", re.sub(r'"(?:[^"]|"")*"', " ", without_literals))
    return {name.replace('""', '"').lower() for name in (*quoted_names, *bare)}


def _plain_types(wanted: Mapping[str, str], available: Mapping[str, str]) -> dict[str, str]:
    """The types of what is just a column of the source: no need to ask for each."""
    by_text = {quoted(name): sql_type for name, sql_type in available.items()}
    return {name: by_text[text] for name, text in wanted.items() if text in by_text}


def _type_of(source: Source, expression: str, place: str) -> str:
    return _described(source, f"SELECT (\n{expression}\n) AS c FROM {source.relation}", place)["c"]


def _described(source: Source, select: str, place: str) -> dict[str, str]:
    """The columns of a SELECT and their SQL types; a mistake in it is named by its place."""
    only_select(source.connection, select, place)
    try:
        rows = source.connection.execute(f"DESCRIBE {select}").fetchall()
    except duckdb.Error as error:
        text = said(error)
        if "Referenced column" in text and "not found" in text:
            have = source.connection.execute(f"DESCRIBE SELECT * FROM {source.relation}").fetchall()
            names = [str(r[0]) for r in have]
            missing = text.split('"')[1] if '"' in text else "?"
            hint = did_you_mean(missing, [n.lower() for n in names])
            for n in names:
                hint = hint.replace(f"`{n.lower()}`", f"`{n}`")
            listed = hint or "it has " + ", ".join(f"`{n}`" for n in names)
            text = f"{source.shown} has no column `{missing}`; {listed}"
        raise LoadError(f"{place}: {text}", field=place) from None
    return {str(row[0]): str(row[1]) for row in rows}


def _kind_for(
    spec: TableSpec, name: str, sql_type: str, kinds: Mapping[str, Kind], place: str
) -> Kind:
    found = kind_named(sql_type)
    if sql_type == '"NULL"':
        found = spec.by_name[name].kind if name in spec.by_name else Kind.VARCHAR
    if name in kinds:
        return kinds[name]
    known = spec.by_name.get(name)
    if known is not None and known.identifier:
        if found is Kind.VARCHAR:
            return Kind.VARCHAR
        if found in (Kind.BIGINT, Kind.DOUBLE, Kind.MONEY):
            return Kind.BIGINT
        raise LoadError(f"{place}: a {sql_type} is no identifier", field=name)
    if known is not None:
        return known.kind
    if found is None:
        raise LoadError(
            f"{place}: no column can hold a {sql_type}; cast it to one of "
            + ", ".join(k.value for k in Kind),
            field=name,
        )
    return found


def _reading(
    raw: str,
    name: str,
    kind: Kind,
    text: str,
    sql_type: str,
    place: str,
    scale: int,
    *,
    required: bool,
    identifier: bool,
) -> Reading:
    """The SQL that reads a value of one type as another without losing anything."""
    given = kind_named(sql_type)
    whole = given is Kind.BIGINT
    typed, good = "", ""
    if sql_type == '"NULL"':
        typed, good = f"CAST({raw} AS {_sql(kind, scale)})", ""
    elif kind is Kind.VARCHAR and given is not Kind.TAGS:
        typed = f"CAST({raw} AS VARCHAR)"
        if identifier and given in (Kind.DOUBLE, Kind.MONEY):
            # 17.0 is how a frame with gaps spells the id 17.
            typed = f"CAST(TRY_CAST({raw} AS BIGINT) AS VARCHAR)"
            good = f"TRY_CAST({raw} AS BIGINT) = {raw}"
    elif kind is Kind.TAGS and (given is Kind.TAGS or given is Kind.VARCHAR):
        typed = f"TRY_CAST({raw} AS VARCHAR[])"
        good = f"{typed} IS NOT NULL" if given is Kind.VARCHAR else ""
    elif kind is Kind.BOOLEAN and (given in (Kind.BOOLEAN, Kind.VARCHAR) or whole):
        typed = f"TRY_CAST({raw} AS BOOLEAN)"
        good = f"{raw} IN (0, 1)" if whole else f"{typed} IS NOT NULL"
    elif kind is Kind.TIMESTAMP and given in (Kind.TIMESTAMP, Kind.DATE, Kind.VARCHAR):
        naive = "WITH TIME ZONE" not in sql_type and given is not Kind.VARCHAR
        inner = f"CAST({raw} AS TIMESTAMP)" if naive else raw
        typed = f"TRY_CAST({inner} AS TIMESTAMPTZ)"
        good = f"{typed} BETWEEN {_FIRST_TIME} AND {_LAST_TIME}"
    elif kind is Kind.DATE and given in (Kind.TIMESTAMP, Kind.DATE, Kind.VARCHAR):
        typed = f"TRY_CAST({raw} AS DATE)"
        good = f"{typed} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"
        if given is Kind.TIMESTAMP:
            good += f" AND CAST({raw} AS TIMESTAMP) = CAST({typed} AS TIMESTAMP)"
    elif kind is Kind.BIGINT and (given in (Kind.DOUBLE, Kind.MONEY, Kind.VARCHAR) or whole):
        typed = f"TRY_CAST({raw} AS BIGINT)"
        good = f"{typed} IS NOT NULL AND {typed} <> -9223372036854775808"
        if given is Kind.VARCHAR:
            good += f" AND TRY_CAST({raw} AS DECIMAL(38,6)) = {typed}"
        elif not whole:
            good += f" AND {raw} = floor({raw})"
    elif kind is Kind.DOUBLE and (given in (Kind.DOUBLE, Kind.MONEY, Kind.VARCHAR) or whole):
        typed = f"TRY_CAST({raw} AS DOUBLE)"
        good = f"{typed} IS NOT NULL"
        if whole:
            good += f" AND TRY_CAST({typed} AS HUGEINT) = {raw}"
    elif kind is Kind.MONEY and (given in (Kind.DOUBLE, Kind.MONEY, Kind.VARCHAR) or whole):
        typed = f"TRY_CAST({raw} AS DECIMAL({MONEY_DIGITS},{scale}))"
        good = f"{typed} IS NOT NULL"
        if given is Kind.VARCHAR:
            good += f" AND TRY_CAST({raw} AS DECIMAL(38,18)) = {typed}"
        elif given is Kind.MONEY:
            good += f" AND {typed} = {raw}"
    if not typed:
        hint = ""
        if kind is Kind.TIMESTAMP and given in (Kind.BIGINT, Kind.DOUBLE):
            hint = "; seconds since 1970 are read by to_timestamp(...)"
        raise LoadError(f"{place}: a {sql_type} cannot be read as {_READ_AS[kind]}{hint}",
                        field=name)  # fmt: skip
    null_test = f"{raw} IS NULL"
    cases = []
    if given is Kind.DOUBLE and sql_type != '"NULL"':
        # NaN is how frames spell missing; infinity is no number.
        typed = f"CASE WHEN isfinite({raw}) THEN {typed} END"
        null_test = f"({raw} IS NULL OR isnan({raw}))"
        cases.append(f"WHEN isinf({raw}) THEN {INFINITE}")
    elif kind is Kind.DOUBLE and given is Kind.VARCHAR:
        cases.append(f"WHEN isinf(TRY_CAST({raw} AS DOUBLE)) THEN {INFINITE}")
        typed = f"CASE WHEN isfinite({typed}) THEN {typed} END"
    if good:
        cases.append(f"WHEN NOT coalesce({good}, false) THEN {UNREADABLE}")
    if not cases and not required:
        return Reading(name, kind, text, typed, None)
    first = f"WHEN {null_test} THEN {IS_NULL if required else OK}"
    return Reading(name, kind, text, typed, f"CASE {first} {' '.join(cases)} ELSE {OK} END")


def _sql(kind: Kind, scale: int) -> str:
    if kind is Kind.MONEY:
        return f"DECIMAL({MONEY_DIGITS},{scale})"
    return "TIMESTAMPTZ" if kind is Kind.TIMESTAMP else kind.value
