"""How does a run survive? As a file of its own, written whole, with a checksum of what it says.

`runs/<id>.arrow` is an Arrow IPC file: who was meant by a campaign, and in the metadata of its
schema the facts of the run as JSON, with a checksum of each. It is written under another name,
synced, and then given its name, which must be free: an acknowledged run is never written over.
What a process that was killed had not named yet is removed by the next that may write. Facts are
read when a store is opened, and members when they are first asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from segengine.errors import StoreError
from segengine.storage.lasting import sync_folder

FORMAT = 1
FOLDER, ENDING = "runs", ".arrow"
_FACTS, _CHECKSUM, _MEMBERS = b"run", b"crc32", "members_crc32"
_FRESH = ".new"


def write_run(store: Path, run: str, facts: Mapping[str, Any], members: pa.RecordBatch) -> bool:
    """Write a new run; False where the name is taken. `StoreError` where it cannot be written."""
    folder = store / FOLDER
    path = folder / f"{run}{ENDING}"
    with _in_words(path), _fresh(folder, run, facts, members) as fresh:
        try:
            os.link(fresh, path)
        except FileExistsError:
            return False
        sync_folder(folder)
    return True


def rewrite_run(store: Path, run: str, facts: Mapping[str, Any], members: pa.RecordBatch) -> None:
    """Put these members in place of those that a run had."""
    folder = store / FOLDER
    path = folder / f"{run}{ENDING}"
    with _in_words(path), _fresh(folder, run, facts, members) as fresh:
        fresh.replace(path)
        sync_folder(folder)


def remove_unfinished(store: Path) -> None:
    """Remove what was written of runs that never got their name: there are buyers' ids in it.

    Called by the process that writes to the store, while it writes no run. `StoreError` where one
    cannot be removed.
    """
    folder = store / FOLDER
    left = sorted(folder.glob(f".*{_FRESH}"))
    for path in left:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"`{path}`, which is left of a run that was being written, cannot be removed: "
                f"{error.strerror or error}",
                field="runs",
            ) from error
    if left:
        sync_folder(folder)


def run_names(store: Path) -> list[str]:
    """The ids of all runs in a directory, sorted."""
    folder = store / FOLDER
    try:
        names = [path.name for path in folder.iterdir() if path.suffix == ENDING]
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(ENDING) for name in names if not name.startswith("."))


def read_facts(store: Path, run: str) -> dict[str, Any]:
    """What a run's file says of it, its members aside."""
    path = store / FOLDER / f"{run}{ENDING}"
    facts, _ = _opened(path)
    return facts


def read_members(store: Path, run: str) -> pa.RecordBatch:
    """The members of a run, mapped: nothing is copied."""
    path = store / FOLDER / f"{run}{ENDING}"
    facts, file = _opened(path)
    try:
        if file.num_record_batches != 1:
            raise _damaged(path)
        batch = file.get_batch(0)
        batch.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise _damaged(path) from error
    if checksum_of(batch) != facts.get(_MEMBERS):
        raise _damaged(path)
    return batch


def checksum_of(members: pa.RecordBatch) -> int:
    """The CRC-32 of all values: of texts their lengths, then their bytes."""
    found = zlib.crc32(str(members.num_rows).encode())
    for name, column in zip(members.schema.names, members.columns, strict=True):
        found = zlib.crc32(name.encode(), found)
        if pa.types.is_large_string(column.type):
            _, offsets, data = column.buffers()
            places = np.frombuffer(offsets, np.int64, len(column) + 1, 8 * column.offset)
            found = zlib.crc32(np.diff(places).tobytes(), found)
            if data is not None:
                first, last = int(places[0]), int(places[-1])
                found = zlib.crc32(memoryview(data)[first:last], found)
        else:
            values: Any = np.ascontiguousarray(column.to_numpy())
            found = zlib.crc32(values, found)
    return found


def _opened(path: Path) -> tuple[dict[str, Any], Any]:
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        said = file.schema.metadata or {}
    except OSError as error:
        if isinstance(error, pa.ArrowInvalid) or error.errno is None:
            raise _damaged(path) from error
        raise StoreError(
            f"`{path}` cannot be read: {error.strerror or error}", field="runs"
        ) from error
    except (pa.ArrowInvalid, pa.ArrowException) as error:
        raise _damaged(path) from error
    text = said.get(_FACTS, b"")
    if not text or said.get(_CHECKSUM) != f"{zlib.crc32(text):08x}".encode():
        raise _damaged(path)
    facts: dict[str, Any] = json.loads(text)
    if facts["format"] != FORMAT:
        raise StoreError(
            f"`{path}` has format {facts['format']}, and this version reads {FORMAT}; open the "
            "store with the version of segengine that wrote it",
            field="runs",
        )
    return facts, file


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"`{path}` is damaged: it is not what was written; restore it from a backup, or move it "
        "out of the store, which then no longer knows the run",
        field="runs",
    )


@contextlib.contextmanager
def _fresh(
    folder: Path, run: str, facts: Mapping[str, Any], members: pa.RecordBatch
) -> Iterator[Path]:
    """A synced file under a name that no run has; it is gone afterwards."""
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(folder.parent)
    full = {**facts, "format": FORMAT, _MEMBERS: checksum_of(members)}
    text = json.dumps(full, ensure_ascii=False).encode()
    said = {_FACTS: text, _CHECKSUM: f"{zlib.crc32(text):08x}".encode()}
    schema = members.schema.with_metadata(said)
    fresh = folder / f".{run}.{os.getpid()}{_FRESH}"
    try:
        with pa.OSFile(str(fresh), "wb") as sink, pa.ipc.new_file(sink, schema) as out:
            out.write_batch(members.replace_schema_metadata(said))
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write the run `{path}`: {error.strerror or error}", field="runs"
        ) from error
