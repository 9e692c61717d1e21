"""Into which bucket does this buyer fall, and which variant is that?

The hashing and the choice of variants that the GrowthBook SDKs publish (FNV-1a, 32 bits), so
that a storefront's own SDK puts a buyer where we do. Ids are hashed as their decimal text, or
their text.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import bits, hashing, jit
from segengine.schema.kinds import Kind
from segengine.tables.customers import CustomerTable

BUCKETS = 10_000
_KEPT_SALTS = 64
_KEPT_BITMAPS = 512
Words = NDArray[np.uint64]


def fnv1a(text: str) -> int:
    """The 32-bit FNV-1a hash of a text's UTF-8 bytes."""
    found = 0x811C9DC5
    for byte in text.encode(errors="surrogatepass"):
        found = ((found ^ byte) * 0x01000193) & 0xFFFFFFFF
    return found


def hash_share(seed: str, value: str, version: int) -> float | None:
    """A share in [0, 1) for a value under a seed; None: there is no such hash version."""
    if version == 2:
        return fnv1a(str(fnv1a(seed + value))) % BUCKETS / BUCKETS
    if version == 1:
        return fnv1a(value + seed) % 1000 / 1000
    return None


def bucket_of(salt: str, customer_id: int | str) -> int:
    """The bucket, 0 to 9,999, of one id."""
    return fnv1a(str(fnv1a(salt + str(customer_id)))) % BUCKETS


def equal_weights(count: int) -> list[float]:
    """The same weight for each of `count` variants."""
    return [1 / count] * count if count > 0 else []


def bucket_ranges(
    count: int, coverage: float, weights: Sequence[float] | None
) -> list[tuple[float, float]]:
    """The share range of each variant; weights that do not add up to 1 give equal ones."""
    coverage = min(1.0, max(0.0, coverage))
    found = list(weights) if weights is not None else equal_weights(count)
    if len(found) != count or not 0.99 <= sum(found) <= 1.01:
        found = equal_weights(count)
    ranges, start = [], 0.0
    for weight in found:
        ranges.append((start, start + coverage * weight))
        start += weight
    return ranges


def choose_variation(share: float, ranges: Sequence[tuple[float, float]]) -> int:
    """The first range that holds a share, -1 for none."""
    return next((i for i, (low, high) in enumerate(ranges) if low <= share < high), -1)


def in_namespace(user: str, namespace: tuple[str, float, float]) -> bool:
    """Whether a user falls into the part of a namespace."""
    name, low, high = namespace
    share = hash_share("__" + name, user, 1)
    return share is not None and low <= share < high


def variant_table(weights: Sequence[float]) -> NDArray[np.int16]:
    """The variant of each bucket: int16[10,000]; the last takes what rounding leaves over."""
    return _variant_table(tuple(weights))


@lru_cache(maxsize=256)
def _variant_table(weights: tuple[float, ...]) -> NDArray[np.int16]:
    ranges = bucket_ranges(len(weights), 1.0, weights)
    chosen = [choose_variation(bucket / BUCKETS, ranges) for bucket in range(BUCKETS)]
    return np.array([c if c >= 0 else len(weights) - 1 for c in chosen], np.int16)


@lru_cache(maxsize=256)
def share_limit(share: float) -> int:
    """How many buckets are below a share: bucket / 10,000 < share."""
    return sum(1 for bucket in range(BUCKETS) if bucket / BUCKETS < share)


class Hashed:
    """Those of whom it is known whether they are below a limit.

    known, below: uint64[words], below: those of them who are
    """

    def __init__(self) -> None:
        self.known: Words = np.empty(0, np.uint64)
        self.below: Words = np.empty(0, np.uint64)

    def missing(self, among: Words) -> NDArray[np.int64]:
        """The rows of a bitmap of whom it is not known yet, ascending."""
        more = len(among) - len(self.known)
        if more > 0:
            self.known, self.below = (
                np.concatenate([each, np.zeros(more, np.uint64)])
                for each in (self.known, self.below)
            )
        new = among & ~self.known[: len(among)]
        rows = np.empty(int(bits.count_bits(new)), np.int64)
        bits.rows_of(new, rows)
        return rows

    def take(self, rows: NDArray[np.int64], below: NDArray[np.int64]) -> None:
        """It is known of these rows; those that are below."""
        bits.set_rows(rows, self.known)
        bits.set_rows(below, self.below)


class Buckets:
    """The buckets of all buyers under the salts in use, each computed once and kept."""

    def __init__(self, customers: CustomerTable) -> None:
        self._customers = customers
        self._kept: OrderedDict[str, NDArray[np.int16]] = OrderedDict()
        self._partly: OrderedDict[tuple[str, int], Hashed] = OrderedDict()
        self._lock = threading.Lock()
        self._bitmaps: OrderedDict[tuple[str, int, int], tuple[int, Words]] = OrderedDict()

    def of(self, salt: str) -> NDArray[np.int16]:
        """The bucket of each row under a salt: int16[rows]."""
        rows = self._customers.rows
        found = self._kept.get(salt)
        done = 0 if found is None else len(found)
        if found is None or done < rows:
            more = np.empty(rows - done, np.int16)
            self._fill(salt, done, more)
            found = more if found is None else np.concatenate([found, more])
            self._kept[salt] = found
            if len(self._kept) > _KEPT_SALTS:
                self._kept.popitem(last=False)
        return found[:rows]

    def below(self, salt: str, share: float, among: Words | None = None) -> Words:
        """The buyers whose bucket is below a share: uint64[words], nobody is among them or not.

        Kept, and continued as buyers come. Nothing that was given away is written again. Where few
        are asked `among`, only those are hashed who were not before, and others are left out.
        """
        limit = share_limit(share)
        rows = self._customers.rows
        is_whole = salt in self._kept or (salt, 0, limit) in self._bitmaps
        if among is None or is_whole or 4 * int(bits.count_bits(among)) >= rows:
            return self._within(salt, 0, limit)
        with self._lock:
            hashed = self._partly.pop((salt, limit), None) or Hashed()
            self._partly[salt, limit] = hashed
            if len(self._partly) > _KEPT_BITMAPS:
                self._partly.popitem(last=False)
            new = hashed.missing(among)
            if len(new):
                hashed.take(new, new[self.of_rows(salt, new) < limit])
            return hashed.below[: len(among)] & among

    def arm_sizes(self, salt: str, weights: Sequence[float], words: Words) -> list[int]:
        """How many rows of a bitmap fall into each variant."""
        return [int(bits.count_bits(each)) for each in self.arm_bitmaps(salt, weights, words)]

    def arm_bitmaps(self, salt: str, weights: Sequence[float], words: Words) -> list[Words]:
        """The rows of a bitmap that fall into each variant."""
        table = variant_table(weights)
        firsts = np.searchsorted(table, np.arange(len(weights) + 1))
        return [
            words & self._within(salt, int(first), int(last))[: len(words)]
            for first, last in pairwise(firsts)
        ]

    def arms(
        self, salt: str, weights: Sequence[float], rows: NDArray[np.int64]
    ) -> NDArray[np.int16] | None:
        """The variant of each of some rows: int16[n]; None where there are none."""
        if not weights:
            return None
        # Few are hashed at less than the cost of everybody, who are then kept.
        few = len(rows) * 4 < self._customers.rows
        return variant_table(weights)[self.of_rows(salt, rows) if few else self.of(salt)[rows]]

    def _within(self, salt: str, first: int, last: int) -> Words:
        """The rows whose bucket is in [first, last)."""
        rows = self._customers.rows
        key = (salt, first, last)
        done, found = self._bitmaps.get(key, (0, np.empty(0, np.uint64)))
        if done < rows or not len(found):
            begin = done // 64
            buckets = self.of(salt)[64 * begin :]
            inside = np.zeros(-(-len(buckets) // 64) * 64, np.bool_)
            # One comparison for both bounds: what is below the first wraps around.
            span = buckets.view(np.uint16) - np.uint16(first)
            np.less(span, np.uint16(last - first), out=inside[: len(buckets)])
            more = np.packbits(inside, bitorder="little").view(np.uint64)
            found = np.concatenate([found[:begin], more])
            self._bitmaps[key] = (rows, found)
            if len(self._bitmaps) > _KEPT_BITMAPS:
                self._bitmaps.popitem(last=False)
        return found[: (rows + 63) // 64]

    def of_rows(self, salt: str, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """The bucket of some rows under a salt, for those who ask once: int16[rows]."""
        kept = self._kept.get(salt)
        if kept is not None and len(kept) >= self._customers.rows:
            return kept[rows]
        found = np.empty(len(rows), np.int16)
        self._hash(salt, self._customers.columns["customer_id"].values[rows], found)
        return found

    def _fill(self, salt: str, begin: int, out: NDArray[np.int16]) -> None:
        ids = self._customers.columns["customer_id"].values[begin : begin + len(out)]
        self._hash(salt, ids, out)

    def _hash(self, salt: str, ids: NDArray[Any], out: NDArray[np.int16]) -> None:
        seed = np.frombuffer(salt.encode(), np.uint8)
        column = self._customers.columns["customer_id"]
        if column.kind is Kind.BIGINT:

            def work(first: int, last: int) -> None:
                hashing.bucket_numbers(seed, ids[first:last], out[first:last])

        else:
            assert column.dictionary is not None
            offsets, data = column.dictionary.arrays()
            # Nobody has no id: any text does, since nobody is never addressed.
            codes = np.maximum(ids, 0)
            if len(offsets) == 1:
                out[:] = 0
                return

            def work(first: int, last: int) -> None:
                hashing.bucket_texts(seed, offsets, data, codes[first:last], out[first:last])

        jit.over_ranges(work, len(out))

    def shares(self, salt: str, begin: int, end: int) -> NDArray[np.float64]:
        """The share in [0, 1) of rows [begin, end) under a salt, as `bucket('salt')` in a rule."""
        return self.of(salt)[begin:end] / BUCKETS

    def nbytes(self) -> int:
        """Bytes of all kept buckets."""
        buckets = sum(int(each.nbytes) for each in self._kept.values())
        partly = sum(int(h.known.nbytes + h.below.nbytes) for h in self._partly.values())
        return buckets + partly + sum(int(words.nbytes) for _, words in self._bitmaps.values())


class FewBuckets(Buckets):
    """The same for somebody who asks of few buyers at a time: nothing is kept of the others."""

    def shares(self, salt: str, begin: int, end: int) -> NDArray[np.float64]:
        """As `Buckets.shares`, of these rows alone."""
        return self.of_rows(salt, np.arange(begin, end, dtype=np.int64)) / BUCKETS
