"""Who gets a campaign, step by step?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.ledger import ledger_table
from segengine.cli.options import HERE, AsJson, Columns, Out, Store, names_of, opened
from segengine.cli.plain import print_json
from segengine.cli.show import (
    bar,
    buyers,
    cell,
    console,
    counted,
    milliseconds,
    moment,
    note,
    table,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from segengine.audiences.audience import Audience
    from segengine.engine import Engine

Name = Annotated[str, typer.Argument(metavar="NAME", help="A campaign of store.toml.")]
Preview = Annotated[
    bool, typer.Option("--preview", help="Show the texts of ten of them, and what all cost.")
]
Texts = Annotated[
    bool, typer.Option("--texts", help="With --out: the text of each buyer, its parts and cost.")
]

Hours = Annotated[
    bool, typer.Option("--hours", help="Show how many would be written to in each hour.")
]


def audience(
    name: Name,
    columns: Columns = None,
    preview: Preview = False,
    texts: Texts = False,
    hours: Hours = False,
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
            write_table(_listed(answer, names_of(columns), texts=texts), out)
        elif columns is not None or texts:
            option = "--columns" if columns is not None else "--texts"
            note(f"`{option}` says what `--out FILE` has; without it nothing comes of them")
        if as_json:
            found = audience_json(answer)
            if preview:
                found["preview"] = answer.preview().to_pylist()
                found["bill"] = answer.bill().to_pylist()
            if hours:
                found["hours"] = engine.send_hours(name).to_pylist()
            print_json(found)
            return
        screen = console()
        screen.print(ledger_table(answer.ledger.to_pylist()))
        arms = ", ".join(f"{arm} {size:,}" for arm, size in answer.arms.items() if size)
        screen.print(
            f"{buyers(answer.count())} targeted" + (f" ({arms})" if arms else "") + ", as of "
            f"{moment(answer.as_of, engine.timezone)}, in {milliseconds(seconds)}"
        )
        if not answer.active:
            screen.print(f"`{name}` is outside its window now: nothing would be sent")
        if preview:
            _show_texts(answer, engine, screen)
        if hours:
            show_hours(engine.send_hours(name).to_pylist(), screen)


def show_hours(hours: Sequence[Mapping[str, int]], screen: Console) -> None:
    """How many are written to in each hour of the store's clock, from the first hour with any."""
    there = [each["hour"] for each in hours if each["buyers"]]
    if not there:
        return
    most = max(each["buyers"] for each in hours)
    rows = [
        [f"{each['hour']:02}:00", f"{each['buyers']:,}", bar(each["buyers"], most)]
        for each in hours[min(there) : max(there) + 1]
    ]
    screen.print()
    screen.print(table(["hour", "buyers", ""], rows, numbers=["buyers"]))


def _listed(answer: Audience, columns: list[str], *, texts: bool) -> pa.Table:
    """The targeted buyers with these columns, and with their texts where those are asked for."""
    found = answer.table(columns)
    if not texts:
        return found
    import pyarrow as pa

    written = pa.Table.from_batches(answer.texts())
    for name in ("text", "characters", "parts", "cost"):
        if name not in found.column_names:
            found = found.append_column(name, written[name])
    return found


def _show_texts(answer: Audience, engine: Engine, screen: Console) -> None:
    """Texts of ten buyers, then parts and cost of all."""
    shown = answer.preview().drop_columns(["cost"])
    rows = ([cell(value, engine.timezone) for value in row.values()] for row in shown.to_pylist())
    screen.print()
    screen.print(table(shown.column_names, rows, numbers=["characters", "parts"]))
    bill = answer.bill().to_pylist()
    cost = [line["cost"] for line in bill if line["cost"] is not None]
    said = counted(sum(line["parts"] for line in bill), "part")
    if cost:
        said += f", {cell(sum(cost), engine.timezone)} {engine.config.currency}".rstrip()
    lengths: Counter[int] = Counter()
    for line in bill:
        lengths[line["parts_each"]] += line["buyers"]
    each = ", ".join(f"{buyers(n)} with {counted(k, 'part')}" for k, n in sorted(lengths.items()))
    screen.print(f"{said} to send" + (f": {each}" if each else ""))


def audience_json(answer: Audience) -> dict[str, Any]:
    """An audience with the names that programs know."""
    return {
        "campaign": answer.campaign,
        "active": answer.active,
        "count": answer.count(),
        "ledger": answer.ledger.to_pylist(),
        "variants": answer.arms,
        "as_of": answer.as_of,
        "data_version": answer.data_version,
    }
