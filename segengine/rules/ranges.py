"""Which values of a source are meant: ascending, disjoint ranges, and what one does with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segengine.schema.kinds import Kind

Range = tuple[Any, Any]
"""low <= value <= high."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What a trait's array can hold: its kind and the least and greatest known value.

    has_entries: of texts and lists, whether a dictionary has each different one once.
    """

    kind: Kind
    least: Any
    greatest: Any
    has_entries: bool = True


def halved(function: Callable[[int], Any], domain: Domain, low: Any, high: Any) -> Range:
    """The least and greatest whole number that a rising function sends into [low, high]."""
    least, greatest = domain.least, domain.greatest
    if domain.kind is Kind.DATE:
        least, greatest = max(least, -4_000_000), min(greatest, 4_000_000)
    first = first_where(lambda v: bool(function(v) >= low), least, greatest + 1)
    beyond = first_where(lambda v: bool(function(v) > high), first, greatest + 1)
    return first, beyond - 1


def first_where(test: Callable[[int], bool], begin: int, end: int) -> int:
    """The first whole number in [begin, end) from which on a test holds; `end` for none."""
    while begin < end:
        middle = (begin + end) // 2
        if test(middle):
            end = middle
        else:
            begin = middle + 1
    return begin


def before(value: Any, kind: Kind | None) -> Any:
    """The greatest value below one."""
    return math.nextafter(value, -math.inf) if kind is Kind.DOUBLE else value - 1


def after(value: Any, kind: Kind | None) -> Any:
    """The least value above one."""
    return math.nextafter(value, math.inf) if kind is Kind.DOUBLE else value + 1


def complement(ranges: tuple[Range, ...], domain: Domain) -> tuple[Range, ...]:
    """The known values outside ascending, disjoint ranges."""
    found, start = [], domain.least
    for low, high in ranges:
        if low > start:
            found.append((start, before(low, domain.kind)))
        start = after(high, domain.kind)
    if start <= domain.greatest:
        found.append((start, domain.greatest))
    return tuple(found)


def united(ranges: tuple[Range, ...], domain: Domain) -> tuple[Range, ...]:
    """Ascending, disjoint ranges with the same values."""
    found: list[Range] = []
    for low, high in sorted(ranges):
        if found and low <= after(found[-1][1], domain.kind):
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def intersected(first: tuple[Range, ...], second: tuple[Range, ...]) -> tuple[Range, ...]:
    """What lies in both; each is ascending and disjoint, and so is the result."""
    found, place = [], 0
    for low, high in first:
        while place < len(second) and second[place][1] < low:
            place += 1
        for other_low, other_high in second[place:]:
            if other_low > high:
                break
            found.append((max(low, other_low), min(high, other_high)))
    return tuple(found)
