"""What does having been shown do to a module? It is capped, or it makes room for others.

Both look at the visitor's rows of `impressions`: `kind` is `shown` or `clicked`, `module` is the
module's name, on whatever page and in whatever slot it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segengine.audiences.campaign import refuse
from segengine.errors import did_you_mean
from segengine.schema.cap_settings import Cap

SHOWN, CLICKED = "shown", "clicked"
_MOST = 2**31 - 1
_CAP_KEYS = ("limit", "days")
_DECAY_KEYS = ("priority", "after", "days")
_NOT_OF_MODULES = (
    "a module's cap counts impressions, which have no channel and no class of message; "
    "give `limit` and `days` alone"
)


@dataclass(frozen=True, slots=True)
class Decay:
    """A module that is shown and not clicked makes room for others.

    It loses `priority` for every full `after` times that it was shown since the visitor last
    clicked it, of the `days` dates that end today. A click sets it back. Raises `DefinitionError`
    with every mistake.
    """

    priority: int = 1
    after: int = 1
    days: int = 30

    def __post_init__(self) -> None:
        mistakes = [
            *_whole("priority", self.priority, 1),
            *_whole("after", self.after, 1),
            *_whole("days", self.days, 1),
        ]
        refuse("decay", mistakes, "decay")


def read_cap(cap: object) -> tuple[Cap | None, list[str]]:
    """A module's cap as given, `Cap` or {"limit": n, "days": n}, and what is wrong with it."""
    if cap is None:
        return None, []
    if isinstance(cap, Mapping):
        mistakes = _unknown("cap", cap, _CAP_KEYS)
        mistakes += [f"`cap` needs `{key}`" for key in _CAP_KEYS if key not in cap]
        if "channel" in cap or "kind" in cap:
            mistakes = [_NOT_OF_MODULES]
        if not mistakes:
            mistakes = [*_whole("cap.limit", cap["limit"], 0), *_whole("cap.days", cap["days"], 1)]
        if mistakes:
            return None, mistakes
        cap = Cap(cap["limit"], cap["days"])
    if not isinstance(cap, Cap):
        return None, [f"`cap` is a `Cap(limit, days)`, not `{cap}`"]
    mistakes = [*_whole("cap.limit", cap.limit, 0), *_whole("cap.days", cap.days, 1)]
    if cap.channel is not None or cap.kind != "marketing":
        mistakes.append(_NOT_OF_MODULES)
    return (None, mistakes) if mistakes else (cap, [])


def read_decay(decay: object) -> tuple[Decay | None, list[str]]:
    """A module's decay as given, `Decay` or a mapping, and what is wrong with it."""
    if decay is None or isinstance(decay, Decay):
        return decay, []
    if not isinstance(decay, Mapping):
        return None, [f"`decay` is a `Decay(priority, after, days)`, not `{decay}`"]
    given: Mapping[str, Any] = {"priority": 1, "after": 1, "days": 30} | dict(decay)
    mistakes = _unknown("decay", decay, _DECAY_KEYS)
    for key in _DECAY_KEYS:
        mistakes += _whole(f"decay.{key}", given[key], 1)
    return (None, mistakes) if mistakes else (Decay(**given), [])


def _whole(what: str, value: object, least: int) -> list[str]:
    good = isinstance(value, int) and not isinstance(value, bool)
    if good and least <= value <= _MOST:  # type: ignore[operator]
        return []
    return [f"`{what}` is a whole number from {least} to {_MOST:,}, not `{value}`"]


def _unknown(what: str, given: Mapping[str, Any], known: tuple[str, ...]) -> list[str]:
    return [
        f"`{what}.{key}` is not a setting; "
        + (did_you_mean(str(key), known) or f"known here: {', '.join(known)}")
        for key in given
        if key not in known
    ]
