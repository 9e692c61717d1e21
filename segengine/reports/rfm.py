"""How recently, how often and for how much do buyers buy, and what are the groups worth?

Scores and groups are the traits of that name; the report counts them.
"""

from __future__ import annotations

from decimal import Decimal

from segengine.days import moment
from segengine.plain import iso
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

COLUMNS = "r_score f_score m_score rfm_group order_count recency_days amount_total"
GROUPS = (
    "important_value",
    "important_develop",
    "important_keep",
    "important_win_back",
    "general_value",
    "general_develop",
    "general_keep",
    "general_win_back",
)
"""In the order of a report: those who spend much first."""
_BUYERS = "order_count > 0"
_MEASURES = (
    ("recency", "r_score", "recency_days", "days"),
    ("orders", "f_score", "order_count", "orders"),
    ("amount", "m_score", "amount_total", MONEY),
)


def rfm(source: Source) -> Report:
    """The grid of r and f, the eight groups, and the cut points with the moment of their fit."""
    buyers, sales = source.row(
        f"SELECT count(*), coalesce(sum(amount_total), 0) FROM customers WHERE {_BUYERS}"
    )
    fixed = source.config.rfm.mode == "fixed"
    notes = [] if buyers else ["No buyer has a purchase yet, so nobody has a score."]
    notes.append(
        "The cut points are those of store.toml; the mean scores are fitted to the buyers."
        if fixed
        else "Cut points and mean scores are fitted at a load and on every new date, never by an "
        "append: a score is a buyer's value now against the cuts as fitted."
    )
    return report_of(
        source, "rfm", "Recency, frequency, money",
        _figures(source, buyers, sales),
        [_grid(source, buyers, sales), _groups(source, buyers, sales), _cuts(source),
         _ranges(source)],
        notes,
    )  # fmt: skip


def _figures(source: Source, buyers: int, sales: Decimal) -> list[Figure]:
    means = source.row(
        f"SELECT avg(r_score), avg(f_score), avg(m_score) FROM customers WHERE {_BUYERS}"
    )
    fitted_at = iso(moment(source.fits.fitted_at))
    return [
        Figure("buyers", "Buyers with a purchase", buyers, "buyers", f"count where {_BUYERS}"),
        Figure("sales", "Sales", sales, MONEY,
               f"sum of amount_total, net of refunds, where {_BUYERS}"),
        *(
            Figure(f"mean_{score}", f"Mean {score[0]} score now", mean, "",
                   f"avg({score}) where {_BUYERS}")
            for (_, score, _, _), mean in zip(_MEASURES, means, strict=True)
        ),
        Figure("fitted_buyers", "Buyers the cuts are fitted to", source.fits.buyers, "buyers",
               "buyers with a purchase at the moment of the fit"),
        Figure("fitted_at", "Moment of the fit", fitted_at, MOMENT,
               "as_of of the last load, or of the first moment of a new date after it"),
    ]  # fmt: skip


def _grid(source: Source, buyers: int, sales: Decimal) -> Table:
    rows = source.rows(
        f"""
        WITH cells AS (
            SELECT r.score AS r_score, f.score AS f_score
            FROM range(5, 0, -1) r(score), range(1, 6) f(score)
        ), counted AS (
            SELECT r_score, f_score, count(*) AS buyers, sum(amount_total) AS sales,
                   avg(m_score) AS mean_m_score, avg(amount_total) AS sales_per_buyer
            FROM customers WHERE {_BUYERS} GROUP BY ALL
        )
        SELECT r_score, f_score, coalesce(buyers, 0), coalesce(buyers, 0) / nullif($buyers, 0),
               coalesce(sales, 0),
               CASE WHEN $sales > 0 THEN coalesce(sales, 0)::DOUBLE / $sales::DOUBLE END,
               sales_per_buyer, mean_m_score
        FROM cells LEFT JOIN counted USING (r_score, f_score)
        ORDER BY r_score DESC, f_score
        """,
        {"buyers": buyers, "sales": sales},
    )
    return Table(
        "grid", "Buyers by r and f score",
        "buyers: count by r_score and f_score; share: buyers / all buyers with a purchase; sales: "
        "sum of amount_total; share_of_sales: sales / all sales; sales_per_buyer: sales / buyers; "
        "mean_m_score: avg(m_score)",
        ("r_score", "f_score", "buyers", "share", "sales", "share_of_sales", "sales_per_buyer",
         "mean_m_score"),
        tuple(rows),
        Picture("grid", "f_score", ("r_score", "buyers", "sales", "mean_m_score")),
        ("", "", "buyers", SHARE, MONEY, SHARE, MONEY, ""),
    )  # fmt: skip


def _groups(source: Source, buyers: int, sales: Decimal) -> Table:
    rows = source.rows(
        f"""
        WITH counted AS (
            SELECT rfm_group, count(*) AS buyers, sum(amount_total) AS sales,
                   avg(recency_days) AS recency, avg(order_count) AS orders,
                   avg(amount_total) AS amount
            FROM customers WHERE {_BUYERS} GROUP BY ALL
        )
        SELECT rfm_group, coalesce(buyers, 0), coalesce(buyers, 0) / nullif($buyers, 0),
               coalesce(sales, 0),
               CASE WHEN $sales > 0 THEN coalesce(sales, 0)::DOUBLE / $sales::DOUBLE END,
               recency, orders, amount
        FROM unnest($groups) WITH ORDINALITY AS g(rfm_group, place)
        LEFT JOIN counted USING (rfm_group) ORDER BY place
        """,
        {"buyers": buyers, "sales": sales, "groups": list(GROUPS)},
    )
    return Table(
        "groups", "The eight groups",
        "rfm_group: r, f, m each high when above the mean score, important_ where m is high, "
        "general_ where it is not; value: r and f high, develop: r alone, keep: f alone, win_back: "
        "neither. buyers: count; share: buyers / all buyers with a purchase; sales: sum of "
        "amount_total; share_of_sales: sales / all sales; mean_*: avg over the group's buyers",
        ("rfm_group", "buyers", "share", "sales", "share_of_sales", "mean_recency_days",
         "mean_orders", "mean_amount"),
        tuple(rows),
        Picture("bars", "rfm_group", ("share", "share_of_sales")),
        ("", "buyers", SHARE, MONEY, SHARE, "days", "orders", MONEY),
    )  # fmt: skip


def _cuts(source: Source) -> Table:
    fit = source.fits.of["RFM"]
    cuts = [fit.shown[name] or (None,) * 4 for name, _, _, _ in _MEASURES]
    means = [float(mean) if source.fits.buyers else None for mean in fit.cuts.means]
    rows = [(f"cut {place}", *found) for place, found in enumerate(zip(*cuts, strict=True), 1)]
    how = (
        "given in store.toml"
        if source.config.rfm.mode == "fixed"
        else "continuous quantiles at .2, .4, .6, .8 over buyers with a purchase, when fitted"
    )
    return Table(
        "cuts", "Cut points and mean scores",
        f"cuts: {how}. f_score and m_score: 1 + the cuts below the value; r_score: 5 - the cuts "
        "below recency_days. mean score: avg of r_score, f_score, m_score over buyers with a "
        "purchase, when fitted; a score above it is high",
        ("of", "recency_days", "order_count", "amount_total"),
        (*rows, ("mean score", *means)),
    )  # fmt: skip


def _ranges(source: Source) -> Table:
    counted = [
        f"""
        SELECT {score} AS score, count(*) AS {name}_buyers, min({column}) AS {name}_lowest,
               max({column}) AS {name}_highest
        FROM customers WHERE {_BUYERS} GROUP BY ALL
        """
        for name, score, column, _ in _MEASURES
    ]
    joined = " ".join(f"LEFT JOIN ({sql}) USING (score)" for sql in counted)
    measured = [f"{name}_{of}" for name, *_ in _MEASURES for of in ("buyers", "lowest", "highest")]
    filled = [f"coalesce({c}, 0)" if c.endswith("_buyers") else c for c in measured]
    rows = source.rows(
        f"SELECT score, {', '.join(filled)} FROM range(5, 0, -1) s(score) {joined} "
        "ORDER BY score DESC"
    )
    return Table(
        "scores", "What each score holds",
        "by r_score for recency, f_score for orders, m_score for amount: buyers: count; lowest, "
        "highest: min and max of recency_days, order_count, amount_total over those buyers. Equal "
        "values share a score, so the fifths need not be equal",
        ("score", *measured),
        tuple(rows),
        units=("", *(u for *_, unit in _MEASURES for u in ("buyers", unit, unit))),
    )  # fmt: skip
