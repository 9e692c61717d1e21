"""Kinds: which SQL types are which, and what stands for missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segengine.schema.identifiers import is_column_name, is_definition_name, quoted
from segengine.schema.kinds import Kind, dtype_of, kind_named, missing_of
from segengine.schema.tables import catalogue


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("INTEGER", Kind.BIGINT),
        ("ubigint", Kind.BIGINT),
        ("HUGEINT", Kind.BIGINT),
        ("DECIMAL(10,2)", Kind.MONEY),
        ("decimal", Kind.MONEY),
        ("FLOAT", Kind.DOUBLE),
        ("VARCHAR[]", Kind.TAGS),
        ("text[]", Kind.TAGS),
        ("ENUM('a', 'b')", Kind.VARCHAR),
        ("TIMESTAMP WITH TIME ZONE", Kind.TIMESTAMP),
        ("TIMESTAMP_NS", Kind.TIMESTAMP),
        ("DATE", Kind.DATE),
        ("BOOLEAN", Kind.BOOLEAN),
        ("INTEGER[]", None),
        ("STRUCT(a INTEGER)", None),
        ("TIME", None),
        ("INTERVAL", None),
        ("BLOB", None),
    ],
)
def test_a_sql_type_is_one_kind_or_none(sql: str, kind: Kind | None) -> None:
    assert kind_named(sql) is kind


@pytest.mark.parametrize("kind", list(Kind))
def test_missing_is_a_value_of_the_array(kind: Kind) -> None:
    for narrow in (False, True):
        dtype = dtype_of(kind, narrow=narrow)
        missing = missing_of(dtype, kind)
        kept = np.array([missing], dtype)[0]
        assert math.isnan(kept) if kind is Kind.DOUBLE else int(kept) == missing


def test_channels_and_further_tables_add_to_the_catalogue() -> None:
    tables = catalogue(("sms",), {"tickets": {"topic": Kind.VARCHAR, "minutes": Kind.BIGINT}})
    assert {"sms_consent", "has_sms"} <= set(tables["customers"].by_name)
    assert list(tables["tickets"].by_name) == [
        "customer_id",
        "event_id",
        "time",
        "topic",
        "minutes",
    ]
    assert tables["tickets"].required == ("customer_id", "time")
    assert list(catalogue())[:4] == ["customers", "products", "orders", "order_lines"]


def test_names_need_no_quotes_or_get_them() -> None:
    assert is_column_name("a_1")
    assert not any(map(is_column_name, ("", "1a", "A", "a-b", "a b", "é", "a" * 129)))
    assert is_definition_name("win-back: 30 Tage, été")
    assert not any(map(is_definition_name, ("", " a", "a\n", "a" * 201)))
    assert quoted('a"b') == '"a""b"'
