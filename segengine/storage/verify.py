"""Is every file of a store what was written?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segengine.errors import StoreError
from segengine.storage import catalogue_file
from segengine.storage.catalogue_file import read_catalogue
from segengine.storage.log import ACKNOWLEDGED, FILE, check_remembered, read_log
from segengine.storage.run_files import ENDING, FOLDER, read_members, run_names
from segengine.storage.snapshot import (
    CURRENT,
    KEPT,
    MANIFEST,
    Kept,
    check_list,
    kept_snapshots,
    snapshot_files,
    verify_file,
)
from segengine.storage.snapshot import FOLDER as SNAPSHOTS


@dataclass(frozen=True, slots=True)
class Verified:
    """One file, its bytes, and what is wrong with it; None where nothing is."""

    file: Path
    bytes: int
    error: str | None


def verified(store: Path) -> Iterator[Verified]:
    """Every file of a store, read whole and checked; one that is damaged does not end it."""
    try:
        kept = kept_snapshots(store)
    except StoreError as error:
        yield _of(store / CURRENT, str(error))
    else:
        yield from _snapshots(store, kept)
    yield from _catalogue(store)
    for run in run_names(store):
        path = store / FOLDER / f"{run}{ENDING}"
        try:
            read_members(store, run)
            yield _of(path)
        except StoreError as error:
            yield _of(path, str(error))


def _snapshots(store: Path, kept: tuple[Kept, ...]) -> Iterator[Verified]:
    """The files of every snapshot that is kept, and of the log after the oldest that is sound."""
    held = []
    if kept:
        yield _of(store / CURRENT)
    for each in kept:
        manifest = store / SNAPSHOTS / each.name / MANIFEST
        try:
            files = snapshot_files(store, each)
        except StoreError as error:
            yield _of(manifest, str(error))
            continue
        yield _of(manifest)
        held.append(each.last)
        for path, expected in files:
            try:
                verify_file(path, expected)
                yield _of(path)
            except StoreError as error:
                yield _of(path, str(error))
    if (store / SNAPSHOTS / KEPT).exists():
        try:
            check_list(store)
            yield _of(store / SNAPSHOTS / KEPT)
        except StoreError as error:
            yield _of(store / SNAPSHOTS / KEPT, str(error))
    # Which changes have to be there is known from snapshots alone.
    if held or not kept:
        yield from _log(store, min(held, default=0))


def _catalogue(store: Path) -> Iterator[Verified]:
    path = store / catalogue_file.FILE
    try:
        read_catalogue(store)
    except StoreError as error:
        yield _of(path, str(error))
        return
    for each in (path, store / catalogue_file.ACKNOWLEDGED):
        if each.exists():
            yield _of(each)


def _log(store: Path, held: int) -> Iterator[Verified]:
    path = store / FILE
    try:
        for _ in read_log(store, held):
            pass
        check_remembered(store)
    except StoreError as error:
        yield _of(path, str(error))
        return
    for each in (path, store / ACKNOWLEDGED):
        if each.exists():
            yield _of(each)


def _of(path: Path, error: str | None = None) -> Verified:
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    return Verified(path, size, error)
