"""Where in a rule's text does something stand, as a line, a column and a length?"""

from __future__ import annotations

from segengine.errors import Problem
from segengine.rules.expr import Position


def problem_at(text: str, at: Position | None, message: str, help_: str = "") -> Problem:
    """A mistake with its place; one without a place stands at the beginning.

    at: first and last character, from 0. An underline ends with its line.
    """
    if at is None or at[0] > len(text):
        return Problem(message, help=help_)
    first, last = at
    before = text[:first]
    line, column = before.count("\n") + 1, first - (before.rfind("\n") + 1) + 1
    length = len(text[first : last + 1].split("\n", maxsplit=1)[0])
    return Problem(message, line, column, max(1, length), help_)


def shortened(text: str, most: int = 40) -> str:
    """A piece of a rule on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
