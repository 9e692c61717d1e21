"""How many of those who came new are still there, a day, a week, a month, a quarter later?

Of those new in period D, the share that is active in exactly period D+N. A cohort younger than N,
whose period D+N has not begun by as_of, is in neither number; one whose D+N is the period of as_of
is in both, unless `complete` leaves out what is not over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from segengine.reports.activity import WHAT, checked_activity, make_active
from segengine.reports.periods import Window, checked_grain, checked_last, label, window
from segengine.reports.rates import ratio
from segengine.reports.report import SHARE, Figure, Picture, Report, Source, Table, report_of
from segengine.reports.triangle import MOST_CHANNELS, triangles
from segengine.reports.wording import MISSING, NOTHING_BOUGHT, OTHERS, said

STEPS = {"day": (1, 3, 7, 30), "week": (1, 2, 4, 8), "month": (1, 2, 3, 6), "quarter": (1, 2, 3, 4)}
"""The N of each grain."""
COHORTS = {"day": 90, "week": 26, "month": 13, "quarter": 8}
"""How many of the latest cohorts are counted: of 90 days, 60 are old enough for day 30."""
NOT_OVER = "the newest cohort of each N is counted in a period that is not over at this moment"

Key = tuple[str | None, int, int]
"""A channel, the period its buyers were new in, and N; N = 0 is all of them."""


def retention(
    source: Source,
    *,
    activity: str = "purchase",
    grain: str = "day",
    last: int | None = None,
    complete: bool = False,
) -> Report:
    """The report.

    activity: `visit`, `behaviour` (any) or `purchase`. grain: `day`, `week`, `month`, `quarter`.
    last: how many of the latest cohorts are counted, by default 90 days, 26 weeks, 13 months, 8
    quarters; also of the triangle's months, and of the periods of returning users. complete:
    count nothing in a period that is not over.
    """
    activity = checked_activity(activity)
    cohorts = COHORTS[checked_grain(grain)] if last is None else checked_last(last, grain)
    earliest = make_active(source, activity, grain)
    shown = window(source, grain, cohorts, earliest)
    seen = shown.complete if complete else shown.last
    cells = _cells(source, shown)
    word = WHAT[activity][0]
    formula = (
        f"new: first {word} in {grain} D; active: of those, {word} in exactly {grain} D+N; "
        "rate = active / new; cohorts younger than N are left out"
    )
    days_n = _pooled(cells, shown, seen)
    tables = [_overall(grain, formula, days_n), _cohorts(grain, formula, cells, shown, seen)]
    channels = _by_channel(cells, shown, seen)
    if channels:
        tables.append(_channels(grain, formula, channels))
    again = _returning(source, shown)
    tables.append(_returning_table(grain, word, again, shown))
    figures = [
        Figure(
            f"{grain}_{n}_retention",
            f"{grain.capitalize()}-{n} retention",
            ratio(active, new),
            SHARE,
            f"{formula}; N = {n}: {said(active, new)}",
        )
        for n, (_, new, active) in days_n.items()
    ]
    by_month = triangles(source, last)
    tables.extend(by_month)
    notes = [NOT_OVER] if cells and seen > shown.complete else []
    if earliest is None:
        notes.append(f"nobody {word} up to this moment: there is nothing to count")
    elif not channels:
        notes.append("no acquisition channel is known of anybody: nothing is shown by channel")
    if activity != "purchase" and not by_month[0].rows:
        notes.append(NOTHING_BOUGHT)
    return report_of(source, "retention", "Who stays", figures, tables, notes)


def _cells(source: Source, shown: Window) -> Mapping[Key, int]:
    """Active buyers by channel, cohort and N. Needs `active`."""
    rows = source.rows(
        """
        SELECT channel, first, period - first AS n, count(*) FROM active
        WHERE first >= $first AND list_contains($steps, period - first) GROUP BY ALL
        """,
        {"first": shown.first, "steps": [0, *STEPS[shown.grain]]},
    )
    return {(channel, int(first), int(n)): int(buyers) for channel, first, n, buyers in rows}


def _pooled(cells: Mapping[Key, int], shown: Window, seen: int) -> dict[int, tuple[int, int, int]]:
    """By N: how many cohorts are old enough, their new buyers, and those active.

    Zeros of nobody, too, so that a figure of each N is there.
    """
    found = {}
    for n in STEPS[shown.grain]:
        old = {first for _, first, age in cells if age == 0 and first + n <= seen}
        new = sum(b for (_, first, age), b in cells.items() if age == 0 and first in old)
        active = sum(b for (_, first, age), b in cells.items() if age == n and first in old)
        found[n] = (len(old), new, active)
    return found


def _overall(grain: str, formula: str, pooled: Mapping[int, tuple[int, int, int]]) -> Table:
    rows = [
        (n, old, new, active, ratio(active, new)) for n, (old, new, active) in pooled.items() if old
    ]
    return Table(
        "retention",
        f"Retention after N {grain}s",
        f"{formula}; over all cohorts shown",
        ("n", "cohorts", "new", "active", "rate"),
        tuple(rows),
        Picture("bars", "n", ("rate",)),
        (f"{grain}s", "cohorts", "buyers", "buyers", SHARE),
    )


def _cohorts(grain: str, formula: str, cells: Mapping[Key, int], shown: Window, seen: int) -> Table:
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for (_, first, n), buyers in cells.items():
        counts[first, n] += buyers
    rows: list[tuple[object, ...]] = []
    for cohort in shown.numbers():
        new = counts.get((cohort, 0), 0)
        rates = [
            ratio(counts.get((cohort, n), 0), new) if cohort + n <= seen else None
            for n in STEPS[grain]
        ]
        active = [counts.get((cohort, n), 0) if cohort + n <= seen else None for n in STEPS[grain]]
        if new:
            rows.append((label(grain, cohort), new, *active, *rates))
    names = [f"active_{n}" for n in STEPS[grain]], [f"rate_{n}" for n in STEPS[grain]]
    return Table(
        "cohorts",
        f"Retention of each {grain}'s new buyers",
        f"{formula}: active_N and rate_N are then empty",
        ("cohort", "new", *names[0], *names[1]),
        tuple(rows),
        Picture("lines", "cohort", tuple(names[1])),
        ("", "buyers", *("buyers" for _ in names[0]), *(SHARE for _ in names[1])),
    )


def _by_channel(
    cells: Mapping[Key, int], shown: Window, seen: int
) -> dict[str, dict[int, tuple[int, int, int]]]:
    """The same by channel, the one with most new buyers first; empty where none is known."""
    sizes: dict[str | None, int] = defaultdict(int)
    for (channel, _, n), buyers in cells.items():
        sizes[channel] += buyers if n == 0 else 0
    if not set(sizes) - {None}:
        return {}
    named = sorted((c for c in sizes if c is not None), key=lambda c: (-sizes[c], c))
    own, rest = named[:MOST_CHANNELS], named[MOST_CHANNELS:]
    groups: dict[str, list[str | None]] = {channel: [channel] for channel in own}
    if rest:
        groups[OTHERS] = list(rest)
    if None in sizes:
        groups[MISSING] = [None]
    return {
        name: _pooled({k: b for k, b in cells.items() if k[0] in members}, shown, seen)
        for name, members in groups.items()
    }


def _channels(
    grain: str, formula: str, channels: Mapping[str, Mapping[int, tuple[int, int, int]]]
) -> Table:
    rows = [
        (channel, n, old, new, active, ratio(active, new))
        for channel, pooled in channels.items()
        for n, (old, new, active) in pooled.items()
    ]
    return Table(
        "channels",
        f"Retention after N {grain}s, by acquisition channel",
        f"{formula}; over the buyers of each channel, at most {MOST_CHANNELS} by themselves",
        ("channel", "n", "cohorts", "new", "active", "rate"),
        tuple(rows),
        Picture("grid", "n", ("channel", "rate")),
        ("", f"{grain}s", "cohorts", "buyers", "buyers", SHARE),
    )


def _returning(source: Source, shown: Window) -> dict[int, tuple[int, int]]:
    """By P: buyers active in P-1 and before it, and those of them active in P. Needs `active`."""
    rows = source.rows(
        """
        SELECT before.period + 1, count(*), count(again.period)
        FROM active AS before LEFT JOIN active AS again
            ON again.customer_id = before.customer_id AND again.period = before.period + 1
        WHERE before.first < before.period AND before.period + 1 BETWEEN $first AND $last
        GROUP BY 1
        """,
        {"first": shown.first, "last": shown.last},
    )
    return {int(period): (int(buyers), int(stayed)) for period, buyers, stayed in rows}


def _returning_table(
    grain: str, word: str, again: Mapping[int, tuple[int, int]], shown: Window
) -> Table:
    rows = []
    for number in shown.numbers():
        buyers, stayed = again.get(number, (0, 0))
        over = number <= shown.complete
        rows.append((label(grain, number), over, buyers, stayed, ratio(stayed, buyers)))
    return Table(
        "returning",
        f"Retention of returning users, by {grain}",
        f"rate = {word} before P-1, in P-1 and again in P / {word} before P-1 and in P-1; "
        f"complete: the {grain} is over",
        ("period", "complete", "returning", "active", "rate"),
        tuple(rows),
        Picture("lines", "period", ("rate",)),
        ("", "", "buyers", "buyers", SHARE),
    )
