"""Which products does a rule hold for, and why for this one?"""

from __future__ import annotations

from typing import Annotated

import typer

from segengine.cli.explain import nearest_of, print_reasons, tree_of
from segengine.cli.files import check_out, write_table
from segengine.cli.options import HERE, AsJson, Out, Rule, Store, names_of, opened, product_id_of
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import cell, console, counted, moment, table

Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B", help="Columns and traits beside product_id."),
]
Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=0, help="Show so many at most; --out has all.")
]
Explain = Annotated[
    str | None,
    typer.Option("--explain", metavar="ID", help="Say why the rule holds for this product."),
]


def products(
    rule: Rule,
    columns: Columns = None,
    limit: Limit = 20,
    explain: Explain = None,
    out: Out = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """List the products a rule holds for, or say why it holds for one of them."""
    if explain is not None and (columns is not None or out is not None):
        raise InputError("`--explain` is about one product: leave out `--columns` and `--out`")
    check_out(out)
    with opened(store) as engine:
        found = engine.products(rule)
        at = {"as_of": engine.as_of, "data_version": engine.data_version}
        if explain is not None:
            why = found.explain(product_id_of(engine, explain))
            if as_json:
                print_json({
                    "product_id": why.product_id, "holds": why.holds,
                    "reason": tree_of(why.reason), "nearest": nearest_of(why.nearest),
                    "text": str(why), **at,
                })  # fmt: skip
            else:
                print_reasons(str(why))
            return
        rows = found.table(names_of(columns))
        if out is not None:
            write_table(rows, out)
        shown = rows.slice(0, limit)
        if as_json:
            print_json({"count": rows.num_rows, **at, "rows": shown.to_pylist()})
            return
        screen = console()
        if shown.num_rows:
            cells = ([cell(v, engine.timezone) for v in row.values()] for row in shown.to_pylist())
            screen.print(table(shown.column_names, cells))
        rest = rows.num_rows - shown.num_rows
        more = f", {rest:,} of them not shown" if rest else ""
        said = moment(engine.as_of, engine.timezone)
        screen.print(f"{counted(rows.num_rows, 'product')}{more}, as of {said}")
