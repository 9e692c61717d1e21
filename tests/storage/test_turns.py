from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from segengine.errors import ElsewhereError
from segengine.storage.turns import FREE, ReaderTurns, TornError, WriterTurns


def reader_of(writer: WriterTurns) -> ReaderTurns:
    process = f"/proc/{os.getpid()}/fd"
    return ReaderTurns(f"{process}/{writer.file}", f"{process}/{writer.queue}")


def test_a_reader_hears_of_each_change_once() -> None:
    writer = WriterTurns()
    reader = reader_of(writer)
    writer.begin()
    writer.numbers[FREE] = 5
    writer.end(told=True)
    assert reader.begin()
    assert reader.numbers[FREE] == 5
    reader.now_seen()
    reader.end()
    assert not reader.begin()
    reader.end()


def test_the_writer_waits_for_a_reader_and_the_reader_for_the_writer() -> None:
    writer = WriterTurns()
    reader = reader_of(writer)
    order: list[str] = []
    reader.begin()

    def change() -> None:
        writer.begin()
        order.append("changed")
        writer.end(told=True)

    def look() -> None:
        late = reader_of(writer)
        late.begin()
        order.append("looked")
        late.end()

    changing = threading.Thread(target=change)
    changing.start()
    while not writer.numbers[2]:
        time.sleep(0.001)
    # Whoever comes now gives way to the writer that waits.
    looking = threading.Thread(target=look)
    looking.start()
    time.sleep(0.05)
    assert order == []
    reader.end()
    changing.join(10)
    looking.join(10)
    assert order == ["changed", "looked"]


def test_what_could_not_be_told_is_left_to_the_writer_until_it_is() -> None:
    writer = WriterTurns()
    reader = reader_of(writer)
    writer.begin()
    writer.end(told=False)
    for _ in range(2):
        with pytest.raises(ElsewhereError):
            reader.begin()
    writer.begin()
    writer.end(told=True)
    assert reader.begin()
    reader.end()


_DIES = """
import os, sys
from segengine.storage.turns import {kind}
{made}
turns.begin()
sys.stdout.write(f"{{os.getpid()}} {{{files}}}\\n"); sys.stdout.flush()
sys.stdin.read(1)
os.kill(os.getpid(), 9)
"""


def program(kind: str, made: str, files: str = "0") -> subprocess.Popen[str]:
    text = _DIES.format(kind=kind, made=made, files=files)
    return subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_reader_that_dies_while_it_looks_keeps_nobody_out() -> None:
    writer = WriterTurns()
    process = f"/proc/{os.getpid()}/fd"
    made = f"turns = ReaderTurns('{process}/{writer.file}', '{process}/{writer.queue}')"
    with program("ReaderTurns", made) as dying:
        assert dying.stdout
        assert dying.stdin
        dying.stdout.readline()
        began = threading.Event()
        changing = threading.Thread(target=lambda: (writer.begin(), began.set()))
        changing.start()
        assert not began.wait(0.05)
        dying.stdin.write("x")
        dying.stdin.flush()
        assert began.wait(20)
        changing.join(10)


def test_a_writer_that_dies_halfway_leaves_nothing_that_is_read() -> None:
    made = "turns = WriterTurns()"
    with program("WriterTurns", made, "turns.file} {turns.queue") as dying:
        assert dying.stdout
        assert dying.stdin
        pid, file, queue = dying.stdout.readline().split()
        reader = ReaderTurns(f"/proc/{pid}/fd/{file}", f"/proc/{pid}/fd/{queue}")
        dying.stdin.write("x")
        dying.stdin.flush()
        with pytest.raises(TornError):
            reader.begin()
