"""Here is a key: its row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import hashing
from segengine.tables.column import NewArray, aligned

Keys = tuple[NDArray[Any], NDArray[Any]]
"""Two parallel arrays; where one column is the key, it stands twice."""


class KeyIndex:
    """Rows by one or two integer keys; the keys themselves stay in the table's arrays.

    A row whose key is missing (the reserved value of its array) is never entered.
    """

    def __init__(self, missing: tuple[int, int]) -> None:
        self._missing = missing
        self._slots: NDArray[np.int32] = np.full(64, -1, np.int32)

    @property
    def slots(self) -> NDArray[np.int32]:
        """The table of places: int32[2^k]."""
        return self._slots

    @slots.setter
    def slots(self, slots: NDArray[np.int32]) -> None:
        self._slots = slots

    def copy(self) -> KeyIndex:
        """The same rows, in an index of their own."""
        found = KeyIndex(self._missing)
        found.slots = self._slots.copy()
        return found

    def find(self, keys: Keys, kept: Keys) -> NDArray[np.int64]:
        """The row of each key, -1 where there is none or the key is missing."""
        first, second = (np.ascontiguousarray(k, np.int64) for k in keys)
        out = np.empty(len(first), np.int64)
        hashing.find_keys(first, second, *kept, self._slots, out)
        return out

    def find_one(self, key: int, kept: NDArray[Any]) -> int:
        """The row of one key of one column, -1 where there is none."""
        return int(hashing.find_key(key, key, kept, kept, self._slots))

    def larger(
        self, kept: Keys, rows: int, end: int, new_array: NewArray = aligned
    ) -> NDArray[np.int32] | None:
        """Places for `end` rows with the first `rows` entered, to be taken as `slots`.

        Beside those in use, which everybody may look at. None where there are enough.
        """
        if 2 * end <= len(self._slots):
            return None
        slots: NDArray[np.int32] = new_array(1 << int(2 * end).bit_length(), np.dtype(np.int32))
        slots.fill(-1)
        hashing.add_places(*kept, *self._missing, 0, rows, slots)
        return slots

    def add(self, kept: Keys, begin: int, end: int) -> None:
        """Enter rows [begin, end), whose keys are new."""
        slots = self.larger(kept, begin, end)
        if slots is not None:
            self._slots = slots
        hashing.add_places(*kept, *self._missing, begin, end, self._slots)

    def nbytes(self) -> int:
        """Bytes of the table of places."""
        return int(self._slots.nbytes)


class KeySet:
    """Integer keys that stand in no table."""

    def __init__(self, missing: int) -> None:
        self._missing = missing
        self._kept: NDArray[np.int64] = np.empty(64, np.int64)
        self._count = 0
        self._index = KeyIndex((missing, missing))

    @property
    def keys(self) -> NDArray[np.int64]:
        """The keys in the order they came."""
        return self._kept[: self._count]

    def add(self, keys: NDArray[Any]) -> None:
        """Take these keys; a missing one is none."""
        keys = keys[keys != self._missing]
        begin, self._count = self._count, self._count + len(keys)
        if self._count > len(self._kept):
            grown = np.empty(max(self._count, 2 * len(self._kept)), np.int64)
            grown[:begin] = self._kept[:begin]
            self._kept = grown
        self._kept[begin : self._count] = keys
        self._index.add((self._kept, self._kept), begin, self._count)

    def has(self, keys: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of these keys are there."""
        if self._count == 0:
            return np.zeros(len(keys), np.bool_)
        return self._index.find((keys, keys), (self._kept, self._kept)) >= 0


def first_places(keys: Keys) -> NDArray[np.int64]:
    """For each key of a batch the index at which it first appears: int64[n]."""
    first, second = (np.ascontiguousarray(k, np.int64) for k in keys)
    slots = np.full(1 << max(6, int(2 * len(first) + 1).bit_length()), -1, np.int32)
    out = np.empty(len(first), np.int64)
    hashing.number_keys(first, second, slots, out)
    return out
