"""How are numbers beside each other drawn? As bars, or as the parts of whole bars."""

from __future__ import annotations

import re

from segengine.reports.drawn import Drawn
from segengine.reports.reading import short
from segengine.reports.svg import (
    SERIES,
    WIDTH,
    element,
    ink_on,
    label,
    legend,
    legend_height,
    picture,
    text_width,
    ticks,
    tooltip,
)

MOST_ROWS = 60
"""Bars that lie down: more than these are a table's work."""
_ORDERED = re.compile(r"-?\d+(\.\d+)?|\d{4}-\d\d(-\d\d)?.*|\d{4}-[QW]\d+")


def bars(data: Drawn) -> str:
    """Upright where x counts or is time, else lying down, so that words can be read."""
    labels = data.labels(data.x)
    upright = all(_ORDERED.fullmatch(text) for text in labels) and len(labels) > 1
    return _upright(data, labels) if upright else _lying(data, labels[:MOST_ROWS])


def shares(data: Drawn) -> str:
    """A whole bar for each of y, cut by x in the order of the rows; below 0 is left out."""
    labels = data.labels(data.x)
    left = min(260.0, max(text_width(name, 12) for name in data.y) + 14)
    top = legend_height(labels, left=left)
    parts = [legend(labels, 14, left=left)]
    for place, name in enumerate(data.y):
        numbers = [max(n or 0.0, 0.0) for n in data.numbers(name)]
        whole, y, x = sum(numbers), top + 46 * place, left
        parts.append(label(name, left - 8, y + 22, room=left - 10, text_anchor="end"))
        if not whole:
            parts.append(label("nothing yet", left, y + 22, class_="faint"))
            continue
        for row, number in enumerate(numbers):
            wide = (WIDTH - left) * number / whole
            said = f"{name}, {labels[row]}: {data.said(name, row)}"
            parts.append(
                element("rect", tooltip(said), x=x, y=y + 4, width=wide, height=30,
                        fill=SERIES[row % len(SERIES)], class_="part")
            )  # fmt: skip
            inside = short(number / whole, "share")
            if wide > text_width(inside, 12) + 8:
                ink = ink_on(SERIES[row % len(SERIES)])
                parts.append(
                    label(inside, x + wide / 2, y + 24, text_anchor="middle", class_="cell on",
                          fill=ink)
                )  # fmt: skip
            x += wide
    return picture(top + 46 * len(data.y), data.title, parts)


def _range(data: Drawn) -> tuple[list[float], str]:
    """The ticks of the axis of values, which always has 0, and their unit."""
    found = [n for name in data.y for n in data.numbers(name) if n is not None]
    return ticks(min(0.0, *found), max(0.0, *found)), data.units[data.y[0]]


def _lying(data: Drawn, labels: list[str]) -> str:
    marks, unit = _range(data)
    left = min(280.0, max(text_width(text, 12) for text in labels) + 12)
    right = WIDTH - 110.0
    names = data.y if len(data.y) > 1 else ()
    top = legend_height(names, left=left) if names else 4.0
    thick = 15.0 if len(data.y) > 1 else 18.0
    step = thick * len(data.y) + 9
    bottom = top + step * len(labels)

    def place(value: float) -> float:
        return left + (right - left) * (value - marks[0]) / (marks[-1] - marks[0])

    parts = [legend(names, 14, left=left)] if names else []
    for mark in marks:
        x = place(mark)
        kind = "axis" if mark == 0 else "rule"
        parts.append(element("line", x1=x, x2=x, y1=top, y2=bottom, class_=kind))
        parts.append(label(short(mark, unit), x, bottom + 16, text_anchor="middle", class_="small"))
    for row, text in enumerate(labels):
        y = top + step * row + 4
        middle = y + thick * len(data.y) / 2 + 4
        parts.append(label(text, left - 8, middle, room=left - 10, text_anchor="end"))
        for series, name in enumerate(data.y):
            number = data.numbers(name)[row]
            if number is None:
                continue
            begin, end = sorted((place(0), place(number)))
            said = data.said(name, row)
            parts.append(
                element("rect", tooltip(f"{text}, {name}: {said}"), x=begin, y=y + thick * series,
                        width=max(end - begin, 0.5), height=thick - 2, fill=SERIES[series % 8])
            )  # fmt: skip
            parts.append(
                label(data.beside(name, row), end + 5, y + thick * series + thick / 2 + 3,
                      room=WIDTH - end - 6, class_="small")
            )  # fmt: skip
    return picture(bottom + 24, data.title, parts)


def _upright(data: Drawn, labels: list[str]) -> str:
    marks, unit = _range(data)
    texts = [short(mark, unit) for mark in marks]
    left = max(text_width(text, 11) for text in texts) + 12
    names = data.y if len(data.y) > 1 else ()
    top = legend_height(names, left=left) + 4 if names else 10.0
    bottom = top + 240
    step = (WIDTH - left) / len(labels)
    thick = step * 0.8 / len(data.y)

    def place(value: float) -> float:
        return bottom - (bottom - top) * (value - marks[0]) / (marks[-1] - marks[0])

    parts = [legend(names, 14, left=left)] if names else []
    for mark, text in zip(marks, texts, strict=True):
        y = place(mark)
        kind = "axis" if mark == 0 else "rule"
        parts.append(element("line", x1=left, x2=WIDTH, y1=y, y2=y, class_=kind))
        parts.append(label(text, left - 7, y + 4, text_anchor="end", class_="small"))
    every = thinned(labels, step)
    for row, text in enumerate(labels):
        x = left + step * (row + 0.1)
        if row % every == 0:
            middle = left + step * (row + 0.5)
            parts.append(label(text, middle, bottom + 17, text_anchor="middle", class_="small"))
        for series, name in enumerate(data.y):
            number = data.numbers(name)[row]
            if number is None:
                continue
            end, begin = sorted((place(0), place(number)))
            said = f"{text}, {name}: {data.said(name, row)}"
            parts.append(
                element("rect", tooltip(said), x=x + thick * series, y=end,
                        width=max(thick - (1 if thick > 4 else 0), 0.5),
                        height=max(begin - end, 0.5), fill=SERIES[series % 8])
            )  # fmt: skip
    parts.append(label(data.x, WIDTH, bottom + 34, text_anchor="end", class_="small faint"))
    return picture(bottom + 42, data.title, parts)


def thinned(labels: list[str], step: float) -> int:
    """Each how many-th label has room under an axis, `step` pixels apart."""
    widest = max(text_width(text, 11) for text in labels) + 10
    return max(1, -int(-widest // step))
