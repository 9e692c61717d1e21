"""How does the demo's store come into memory? Table by table, as streams, never whole."""

# ruff: noqa: PLC0415 - rich and Arrow are imported when there is something to load

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segengine.cli.outcome import InputError
from segengine.cli.show import console, note

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.progress import Progress

    from segengine.demo import DemoStore
    from segengine.engine import Engine
    from segengine.schema.store_config import StoreConfig

ROWS_A_SLICE = 5_000_000
MANY_BUYERS = 2_000_000
# Never asked for by the demo, 16 bytes a row: at 5 million buyers 0.8 GB.
LEFT_OUT_OF_MANY = {"behaviors": ("query", "activity", "question", "answer")}


@dataclass(frozen=True, slots=True)
class Loaded:
    """One table's way into memory."""

    table: str
    rows: int
    seconds: float


def load_made_up(engine: Engine, store: DemoStore) -> list[Loaded]:
    """Every table of a made-up store, as it is made.

    A load keeps its rows twice for a moment, so a large table comes in slices: all but the last
    are appended, and the last is loaded, which fits the cuts of RFM to all.
    """
    loaded = []
    with _bars() as bars:
        for table in store.tables:
            with bars.table(table, store.rows_estimate(table)) as tell:
                left_out = LEFT_OUT_OF_MANY.get(table, ()) if store.customers > MANY_BUYERS else ()
                slices = _Slices(store.reader(table), left_out)
                rows = 0
                while True:
                    part, is_last = slices.take()
                    if is_last:
                        before = rows
                        report = engine.load(
                            table, part, progress=lambda n, _, b=before: tell(b + n)
                        )
                    else:
                        report = engine.append(table, part)
                    rows += report.rows_loaded
                    tell(rows)
                    _give_back_memory()
                    if is_last:
                        break
            loaded.append(bars.done(table, rows))
    return loaded


def load_file(engine: Engine, config: StoreConfig, folder: Path, source: str) -> list[Loaded]:
    """The one table that `store.toml` loads, from a file in place of its source."""
    name = next(iter(config.load))
    spec = config.load[name]
    with _bars() as bars:
        with bars.table(name, None) as tell:
            report = engine.load(
                name,
                source,
                columns=spec.columns,
                where=spec.where,
                on_error=spec.on_error,
                progress=lambda n, _: tell(n),
            )
        return [bars.done(name, report.rows_loaded)]


class _Slices:
    """A stream of batches as streams of a few million rows each."""

    def __init__(self, reader: pa.RecordBatchReader, left_out: tuple[str, ...]) -> None:
        self._reader = reader
        self._names = [n for n in reader.schema.names if n not in left_out]
