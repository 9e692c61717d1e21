"""How is a store copied while it is in use, and put back?

A backup is a directory of the same form: a store that opens. It is verified before it counts as
made. Digests of deleted buyers go with it, so that those who were deleted after it was made can be
taken out of it when it is put back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from segengine.errors import StoreError
from segengine.schema.store_config import FILE_NAME
from segengine.storage.catalogue_file import copy_catalogue
from segengine.storage.lasting import sync_folder
from segengine.storage.log import copy_log, read_log
from segengine.storage.run_files import FOLDER as RUNS
from segengine.storage.snapshot import (
    CURRENT,
    MANIFEST,
    Kept,
    current_name,
    kept_snapshots,
    snapshot_files,
)
from segengine.storage.snapshot import FOLDER as SNAPSHOTS
from segengine.storage.verify import verified

Told = Callable[[Path], None]
"""Called with each file before it is copied."""
_TRIES = 3


def copy_store(store: Path, target: Path, told: Told = lambda _: None) -> int:
    """Copy a store into a new directory; the bytes of the copy, every file of which is verified.

    Another process may be writing: the copy is the store at one moment. Raises `StoreError` where
    the target is not empty, where a file is damaged, where the disk is full, and where a load went
    on each time that it was tried.
    """
    if not (store / FILE_NAME).is_file():
        raise StoreError(f"there is no store at `{store}`", field="store")
    if target.resolve().is_relative_to(store.resolve()):
        raise StoreError(
            f"`{target}` is within the store that is copied; name a directory elsewhere",
            field="target",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"`{target}` is not empty; name a new directory", field="target")
    was_there = target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
        _copy(store, target, told)
        size = 0
        for each in verified(target):
            if each.error is not None:
                raise StoreError(each.error, field="store")
            size += each.bytes
    except OSError as error:
        _undo(target, was_there)
        raise StoreError(
            f"cannot copy `{store}` to `{target}`: {error.strerror or error}", field="store"
        ) from error
    except BaseException:
        _undo(target, was_there)
        raise
    return size


def _undo(target: Path, was_there: bool) -> None:
    shutil.rmtree(target, ignore_errors=True)
    if was_there:
        target.mkdir(exist_ok=True)


def _copy(store: Path, target: Path, told: Told) -> None:
    # Before the tables: these may then know more names than a definition needs, not fewer.
    copy_catalogue(store, target)
    for turn in range(_TRIES):
        name = current_name(store)
        try:
            _copy_snapshot(store, target, name, told)
        except OSError:
            # A snapshot that was replaced meanwhile is gone.
            if turn == _TRIES - 1 or current_name(store) == name:
                raise
        else:
            # The log after the snapshot: it may hold more, and never too little.
            told(store)
            copy_log(store, target)
            if _is_of_one_moment(store, target):
                break
        shutil.rmtree(target / SNAPSHOTS, ignore_errors=True)
    else:
        raise StoreError(
            f"`{store}` was loaded into, or compacted, while it was copied, {_TRIES} times; make "
            "the backup when no load is going on",
            field="store",
        )
    for path in (store / FILE_NAME, *sorted((store / RUNS).glob("*.arrow"))):
        told(path)
        copy = target / path.relative_to(store)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy2(path, copy)
    for folder in {target, *(p for p in target.rglob("*") if p.is_dir())}:
        sync_folder(folder)


def _is_of_one_moment(store: Path, target: Path) -> bool:
    """Whether the log that was copied goes on from the snapshot that was copied before it.

    A load is in no log: a change after it is in this one all the same. And two snapshots later, or
    after `compact`, the log begins later than the one that was copied ends.
    """
    copied, now = _held(target), _held(store)
    if copied.loads != now.loads:
        return False
    if copied.name == now.name:
        return True
    try:
        next(read_log(target, copied.last), None)
    except StoreError:
        # Where no other snapshot has come this is damage, which is found when all is verified.
        return False
    return True


def _held(store: Path) -> Kept:
    """The snapshot in use; one of nothing before the first."""
    return next(iter(kept_snapshots(store)), Kept("", 0, 0, 0))


def _copy_snapshot(store: Path, target: Path, name: str | None, told: Told) -> None:
    if name is None:
        if (store / CURRENT).exists():
            (target / SNAPSHOTS).mkdir(exist_ok=True)
            shutil.copy2(store / CURRENT, target / CURRENT)
        return
    pointer = (store / CURRENT).read_bytes()
    if not pointer.startswith(f"{name} ".encode()):
        raise FileNotFoundError
    files = snapshot_files(store)
    copy = target / SNAPSHOTS / name
    copy.mkdir(parents=True)
    for path in [*(path for path, _ in files), store / SNAPSHOTS / name / MANIFEST]:
        told(path)
        shutil.copy2(path, copy / path.name)
    (target / CURRENT).write_bytes(pointer)
