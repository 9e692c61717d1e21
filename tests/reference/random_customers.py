"""Which buyers put a rule to the test? Random tables of customers, rich in edge values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import cast

import pyarrow as pa

from .local_time import add_months, local_date, start_of_date, transitions
from .rules import Type, Value

TIMEZONES = (
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "Europe/London",
    "Asia/Kolkata",
    "America/Sao_Paulo",  # the clock skipped midnight until 2018
    "America/Havana",  # the clock skips midnight, and shows it twice
    "Africa/Cairo",  # the clock skips midnight
    "Australia/Lord_Howe",  # summer time of half an hour
    "Pacific/Auckland",
)
AS_OF = datetime(2024, 3, 1, 12, tzinfo=UTC)
COLUMNS: Mapping[str, Type] = {
    "c_int": Type.BIGINT,
    "c_int2": Type.BIGINT,
    "c_small": Type.BIGINT,
    "c_double": Type.DOUBLE,
    "c_double2": Type.DOUBLE,
    "c_money": Type.MONEY,
    "c_money2": Type.MONEY,
    "c_text": Type.VARCHAR,
    "c_text2": Type.VARCHAR,
    "c_city": Type.VARCHAR,
    "c_flag": Type.BOOLEAN,
    "c_flag2": Type.BOOLEAN,
    "c_date": Type.DATE,
    "birthday": Type.DATE,
    "c_time": Type.TIMESTAMP,
    "c_time2": Type.TIMESTAMP,
    "c_tags": Type.TEXTS,
    "c_labels": Type.TEXTS,
}
"""The columns of `random_customers` beside customer_id, with their types in the language."""

ARROW_TYPES: Mapping[Type, pa.DataType] = {
    Type.BOOLEAN: pa.bool_(),
    Type.BIGINT: pa.int64(),
    Type.DOUBLE: pa.float64(),
    Type.MONEY: pa.decimal128(18, 4),
    Type.VARCHAR: pa.string(),
    Type.DATE: pa.date32(),
    Type.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    Type.TEXTS: pa.list_(pa.string()),
}
CITIES = ("Hangzhou", "hangzhou", "São Paulo", "東京", "", "New York")
TAGS = ("vip", "VIP", "never", "complained", "été", "", "😀", "vip ")
WORDS = (
    *("", " ", "a", "A", "b", "ab", "aB", "abc", "abcabc", "a b", " a", "a ", "a\nb", "it's"),
    *("_", "x_y", "50%", "%", "a\\b", "\\", "a!b", "a#b", "0", "10", "9", "é", "É", "e\u0301"),
    *("ß", "ẞ", "SS", "ss", "Straße", "STRASSE", "ﬁ", "fi", "İ", "i", "ı", "ΑΣ", "ας", "ασ"),
    *("日本", "日本語", "本", "😀", "a😀b", "👩‍👩‍👧", "\uffff", "ǅ", "ZZ", "zz"),
    *("a" * 70, "a" * 70 + "b"),
)
_INTEGERS = (0, 0, -1, 1, 2, 3, 7, 10, 10, 99, 100, 255, 256, -128, 65536, 2**31, -(2**31) - 1)
_LARGE_INTEGERS = tuple(sign * (2**53 + step) for sign in (1, -1) for step in (-1, 0, 1, 2))
# Doubled, these stay clear of the smallest integer, which an engine may keep for "missing".
_EXTREME_INTEGERS = (2**63 - 1, -(2**63), 2**62 - 1, -(2**62) + 1, 3_037_000_500)
_DOUBLES = (0.0, -0.0, 0.1, 0.2, 0.3, 0.5, 1.0, -1.0, 1.5, 2.5, 100.0, 1e-9, -2.25, 1 / 3, 1e15)
_LARGE_DOUBLES = (2.0**53, 2.0**53 + 2, -(2.0**53), 9.007199254740993e15, 1e18, 2.0**63)
_EXTREME_DOUBLES = (1.7e308, -1.7e308, 5e-324, 1e-300, 1e200)
_MONEYS = ("0", "0.0001", "-0.0001", "0.1", "0.2", "0.3", "1", "1.5", "9.99", "19.9", "-5.25")
_LARGE_MONEYS = ("12345678901.2345", "-12345678901.2345", "99999999999.9999")
_EXTREME_MONEYS = ("99999999999999.9999", "-99999999999999.9999", "70000000000000")
_NULL_SHARE = 0.2


def random_customers(
    rng: Random,
    rows: int,
    *,
    timezone: str = "UTC",
    as_of: datetime = AS_OF,
    text_ids: bool = False,
    extremes: bool = False,
) -> pa.Table:
    """Customers with `customer_id` and COLUMNS; about a fifth of the values are null, no tags are.

    Dates lie about `as_of`, at month ends and on 29 February; instants at changes of the zone's
    clock and at local midnights, too. `extremes` adds values whose sums and products overflow.
    """
    makers: dict[Type, Callable[[], Value]] = {
        Type.BOOLEAN: lambda: rng.random() < 0.5,
        Type.BIGINT: lambda: random_integer(rng, extremes=extremes),
        Type.DOUBLE: lambda: random_double(rng, extremes=extremes),
        Type.MONEY: lambda: random_money(rng, extremes=extremes),
        Type.VARCHAR: lambda: random_text(rng),
        Type.DATE: lambda: random_date(rng, local_date(as_of, timezone)),
        Type.TIMESTAMP: lambda: random_instant(rng, as_of, timezone),
        Type.TEXTS: lambda: random_texts(rng, nulls=True),
    }
    named: dict[str, Callable[[], Value]] = {
        "c_small": lambda: rng.randrange(-1, 5),
        "c_city": lambda: rng.choice(CITIES),
        "birthday": lambda: random_birthday(rng, local_date(as_of, timezone)),
        "c_tags": lambda: random_texts(rng, nulls=False),
    }
    arrays = {"customer_id": pa.array(_random_ids(rng, rows, text_ids=text_ids))}
    for name, kind in COLUMNS.items():
        make = named.get(name, makers[kind])
        null_share = 0.0 if name == "c_tags" else _NULL_SHARE
        values = [None if rng.random() < null_share else make() for _ in range(rows)]
        arrays[name] = pa.array(values, ARROW_TYPES[kind])
    return pa.table(arrays)


def buyers_of(customers: pa.Table) -> list[dict[str, Value]]:
    """The rows of a table as plain dicts."""
    return cast("list[dict[str, Value]]", customers.to_pylist())


def _random_ids(rng: Random, rows: int, *, text_ids: bool) -> list[int] | list[str]:
    numbers = rng.sample(range(-5, rows * 3), rows)
    if not text_ids:
        return numbers
    return [f"客{number:x}" if number % 2 else str(number) for number in numbers]


def random_integer(rng: Random, *, extremes: bool) -> int:
    """Small and tied mostly, sometimes about 2**53; with `extremes` to the ends of int64."""
    pool = rng.choices((_INTEGERS, _LARGE_INTEGERS, _EXTREME_INTEGERS), (8, 1, int(extremes)))[0]
    small = rng.randrange(-20, 200)
    return rng.choice((rng.choice(pool), small)) if pool is _INTEGERS else rng.choice(pool)


def random_double(rng: Random, *, extremes: bool) -> float:
    """Tied or anything, sometimes about 2**53 and 2**63; with `extremes` to the ends of float64."""
    pool = rng.choices((_DOUBLES, _LARGE_DOUBLES, _EXTREME_DOUBLES), (8, 1, int(extremes)))[0]
    if pool is not _DOUBLES:
        return rng.choice(pool)
    return rng.choice((rng.choice(pool), round(rng.gauss(0, 50), 2), rng.gauss(0, 1000)))


def random_money(rng: Random, *, extremes: bool) -> Decimal:
    """Prices mostly, to the ten-thousandth; with `extremes` near the end of DECIMAL(18, 4)."""
    pool = rng.choices((_MONEYS, _LARGE_MONEYS, _EXTREME_MONEYS), (9, 1, int(extremes)))[0]
    priced = str(Decimal(rng.randrange(-500, 20000)) / 100)
    text = rng.choice((rng.choice(pool), priced)) if pool is _MONEYS else rng.choice(pool)
    return Decimal(text).quantize(Decimal("0.0001"))


def random_text(rng: Random) -> str:
    """A word of WORDS, or two."""
    return rng.choice(WORDS) + (rng.choice(WORDS) if rng.random() < 0.2 else "")


def random_texts(rng: Random, *, nulls: bool) -> Sequence[str | None]:
    """Up to five tags, not always distinct; with `nulls` a null element now and then."""
    texts: list[str | None] = list(rng.choices(TAGS, k=rng.choice((0, 0, 1, 1, 2, 3, 5))))
    if nulls and rng.random() < 0.2:
        texts.append(None)
    return texts


def random_date(rng: Random, today: date) -> date:
    """About `today`, month ends, 29 February, and now and then far away."""
    month = date(rng.randrange(2018, 2027), rng.randrange(1, 13), 1)
    return rng.choice(
        (
            today + timedelta(days=rng.choice((-1, 0, 1, -7, -29, -30, -31, -365, 30))),
            today + timedelta(days=rng.randrange(-400, 60)),
            add_months(month, 1) - timedelta(days=1),
            month,
            date(rng.choice((2016, 2020, 2024)), 2, rng.choice((28, 29))),
            rng.choice((date(1900, 1, 1), date(1969, 12, 31), date(2999, 12, 31))),
        )
    )


def random_birthday(rng: Random, today: date) -> date:
    """Any, about 29 February, or about today's."""
    year = rng.randrange(1930, 2016)
    leap = year - year % 4
    near = today + timedelta(days=rng.choice((-1, 0, 1, 2, 7, 30, 364)))
    return rng.choice(
        (
            date(year, rng.randrange(1, 13), rng.randrange(1, 29)),
            date(leap, 2, 29),
            date(year, *rng.choice(((2, 28), (3, 1), (1, 1), (12, 31)))),
            date(year, near.month, min(near.day, 28)),
        )
    )


def random_instant(rng: Random, as_of: datetime, timezone: str) -> datetime:
    """At, just before or just after moments that matter: midnights, clock changes, `as_of`."""
    today = local_date(as_of, timezone)
    days = rng.choice((0, 1, -6, -7, -29, -30, -89, rng.randrange(-800, 30)))
    near = today + timedelta(days=days)
    day = date(rng.randrange(2012, 2027), rng.randrange(1, 13), rng.randrange(1, 29))
    anchors = [
        as_of,
        start_of_date(near, timezone),
        start_of_date(near, timezone),
        start_of_date(random_date(rng, today), timezone),
        start_of_date(day, timezone) + timedelta(seconds=rng.randrange(86_400)),
        datetime(1970, 1, 1, tzinfo=UTC),
        *_changes(timezone)[-12:],
        *(start_of_date(change.date(), timezone) for change in _changes(timezone)[-4:]),
    ]
    hour = 3_600_000_000
    steps = (0, 0, 0, -1, 1, -1_000_000, hour, -hour, rng.randrange(24 * hour))
    return rng.choice(anchors) + timedelta(microseconds=rng.choice(steps))


@cache
def _changes(timezone: str) -> list[datetime]:
    return transitions(timezone, date(2012, 1, 1), date(2026, 12, 31))
