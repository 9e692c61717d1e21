"""How are numbers by two words drawn? As cells that darken, with the number in each."""

from __future__ import annotations

import math

from segengine.reports.drawn import Drawn
from segengine.reports.reading import short
from segengine.reports.report import MONEY, SHARE
from segengine.reports.svg import (
    WIDTH,
    element,
    fitted,
    label,
    picture,
    shade,
    text_width,
    tooltip,
)

_GAP = 28.0
_SIDE_BY_SIDE = 290.0
"""The least width of a grid beside another."""


def grid(data: Drawn) -> str:
    """A grid for each column of values, side by side as far as there is room."""
    rows, columns, values = data.y[0], data.x, data.y[1:]
    beside = max(1, min(len(values), int((WIDTH + _GAP) / (_SIDE_BY_SIDE + _GAP))))
    if len(set(data.labels(columns))) > 8:
        beside = 1
    wide = (WIDTH - _GAP * (beside - 1)) / beside
    parts, bottom = [], 0.0
    for begin in range(0, len(values), beside):
        lowest = bottom
        for place, value in enumerate(values[begin : begin + beside]):
            drawn, height = _cells(data, rows, columns, value, wide, titled=len(values) > 1)
            at = f"translate({place * (wide + _GAP):.1f} {bottom:.1f})"
            parts.append(element("g", drawn, transform=at))
            lowest = max(lowest, bottom + height)
        bottom = lowest + 14
    return picture(bottom - 14, data.title, parts)


def triangle(data: Drawn) -> str:
    """One grid, whose cells without a value stay empty."""
    drawn, height = _cells(data, data.y[0], data.x, data.y[1], WIDTH, titled=False)
    return picture(height, data.title, [drawn])


def _cells(
    data: Drawn, rows: str, columns: str, value: str, wide: float, *, titled: bool
) -> tuple[str, float]:
    downs, acrosses = data.labels(rows), data.labels(columns)
    row_names, column_names = list(dict.fromkeys(downs)), list(dict.fromkeys(acrosses))
    numbers, unit = data.numbers(value), data.units[value]
    known = [n for n in numbers if n is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    left = min(160.0, max(text_width(t, 12) for t in row_names) + 12)
    step = (wide - left) / len(column_names)
    tall = min(40.0, max(20.0, step * 0.7))
    top = 38.0 if titled else 22.0
    parts = []
    if titled:
        parts.append(label(value, left, 13, class_="strong"))
    every = max(1, math.ceil((max(text_width(t, 11) for t in column_names) + 6) / step))
    for place, name in enumerate(column_names):
        if place % every == 0:
            middle = left + step * (place + 0.5)
            parts.append(label(name, middle, top - 6, text_anchor="middle", class_="small"))
    for place, name in enumerate(row_names):
        middle = top + tall * (place + 0.5) + 4
        parts.append(label(name, left - 8, middle, room=left - 10, text_anchor="end"))
    for row, number in enumerate(numbers):
        if number is None:
            continue
        x = left + step * column_names.index(acrosses[row])
        y = top + tall * row_names.index(downs[row])
        fill, ink = shade(_warmth(number, low, high))
        said = f"{rows} {downs[row]}, {columns} {acrosses[row]}: {data.said(value, row)}"
        parts.append(
            element("rect", tooltip(said), x=x + 1, y=y + 1, width=max(step - 2, 0.5),
                    height=tall - 2, rx=2, fill=fill)
        )  # fmt: skip
        inside = short(number, unit) if unit in (SHARE, MONEY) else data.beside(value, row)
        if text_width(inside, 12) > step - 8:
            inside = short(number, unit)
        size = 12.0 if text_width(inside, 12) <= step - 4 else 10.0
        if fitted(inside, step - 3, size) == inside:
            parts.append(
                element("text", inside, x=x + step / 2, y=y + tall / 2 + size / 3, fill=ink,
                        font_size=size, text_anchor="middle", class_="cell")
            )  # fmt: skip
    bottom = top + tall * len(row_names)
    parts.append(_scale(low, high, unit, wide, bottom + 8))
    parts.append(label(f"{rows} ↓  {columns} →", left, bottom + 20, class_="small faint"))
    return "".join(parts), bottom + 28


def _warmth(number: float, low: float, high: float) -> float:
    """Its place on the scale: by the square root from 0 up, so that small counts differ."""
    if _from_low(low, high):
        return (number - low) / (high - low) if high > low else 0.5
    return math.sqrt(number / high) if high > 0 else 0.0


def _from_low(low: float, high: float) -> bool:
    """Whether pale is the least value in place of 0: below 0, or where all are far above it."""
    return low < 0 or low > 0.25 * high


def _scale(low: float, high: float, unit: str, wide: float, y: float) -> str:
    """What pale and deep stand for."""
    begin = low if _from_low(low, high) else 0.0
    end_text = short(high, unit)
    right = wide - text_width(end_text, 11) - 12
    parts = [
        element("rect", x=right - 100 + 10 * k, y=y + 3, width=10, height=10, fill=shade(k / 9)[0])
        for k in range(10)
    ]
    parts.append(label(short(begin, unit), right - 105, y + 12, text_anchor="end", class_="small"))
    parts.append(label(end_text, right + 5, y + 12, class_="small"))
    return "".join(parts)
