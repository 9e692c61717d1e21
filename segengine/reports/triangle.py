"""Of the buyers who first bought in a month, how many bought again in each month after it?

A row of a triangle is a month's new buyers, and at age 0 all of them; a month without new buyers
has no row. The last cell of each row is the month of as_of, which is not over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from segengine.reports.activity import make_active
from segengine.reports.periods import Window, label, window
from segengine.reports.rates import ratio
from segengine.reports.report import SHARE, Picture, Source, Table
from segengine.reports.wording import MISSING, OTHERS

MOST_CHANNELS = 8
"""Channels that have a triangle of their own; the buyers of smaller ones share one."""
FORMULA = (
    "buyers: first purchase in the month; active: of those, bought in the month `age` months "
    "later; rate = active / buyers"
)

Cells = Mapping[tuple[int, int], int]
"""Active buyers by month of the first purchase and age in months; at age 0, all of them."""


def triangles(source: Source, last: int | None) -> tuple[Table, ...]:
    """The triangle of all buyers, then where any channel is known, one for each channel.

    last: how many of the latest months of first purchase are shown. Makes `active` anew.
    """
    earliest = make_active(source, "purchase", "month")
    shown = window(source, "month", last, earliest)
    by_channel = _cells(source, shown)
    everybody: dict[tuple[int, int], int] = defaultdict(int)
    for cells in by_channel.values():
        for cell, buyers in cells.items():
            everybody[cell] += buyers
    tables = [_table("triangle", "Who bought again, by month of first purchase", everybody, shown)]
    if set(by_channel) - {None}:
        for place, (channel, cells) in enumerate(_largest(by_channel).items(), 1):
            title = f"Who bought again, by month of first purchase: channel {channel}"
            tables.append(_table(f"triangle_channel_{place}", title, cells, shown))
    return tuple(tables)


def _cells(source: Source, shown: Window) -> dict[str | None, Cells]:
    rows = source.rows(
        """
        SELECT channel, first, period - first AS age, count(*) FROM active
        WHERE first >= $first GROUP BY ALL
        """,
        {"first": shown.first},
    )
    found: dict[str | None, dict[tuple[int, int], int]] = defaultdict(dict)
    for channel, first, age, buyers in rows:
        found[channel][int(first), int(age)] = int(buyers)
    return dict(found)


def _largest(by_channel: Mapping[str | None, Cells]) -> dict[str, Cells]:
    """The largest channels by new buyers, the rest as one, then those of no known channel."""
    known = {channel: cells for channel, cells in by_channel.items() if channel is not None}

    def new_buyers(channel: str) -> tuple[int, str]:
        return -sum(n for (_, age), n in known[channel].items() if age == 0), channel

    ordered = sorted(known, key=new_buyers)
    found = {channel: known[channel] for channel in ordered[:MOST_CHANNELS]}
    if ordered[MOST_CHANNELS:]:
        rest: dict[tuple[int, int], int] = defaultdict(int)
        for channel in ordered[MOST_CHANNELS:]:
            for cell, buyers in known[channel].items():
                rest[cell] += buyers
        found[OTHERS] = rest
    if None in by_channel:
        found[MISSING] = by_channel[None]
    return found


def _table(name: str, title: str, cells: Cells, shown: Window) -> Table:
    rows = []
    for month in shown.numbers():
        buyers = cells.get((month, 0), 0)
        if not buyers:
            continue
        for age in range(shown.last - month + 1):
            active = cells.get((month, age), 0)
            rows.append((label("month", month), age, buyers, active, ratio(active, buyers)))
    return Table(
        name,
        title,
        FORMULA,
        ("month", "age", "buyers", "active", "rate"),
        tuple(rows),
        Picture("triangle", "age", ("month", "rate")),
        ("", "months", "buyers", "buyers", SHARE),
    )
