"""Which values of one buyer are in no column, but made so cheaply that rules are matched by them?

Affinities and the days until a birthday. They are made for every buyer who is asked about, so that
conditions on them are decided as those on columns are, by one row of bits a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.rules import made_loops as at
from segengine.rules.plan import Computed, Node, Ranges
from segengine.rules.population import Population
from segengine.rules.ranges import Range
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from segengine.tables.column import Column
from segengine.tables.list_loops import Lists

_OPPOSITES = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_LEAST, _MOST = -(2**63) + 1, 2**63 - 1


class MadeLeaf(NamedTuple):
    """A condition on a value that is made: it lies in one of the ranges, or is missing."""

    source: Term
    ranges: tuple[Range, ...]
    missing: bool


def made_leaf(node: Node, population: Population) -> MadeLeaf | None:
    """The condition on a value that is made cheaply, if a node is one."""
    if isinstance(node, Ranges) and node.source.op == "affinity":
        return MadeLeaf(node.source, node.ranges, node.missing)
    if not isinstance(node, Computed) or len(node.term.args) != 2:
        return None
    made, fixed = node.term.args
    if made.op != "days_until_birthday" or made.args[0].op != "column":
        return None
    if population.column(made.args[0]).kind is not Kind.DATE:
        return None
    if fixed.op != "const" or fixed.kind is not Kind.BIGINT or fixed.value is None:
        return None
    op = node.term.op if node.wanted else _OPPOSITES.get(node.term.op, "")
    within = _compared(op, fixed.value)
    return None if within is None else MadeLeaf(made, within, missing=False)


def _compared(op: str, fixed: int) -> tuple[Range, ...] | None:
    """The whole numbers for which a comparison with a number is true; None for another test."""
    match op:
        case "=":
            return ((fixed, fixed),)
        case "<>":
            return ((_LEAST, fixed - 1), (fixed + 1, _MOST))
        case "<" | "<=":
            return ((_LEAST, fixed - (op == "<")),)
        case ">" | ">=":
            return ((fixed + (op == ">"), _MOST),)
    return None


@dataclass(frozen=True, slots=True)
class MadeValues:
    """The values that a layout makes for each buyer, by the number of its trait there.

    affinities: trait, kind and value liked  birthdays: traits and columns of dates
    """

    affinities: tuple[tuple[int, str, str], ...]
    birthdays: tuple[tuple[int, Column], ...]

    def bound(self, population: Population, before: BoundValues | None) -> BoundValues:
        """Where they are made from now; `before` serves as long as no array has moved or come.

        What stands in lists may have changed, and a value that was never met may have got a code.
        """
        known = population.tables.affinities
        codes = [known.code(kind, value) for _, kind, value in self.affinities]
        lists = [known.kept[kind].lists for _, kind, _ in self.affinities]
        # What was never written holds one value everywhere and owns no memory.
        dates = [column.values if column.is_allocated else None for _, column in self.birthdays]
        if before is not None and before.stand(codes, lists, dates):
            return before
        liked = np.zeros((len(codes), at.LIKED_WIDTH), np.int64)
        for row, (trait, _, _), code, of in zip(liked, self.affinities, codes, lists, strict=True):
            row[at.PLACE], row[at.CODE], row[at.ROWS] = trait, code, len(of.counts)
            row[at.BEGINS : at.LIKED_WIDTH] = [array.ctypes.data for array in of]
        birthdays = np.zeros((len(dates), at.BIRTHDAY), np.int64)
        defaults = np.array([column.default for _, column in self.birthdays], np.int32)
        for place, (trait, column) in enumerate(self.birthdays):
            row, array = birthdays[place], dates[place]
            row[at.PLACE], row[at.MISSING] = trait, column.missing
            if array is None:
                row[at.DATES] = defaults[place:].ctypes.data
            else:
                row[at.DATES], row[at.STRIDE] = array.ctypes.data, array.itemsize
        return BoundValues(liked, birthdays, codes, lists, dates, defaults)


class BoundValues(NamedTuple):
    """Where made values are made from, see `made_loops.write_keys`.

    codes, lists, dates, defaults: what the tables were made of, whose addresses stand there
    """

    liked: NDArray[np.int64]
    birthdays: NDArray[np.int64]
    codes: list[int]
    lists: list[Lists]
    dates: list[NDArray[Any] | None]
    defaults: NDArray[np.int32]

    def stand(self, codes: list[int], lists: list[Lists], dates: list[NDArray[Any] | None]) -> bool:
        """Whether the tables would be made of the same arrays and codes again."""
        return (
            self.codes == codes
            and all(map(is_, self.lists, lists))
            and all(map(is_, self.dates, dates))
        )


def made_values(sources: Sequence[tuple[int, Term]], population: Population) -> MadeValues:
    """What makes these values, each given with the number of its trait."""
    return MadeValues(
        tuple((trait, *source.value) for trait, source in sources if source.op == "affinity"),
        tuple((trait, population.column(source.args[0])) for trait, source in sources
              if source.op != "affinity"),
    )  # fmt: skip
