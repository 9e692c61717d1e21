"""Does a rule hold for one buyer? The language spelt out over plain Python values.

Numbers are int, float, and Decimal for money; text is str, a date is a date, an instant an aware
datetime, a list a list of str. None is unknown.
"""

from __future__ import annotations

import math
import operator as op
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import cache
from typing import assert_never, cast

from .leaf_twin import history_value, population_values, sortable
from .leaves import Affinity, Bucket, History, Named, Population
from .local_time import add_months, instant_of, local_time, midnight
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
    CustomerId,
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
    Value,
    World,
    common_type,
    type_of,
)

Buyer = Mapping[str, Value]

_EXACT = Context(prec=80)
_EXACT_SECONDS = {"HOUR": 3600, "MINUTE": 60, "SECOND": 1}
_COMPARISONS: Mapping[str, Callable[..., bool]] = {
    "=": op.eq,
    "<>": op.ne,
    "<": op.lt,
    "<=": op.le,
    ">": op.gt,
    ">=": op.ge,
}


def holds(rule: Node, buyer: Buyer, world: World) -> bool | None:
    """True, False or None for unknown; the buyer is in the segment when it is True."""
    value = evaluate(rule, buyer, world)
    assert value is None or isinstance(value, bool), f"not a rule: {rule}"
    return value


def true_ids(rule: Node, buyers: Iterable[Buyer], world: World) -> set[int | str]:
    """The customer_ids of the buyers for whom the rule is TRUE."""
    found: set[int | str] = set()
    for buyer in buyers:
        if holds(rule, buyer, world):
            customer_id = buyer["customer_id"]
            assert isinstance(customer_id, int | str)
            found.add(customer_id)
    return found


def evaluate(node: Node, buyer: Buyer, world: World) -> Value:
    """The node's value, in its own type."""

    def in_type(part: Node, target: Type) -> Value:
        return _convert(evaluate(part, buyer, world), target, world)

    match node:
        case Column(name=name):
            return buyer[name]
        case Constant(value=value):
            if isinstance(value, datetime) and value.tzinfo is None:
                return instant_of(value, world.timezone)
            return value
        case Now():
            return world.as_of
        case Today():
            return world.today
        case Segment(name=name):
            return evaluate(world.segments[name], buyer, world)
        case Shift(base=base, count=count, unit=unit):
            return _shift(in_type(base, type_of(base)), count, unit, world)
        case Arithmetic(operator=operator, left=left, right=right):
            result = type_of(node)
            operand = Type.DOUBLE if operator == "/" else result
            a, b = in_type(left, operand), in_type(right, operand)
            return None if a is None or b is None else _within(result, _compute(operator, a, b))
        case Negative(operand=part):
            kind = type_of(part)
            value, minus_one = in_type(part, kind), _convert(-1, kind, world)
            return None if value is None else _within(kind, _compute("*", value, minus_one))
        case Call(function=function, arguments=arguments):
            types = _argument_types(node)
            values = [in_type(a, t) for a, t in zip(arguments, types, strict=True)]
            return _call(function, values, node, world)
        case Case(whens=whens, otherwise=otherwise):
            for condition, then in whens:
                if evaluate(condition, buyer, world) is True:
                    return in_type(then, type_of(node))
            return in_type(otherwise, type_of(node)) if otherwise else None
        case Compare(operator=operator, left=left, right=right):
            target = common_type((left, right))
            return _compare(operator, in_type(left, target), in_type(right, target))
        case Between(operand=part, low=low, high=high, negated=negated):
            target = common_type((part, low, high))
            value = in_type(part, target)
            above = _compare(">=", value, in_type(low, target))
            below = _compare("<=", value, in_type(high, target))
            return _negate(_and((above, below)), negated=negated)
        case In(operand=part, options=options, negated=negated):
            target = common_type((part, *options))
            value = in_type(part, target)
            found = _or([_compare("=", value, in_type(option, target)) for option in options])
            return _negate(found, negated=negated)
        case IsNull(operand=part, negated=negated):
            return (evaluate(part, buyer, world) is None) is not negated
        case Like(operand=part, pattern=pattern, escape=escape, folded=folded, negated=negated):
            text = evaluate(part, buyer, world)
            if text is None:
                return None
            assert isinstance(text, str)
            return _negate(matches(text, pattern, escape, folded=folded), negated=negated)
        case Not(operand=part):
            return _negate(holds(part, buyer, world), negated=True)
        case And(parts=parts):
            return _and([holds(part, buyer, world) for part in parts])
        case Or(parts=parts):
            return _or([holds(part, buyer, world) for part in parts])
        case Named(meaning=meaning):
            return evaluate(meaning, buyer, world)
        case History():
            return history_value(node, buyer, world, evaluate)
        case Population():
            return _population(node, world).get(_customer_id(buyer))
        case Affinity(kind=kind, value=value):
            evidence = world.affinities.get(_customer_id(buyer), {}).get(kind)
            return None if not evidence else evidence.get(value, 0.0)
        case Bucket(salt=salt):
            return world.buckets[salt].get(_customer_id(buyer))
        case _:
            assert_never(node)


def _customer_id(buyer: Buyer) -> CustomerId:
    return cast("CustomerId", buyer["customer_id"])


_LATEST: dict[int, tuple[Population, World, Mapping[CustomerId, Value]]] = {}


def _population(node: Population, world: World) -> Mapping[CustomerId, Value]:
    """The values of a leaf, which are asked for one buyer after another: the last are kept."""
    found = _LATEST.get(id(node))
    if found is None or found[0] is not node or found[1] is not world:
        if len(_LATEST) > 100:
            _LATEST.clear()
        found = _LATEST[id(node)] = (node, world, population_values(node, world, evaluate))
    return found[2]


def _negate(value: bool | None, *, negated: bool) -> bool | None:
    return value if value is None or not negated else not value


def _and(parts: Sequence[bool | None]) -> bool | None:
    if any(part is False for part in parts):
        return False
    return None if None in parts else True


def _or(parts: Sequence[bool | None]) -> bool | None:
    if any(part is True for part in parts):
        return True
    return None if None in parts else False


def _compare(operator: str, left: Value, right: Value) -> bool | None:
    """Both operands already in one type."""
    if operator == "IS DISTINCT FROM":
        return not _compare("IS NOT DISTINCT FROM", left, right)
    if operator == "IS NOT DISTINCT FROM":
        return _COMPARISONS["="](sortable(left), sortable(right))
    if left is None or right is None:
        return None
    return _COMPARISONS[operator](sortable(left), sortable(right))


def _convert(value: Value, target: Type, world: World) -> Value:
    """The value in a type that its own widens to."""
    if target is Type.DOUBLE and isinstance(value, int | Decimal):
        return float(value)
    if target is Type.MONEY and isinstance(value, int):
        return Decimal(value)
    if target is Type.TIMESTAMP and isinstance(value, date) and not isinstance(value, datetime):
        return midnight(value, world.timezone)
    return value


def _within(result: Type, value: object) -> Value:
    """The value, or None beyond what its type holds: int64, money's int64 of 1/10,000, finite."""
    if value is None or isinstance(value, float):
        return value if value is not None and math.isfinite(value) else None
    if isinstance(value, Decimal):
        return value if -(2**63) <= value.scaleb(4, _EXACT) < 2**63 else None
    assert result is Type.BIGINT, f"{value!r} as {result}"
    assert isinstance(value, int)
    return value if -(2**63) <= value < 2**63 else None


def _compute(operator: str, a: Value, b: Value) -> object:
    """The exact result, or None by zero. `//` truncates, `%` has the sign of the dividend."""
    if isinstance(a, float) and isinstance(b, float):
        if operator == "/":
            return None if b == 0 else a / b
        return {"+": a + b, "-": a - b, "*": a * b}[operator]
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        return {"+": _EXACT.add, "-": _EXACT.subtract, "*": _EXACT.multiply}[operator](a, b)
    assert isinstance(a, int)
    assert isinstance(b, int)
    if operator in {"//", "%"}:
        if b == 0:
            return None
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return quotient if operator == "//" else a - quotient * b
    return {"+": a + b, "-": a - b, "*": a * b}[operator]


def _shift(base: Value, count: int, unit: str, world: World) -> Value:
    """Calendar units move the store's wall clock; hours and below are exact."""
    assert isinstance(base, date)
    if unit not in CALENDAR_UNITS:
        instant = _convert(base, Type.TIMESTAMP, world)
        assert isinstance(instant, datetime)
        return instant.astimezone(UTC) + count * timedelta(seconds=_EXACT_SECONDS[unit])
    wall = local_time(base, world.timezone) if isinstance(base, datetime) else None
    day = wall.date() if wall else base
    if unit in {"DAY", "WEEK"}:
        day += timedelta(days=count * (7 if unit == "WEEK" else 1))
    else:
        day = add_months(day, count * (12 if unit == "YEAR" else 1))
    return instant_of(datetime.combine(day, wall.time()), world.timezone) if wall else day


def _argument_types(node: Call) -> list[Type]:
    if node.function in {"coalesce", "least", "greatest"}:
        return [type_of(node)] * len(node.arguments)
    types = [type_of(argument) for argument in node.arguments]
    return [types[0], common_type(node.arguments)] if node.function == "nullif" else types


def _call(function: str, values: list[Value], node: Call, world: World) -> Value:
    match function, values:
        case "coalesce", _:
            return next((value for value in values if value is not None), None)
        case "least" | "greatest", _:
            known = [value for value in values if value is not None]
            choose = min if function == "least" else max
            return choose(known, key=sortable) if known else None
        case "nullif", [value, other]:
            comparable = _convert(value, common_type(node.arguments), world)
            return None if _compare("=", comparable, other) else value
    if None in values:
        return None
    match values:
        case [str() as text, *others]:
            return _text_call(function, text, *others)
        case [date() as moment, *others]:
            return _date_call(function, moment, others, world)
        case [int() | float() | Decimal() as number] if function == "abs":
            return _within(type_of(node), abs(number))
        case [list() as texts, *others]:
            return _list_call(function, texts, *others)
    raise AssertionError(f"unknown function {function} of {values}")


def _text_call(function: str, text: str, *others: Value) -> Value:
    match function, others:
        case "lower", []:
            return "".join(map(simple_lower, text))
        case "upper", []:
            return "".join(map(simple_upper, text))
        case "length", []:
            return len(text)
        case "starts_with", [str(part)]:
            return text.startswith(part)
        case "ends_with", [str(part)]:
            return text.endswith(part)
        case "contains", [str(part)]:
            return part in text
    raise AssertionError(f"unknown function {function} of text")


def _list_call(function: str, texts: list[str | None], *others: Value) -> Value:
    match function, others:
        case "len", []:
            return len(texts)
        case "list_contains", [str(wanted)]:
            return wanted in texts
        case "list_has_any", [[*wanted]]:
            return any(one in texts for one in wanted if one is not None)
        case "list_has_all", [[*wanted]]:
            return all(one in texts for one in wanted if one is not None)
    raise AssertionError(f"unknown function {function} of a list")


def _date_call(function: str, moment: date, others: list[Value], world: World) -> Value:
    wall = local_time(moment, world.timezone) if isinstance(moment, datetime) else None
    day = wall.date() if wall else moment
    match function:
        case "year" | "month" | "day":
            return int(getattr(day, function))
        case "hour":
            return wall.hour if wall else 0
        case "dayofweek":
            return day.isoweekday() % 7
        case "days_since":
            return (world.today - day).days
        case "days_until":
            return (day - world.today).days
        case "days_until_birthday":
            return days_until_birthday(day, world.today)
        case "in_last_days":
            (count,) = others
            assert isinstance(count, int)
            return 0 <= (world.today - day).days < count
    raise AssertionError(f"unknown function {function} of a date")


def days_until_birthday(birthday: date, today: date) -> int:
    """Dates from today to the next birthday, 0 on the day; 29 February is 28 in other years."""
    for year in (today.year, today.year + 1):
        try:
            next_one = birthday.replace(year=year)
        except ValueError:
            next_one = date(year, 2, 28)
        if next_one >= today:
            return (next_one - today).days
    raise AssertionError("one of two years has a birthday ahead")


def simple_lower(character: str) -> str:
    """Unicode's simple mapping, one character to one, as DuckDB folds: 'İ' is 'i'."""
    return character.lower()[0]


def simple_upper(character: str) -> str:
    """Unicode's simple mapping, one character to one, as DuckDB folds: 'ß' is 'ẞ', 'ﬁ' itself."""
    if character == "ß":
        return "ẞ"
    for candidate in (character.upper(), character.title()):
        if len(candidate) == 1:
            return candidate
    return character


def matches(text: str, pattern: str, escape: str | None, *, folded: bool) -> bool:
    """LIKE over whole characters: `%` any run, `_` any one; after `escape` a character is itself.

    ILIKE compares characters in simple lower case. Nothing escapes unless `escape` is given.
    """
    tokens: list[tuple[str, str]] = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            tokens.append(("is", next(characters)))
        elif character in "%_":
            tokens.append((character, character))
        else:
            tokens.append(("is", character))

    def same(a: str, b: str) -> bool:
        return simple_lower(a) == simple_lower(b) if folded else a == b

    @cache
    def rest(at: int, token: int) -> bool:
        if token == len(tokens):
            return at == len(text)
        kind, wanted = tokens[token]
        if kind == "%":
            return rest(at, token + 1) or (at < len(text) and rest(at + 1, token))
        if at == len(text) or (kind == "is" and not same(text[at], wanted)):
            return False
        return rest(at + 1, token + 1)

    return rest(0, 0)
