"""How is what is only nearly known drawn? A line from low to high, and a point on it."""

from __future__ import annotations

from segengine.reports.bars import MOST_ROWS
from segengine.reports.drawn import Drawn
from segengine.reports.reading import short
from segengine.reports.svg import SERIES, WIDTH, element, label, picture, text_width, ticks, tooltip


def intervals(data: Drawn) -> str:
    """A row for each x: y is the value, then its low and its high; 0 is a line of its own.

    Rows without a value are left out; an end that is not known is drawn at the value.
    """
    value, low, high = data.y
    labels = data.labels(data.x)
    rows = [row for row, n in enumerate(data.numbers(value)) if n is not None][:MOST_ROWS]
    found = [n for name in data.y for n in data.numbers(name) if n is not None]
    marks, unit = ticks(min(0.0, *found), max(0.0, *found)), data.units[value]
    left = min(280.0, max(text_width(labels[row], 12) for row in rows) + 12)
    right, step = WIDTH - 110.0, 30.0
    bottom = 4 + step * len(rows)

    def place(number: float) -> float:
        return left + (right - left) * (number - marks[0]) / (marks[-1] - marks[0])

    parts = []
    for mark in marks:
        x, kind = place(mark), "axis" if mark == 0 else "rule"
        parts.append(element("line", x1=x, x2=x, y1=4.0, y2=bottom, class_=kind))
        parts.append(label(short(mark, unit), x, bottom + 16, text_anchor="middle", class_="small"))
    for line, row in enumerate(rows):
        y = 4 + step * line + step / 2
        middle = data.numbers(value)[row]
        assert middle is not None
        begin, end = (data.numbers(name)[row] for name in (low, high))
        said = tooltip(
            f"{labels[row]}: {data.said(value, row)}, from {data.said(low, row)} to "
            f"{data.said(high, row)}"
        )
        first, last = (
            place(middle if begin is None else begin),
            place(middle if end is None else end),
        )
        parts.append(label(labels[row], left - 8, y + 4, room=left - 10, text_anchor="end"))
        parts.append(
            element("line", said, x1=first, x2=last, y1=y, y2=y, stroke=SERIES[0], stroke_width=3)
        )
        parts += [
            element("line", x1=x, x2=x, y1=y - 5, y2=y + 5, stroke=SERIES[0], stroke_width=2)
            for x in (first, last)
        ]
        parts.append(element("circle", said, cx=place(middle), cy=y, r=4.5, fill=SERIES[0]))
        parts.append(
            label(data.beside(value, row), last + 8, y + 4, room=WIDTH - last - 9, class_="small")
        )
    return picture(bottom + 24, data.title, parts)
