"""How is it drawn who went where? Bands from the left to the right, as thick as there are many."""

from __future__ import annotations

from dataclasses import dataclass

from segengine.reports.drawn import Drawn
from segengine.reports.svg import SERIES, WIDTH, element, label, picture, tooltip

_HEIGHT, _GAP, _NODE = 340.0, 14.0, 14.0
_LEFT, _RIGHT = 190.0, WIDTH - 190.0


@dataclass(slots=True)
class _Node:
    """A word on one side: how many, where it begins, and how far its bands have come."""

    total: float = 0.0
    top: float = 0.0
    used: float = 0.0


def flow(data: Drawn) -> str:
    """From x at the left to the first of y at the right; a word has one colour and one order."""
    froms, tos = data.labels(data.x), data.labels(data.y[0])
    value = data.y[1]
    numbers = [max(n or 0.0, 0.0) for n in data.numbers(value)]
    words = list(dict.fromkeys([*froms, *tos]))
    left, right = _nodes(words, froms, numbers), _nodes(words, tos, numbers)
    everybody = sum(numbers)
    if not everybody:
        return ""
    room = _HEIGHT - _GAP * (max(len(left), len(right)) - 1)
    scale = room / everybody
    for nodes in (left, right):
        y = 26.0
        for node in nodes.values():
            node.top, y = y, y + node.total * scale + _GAP
    parts = [
        label(data.x, _LEFT, 12, text_anchor="middle", class_="strong"),
        label(data.y[0], _RIGHT, 12, text_anchor="middle", class_="strong"),
    ]
    order = sorted(range(len(numbers)), key=lambda r: (words.index(froms[r]), words.index(tos[r])))
    for row in order:
        if not numbers[row]:
            continue
        begin, end = left[froms[row]], right[tos[row]]
        thick = numbers[row] * scale
        said = f"{froms[row]} → {tos[row]}: {data.said(value, row)}"
        d = _band(begin.top + begin.used, end.top + end.used, max(thick, 0.6))
        colour = SERIES[words.index(froms[row]) % len(SERIES)]
        parts.append(element("path", tooltip(said), d=d, fill=colour, class_="band"))
        begin.used += thick
        end.used += thick
    for nodes, x, anchor, at in (
        (left, _LEFT - _NODE, "end", _LEFT - _NODE - 8),
        (right, _RIGHT, "start", _RIGHT + _NODE + 8),
    ):
        lowest = 0.0
        for name, node in nodes.items():
            tall = max(node.total * scale, 1.0)
            colour = SERIES[words.index(name) % len(SERIES)]
            said = f"{name} {node.total:,.0f} ({100 * node.total / everybody:.1f} %)"
            parts.append(
                element("rect", tooltip(said), x=x, y=node.top, width=_NODE, height=tall,
                        fill=colour)
            )  # fmt: skip
            # A thin node's text would lie on its neighbour's.
            lowest = max(node.top + tall / 2 + 4, lowest + 14)
            parts.append(label(said, at, lowest, room=_LEFT - 24, text_anchor=anchor))
    return picture(_HEIGHT + 26 + _GAP, data.title, parts)


def _nodes(words: list[str], names: list[str], numbers: list[float]) -> dict[str, _Node]:
    nodes = {word: _Node() for word in words if word in names}
    for name, number in zip(names, numbers, strict=True):
        nodes[name].total += number
    return {name: node for name, node in nodes.items() if node.total}


def _band(begin: float, end: float, thick: float) -> str:
    x1, x2, middle = _LEFT, _RIGHT, (_LEFT + _RIGHT) / 2
    return (
        f"M{x1} {begin:.1f}C{middle} {begin:.1f} {middle} {end:.1f} {x2} {end:.1f}"
        f"L{x2} {end + thick:.1f}C{middle} {end + thick:.1f} {middle} {begin + thick:.1f} "
        f"{x1} {begin + thick:.1f}Z"
    )
