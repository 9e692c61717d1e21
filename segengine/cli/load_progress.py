"""How far is a load? A bar on a terminal's standard error, for loads longer than a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from segengine.cli.show import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS = 1.0


class Told(NamedTuple):
    """Who is told of rows that are read, and of families whose traits are built."""

    rows: Callable[[int, int | None], None] | None = None
    building: Callable[[str, int, int], None] | None = None


class _Loading:
    """A bar that shows itself once the load has lasted, and is gone at the end."""

    def __init__(self, name: str) -> None:
        self._name, self._said = name, f"loading {name}"
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._state: tuple[int, int | None] = (0, None)
        self._unit = "rows"
        self._timer = threading.Timer(PATIENCE_SECONDS, self._show)
        self._timer.daemon = True
        self._over = False

    def begins(self) -> None:
        """The load begins now."""
        self._timer.start()

    def tell(self, rows: int, total: int | None) -> None:
        """So many rows were read, of so many where that is known."""
        self._put(f"loading {self._name}", rows, total, "rows")

    def build(self, family: str, done: int, steps: int) -> None:
        """The traits of a family are built now: so many steps are done."""
        self._put(f"building traits: {family}", done, steps, "steps")

    def _put(self, said: str, done: int, total: int | None, unit: str) -> None:
        with self._lock:
            self._said, self._state, self._unit = said, (done, total), unit
            if self._progress is not None and self._task is not None:
                self._progress.update(
                    self._task, description=said, completed=done, total=total, unit=unit
                )

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
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed:,.0f} {task.fields[unit]}"),
                TimeElapsedColumn(),
                console=console(errors=True),
                transient=True,
            )
            rows, total = self._state
            self._task = self._progress.add_task(
                self._said, completed=rows, total=total, unit=self._unit
            )
            self._progress.start()


@contextmanager
def loading(name: str) -> Iterator[Told]:
    """What a load tells its rows and its building to: a bar on a terminal, nobody elsewhere."""
    if not console(errors=True).is_terminal:
        yield Told()
        return
    bar = _Loading(name)
    bar.begins()
    try:
        yield Told(bar.tell, bar.build)
    finally:
        bar.ends()
