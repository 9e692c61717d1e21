"""What do the store's buyers and sales come to?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.files import check_out, write_text
from segengine.cli.options import HERE, AsJson, Store, opened
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted

if TYPE_CHECKING:
    from rich.console import Console

ENDINGS = (".html",)
MOST_ROWS = 40
_WIDEST_TEXT = 28
_BAR = 12
"""Characters of the longest bar."""
_MOST_KEYS = 3

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="rfm, lifecycle, repurchase, retention, products, overview, profile, compare or "
        "campaign.",
    ),
]
Segments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SEGMENT", help="profile: one, compare: two; a segment's name, or a rule."
    ),
]
Page = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the report, with pictures, to an .html."),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="DATE", help="lifecycle: flow from the end of this date on."),
]
Last = Annotated[
    int | None,
    typer.Option("--last", metavar="N", help="How many of the latest periods to show."),
]
Grain = Annotated[
    str | None,
    typer.Option("--grain", metavar="GRAIN", help="Periods: day, week, month or quarter."),
]
Activity = Annotated[
    str | None,
    typer.Option(
        "--activity", metavar="KIND", help="retention: active is a visit, behaviour or purchase."
    ),
]
Complete = Annotated[
    bool,
    typer.Option("--complete", help="retention: count nothing in a period that is not over."),
]
OneOrderADay = Annotated[
    bool,
    typer.Option("--one-order-a-day", help="repurchase: a buyer's purchases of a date are one."),
]
Base = Annotated[
    str | None,
    typer.Option("--base", metavar="SEGMENT", help="profile: compare with these, not with all."),
]
Top = Annotated[
    int | None,
    typer.Option("--top", metavar="N", help="products: list so many of the best and the worst."),
]
Traits = Annotated[
    str | None,
    typer.Option("--traits", metavar="A,B", help="profile, compare: show these traits alone."),
]

RunId = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="campaign: the effect of this run.")
]
Campaign = Annotated[
    str | None,
    typer.Option("--campaign", metavar="NAME", help="campaign: of all runs of this campaign."),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="A,B", help="campaign: divide by traits; keep what paid."),
]


def report(
    name: Name,
    segments: Segments = None,
    since: Since = None,
    grain: Grain = None,
    last: Last = None,
    activity: Activity = None,
    complete: Complete = False,
    one_order_a_day: OneOrderADay = False,
    base: Base = None,
    traits: Traits = None,
    top: Top = None,
    run: RunId = None,
    campaign: Campaign = None,
    by: By = None,
    out: Page = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Report figures, each with its formula, and draw them on a page."""
    from segengine.reports.html import to_html
    from segengine.reports.report import to_json

    check_out(out, ENDINGS)
    options = {
        "since": None if since is None else _date(since),
        "grain": grain,
        "last": last,
        "activity": activity,
        "complete": complete or None,
        "one_order_a_day": one_order_a_day or None,
        "base": base,
        "traits": traits,
        "top": top,
        "run": run,
        "campaign": campaign,
        "by": by,
    }
    given = {option: value for option, value in options.items() if value is not None}
    with opened(store) as engine:
        found = to_json(engine.report(name, *(segments or ()), **given))
    if out is not None:
        write_text(to_html(found), out)
    if as_json:
        print_json(found)
    else:
        show(found, console())


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"`--since {text}` is no date; write `--since 2026-01-31`") from None


def show(report: Mapping[str, Any], screen: Console) -> None:
    """Print a report of `to_json`: figures and tables, each with its formula."""
    from rich.text import Text

    from segengine.reports.reading import read, read_with_unit
    from segengine.reports.report import MOMENT

    timezone, currency = report["timezone"], report["currency"]
    at = read(report["as_of"], MOMENT, timezone)
    screen.print(f"{report['title']}, as of {at} {timezone}\n", style="bold")
    for note in report["notes"]:
        screen.print(f"{note}\n")
    if report["figures"]:
        from segengine.cli.show import table

        rows = [
            [
                figure["title"],
                read_with_unit(figure["value"], figure["unit"], timezone, currency),
                Text(figure["formula"], style="dim"),
            ]
            for figure in report["figures"]
        ]
        screen.print(table(["figure", "value", "formula"], rows, whole=("value",)))
    for each in report["tables"]:
        _show_table(each, timezone, screen)


def _show_table(each: Mapping[str, Any], timezone: str, screen: Console) -> None:
    from segengine.cli.show import table
    from segengine.reports.reading import is_number, read, row_units

    screen.print(f"\n{each['title']}", style="bold")
    if not each["rows"]:
        screen.print("nothing to show")
    else:
        rows = [(row, row_units(each, row)) for row in each["rows"][:MOST_ROWS]]
        listed = [
            [read(value, unit, timezone) for value, unit in zip(row, units, strict=True)]
            for row, units in rows
        ]
        texts = {
            name
            for place, name in enumerate(each["columns"])
            if any(row[place] is not None and not is_number(row[place], units[place])
                   for row, units in rows)
        }  # fmt: skip
        columns = list(each["columns"])
        if (drawn := _bars(each)) is not None:
            place, bars = drawn
            with_bars = [
                [*row[:place], b, *row[place:]] for row, b in zip(listed, bars, strict=True)
            ]
            wider = [*columns[:place], "", *columns[place:]]
            # A bar is worth no second part of a table, and no broken head.
            if _narrowed(wider, with_bars, screen.width) == wider:
                columns, listed = wider, with_bars
                texts.add("")
        names = _narrowed(columns, listed, screen.width)
        is_text = [name in texts for name in columns]
        for shown in _stacked(names, listed, is_text, screen.width):
            numbers = [names[place] for place in shown if not is_text[place]]
            parts = [[row[place] for place in shown] for row in listed]
            screen.print(table([names[place] for place in shown], parts, numbers=numbers))
        if (rest := len(each["rows"]) - MOST_ROWS) > 0:
            screen.print(f"{counted(rest, 'more row')}: `--json` and `--out` have all")
    screen.print(each["formula"], style="dim")


def _bars(each: Mapping[str, Any]) -> tuple[int, list[str]] | None:
    """A bar for each row that is shown, of what the page draws first, and the place beside it.

    None where the page draws no bars or lines, and where a value is below 0 or none is above.
    """
    from segengine.cli.show import bar

    picture = each["picture"]
    if picture is None or picture["kind"] not in ("bars", "lines"):
        return None
    place = each["columns"].index(picture["y"][0])
    # Exact decimals are texts; nothing is known where there is no value.
    values = [float(row[place] or 0) for row in each["rows"][:MOST_ROWS]]
    if min(values) < 0 or not max(values) > 0:
        return None
    most = max(values)
    return place + 1, [bar(value, most, _BAR) for value in values]


def _stacked(
    names: list[str], rows: list[list[str]], is_text: list[bool], width: int
) -> list[list[int]]:
    """The columns of a table as they fit: in parts, each with the first texts that are short."""
    longest = [
        max(map(len, (*name.split("\n"), *(row[place] for row in rows))))
        for place, name in enumerate(names)
    ]
    wide = [
        3 + (min(most, _WIDEST_TEXT) if text else most)
        for most, text in zip(longest, is_text, strict=True)
    ]
    if sum(wide) <= width:
        return [list(range(len(names)))]
    keys = [0]
    while len(keys) < _MOST_KEYS and is_text[len(keys)] and longest[len(keys)] <= _WIDEST_TEXT:
        keys.append(len(keys))
    room = max(width - sum(wide[key] for key in keys), 20)
    parts: list[list[int]] = [[*keys]]
    used = 0
    for place in range(len(keys), len(names)):
        if used + wide[place] > room and used:
            parts.append([*keys])
            used = 0
        parts[-1].append(place)
        used += wide[place]
    return parts


def _narrowed(names: list[str], rows: list[list[str]], width: int) -> list[str]:
    """The heads of a table: broken at their underscores where it is too wide otherwise."""
    wide = sum(
        3 + max(len(name), *(len(row[place]) for row in rows)) for place, name in enumerate(names)
    )
    return [name.replace("_", "_\n") for name in names] if wide > width else names
