"""What became of each buyer of a run?

A unit is a buyer of a run. Its window begins with the first row `sent`, for the held-out with the
first row `held_out`, and ends so many times 24 hours later, exclusive: what answers or buys within
it counts, up to as_of. Delivered are those sent with a row `delivered`; in a run without any such
row, those sent without a row `failed` from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from segengine.audiences.runs import HELD_OUT
from segengine.reports.lift import Mean, Rate
from segengine.reports.rates import average, ratio
from segengine.reports.report import MONEY, SHARE, Source

_UNITS = f"""
CREATE OR REPLACE TEMP TABLE units AS
WITH touched AS (
    SELECT run, buyer,
           min(time) FILTER (kind = 'sent') AS sent_at,
           min(time) FILTER (kind = 'held_out') AS held_at,
           count(*) FILTER (kind = 'delivered') AS delivered,
           max(time) FILTER (kind = 'failed') AS failed_at,
           coalesce(sum(parts) FILTER (kind = 'sent'), 0) AS parts,
           count(*) FILTER (kind = 'sent' AND parts IS NULL) AS uncounted
    FROM contacts GROUP BY run, buyer
), told AS (
    SELECT run, sum(delivered) > 0 AS is_told FROM touched GROUP BY run
), begun AS (
    SELECT m.run, m.buyer, m.arm, r.goal, r.span,
           CASE WHEN m.arm = {HELD_OUT} THEN t.held_at ELSE t.sent_at END AS start,
           m.arm <> {HELD_OUT} AND t.sent_at IS NOT NULL
           AND CASE WHEN told.is_told THEN t.delivered > 0
                    ELSE coalesce(t.failed_at < t.sent_at, TRUE) END AS is_delivered,
           CASE WHEN m.arm <> {HELD_OUT} THEN coalesce(t.parts, 0) ELSE 0 END AS parts,
           CASE WHEN m.arm <> {HELD_OUT} THEN coalesce(t.uncounted, 0) ELSE 0 END AS uncounted
    FROM members m JOIN runs r USING (run)
         LEFT JOIN touched t USING (run, buyer) LEFT JOIN told USING (run)
), answered AS (
    SELECT b.run, b.buyer, min(a.time) AS answered_at,
           min(a.time) FILTER (NOT a.is_click) AS unasked_at
    FROM begun b JOIN answers a
         ON a.goal = b.goal AND a.buyer = b.buyer
         AND a.time >= b.start AND a.time - b.start < b.span
    GROUP BY b.run, b.buyer
), spent AS (
    SELECT b.run, b.buyer, count(*) AS orders, coalesce(sum(p.amount), 0) AS sales
    FROM begun b JOIN bought p
         ON p.buyer = b.buyer AND p.time >= b.start AND p.time - b.start < b.span
    GROUP BY b.run, b.buyer
)
SELECT b.run, b.buyer, b.arm, b.start, b.span, b.is_delivered, b.parts, b.uncounted,
       a.answered_at, a.unasked_at, coalesce(s.orders, 0) AS orders, coalesce(s.sales, 0) AS sales,
       (make_timestamptz(b.start))::DATE AS day,
       b.start IS NOT NULL AND $as_of - b.start < b.span AS is_open
FROM begun b LEFT JOIN answered a USING (run, buyer) LEFT JOIN spent s USING (run, buyer)
"""

_DAY = 86_400_000_000
_MOST_DAYS = 366
"""Days of a window that are listed, at most."""

MEASURES = (
    "targeted", "sent", "delivered", "responded", "response_rate", "parts", "cost", "buyers",
    "orders", "sales", "sales_per_buyer", "sales_per_order", "conversion", "return_on_cost", "open",
)  # fmt: skip
UNITS = (
    "buyers", "buyers", "buyers", "buyers", SHARE, "parts", MONEY, "buyers", "orders", MONEY,
    MONEY, MONEY, SHARE, "", "buyers",
)  # fmt: skip
FORMULA = (
    "sent: buyers with a message of the run; delivered: those with a row `delivered`, or in a run "
    "without any, those sent and not failed; responded: delivered buyers who met the goal from "
    "sent to sent + window x 24 h, exclusive; response rate = responded / delivered; parts: billed "
    "parts of messages sent; cost = parts x price per part when the run was made; buyers: "
    "delivered buyers with a purchase in the same window; orders, sales: their purchases there, "
    "net of refunds; sales per buyer = sales / buyers; sales per order = sales / orders; "
    "conversion = buyers / delivered; return on cost = sales / cost, sales that would have come "
    "anyway among them; open: buyers sent whose window is not over"
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What the targeted buyers of one group came to; money exact. cost: None where not known."""

    targeted: int
    sent: int
    delivered: int
    responded: int
    parts: int
    cost: Decimal | None
    buyers: int
    orders: int
    sales: Decimal
    open: int
    uncounted: int

    def row(self) -> tuple[object, ...]:
        """The measures in the order of `MEASURES`."""
        return (
            self.targeted, self.sent, self.delivered, self.responded,
            ratio(self.responded, self.delivered), self.parts, self.cost, self.buyers,
            self.orders, self.sales, average(self.sales, self.buyers),
            average(self.sales, self.orders), ratio(self.buyers, self.delivered),
            self.return_on_cost, self.open,
        )  # fmt: skip

    @property
    def return_on_cost(self) -> float | None:
        """Sales for each unit of money spent; None where nothing was, or it is not known."""
        return float(self.sales) / float(self.cost) if self.cost else None


def make_units(source: Source, as_of: int) -> None:
    """Make the table `units` of the connection."""
    source.connection.execute(_UNITS, {"as_of": as_of})


def effects(
    source: Source, keys: Sequence[str], prices: Sequence[Decimal | None], scale: int
) -> dict[tuple[Any, ...], Effect]:
    """The effect of each group of targeted buyers; keys: `run`, `arm`, `day`, `cell` (joined).

    prices: what a part cost in each run. A group over runs with different prices has their sum,
    and no cost where one of them is not known.
    """
    joined = "JOIN cells USING (buyer)" if "cell" in keys else ""
    named = ", ".join(["run", *(key for key in keys if key != "run")])
    rows = source.rows(
        f"""
        SELECT {named}, count(*), count(start), count(*) FILTER (is_delivered),
               count(*) FILTER (is_delivered AND answered_at IS NOT NULL),
               coalesce(sum(parts), 0)::BIGINT,
               count(*) FILTER (is_delivered AND orders > 0),
               coalesce(sum(orders) FILTER (is_delivered), 0)::BIGINT,
               coalesce(sum(sales) FILTER (is_delivered), 0)::HUGEINT,
               count(*) FILTER (is_open), coalesce(sum(uncounted), 0)::BIGINT
        FROM units {joined} WHERE arm <> {HELD_OUT}
        GROUP BY ALL ORDER BY ALL
        """
    )
    width = len(named.split(", "))
    found: dict[tuple[Any, ...], Effect] = {}
    for row in rows:
        by = dict(zip(named.split(", "), row[:width], strict=True))
        key = tuple(by[name] for name in keys)
        targeted, sent, delivered, responded, parts, buyers, orders, sales, still, no_parts = row[
            width:
        ]
        price = prices[row[0]]
        cost = None if price is None else price * parts
        money = Decimal(int(sales)).scaleb(-scale)
        one = Effect(targeted, sent, delivered, responded, parts, cost, buyers, orders, money,
                     still, no_parts)  # fmt: skip
        found[key] = added(found[key], one) if key in found else one
    return found


def added(a: Effect, b: Effect) -> Effect:
    """Two groups as one: a buyer of two runs counts in each."""
    cost = None if a.cost is None or b.cost is None else a.cost + b.cost
    return Effect(
        a.targeted + b.targeted, a.sent + b.sent, a.delivered + b.delivered,
        a.responded + b.responded, a.parts + b.parts, cost, a.buyers + b.buyers,
        a.orders + b.orders, a.sales + b.sales, a.open + b.open, a.uncounted + b.uncounted,
    )  # fmt: skip


NOBODY = Effect(0, 0, 0, 0, 0, Decimal(0), 0, 0, Decimal(0), 0, 0)


@dataclass(frozen=True, slots=True)
class Arm:
    """What the buyers of one arm did, delivered or not: as they were dealt, so arms are alike.

    response: without clicks, which nobody can make who was sent nothing.
    """

    response: Rate
    conversion: Rate
    sales: Mean


def arms_of(source: Source, scale: int) -> dict[tuple[int, int], Arm]:
    """Each arm of each run, of the buyers whose window has begun: by run and arm's number."""
    rows = source.rows(
        f"""
        SELECT run, arm, count(*), count(unasked_at), count(*) FILTER (orders > 0),
               avg(sales::DOUBLE / {10**scale}), coalesce(var_samp(sales::DOUBLE / {10**scale}), 0)
        FROM units WHERE start IS NOT NULL GROUP BY run, arm
        """
    )
    return {
        (run, arm): Arm(Rate(hits, n), Rate(bought, n), Mean(n, mean, variance))
        for run, arm, n, hits, bought, mean, variance in rows
    }


def extra_sales(source: Source, scale: int) -> dict[int, tuple[int, float | None]]:
    """By cell: how many are held out, and what the sent bought beyond that, as an estimate.

    (mean sales of the sent - mean sales of the held-out) x sent; None where one of them is empty.
    """
    rows = source.rows(
        f"""
        SELECT cell, count(*) FILTER (arm = {HELD_OUT}),
               (avg(sales::DOUBLE) FILTER (arm <> {HELD_OUT})
                - avg(sales::DOUBLE) FILTER (arm = {HELD_OUT}))
               * count(*) FILTER (arm <> {HELD_OUT}) / {10**scale}
        FROM units JOIN cells USING (buyer) WHERE start IS NOT NULL GROUP BY cell
        """
    )
    return {cell: (held, extra) for cell, held, extra in rows}


def together(arms: Sequence[Arm]) -> Arm:
    """Several arms as one."""
    count = sum(arm.sales.count for arm in arms)
    mean = sum(arm.sales.count * arm.sales.mean for arm in arms) / count if count else 0.0
    spread = sum(
        (arm.sales.count - 1) * arm.sales.variance + arm.sales.count * (arm.sales.mean - mean) ** 2
        for arm in arms
        if arm.sales.count
    )
    return Arm(
        Rate(sum(arm.response.hits for arm in arms), count),
        Rate(sum(arm.conversion.hits for arm in arms), count),
        Mean(count, mean, spread / (count - 1) if count > 1 else 0.0),
    )


def response_by_day(source: Source) -> list[tuple[object, ...]]:
    """(day of the window from 1, first responses, share by then, without clicks, of the held-out).

    Of buyers whose window is over; the first share is of those delivered, the others of an arm.
    """
    rows = source.rows(
        f"""
        SELECT which, day, count(*) FROM (
            SELECT 'delivered' AS which, (answered_at - start) // {_DAY} AS day
            FROM units WHERE start IS NOT NULL AND NOT is_open AND is_delivered
            UNION ALL
            SELECT CASE WHEN arm = {HELD_OUT} THEN 'held' ELSE 'sent' END,
                   (unasked_at - start) // {_DAY}
            FROM units WHERE start IS NOT NULL AND NOT is_open
        ) GROUP BY which, day
        """
    )
    (span,) = source.row("SELECT max(span) FROM units WHERE start IS NOT NULL AND NOT is_open")
    counts: dict[str, dict[int | None, int]] = {"delivered": {}, "sent": {}, "held": {}}
    for which, day, count in rows:
        counts[which][day] = count
    found: list[tuple[object, ...]] = []
    so_far = dict.fromkeys(counts, 0)
    for day in range(min((span or 0) // _DAY, _MOST_DAYS)):
        for which, by_day in counts.items():
            so_far[which] += by_day.get(day, 0)
        shares = (ratio(so_far[which], sum(by_day.values())) for which, by_day in counts.items())
        found.append((day + 1, counts["delivered"].get(day, 0), *shares))
    return found
