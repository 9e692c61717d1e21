"""How far is a load? A bar on a terminal's standard error, for loads longer than a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segengine.cli.show import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS = 1.0


class _Loading:
    """A bar that shows itself once the load has lasted, and is gone at the end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._state: tuple[int, int | None] = (0, None)
        self._timer = threading.Timer(PATIENCE_SECONDS, self._show)
        self._timer.daemon = True
        self._over = False

    def begins(self) -> None:
        """The load begins now."""
        self._timer.start()

    def tell(self, rows: int, total: int | None) -> None:
        """So many rows were read, of so many where that is known."""
        with self._lock:
            self._state = rows, total
            if self._progress is not None and self._task is not None:
                self._progress.update(self._task, completed=rows, total=total)

    def ends(self) -> None:
        """The load is over."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._progress is not None:
                self._progress.stop()

    def _show(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._over:
                return
            self._progress = Progress(
                TextColumn("loading {task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed:,.0f} rows"),
                TimeElapsedColumn(),
                console=console(errors=True),
                transient=True,
            )
            rows, total = self._state
            self._task = self._progress.add_task(self._name, completed=rows, total=total)
            self._progress.start()


@contextmanager
def loading(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """What a load tells its rows to: a bar on a terminal, None elsewhere."""
    if not console(errors=True).is_terminal:
        yield None
        return
    bar = _Loading(name)
    bar.begins()
    try:
        yield bar.tell
    finally:
        bar.ends()
