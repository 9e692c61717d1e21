"""How is a snapshot written while the store goes on taking in and answering?

By another process, from the files: it opens the snapshot before, makes the changes of the log after
it again, up to one that it is told, and writes the next beside it. The process that owns the store
waits for nobody and copies nothing; it says what those files do not (the moment, what was fitted,
and the settings it runs with: `store.toml` may have been edited for its next start), and puts the
snapshot in use when it is whole. The maker runs at low priority, and ends when its owner does.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segengine import days
from segengine.errors import SegengineError, StoreError
from segengine.reopening import Tail, bring_up, goals_of, moved, refresh_many, replay
from segengine.schema.store_config import StoreConfig
from segengine.storage.array_files import Told
from segengine.storage.log import read_log
from segengine.storage.snapshot import Derived, fill_snapshot, read_snapshot
from segengine.tables.column import Column
from segengine.tables.tables import Tables
from segengine.traits.build import declare
from segengine.traits.depends import fingerprint
from segengine.traits.fits_written import fits_from_json, fits_to_json, recoded
from segengine.traits.work import TraitSettings

Progress = Callable[[int, int], None]
"""Told how many bytes are written, of about how many."""
_NICE = 10
_OTHER_PROGRAM = 3
"""The exit status where what derives traits is not what runs in the owner."""


class OtherProgramError(StoreError):
    """A maker that would derive other traits than its owner, such as after an upgrade."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which snapshot is wanted.

    last: the newest change that it is to hold.  as_of: the moment its traits are true for
    loads: see `Kept`.  timezone, config: of the store as it runs  depends: the fingerprint of them
    said: what stands beside the traits
    texts: what codes in its fits stand for: a batch that was refused may have taken codes
    """

    last: int
    as_of: int
    loads: int
    timezone: str
    config: StoreConfig
    depends: str
    said: Mapping[str, Any]
    texts: list[str]


class Maker:
    """One snapshot in the making, in a folder that nobody looks at yet."""

    def __init__(self, store: Path, target: Path, asked: Asked) -> None:
        self._target, self._asked = target, asked
        command = [sys.executable, "-m", "segengine.snapshot_maker", str(store), str(target)]
        environment = {**os.environ, "SEGENGINE_THREADS": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment,
        )  # fmt: skip

    def wait(self, progress: Progress | None = None) -> int:
        """Wait until it is written; the checksum of its manifest.

        Raises `StoreError` where it could not be, or was stopped, and `OtherProgramError` where
        this process has to write it; nothing is left of it then.
        """
        checksum = None
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            # Over a pipe, not by a file: nobody else can say what is unpickled there.
            with suppress(BrokenPipeError), process.stdin as asked:
                asked.write(pickle.dumps(self._asked))
            for line in process.stdout:
                kind, *numbers = line.decode().split()
                if kind == "written" and progress is not None:
                    progress(int(numbers[0]), int(numbers[1]))
                elif kind == "whole":
                    checksum = int(numbers[0])
            complaints = process.stderr.read().decode(errors="replace").strip()
        if process.returncode == 0 and checksum is not None:
            return checksum
        shutil.rmtree(self._target, ignore_errors=True)
        why = complaints.splitlines()[-1] if complaints else "the process that wrote it has ended"
        kind_of = OtherProgramError if process.returncode == _OTHER_PROGRAM else StoreError
        raise kind_of(f"cannot write a snapshot to `{self._target}`: {why}", field="store")

    def stop(self) -> None:
        """End it; whoever waits is told."""
        self._process.terminate()


def make(
    store: Path, target: Path, asked: Asked, told: Callable[[int, int], None], alive: Told
) -> int:
    """Write the snapshot that is asked for; the checksum of its manifest.

    told: the bytes written so far, of how many.  alive: called again and again; may end it all
    Raises `OtherProgramError` before anything is written.
    """
    config = asked.config
    goals = goals_of(asked.said["goals"])
    settings = TraitSettings(days.zone(asked.timezone), config, goals)
    if fingerprint(settings) != asked.depends:
        raise OtherProgramError(
            "segengine, or its calendar of timezones, is another on disk than the one that runs; "
            "start it again",
            field="store",
        )
    tables = Tables(config.tables(), money_scale=config.money_scale)
    tables.as_of = asked.as_of
    declare(tables)
    tail = Tail()
    opened = read_snapshot(tables, store, asked.depends, alive)
    for change in read_log(store, 0 if opened is None else opened.last):
        if change.number > asked.last:
            break
        alive(0)
        replay(tables, tail, change, store)
    derived = None if opened is None else opened.derived
    said = dict(asked.said)
    if derived is not None and _is_of_one_fit(derived, asked, tables.as_of, settings):
        bring_up(tables, settings, tail, derived.said, asked.as_of)
    else:
        moved(tables, asked.as_of)
        fits = recoded(fits_from_json(said["fits"]), asked.texts, tables)
        said["fits"] = fits_to_json(fits)
        rows = np.arange(tables.customers.rows, dtype=np.int64)
        refresh_many(tables, settings, fits, rows)
    _prepare(tables)
    done = 0

    def wrote(count: int, total: int) -> None:
        nonlocal done
        done += count
        alive(count)
        told(done, max(done, total))

    fresh = Derived(asked.depends, said)
    return fill_snapshot(tables, target, asked.last, derived=fresh, loads=asked.loads, told=wrote)


def _is_of_one_fit(derived: Derived, asked: Asked, kept_at: int, settings: TraitSettings) -> bool:
    """Whether traits that were kept need no more than the tail to be those that are asked for."""
    zone = settings.zone
    if zone.day_of(kept_at) != zone.day_of(asked.as_of):
        return False
    # As text: what is no number is like itself.
    return json.dumps(derived.said["fits"]) == json.dumps(asked.said["fits"])


def _prepare(tables: Tables) -> None:
    """Make the scan codes of buyers' columns now, not when the snapshot is opened."""
    customers = tables.customers
    columns: list[Column] = [*customers.columns.values(), *customers.traits.values()]
    for column in columns:
        if column.is_allocated:
            column.scan_codes(customers.rows)


def _asked() -> Asked:
    """What the owner wants, from standard input."""
    said = sys.stdin.buffer.read()
    try:
        asked: Asked = pickle.loads(said)  # noqa: S301 - of the process that started this one
    except Exception as error:
        raise OtherProgramError(
            f"what is asked for cannot be read: {error}", field="store"
        ) from error
    return asked


def main(store: str, target: str) -> None:
    """As a process: progress on standard output, a complaint on standard error."""
    owner = os.getppid()
    os.nice(_NICE)

    def alive(_: int) -> None:
        if os.getppid() != owner:
            raise SystemExit("its owner is gone")

    def told(done: int, total: int) -> None:
        sys.stdout.write(f"written {done} {total}\n")
        sys.stdout.flush()

    try:
        checksum = make(Path(store), Path(target), _asked(), told, alive)
    except OtherProgramError as error:
        sys.stderr.write(str(error))
        raise SystemExit(_OTHER_PROGRAM) from None
    except SegengineError as error:
        raise SystemExit(str(error).replace("\n", " ")) from None
    except OSError as error:
        raise SystemExit(str(error.strerror or error)) from None
    sys.stdout.write(f"whole {checksum}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:3])
