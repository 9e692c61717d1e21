"""After how many orders does a buyer's coming back no longer depend on how many they were?

p(X) is the share of buyers with X orders or more who have X + 1 or more. It rises with X and then
levels off. The settled order count, which trade calls the "magic number", is the first X at which
p(X) is 90 % of that level. It is a correlation: buyers who like the shop order often, and pushing
somebody over the number makes nobody like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segengine.reports.periods import local_day
from segengine.reports.rates import ratio
from segengine.reports.report import SHARE, Figure, Picture, Source, Table
from segengine.reports.wording import said

ENOUGH_BUYERS = 100
OLDER_THAN_DAYS = 180
SHOWN = 30
"""Orders up to which p(X) is shown, where buyers ordered so often; further if the level is."""

CORRELATION = (
    "the settled order count is a correlation: it says from where on buyers keep coming, not that "
    "one more order makes a buyer come back"
)
P_OF_X = "p(X) = buyers with >= X+1 orders / buyers with >= X orders"
LEVEL = (
    f"plateau: sum of buyers with >= X+1 / sum of buyers with >= X, over the upper half of those "
    f"X that at least {ENOUGH_BUYERS} buyers reached"
)


@dataclass(frozen=True, slots=True)
class Settled:
    """The settled order count, and the level it was found by: next / reached over X from .. to."""

    orders: int
    next: int
    reached: int
    from_orders: int
    to_orders: int


def settled(reached: Sequence[int]) -> Settled | None:
    """The settled order count; None where fewer than 100 buyers bought, or nobody came back.

    reached: how many buyers have 1, 2, 3 ... orders or more, falling; beyond its end nobody. The
    upper half of the n first X is those above n / 2, the middle one included. All comparisons are
    of whole numbers, so that a rate of exactly 90 % of the level is found.
    """
    enough = sum(1 for buyers in reached if buyers >= ENOUGH_BUYERS)
    counts = [*reached, 0]
    upper = range(enough // 2, enough)
    base = sum(counts[i] for i in upper)
    again = sum(counts[i + 1] for i in upper)
    if not again:
        return None
    for i in range(enough):
        if 10 * counts[i + 1] * base >= 9 * again * counts[i]:
            return Settled(i + 1, again, base, upper[0] + 1, enough)
    raise AssertionError("a pooled rate lies within those it is pooled of")


def reached_counts(source: Source) -> list[tuple[int, int, int, int]]:
    """For X = 1, 2, ...: X, buyers with X orders or more, those that are old, and come back.

    Old: buyers whose X-th order is older than 180 dates; the last number is how many of these
    have X + 1 orders or more. Needs `bought`.
    """
    rows = source.rows(
        """
        WITH nth AS (
            SELECT row_number() OVER (PARTITION BY customer_id ORDER BY time) AS x, date,
                   count(*) OVER (PARTITION BY customer_id) AS orders
            FROM bought
        )
        SELECT x, count(*),
               count(*) FILTER (date - DATE '1970-01-01' < $before),
               count(*) FILTER (date - DATE '1970-01-01' < $before AND orders > x)
        FROM nth GROUP BY x ORDER BY x
        """,
        {"before": local_day(source) - OLDER_THAN_DAYS},
    )
    return [(int(x), int(n), int(old), int(again)) for x, n, old, again in rows]


def order_count_table(counts: Sequence[tuple[int, int, int, int]]) -> Table:
    """The table of p(X) from `reached_counts`."""
    buyers = [n for _, n, _, _ in counts]
    enough = sum(1 for n in buyers if n >= ENOUGH_BUYERS)
    rows = [
        (x, n, after, ratio(after, n), old, again, ratio(again, old))
        for (x, n, old, again), after in zip(counts, [*buyers[1:], 0], strict=False)
    ][: max(SHOWN, enough)]
    return Table(
        "after_orders",
        "How many come back after X orders",
        f"{P_OF_X}; old: the same among buyers whose X-th order is older than {OLDER_THAN_DAYS} "
        "dates, who all had time to come back",
        ("orders", "buyers", "buyers_next", "rate", "old_buyers", "old_buyers_next", "old_rate"),
        tuple(rows),
        Picture("lines", "orders", ("rate", "old_rate")),
        ("orders", "buyers", "buyers", SHARE, "buyers", "buyers", SHARE),
    )


def settled_figures(counts: Sequence[tuple[int, int, int, int]]) -> tuple[Figure, Figure]:
    """The settled order count and the level it was found by; None where there is none."""
    found = settled([n for _, n, _, _ in counts])
    level = None if found is None else found.next / found.reached
    numbers = (
        f"; here X = {found.from_orders} to {found.to_orders}: {said(found.next, found.reached)}"
        if found is not None
        else ""
    )
    return (
        Figure(
            "settled_order_count",
            'Settled order count ("magic number")',
            None if found is None else found.orders,
            "orders",
            f"the first X with p(X) >= 90 % of the plateau; {P_OF_X}",
        ),
        Figure("plateau", "Level that p(X) settles at", level, SHARE, LEVEL + numbers),
    )


def why_none(counts: Sequence[tuple[int, int, int, int]]) -> str:
    """Why there is no settled order count; empty where there is one."""
    buyers = [n for _, n, _, _ in counts]
    if settled(buyers) is not None:
        return ""
    if not buyers or buyers[0] < ENOUGH_BUYERS:
        had = buyers[0] if buyers else 0
        return (
            f"no settled order count: it needs {ENOUGH_BUYERS} buyers with a purchase, and there "
            f"are {had:,}"
        )
    return "no settled order count: of those who bought often enough to tell, nobody came back"
