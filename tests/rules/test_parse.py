"""Text -> nodes: every form of the language, and what binds more tightly."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlglot import Dialect

import segengine as se
from segengine.rules import expr as e
from segengine.rules.format import format_expr
from segengine.rules.functions import AGREEING, ALIASES, KNOWN, SIGNATURES
from segengine.rules.parse import parse
from segengine.schema.kinds import Kind
from tests.rules.stores import ids, little_store

X, Y, Z = e.Name("x"), e.Name("y"), e.Name("z")
ONE, TWO = e.Literal(1), e.Literal(2)


def eq(left: e.Expr, right: e.Expr = ONE) -> e.Expr:
    return e.Compare("=", left, right)


PRECEDENCE: list[tuple[str, e.Expr]] = [
    ("x = 1 OR y = 1 AND z = 1", e.Or((eq(X), e.And((eq(Y), eq(Z)))))),
    ("NOT x = 1 AND y = 1", e.And((e.Not(eq(X)), eq(Y)))),
    ("NOT (x = 1 AND y = 1)", e.Not(e.And((eq(X), eq(Y))))),
    ("x = 1 AND (y = 1 AND z = 1)", e.And((eq(X), eq(Y), eq(Z)))),
    ("(x = 1 OR y = 1) OR z = 1", e.Or((eq(X), eq(Y), eq(Z)))),
    ("x + y * z = 1", eq(e.Arithmetic("+", X, e.Arithmetic("*", Y, Z)))),
    ("(x + y) * z = 1", eq(e.Arithmetic("*", e.Arithmetic("+", X, Y), Z))),
    ("x - y - z = 1", eq(e.Arithmetic("-", e.Arithmetic("-", X, Y), Z))),
    ("x - (y - z) = 1", eq(e.Arithmetic("-", X, e.Arithmetic("-", Y, Z)))),
    ("x / y // z = 1", eq(e.Arithmetic("//", e.Arithmetic("/", X, Y), Z))),
    ("-x * y = 1", eq(e.Arithmetic("*", e.Minus(X), Y))),
    ("- - x = 1", eq(e.Minus(e.Minus(X)))),
    ("x - -1 = 1", eq(e.Arithmetic("-", X, e.Literal(-1)))),
    ("x BETWEEN 1 AND 2 AND y = 1", e.And((e.Between(X, ONE, TWO), eq(Y)))),
    ("NOT x BETWEEN 1 AND 2", e.Not(e.Between(X, ONE, TWO))),
    ("x NOT BETWEEN 1 AND 2", e.Not(e.Between(X, ONE, TWO))),
    ("x + 1 IN (1, 2)", e.OneOf(e.Arithmetic("+", X, ONE), (ONE, TWO))),
    ("x IS NULL = TRUE", eq(e.IsNull(X), e.Literal(True))),
    ("NOT x IS NULL", e.Not(e.IsNull(X))),
]


@pytest.mark.parametrize(("text", "wanted"), PRECEDENCE, ids=[text for text, _ in PRECEDENCE])
def test_operators_bind_as_in_sql(text: str, wanted: e.Expr) -> None:
    assert parse(text) == wanted
    assert parse(format_expr(wanted)) == wanted


FORMS: list[tuple[str, e.Expr]] = [
    ("x <> 1", e.Compare("<>", X, ONE)),
    ("x != 1", e.Compare("<>", X, ONE)),
    ("x", X),
    ("x NOT IN (1, NULL)", e.Not(e.OneOf(X, (ONE, e.Literal(None))))),
    ("x IS NOT NULL", e.Not(e.IsNull(X))),
    ("x IS DISTINCT FROM y", e.DistinctFrom(X, Y)),
    ("x IS NOT DISTINCT FROM y", e.DistinctFrom(X, Y, negated=True)),
    ("x IS TRUE", e.DistinctFrom(X, e.Literal(True), negated=True)),
    ("x LIKE 'a%'", e.Like(X, e.Literal("a%"))),
    ("x NOT ILIKE 'a!%' ESCAPE '!'", e.Not(e.Like(X, e.Literal("a!%"), "!", ignore_case=True))),
    ("CASE WHEN x THEN 1 ELSE 2 END", e.Case(((X, ONE),), TWO)),
    ("CASE x WHEN 1 THEN 2 END", e.Case(((ONE, TWO),), None, X)),
    ("list_has_any(x, ['a', 'b'])",
     e.Call("list_has_any", (X, e.ListOf((e.Literal("a"), e.Literal("b")))))),
    ("now() - INTERVAL 30 DAY",
     e.Arithmetic("-", e.Call("now"), e.Interval(days=30))),
    ("now() - INTERVAL '1 month 2 days'",
     e.Arithmetic("-", e.Call("now"), e.Interval(months=1, days=2))),
    ("now() - INTERVAL 90 MINUTE",
     e.Arithmetic("-", e.Call("now"), e.Interval(micros=5_400_000_000))),
    ("DATE '2024-02-29'", e.Literal(date(2024, 2, 29))),
    ("TIMESTAMP '2024-02-29 18:30:00'", e.Literal(datetime(2024, 2, 29, 18, 30))),  # noqa: DTZ001
    ("TIMESTAMPTZ '2024-02-29 18:30:00+00:00'",
     e.Literal(datetime(2024, 2, 29, 18, 30, tzinfo=UTC))),
    ("segment('vip')", e.Call("segment", (e.Literal("vip"),))),
    ("bucket('salt') < 0.1", e.Compare("<", e.Call("bucket", (e.Literal("salt"),)),
                                       e.Literal(Decimal("0.1")))),
    ("store.magic_number", e.Name("magic_number", "store")),
    ("context.device = 'mobile'", e.Compare("=", e.Name("device", "context"),
                                            e.Literal("mobile"))),
    ("CAST(context.n AS BIGINT)", e.Cast(e.Name("n", "context"), Kind.BIGINT)),
    ("CAST(context.n AS DOUBLE)", e.Cast(e.Name("n", "context"), Kind.DOUBLE)),
    ("1.50", e.Literal(Decimal("1.5"))),
    ("1e3", e.Literal(1000.0)),
    ("'it''s'", e.Literal("it's")),
    ("x = 1 -- what is said here is not read", eq(X)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), FORMS, ids=[text for text, _ in FORMS])
def test_every_form_of_the_language_is_read(text: str, wanted: e.Expr) -> None:
    assert parse(text) == wanted


def test_names_are_case_insensitive_and_quotable() -> None:
    assert parse("Recency_Days") == parse("recency_days") == parse('"RECENCY_DAYS"')
    assert parse('"two words"') == e.Name("two words")
    assert parse('Context."Utm Source"') == e.Name("utm source", "context")
    assert parse("LOWER(x) = 'A'") == parse("lower(X) = 'A'")
    assert parse("lower(x) = 'A'") != parse("lower(x) = 'a'")


def test_words_of_sql_are_names_when_they_are_printed() -> None:
    """Every keyword of the parser, as the name of a trait, comes back as that trait."""
    words = {w.lower() for w in Dialect.get_or_raise("duckdb").tokenizer_class.KEYWORDS}
    names = sorted(w for w in words if re.fullmatch("[a-z_][a-z0-9_]*", w))
    assert len(names) > 200
    for name in names:
        rule = e.Compare("=", e.Name(name), e.Arithmetic("+", e.Name(name), ONE))
        assert parse(format_expr(rule)) == rule


def test_columns_may_be_named_like_words_of_sql() -> None:
    import pyarrow as pa

    names = ("select", "order", "case", "end", "desc", "show", "if", "interval", "values", "date")
    engine = se.Engine()
    table = pa.table({"customer_id": [1, 2], **{name: [5, 6] for name in names}})
    engine.load("customers", table, columns={name: f'"{name}"' for name in names})
    for name in names:
        assert ids(engine, f'"{name}" = 5') == {1}
        assert ids(engine, se.col(name) == 6) == {2}


def test_true_one_and_one_point_zero_are_three_literals() -> None:
    assert len({e.Literal(True), e.Literal(1), e.Literal(1.0), e.Literal(Decimal(1))}) == 4
    assert e.Literal(Decimal("1.50")) == e.Literal(Decimal("1.5"))
    assert e.Literal(float("nan")) == e.Literal(float("nan"))


def test_the_place_of_a_node_is_no_part_of_it() -> None:
    assert parse("x  =  1").at != parse("x = 1").at
    assert parse("x  =  1") == parse("x = 1")


@pytest.mark.parametrize("name", sorted({*SIGNATURES, *AGREEING, *ALIASES}))
def test_every_function_can_be_called_by_its_name(name: str) -> None:
    """Its example reads, checks, and prints as it is."""
    engine = se.Engine()
    example = AGREEING.get(name) or SIGNATURES[ALIASES.get(name, name)].example
    read = parse(example)
    assert parse(format_expr(read)) == read
    rule = example if example.endswith(" < 0.1") else f"({example}) IS NULL"
    assert engine.segment(rule).count() == 0
    assert name in KNOWN


def test_the_parts_of_an_and_are_one_level_however_they_are_written() -> None:
    many = " AND ".join(["(x = 1"] * 40) + ")" * 40
    assert parse(many) == e.And((eq(X),) * 40)


def test_at_most_32_levels_are_read() -> None:
    engine = little_store()
    nested = "visits"
    for _ in range(15):
        nested = f"abs({nested} + 1)"
    assert ids(engine, f"{nested} = 25") == {1}
    with pytest.raises(se.RuleError, match="nested too deeply"):
        engine.segment(f"abs({nested} + 1) = 26")


def test_at_most_64_kilobytes_are_read() -> None:
    engine = little_store()
    fits = "city = '" + "x" * (64 * 1024 - 9) + "'"
    assert engine.segment(fits).count() == 0
    with pytest.raises(se.RuleError, match="65,537 bytes; at most 65,536"):
        engine.segment(fits + " ")
