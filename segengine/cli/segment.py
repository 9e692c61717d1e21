"""Which buyers does a rule hold for?"""

from __future__ import annotations

from typing import Annotated

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.options import HERE, AsJson, Columns, Out, Rule, Store, names_of, opened
from segengine.cli.plain import print_json
from segengine.cli.show import buyers, cell, console, moment, table

Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=0, help="Show so many at most; --out has all.")
]


def segment(
    rule: Rule,
    columns: Columns = None,
    limit: Limit = 20,
    out: Out = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """List the buyers a rule holds for."""
    check_out(out)
    with opened(store) as engine:
        found = engine.segment(rule)
        answer = found.answer()
        rows = found.table(names_of(columns))
        if out is not None:
            write_table(rows, out)
        shown = rows.slice(0, limit)
        if as_json:
            print_json(
                {
                    "count": answer.count,
                    "as_of": answer.as_of,
                    "data_version": answer.data_version,
                    "rows": shown.to_pylist(),
                }
            )
            return
        screen = console()
        if shown.num_rows:
            cells = ([cell(v, engine.timezone) for v in row.values()] for row in shown.to_pylist())
            screen.print(table(shown.column_names, cells))
        rest = answer.count - shown.num_rows
        more = f", {rest:,} of them not shown" if rest else ""
        screen.print(f"{buyers(answer.count)}{more}, as of {moment(answer.as_of, engine.timezone)}")
