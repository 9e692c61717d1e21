"""Which reports are there, what does each read, and what can it be asked?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from segengine.audiences.runs import Runs
from segengine.errors import ReportError, UnknownNameError, did_you_mean
from segengine.reports import (
    activity,
    bought,
    campaign,
    campaign_given,
    compare,
    lifecycle,
    overview,
    products,
    profile,
    profiled,
    repurchase,
    retention,
    rfm,
)
from segengine.reports.report import Report
from segengine.rules.check import Vocabulary
from segengine.rules.segment import View

Known = Mapping[str, tuple[str, ...]]
"""Every table of a store with its columns; for customers, their traits too."""
Reads = Callable[[Known, Mapping[str, Any]], Mapping[str, Sequence[str]]]

Gives = Callable[[View, Runs, Vocabulary, Mapping[str, Any]], tuple[object, Mapping[str, pa.Table]]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A report: `make(source, **options)`; the options are its keyword-only parameters.

    reads: the tables and columns it wants, from those the store has and the options given; what
    the store lacks is left out, and the report asks `source.has`. segments: how many segments it
    is asked about, least and most. segment_options: options whose value is a segment too: its
    buyers are a table of the option's name. given: further tables that it makes of the store held
    still, its runs and the words of rules, and what the source is to say of them.
    """

    name: str
    question: str
    make: Callable[..., Report]
    reads: Reads
    segments: tuple[int, int] = (0, 0)
    segment_options: tuple[str, ...] = ()
    given: Gives | None = None

    def options(self) -> tuple[str, ...]:
        """The names of its options."""
        found = inspect.signature(self.make).parameters.values()
        return tuple(p.name for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY)


def reading(**tables: str) -> Reads:
    """Reads these tables, each with columns named in one text; whatever the options."""
    wanted = {table: tuple(columns.split()) for table, columns in tables.items()}
    return lambda _known, _options: wanted


_ENTRIES = (
    Entry(
        "rfm",
        "how recently, how often and for how much do buyers buy?",
        rfm.rfm,
        reading(customers=rfm.COLUMNS),
    ),
    Entry(
        "lifecycle",
        "where are buyers in their life as customers, and who moved since an earlier date?",
        lifecycle.lifecycle,
        reading(customers=lifecycle.CUSTOMERS, purchases=lifecycle.PURCHASES),
    ),
    Entry(
        "repurchase",
        "how many buyers buy again, and after how many orders is that settled?",
        repurchase.repurchase,
        reading(purchases=bought.COLUMNS),
    ),
    Entry(
        "retention",
        "how many of those who came new are still there?",
        retention.retention,
        reading(
            purchases=activity.PURCHASES,
            behaviors=activity.BEHAVIORS,
            customers=activity.CUSTOMERS,
        ),
    ),
    Entry(
        "products",
        "which products carry the shop, and is the range mixed as it should be?",
        products.products,
        reading(products=products.COLUMNS),
    ),
    Entry(
        "overview",
        "how is the shop doing: sales, new and returning buyers, who, where, when, unpaid?",
        overview.overview,
        reading(purchases=overview.PURCHASES, orders=overview.ORDERS, customers=overview.CUSTOMERS),
    ),
    Entry(
        "profile",
        "who are the buyers of a segment, beside those of a base?",
        profile.profile,
        profiled.reads,
        segments=(1, 1),
        segment_options=("base",),
    ),
    Entry(
        "compare",
        "how do two segments differ, and how many buyers do they share?",
        compare.compare,
        profiled.reads,
        segments=(2, 2),
    ),
    Entry(
        "campaign",
        "what did a campaign earn, beyond what would have come without it?",
        campaign.campaign,
        reading(),
        given=campaign_given.given,
    ),
)
_SO_MANY = {(0, 0): "no segment", (1, 1): "one segment", (2, 2): "two segments"}
REPORTS: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def entry_of(name: str, segments: Sequence[object], options: Mapping[str, Any]) -> Entry:
    """The report of a name, or an error with all that is wrong with the question."""
    entry = REPORTS.get(name)
    if entry is None:
        known = did_you_mean(name, list(REPORTS)) or "there are " + ", ".join(REPORTS)
        raise UnknownNameError(f"unknown report `{name}`; {known}", field="report")
    mistakes = []
    least, most = entry.segments
    if not least <= len(segments) <= most:
        mistakes.append(f"is asked about {_SO_MANY[entry.segments]}, not {len(segments)}")
    known_options = entry.options()
    for option in options:
        if option not in known_options:
            takes = ", ".join(f"`{o}`" for o in known_options) or "none"
            mistakes.append(f"has no option `{option}`; its options: {takes}")
    if mistakes:
        raise ReportError("\n".join(f"report `{name}` {m}" for m in mistakes), field="report")
    return entry


def wanted_columns(entry: Entry, known: Known, options: Mapping[str, Any]) -> dict[str, list[str]]:
    """The tables and columns to hand over: what the report reads, as far as the store has it."""
    found = {
        table: [column for column in dict.fromkeys(columns) if column in known[table]]
        for table, columns in entry.reads(known, options).items()
        if table in known
    }
    return {table: columns for table, columns in found.items() if columns}
