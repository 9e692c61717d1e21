"""What does a visitor see on a page, and, where asked, why not the rest?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from segengine.cli.options import HERE, AsJson, Store, customer_id_of, opened, pairs_of
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted, milliseconds, moment, note, table
from segengine.plain import plain

if TYPE_CHECKING:
    from rich.table import Table

    from segengine.pages.decide import PageAnswer

Name = Annotated[str, typer.Argument(metavar="NAME", help="A page of store.toml.")]
Customer = Annotated[
    str | None,
    typer.Option("--customer", metavar="ID", help="A customer_id; without it, a visitor."),
]
Context = Annotated[
    list[str] | None,
    typer.Option("--context", metavar="K=V", help="What the request says; may be repeated."),
]
Rejected = Annotated[
    bool, typer.Option("--rejected", help="Show under each slot who lost it, and why.")
]


def page(
    name: Name,
    customer: Customer = None,
    context: Context = None,
    rejected: Rejected = False,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Show what fills each slot of a page for one buyer, and why."""
    visit = pairs_of(context or [], "--context", "device=mobile")
    with opened(store) as engine:
        customer_id = None if customer is None else customer_id_of(engine, customer)
        started = time.perf_counter()
        answer = engine.page(name, customer_id, visit)
        seconds = time.perf_counter() - started
        if customer_id is not None and not engine.segment("TRUE").contains(customer_id):
            note(f"nobody has the customer_id `{customer_id}`: a buyer with no history sees this")
        if as_json:
            print_json(page_json(answer, customer_id, visit))
            return
        screen = console()
        shown = page_json(answer, customer_id, visit)
        screen.print(placements_table(shown, rejected=rejected))
        asked = f"page `{name}`, as of {moment(answer.as_of, engine.timezone)}"
        screen.print(f"{asked}, in {milliseconds(seconds)}")
        screen.print(_kept(answer.valid_until, engine.timezone))
        if shown["rejected"] and not rejected:
            others = counted(len(shown["rejected"]), "other")
            screen.print(f"{others} did not show; --rejected says why")


def page_json(
    answer: PageAnswer, customer_id: int | str | None, visit: Mapping[str, str]
) -> dict[str, Any]:
    """A page with the names that programs know."""
    return {
        "page": answer.page,
        "customer_id": customer_id,
        "context": visit,
        "placements": [placement_json(placement) for placement in answer.placements],
        "rejected": [
            {"slot": slot, "module": module, "reason": str(reason)}
            for slot, module, reason in answer.rejected
        ],
        "as_of": answer.as_of,
        "data_version": answer.data_version,
        "valid_until": answer.valid_until,
        "traits": answer.traits,
    }


def placement_json(placement: Any) -> dict[str, Any]:
    """A placement, of the engine or of its client, with the names that programs know."""
    return {
        "slot": placement.slot,
        "module": placement.module,
        "variant": placement.variant,
        "reason": str(placement.reason),
        "products": [
            {"product_id": p.product_id, "score": p.score, "reason": str(p.reason)}
            for p in placement.products
        ],
        "payload": placement.payload,
    }


def _kept(until: datetime | None, timezone: str) -> str:
    """Until when an answer may be kept."""
    if until is None:
        return "may be kept until the store is told something new"
    # To the second: a page that reads the clock may hold for less than a minute.
    local = f"{until.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S}"
    return f"may be kept until {local}, unless the store is told something new"


def placements_table(page: Mapping[str, Any], *, rejected: bool = True) -> Table:
    """A page's answer, a slot a line: what fills it and why; under it products, then who lost."""
    from rich.text import Text

    styles = {"MATCHED": "bold green", "FALLBACK": "yellow"}
    lost: dict[str, list[Mapping[str, Any]]] = {}
    for each in page["rejected"] if rejected else ():
        lost.setdefault(each["slot"], []).append(each)
    rows: list[list[str | Text]] = []
    for placement in page["placements"]:
        reason = placement["reason"]
        style = styles.get(reason, "dim")
        module = placement["module"] or "-"
        variant = "" if placement["variant"] is None else f" / {placement['variant']}"
        rows.append(
            [
                placement["slot"],
                Text(f"{module}{variant}", style=style),
                Text(reason, style=style),
                _short(placement["payload"]),
            ]
        )
        rows += [
            ["", f"  {place}. {each['product_id']}", each["reason"], f"score {each['score']:.3f}"]
            for place, each in enumerate(placement["products"], 1)
        ]
        rows += [
            ["", Text(f"  {each['module']}", style="dim"), Text(each["reason"], style="dim"), ""]
            for each in lost.get(placement["slot"], ())
        ]
    return table(["slot", "module", "reason", "payload"], rows)


def _short(payload: Any) -> str:
    if isinstance(payload, Mapping):
        return ", ".join(f"{key} {plain(value)}" for key, value in payload.items())
    return "" if payload is None else str(plain(payload))
