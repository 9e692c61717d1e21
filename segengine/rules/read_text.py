"""What does a text say to a rule: a number, a pattern of LIKE?"""

from __future__ import annotations

import math
import re

from segengine.rules.block import NO_INT


def number_in(text: str | None) -> float | None:
    """The finite number that a text says; None where it says none."""
    try:
        found = float(text) if text is not None and "_" not in text else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def whole_number_in(text: str | None) -> int | None:
    """The whole number within 64 bits that a text says; None where it says none."""
    text = (text or "").strip()
    number = int(text) if re.fullmatch("[+-]?[0-9]{1,19}", text) else NO_INT
    return number if -(2**63) < number < 2**63 else None


def like_regex(pattern: str, escape: str) -> str:
    """A LIKE pattern as a regular expression over a whole text."""
    parts, index = [], 0
    while index < len(pattern):
        char = pattern[index]
        if escape and char == escape and index + 1 < len(pattern):
            index += 1
            parts.append(_plain(pattern[index]))
        elif char == "%":
            parts.append(".*")
        elif char == "_":
            parts.append(".")
        else:
            parts.append(_plain(char))
        index += 1
    return r"(?s)\A" + "".join(parts) + r"\z"


def _plain(char: str) -> str:
    """One character that means itself in a regular expression."""
    if char.isalnum() and char.isascii():
        return char
    return rf"\x{{{ord(char):x}}}"
