"""Here is a row: its list of codes, of any length, with a score for each code where there are any.

The lists of a full build stand side by side in one array. A list that changes afterwards is
written where it stands, or, where it has grown, at the end of a second array, so that a change
costs what it changes; the gaps this leaves go when the second array is full. Nothing is kept of
a list that is gone, unlike in a dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.tables import list_loops
from segengine.tables.list_loops import Lists

_LEAST_ROOM = 1024


class ListRoom(NamedTuple):
    """Lists with room for more, and how much of their new codes is used."""

    lists: Lists
    used: int


class RowLists:
    """The list of every row. Rows that nothing was ever said about have the empty list."""

    def __init__(self, *, scored: bool = False) -> None:
        self.is_scored = scored
        none = np.empty(0, np.float64)
        self.lists = Lists(
            np.empty(0, np.int64), np.empty(0, np.int32),
            np.empty(0, np.int32), none, np.empty(0, np.int32), none.copy(),
        )  # fmt: skip
        """Where they are, for loops; to be read while nobody writes."""
        self._used = 0

    def fill(
        self, counts: NDArray[np.int32], codes: NDArray[np.int32], scores: NDArray[np.float64]
    ) -> None:
        """Take the lists of the rows 0, 1, 2, ... in place of all there were.

        counts: int32[rows]  codes: int32, list after list  scores: float64, as long or empty
        """
        ends = np.cumsum(counts, dtype=np.int64)
        self.lists = Lists(
            ends - counts, counts, codes, scores,
            np.empty(0, np.int32), np.empty(0, np.float64),
        )  # fmt: skip
        self._used = 0

    def write(
        self,
        rows: NDArray[np.int64],
        counts: NDArray[np.int32],
        codes: NDArray[np.int32],
        scores: NDArray[np.float64],
    ) -> None:
        """Take the lists of these rows, each of which is there once; called with the gate closed.

        rows: int64[n], ascending  counts: int32[n]  codes, scores: as of `fill`
        """
        if len(rows) == 0:
            return
        room = self.room(int(rows[-1]) + 1, len(codes))
        if room is not None:
            self.take_room(room)
        self._used = list_loops.write_lists(rows, counts, codes, scores, self._used, self.lists)

    def room(self, rows: int, codes: int) -> ListRoom | None:
        """The same lists, with room for so many rows and for so many codes more: for `take_room`.

        Beside those in use, which everybody may look at. None where there is room.
        """
        lists, used = self.lists, self._used
        before = len(lists.counts)
        if rows > before:
            # As columns grow: by half, so that buyers who come one by one cost little.
            grown = max(rows, 3 * before // 2)
            begins, counts = np.zeros(grown, np.int64), np.zeros(grown, np.int32)
            begins[:before], counts[:before] = lists.begins, lists.counts
            lists = lists._replace(begins=begins, counts=counts)
        if used + codes > len(lists.new_codes):
            live = list_loops.count_new(lists.begins, lists.counts)
            room = max(_LEAST_ROOM, 2 * (live + codes))
            new_codes = np.empty(room, np.int32)
            new_scores = np.empty(room if self.is_scored else 0, np.float64)
            if rows <= before:
                # Its places are written anew, while others look at those there are.
                lists = lists._replace(begins=lists.begins.copy())
            used = list_loops.move_new(lists, new_codes, new_scores)
            lists = lists._replace(new_codes=new_codes, new_scores=new_scores)
        return None if lists is self.lists else ListRoom(lists, used)

    def take_room(self, room: ListRoom) -> object:
        """Have the room that was made of these lists; what they were in, to be let go of later."""
        before = self.lists
        self.lists, self._used = room
        return before

    def kept(self) -> dict[str, NDArray[Any]]:
        """What a snapshot keeps of them: the arrays of `Lists` by name, and `used`."""
        return {**self.lists._asdict(), "used": np.array([self._used], np.int64)}

    def take(self, kept: Mapping[str, NDArray[Any]]) -> None:
        """Become the lists that `kept` was of; the arrays are taken, not copied."""
        self.lists = Lists(*(kept[name] for name in Lists._fields))
        self._used = int(kept["used"][0])

    def of(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The codes of one row, and their scores where there are any."""
        lists = self.lists
        if not 0 <= row < len(lists.counts):
            return lists.codes[:0], lists.scores[:0]
        begin, count = int(lists.begins[row]), int(lists.counts[row])
        codes, scores = lists.codes, lists.scores
        if begin < 0:
            begin, codes, scores = ~begin, lists.new_codes, lists.new_scores
        return codes[begin : begin + count], scores[begin : begin + count]

    def counts_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How long the lists of these rows are: int64[n]; 0 for a row below 0."""
        counts = self.lists.counts
        known = (rows >= 0) & (rows < len(counts))
        found = np.zeros(len(rows), np.int64)
        found[known] = counts[rows[known]]
        return found

    def codes_of(self, rows: NDArray[np.int64], total: int) -> NDArray[np.int32]:
        """The codes of these rows, list after list; `total` is how many that are."""
        found = np.empty(total, np.int32)
        list_loops.take_codes(rows, self.lists, found)
        return found

    def nbytes(self) -> int:
        """Bytes held, spare room included."""
        return sum(int(array.nbytes) for array in self.lists)
