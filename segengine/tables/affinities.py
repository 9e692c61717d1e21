"""Here is a buyer and a kind of thing: how much do they like each value of it?

Scores lie in 0 to 1 and sum to 1 for a buyer and a kind. A buyer without evidence for a kind has
none; one with evidence has 0 for every value there is no evidence for. All scores are kept: those
of a buyer are as many as the different values they ever met.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.tables import list_loops
from segengine.tables.column import aligned
from segengine.tables.dictionary import Dictionary
from segengine.tables.row_lists import RowLists

KINDS = ("category", "brand")


_MOST_CODES = 4096


def fresh_scores() -> dict[str, RowLists]:
    """Nothing about anybody, by kind."""
    return {kind: RowLists(scored=True) for kind in KINDS}


class Affinities:
    """The affinity of every buyer to the values of each kind.

    dictionary: of the values of a kind, by which `kept` has codes
    """

    def __init__(self, dictionary: Callable[[str], Dictionary]) -> None:
        self._dictionary = dictionary
        self.kept = fresh_scores()
        self._codes: dict[tuple[str, str], tuple[Dictionary, int, int]] = {}

    def code(self, kind: str, value: str) -> int:
        """The code of a value; -1, which no score has, for one that was never met."""
        dictionary = self._dictionary(kind)
        known = self._codes.get((kind, value))
        # A code, once given, means the same text for ever; one that was never met may come.
        if known is not None and (known[0] is dictionary and known[1] in (-1, dictionary.size)):
            return known[2]
        code = int(dictionary.find(pa.array([value], pa.large_string()))[0])
        if len(self._codes) > _MOST_CODES:
            self._codes.clear()
        self._codes[kind, value] = (dictionary, dictionary.size if code < 0 else -1, code)
        return code

    def score(self, kind: str, value: str, row: int) -> float:
        """One buyer's score for a value; NaN without evidence for the kind."""
        codes, scores = self.kept[kind].of(row)
        if len(codes) == 0:
            return float("nan")
        place = np.flatnonzero(codes == self.code(kind, value))
        return float(scores[place[0]]) if len(place) else 0.0

    def scores(self, kind: str, value: str, capacity: int) -> NDArray[np.float64]:
        """Every buyer's score for a value: float64[capacity], NaN without evidence."""
        out = aligned(capacity, np.dtype(np.float64), np.nan)
        list_loops.scores_of(self.kept[kind].lists, self.code(kind, value), out)
        return out

    def of(self, kind: str, row: int) -> dict[str, float]:
        """One buyer's scores by value, the greatest first; empty without evidence."""
        codes, scores = self.kept[kind].of(row)
        texts = self._dictionary(kind).texts().take(pa.array(codes)).to_pylist()
        found = zip(texts, scores.tolist(), strict=True)
        return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))

    def nbytes(self) -> int:
        """Bytes of all kinds."""
        return sum(kept.nbytes() for kept in self.kept.values())
