"""What is a picture made of? SVG elements as text, colours, and the ticks of an axis.

Colours come from the style of the page (`html.py`), so that a picture follows light, dark and
paper. Series differ in colour and, for lines, in dashes: the eight colours are Okabe and Ito's,
told apart by readers who are blind to red or green.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 960
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#B8A800")
DASHES = ("", "7 4", "2 3", "10 3 2 3", "4 2", "1 4", "12 4", "6 2 2 2")
PALE, DEEP = (232, 241, 248), (8, 64, 110)
"""The ends of the scale of a grid: one hue that darkens, which everybody sees."""


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """One element; `content` is markup already. `text_anchor` is written `text-anchor`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_said(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def label(text: str, x: float, y: float, *, room: float = 0, **attributes: object) -> str:
    """A text, shortened to `room` pixels where it is given; its whole then is its tooltip."""
    size = 12.0 if attributes.get("class_") != "small" else 11.0
    shown = fitted(text, room, size) if room else text
    whole = tooltip(text) if shown != text else ""
    return element("text", escape(shown) + whole, x=x, y=y, **attributes)


def tooltip(text: str) -> str:
    """What is shown when a pointer rests on the element that this stands in."""
    return element("title", escape(text))


def picture(height: float, title: str, parts: Iterable[str]) -> str:
    """A whole picture, `WIDTH` wide, that narrows with the page."""
    return element(
        "svg", tooltip(title) + "".join(parts), xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {math.ceil(height)}", role="img", aria_label=title,
    )  # fmt: skip


def legend(names: Sequence[str], y: float, *, lines: bool = False, left: float = 0) -> str:
    """Which colour is whose, in one row, or in several where they do not fit."""
    parts, x = [], left
    for place, name in enumerate(names):
        wide = 30 + text_width(name, 12)
        if x + wide > WIDTH and x > left:
            x, y = left, y + 18
        colour = SERIES[place % len(SERIES)]
        if lines:
            parts.append(
                element("line", x1=x, x2=x + 20, y1=y - 4, y2=y - 4, stroke=colour, stroke_width=3,
                        stroke_dasharray=DASHES[place % len(DASHES)] or None)
            )  # fmt: skip
        else:
            parts.append(element("rect", x=x, y=y - 10, width=12, height=12, fill=colour))
        parts.append(label(name, x + (25 if lines else 17), y))
        x += wide + (14 if not lines else 20)
    return "".join(parts)


def legend_height(names: Sequence[str], *, left: float = 0) -> float:
    """The height that `legend` takes; lines and boxes take the same."""
    rows, x = 1, left
    for name in names:
        wide = 30 + text_width(name, 12)
        if x + wide > WIDTH and x > left:
            rows, x = rows + 1, left
        x += wide + 20
    return 18.0 * rows + 6


def shade(part: float) -> tuple[str, str]:
    """The colour of a cell, and of the ink on it; part: from 0, pale, to 1, deep."""
    warm = min(max(part, 0.0), 1.0)
    red, green, blue = (round(p + (d - p) * warm) for p, d in zip(PALE, DEEP, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}", "#ffffff" if warm > 0.5 else "#10202e"


def ink_on(colour: str) -> str:
    """The ink that is read on a colour such as `#0072B2`: black, or white where that is darker."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    # Contrast with white is above that with black under this luminance.
    return "#ffffff" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.179 else "#000000"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at or under `low` to at or over `high`, about so many."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def text_width(text: str, size: float) -> float:
    """About how wide a text is: a Chinese character is as wide as it is high."""
    wide = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.56 for c in text)
    return wide * size


def fitted(text: str, room: float, size: float) -> str:
    """A text that fits, shortened by `…` where it must be."""
    if text_width(text, size) <= room:
        return text
    shown = text
    while shown and text_width(shown + "…", size) > room:
        shown = shown[:-1]
    return shown + "…" if shown else ""


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
