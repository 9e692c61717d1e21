"""How does the demo's store come into memory? Table by table, as streams, never whole."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from segengine.cli.show import console, counted, note

if TYPE_CHECKING:
    import pyarrow as pa

    from segengine.demo import DemoStore
    from segengine.engine import Engine
    from segengine.schema.store_config import LoadSpec

Tell = Callable[[int], None]
"""Told how many rows there are so far."""

ROWS_A_SLICE = 5_000_000
MANY_BUYERS = 2_000_000
# Nothing in the demo asks for them; 16 bytes a row are 0.8 GB at 5 million buyers.
LEFT_OUT_OF_MANY = {"behaviors": ("query", "activity", "question", "answer")}


@dataclass(frozen=True, slots=True)
class Loaded:
    """One table's way into memory; `left_out` are columns that were not taken."""

    table: str
    rows: int
    seconds: float
    left_out: tuple[str, ...] = ()


def load_made_up(engine: Engine, store: DemoStore) -> list[Loaded]:
    """Every table of a made-up store, as it is made.

    A load holds its rows twice for a moment. So a large table comes in slices: all but the last
    are appended; the last is loaded, which fits the RFM cuts to all buyers.
    """
    many = store.customers > MANY_BUYERS
    with _bars() as bars:
        return [
            _load_table(engine, store, table, LEFT_OUT_OF_MANY.get(table, ()) if many else (), bars)
            for table in store.tables
        ]


def load_file(engine: Engine, table: str, spec: LoadSpec, source: str) -> list[Loaded]:
    """One `[load.TABLE]` of a store.toml, from a file in place of its source."""
    with _bars() as bars, bars.table(table, None) as tell:
        report = engine.load(
            table,
            source,
            columns=spec.columns,
            where=spec.where,
            on_error=spec.on_error,
            progress=lambda rows, _: tell(rows),
        )
        return [bars.done(report.rows_loaded)]


def _load_table(
    engine: Engine, store: DemoStore, table: str, left_out: tuple[str, ...], bars: _Bars
) -> Loaded:
    rows = 0
    with bars.table(table, store.rows_estimate(table)) as tell:
        for part, is_last in _slices(store, table, left_out, tell):
            take = engine.load if is_last else engine.append
            rows += take(table, part).rows_loaded
            if store.customers > MANY_BUYERS:
                _give_back_memory()
        return bars.done(rows, left_out)


def _slices(
    store: DemoStore, table: str, left_out: tuple[str, ...], tell: Tell
) -> Iterator[tuple[pa.RecordBatchReader, bool]]:
    """A table as streams of at most about `ROWS_A_SLICE` rows, and whether each is the last."""
    import pyarrow as pa

    whole = store.reader(table)
    names = [name for name in whole.schema.names if name not in left_out]
    schema = pa.schema([whole.schema.field(name) for name in names])
    chunks = 1 if table == "products" else -(-store.customers // store.chunk)
    most = max(1, ROWS_A_SLICE * chunks // max(store.rows_estimate(table), 1))
    told = 0

    def some() -> Iterator[pa.RecordBatch]:
        nonlocal told
        for batch in islice(whole, most):
            told += batch.num_rows
            tell(told)
            yield batch.select(names)

    for begin in range(0, chunks, most):
        yield pa.RecordBatchReader.from_batches(schema, some()), begin + most >= chunks


def _give_back_memory() -> None:
    """Return what a slice has freed to the system: measured, 0.4 GB of 10."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class _Bars:
    """A line a table: on a terminal while it loads, elsewhere once it is there."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        screen = console(errors=True)
        self._is_terminal = screen.is_terminal
        self.progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>12,.0f} rows", justify="right"),
            TimeElapsedColumn(),
            console=screen,
            disable=not self._is_terminal,
        )
        self._name, self._started, self._task = "", 0.0, self.progress.add_task("", visible=False)

    @contextmanager
    def table(self, name: str, total: int | None) -> Iterator[Tell]:
        """A line for a table that begins to load now."""
        self._name, self._started = name, time.perf_counter()
        task = self._task = self.progress.add_task(f"{name:<12}", total=total)
        yield lambda rows: self.progress.update(task, completed=rows)

    def done(self, rows: int, left_out: tuple[str, ...] = ()) -> Loaded:
        """The table is there."""
        seconds = time.perf_counter() - self._started
        self.progress.update(self._task, completed=rows, total=rows)
        if not self._is_terminal:
            note(f"loaded {self._name}: {counted(rows, 'row')} in {seconds:.1f} s")
        if left_out:
            note(f"left out of {self._name}, which nothing here asks for: {', '.join(left_out)}")
        return Loaded(self._name, rows, seconds, left_out)


@contextmanager
def _bars() -> Iterator[_Bars]:
    bars = _Bars()
    with bars.progress:
        yield bars
