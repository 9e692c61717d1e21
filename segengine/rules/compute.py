"""A term over a block of rows -> its values.

The general way to evaluate: whatever a scan cannot decide, every explanation, and one entry of
a dictionary at a time for conditions on text. Values are arrays in the form columns keep
(int64, float64, int8, missing reserved), text and lists as Arrow arrays. A truth is int8:
1, 0, or -128 for unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.days import DAY, HOUR, Zone, add_to_day
from segengine.kernels import arithmetic, calendar
from segengine.kernels import truth as kernels_truth
from segengine.rules.block import FALSE, NO_INT, TRUE, UNKNOWN, Block, Values
from segengine.rules.read_text import like_regex, number_in, whole_number_in
from segengine.rules.term import SOURCES, Term
from segengine.schema.kinds import Kind

_FEW_ITEMS = 64
_DATE_PARTS = {
    "year": calendar.YEAR, "month": calendar.MONTH, "day": calendar.DAY_OF_MONTH,
    "dayofweek": calendar.WEEKDAY,
}  # fmt: skip


def truth(term: Term, block: Block) -> NDArray[np.int8]:
    """The truth of a condition for each row: int8[rows], which may be a trait's own array."""
    found = compute(term, block)
    assert isinstance(found, np.ndarray)
    return found if found.dtype == np.int8 else found.astype(np.int8)


def compute(term: Term, block: Block) -> Values:
    """The values of a term for each row of a block."""
    return _OPS[term.op](term, block)


def _const(term: Term, block: Block) -> Values:
    kind, value = term.kind or Kind.BOOLEAN, term.value
    if kind is Kind.VARCHAR:
        return pa.repeat(pa.scalar(value, pa.large_string()), block.rows)
    if kind is Kind.TAGS:
        items = None if value is None else list(value)
        return pa.repeat(pa.scalar(items, pa.list_(pa.large_string())), block.rows)
    if kind is Kind.DOUBLE:
        return np.full(block.rows, np.nan if value is None else value)
    if kind is Kind.BOOLEAN:
        return np.full(block.rows, UNKNOWN if value is None else value, np.int8)
    return np.full(block.rows, NO_INT if value is None else value, np.int64)


def _context(term: Term, block: Block) -> Values:
    value = block.context.get(term.value)
    if value is not None:
        value = value.encode(errors="replace").decode()
    return pa.repeat(pa.scalar(value, pa.large_string()), block.rows)


def _missing(values: Values) -> NDArray[np.bool_]:
    """Which rows have no value."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return np.asarray(values.is_null().to_numpy(zero_copy_only=False))
    if values.dtype == np.float64:
        return np.isnan(values)
    return values == (UNKNOWN if values.dtype == np.int8 else NO_INT)


# INVARIANT: only these two write into an array they were given, and so into a copy of it.
def _and(term: Term, block: Block) -> NDArray[np.int8]:
    found = truth(term.args[0], block).copy()
    for arg in term.args[1:]:
        kernels_truth.both(truth(arg, block), found)
    return found


def _or(term: Term, block: Block) -> NDArray[np.int8]:
    found = truth(term.args[0], block).copy()
    for arg in term.args[1:]:
        kernels_truth.either(truth(arg, block), found)
    return found


def _not(term: Term, block: Block) -> NDArray[np.int8]:
    found = truth(term.args[0], block)
    return np.where(found == UNKNOWN, UNKNOWN, np.where(found == TRUE, FALSE, TRUE))


def _known(hits: Any, missing: NDArray[np.bool_]) -> NDArray[np.int8]:
    if isinstance(hits, pa.Array | pa.ChunkedArray):
        hits = hits.fill_null(False).to_numpy(zero_copy_only=False)
    return np.where(missing, UNKNOWN, np.where(hits, TRUE, FALSE))


_RELATIONS = {
    "=": kernels_truth.EQUAL, "<>": kernels_truth.NOT_EQUAL, "<": kernels_truth.LESS,
    "<=": kernels_truth.LESS_EQUAL, ">": kernels_truth.GREATER,
    ">=": kernels_truth.GREATER_EQUAL,
}  # fmt: skip
_NUMPY_COMPARES: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal, "<>": np.not_equal, "<": np.less,
    "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_ARROW_COMPARES: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal, "<>": pc.not_equal, "<": pc.less,
    "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip


def _pair(term: Term, block: Block) -> tuple[Values, Values, NDArray[np.bool_]]:
    left, right = compute(term.args[0], block), compute(term.args[1], block)
    return left, right, _missing(left) | _missing(right)


def _compare(term: Term, block: Block) -> NDArray[np.int8]:
    left, right = compute(term.args[0], block), compute(term.args[1], block)
    if isinstance(left, pa.Array):
        missing = _missing(left) | _missing(right)
        return _known(_ARROW_COMPARES[term.op](left, right), missing)
    out = np.empty(block.rows, np.int8)
    kernels_truth.compare(_RELATIONS[term.op], left, right, _reserved(left), out)
    return out


def _reserved(values: NDArray[Any]) -> Any:
    """The value that stands for missing in such an array."""
    if values.dtype == np.float64:
        return np.float64(np.nan)
    return UNKNOWN if values.dtype == np.int8 else np.int64(NO_INT)


def _distinct(term: Term, block: Block) -> NDArray[np.int8]:
    left, right, either = _pair(term, block)
    compares = _ARROW_COMPARES if isinstance(left, pa.Array) else _NUMPY_COMPARES
    same = _known(compares["="](left, right), either) == TRUE
    same |= _missing(left) & _missing(right)
    return np.where(same, FALSE, TRUE)


def _is_null(term: Term, block: Block) -> NDArray[np.int8]:
    return np.where(_missing(compute(term.args[0], block)), TRUE, FALSE)


def _in(term: Term, block: Block) -> NDArray[np.int8]:
    values, has_null = term.value
    operand = compute(term.args[0], block)
    if isinstance(operand, pa.Array):
        hits = pc.is_in(operand, pa.array(sorted(values), pa.large_string()))
        hits = hits.to_numpy(zero_copy_only=False)
    else:
        hits = np.isin(operand, np.array(sorted(values), operand.dtype))
    found = _known(hits, _missing(operand))
    return np.where(found == FALSE, UNKNOWN, found) if has_null else found


def _in_array(term: Term, block: Block) -> NDArray[np.int8]:
    operand = compute(term.args[0], block)
    found = _known(term.value.hits(operand), _missing(operand))
    return np.where(found == FALSE, UNKNOWN, found) if term.value.has_null else found


def _like(term: Term, block: Block) -> NDArray[np.int8]:
    pattern, escape, ignore_case = term.value
    operand = compute(term.args[0], block)
    if ignore_case:
        operand = pc.utf8_lower(operand)
        pattern = pc.utf8_lower(pa.scalar(pattern, pa.large_string())).as_py()
    hits = pc.match_substring_regex(operand, like_regex(pattern, escape))
    return _known(hits, _missing(operand))


_WHOLE = {
    "+": arithmetic.ADD, "-": arithmetic.SUBTRACT, "*": arithmetic.MULTIPLY,
    "//": arithmetic.DIVIDE, "%": arithmetic.REMAINDER,
}  # fmt: skip


def _arithmetic(term: Term, block: Block) -> Values:
    left, right, missing = _pair(term, block)
    if term.kind is not Kind.DOUBLE:
        out = np.empty(block.rows, np.int64)
        arithmetic.whole(_WHOLE[term.op], left, right, out)
        return out
    with np.errstate(all="ignore"):
        if term.op == "+":
            found = left + right
        elif term.op == "-":
            found = left - right
        elif term.op == "*":
            found = left * right
        else:
            found = np.divide(left, right)
    return np.where(missing | ~np.isfinite(found), np.nan, found)


def _neg(term: Term, block: Block) -> Values:
    values = compute(term.args[0], block)
    return -values if values.dtype == np.float64 else np.where(values == NO_INT, values, -values)


def _abs(term: Term, block: Block) -> Values:
    values = compute(term.args[0], block)
    return np.abs(values) if values.dtype == np.float64 else np.where(
        values == NO_INT, values, np.abs(values))  # fmt: skip


def _to_double(term: Term, block: Block) -> Values:
    operand = term.args[0]
    values = compute(operand, block)
    if operand.kind is Kind.VARCHAR:
        found = [number_in(v.as_py()) for v in values]
        return np.array([np.nan if v is None else v for v in found], np.float64)
    missing = _missing(values)
    if operand.kind is not Kind.MONEY:
        return np.where(missing, np.nan, values)
    unit = 10**block.money_scale
    found = values / unit
    # Beyond 2**53 an integer is not a double: NumPy would round before it divides.
    for row in np.flatnonzero(np.abs(values) > 2**53):
        found[row] = int(values[row]) / unit
    return np.where(missing, np.nan, found)


def _to_bigint(term: Term, block: Block) -> Values:
    found = [whole_number_in(value.as_py()) for value in compute(term.args[0], block)]
    return np.array([NO_INT if v is None else v for v in found], np.int64)


def _to_money(term: Term, block: Block) -> Values:
    values = compute(term.args[0], block)
    out = np.empty(block.rows, np.int64)
    unit = np.full(block.rows, 10**block.money_scale, np.int64)
    arithmetic.whole(arithmetic.MULTIPLY, values, unit, out)
    # Beyond the int64 an amount is larger than any other, not missing.
    beyond = (out == NO_INT) & (values != NO_INT)
    if beyond.any():
        out[beyond] = np.where(values[beyond] > 0, np.iinfo(np.int64).max, NO_INT + 1)
    return out


def _to_instant(term: Term, block: Block) -> Values:
    return _midnights(compute(term.args[0], block), block.clock.zone)


def _midnights(dates: NDArray[np.int64], zone: Zone) -> NDArray[np.int64]:
    """The instants of local midnights, as DuckDB casts a DATE to an instant."""
    distinct, places = np.unique(dates, return_inverse=True)
    instants = [NO_INT if d == NO_INT else zone.instant_of(int(d) * DAY) for d in distinct]
    return np.array(instants, np.int64)[places]


def _now(_: Term, block: Block) -> Values:
    return np.full(block.rows, block.clock.as_of, np.int64)


def _today(_: Term, block: Block) -> Values:
    return np.full(block.rows, block.clock.today, np.int64)


def _shift(term: Term, block: Block) -> Values:
    months, days, micros = term.value
    zone = block.clock.zone

    def moved(value: int) -> int:
        if value == NO_INT:
            return NO_INT
        if term.kind is Kind.DATE:
            found = add_to_day(value, months=months, days=days)
        else:
            found = zone.add(value, months=months, days=days, micros=micros)
        return found if -(2**63) < found < 2**63 else NO_INT

    values = compute(term.args[0], block)
    distinct, places = np.unique(values, return_inverse=True)
    return np.array([moved(int(v)) for v in distinct], np.int64)[places]


def _dates(term: Term, block: Block) -> NDArray[np.int64]:
    """The local dates of a DATE or an instant."""
    values = compute(term, block)
    if term.kind is Kind.DATE:
        return np.asarray(values)
    missing = values == NO_INT
    return np.where(missing, NO_INT, block.clock.zone.days_of(np.where(missing, 0, values)))


def _days_since(term: Term, block: Block) -> Values:
    found = _dates(term.args[0], block)
    return np.where(found == NO_INT, NO_INT, block.clock.today - found)


def _days_until(term: Term, block: Block) -> Values:
    found = _dates(term.args[0], block)
    return np.where(found == NO_INT, NO_INT, found - block.clock.today)


def _in_last_days(term: Term, block: Block) -> NDArray[np.int8]:
    age, count = _days_since(term, block), compute(term.args[1], block)
    missing = (age == NO_INT) | (count == NO_INT)
    return _known((age >= 0) & (age < count), missing)


def _days_until_birthday(term: Term, block: Block) -> Values:
    dates = np.ascontiguousarray(_dates(term.args[0], block))
    out = np.empty(len(dates), np.int64)
    calendar.birthdays(dates, NO_INT, block.clock.today, out)
    return out


def _date_part(term: Term, block: Block) -> Values:
    dates = np.ascontiguousarray(_dates(term.args[0], block))
    out = np.empty(len(dates), np.int64)
    calendar.date_parts(dates, _DATE_PARTS[term.op], NO_INT, out)
    return out


def _hour(term: Term, block: Block) -> Values:
    values = compute(term.args[0], block)
    missing = values == NO_INT
    if term.args[0].kind is Kind.DATE:
        return np.where(missing, NO_INT, 0)
    local = block.clock.zone.locals_of(np.where(missing, 0, values))
    return np.where(missing, NO_INT, local % DAY // HOUR)


def _choose(take: NDArray[np.bool_], first: Values, second: Values) -> Values:
    if isinstance(first, pa.Array):
        return pc.if_else(pa.array(take), first, second)
    return np.where(take, first, second)


def _case(term: Term, block: Block) -> Values:
    found = compute(term.args[-1], block)
    for place in range(len(term.args) - 3, -1, -2):
        condition, value = term.args[place : place + 2]
        found = _choose(truth(condition, block) == TRUE, compute(value, block), found)
    return found


def _coalesce(term: Term, block: Block) -> Values:
    found = compute(term.args[-1], block)
    for arg in reversed(term.args[:-1]):
        values = compute(arg, block)
        found = _choose(~_missing(values), values, found)
    return found


def _nullif(term: Term, block: Block) -> Values:
    left, right, missing = _pair(term, block)
    compares = _ARROW_COMPARES if isinstance(left, pa.Array) else _NUMPY_COMPARES
    same = _known(compares["="](left, right), missing) == TRUE
    null = Term("const", term.kind)
    return _choose(same, _const(null, block), left)


def _extreme(term: Term, block: Block) -> Values:
    """least and greatest: missing values are passed over."""
    compares = "<" if term.op == "least" else ">"
    found = compute(term.args[0], block)
    for arg in term.args[1:]:
        other = compute(arg, block)
        table = _ARROW_COMPARES if isinstance(found, pa.Array) else _NUMPY_COMPARES
        better = _known(table[compares](other, found), _missing(other)) == TRUE
        found = _choose(~_missing(other) & (better | _missing(found)), other, found)
    return found


def _text_function(function: Callable[[Any], Any]) -> Callable[[Term, Block], Values]:
    return lambda term, block: function(compute(term.args[0], block))


def _length(term: Term, block: Block) -> Values:
    values = compute(term.args[0], block)
    count = pc.list_value_length if term.args[0].kind is Kind.TAGS else pc.utf8_length
    lengths = count(values).cast(pa.int64()).fill_null(NO_INT)
    # A copy: Arrow's own memory is read-only, for which kernels would be compiled once more.
    return lengths.to_numpy(zero_copy_only=False).copy()


_ARROW_SEARCHES: dict[str, tuple[Callable[..., Any], Callable[[str, str], bool]]] = {
    "starts_with": (pc.starts_with, str.startswith),
    "ends_with": (pc.ends_with, str.endswith),
    "contains": (pc.match_substring, str.__contains__),
}


def _search(term: Term, block: Block) -> NDArray[np.int8]:
    at_once, one_by_one = _ARROW_SEARCHES[term.op]
    left, right, missing = _pair(term, block)
    if term.args[1].op == "const" and term.args[1].value is not None:
        return _known(at_once(left, term.args[1].value), missing)
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    hits = [a is not None and b is not None and one_by_one(a, b) for a, b in pairs]
    return _known(np.array(hits, np.bool_), missing)


def _has_one_of(lists: pa.Array, items: list[str | None]) -> NDArray[np.bool_]:
    """Which lists hold one of these texts: all lists' items looked at in one go."""
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths)
    flat = pc.list_flatten(lists)
    hits = pc.is_in(flat, pa.array([i for i in items if i is not None], flat.type))
    found = np.append(0, np.cumsum(hits.to_numpy(zero_copy_only=False)))
    return np.asarray(found[ends] > found[ends - lengths])


def _list_contains(term: Term, block: Block) -> NDArray[np.int8]:
    if term.args[1].op == "const" and term.args[1].value is not None:
        whole = compute(term.args[0], block)
        return _known(_has_one_of(whole, [term.args[1].value]), _missing(whole))
    lists, items, missing = _pair(term, block)
    pairs = zip(lists.to_pylist(), items.to_pylist(), strict=True)
    hits = [have is not None and item is not None and item in have for have, item in pairs]
    return _known(np.array(hits, np.bool_), missing)


def _list_test(
    test: Callable[[set[str], set[str]], bool], *, every: bool
) -> Callable[..., NDArray[np.int8]]:
    def run(term: Term, block: Block) -> NDArray[np.int8]:
        wanted = term.args[1].value if term.args[1].op == "const" else None
        if wanted is not None and len(wanted) <= _FEW_ITEMS:
            whole = compute(term.args[0], block)
            hits = np.full(block.rows, every)
            for item in [i for i in wanted if i is not None] if every else []:
                hits &= _has_one_of(whole, [item])
            return _known(hits if every else _has_one_of(whole, list(wanted)), _missing(whole))
        left, right, missing = _pair(term, block)
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        found = [
            have is not None and want is not None
            and test(set(have) - {None}, set(want) - {None})
            for have, want in pairs
        ]  # fmt: skip
        return _known(np.array(found, np.bool_), missing)

    return run


def _bucket(term: Term, block: Block) -> Values:
    assert block.buckets is not None
    return block.buckets(str(term.value[0]))


_OPS: dict[str, Callable[[Term, Block], Values]] = {
    "const": _const,
    **dict.fromkeys(SOURCES, lambda term, block: block.column(term)),
    "context": _context,
    "and": _and,
    "or": _or,
    "not": _not,
    **dict.fromkeys(_NUMPY_COMPARES, _compare),
    "distinct": _distinct,
    "is_null": _is_null,
    "in": _in,
    "like": _like,
    **dict.fromkeys(("+", "-", "*", "/", "//", "%"), _arithmetic),
    "neg": _neg,
    "abs": _abs,
    "to_double": _to_double,
    "to_bigint": _to_bigint,
    "to_money": _to_money,
    "to_instant": _to_instant,
    "now": _now,
    "today": _today,
    "shift": _shift,
    "days_since": _days_since,
    "days_until": _days_until,
    "days_until_birthday": _days_until_birthday,
    "in_last_days": _in_last_days,
    **dict.fromkeys(("year", "month", "day", "dayofweek"), _date_part),
    "hour": _hour,
    "case": _case,
    "coalesce": _coalesce,
    "nullif": _nullif,
    **dict.fromkeys(("least", "greatest"), _extreme),
    # Character by character, as DuckDB: one letter never becomes two.
    "lower": _text_function(pc.utf8_lower),
    "upper": _text_function(pc.utf8_upper),
    "length": _length,
    **dict.fromkeys(_ARROW_SEARCHES, _search),
    "list_contains": _list_contains,
    "list_has_any": _list_test(lambda have, want: bool(have & want), every=False),
    "list_has_all": _list_test(lambda have, want: want <= have, every=True),
    **dict.fromkeys(("segment", "declared"), lambda term, block: compute(term.args[0], block)),
    "in_array": _in_array,
    "bucket": _bucket,
}
