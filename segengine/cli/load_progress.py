"""How far is a load? A bar on a terminal's standard error, for loads longer than a second."""

# ruff: noqa: PLC0415 - rich is imported when something is shown

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segengine.cli.show import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS = 1.0


class Loading:
    """A bar that shows itself once the load has lasted, and is gone at the end."""

    def __init__(self, *, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._timer: threading.Timer | None = None
        self._name = ""
        self._rows, self._total = 0, None  # type: tuple[int, int | None]

    def begins(self, name: str) -> None:
        """A load of this name begins now."""
        self._name = name
        self._timer = threading.Timer(self._patience, self._show)
        self._timer.daemon = True
        self._timer.start()

    def tell(self, rows: int, total: int | None) -> None:
        """So many rows were read, of so many where that is known."""
        with self._lock:
            self._rows, self._total = rows, total
            if self._progress is not None and self._task is not None:
                self._progress.update(self._task, completed=rows, total=total)

    def ends(self) -> None:
        """The load is over."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._progress is not None:
                self._progress.stop()
                self._progress = None

    def _show(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._timer is None:
                return
            self._progress = Progress(
                TextColumn("loading {task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed:,.0f} rows"),
                TimeElapsedColumn(),
                console=console(errors=True),
                transient=True,
            )
            self._task = self._progress.add_task(
                self._name, completed=self._rows, total=self._total
            )
            self._progress.start()


@contextmanager
def loading() -> Iterator[Loading]:
    """A bar for a terminal; elsewhere one that never shows."""
    on_terminal = console(errors=True).is_terminal
    bar = Loading(patience=PATIENCE_SECONDS if on_terminal else threading.TIMEOUT_MAX)
    try:
        yield bar
    finally:
        bar.ends()
