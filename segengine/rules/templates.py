"""Have I read a rule of this shape before?

Rules that an operator tries one after the other differ in their numbers and texts alone. The
first of a shape is read by the parser; for the others its nodes are filled with the new values.
What could change the reading (dates, intervals, escapes, anything unusual) is part of the shape.
The rules of a page are a few conditions joined by AND, each time others: each condition has a shape
of its own, and a whole that is new is filled as they are.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from functools import partial
from threading import Lock
from typing import Any

from segengine.errors import RuleError
from segengine.rules import expr as e
from segengine.rules.parse import parse
from segengine.rules.syntax import size_problem

_MOST, _MOST_DIGITS, _MOST_LEVELS = 1024, 40, 16
_VALUE = re.compile(
    r"(?<![\w.'\"])(?:(?P<decimal>[0-9]+\.[0-9]+)|(?P<whole>[0-9]+))(?![\w.'\"])"
    r"|(?<![\w'\"])(?P<text>'(?:[^'\\]|'')*')(?!['\w])"
    r"|(?P<name>\"[^\"]*\")"
)
# What makes a text more than names, operators and plain values.
_UNUSUAL = re.compile(r"--|/\*|\\|\$|;|::|\?|\bE'|\x00", re.IGNORECASE)
# After these words a text or a number says more than a value.
_SPECIAL = re.compile(
    r"\b(?:interval|date|timestamp|timestamptz|escape|time|as)\s*\Z", re.IGNORECASE
)

_JOINT = re.compile(r"'(?:[^']|'')*'|[()\[\]\"]|\b(?:AND|OR|BETWEEN|CASE)\b", re.IGNORECASE)

Fill = Callable[[list[e.LiteralValue]], e.Expr]


class Templates:
    """The shapes of the latest rules; None for a shape that has to be read anew each time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Fill | None] = OrderedDict()
        self._lock = Lock()

    def read(self, text: str) -> e.Expr | None:
        """The rule that a text says, if one of its shape was read before; it has no positions.

        None for any other text: read it with `parse`, which also says what is wrong with it.
        """
        if not isinstance(text, str) or size_problem(text) is not None or _UNUSUAL.search(text):
            return None
        shape, values, places = _taken_apart(text)
        fill = self._fill(
            shape, lambda: self._joined(text, values) or _template(text, values, places)
        )
        return None if fill is None else fill(values)

    def _joined(self, text: str, values: list[e.LiteralValue]) -> Fill | None:
        """How to fill conditions that are joined, from what is known of each; None where not."""
        parts = _conjuncts(text)
        if len(parts) == 1:
            return None
        fills: list[tuple[Fill, int, int]] = []
        taken: list[e.LiteralValue] = []
        for part in parts:
            shape, found, places = _taken_apart(part)
            fill = self._fill(shape, partial(_template, part, found, places))
            if fill is None:
                return None
            fills.append((fill, len(taken), len(taken) + len(found)))
            taken += found
        if taken != values:
            return None
        return lambda given: e.conjunction(tuple(
            fill(given[begin:end]) for fill, begin, end in fills
        ))  # fmt: skip

    def _fill(self, shape: str, made: Callable[[], Fill | None]) -> Fill | None:
        """How a shape is filled, made when it is first met."""
        with self._lock:
            if shape in self._kept:
                self._kept.move_to_end(shape)
                return self._kept[shape]
        fill = made()
        with self._lock:
            self._kept[shape] = fill
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return fill


def _conjuncts(text: str) -> list[str]:
    """What ANDs join that stand in no parentheses; the text alone where anything else may be."""
    found, begin, depth, between = [], 0, 0, 0
    for match in _JOINT.finditer(text):
        word = match.group().upper()
        if word in ("(", "["):
            depth += 1
        elif word in (")", "]"):
            depth -= 1
        elif word == "AND" and depth == 0:
            if between:
                between -= 1
            else:
                found.append(text[begin : match.start()].strip())
                begin = match.end()
        elif word == "BETWEEN" and depth == 0:
            between += 1
        elif word in ("OR", "CASE", '"') and depth == 0:
            return [text]
    return [*found, text[begin:].strip()] if found and depth == between == 0 else [text]


def _taken_apart(text: str) -> tuple[str, list[e.LiteralValue], list[tuple[int, int]]]:
    """The text without its values, the values, and the first and last character of each."""
    parts: list[str] = []
    values: list[e.LiteralValue] = []
    places = []
    done = 0
    for match in _VALUE.finditer(text):
        kind = match.lastgroup
        before = text[done : match.start()]
        too_long = kind != "text" and match.end() - match.start() > _MOST_DIGITS
        if kind == "name" or too_long or _SPECIAL.search(before[-16:]):
            continue
        parts += [before, "\x00", kind or ""]
        places.append((match.start(), match.end() - 1))
        found = match.group()
        if kind == "text":
            values.append(found[1:-1].replace("''", "'"))
        else:
            values.append(Decimal(found) if kind == "decimal" else int(found))
        done = match.end()
    return "".join([*parts, text[done:]]), values, places


def _template(
    text: str, values: list[e.LiteralValue], places: list[tuple[int, int]]
) -> Fill | None:
    """How to fill the nodes of a text with other values; None where a value is more than one."""
    try:
        read = parse(text)
    except RuleError:
        return None
    if e.measured(read, e.children)[0] > _MOST_LEVELS:
        # Beneath an AND it may be too deep.
        return None
    slots: dict[tuple[int, int], int] = {place: index for index, place in enumerate(places)}
    used: list[int] = []
    fill = _filled(read, slots, values, used)
    if sorted(used) != list(range(len(values))):
        return None
    return fill if fill is not None else lambda _: read


def _filled(
    node: e.Expr,
    slots: dict[tuple[int, int], int],
    values: list[e.LiteralValue],
    used: list[int],
) -> Fill | None:
    """How to make this node with other values; None for a node without any."""
    if isinstance(node, e.Literal):
        return _literal(node, slots, values, used)
    made: list[tuple[str, Any, Any]] = []
    changes = False
    for each in fields(node):
        if each.name == "at":
            continue
        value = getattr(node, each.name)
        found = _part(value, slots, values, used)
        changes |= found is not None
        made.append((each.name, value, found))
    if not changes:
        return None
    kind: Any = type(node)

    def build(given: list[e.LiteralValue]) -> e.Expr:
        built: e.Expr = kind(**{
            name: value if fill is None else fill(given) for name, value, fill in made
        })  # fmt: skip
        return built

    return build


def _part(
    value: Any, slots: dict[tuple[int, int], int], values: list[e.LiteralValue], used: list[int]
) -> Any:
    if isinstance(value, e.Expr):
        return _filled(value, slots, values, used)
    if isinstance(value, tuple) and value and isinstance(value[0], e.Expr | tuple):
        parts = [(item, _part(item, slots, values, used)) for item in value]
        if all(fill is None for _, fill in parts):
            return None
        return lambda given: tuple(i if fill is None else fill(given) for i, fill in parts)
    return None


def _literal(
    node: e.Literal,
    slots: dict[tuple[int, int], int],
    values: list[e.LiteralValue],
    used: list[int],
) -> Fill | None:
    """A value of the text, or its negative: a minus before it is part of the literal."""
    if node.at is None:
        return None
    index = slots.get(node.at)
    if index is not None:
        if node != e.Literal(values[index]):
            return None
        used.append(index)
        return lambda given: e.Literal(given[index])
    # A minus stands before it, also before a zero.
    ends = [i for (_, last), i in slots.items() if last == node.at[1]]
    if not ends or e.negative(e.Literal(values[ends[0]])) != node:
        return None
    used.append(ends[0])
    return lambda given: e.negative(e.Literal(given[ends[0]]))
