"""How often may a buyer be written to: which caps are there, and is each sound?

A cap counts the messages of one class that were sent to a buyer, or held out as if sent, on the
dates that end today, over one channel or over all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segengine.errors import did_you_mean
from segengine.schema.config_reader import Reader
from segengine.schema.identifiers import is_text

KINDS = ("service", "care", "marketing")
"""The classes of messages, and the kinds of campaigns."""
MOST_DAYS = 36_500
MOST_LIMIT = 1_000_000
_KEYS = ("limit", "days", "channel", "kind")


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` contacts in the `days` dates that end today; 0 allows none.

    channel None: over all channels. kind: the class of messages it counts; a cap of the store
    binds every campaign of that kind, a campaign's own binds the campaign.
    """

    limit: int
    days: int
    channel: str | None = None
    kind: str = "marketing"

    def __str__(self) -> str:
        dates = "1 day" if self.days == 1 else f"{self.days:,} days"
        by = "" if self.channel is None else f" by {self.channel}"
        return f"{self.limit:,} in {dates}{by}"


def cap_mistakes(cap: object, channels: Sequence[str] | None = None) -> list[str]:
    """What is wrong with a cap; its channel is looked up among `channels` where those are given."""
    if not isinstance(cap, Cap):
        return [f"a cap is a `limit` and `days`, not `{cap}`"]
    wrong = []
    if not _whole(cap.limit, 0, MOST_LIMIT):
        wrong.append(
            f"`limit` of a cap is a whole number from 0 to {MOST_LIMIT:,}, not `{cap.limit}`"
        )
    if not _whole(cap.days, 1, MOST_DAYS):
        wrong.append(f"`days` of a cap is a whole number from 1 to {MOST_DAYS}, not `{cap.days}`")
    if cap.channel is not None and not is_text(cap.channel):
        wrong.append(f"`channel` of a cap is a text, not `{cap.channel!r}`")
    elif channels is not None and cap.channel is not None and cap.channel not in channels:
        hint = did_you_mean(cap.channel, channels) or "declare it under store.channels"
        wrong.append(f"a cap is for the unknown channel `{cap.channel}`; {hint}")
    if cap.kind not in KINDS:
        wrong.append(f"`kind` of a cap is one of {', '.join(KINDS)}, not `{cap.kind}`")
    return wrong


def caps_of(given: object) -> tuple[tuple[Cap, ...], list[str]]:
    """Caps, or mappings with their keys, each once, and what is wrong with them."""
    if given is None:
        return (), []
    if not isinstance(given, list | tuple):
        return (), [f"`caps` is a list of caps, not `{given}`"]
    found: list[Cap] = []
    wrong: list[str] = []
    for each in given:
        cap, mistakes = (each, []) if isinstance(each, Cap) else _read(each)
        wrong += mistakes
        if cap is not None:
            mistakes = cap_mistakes(cap)
            wrong += mistakes
            found += [] if mistakes else [cap]
    return tuple(dict.fromkeys(found)), wrong


def read_caps(reader: Reader, raw: object, channels: Sequence[str]) -> tuple[Cap, ...]:
    """The sections `[[caps]]`: the caps of every campaign of their kind."""
    if not isinstance(raw, list):
        reader.wrong("caps", "are written as `[[caps]]`, a section for each")
        return ()
    found, wrong = caps_of(raw)
    for mistake in wrong:
        reader.wrong("caps", mistake)
    for cap in found:
        for mistake in cap_mistakes(cap, channels):
            reader.wrong("caps", mistake)
    return found


def _read(given: object) -> tuple[Cap | None, list[str]]:
    if not isinstance(given, Mapping):
        return None, [f"a cap is a `limit` and `days`, not `{given}`"]
    wrong = [
        f"`{key}` is nothing a cap has; "
        f"{did_you_mean(str(key), _KEYS) or 'known: ' + ', '.join(_KEYS)}"
        for key in given
        if key not in _KEYS
    ]
    wrong += [f"a cap needs `{key}`" for key in ("limit", "days") if key not in given]
    if wrong:
        return None, wrong
    known: dict[str, Any] = {key: given[key] for key in _KEYS if key in given}
    return Cap(**known), []


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
