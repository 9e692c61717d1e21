"""Where does this key stand, and into which bucket does this id fall?

Key tables are open-addressed: `slots` holds places, -1 is free, its length is a power of two;
the keys themselves stay in the columns. Buckets are FNV-1a as the GrowthBook SDKs publish it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import brief_kernel, inlined, kernel

_FNV_BASIS = np.uint32(0x811C9DC5)
_FNV_PRIME = np.uint32(0x01000193)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_MIX_3 = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _mixed(first: np.int64, second: np.int64) -> np.uint64:
    """A well spread 64-bit hash of two integers (the finaliser of MurmurHash3)."""
    h = np.uint64(np.int64(first)) + np.uint64(np.int64(second)) * _MIX_3
    h ^= h >> np.uint64(33)
    h *= _MIX_1
    h ^= h >> np.uint64(33)
    h *= _MIX_2
    h ^= h >> np.uint64(33)
    return h


@kernel
def find_keys(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    kept_first: Any,
    kept_second: Any,
    slots: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """The place of each key (first, second), -1 for a new one.

    first, second: int64[n]  kept_*: T[places], int64 or int32  slots: int32[2^k]
    out: int64[n]
    """
    mask = np.uint64(slots.shape[0] - 1)
    for index in range(first.shape[0]):
        a, b = first[index], second[index]
        at = _mixed(a, b) & mask
        out[index] = -1
        while True:
            place = slots[at]
            if place < 0:
                break
            if kept_first[place] == a and kept_second[place] == b:
                out[index] = place
                break
            at = (at + np.uint64(1)) & mask


@brief_kernel
def find_key(a: int, b: int, kept_first: Any, kept_second: Any, slots: NDArray[np.int32]) -> int:
    """The place of one key (a, b), -1 for a new one; shapes as in `find_keys`."""
    mask = np.uint64(slots.shape[0] - 1)
    at = _mixed(np.int64(a), np.int64(b)) & mask
    while slots[at] >= 0:
        place = slots[at]
        if kept_first[place] == a and kept_second[place] == b:
            return int(place)
        at = (at + np.uint64(1)) & mask
    return -1


@kernel
def add_places(
    kept_first: Any,
    kept_second: Any,
    missing_first: Any,
    missing_second: Any,
    begin: int,
    end: int,
    slots: NDArray[np.int32],
) -> None:
    """Enter the places [begin, end), whose keys are not in the table yet or missing.

    kept_*: T[places], int64 or int32  slots: int32[2^k]
    """
    mask = np.uint64(slots.shape[0] - 1)
    for place in range(begin, end):
        if kept_first[place] == missing_first or kept_second[place] == missing_second:
            continue
        at = _mixed(kept_first[place], kept_second[place]) & mask
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = place


@kernel
def number_keys(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    slots: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """The index at which each key first appears in this batch.

    first, second: int64[n]  slots: int32[2^k], all -1, larger than n  out: int64[n]
    """
    mask = np.uint64(slots.shape[0] - 1)
    for index in range(first.shape[0]):
        a, b = first[index], second[index]
        at = _mixed(a, b) & mask
        while True:
            place = slots[at]
            if place < 0:
                slots[at] = index
                out[index] = index
                break
            if first[place] == a and second[place] == b:
                out[index] = place
                break
            at = (at + np.uint64(1)) & mask


@inlined
def _text_hash(data: NDArray[np.uint8], begin: np.int64, end: np.int64) -> np.uint64:
    """FNV-1a over bytes, 64 bits, finished by a mix."""
    h = np.uint64(0xCBF29CE484222325)
    for at in range(begin, end):
        h ^= np.uint64(data[at])
        h *= np.uint64(0x100000001B3)
    return _mixed(np.int64(h), np.int64(0))


@kernel
def encode_texts(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    kept_offsets: NDArray[np.int64],
    kept_data: NDArray[np.uint8],
    kept: int,
    slots: NDArray[np.int32],
    out: NDArray[np.int32],
) -> int:
    """The code of each text; new ones are appended. Returns how many texts are kept now.

    offsets: int64[n + 1] into data  kept_offsets: int64[>= kept + n + 1]
    kept_data: uint8[room for all of data]  slots: int32[2^k]  out: int32[n]
    """
    mask = np.uint64(slots.shape[0] - 1)
    for index in range(offsets.shape[0] - 1):
        begin, end = offsets[index], offsets[index + 1]
        size = end - begin
        at = _text_hash(data, begin, end) & mask
        while True:
            code = slots[at]
            if code < 0:
                start = kept_offsets[kept]
                for byte in range(size):
                    kept_data[start + byte] = data[begin + byte]
                kept_offsets[kept + 1] = start + size
                slots[at] = kept
                out[index] = kept
                kept += 1
                break
            start = kept_offsets[code]
            if kept_offsets[code + 1] - start == size:
                same = True
                for byte in range(size):
                    if kept_data[start + byte] != data[begin + byte]:
                        same = False
                        break
                if same:
                    out[index] = code
                    break
            at = (at + np.uint64(1)) & mask
    return kept


@kernel
def find_texts(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    kept_offsets: NDArray[np.int64],
    kept_data: NDArray[np.uint8],
    slots: NDArray[np.int32],
    out: NDArray[np.int32],
) -> None:
    """The code of each text, -1 for one that is not kept. Shapes as in `encode_texts`.

    A place in `slots` that has no offset yet is passed over: another process is adding it.
    """
    mask = np.uint64(slots.shape[0] - 1)
    kept = kept_offsets.shape[0] - 1
    for index in range(offsets.shape[0] - 1):
        begin, end = offsets[index], offsets[index + 1]
        size = end - begin
        at = _text_hash(data, begin, end) & mask
        out[index] = -1
        while True:
            code = slots[at]
            if code < 0:
                break
            start = kept_offsets[code] if code < kept else 0
            if code < kept and kept_offsets[code + 1] - start == size:
                same = True
                for byte in range(size):
                    if kept_data[start + byte] != data[begin + byte]:
                        same = False
                        break
                if same:
                    out[index] = code
                    break
            at = (at + np.uint64(1)) & mask


@kernel
def place_texts(
    kept_offsets: NDArray[np.int64],
    kept_data: NDArray[np.uint8],
    kept: int,
    slots: NDArray[np.int32],
) -> None:
    """Enter all kept texts into an empty table, after it has grown."""
    mask = np.uint64(slots.shape[0] - 1)
    for code in range(kept):
        at = _text_hash(kept_data, kept_offsets[code], kept_offsets[code + 1]) & mask
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = code


@inlined
def _fnv(state: np.uint32, byte: np.uint32) -> np.uint32:
    return np.uint32((state ^ byte) * _FNV_PRIME)


@inlined
def _fnv_five(state: np.uint32, number: np.uint64) -> np.uint32:
    """Go on with five decimal digits of a number below 100,000, the first first.

    It is taken as a fraction of 2^32, whose digits come off by multiplying with ten: no division,
    nothing kept. What rounding up adds, at most 2.8e8, is below 2^32 still at the last digit.
    """
    part = number * np.uint64(429_497)
    for _ in range(5):
        state = _fnv(state, np.uint32(part >> np.uint64(32)) + np.uint32(48))
        part = (part & np.uint64(0xFFFFFFFF)) * np.uint64(10)
    return state


@inlined
def _fnv_up_to_five(state: np.uint32, number: np.uint64) -> np.uint32:
    """As `_fnv_five`, without zeros in front; the number is above 0."""
    part = number * np.uint64(429_497)
    left = 5
    while part >> np.uint64(32) == 0:
        part *= np.uint64(10)
        left -= 1
    for _ in range(left):
        state = _fnv(state, np.uint32(part >> np.uint64(32)) + np.uint32(48))
        part = (part & np.uint64(0xFFFFFFFF)) * np.uint64(10)
    return state


@inlined
def _fnv_number(state: np.uint32, number: np.uint64, digits: NDArray[np.uint8]) -> np.uint32:
    """Go on with the decimal text of a number."""
    if number == 0:
        return _fnv(state, np.uint32(48))
    if number < np.uint64(10_000_000_000):
        high = number // np.uint64(100_000)
        low = number - high * np.uint64(100_000)
        if high == 0:
            return _fnv_up_to_five(state, low)
        return _fnv_five(_fnv_up_to_five(state, high), low)
    count = 0
    while True:
        digits[count] = np.uint8(number % np.uint64(10)) + np.uint8(48)
        number //= np.uint64(10)
        count += 1
        if number == 0:
            break
    for at in range(count - 1, -1, -1):
        state = _fnv(state, np.uint32(digits[at]))
    return state


@kernel
def bucket_numbers(seed: NDArray[np.uint8], ids: NDArray[np.int64], out: NDArray[np.int16]) -> None:
    """The bucket, 0 to 9,999, of each id's decimal text (hash version 2).

    seed: uint8[bytes]  ids: int64[n]  out: int16[n]
    """
    digits = np.empty(20, np.uint8)
    start = _FNV_BASIS
    for at in range(seed.shape[0]):
        start = _fnv(start, np.uint32(seed[at]))
    for index in range(ids.shape[0]):
        value = ids[index]
        state = start
        if value < 0:
            state = _fnv(state, np.uint32(45))
            magnitude = np.uint64(-(value + 1)) + np.uint64(1)
        else:
            magnitude = np.uint64(value)
        inner = _fnv_number(state, magnitude, digits)
        outer = _fnv_number(_FNV_BASIS, np.uint64(inner), digits)
        out[index] = np.int16(outer % np.uint32(10_000))


@kernel
def bucket_texts(
    seed: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    codes: NDArray[np.int32],
    out: NDArray[np.int16],
) -> None:
    """As `bucket_numbers`, of ids that are the texts with these codes.

    offsets: int64[texts + 1] into data: uint8[bytes]  codes: int32[n]  out: int16[n]
    """
    digits = np.empty(20, np.uint8)
    start = _FNV_BASIS
    for at in range(seed.shape[0]):
        start = _fnv(start, np.uint32(seed[at]))
    for index in range(codes.shape[0]):
        state = start
        code = codes[index]
        for at in range(offsets[code], offsets[code + 1]):
            state = _fnv(state, np.uint32(data[at]))
        outer = _fnv_number(_FNV_BASIS, np.uint64(state), digits)
        out[index] = np.int16(outer % np.uint32(10_000))


@kernel
def hash_numbers(ids: NDArray[np.int64], out: NDArray[np.uint64]) -> None:
    """A well spread hash of each id, no two alike.  ids: int64[n]  out: uint64[n]"""
    for index in range(ids.shape[0]):
        out[index] = _mixed(ids[index], np.int64(0))


@kernel
def hash_texts(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    codes: NDArray[np.int32],
    out: NDArray[np.uint64],
) -> None:
    """As `hash_numbers`, of ids that are the texts with these codes; two may be alike.

    offsets: int64[texts + 1] into data: uint8[bytes]  codes: int32[n]  out: uint64[n]
    """
    for index in range(codes.shape[0]):
        code = codes[index]
        out[index] = _text_hash(data, offsets[code], offsets[code + 1])


@inlined
def bucket_after(
    state: np.uint32, text: NDArray[np.uint8], size: int, digits: NDArray[np.uint8]
) -> np.int64:
    """The bucket, 0 to 9,999, of a text after a salt whose FNV-1a state is given.

    text: uint8[size at least]  digits: uint8[20], written over
    """
    for at in range(size):
        state = _fnv(state, np.uint32(text[at]))
    return np.int64(_fnv_number(_FNV_BASIS, np.uint64(state), digits) % np.uint32(10_000))
