"""Who gets which of several campaigns that compete?"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.options import HERE, AsJson, Out, Store, opened
from segengine.cli.plain import print_json
from segengine.cli.show import buyers, console, milliseconds, moment, table

if TYPE_CHECKING:
    from rich.table import Table

    from segengine.audiences.plan import CampaignPlan


class By(StrEnum):
    """Who goes first."""

    PRIORITY = "priority"
    VALUE = "value"


Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Campaigns of store.toml, in any order.")
]
Way = Annotated[
    By, typer.Option("--by", help="Who goes first: the higher priority, or the buyer's value.")
]


def plan(
    names: Names,
    by: Way = By.PRIORITY,
    out: Out = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Show who is left for each of several campaigns when caps do not leave room for all."""
    check_out(out)
    with opened(store) as engine:
        started = time.perf_counter()
        found = engine.plan_campaigns(names, by=by.value)
        seconds = time.perf_counter() - started
        if out is not None:
            write_table(found.ledger, out)
        if as_json:
            print_json(plan_json(found))
            return
        screen = console()
        screen.print(_side_by_side(found))
        for name, why in _arbitrated(found):
            screen.print(f"{name}: {why}")
        total = sum(each.count() for each in found.audiences.values())
        screen.print(
            f"{total:,} messages in all, by {by.value}, as of "
            f"{moment(found.as_of, engine.timezone)}, in {milliseconds(seconds)}"
        )
        for name, each in found.audiences.items():
            if not each.active:
                screen.print(f"`{name}` is outside its window now: nothing would be sent")


def plan_json(found: CampaignPlan) -> dict[str, Any]:
    """A plan with the names that programs know."""
    return {
        "by": found.by,
        "order": list(found.order),
        "campaigns": {
            name: {
                "active": each.active,
                "count": each.count(),
                "variants": each.arms,
                "ledger": each.ledger.to_pylist(),
            }
            for name, each in found.audiences.items()
        },
        "as_of": found.as_of,
        "data_version": found.data_version,
    }


def _side_by_side(found: CampaignPlan) -> Table:
    """A line a step, a column a campaign: who is left, and who was dropped."""
    ledgers = {name: each.ledger.to_pylist() for name, each in found.audiences.items()}
    rows = []
    for place, step in enumerate(next(iter(ledgers.values()))):
        cells = [_left(steps[place]) for steps in ledgers.values()]
        rows.append([step["step"], *cells])
    return table(["remaining", *ledgers], rows, numbers=list(ledgers))


def _left(step: dict[str, Any]) -> str:
    dropped = f"-{step['dropped']:,}  " if step["dropped"] else ""
    return f"{dropped}{step['remaining']:,}"


def _arbitrated(found: CampaignPlan) -> list[tuple[str, str]]:
    """To whom the campaigns lost buyers that they wanted."""
    from segengine.audiences.ledger import STEPS

    place = STEPS.index("arbitration")
    steps = ((name, each.ledger.slice(place, 1).to_pylist()[0]) for name, each in
             found.audiences.items())  # fmt: skip
    return [
        (name, f"{buyers(step['dropped'])} lost; {step['reasons']}")
        for name, step in steps
        if step["dropped"]
    ]
