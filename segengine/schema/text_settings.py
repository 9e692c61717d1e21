"""How are the texts of campaigns signed, counted and billed?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from segengine.schema.config_reader import Reader, finite_number, one_of, text
from segengine.schema.identifiers import is_text

UCS2, UTF16, GSM7 = "ucs2", "utf16", "gsm7"
ENCODINGS = (UCS2, UTF16, GSM7)
START, END = "start", "end"
PRICE_DIGITS = 6
"""Decimals of a price, at most."""
PRICE_BELOW = 1_000_000


@dataclass(frozen=True, slots=True)
class TextSettings:
    """The signature that every text carries, how parts are counted, and what one costs.

    signature_at: `start` or `end`; nothing stands between text and signature.
    price_per_part: in the store's currency; None: what texts cost is not known.
    """

    signature: str = ""
    signature_at: str = START
    encoding: str = UCS2
    price_per_part: Decimal | None = None


def read_text_settings(reader: Reader, raw: object) -> TextSettings:
    """The section `[text]`."""
    section = reader.section(raw, "text")
    signature = reader.take(section, "text.signature", _signature, "")
    at = reader.take(section, "text.signature_at", one_of(START, END), START)
    encoding = reader.take(section, "text.encoding", one_of(*ENCODINGS), UCS2)
    price = reader.take(section, "text.price_per_part", _price, None)
    known = ["signature", "signature_at", "encoding", "price_per_part"]
    reader.nothing_left(section, "text", known)
    return TextSettings(signature, at, encoding, price)


def _signature(value: Any) -> str:
    found = text(value)
    if not is_text(found):
        raise ValueError("must be text that can be written as UTF-8")
    return found


def _price(value: Any) -> Decimal:
    price = Decimal(str(finite_number(value)))
    if not 0 < price < PRICE_BELOW or price != round(price, PRICE_DIGITS):
        raise ValueError(
            f"must be a price above 0 and below {PRICE_BELOW:,} with at most {PRICE_DIGITS} "
            f"decimals, not `{value}`; leave it out where parts cost nothing"
        )
    return price
