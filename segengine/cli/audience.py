"""Who gets a campaign, step by step?"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.ledger import ledger_table
from segengine.cli.options import HERE, AsJson, Columns, Out, Store, names_of, opened
from segengine.cli.plain import print_json
from segengine.cli.show import buyers, console, milliseconds, moment, note

if TYPE_CHECKING:
    from segengine.audiences.audience import Audience

Name = Annotated[str, typer.Argument(metavar="NAME", help="A campaign of store.toml.")]


def audience(
    name: Name,
    columns: Columns = None,
    out: Out = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Count who gets a campaign, with the ledger that says who fell out at which step."""
    check_out(out)
    with opened(store) as engine:
        started = time.perf_counter()
        answer = engine.audience(name)
        seconds = time.perf_counter() - started
        if out is not None:
            write_table(answer.table(names_of(columns)), out)
        elif columns is not None:
            note("`--columns` says what `--out FILE` has; without it nothing comes of them")
        if as_json:
            print_json(audience_json(answer))
            return
        screen = console()
        screen.print(ledger_table(answer.ledger.to_pylist()))
        arms = ", ".join(f"{arm} {size:,}" for arm, size in arms_of(answer).items())
        screen.print(
            f"{buyers(answer.count())} targeted" + (f" ({arms})" if arms else "") + ", as of "
            f"{moment(answer.as_of, engine.timezone)}, in {milliseconds(seconds)}"
        )
        if not answer.active:
            screen.print(f"`{name}` is outside its window now: nothing would be sent")


def audience_json(answer: Audience) -> dict[str, Any]:
    """An audience with the names that programs know."""
    return {
        "campaign": answer.campaign,
        "active": answer.active,
        "count": answer.count(),
        "ledger": answer.ledger.to_pylist(),
        "variants": arms_of(answer),
        "as_of": answer.as_of,
        "data_version": answer.data_version,
    }


def arms_of(answer: Audience) -> dict[str, int]:
    """How many of the targeted get each variant; empty without variants."""
    arms = Counter(answer.table().column("variant").to_pylist())
    return {arm: arms[arm] for arm in sorted(arm for arm in arms if arm is not None)}
