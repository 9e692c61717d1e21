"""How is a field of bytes written on the wire? Its number and kind, how many bytes, the bytes.

For messages whose bytes are there already: protobuf would copy them twice.
"""

from __future__ import annotations

_BYTES = 2


def bytes_field(number: int, data: bytes) -> bytes:
    """`data` as field `number` of a message; a message with that field alone, if it stands alone.

    number: 1 to 15, whose key is one byte.
    """
    return b"".join((bytes((number << 3 | _BYTES,)), _varint(len(data)), data))


def _varint(number: int) -> bytes:
    """Seven bits a byte, the low ones first; the high bit says that more follow."""
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
