"""Which commands are there, and how is each called?"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Annotated

import typer

from segengine.cli.audience import audience
from segengine.cli.bench import bench
from segengine.cli.census import census
from segengine.cli.check import check
from segengine.cli.count import count
from segengine.cli.demo import demo
from segengine.cli.diff import diff
from segengine.cli.explain import explain
from segengine.cli.init import init
from segengine.cli.load import load
from segengine.cli.options import example
from segengine.cli.outcome import INTERRUPTED, Commands, noted_interrupts
from segengine.cli.page import page
from segengine.cli.plan import plan
from segengine.cli.preview import preview
from segengine.cli.products import products
from segengine.cli.publish import publish, undefine
from segengine.cli.record import record
from segengine.cli.report import report
from segengine.cli.run import run as run_campaign
from segengine.cli.run import runs
from segengine.cli.segment import segment
from segengine.cli.serve import serve
from segengine.cli.store import store
from segengine.cli.token import token
from segengine.cli.traits import traits
from segengine.cli.versions import versions
from segengine.cli.warmup import warmup

app = typer.Typer(
    cls=Commands,
    name="segengine",
    help="Who gets this campaign, and what does this buyer see: exactly, from one rule.",
    epilog=example("segengine demo", 'segengine count "recency_days <= 30" --store my-store'),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for function, lines in (
    (
        demo,
        [
            "segengine demo --customers 20000",
            "segengine demo --store examples/online-retail --source online_retail.parquet",
        ],
    ),
    (init, ["segengine init --store my-store"]),
    (
        load,
        [
            "segengine load --store my-store",
            "segengine load customers customers.csv --store my-store",
            'segengine load order_lines "lines/*.parquet" --column "amount=qty * price"',
        ],
    ),
    (count, ["segengine count \"lifecycle_stage = 'new' AND amount_total >= 100\""]),
    (
        segment,
        [
            'segengine segment "recency_days <= 30" --columns region,amount_total',
            'segengine segment "recency_days <= 30" --out recent.parquet',
        ],
    ),
    (
        products,
        [
            "segengine products \"matrix_class = 'star' AND stock > 0\" --columns amount_90d",
            'segengine products "margin > 0.3 AND stock > 0" --explain 17',
        ],
    ),
    (
        audience,
        [
            "segengine audience spring",
            "segengine audience spring --preview",
            "segengine audience spring --hours",
            "segengine audience spring --texts --columns region --out spring.csv",
        ],
    ),
    (
        plan,
        [
            "segengine plan spring win_back newsletter",
            "segengine plan spring win_back --by value --out plan.csv",
        ],
    ),
    (
        page,
        [
            "segengine page home --customer 17 --context device=mobile",
            "segengine page home --customer 17 --rejected",
        ],
    ),
    (
        census,
        [
            "segengine census home --context device=mobile",
            "segengine census home --out home.html",
        ],
    ),
    (
        explain,
        [
            'segengine explain 17 "recency_days <= 30 AND order_count >= 3"',
            "segengine explain 17 --campaign spring",
        ],
    ),
    (run_campaign, ["segengine run spring --out to-send.csv", "segengine run spring tea"]),
    (runs, ["segengine runs --store my-store"]),
    (
        record,
        [
            "segengine record delivered.csv",
            "segengine record --all spring-2026-03-15-1",
        ],
    ),
    (traits, ["segengine traits", "segengine traits --out traits.csv"]),
    (
        report,
        [
            "segengine report rfm --out rfm.html",
            "segengine report lifecycle --since 2026-01-31",
            'segengine report profile "amount_365d >= 1000"',
            "segengine report campaign --campaign spring --by region --out spring.html",
        ],
    ),
    (
        preview,
        [
            "segengine preview --set lifecycle.active_days=50",
            "segengine preview --set rfm.mode=fixed --set rfm.recency=[7,30,90,180] ...",
        ],
    ),
    (
        diff,
        [
            "segengine diff next.toml",
            "segengine diff next.toml --part --out who.csv",
            'segengine diff --segment vip "amount_365d >= 800"',
        ],
    ),
    (publish, ["segengine publish next.toml --store my-store"]),
    (undefine, ["segengine undefine segment vip --store my-store"]),
    (
        versions,
        [
            "segengine versions",
            "segengine versions segment vip",
            "segengine versions segment vip --restore 2",
        ],
    ),
    (check, ["segengine check --store my-store"]),
    (bench, ["segengine bench --customers 1000000 --out bench.csv"]),
    (warmup, ["segengine warmup"]),
    (serve, ["segengine serve --store my-store --port 50051"]),
):
    app.command(epilog=example(*lines))(function)

app.add_typer(store)
app.add_typer(token)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"segengine {version('segengine')}\n")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Who gets this campaign, and what does this buyer see: exactly, from one rule."""
    del version


def run() -> None:
    """Run the command line of this process; ends the process with its exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a name shows a mark in its place.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with noted_interrupts() as interrupted:
        try:
            app(prog_name="segengine", obj=interrupted)
        except KeyboardInterrupt:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            sys.exit(INTERRUPTED)
        except SystemExit:
            # Python passes over what is raised while it frees an object, an interrupt too.
            if interrupted.is_set():
                sys.exit(INTERRUPTED)
            raise
