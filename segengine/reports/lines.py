"""How is a course drawn? A line for each series, broken where a value is missing."""

from __future__ import annotations

from segengine.reports.bars import thinned
from segengine.reports.drawn import Drawn
from segengine.reports.reading import short
from segengine.reports.svg import (
    DASHES,
    SERIES,
    WIDTH,
    element,
    label,
    legend,
    legend_height,
    picture,
    text_width,
    ticks,
    tooltip,
)

_MOST_MARKS = 1_500


def lines(data: Drawn) -> str:
    """x in the order of the rows, evenly spaced; the axis of values begins at 0 or below."""
    labels = data.labels(data.x)
    series = [data.numbers(name) for name in data.y]
    found = [n for numbers in series for n in numbers if n is not None]
    marks, unit = ticks(min(0.0, *found), max(0.0, *found)), data.units[data.y[0]]
    texts = [short(mark, unit) for mark in marks]
    left = max(text_width(text, 11) for text in texts) + 12
    names = data.y if len(data.y) > 1 else ()
    top = legend_height(names, left=left) + 4 if names else 10.0
    bottom, right = top + 240, WIDTH - 14.0
    step = (right - left) / max(len(labels) - 1, 1)

    def at(row: int) -> float:
        return left + step * row if len(labels) > 1 else (left + right) / 2

    def place(value: float) -> float:
        return bottom - (bottom - top) * (value - marks[0]) / (marks[-1] - marks[0])

    parts = [legend(names, 14, lines=True, left=left)] if names else []
    for mark, text in zip(marks, texts, strict=True):
        y = place(mark)
        kind = "axis" if mark == 0 else "rule"
        parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_=kind))
        parts.append(label(text, left - 7, y + 4, text_anchor="end", class_="small"))
    every = thinned(labels, step if len(labels) > 1 else WIDTH)
    for row in range(0, len(labels), every):
        # The first and the last label would stand half outside.
        wide = text_width(labels[row], 11) / 2
        x = min(max(at(row), wide), WIDTH - wide)
        parts.append(label(labels[row], x, bottom + 17, text_anchor="middle", class_="small"))
    marked = len(found) <= _MOST_MARKS
    for place_, (name, numbers) in enumerate(zip(data.y, series, strict=True)):
        colour = SERIES[place_ % len(SERIES)]
        points = [None if n is None else (at(row), place(n)) for row, n in enumerate(numbers)]
        parts.append(
            element("path", tooltip(name), d=_path(points), stroke=colour, class_="line",
                    stroke_dasharray=DASHES[place_ % len(DASHES)] or None)
        )  # fmt: skip
        for row, point in enumerate(points):
            if point is None or not marked:
                continue
            said = tooltip(f"{labels[row]}, {name}: {data.said(name, row)}")
            small = 2.6 if len(labels) <= 80 else 1.2
            parts.append(element("circle", said, cx=point[0], cy=point[1], r=small, fill=colour))
    parts.append(label(data.x, right, bottom + 34, text_anchor="end", class_="small faint"))
    return picture(bottom + 42, data.title, parts)


def _path(points: list[tuple[float, float] | None]) -> str:
    """Moves and lines; a gap begins anew."""
    written, drawing = [], False
    for point in points:
        if point is not None:
            written.append(f"{'L' if drawing else 'M'}{point[0]:.1f} {point[1]:.1f}")
        drawing = point is not None
    return "".join(written)
