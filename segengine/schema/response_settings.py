"""When has a buyer answered a message, and when is it no use to write again?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.config_reader import Reader, between, share

WINDOW_DAYS = 3


@dataclass(frozen=True, slots=True)
class ResponseSettings:
    """From how many messages on, and below which share of responses, a buyer responds little.

    lost_cause_messages: so many since the last order, without a response, to a lapsed buyer.
    """

    least_messages: int = 5
    low_rate: float = 0.1
    lost_cause_messages: int = 5


@dataclass(frozen=True, slots=True)
class Goal:
    """What a campaign's message is to bring about, and within how many times 24 hours.

    events: an event table, whose every row is meant, or `purchases`; None, and what names no
    table, is a click, a visit or a purchase.
    """

    days: int = WINDOW_DAYS
    events: str | None = None


def read_response(reader: Reader, raw: object) -> ResponseSettings:
    """The section `[response]`."""
    section = reader.section(raw, "response")
    defaults = ResponseSettings()
    many = between(1, 1_000_000)
    least = reader.take(section, "response.least_messages", many, defaults.least_messages)
    rate = reader.take(section, "response.low_rate", share, defaults.low_rate)
    lost = reader.take(section, "response.lost_cause_messages", many, defaults.lost_cause_messages)
    known = ["least_messages", "low_rate", "lost_cause_messages"]
    reader.nothing_left(section, "response", known)
    return ResponseSettings(least, rate, lost)
