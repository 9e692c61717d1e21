"""Which types can a value have, and how is each kept in memory?

A column is one flat array; a missing value is a reserved value of its type, so that neither
a scan nor an update has a second array to keep in step:

| kind | array | missing |
| --- | --- | --- |
| BOOLEAN | int8 | -128 |
| BIGINT | int64 (computed counts: int32) | the smallest integer |
| DOUBLE | float64 | NaN |
| DECIMAL | int64, scaled | the smallest integer |
| VARCHAR, VARCHAR[] | int32, a code of the column's dictionary | -1 |
| DATE | int32, days since 1970 | the smallest integer |
| TIMESTAMP | int64, microseconds since 1970 in UTC | the smallest integer |
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

MONEY_DIGITS = 18
"""Digits of a money value as it is loaded; sums may use the whole int64."""


class Kind(StrEnum):
    """The type of a column or of an expression, by its SQL name."""

    BOOLEAN = "BOOLEAN"
    BIGINT = "BIGINT"
    DOUBLE = "DOUBLE"
    MONEY = "DECIMAL"
    VARCHAR = "VARCHAR"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"
    TAGS = "VARCHAR[]"

    @property
    def is_number(self) -> bool:
        """Whether arithmetic is defined on it."""
        return self in {Kind.BIGINT, Kind.DOUBLE, Kind.MONEY}

    @property
    def is_coded(self) -> bool:
        """Whether its array holds codes of a dictionary."""
        return self in {Kind.VARCHAR, Kind.TAGS}


_DTYPES: dict[Kind, type[np.generic]] = {
    Kind.BOOLEAN: np.int8,
    Kind.BIGINT: np.int64,
    Kind.DOUBLE: np.float64,
    Kind.MONEY: np.int64,
    Kind.VARCHAR: np.int32,
    Kind.DATE: np.int32,
    Kind.TIMESTAMP: np.int64,
    Kind.TAGS: np.int32,
}

_SQL_NAMES = {
    "BOOL": Kind.BOOLEAN,
    "TINYINT": Kind.BIGINT,
    "SMALLINT": Kind.BIGINT,
    "INTEGER": Kind.BIGINT,
    "INT": Kind.BIGINT,
    "UTINYINT": Kind.BIGINT,
    "USMALLINT": Kind.BIGINT,
    "UINTEGER": Kind.BIGINT,
    "UBIGINT": Kind.BIGINT,
    "HUGEINT": Kind.BIGINT,
    "UHUGEINT": Kind.BIGINT,
    "FLOAT": Kind.DOUBLE,
    "REAL": Kind.DOUBLE,
    "TEXT": Kind.VARCHAR,
    "STRING": Kind.VARCHAR,
    "UUID": Kind.VARCHAR,
    "MONEY": Kind.MONEY,
    "NUMERIC": Kind.MONEY,
    "TIMESTAMPTZ": Kind.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": Kind.TIMESTAMP,
    "TIMESTAMP_NS": Kind.TIMESTAMP,
    "TIMESTAMPTZ_NS": Kind.TIMESTAMP,
    "TIMESTAMP_MS": Kind.TIMESTAMP,
    "TIMESTAMP_S": Kind.TIMESTAMP,
    "DATETIME": Kind.TIMESTAMP,
}


def dtype_of(kind: Kind, *, narrow: bool = False) -> np.dtype[np.generic]:
    """The array type a kind is kept in; `narrow` integers are computed counts."""
    return np.dtype(np.int32) if narrow and kind is Kind.BIGINT else np.dtype(_DTYPES[kind])


def missing_of(dtype: np.dtype[np.generic], kind: Kind) -> int | float:
    """The reserved value that stands for `missing` in such an array."""
    if kind.is_coded:
        return -1
    if dtype.kind == "f":
        return float("nan")
    return int(np.iinfo(dtype.str).min)


def kind_named(sql: str) -> Kind | None:
    """The kind behind a SQL type name such as `INTEGER` or `DECIMAL(10,2)`; None: no such kind."""
    name = sql.strip().upper()
    if name.endswith("[]"):
        return Kind.TAGS if kind_named(name[:-2]) is Kind.VARCHAR else None
    if name.startswith("ENUM"):
        return Kind.VARCHAR
    name = name.split("(")[0].strip()
    if name in Kind.__members__.values():
        return Kind(name)
    return _SQL_NAMES.get(name)
