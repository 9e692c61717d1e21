"""Which functions does the language have, what do they take, and what do they give?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.kinds import Kind


@dataclass(frozen=True, slots=True)
class Signature:
    """`args`: the kinds each argument may have."""

    args: tuple[frozenset[Kind], ...]
    result: Kind | None
    example: str = ""


_TEXT = frozenset({Kind.VARCHAR})
_LIST = frozenset({Kind.TAGS})
_NUMBER = frozenset({Kind.BIGINT, Kind.DOUBLE, Kind.MONEY})
_WHOLE = frozenset({Kind.BIGINT})
_DATE = frozenset({Kind.DATE})
_INSTANT = frozenset({Kind.TIMESTAMP})
_DAY = frozenset({Kind.DATE, Kind.TIMESTAMP})
_BOOL, _INT, _STR = Kind.BOOLEAN, Kind.BIGINT, Kind.VARCHAR

_IN_WORDS = {
    Kind.BOOLEAN: "true or false",
    Kind.BIGINT: "a whole number",
    Kind.DOUBLE: "a number",
    Kind.MONEY: "money",
    Kind.VARCHAR: "text",
    Kind.DATE: "a date",
    Kind.TIMESTAMP: "a time",
    Kind.TAGS: "a list",
}

SIGNATURES: dict[str, Signature] = {
    # `result` None: that of the arguments, which must agree.
    "abs": Signature((_NUMBER,), None, example="abs(gap_ratio)"),
    "lower": Signature((_TEXT,), _STR, example="lower(city)"),
    "upper": Signature((_TEXT,), _STR, example="upper(city)"),
    "length": Signature((_TEXT | _LIST,), _INT, example="length(city)"),
    "starts_with": Signature((_TEXT, _TEXT), _BOOL, example="starts_with(city, 'San')"),
    "ends_with": Signature((_TEXT, _TEXT), _BOOL, example="ends_with(nickname, '88')"),
    "contains": Signature((_TEXT, _TEXT), _BOOL, example="contains(nickname, 'cat')"),
    "year": Signature((_DAY,), _INT, example="year(joined_at)"),
    "month": Signature((_DAY,), _INT, example="month(birthday)"),
    "day": Signature((_DAY,), _INT, example="day(birthday)"),
    "hour": Signature((_DAY,), _INT, example="hour(last_order_at)"),
    "dayofweek": Signature((_DAY,), _INT, example="dayofweek(last_order_at)"),
    "list_contains": Signature((_LIST, _TEXT), _BOOL, example="list_contains(tags, 'vip')"),
    "list_has_any": Signature((_LIST, _LIST), _BOOL, example="list_has_any(tags, ['a', 'b'])"),
    "list_has_all": Signature((_LIST, _LIST), _BOOL, example="list_has_all(tags, ['a', 'b'])"),
    "now": Signature((), Kind.TIMESTAMP, example="now()"),
    "today": Signature((), Kind.DATE, example="today()"),
    "days_since": Signature((_DAY,), _INT, example="days_since(joined_at)"),
    "days_until": Signature((_DAY,), _INT, example="days_until(birthday)"),
    "days_until_birthday": Signature((_DAY,), _INT, example="days_until_birthday(birthday)"),
    "in_last_days": Signature((_DAY, _WHOLE), _BOOL, example="in_last_days(last_order_at, 30)"),
    "affinity": Signature(
        (_TEXT, _TEXT), Kind.DOUBLE, example="affinity('category', 'skincare') >= 0.4"
    ),
    "bucket": Signature((_TEXT,), Kind.DOUBLE, example="bucket('spring') < 0.1"),
}
AGREEING = {
    "coalesce": "coalesce(city, 'unknown')",
    "nullif": "nullif(city, '')",
    "least": "least(orders_7d, 3)",
    "greatest": "greatest(orders_7d, 1)",
}
"""Functions whose arguments must have one kind, which is the result's, with an example."""
ALIASES = {"len": "length", "list_has": "list_contains"}
AGGREGATES = {
    "count": "count(orders) FILTER (WHERE in_last_days(time, 30)) >= 2",
    "sum": "sum(purchases.amount) >= 1000",
    "min": "min(reviews.rating) <= 3",
    "max": "max(purchases.amount) >= 500",
    "avg": "avg(reviews.rating) < 3",
    "first": "first(order_lines.category) = 'skincare'",
    "last": "last(purchases.channel) = 'app'",
}
"""Aggregates over a buyer's events, each with an example."""
POPULATION = {
    "percent_rank": "percent_rank(amount_365d) FILTER (WHERE orders_365d > 0) OVER () >= 0.9",
    "avg": "amount_365d > avg(amount_365d) OVER (PARTITION BY region)",
    "median": "amount_365d > median(amount_365d) OVER ()",
    "min": "first_order_at = min(first_order_at) OVER (PARTITION BY city)",
    "max": "amount_365d = max(amount_365d) OVER (PARTITION BY city)",
    "quantile": "amount_365d >= quantile(amount_365d, 0.9) OVER ()",
}
"""Functions that look at other buyers, each with an example."""
KNOWN = sorted({*SIGNATURES, *AGREEING, *ALIASES, *AGGREGATES, *POPULATION, "segment"})


def named(kind: Kind) -> str:
    """A kind as an operator calls it."""
    return _IN_WORDS[kind]


def wrong_count(name: str, given: int) -> tuple[str, str]:
    """What to say, and an example, when a function is given so many arguments; "" if it may be."""
    own = ALIASES.get(name, name)
    if own == "segment":
        return ("", "") if given == 1 else ("`segment` takes a name in quotes", "")
    examples = AGGREGATES | POPULATION
    if own in examples:
        what = "an event table or one of its columns" if own in AGGREGATES else "a trait"
        return (
            (f"`{name}` takes {what}", f"for example `{examples[own]}`") if not given else ("", "")
        )
    if own in AGREEING:
        least, exact = (2, True) if own == "nullif" else (1, False)
        example = AGREEING[own]
    else:
        least, exact, example = len(SIGNATURES[own].args), True, SIGNATURES[own].example
    if given == least or (given > least and not exact):
        return "", ""
    some = "" if exact else "at least "
    arguments = "no arguments" if least == 0 else f"{some}{least} argument{'s' * (least != 1)}"
    return f"`{name}` takes {arguments}, not {given}", f"for example `{example}`"
