"""How does the demo's store come into memory? Table by table, as streams, never whole."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segengine.cli.show import console, counted, note

if TYPE_CHECKING:
    from rich.progress import TaskID

    from segengine.demo import DemoStore
    from segengine.engine import Engine
    from segengine.schema.store_config import LoadSpec

Tell = Callable[[int, int | None], None]
"""Told how many rows there are so far, and of how many where that is known."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One table's way into memory; or that of `traits`, which are built when all are there."""

    table: str
    rows: int
    seconds: float


def load_made_up(engine: Engine, store: DemoStore) -> list[Loaded]:
    """Every table of a made-up store, batch by batch as it is made."""
    loaded = []
    with _bars() as bars:
        with engine.built_once(bars.build):
            for table in store.tables:
                with bars.table(table, store.rows_estimate(table)) as tell:
                    report = engine.load(table, store.reader(table), progress=tell)
                    loaded.append(bars.done(report.rows_loaded))
                _give_back_memory()
        loaded.append(bars.built())
    return loaded


def load_file(engine: Engine, table: str, spec: LoadSpec, source: str) -> list[Loaded]:
    """One `[load.TABLE]` of a store.toml, from a file in place of its source."""
    with _bars() as bars:
        with engine.built_once(bars.build), bars.table(table, None) as tell:
            report = engine.load(
                table,
                source,
                columns=spec.columns,
                where=spec.where,
                on_error=spec.on_error,
                progress=tell,
            )
            loaded = bars.done(report.rows_loaded)
        return [loaded, bars.built()]


def _give_back_memory() -> None:
    """Return what a load has freed to the system: measured, up to 1 GB at 5 million buyers."""
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
            TextColumn("{task.completed:>12,.0f} {task.fields[unit]}", justify="right"),
            TimeElapsedColumn(),
            console=screen,
            disable=not self._is_terminal,
        )
        self._name, self._started, self._task = "", 0.0, self._add("", None)

    @contextmanager
    def table(self, name: str, total: int | None) -> Iterator[Tell]:
        """A line for a table that begins to load now."""
        self._name, self._started = name, time.perf_counter()
        task = self._task = self._add(name, total)

        def tell(rows: int, whole: int | None) -> None:
            # A file knows how many rows it has, `where` left aside; a stream is an estimate.
            self.progress.update(task, completed=rows, total=whole or total)

        yield tell

    def _add(self, name: str, total: int | None, unit: str = "rows") -> TaskID:
        return self.progress.add_task(f"{name:<12}", total=total, visible=bool(name), unit=unit)

    def build(self, family: str, done: int, steps: int) -> None:
        """The traits of a family are built now: so many steps are done."""
        if done == 0:
            self._name, self._started = "traits", time.perf_counter()
            self._task = self._add(self._name, steps, "steps")
        told = f"{self._name:<12} {family}".rstrip()
        self.progress.update(self._task, description=told, completed=done)

    def built(self) -> Loaded:
        """The traits are there."""
        seconds = time.perf_counter() - self._started
        if not self._is_terminal:
            note(f"built the traits in {seconds:.1f} s")
        return Loaded(self._name, 0, seconds)

    def done(self, rows: int) -> Loaded:
        """The table is there."""
        seconds = time.perf_counter() - self._started
        self.progress.update(self._task, completed=rows, total=rows)
        if not self._is_terminal:
            note(f"loaded {self._name}: {counted(rows, 'row')} in {seconds:.1f} s")
        return Loaded(self._name, rows, seconds)


@contextmanager
def _bars() -> Iterator[_Bars]:
    bars = _Bars()
    with bars.progress:
        yield bars
