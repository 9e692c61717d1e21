"""How do two sets of buyers spread over the values of a trait, and what are their averages?

The sets, A and B, are tables of customer_ids in the connection; one may stand for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from segengine.reports.profiled import AGE_BAND
from segengine.reports.report import Source
from segengine.reports.wording import MISSING, OTHERS
from segengine.schema.identifiers import quoted
from segengine.schema.tables import CUSTOMERS
from segengine.traits.catalogue import WORDS

MOST = 20
"""Values of a text that are shown by themselves; the rest are one row."""
MOST_NUMBERS = 40
"""The same of a whole number, such as the 24 hours."""
BANDS = ((18, "under 18"), (25, "18-24"), (30, "25-29"), (35, "30-34"), (40, "35-39"),
         (50, "40-49"), (60, "50-59"))  # fmt: skip
OLDEST = "60 and over"
"""Bands of full years of age at as_of, in the store's timezone; a birthday to come is missing."""
_TEXT, _TAGS = {"VARCHAR", "BOOLEAN"}, "VARCHAR[]"
EVERYBODY = None


@dataclass(frozen=True, slots=True)
class Sets:
    """Two sets of buyers: the names of their tables, `EVERYBODY` for all of the store."""

    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """What one set of buyers comes to: of those who ever bought, their orders, their net sales."""

    size: int
    buyers: int
    orders: int
    sales: Decimal


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a trait and the buyers of A and of B who have it."""

    name: str
    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Average:
    """A quantity in one set: of how many it is known, its mean, its median; None of nobody."""

    known: int
    mean: float | None
    median: float | None


def totals(source: Source, sets: Sets) -> tuple[Totals, Totals, Totals]:
    """What A, B, and those who are in both come to."""
    measures = ", ".join(
        f"count(*) FILTER ({who}), count(*) FILTER ({who} AND order_count > 0), "
        f"coalesce(sum(order_count) FILTER ({who}), 0), "
        f"coalesce(sum(amount_total) FILTER ({who}), 0)"
        for who in ("a", "b", "a AND b")
    )
    found = source.row(f"SELECT {measures} FROM ({_members(sets, 'order_count, amount_total')})")
    a, b, both = (
        Totals(int(found[i]), int(found[i + 1]), int(found[i + 2]), Decimal(found[i + 3]))
        for i in (0, 4, 8)
    )
    return a, b, both


def kinds(source: Source) -> dict[str, str]:
    """The SQL type of each column of the buyers that is there; `age_band` beside a birthday."""
    rows = source.rows(f"DESCRIBE {CUSTOMERS}")
    found = {str(name): str(kind) for name, kind, *_ in rows}
    if "birthday" in found:
        found.setdefault(AGE_BAND, "VARCHAR")
    return found


def is_category(name: str, kind: str, listed: Sequence[str]) -> bool:
    """Whether a trait has a share for each value: `listed`, or of a type with few values."""
    return name in listed or kind in _TEXT or kind == _TAGS


def is_number(kind: str) -> bool:
    """Whether a trait of this type has a mean."""
    return kind in {"BIGINT", "INTEGER", "DOUBLE"} or kind.startswith("DECIMAL")


def values(source: Source, sets: Sets, name: str, kind: str, *, first: str) -> list[Value]:
    """The buyers of A and B by value; no rows where the trait is known of none of them.

    first: the SQL order of texts, by `a` and `b`, their counts; beyond 20 they are folded into
    `(others)`. Whole numbers, truths and a catalogue's words come in their own order. Buyers of
    whom it is not known are `(missing)`, so that shares add up to 1; those without a tag have no
    row, and one with two tags has two.
    """
    is_text = kind in {"VARCHAR", _TAGS}
    given = {
        "most": MOST if is_text else MOST_NUMBERS,
        "missing": MISSING,
        "others": OTHERS,
    }
    rows = source.rows(
        f"""
        WITH counted AS (
            SELECT value, count(*) FILTER (a) AS a, count(*) FILTER (b) AS b
            FROM ({_members(sets, f"{_value(source, name, kind)} AS value")})
            WHERE a OR b GROUP BY value
        ),
        placed AS (
            SELECT *, row_number() OVER (
                ORDER BY value IS NULL, {f"{first}, value" if is_text else "value"}
            ) AS place
            FROM counted
        ),
        named AS (
            SELECT CASE WHEN value IS NULL THEN $most + 2 WHEN place > $most THEN $most + 1
                        ELSE place END AS place,
                   CASE WHEN value IS NULL THEN $missing WHEN place > $most THEN $others
                        ELSE value::VARCHAR END AS name,
                   value IS NULL AS is_missing, a, b
            FROM placed
        )
        SELECT name, sum(a), sum(b), any_value(is_missing) FROM named
        GROUP BY place, name ORDER BY place
        """,
        given,
    )
    if all(is_missing for *_, is_missing in rows):
        return []
    found = [Value(str(value), int(a), int(b)) for value, a, b, _ in rows]
    words = _words(name)
    known = {word: place for place, word in enumerate(words)}
    return sorted(found, key=lambda v: known.get(v.name, len(known))) if words else found


def averages(source: Source, sets: Sets, name: str) -> tuple[Average, Average]:
    """The mean and median of a quantity in A and in B, over those of whom it is known."""
    measures = ", ".join(
        f"count(value) FILTER ({who}), avg(value) FILTER ({who}), median(value) FILTER ({who})"
        for who in ("a", "b")
    )
    each = f"{quoted(name)}::DOUBLE AS value"
    found = source.row(f"SELECT {measures} FROM ({_members(sets, each)})")
    return Average(int(found[0]), *found[1:3]), Average(int(found[3]), *found[4:6])


def _members(sets: Sets, columns: str) -> str:
    """Buyers with some columns, and whether they are in A and in B."""
    a, b = (
        "TRUE" if table is EVERYBODY else f"customer_id IN (SELECT customer_id FROM {table})"
        for table in (sets.a, sets.b)
    )
    return f"SELECT {columns}, {a} AS a, {b} AS b FROM {CUSTOMERS}"


def _value(source: Source, name: str, kind: str) -> str:
    """The SQL of a trait's value; of tags, one row for each."""
    if kind == _TAGS:
        return f"unnest(list_distinct({quoted(name)}))"
    if name == AGE_BAND and not source.has(CUSTOMERS, AGE_BAND):
        return _age_band(source.today.isoformat())
    return quoted(name)


def _age_band(today: str) -> str:
    """Full years between two dates, in bands: one born on 29 February is older on 1 March."""
    years = (
        f"(year(DATE '{today}') - year(birthday) - CASE WHEN "
        f"month(DATE '{today}') * 100 + day(DATE '{today}') < month(birthday) * 100 + day(birthday)"
        " THEN 1 ELSE 0 END)"
    )
    bands = " ".join(f"WHEN {years} < {end} THEN '{band}'" for end, band in BANDS)
    return (
        f"CASE WHEN birthday IS NULL OR birthday > DATE '{today}' THEN NULL "
        f"{bands} ELSE '{OLDEST}' END"
    )


def _words(name: str) -> tuple[str, ...]:
    """The values of a trait in their own order; empty where it has none."""
    if name == AGE_BAND:
        return (*(band for _, band in BANDS), OLDEST)
    return WORDS.get(name, ())
