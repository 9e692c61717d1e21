"""How many buyers do each two segments share?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import DefinitionError
from segengine.kernels import jit, tallies
from segengine.rules.segment import View
from segengine.rules.term import CheckedRule

MOST_SEGMENTS = 256
"""Pairs grow with the square: 256 segments are 32,896."""


def chosen(names: Iterable[str] | None, known: Sequence[str]) -> list[str]:
    """The segments asked for, each once, in the order given; None is for all of them."""
    if isinstance(names, str):
        raise DefinitionError(
            f"overlap takes a list of segments, not one name: `[{names!r}, ...]`", field="names"
        )
    found = list(dict.fromkeys(known if names is None else names))
    if len(found) > MOST_SEGMENTS:
        raise DefinitionError(
            f"overlap compares at most {MOST_SEGMENTS} segments at once, and these are "
            f"{len(found):,}; ask for those that matter to each other",
            field="names",
        )
    return found


def bitmaps_of(rules: Sequence[CheckedRule], view: View) -> NDArray[np.uint64]:
    """The bitmap of each rule, one under the other: uint64[rules, words]."""
    found = np.empty((len(rules), len(view.population.customers.live)), np.uint64)
    for place, rule in enumerate(rules):
        found[place] = view.words(rule)
    return found


def overlap(names: Sequence[str], bitmaps: NDArray[np.uint64]) -> pa.Table:
    """Table(left, right, count): the buyers two segments share, each pair once, in given order.

    bitmaps: uint64[names, words]. A segment with itself is its size. count: int64.
    """
    lefts, rights = np.triu_indices(len(names))
    counts = _shared(bitmaps)[lefts, rights]
    listed = pa.array(names, pa.string())
    return pa.table({
        "left": listed.take(pa.array(lefts)),
        "right": listed.take(pa.array(rights)),
        "count": pa.array(counts, pa.int64()),
    })  # fmt: skip


def _shared(bitmaps: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many rows each two bitmaps share: int64[n, n], where column >= row."""
    count, words = bitmaps.shape
    found: list[NDArray[np.int64]] = []

    def work(begin: int, end: int) -> None:
        out = np.zeros((count, count), np.int64)
        tallies.tally_pairs(bitmaps, begin // 64, end // 64, out)
        found.append(out)

    jit.over_ranges(work, 64 * words, align=1 << 14)
    return np.sum(found, axis=0, dtype=np.int64)
