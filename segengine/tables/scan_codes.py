"""Here is a comparison: which rows does one byte a row already decide?

Each row has a code: 0 for missing, else the interval of an equal-depth partition that its
value falls into ("Column Sketches", SIGMOD 2018). A comparison is decided on codes; only rows in
an interval that the bounds cut through look at their value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import encode, jit

_EDGES = 254
_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class LongerCodes:
    """A copy of codes with room for more rows; its first `done` rows are those of the others.

    of: the codes it is a copy of  codes: uint8[capacity]
    """

    of: ScanCodes
    codes: NDArray[np.uint8]
    done: int


@dataclass(frozen=True, slots=True)
class CodesAhead:
    """The codes of values that have yet to be written, and what each code will have seen then.

    of: whose codes they will be  codes: uint8[n]  least, greatest: T[256]
    """

    of: ScanCodes
    codes: NDArray[np.uint8]
    least: NDArray[Any]
    greatest: NDArray[Any]


@dataclass(frozen=True, slots=True)
class CodeRange:
    """Codes [first, last] hold every hit; the rows of `edges` must be looked at one by one."""

    first: int
    last: int
    edges: tuple[int, ...]


class ScanCodes:
    """The codes of one numeric column, kept in step with it by its table.

    `least[c]` and `greatest[c]` bound what code c has ever held: they are only widened, so a
    code that lies between the bounds of a comparison is sure to hold hits alone. So are the
    bounds of the codes in each block of rows, by which a scan passes over whole blocks.
    """

    def __init__(
        self,
        values: NDArray[Any],
        missing: int | float,
        rows: int,
        kept: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._values, self._missing = values, values.dtype.type(missing)
        if kept is not None:
            # As `kept` gave them; the arrays are taken, not copied.
            self.rows = rows
            self._take(kept)
            return
        top = _top_of(values.dtype)
        self._edges = _edges_of(values[:rows], missing, top)
        self._least = np.full(256, top, values.dtype)
        self._greatest = np.full(256, -top if values.dtype.kind == "f" else missing, values.dtype)
        self.codes = np.zeros(len(values), np.uint8)
        self.block_least, self.block_greatest = _no_blocks(len(values))
        self._encode(rows)
        self.rows = rows
        sample = self.codes[: rows : max(1, rows // _SAMPLE)] if rows else self.codes[:0]
        counts = np.bincount(sample, minlength=256)
        self.shares = counts / max(1, len(sample))
        """The share of rows with each code, of a sample of those first coded: float64[256]."""
        self.tops = np.unique(self._edges).tolist()
        """The greatest value of each code but the last, ascending."""

    def _take(self, kept: Mapping[str, NDArray[Any]]) -> None:
        self.codes, self.shares = kept["codes"], kept["shares"]
        bounds = kept["bounds"]
        self._edges, self._least, self._greatest = np.split(
            bounds, (len(bounds) - 512, len(bounds) - 256)
        )
        self.block_least, self.block_greatest = np.split(kept["blocks"], 2)
        self.tops = np.unique(self._edges).tolist()

    def kept(self, capacity: int) -> dict[str, NDArray[Any]]:
        """What a snapshot keeps of them: `codes`, `bounds`, `blocks`, `shares`.

        codes: uint8[capacity]
        """
        blocks = (capacity >> encode.BLOCK_SHIFT) + 1
        return {
            "codes": self.codes[:capacity],
            "bounds": np.concatenate([self._edges, self._least, self._greatest]),
            "blocks": np.concatenate([self.block_least[:blocks], self.block_greatest[:blocks]]),
            "shares": self.shares,
        }

    def _encode(self, rows: int) -> None:
        def work(first: int, last: int) -> None:
            least, greatest = self._least.copy(), self._greatest.copy()
            encode.encode_values(
                self._values, self._missing, self._edges, first, last,
                least, greatest, self.block_least, self.block_greatest, self.codes,
            )  # fmt: skip
            merged.append((least, greatest))

        merged: list[tuple[NDArray[Any], NDArray[Any]]] = []
        jit.over_ranges(work, rows, align=1 << encode.BLOCK_SHIFT)
        for least, greatest in merged:
            np.minimum(self._least, least, out=self._least)
            np.maximum(self._greatest, greatest, out=self._greatest)

    def longer(self, capacity: int) -> LongerCodes:
        """A longer copy of the codes, for `follow`; scans may go on, and code rows meanwhile."""
        done, codes = self.rows, np.zeros(capacity, np.uint8)
        codes[:done] = self.codes[:done]
        return LongerCodes(self, codes, done)

    def follow(self, values: NDArray[Any], rows: int, longer: LongerCodes | None = None) -> None:
        """The column has grown and moved: take the new array; `catch_up` codes the new rows.

        longer: a copy as long as the values, made before, while nothing but scans coded rows.
        """
        if longer is None or longer.of is not self or len(longer.codes) != len(values):
            longer = LongerCodes(self, np.zeros(len(values), np.uint8), 0)
        codes, rows = longer.codes, min(rows, len(self.codes))
        codes[longer.done : rows] = self.codes[longer.done : rows]
        least, greatest = _no_blocks(len(values))
        least[: len(self.block_least)] = self.block_least
        greatest[: len(self.block_greatest)] = self.block_greatest
        self._values, self.codes = values, codes
        self.block_least, self.block_greatest = least, greatest

    def catch_up(self, rows: int) -> None:
        """Code the rows that came since, also those that hold nothing but their default."""
        self.touch(np.arange(self.rows, rows, dtype=np.int64))
        self.rows = rows

    def touch(self, rows: NDArray[np.int64]) -> None:
        """The values of these rows have changed."""
        encode.encode_rows(
            self._values, self._missing, self._edges, rows,
            self._least, self._greatest, self.block_least, self.block_greatest, self.codes,
        )  # fmt: skip

    def ahead(self, values: NDArray[Any]) -> CodesAhead:
        """The codes that rows will have once they take these values: for `put`."""
        least, greatest = self._least.copy(), self._greatest.copy()
        codes = np.empty(len(values), np.uint8)
        encode.codes_of(values, self._missing, self._edges, least, greatest, codes)
        return CodesAhead(self, codes, least, greatest)

    def put(self, rows: NDArray[np.int64], ahead: CodesAhead) -> None:
        """These rows have taken the values that their codes were found for."""
        np.minimum(self._least, ahead.least, out=self._least)
        np.maximum(self._greatest, ahead.greatest, out=self._greatest)
        encode.put_codes(rows, ahead.codes, self.block_least, self.block_greatest, self.codes)

    def between(self, low: Any, high: Any) -> CodeRange | None:
        """The codes that low <= value <= high concerns; None when no row can hit."""
        least, greatest = self._least[1:], self._greatest[1:]
        seen = least <= greatest
        maybe = np.flatnonzero(seen & (greatest >= low) & (least <= high))
        if len(maybe) == 0:
            return None
        first, last = int(maybe[0]), int(maybe[-1])
        cut = sorted({c for c in (first, last) if least[c] < low or greatest[c] > high})
        return CodeRange(first + 1, last + 1, tuple(c + 1 for c in cut))

    def bounds(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The least and greatest value each code may hold: T[256] each; disjoint, ascending."""
        return self._least, self._greatest

    def extent(self) -> tuple[int, int] | None:
        """Bounds of every value there has been, where they are whole numbers; None for none."""
        least, greatest = self._least[1:], self._greatest[1:]
        seen = least <= greatest
        if least.dtype.kind == "f" or not seen.any():
            return None
        return int(least[seen].min()), int(greatest[seen].max())

    def single_values(self) -> NDArray[Any] | None:
        """The value of each code from 1 on, where none has had two; else None."""
        least, greatest = self._least[1:], self._greatest[1:]
        seen = least <= greatest
        if not bool(np.all(least[seen] == greatest[seen])):
            return None
        return least[: int(np.flatnonzero(seen).max(initial=-1)) + 1]

    def among(
        self, lows: NDArray[Any], highs: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The codes all of whose values lie in one of these ranges, and those where some may.

        lows, highs: T[ranges], ascending and disjoint; both results ascending
        """
        least, greatest = self._least[1:], self._greatest[1:]
        seen = least <= greatest
        # Only the last range that begins at or below the least value may hold all of a code.
        place = np.searchsorted(lows, least, side="right") - 1
        whole = seen & (place >= 0) & (greatest <= highs[np.maximum(place, 0)])
        first = np.searchsorted(highs, least, side="left")
        some = seen & (first < len(lows)) & (lows[np.minimum(first, len(lows) - 1)] <= greatest)
        return np.flatnonzero(whole) + 1, np.flatnonzero(some & ~whole) + 1

    def nbytes(self) -> int:
        """One byte a row of capacity, and the bounds."""
        return int(self.codes.nbytes + 3 * self._edges.nbytes)


def _no_blocks(rows: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bounds of the codes in each block of rows, of which none has been seen."""
    blocks = (rows >> encode.BLOCK_SHIFT) + 1
    return np.full(blocks, 255, np.uint8), np.zeros(blocks, np.uint8)


def _top_of(dtype: np.dtype[Any]) -> Any:
    return dtype.type(np.inf) if dtype.kind == "f" else dtype.type(np.iinfo(dtype).max)


def _edges_of(values: NDArray[Any], missing: int | float, top: Any) -> NDArray[Any]:
    """255 ascending edges: equal-depth quantiles of an even sample, or all values if few."""
    step = max(1, len(values) // _SAMPLE)
    sample = values[::step]
    known = ~np.isnan(sample) if values.dtype.kind == "f" else sample != missing
    ordered = np.sort(sample[known])
    edges = np.full(_EDGES + 1, top, values.dtype)
    distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
    if len(distinct) > _EDGES:
        places = (np.arange(1, _EDGES + 1) * len(ordered)) // (_EDGES + 1)
        picked = ordered[places]
        distinct = picked[np.append(True, picked[1:] != picked[:-1])]
    edges[: len(distinct)] = distinct
    return edges
