"""Is it as fast as it says, beside other engines on this machine?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.options import AsJson, Out
from segengine.cli.outcome import FailedError
from segengine.cli.plain import print_json
from segengine.cli.show import console, note, table

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
    from segengine.bench.run import run

    try:
        result = run(customers, repeats=repeats, say=note)
    except AssertionError as error:
        raise FailedError(f"nothing was timed: {error}") from None
    rows = [_flat(case) for case in result["cases"]]
    if out is not None:
        import pyarrow as pa

        write_table(pa.Table.from_pylist(rows), out)
    if as_json:
        print_json(result)
        return
    _show(result, rows)


def _flat(case: dict[str, Any]) -> dict[str, Any]:
    """A case as a row: a column of milliseconds per engine."""
    return {
        "case": case["case"],
        "rule": case["rule"],
        "count": case["count"],
        **case["ms"],
        "speedup": case["speedup"],
    }


def _show(result: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    engines = result["engines"]
    shown = []
    for row in rows:
        times = [f"{row[engine]:.2f}" for engine in engines]
        speedup = "" if row["speedup"] is None else f"{row['speedup']:.1f}x"
        shown.append([row["case"], f"{row['count']:,}", *times, speedup])
    names = ["case", "buyers", *(f"{engine}, ms" for engine in engines), "faster"]
    screen = console()
    screen.print(table(names, shown, numbers=names[1:]))
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    mean = result["geometric_mean_speedup"]
    if mean is not None:
        screen.print(f"geometric mean: {mean:.1f}x the fastest of the others")
    screen.print(
        f"{result['customers']:,} buyers, medians of {result['repeats']} new rules each; {machine}"
    )
