"""How does the demo look on a terminal?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from segengine.cli.ledger import ledger_table
from segengine.cli.page import placements_table
from segengine.cli.show import (
    bar,
    buyers,
    cell,
    console,
    counted,
    heat,
    milliseconds,
    moment,
    share,
    size,
    table,
)

if TYPE_CHECKING:
    from segengine.cli.demo_load import Loaded
    from segengine.engine import Engine

_STAGE_COLOURS = {
    "prospect": "bright_black",
    "new": "green",
    "active": "cyan",
    "at_risk": "yellow",
    "sleeping": "blue",
    "lapsed": "red",
}


def show(
    title: str,
    engine: Engine,
    loaded: Sequence[Loaded],
    answers: Mapping[str, Any],
    *,
    is_made_up: bool,
) -> None:
    """Everything the demo has asked, from the whole store down to one buyer's page."""
    screen = console()
    _store(screen, title, engine, loaded, answers)
    _heading(screen, "Where are the buyers?", f"25 rules in {_ms(answers['rfm_ms'])}")
    screen.print()
    beside = Table.grid(padding=(0, 6, 0, 0))
    beside.add_row(_rfm(answers["rfm"]), _lifecycle(answers["lifecycle"]))
    screen.print(beside)
    if answers["segments"]:
        _segments(screen, answers)
    if answers["audience"] is not None:
        _audience(screen, answers)
    if answers["page"] is not None:
        _page(screen, answers, engine.timezone)
    _next(screen, is_made_up=is_made_up)


def _store(
    screen: Console,
    title: str,
    engine: Engine,
    loaded: Sequence[Loaded],
    answers: Mapping[str, Any],
) -> None:
    """One line for the store, one for how it came here."""
    rows = {each.table: each.rows for each in loaded}
    events = sum(n for name, n in rows.items() if name not in ("customers", "products"))
    parts = [buyers(answers["customers"]), counted(answers["purchases"], "purchase")]
    if "order_lines" in rows:
        parts.append(counted(rows["order_lines"], "order line"))
    if len(rows) - ("traits" in rows) > 1:
        parts.append(f"{events:,} events in all")
    seconds = sum(each.seconds for each in loaded)
    screen.print()
    screen.print(Text.assemble(("segengine demo", "bold"), f" of {title}"))
    screen.print(" · ".join(parts), style="bold cyan")
    screen.print(
        f"as of {moment(answers['as_of'], engine.timezone)} · "
        f"{size(answers['memory_bytes'])} in columns (the process at most "
        f"{size(answers['peak_process_bytes'])}) · loaded in {seconds:.1f} s",
        style="dim",
    )


def _heading(screen: Console, question: str, remark: str) -> None:
    screen.print()
    screen.print(Text.assemble((question, "bold"), (f"  {remark}", "dim")))


def _rfm(cells: Sequence[Mapping[str, int]]) -> Group:
    """Recency by frequency, the best buyers at the upper right."""
    counts = {(c["r_score"], c["f_score"]): c["count"] for c in cells}
    most = max(counts.values(), default=0)
    grid = Table(box=None, pad_edge=False, padding=0, show_header=False)
    for _ in range(6):
        grid.add_column(justify="right", no_wrap=True)
    for r in range(5, 0, -1):
        line = [Text(f"r_score {r} ")]
        for f in range(1, 6):
            count = counts[r, f]
            line.append(Text(f"{count:>8,} ", style=heat(count, most)))
        grid.add_row(*line)
    grid.add_row("f_score  ", *(f"{f} " for f in range(1, 6)))
    scored = sum(counts.values())
    return Group(
        Text("bought lately (r_score), bought often (f_score)"),
        Padding(grid, (1, 0, 1, 0)),
        Text(f"{buyers(scored)} with a purchase; 5 is best", style="dim"),
    )


def _lifecycle(stages: Mapping[str, int]) -> Group:
    """A bar per stage of life."""
    everybody, most = sum(stages.values()), max(stages.values(), default=0)
    grid = Table(box=None, pad_edge=False, show_header=False)
    for justify in ("left", "right", "right", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    for stage, count in stages.items():
        drawn = Text(bar(count, most), style=_STAGE_COLOURS[stage])
        grid.add_row(stage, f"{count:,}", share(count, everybody), drawn)
    return Group(Text("life cycle (lifecycle_stage)"), Padding(grid, (1, 0, 0, 0)))


def _segments(screen: Console, answers: Mapping[str, Any]) -> None:
    _heading(
        screen,
        "Who is in which segment?",
        f"each over all buyers, the median of {answers['times']} times anew",
    )
    screen.print()
    everybody = answers["customers"]
    rows = [
        [
            s["name"],
            f"{s['count']:,}",
            share(s["count"], everybody),
            f"{s['ms']:.2f}",
            Text(s["rule"], style="dim"),
        ]
        for s in answers["segments"]
    ]
    names = ["segment", "buyers", "share", "ms", "rule"]
    screen.print(table(names, rows, numbers=names[1:4]))
    new = answers["new_rule"]
    said = f"a new rule of 8 predicates: {new['count']:,} buyers in {_ms(new['ms'])}, "
    screen.print(f"{said}reading the rule included", style="dim")


def _audience(screen: Console, answers: Mapping[str, Any]) -> None:
    audience = answers["audience"]
    _heading(
        screen,
        f"Who gets the campaign `{audience['campaign']}`?",
        f"over gRPC at {answers['server']}: {_ms(audience['first_ms'])} the first time, then "
        f"{_ms(audience['ms'])}",
    )
    screen.print()
    screen.print(ledger_table(audience["ledger"]))
    arms = ", ".join(f"{name} {count:,}" for name, count in audience["variants"].items())
    screen.print(f"{buyers(audience['count'])} targeted" + (f": {arms}" if arms else ""))


def _page(screen: Console, answers: Mapping[str, Any], timezone: str) -> None:
    page = answers["page"]
    visit = ", ".join(f"{key} {value}" for key, value in page["context"].items())
    who = "a visitor" if page["customer_id"] is None else f"buyer {page['customer_id']}"
    _heading(
        screen,
        f"What does {who} see on the page `{page['page']}`?",
        f"with {visit}, over gRPC: {_ms(page['ms'])}",
    )
    known = page.get("buyer")
    if known:
        facts = ", ".join(f"{name} {cell(value, timezone)}" for name, value in known.items())
        screen.print(facts, style="dim")
    if page.get("segments"):
        segments = ", ".join(page["segments"])
        screen.print(f"in {segments}  ({_ms(page['match_ms'])})", style="dim")
    screen.print()
    screen.print(placements_table(page))


def _next(screen: Console, *, is_made_up: bool) -> None:
    screen.print()
    screen.print(Text("Next", style="bold"))
    lines = [
        ("segengine traits", "what rules can ask"),
        ("segengine init --store my-store", "a store of your own, explained"),
        ("segengine load customers customers.csv --store my-store", "your data"),
        ('segengine count "recency_days <= 30" --store my-store', "your first question"),
    ]
    if is_made_up:
        lines.append(
            ("segengine demo --store examples/online-retail --source FILE", "a real shop's year")
        )
    else:
        lines.append(("segengine demo", "a made-up store with consent, tags and messages"))
    for command, what in lines:
        screen.print(Text.assemble("  ", (f"{command:<60}", "cyan"), (what, "dim")))


def _ms(number: float) -> str:
    return milliseconds(number / 1_000)
