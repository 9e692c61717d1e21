"""A line that was written stays as it is; a full file is set aside; a torn line spoils no other."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

import segengine as se
from segengine.storage.audit_file import AUDIT, AuditFile, audit_files, read_audit


def test_lines_are_read_in_the_order_written_across_files(tmp_path: Path) -> None:
    file = AuditFile(tmp_path, full_bytes=300)
    for number in range(100):
        file.write({"number": number, "who": "ä\n"})
    assert [each["number"] for each in read_audit(tmp_path)] == list(range(100))
    assert len(audit_files(tmp_path)) > 5
    assert all(path.stat().st_size <= 300 for path in audit_files(tmp_path))
    assert (tmp_path / AUDIT).stat().st_mode & 0o777 == 0o600
    AuditFile(tmp_path, full_bytes=300).write({"number": 100})
    assert [each["number"] for each in read_audit(tmp_path)] == list(range(101))


def test_threads_do_not_write_into_each_others_lines(tmp_path: Path) -> None:
    file = AuditFile(tmp_path, full_bytes=5_000)

    def write(first: int) -> None:
        for number in range(first, first + 50):
            file.write({"number": number})

    threads = [threading.Thread(target=write, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted(each["number"] for each in read_audit(tmp_path))
    assert found == sorted(100 * k + n for k in range(4) for n in range(50))


def test_a_line_without_its_end_is_told_and_the_next_is_whole(tmp_path: Path) -> None:
    AuditFile(tmp_path).write({"number": 1})
    with (tmp_path / AUDIT).open("ab") as torn:
        torn.write(b'{"number": 2, "wh')
    AuditFile(tmp_path).write({"number": 3})
    first, second, third = read_audit(tmp_path)
    assert (first, third) == ({"number": 1}, {"number": 3})
    assert second == {"torn": "audit.jsonl, line 2"}


@pytest.mark.parametrize("written", [0, 7])
def test_a_full_disk_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    file = AuditFile(tmp_path)
    file.write({"number": 1})
    whole = os.write

    def full(descriptor: int, data: bytes) -> int:
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(descriptor, data[:written])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(se.StoreError, match=r"audit.jsonl`: no space left on device"):
            file.write({"number": 2})
    file.write({"number": 3})
    assert [each["number"] for each in read_audit(tmp_path)] == [1, 3]
