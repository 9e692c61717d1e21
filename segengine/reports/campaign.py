"""What did a campaign earn, beyond what would have come without it?

Each run of it by itself and all together: who was meant, who was reached, who did what the campaign
was for within its window, what they bought and what it cost; beside those who were held out, and
variant beside variant. All of it up to as_of: what is still open is said to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from segengine.days import micros, moment, zone
from segengine.reports.campaign_given import Given
from segengine.reports.campaign_lift import compared_tables, lift_tables, ratio_table
from segengine.reports.campaign_units import (
    FORMULA,
    MEASURES,
    NOBODY,
    UNITS,
    Effect,
    added,
    arms_of,
    effects,
    extra_sales,
    make_units,
    response_by_day,
)
from segengine.reports.cells import Cells, rule_of
from segengine.reports.lift import SMALL, Lift
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
from segengine.reports.wording import said

_TITLES = {
    "targeted": "Targeted", "sent": "Sent", "delivered": "Delivered", "responded": "Responded",
    "response_rate": "Response rate", "parts": "Billed parts", "cost": "Cost",
    "buyers": "Bought within the window", "orders": "Orders", "sales": "Sales",
    "sales_per_buyer": "Sales per buyer", "sales_per_order": "Sales per order",
    "conversion": "Conversion", "return_on_cost": "Return on cost",
    "open": "Windows still open",
}  # fmt: skip
_FORMULAS = {
    "targeted": "buyers of the runs who were not held out, those deleted since left out",
    "sent": "targeted buyers with a message of the run",
    "delivered": "those with a row `delivered`; in a run without any, those sent and not failed",
    "responded": "delivered buyers who met the goal within the window",
    "response_rate": "responded / delivered",
    "parts": "parts of the messages sent",
    "cost": "parts x price per part when the run was made",
    "buyers": "delivered buyers with a purchase within the window",
    "orders": "their purchases within the window",
    "sales": "net amount of these purchases",
    "sales_per_buyer": "sales / buyers who bought",
    "sales_per_order": "sales / orders",
    "conversion": "bought within the window / delivered",
    "return_on_cost": "sales / cost",
    "open": "buyers sent whose window is not over at as_of",
}


def campaign(
    source: Source,
    *,
    run: str | None = None,
    campaign: str | None = None,
    by: str | Sequence[str] | None = None,
) -> Report:
    """The effect of a run, or of every run of a campaign; by: traits to divide the buyers by."""
    del run, by
    given = source.given
    assert isinstance(given, Given)
    runs, prices = given.runs, [facts.price for facts in given.runs]
    make_units(source, micros(source.as_of, zone("UTC")))
    scale = given.money_scale
    by_run = effects(source, ["run"], prices, scale)
    by_arm = effects(source, ["run", "arm"], prices, scale)
    arms = arms_of(source, scale)
    whole = NOBODY
    for effect in by_run.values():
        whole = added(whole, effect)
    lifts, of_all = lift_tables(runs, arms, given.only_clicks)
    ratios, suspect = ratio_table(runs)
    tables = [
        _runs(source, given, by_run),
        _variants(given, by_arm),
        *lifts,
        *compared_tables(runs, arms),
        ratios,
        _by_response_day(source),
        _days(source, given, prices, scale),
    ]
    figures = _figures(whole, of_all if len(runs) == 1 else {}, len(runs))
    if given.cells is not None:
        by_cell = effects(source, ["cell"], prices, scale)
        cells, rule = _cells(given.cells, by_cell, extra_sales(source, scale))
        tables.append(cells)
        figures.append(rule)
    asked = runs[0].campaign if campaign is not None or len(runs) > 1 else runs[0].run
    notes = [*suspect, *_notes(given, whole, arms), *_said_plainly(of_all, len(runs))]
    return report_of(source, "campaign", f"What `{asked}` earned", figures, tables, notes)


def _figures(whole: Effect, lifts: Mapping[str, Sequence[Lift]], runs: int) -> list[Figure]:
    several = "" if runs == 1 else "; a buyer of two runs counts in each"
    found = [
        Figure(name, _TITLES[name], value, unit, f"{_FORMULAS[name]}{several}")  # type: ignore[arg-type]
        for name, value, unit in zip(MEASURES, whole.row(), UNITS, strict=True)
    ]
    for name, title, unit in (
        ("response", "Lift in response rate", SHARE),
        ("conversion", "Lift in conversion", SHARE),
        ("sales", "Lift in sales per buyer of the arm", MONEY),
    ):
        for each in lifts.get(name, ()):
            if each.absolute is not None:
                low, high = _number(each.interval.low, unit), _number(each.interval.high, unit)
                found.append(
                    Figure(
                        f"lift_in_{name}", title, each.absolute, unit,
                        f"all targeted less the held-out, 95 % interval {low} to {high}: "
                        f"{each.verdict}",
                    )
                )  # fmt: skip
    return found


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "?"
    return f"{100 * value:.2f} %" if unit == SHARE else f"{value:.2f}"


def _runs(source: Source, given: Given, by_run: Mapping[tuple[object, ...], Effect]) -> Table:
    rows = []
    for number, facts in enumerate(given.runs):
        effect = by_run.get((number,), NOBODY)
        rows.append((
            facts.run, facts.segment, moment(facts.as_of), facts.goal or "click, visit or purchase",
            facts.window_days, facts.held_out, sum(facts.forgotten), *effect.row(),
        ))  # fmt: skip
    del source
    return Table(
        "runs",
        "Runs",
        "segment: the campaign's rule when it was run; held_out: buyers withheld; deleted: buyers "
        f"of the run deleted since, of whom nothing else is known; {FORMULA}",
        ("run", "segment", "as_of", "goal", "window_days", "held_out", "deleted", *MEASURES),
        tuple(rows),
        None,
        ("", "", MOMENT, "", "days", "buyers", "buyers", *UNITS),
    )


_AS_ABOVE = "the other columns: as those of the table of runs"


def _variants(given: Given, by_arm: Mapping[tuple[object, ...], Effect]) -> Table:
    rows = []
    for number, facts in enumerate(given.runs):
        for place, (name, _) in enumerate(facts.variants):
            rows.append((facts.run, name, *by_arm.get((number, place), NOBODY).row()))
    return Table(
        "variants",
        "Variants",
        _AS_ABOVE,
        ("run", "variant", *MEASURES),
        tuple(rows),
        Picture("bars", "variant", ("response_rate", "conversion"))
        if len(given.runs) == 1
        else None,
        ("", "", *UNITS),
    )


def _days(source: Source, given: Given, prices: Sequence[Decimal | None], scale: int) -> Table:
    """Run, variant and the date on which buyers were sent their message."""
    rows = []
    for (run, arm, day), effect in effects(source, ["run", "arm", "day"], prices, scale).items():
        facts = given.runs[run]
        variant = facts.variants[arm][0] if arm >= 0 else None
        rows.append((facts.run, variant, None if day is None else day.isoformat(), *effect.row()))
    return Table(
        "days",
        "By the day on which buyers were sent their message",
        "day: of the first message, by the store's clock; without one: targeted and not sent yet; "
        f"{_AS_ABOVE}",
        ("run", "variant", "day", *MEASURES),
        tuple(rows),
        None,
        ("", "", "", *UNITS),
    )


def _by_response_day(source: Source) -> Table:
    return Table(
        "response_by_day",
        "Response by day of the window",
        "day: of the window, each 24 h, of buyers whose window is over; responses: first responses "
        "of delivered buyers on that day; delivered = those who have responded by its end / "
        "delivered; sent and held_out: the same of all sent and of the held-out, clicks left out, "
        "so that the two can be compared",
        ("day", "responses", "delivered", "sent", "held_out"),
        tuple(response_by_day(source)),
        Picture("lines", "day", ("delivered", "sent", "held_out")),
        ("", "buyers", SHARE, SHARE, SHARE),
    )


def _cells(
    cells: Cells,
    found: Mapping[tuple[object, ...], Effect],
    extras: Mapping[int, tuple[int, float | None]],
) -> tuple[Table, Figure]:
    """The cells with what each came to, and the rule that selects those that paid."""
    rows, paid = [], []
    for number, cell in enumerate(cells.cells):
        effect = found.get((number,), NOBODY)
        returned = effect.return_on_cost
        has_paid = None if returned is None else returned >= 1
        if has_paid:
            paid.append(cell)
        if effect.targeted:
            held_out, extra = extras.get(number, (0, None))
            rows.append((*cell.labels, *effect.row(), has_paid, held_out, extra))
    rule = rule_of(paid, cells.traits)
    traits = ", ".join(cells.traits)
    table = Table(
        "cells",
        f"By {traits}",
        f"{traits}: as the buyers have them now, not as they were when the run was made; paid: "
        "return on cost is 1 or more; extra sales = (mean sales of the sent - mean sales of the "
        "held-out of the cell) x sent: an estimate of what would not have come anyway, rough where "
        f"few are held out; {_AS_ABOVE}",
        (*cells.traits, *MEASURES, "paid", "held_out", "extra_sales"),
        tuple(rows),
        Picture("bars", cells.traits[0], ("return_on_cost",)) if len(cells.traits) == 1 else None,
        (*("",) * len(cells.traits), *UNITS, "", "buyers", MONEY),
    )
    return table, Figure(
        "keep",
        "Keep the cells that paid",
        None if rule is None else str(rule),
        "",
        f"the rule for the {said(len(paid), len(rows))} cells by {traits} with sales / cost of 1 "
        "or more; a cell of several rare values has no rule; a segment asks the traits of then",
    )


def _notes(given: Given, whole: Effect, arms: Mapping[tuple[int, int], object]) -> list[str]:
    del arms
    notes = []
    if whole.open:
        notes.append(
            f"{said(whole.open, whole.sent)} windows are still open: their buyers may yet respond "
            "and buy"
        )
    if whole.sent < whole.targeted:
        notes.append(
            f"{whole.targeted - whole.sent:,} of {whole.targeted:,} targeted buyers have no "
            "message yet; `record_messages` tells what was sent"
        )
    if whole.cost is None:
        notes.append("what a part cost is not known: set `text.price_per_part` before a run")
    if whole.uncounted:
        notes.append(f"{whole.uncounted:,} messages have no parts: they are in no cost")
    for facts, clicks, only in zip(given.runs, given.clicks, given.only_clicks, strict=True):
        if not facts.held_out:
            notes.append(
                f"run `{facts.run}` held nobody out: what it did beyond nothing is unknown"
            )
        elif only:
            notes.append(
                f"run `{facts.run}` is for clicks, which nobody held out can make: no lift in "
                "response rate"
            )
        elif clicks:
            notes.append(
                f"run `{facts.run}`: a click is a response, and is left out of lift, for nobody "
                "held out can make one"
            )
    return notes


def _said_plainly(lifts: Mapping[str, Sequence[Lift]], runs: int) -> list[str]:
    """Too small to measure, in words, where one run is asked about."""
    if runs > 1:
        return []
    words = {"response": "response rate", "conversion": "conversion", "sales": "sales per buyer"}
    notes = []
    for name, found in lifts.items():
        for each in found:
            if each.verdict == SMALL:
                enough = "" if each.needed is None else (
                    f"; about {each.needed:,} buyers, with the same share held out, would show a "
                    "lift of 10 %")  # fmt: skip
                notes.append(f"lift in {words[name]}: {SMALL}{enough}")
    return notes
