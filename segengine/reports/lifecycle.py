"""Where are buyers in their life as customers, and who moved since an earlier date?

The stage at both moments is worked out here from the purchases up to each, by the definition of
the trait lifecycle_stage with today's thresholds; at as_of it is the trait. Every buyer the store
knows now is asked about at both: who was not known yet was a prospect. Status columns of orders
are read as they stand, whatever the moment.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from segengine import days
from segengine.errors import ReportError
from segengine.plain import iso
from segengine.reports.rates import ratio, share_of_sales
from segengine.reports.report import (
    MOMENT,
    MONEY,
    SHARE,
    Figure,
    Picture,
    Report,
    Source,
    Table,
    report_of,
)

CUSTOMERS = "customer_id amount_total"
PURCHASES = "customer_id time"
STAGES = ("prospect", "new", "active", "at_risk", "sleeping", "lapsed")
DATES_BACK = 30
NONE_YET = "no purchase up to this moment: everybody is a prospect"
Thresholds = dict[str, int]
_QUIET = ("sleeping", "lapsed")
_AWAKE = ("active", "at_risk")


def lifecycle(source: Source, *, since: date | datetime | None = None) -> Report:
    """The stages now and at an earlier moment, and who went from which to which.

    since: the earlier date, whose last moment is meant, or an aware moment; by default the date
    30 before today, so that the flow is of the 30 dates that end today. Raises `ReportError` for
    one that is not before as_of.
    """
    then = _moment_of(source, since)
    thresholds = thresholds_of(source)
    _make_stages(source, then, thresholds)
    buyers, bought, new, returning = source.row(
        """
        SELECT count(*), count(*) FILTER (now <> 'prospect'),
               count(*) FILTER (orders_then = 0 AND orders_now > 0),
               count(*) FILTER (orders_then > 0 AND orders_now > orders_then)
        FROM staged
        """
    )
    said = source.fits.shown.get("lifecycle", {}).get("source", "as given in store.toml")
    period = "purchases after the earlier moment, up to as_of"
    figures = [
        Figure("then", "The earlier moment", iso(then), MOMENT,
               "the last moment of the date asked for; 30 dates before today where none is"),
        Figure("buyers", "Buyers", buyers, "buyers", "count of all the store knows now"),
        Figure("buyers_with_a_purchase", "Buyers with a purchase", bought, "buyers",
               "count where lifecycle_stage <> 'prospect'"),
        Figure("new", "New since then", new, "buyers",
               f"first purchase among {period}"),
        Figure("returning", "Returning since then", returning, "buyers",
               f"first purchase before, and one among {period}"),
        Figure("fell_quiet", "Fell quiet", _moved(source, ("new", *_AWAKE), _QUIET), "buyers",
               "new, active or at_risk then; sleeping or lapsed now"),
        Figure("woken", "Came back", _moved(source, _QUIET, _AWAKE), "buyers",
               "sleeping or lapsed then; active or at_risk now"),
        *(
            Figure(name, name, count, "days", f"lifecycle.{name}, {said}")
            for name, count in thresholds.items()
        ),
    ]  # fmt: skip
    return report_of(
        source, "lifecycle", "Life cycle of buyers", figures,
        [_stages(source, buyers), _flow(source), _matrix(source)],
        () if bought else (NONE_YET,),
    )  # fmt: skip


def thresholds_of(source: Source) -> Thresholds:
    """The thresholds in dates that hold now, in the order of the stages."""
    settings, fitted = source.config.lifecycle, source.fits.shown.get("lifecycle", {})
    return {
        name: int(fitted.get(name, getattr(settings, name)))
        for name in ("new_days", "active_days", "sleeping_days")
    }


def stage_sql(orders: str, recency: str, span: str, thresholds: Thresholds) -> str:
    """lifecycle_stage as SQL; span: dates from first to last purchase.

    gap_ratio is recency / (span / (orders - 1)): above 1.5 is asked in whole numbers.
    """
    return f"""
        CASE WHEN {orders} = 0 THEN 'prospect'
             WHEN {orders} = 1 AND {recency} <= {thresholds["new_days"]} THEN 'new'
             WHEN {recency} <= {thresholds["active_days"]} AND {orders} >= 3 AND {span} > 0
                  AND 2 * {recency} * ({orders} - 1) > 3 * {span} THEN 'at_risk'
             WHEN {recency} <= {thresholds["active_days"]} THEN 'active'
             WHEN {recency} <= {thresholds["sleeping_days"]} THEN 'sleeping'
             ELSE 'lapsed' END
    """


def _moment_of(source: Source, since: date | datetime | None) -> datetime:
    """The earlier moment: the last microsecond of a date by the store's clock, or as given."""
    if since is None:
        since = source.today - timedelta(days=DATES_BACK)
    if not isinstance(since, datetime):
        if not isinstance(since, date):
            raise ReportError(f"`since`: must be a date, not `{since}`", field="since")
        zone = days.zone(source.timezone)
        day = (since - date(1970, 1, 1)).days
        then = days.moment(zone.start_of_day(day + 1) - 1)
    elif since.tzinfo is None:
        raise ReportError(f"`since`: `{since}` has no timezone; give a date", field="since")
    else:
        then = since
    if then >= source.as_of:
        raise ReportError(
            f"`since`: `{since}` does not end before `{iso(source.as_of)}`, the moment of the "
            "report; give an earlier date",
            field="since",
        )
    return then


def _make_stages(source: Source, then: datetime, thresholds: Thresholds) -> None:
    """Make the table `staged`: a row for each buyer, orders and stage at both moments."""
    at_then = stage_sql("orders_then", "recency_then", "span_then", thresholds)
    at_now = stage_sql("orders_now", "recency_now", "span_now", thresholds)
    source.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE staged AS
        WITH dated AS (
            SELECT customer_id, time::DATE AS day, time <= $then AS before FROM purchases
        ), counted AS (
            SELECT customer_id, count(*) AS orders_now,
                   $now::TIMESTAMPTZ::DATE - max(day) AS recency_now,
                   max(day) - min(day) AS span_now,
                   count(*) FILTER (before) AS orders_then,
                   $then::TIMESTAMPTZ::DATE - max(day) FILTER (before) AS recency_then,
                   max(day) FILTER (before) - min(day) FILTER (before) AS span_then
            FROM dated GROUP BY customer_id
        ), everybody AS (
            SELECT amount_total, coalesce(orders_now, 0) AS orders_now, recency_now, span_now,
                   coalesce(orders_then, 0) AS orders_then, recency_then, span_then
            FROM customers LEFT JOIN counted USING (customer_id)
        )
        SELECT orders_then, orders_now, amount_total, {at_then} AS before, {at_now} AS now
        FROM everybody
        """,
        {"then": then, "now": source.as_of},
    )


def _moved(source: Source, before: tuple[str, ...], now: tuple[str, ...]) -> int:
    (count,) = source.row(
        "SELECT count(*) FROM staged "
        "WHERE list_contains($before, before) AND list_contains($now, now)",
        {"before": list(before), "now": list(now)},
    )
    return int(count)


def _stages(source: Source, buyers: int) -> Table:
    before = dict(source.rows("SELECT before, count(*) FROM staged GROUP BY before"))
    now = {
        stage: (count, sales)
        for stage, count, sales in source.rows(
            "SELECT now, count(*), coalesce(sum(amount_total), 0) FROM staged GROUP BY now"
        )
    }
    (everything,) = source.row("SELECT coalesce(sum(amount_total), 0) FROM staged")
    nothing = everything - everything
    rows = []
    for stage in STAGES:
        earlier, (count, sales) = before.get(stage, 0), now.get(stage, (0, nothing))
        part = share_of_sales(sales, everything)
        rows.append(
            (stage, earlier, count, count - earlier, ratio(earlier, buyers), ratio(count, buyers),
             sales, part)
        )  # fmt: skip
    return Table(
        "stages", "Buyers by stage, then and now",
        "then, now: buyers of the stage at the earlier moment and at as_of; change: now - then; "
        "share: of all buyers; sales: sum of amount_total of those who are in the stage now; "
        "share_of_sales: sales / sales of all buyers",
        ("stage", "then", "now", "change", "share_then", "share_now", "sales", "share_of_sales"),
        tuple(rows),
        Picture("bars", "stage", ("then", "now")),
        ("", "buyers", "buyers", "buyers", SHARE, SHARE, MONEY, SHARE),
    )  # fmt: skip


_PAIRS = """
    WITH pairs AS (
        SELECT b.stage AS before, n.stage AS now, b.place AS from_place, n.place AS to_place
        FROM unnest($stages) WITH ORDINALITY AS b(stage, place),
             unnest($stages) WITH ORDINALITY AS n(stage, place)
    ), counted AS (
        SELECT before, now, count(*) AS buyers FROM staged GROUP BY ALL
    )
    SELECT before, now, coalesce(buyers, 0) AS buyers,
           coalesce(buyers, 0) / nullif(sum(buyers) OVER (PARTITION BY before), 0) AS share
    FROM pairs LEFT JOIN counted USING (before, now)
"""


def _flow(source: Source) -> Table:
    rows = source.rows(
        f"""
        SELECT before, now, buyers FROM ({_PAIRS})
        WHERE buyers > 0 AND now <> 'prospect'
        ORDER BY list_position($stages, before), list_position($stages, now)
        """,
        {"stages": list(STAGES)},
    )
    return Table(
        "flow", "Who went where",
        "buyers: count by stage then and stage now, of those who have bought by now; a prospect "
        "then is who had not bought yet",
        ("then", "now", "buyers"),
        tuple(rows),
        Picture("flow", "then", ("now", "buyers")),
        ("", "", "buyers"),
    )  # fmt: skip


def _matrix(source: Source) -> Table:
    rows = source.rows(f"{_PAIRS} ORDER BY from_place, to_place", {"stages": list(STAGES)})
    return Table(
        "matrix", "From each stage to each",
        "buyers: count by stage then and stage now, of all buyers; share: buyers / all who were "
        "in that stage then",
        ("then", "now", "buyers", "share_of_then"),
        tuple(rows),
        Picture("grid", "now", ("then", "buyers", "share_of_then")),
        ("", "", "buyers", SHARE),
    )  # fmt: skip
