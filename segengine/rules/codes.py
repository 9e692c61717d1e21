"""Which codes of a dictionary satisfy a condition on a text or a list? As runs of codes.

A dictionary only grows, so what was found for its first codes stays; later ones are looked at
alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.rules.block import Block, Clock
from segengine.rules.compute import truth
from segengine.rules.plan import Entries
from segengine.rules.ranges import Range
from segengine.tables.dictionary import Dictionary

MOST_RUNS = 256
_MOST_LOOKS = 20_000_000


@dataclass(frozen=True, slots=True)
class Runs:
    """The codes below `known` that satisfy a condition, and whether a missing value does.

    `ranges` is None where there are too many of them to keep.
    """

    known: int
    ranges: tuple[Range, ...] | None
    missing: bool


RunsKept = dict[tuple[Dictionary, Entries], Runs]


def affordable(dictionary: Dictionary, conditions: int) -> bool:
    """Whether so many conditions can be asked about every entry."""
    return dictionary.size * conditions <= _MOST_LOOKS


def runs_of(
    node: Entries, dictionary: Dictionary, clock: Clock, scale: int, kept: RunsKept
) -> Runs:
    """The runs of a condition that reads no clock over a whole dictionary; kept: earlier ones."""
    before = kept.get((dictionary, node))
    known = 0 if before is None else before.known
    if before is not None and (before.known == dictionary.size or before.ranges is None):
        return before
    values = dictionary.values()
    asked = pa.concat_arrays([pa.nulls(1, values.type), values.slice(known)])
    block = Block(len(asked), clock, scale, lambda _: asked)
    holds = truth(node.term, block) == (1 if node.wanted else 0)
    ranges = _runs(holds[1:], known)
    if before is not None and before.ranges:
        ranges = _linked(before.ranges, ranges)
    return Runs(dictionary.size, ranges if len(ranges) <= MOST_RUNS else None, bool(holds[0]))


def _runs(holds: NDArray[np.bool_], first: int) -> tuple[Range, ...]:
    """The codes that hold, from `first` on, as ranges."""
    edges = np.flatnonzero(np.diff(holds.astype(np.int8), prepend=0, append=0)) + first
    return tuple(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


def _linked(first: tuple[Range, ...], later: tuple[Range, ...]) -> tuple[Range, ...]:
    """Ranges followed by later ones, a run over the seam as one."""
    if later and first[-1][1] + 1 == later[0][0]:
        return (*first[:-1], (first[-1][0], later[0][1]), *later[1:])
    return first + later
