"""Which values of one buyer are in no column, but made so cheaply that rules are matched by them?

Affinities and the days until a birthday. They are made for every buyer who is asked about, so that
conditions on them are decided as those on columns are, by one row of bits a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.matching import NO_KEY
from segengine.rules.compute import until_birthday
from segengine.rules.plan import Computed, Node, Ranges
from segengine.rules.population import Population
from segengine.rules.ranges import Range
from segengine.rules.term import Term
from segengine.schema.kinds import Kind
from segengine.tables import list_loops
from segengine.tables.column import Column

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

    affinities: by kind, the traits and the values liked  birthdays: traits and columns of dates
    """

    affinities: tuple[tuple[str, NDArray[np.int64], tuple[str, ...]], ...]
    birthdays: tuple[tuple[int, Column], ...]

    def codes(self, population: Population) -> tuple[NDArray[np.int32], ...]:
        """The code of each value liked, by kind; they stand while no text comes."""
        code = population.tables.affinities.code
        return tuple(
            np.array([code(kind, value) for value in values], np.int32)
            for kind, _, values in self.affinities
        )

    def write(
        self,
        population: Population,
        codes: Sequence[NDArray[np.int32]],
        row: int,
        today: int,
        keys: NDArray[np.int64],
    ) -> None:
        """Write the key of each value for a row; see `matching.match_row`."""
        kept = population.tables.affinities.kept
        for (kind, traits, _), wanted in zip(self.affinities, codes, strict=True):
            list_loops.score_keys(row, kept[kind].lists, wanted, traits, keys)
        for trait, column in self.birthdays:
            born = column.values.item(row)
            keys[trait] = NO_KEY if born == column.missing else until_birthday(born, today)


def made_values(sources: Sequence[tuple[int, Term]], population: Population) -> MadeValues:
    """What makes these values, each given with the number of its trait."""
    by_kind: dict[str, list[tuple[int, str]]] = {}
    birthdays = []
    for trait, source in sources:
        if source.op == "affinity":
            kind, value = source.value
            by_kind.setdefault(kind, []).append((trait, value))
        else:
            birthdays.append((trait, population.column(source.args[0])))
    return MadeValues(
        tuple(
            (kind, np.array([trait for trait, _ in of], np.int64), tuple(value for _, value in of))
            for kind, of in by_kind.items()
        ),
        tuple(birthdays),
    )
