"""How is the writing of a definition kept as text?

As JSON in one line, in the order it was given, so that equal writings are equal texts. What a
payload may hold and JSON has not stands under a name of its own: `{"$moment": "2026-03-01T09:00"}`;
a name that begins with `$` anyway gets a second one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from segengine.schema.identifiers import is_text

_MARK = "$"
_MOST_LEVELS = 100
_ARRAYS = "arrays"
_READ: dict[str, Callable[[Any], Any]] = {
    "moment": datetime.fromisoformat, "date": date.fromisoformat, "time": time.fromisoformat,
    "decimal": Decimal, "number": float,
}  # fmt: skip


def text_of(written: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The writing as text, the same for writings that say the same, and why it cannot be read back.

    Where it can there are no reasons. A tuple is a list.
    """
    mistakes: list[str] = []
    if _ARRAYS in written:
        mistakes.append(
            "a rule has an array of values, which lasts as long as the process: load the list as a "
            "column of customers, or write it out in the rule"
        )
    marked = _marked(written, mistakes)
    text = json.dumps(marked, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text, list(dict.fromkeys(mistakes))


def written_of(text: str) -> dict[str, Any]:
    """The writing that a text keeps."""
    read: dict[str, Any] = json.loads(text, object_hook=_unmarked)
    return read


def _marked(value: Any, mistakes: list[str], levels: int = _MOST_LEVELS) -> Any:
    """A value in what JSON has; what cannot be kept is noted, and shown."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if is_text(value):
            return str(value)
        mistakes.append(f"{value!r} is no text: half of a character is missing")
        return repr(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {f"{_MARK}number": str(value)}
    if isinstance(value, Decimal):
        return {f"{_MARK}decimal": str(value)}
    if isinstance(value, datetime):
        return {f"{_MARK}moment": value.isoformat()}
    if isinstance(value, date):
        return {f"{_MARK}date": value.isoformat()}
    if isinstance(value, time):
        return {f"{_MARK}time": value.isoformat()}
    if isinstance(value, Mapping | list | tuple) and levels == 0:
        mistakes.append(f"a payload has more than {_MOST_LEVELS} levels")
        return None
    if isinstance(value, list | tuple):
        return [_marked(each, mistakes, levels - 1) for each in value]
    if isinstance(value, Mapping):
        found = {}
        for key, each in value.items():
            if not is_text(key):
                mistakes.append(f"a payload has the name {key!r}, which is no text")
            name = key if is_text(key) else repr(key)
            found[_MARK + name if name.startswith(_MARK) else name] = _marked(
                each, mistakes, levels - 1
            )
        return found
    mistakes.append(
        f"a payload holds `{value}`; it may hold texts, numbers, moments, dates, lists and names "
        "with values"
    )
    return repr(value)


def _unmarked(read: dict[str, Any]) -> Any:
    if len(read) == 1:
        ((name, value),) = read.items()
        if name.startswith(_MARK) and name[1:] in _READ:
            return _READ[name[1:]](value)
    return {
        name.removeprefix(_MARK) if name.startswith(2 * _MARK) else name: value
        for name, value in read.items()
    }
