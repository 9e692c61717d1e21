"""How is a value written in a text: an amount, a number, a moment, a truth, a list?

| kind | without a format | with one |
| --- | --- | --- |
| money | whole amounts without decimals, others with the currency's usual ones | `.2` `,` `,.2` |
| number with a fraction | two decimals at most, without zeros at the end | the same |
| whole number | its digits | `,` |
| date, moment | `YYYY-MM-DD`, `YYYY-MM-DD HH:mm` by the store's clock | of YYYY YY MMMM MMM MM M DD D HH H mm |
| truth | cannot be written | `yes/no`: two texts |
| text | whole | `10`: so many characters at most |
| list | its items, `, ` between them | what is to stand between them |

Halves are rounded away from zero.
"""  # noqa: E501 - a table

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segengine.days import DAY, HOUR, MINUTE, Zone
from segengine.schema.kinds import Kind

_NO_DECIMALS = frozenset(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()
)
_THREE_DECIMALS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
_MOST = 2.0**63
"""A number from here on is as good as missing."""
_TOKEN = re.compile(r"YYYY|YY|MMMM|MMM|MM|M|DD|D|HH|H|mm|[^A-Za-z]|[A-Za-z]+")
_TOKENS = frozenset("YYYY YY MMMM MMM MM M DD D HH H mm".split())
_OF_THE_CLOCK = frozenset({"HH", "H", "mm"})
_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_TEXT = pa.large_string()
_NOTHING = pa.scalar("", _TEXT)


@dataclass(frozen=True, slots=True)
class TextFormat:
    """At most so many characters; None: all."""

    most: int | None = None


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """So many decimals, or as many as the kind wants; thousands grouped by commas or not.

    most: where `decimals` is None, how many there are at most. shortened: zeros at the end go;
    else decimals are all there or, of a whole number, none.
    """

    decimals: int | None = None
    is_grouped: bool = False
    most: int = 0
    shortened: bool = False


@dataclass(frozen=True, slots=True)
class MomentFormat:
    """Parts of a date and of the clock, and what stands between them, in order."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TruthFormat:
    """What is written for true and for false."""

    yes: str
    no: str


@dataclass(frozen=True, slots=True)
class ListFormat:
    """What stands between the items."""

    between: str = ", "


Format = TextFormat | NumberFormat | MomentFormat | TruthFormat | ListFormat


def decimals_of(currency: str) -> int:
    """The decimals that amounts in a currency usually have (ISO 4217); 2 of an unknown one."""
    name = currency.strip().upper()
    return 0 if name in _NO_DECIMALS else 3 if name in _THREE_DECIMALS else 2


def read_format(
    kind: Kind, said: str | None, currency: str, *, is_amount: bool = False
) -> Format | str:
    """How a value of a kind is written; a text says why it cannot be written so.

    is_amount: a number with a fraction is of money, such as an average of amounts
    """
    if kind is Kind.VARCHAR:
        return _read_length(said)
    if kind is Kind.TAGS:
        return ListFormat() if said is None else ListFormat(said)
    if kind is Kind.BOOLEAN:
        yes, slash, no = (said or "").partition("/")
        if not slash or "/" in no:
            return "is true or false: give what to write for each, such as `:yes/no`"
        return TruthFormat(yes.strip(), no.strip())
    if kind in (Kind.DATE, Kind.TIMESTAMP):
        return _read_moment(kind, said)
    return _read_number(Kind.MONEY if is_amount else kind, said, currency)


def _read_length(said: str | None) -> Format | str:
    if said is None:
        return TextFormat()
    if not re.fullmatch("[1-9][0-9]{0,3}", said):
        return f"is a text, whose format is the most characters it may have, not `{said}`"
    return TextFormat(int(said))


def _read_number(kind: Kind, said: str | None, currency: str) -> Format | str:
    found = re.fullmatch(r"(,?)(?:\.([0-9]))?", said or "")
    if found is None or said == "":
        example = "`,`" if kind is Kind.BIGINT else "`.2` or `,.2`"
        return f"is a number, whose format is such as {example}, not `{said}`"
    decimals = None if found[2] is None else int(found[2])
    if kind is Kind.BIGINT and decimals is not None:
        return f"is a whole number and has no decimals, as `{said}` wants"
    most = {Kind.BIGINT: 0, Kind.DOUBLE: 2}.get(kind, decimals_of(currency))
    return NumberFormat(decimals, found[1] == ",", most, shortened=kind is Kind.DOUBLE)


def _read_moment(kind: Kind, said: str | None) -> Format | str:
    if said is None:
        said = "YYYY-MM-DD" if kind is Kind.DATE else "YYYY-MM-DD HH:mm"
    tokens = tuple(_TOKEN.findall(said))
    unknown = [token for token in tokens if token.isascii() and token.isalpha()
               and token not in _TOKENS]  # fmt: skip
    if unknown:
        return (f"is a date, whose format is made of YYYY YY MMMM MMM MM M DD D HH H mm, "
                f"not `{unknown[0]}`")  # fmt: skip
    if kind is Kind.DATE and _OF_THE_CLOCK & set(tokens):
        return f"is a date without a time of day, which `{said}` wants"
    if not _TOKENS & set(tokens):
        return f"is a date, and `{said}` writes nothing of it; such as `YYYY-MM-DD`"
    return MomentFormat(tokens)


def written(values: pa.Array, form: Format, zone: Zone) -> pa.Array:
    """Each value as it stands in a text: large_string[n]; null where it is missing.

    A text of blanks alone and a list without items say nothing, and are as good as missing.
    """
    if isinstance(form, TextFormat):
        found = values.cast(_TEXT)
        if form.most is not None:
            found = pc.utf8_rtrim_whitespace(pc.utf8_slice_codeunits(found, 0, form.most))
        blank = pc.equal(pc.utf8_trim_whitespace(found), _NOTHING)
        return _without(found, blank)
    if isinstance(form, ListFormat):
        found = pc.binary_join(_known_items(values), pa.scalar(form.between, _TEXT))
        return _without(found, pc.equal(found, _NOTHING))
    if isinstance(form, TruthFormat):
        yes, no = (pa.scalar(text, _TEXT) for text in (form.yes, form.no))
        return pc.if_else(values, yes, no)
    missing = values.is_null().to_numpy(zero_copy_only=False)
    if isinstance(form, MomentFormat):
        found = _moments(values, form, zone)
    elif pa.types.is_floating(values.type):
        numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
        missing |= ~(np.abs(numbers) < _MOST)
        found = _fractions(np.where(missing, 0.0, numbers), form)
    else:
        found = _exact(values, form)
    return _without(found, pa.array(missing)) if missing.any() else found


def _without(texts: pa.Array, these: pa.Array) -> pa.Array:
    return pc.if_else(these, pa.scalar(None, _TEXT), texts)


def _known_items(lists: pa.Array) -> pa.Array:
    """Lists without the items that are missing."""
    items = lists.flatten()
    known = items.is_valid().to_numpy(zero_copy_only=False)
    owners = pc.list_parent_indices(lists).to_numpy()[known]
    counts = np.bincount(owners, minlength=len(lists))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, items.drop_null().cast(_TEXT))


def _exact(values: pa.Array, form: NumberFormat) -> pa.Array:
    """Whole numbers, or amounts at their own scale."""
    if pa.types.is_decimal(values.type):
        digits = values.type.scale
        # An amount fits in 64 bits: of the 16 bytes the lower half says it all.
        halves = np.frombuffer(values.buffers()[1], np.int64, 2 * len(values),
                               16 * values.offset)  # fmt: skip
        scaled = halves[::2]
    else:
        digits, scaled = 0, values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    scaled = np.where(values.is_null().to_numpy(zero_copy_only=False), 0, scaled)
    is_negative = scaled < 0
    size = scaled.astype(np.uint64)
    # The smallest integer has no positive counterpart among the signed.
    size = np.where(is_negative, np.uint64(0) - size, size)
    wanted = form.most if form.decimals is None else form.decimals
    unit = np.uint64(10**digits)
    whole, rest = size // unit, size % unit
    if wanted < digits:
        step = np.uint64(10 ** (digits - wanted))
        rest = (rest + step // np.uint64(2)) // step
        carried = rest == np.uint64(10**wanted)
        whole, rest = whole + carried, np.where(carried, np.uint64(0), rest)
    else:
        rest = rest * np.uint64(10 ** (wanted - digits))
    return _numbers(is_negative, whole, rest, wanted, form)


def _fractions(numbers: NDArray[np.float64], form: NumberFormat) -> pa.Array:
    """Numbers with a fraction, rounded as amounts are when they are loaded."""
    wanted = form.most if form.decimals is None else form.decimals
    size = np.abs(numbers)
    whole = np.floor(size)
    rest = np.floor((size - whole) * 10.0**wanted + 0.5)
    carried = rest >= 10**wanted
    whole, rest = whole + carried, np.where(carried, 0.0, rest)
    return _numbers(numbers < 0, whole.astype(np.uint64), rest.astype(np.uint64), wanted, form)


def _numbers(
    is_negative: NDArray[np.bool_],
    whole: NDArray[np.uint64],
    rest: NDArray[np.uint64],
    digits: int,
    form: NumberFormat,
) -> pa.Array:
    """Numbers of a sign, a whole part and so many decimals."""
    sign = np.where(is_negative & ((whole > 0) | (rest > 0)), "-", "")
    found = [pa.array(sign, _TEXT), _grouped(whole) if form.is_grouped else _digits(whole)]
    if digits:
        after = _joined([pa.scalar(".", _TEXT), _digits(rest, digits)])
        if form.decimals is None:
            if form.shortened:
                after = pc.ascii_rtrim(after, characters="0")
            after = pc.if_else(pa.array(rest == 0), _NOTHING, after)
        found.append(after)
    return _joined(found)


def _joined(parts: list[Any]) -> pa.Array:
    """Texts end to end."""
    return pc.binary_join_element_wise(*parts, _NOTHING)


def _digits(numbers: NDArray[Any], width: int = 0) -> pa.Array:
    """Whole numbers from 0, with zeros before them up to a width."""
    found = pa.array(numbers).cast(pa.string()).cast(_TEXT)
    return pc.utf8_lpad(found, width, "0") if width else found


def _grouped(whole: NDArray[np.uint64]) -> pa.Array:
    """Whole numbers with a comma before every three digits."""
    found, rest = None, whole
    while found is None or rest.any():
        is_open = pa.array(rest > 0)
        rest, group = np.divmod(rest, np.uint64(1000))
        piece = pc.if_else(pa.array(rest > 0), _digits(group, 3), _digits(group))
        if found is not None:
            longer = pc.binary_join_element_wise(piece, found, pa.scalar(",", _TEXT))
            piece = pc.if_else(is_open, longer, found)
        found = piece
    return found


def _moments(values: pa.Array, form: MomentFormat, zone: Zone) -> pa.Array:
    """Dates, or moments by the store's clock."""
    if pa.types.is_date(values.type):
        days = values.cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        within = np.zeros(len(days), np.int64)
    else:
        instants = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        days, within = np.divmod(zone.locals_of(instants), DAY)
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    of_month = days - months.astype("datetime64[D]").astype(np.int64) + 1
    years, month = np.divmod(months.astype(np.int64), 12)
    years += 1970
    names = pa.array(_MONTHS, _TEXT)
    found: list[Any] = []
    for token in form.tokens:
        match token:
            case "YYYY":
                found.append(_digits(years, 4))
            case "YY":
                found.append(_digits(years % 100, 2))
            case "MMMM":
                found.append(names.take(pa.array(month)))
            case "MMM":
                found.append(pc.utf8_slice_codeunits(names, 0, 3).take(pa.array(month)))
            case "MM" | "M":
                found.append(_digits(month + 1, 2 * (len(token) - 1)))
            case "DD" | "D":
                found.append(_digits(of_month, 2 * (len(token) - 1)))
            case "HH" | "H":
                found.append(_digits(within // HOUR, 2 * (len(token) - 1)))
            case "mm":
                found.append(_digits(within % HOUR // MINUTE, 2))
            case _:
                found.append(pa.scalar(token, _TEXT))
    return _joined(found)
