"""Here is a buyer and a kind of thing: how much do they like each value of it?

Scores lie in 0 to 1 and sum to 1 for a buyer and a kind. A buyer without evidence for a kind has
none; one with evidence has 0 for every value that is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.kernels import fold
from segengine.tables.column import aligned
from segengine.tables.dictionary import Dictionary

KINDS = ("category", "brand")


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one kind by buyer: those of row r are at offsets[r] to offsets[r + 1].

    offsets: int64[rows + 1]  codes: int32[scores], of the dictionary  scores: float64[scores]
    """

    dictionary: Dictionary
    offsets: NDArray[np.int64]
    codes: NDArray[np.int32]
    scores: NDArray[np.float64]


class Affinities:
    """The affinity of every buyer to the values of each kind."""

    def __init__(self) -> None:
        self._kept: dict[str, Scores] = {}

    def install(self, kind: str, scores: Scores) -> None:
        """Take the scores of a kind in place of those before."""
        assert kind in KINDS
        self._kept[kind] = scores

    def score(self, kind: str, value: str, row: int) -> float:
        """One buyer's score for a value; NaN without evidence for the kind."""
        kept = self._kept.get(kind)
        if kept is None or row + 1 >= len(kept.offsets):
            return float("nan")
        begin, end = int(kept.offsets[row]), int(kept.offsets[row + 1])
        if begin == end:
            return float("nan")
        place = np.flatnonzero(kept.codes[begin:end] == _code(kept.dictionary, value))
        return float(kept.scores[begin + place[0]]) if len(place) else 0.0

    def scores(self, kind: str, value: str, capacity: int) -> NDArray[np.float64]:
        """Every buyer's score for a value: float64[capacity], NaN without evidence."""
        out = aligned(capacity, np.dtype(np.float64), np.nan)
        kept = self._kept.get(kind)
        if kept is not None:
            fold.scores_of(
                kept.offsets, kept.codes, kept.scores, _code(kept.dictionary, value), out
            )
        return out

    def nbytes(self) -> int:
        """Bytes of all kinds."""
        kept: Any = self._kept.values()
        return sum(int(k.offsets.nbytes + k.codes.nbytes + k.scores.nbytes) for k in kept)


def _code(dictionary: Dictionary, value: str) -> int:
    # -1 stands for no value, and no score has it.
    return int(dictionary.find(pa.array([value], pa.large_string()))[0])
