"""Is it as fast as it says, beside other engines on this machine?"""

# ruff: noqa: PLC0415 - the rivals are imported when they are timed

from __future__ import annotations

from typing import Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.options import AsJson, Out
from segengine.cli.plain import print_json
from segengine.cli.show import bar, console, note, table

Customers = Annotated[
    int, typer.Option("--customers", metavar="N", min=1, help="How many buyers to make.")
]
Repeats = Annotated[
    int, typer.Option("--repeats", metavar="N", min=1, help="New rules timed per case.")
]


def bench(
    customers: Customers = 1_000_000,
    repeats: Repeats = 9,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Time rules in this engine and others; every answer is checked before any is timed."""
    check_out(out)
    import duckdb

    import segengine
    from segengine.bench.run import run

    result = run(
        customers,
        repeats=repeats,
        version=f"{segengine.__version__}, duckdb {duckdb.__version__}",
        say=note,
    )
    rows = [_flat(case) for case in result["cases"]]
    if out is not None:
        import pyarrow as pa

        write_table(pa.Table.from_pylist(rows), out)
    if as_json:
        print_json(result)
        return
    _show(result)


def _flat(case: dict[str, Any]) -> dict[str, Any]:
    times = {f"{engine} ms": ms for engine, ms in case["ms"].items()}
    return {"case": case["case"], "rule": case["rule"], "count": case["count"], **times,
            "speedup": case["speedup"]}  # fmt: skip
