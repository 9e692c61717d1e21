"""The slow twin of texts: templates filled in, parts counted and budgets spent, one by one.

Shares no code with the engine. Values are Python's: None, bool, int, float, Decimal, str, date,
aware datetime, list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
GSM_ONE = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà !\"#%&'()*+,-./0123456789:;<=>?"
    + _LETTERS
    + _LETTERS.upper()
)
GSM_TWO = set("\f^{}\\[~]|€")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_LONG_MONTHS = (
    "January February March April May June July August September October November December".split()
)


def parts_of(text: str, encoding: str) -> int:
    """In how many parts a text is sent: characters laid into parts, one after the other."""
    if encoding == "gsm7" and set(text) <= GSM_ONE | GSM_TWO:
        sizes, alone, joined = [2 if char in GSM_TWO else 1 for char in text], 160, 153
    elif encoding == "utf16":
        sizes, alone, joined = [len(char.encode("utf-16-le")) // 2 for char in text], 70, 67
    else:
        sizes, alone, joined = [1] * len(text), 70, 67
    if sum(sizes) <= alone:
        return 1
    laid = [0]
    for size in sizes:
        if laid[-1] + size > joined:
            laid.append(0)
        laid[-1] += size
    return len(laid)


def filled(
    template: str,
    values: Mapping[str, Any],
    *,
    timezone: str = "UTC",
    currency_decimals: int = 2,
    signature: str = "",
    at_end: bool = False,
) -> str:
    """The text of one buyer; `values` by the names of the fields."""

    def said(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        name, form, fallback = match["name"].strip(), match["form"], match["fallback"]
        form = None if form is None else form.strip()
        text = one(values[name], form, timezone, currency_decimals)
        return (fallback or "").strip() if text is None else text

    pattern = r"\{\{|\}\}|\{(?P<name>[^{}:|]*)(?::(?P<form>[^{}|]*))?(?:\|(?P<fallback>[^{}]*))?\}"
    text = re.sub(pattern, said, template)
    return text + signature if at_end else signature + text


def one(value: Any, form: str | None, timezone: str, currency_decimals: int) -> str | None:
    """A value as it is written; None for one that is missing or says nothing."""
    if value is None:
        return None
    if isinstance(value, str):
        cut = value if form is None else value[: int(form)].rstrip()
        return cut if cut.strip() else None
    if isinstance(value, list):
        items = [item for item in value if item is not None]
        return (", " if form is None else form).join(items) or None
    if isinstance(value, bool):
        assert form is not None
        yes, no = form.split("/")
        return yes.strip() if value else no.strip()
    if isinstance(value, date):
        return moment(value, form, timezone)
    return number(value, form or "", currency_decimals)


def number(value: int | float | Decimal, form: str, currency_decimals: int) -> str:
    """Whole numbers, amounts, and numbers with a fraction."""
    comma = "," if form.startswith(",") else ""
    if isinstance(value, int):
        return f"{value:{comma}}"
    fixed = "." in form
    digits = int(form[-1]) if fixed else 2 if isinstance(value, float) else currency_decimals
    exact = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if exact == 0:
        exact = abs(exact)
    text = f"{exact:{comma}.{digits}f}"
    if fixed or "." not in text:
        return text
    if isinstance(value, float):
        return text.rstrip("0").rstrip(".")
    whole, _, rest = text.partition(".")
    return text if rest.strip("0") else whole


def moment(value: date, form: str | None, timezone: str) -> str:
    """A date, or a moment by the store's clock."""
    hour = minute = 0
    default = "YYYY-MM-DD"
    if isinstance(value, datetime):
        value = value.astimezone(ZoneInfo(timezone))
        hour, minute, default = value.hour, value.minute, "YYYY-MM-DD HH:mm"
    said = {
        "YYYY": f"{value.year:04d}", "YY": f"{value.year % 100:02d}",
        "MMMM": _LONG_MONTHS[value.month - 1], "MMM": _MONTHS[value.month - 1],
        "MM": f"{value.month:02d}", "M": str(value.month),
        "DD": f"{value.day:02d}", "D": str(value.day),
        "HH": f"{hour:02d}", "H": str(hour), "mm": f"{minute:02d}",
    }  # fmt: skip
    return re.sub("|".join(said), lambda match: said[match[0]], form or default)


def within_budget(parts: Sequence[int], most: int) -> int:
    """How many of the first can be paid for before one cannot."""
    spent = 0
    for place, each in enumerate(parts):
        spent += each
        if spent > most:
            return place
    return len(parts)
