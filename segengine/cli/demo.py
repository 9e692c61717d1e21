"""What does all this do? One look at a whole store: who gets a campaign, what a buyer sees."""

from __future__ import annotations

import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.options import AsJson
from segengine.cli.outcome import InputError, NoStoreError
from segengine.cli.plain import print_json
from segengine.cli.show import note

if TYPE_CHECKING:
    from segengine.cli.demo_load import Loaded
    from segengine.engine import Engine

MaybeStore = Annotated[
    Path | None,
    typer.Option(
        "--store", metavar="DIR", help="Take the settings of this store, not of a made-up one."
    ),
]
SourceFile = Annotated[
    str | None,
    typer.Option("--source", metavar="FILE", help="The data for --store; nothing is written."),
]
Customers = Annotated[
    int | None,
    typer.Option(
        "--customers",
        metavar="N",
        min=1,
        help="How many buyers to make up.",
        show_default="200000",
    ),
]
CUSTOMERS = 200_000


def demo(
    store: MaybeStore = None,
    source: SourceFile = None,
    customers: Customers = None,
    as_json: AsJson = False,
) -> None:
    """Show it all on a made-up store in memory, or on a file of yours."""
    if store is None and source is not None:
        raise InputError("`--source FILE` goes with `--store DIR`, whose store.toml says its form")
    if store is not None and customers is not None:
        raise InputError("`--customers` is for the made-up store; `--store` brings its own buyers")
    _tell_of_kernels()
    if store is None:
        title, engine, loaded = _made_up(customers or CUSTOMERS)
    else:
        title, engine, loaded = _from_file(store, source)
    answers = _ask(engine)
    if as_json:
        print_json(answers | {"loaded": [asdict(each) for each in loaded]})
        return
    from segengine.cli.demo_show import show

    show(title, engine, loaded, answers, is_made_up=store is None)


def _tell_of_kernels() -> None:
    """Why the first run ever is slow."""
    from segengine.kernels import jit

    if not jit.JIT_OFF and not jit.cache_folder().exists():
        note("the first run compiles its kernels, half a minute once")


def _made_up(customers: int) -> tuple[str, Engine, list[Loaded]]:
    from segengine.cli.demo_load import load_made_up
    from segengine.demo import generate
    from segengine.engine import Engine

    note(f"making up a store of {customers:,} buyers, in memory; nothing is written")
    store = generate(customers)
    engine = Engine(config=store.config)
    title = "a made-up store with two years of history"
    return title, engine, load_made_up(engine, store)


def _from_file(folder: Path, source: str | None) -> tuple[str, Engine, list[Loaded]]:
    """The store's settings and one file, in memory: the folder stays as it is."""
    from segengine.cli.demo_load import load_file
    from segengine.engine import Engine
    from segengine.schema.store_config import FILE_NAME, read_config

    file = folder / FILE_NAME
    if not file.is_file():
        raise NoStoreError(f"`{folder}` has no {FILE_NAME}", field="store")
    config = read_config(file)
    if len(config.load) != 1:
        raise InputError(
            f"`{file}` has {len(config.load)} `[load.TABLE]` sections; the demo shows one file, "
            f"so there must be one"
        )
    table, spec = next(iter(config.load.items()))
    if source is None and spec.source is None:
        raise InputError(f"`load.{table}` of `{file}` has no `source`; give `--source FILE`")
    found = Path(source) if source is not None else folder / str(spec.source)
    note(f"loading {found} into memory; nothing is written")
    engine = Engine(config=config)
    return (
        f"{folder.resolve().name}, {found.name}",
        engine,
        load_file(engine, table, spec, str(found.absolute())),
    )


def _ask(engine: Engine) -> dict[str, Any]:
    """Every answer the demo shows, in the shape of `--json`."""
    import pyarrow.compute as pc

    from segengine.cli.demo_ask import (
        ask_lifecycle,
        ask_new_rule,
        ask_over_grpc,
        ask_rfm,
        ask_segments,
        timed,
    )

    engine.prepare()
    segments = ask_segments(engine)
    new_rule = ask_new_rule(engine)
    rfm, rfm_ms = timed(lambda: ask_rfm(engine))
    lifecycle = ask_lifecycle(engine)
    served = ask_over_grpc(
        engine, next(iter(engine.campaigns), None), next(iter(engine.pages), None)
    )
    everybody = engine.segment("TRUE").table(["order_count"])
    # Linux counts in kB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "customers": everybody.num_rows,
        "new_rule": new_rule,
        "purchases": pc.sum(everybody.column("order_count")).as_py() or 0,
        "as_of": engine.as_of,
        "data_version": engine.data_version,
        "segments": segments,
        "rfm": rfm,
        "rfm_ms": rfm_ms,
        "lifecycle": lifecycle,
        "audience": served.get("audience"),
        "page": served.get("page"),
        "server": served["server"],
        "times": served["times"],
        "memory_bytes": sum(engine.memory()["total_bytes"].to_pylist()),
        "peak_process_bytes": peak * (1 if sys.platform == "darwin" else 1024),
    }
