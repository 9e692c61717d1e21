"""In how many parts is a text sent?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import inlined, kernel

GSM7, UCS2, UTF16 = range(3)


@inlined
def _point_at(data: NDArray[np.uint8], at: np.int64) -> tuple[np.int64, np.int64]:
    """The code point of the UTF-8 sequence at a byte, and how many bytes it has."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, np.int64(1)
    second = np.int64(data[at + 1]) & 0x3F
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | second, np.int64(2)
    third = np.int64(data[at + 2]) & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | second << 6 | third, np.int64(3)
    fourth = np.int64(data[at + 3]) & 0x3F
    return (lead & 0x07) << 18 | second << 12 | third << 6 | fourth, np.int64(4)


@inlined
def _packed(
    data: NDArray[np.uint8],
    begin: np.int64,
    end: np.int64,
    septets: NDArray[np.uint8],
    encoding: int,
) -> tuple[np.int64, np.int64]:
    """Characters and parts of the text in bytes [begin, end); -1 parts: it is not GSM-7."""
    alone, joined = (160, 153) if encoding == GSM7 else (70, 67)
    characters = units = np.int64(0)
    parts, used = np.int64(1), np.int64(0)
    at = begin
    while at < end:
        point, size = _point_at(data, at)
        at += size
        width = np.int64(1)
        if encoding == GSM7:
            width = np.int64(septets[point]) if point < septets.shape[0] else np.int64(0)
            if width == 0:
                return characters, np.int64(-1)
        elif encoding == UTF16 and point > 0xFFFF:
            width = np.int64(2)
        characters += 1
        units += width
        # A character of two units is never torn: it begins the next part.
        if used + width > joined:
            parts += 1
            used = np.int64(0)
        used += width
    return characters, parts if units > alone else np.int64(1)


@kernel
def count_parts(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    septets: NDArray[np.uint8],
    encoding: int,
    characters: NDArray[np.int32],
    parts: NDArray[np.int32],
) -> None:
    """Write how many characters and parts each text has; no character at all is one part.

    offsets: int64[n + 1] into data: uint8[bytes], UTF-8
    septets: uint8[points], what GSM-7 takes for a code point, 0 for one outside it
    encoding: GSM7 (UCS2 for a text outside it), UCS2 or UTF16
    out: characters int32[n]  parts int32[n]
    """
    for index in range(offsets.shape[0] - 1):
        begin, end = offsets[index], offsets[index + 1]
        count, found = _packed(data, begin, end, septets, encoding)
        if found < 0:
            count, found = _packed(data, begin, end, septets, UCS2)
        characters[index] = count
        parts[index] = found
