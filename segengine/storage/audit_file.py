"""Who has changed, taken away or deleted what? Lines of JSON beside the store, never changed again.

`audit.jsonl` is appended to; when it has grown to `FULL_BYTES` it is set aside as
`audit-000001.jsonl`, and so on. Nothing of it is ever removed by the store. It names no buyer:
where one is meant, the line has a digest made with the store's secret, from which nobody can tell
the id.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segengine.errors import StoreError
from segengine.storage.lasting import sync_folder

AUDIT = "audit.jsonl"
_ASIDE = "audit-[0-9][0-9][0-9][0-9][0-9][0-9]*.jsonl"
FULL_BYTES = 16 << 20


class AuditFile:
    """The open audit log of a store's directory; threads may share it."""

    def __init__(self, folder: Path, *, full_bytes: int = FULL_BYTES) -> None:
        self._folder, self._full = folder, full_bytes
        self._lock = threading.Lock()
        self._is_begun = False

    def write(self, told: Mapping[str, Any]) -> None:
        """Append one line; it is with the operating system when this returns.

        Raises `StoreError` where it cannot be written; nothing of it is in the file then.
        """
        line = (json.dumps(told, ensure_ascii=False) + "\n").encode()
        path = self._folder / AUDIT
        with self._lock:
            try:
                if path.exists() and path.stat().st_size + len(line) > self._full:
                    self._set_aside(path)
                # Opened each time: whoever takes the file away finds a new one begun.
                file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    if not self._is_begun:
                        line = _after_torn(path) + line
                    _write_whole(file, line)
                    self._is_begun = True
                finally:
                    os.close(file)
            except OSError as error:
                raise StoreError(
                    f"cannot write to `{path}`: {(error.strerror or str(error)).lower()}",
                    field="audit",
                ) from error

    def _set_aside(self, path: Path) -> None:
        found = sorted(self._folder.glob(_ASIDE))
        number = 1 + (int(found[-1].stem.partition("-")[2]) if found else 0)
        path.rename(self._folder / f"audit-{number:06d}.jsonl")
        sync_folder(self._folder)


def _write_whole(file: int, line: bytes) -> None:
    """The whole line, or nothing of it."""
    written = os.write(file, line)
    if written < len(line):
        os.ftruncate(file, os.fstat(file).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _after_torn(path: Path) -> bytes:
    """What ends a line that a loss of power has left without its end."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return b""
        file.seek(-1, os.SEEK_END)
        return b"" if file.read(1) == b"\n" else b"\n"


def audit_files(folder: Path) -> list[Path]:
    """The files of a store's audit log, the oldest first."""
    newest = folder / AUDIT
    return [*sorted(folder.glob(_ASIDE)), *([newest] if newest.exists() else [])]


def read_audit(folder: Path) -> Iterator[dict[str, Any]]:
    """Every line of a store's audit log, the oldest first; of a torn one where it stands."""
    for path in audit_files(folder):
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                try:
                    told = json.loads(line)
                except ValueError:
                    told = None
                yield told if isinstance(told, dict) else {"torn": f"{path.name}, line {number}"}
