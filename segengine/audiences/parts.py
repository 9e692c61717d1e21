r"""How many characters has a text, in how many parts is it sent, and what does that cost?

A short message holds 70 characters; a longer text is sent in parts of 67, beside the header that
joins them. As `ucs2` counts, every character is one, whatever it is: a letter as well as an
ideograph or a picture. `utf16` differs in what lies beyond U+FFFF (most emoji), which take the
place of two, as they do on the air. `gsm7` counts septets: 160 alone, 153 in parts, two for a
character of the extension table (`^ { } [ ] ~ | \ €` and the form feed); a text with any other
character is counted as `ucs2`. A character of two is never torn between parts. A text without a
character is a message all the same: one part. (3GPP TS 23.038 and 23.040.)
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.audiences import parts_loops
from segengine.kernels import jit
from segengine.schema.text_settings import GSM7, UCS2, UTF16

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet of GSM, in its order, without the escape."""
EXTENSION = "\f^{}\\[~]|€"
"""What is written as an escape and a septet."""

_CODES = {GSM7: parts_loops.GSM7, UCS2: parts_loops.UCS2, UTF16: parts_loops.UTF16}


def _septets() -> NDArray[np.uint8]:
    found = np.zeros(1 + max(map(ord, BASIC + EXTENSION)), np.uint8)
    found[[ord(char) for char in BASIC]] = 1
    found[[ord(char) for char in EXTENSION]] = 2
    return found


_SEPTETS = _septets()


class Counted(NamedTuple):
    """What texts come to: int32[texts] each."""

    characters: NDArray[np.int32]
    parts: NDArray[np.int32]


def count_parts(texts: pa.Array, encoding: str) -> Counted:
    """The characters and parts of each text: large_string without nulls."""
    count = len(texts)
    found = Counted(np.empty(count, np.int32), np.empty(count, np.int32))
    if count == 0:
        return found
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int64, count + 1, 8 * texts.offset)
    is_empty = data is None or data.size == 0
    letters = np.empty(0, np.uint8) if is_empty else np.frombuffer(data, np.uint8)
    # Some buffers may be written and others not: the loop is compiled for one sort.
    places.flags.writeable = letters.flags.writeable = False

    def work(begin: int, end: int) -> None:
        parts_loops.count_parts(
            places[begin : end + 1], letters, _SEPTETS, _CODES[encoding],
            found.characters[begin:end], found.parts[begin:end],
        )  # fmt: skip

    jit.over_ranges(work, count)
    return found


def cost_of(parts: NDArray[Any], price: Decimal | None) -> pa.Array:
    """What so many parts cost each, exactly: decimal128[n]; null where no price is known."""
    digits = 0 if price is None else max(0, -int(price.as_tuple().exponent))
    kind = pa.decimal128(38, digits)
    if price is None:
        return pa.nulls(len(parts), kind)
    distinct, places = np.unique(parts, return_inverse=True)
    return pa.array([int(each) * price for each in distinct], kind).take(pa.array(places))
