"""What does a section of `store.toml` say? Every mistake is collected while it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from segengine.errors import ConfigError, did_you_mean


class Reader:
    """Collects every mistake while the sections are read."""

    def __init__(self) -> None:
        self.mistakes: list[tuple[str, str]] = []

    def wrong(self, place: str, what: str) -> None:
        """Note a mistake and its place."""
        self.mistakes.append((place, what))

    def section(self, raw: object, place: str) -> dict[str, Any]:
        """A copy of a section; empty, with a mistake noted, where it is none."""
        if isinstance(raw, Mapping):
            return dict(raw)
        self.wrong(place, f"must be a section, not `{raw}`")
        return {}

    def take(
        self, section: dict[str, Any], place: str, read: Callable[[Any], Any], default: Any
    ) -> Any:
        """The value named by the last word of `place`, read; the default if absent or wrong."""
        key = place.rsplit(".", 1)[-1]
        if key not in section:
            return default
        value = section.pop(key) if place.split(".", maxsplit=1)[0] != "constants" else section[key]
        try:
            return read(value)
        except (ValueError, TypeError, ConfigError) as error:
            self.wrong(place, str(error))
            return default

    def nothing_left(self, section: Mapping[str, Any], place: str, known: list[str]) -> None:
        """Note every key that nobody took."""
        for key in section:
            where = f"{place}.{key}" if place else key
            hint = did_you_mean(key, known) or "known here: " + ", ".join(known)
            self.wrong(where, f"is not a setting; {hint}")

    def finish(self) -> None:
        """Raise all that was noted, or nothing."""
        if self.mistakes:
            lines = "\n".join(f"  `{place}`: {what}" for place, what in self.mistakes)
            raise ConfigError(lines, field=self.mistakes[0][0])


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError(f"must be text, not `{value}`")
    return value


def moment(value: Any) -> datetime:
    """A TOML date and time."""
    if not isinstance(value, datetime):
        raise TypeError(f"must be a moment such as `2011-12-10T00:00:00Z`, not `{value}`")
    return value


def between(low: int, high: int) -> Callable[[Any], int]:
    """A reader of whole numbers from low to high."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not `{value}`")
        return value

    return read


def one_of(*options: str) -> Callable[[Any], str]:
    """A reader of one of these texts."""

    def read(value: Any) -> str:
        if value not in options:
            raise ValueError(f"must be one of {', '.join(options)}, not `{value}`")
        return str(value)

    return read


def finite_number(value: Any) -> int | float:
    """A finite number that fits in 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"must be a finite number, not `{value}`")
    if isinstance(value, int) and not -(2**63) < value < 2**63:
        raise ValueError(f"`{value}` does not fit in 64 bits")
    return value


def share(value: Any) -> float:
    """A share from 0 to 1."""
    number = finite_number(value)
    if not 0 <= number <= 1:
        raise ValueError(f"must be a share from 0 to 1, not `{value}`")
    return float(number)
