"""How often was a buyer written to, and what came of it?

A message counts by its `sent` row, whatever its class; one that was held out never was. It is
responded to by the first event it was sent for that comes within its window: `Goal`, by default a
click, a visit or a purchase within 3 times 24 hours. A click is one of the same campaign; where
the click or the message names none, it may be of any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.schema.kinds import Kind
from segengine.schema.response_settings import WINDOW_DAYS, Goal
from segengine.schema.tables import ORDERS, PURCHASES
from segengine.tables.tables import Tables
from segengine.traits import marketing_loops as loops
from segengine.traits.trait import Family, Trait
from segengine.traits.work import Work

_DAY = 86_400_000_000
_LONGEST = 10**6
"""Dates of a window, at most: none reaches further than history does."""
_NONE = "no message"
_NAME = "marketing"
_TRAITS = (
    Trait("messages_count", _NAME, Kind.BIGINT, "contacts", "messages sent, of every class",
          "messages", source="messages", narrow=True),
    Trait("messages_7d", _NAME, Kind.BIGINT, "contacts",
          "messages sent on the 7 dates that end today", "messages", source="messages",
          narrow=True),
    Trait("messages_30d", _NAME, Kind.BIGINT, "contacts",
          "messages sent on the 30 dates that end today", "messages", source="messages",
          narrow=True),
    Trait("responses_count", _NAME, Kind.BIGINT, "contacts",
          "messages with a response: the goal of their campaign within its window_days times 24 "
          "hours; by default a click, a visit or a purchase within 3", "messages",
          source="messages, behaviors, orders", narrow=True),
    Trait("messages_since_last_order", _NAME, Kind.BIGINT, "contacts",
          "messages sent after the last purchase; all where there is none", "messages",
          source="messages, purchases", narrow=True),
    Trait("last_contacted_at", _NAME, Kind.TIMESTAMP, "contacted",
          "moment when the last message was sent", "instant", _NONE, "messages"),
    Trait("last_responded_at", _NAME, Kind.TIMESTAMP, "contacted",
          "moment of the latest response; a message's first is its response", "instant",
          "no response", "messages, behaviors, orders"),
    Trait("response_rate", _NAME, Kind.DOUBLE, "responding",
          "responses_count / messages_count, windows that are still open among them", "0 to 1",
          _NONE, "messages, behaviors, orders"),
    Trait("low_response", _NAME, Kind.BOOLEAN, "unresponsive",
          "messages_count from `response.least_messages` on and response_rate below "
          "`response.low_rate`", source="messages, behaviors, orders"),
    Trait("is_lost_cause", _NAME, Kind.BOOLEAN, "unresponsive",
          "lapsed, messages_since_last_order from `response.lost_cause_messages` on, and no "
          "response since the last order", source="messages, behaviors, orders"),
)  # fmt: skip


def addressed(tables: Tables, campaign: str) -> NDArray[np.int64]:
    """The buyers with a message of a campaign."""
    messages = tables.events["messages"]
    column = messages.columns["campaign"]
    assert column.dictionary is not None
    code = int(column.dictionary.codes_of((campaign,))[0])
    if code < 0:
        return np.empty(0, np.int64)
    owners = messages.extra("owner")[: messages.rows][column.values[: messages.rows] == code]
    return np.unique(owners[owners >= 0]).astype(np.int64)


def _facts(work: Work) -> None:
    messages, behaviors, orders = (work.history(t) for t in ("messages", "behaviors", ORDERS))
    sent, clicked = work.codes("messages", "kind", ("sent", "clicked"))
    (visit,) = work.codes("behaviors", "kind", ("visit",))
    contacts = loops.Messages(
        *messages, work.values("messages", "time"), work.values("messages", "kind"),
        work.values("messages", "campaign"), sent, clicked,
    )  # fmt: skip
    doings = loops.Behaviors(
        *behaviors, work.values("behaviors", "time"), work.values("behaviors", "kind"), visit
    )
    bought = loops.Ordered(*orders, work.values(ORDERS, "time"), work.values(ORDERS, "is_purchase"))
    goals, tables = _goals(work)
    others = _others(work, tables)
    response = work.config.response

    def loop(begin: int, end: int) -> None:
        loops.marketing_facts(
            work.rows[begin:end], work.clock, work.since(7), work.since(30),
            contacts._replace(begins=messages.begins[begin:]),
            doings._replace(begins=behaviors.begins[begin:]),
            bought._replace(begins=orders.begins[begin:]),
            others._replace(begins=others.begins[begin:]),
            goals, loops.FIRST_OTHER + len(tables), response.least_messages, response.low_rate,
            *(work.blocks[b] for b in ("contacts", "contacted", "responding", "unresponsive")),
        )  # fmt: skip

    work.over_buyers(loop)


def _goals(work: Work) -> tuple[loops.Goals, list[str]]:
    """What messages are for, by campaign, and the further tables whose events those are."""
    campaigns, given = work.dictionary("messages", "campaign"), work.settings.goals
    window = np.full(1 + campaigns.size, WINDOW_DAYS * _DAY, np.int64)
    event = np.full(1 + campaigns.size, loops.ANY, np.int16)
    tables: list[str] = []
    found = campaigns.codes_of(tuple(given))
    for code, goal in zip(found, given.values(), strict=True):
        if code >= 0:
            window[code + 1] = min(goal.days, _LONGEST) * _DAY
            event[code + 1] = _event(goal, work, tables)
    return loops.Goals(window, event), tables


def _event(goal: Goal, work: Work, tables: list[str]) -> int:
    """The sort of event a goal means; a further table is noted as it is met."""
    known = {
        "messages": loops.CLICK,
        PURCHASES: loops.PURCHASE,
        ORDERS: loops.ORDER,
        "behaviors": loops.BEHAVIOR,
    }
    if goal.events in known:
        return known[goal.events]
    if goal.events is None or goal.events not in work.tables.events:
        return loops.ANY
    if goal.events not in tables:
        tables.append(goal.events)
    return loops.FIRST_OTHER + tables.index(goal.events)


def _others(work: Work, tables: list[str]) -> loops.Others:
    """The events of these tables, buyer by buyer."""
    histories = [work.history(table) for table in tables]
    at = [work.values(t, "time")[h.events] for t, h in zip(tables, histories, strict=True)]
    begins: NDArray[np.int64] = sum(
        (h.begins for h in histories), np.zeros(len(work.rows) + 1, np.int64)
    )
    sort = [np.full(len(each), loops.FIRST_OTHER + k, np.int16) for k, each in enumerate(at)]
    moments = np.concatenate([np.empty(0, np.int64), *at])
    sorts = np.concatenate([np.empty(0, np.int16), *sort])
    if len(tables) > 1:
        everyone = np.arange(len(work.rows))
        owners = np.concatenate([np.repeat(everyone, np.diff(h.begins)) for h in histories])
        order = np.argsort(owners, kind="stable")
        moments, sorts = moments[order], sorts[order]
    return loops.Others(begins, moments, sorts)


def _place(work: Work, fitted: None) -> None:
    del fitted
    stages = work.dictionary("customers", "lifecycle_stage")
    lapsed = np.int32(stages.codes_of(("lapsed",))[0])

    def loop(begin: int, end: int) -> None:
        loops.lost_causes(
            work.rows[begin:end], work.trait("lifecycle_stage"), lapsed,
            work.blocks["contacts"][loops.SINCE_ORDER], work.config.response.lost_cause_messages,
            work.blocks["contacted"][loops.RESPONDED_AT], work.trait("last_order_at"),
            work.blocks["unresponsive"][loops.LOST_CAUSE],
        )  # fmt: skip

    work.over_buyers(loop)


MARKETING = Family(
    _NAME,
    "How often a buyer was written to, and what came of it.",
    _TRAITS,
    facts=_facts,
    place=_place,
    reads=("messages", "behaviors", ORDERS),
    reads_also=lambda settings: tuple(
        goal.events for goal in settings.goals.values() if goal.events is not None
    ),
)
