from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.errors import StoreError
from segengine.storage.arena import Arena, ReadArena

INT64 = np.dtype(np.int64)


def reader_of(arena: Arena) -> ReadArena:
    return ReadArena(f"/proc/{os.getpid()}/fd/{arena.file}")


def held(arena: Arena) -> int:
    """Bytes of memory that the arena's file really has."""
    return 512 * os.fstat(arena.file).st_blocks


def test_what_is_written_in_place_is_read_at_once() -> None:
    arena = Arena(1 << 20)
    written = arena.array(100, INT64, 7)
    offset = arena.offset_of(written)
    assert offset is not None
    seen = reader_of(arena).array(offset, INT64, (100,))
    assert seen.tolist() == [7] * 100
    written[3] = -1
    assert seen[3] == -1


def test_an_array_of_a_reader_is_for_loops_as_any_other() -> None:
    arena = Arena(1 << 20)
    matrix = arena.array(6, np.dtype(np.float64), 1.5)
    offset = arena.offset_of(matrix)
    assert offset is not None
    seen = reader_of(arena).array(offset, np.dtype(np.float64), (2, 3))
    assert seen.flags.writeable
    assert seen.flags.c_contiguous
    assert seen.flags.aligned
    assert seen.ctypes.data % 4096 == 0
    assert seen.tolist() == [[1.5] * 3] * 2


def test_a_reader_that_writes_ends_itself_and_changes_nothing() -> None:
    arena = Arena(1 << 20)
    written = arena.array(8, INT64, 7)
    program = (
        "import numpy as np; from segengine.storage.arena import ReadArena; "
        f"a = ReadArena('/proc/{os.getpid()}/fd/{arena.file}')."
        f"array({arena.offset_of(written)}, np.dtype(np.int64), (8,)); a[0] = 1"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == -11, ended.stderr.decode()
    assert written.tolist() == [7] * 8


def test_what_nobody_has_any_more_is_given_back_and_used_again() -> None:
    arena = Arena(4 << 20)
    for _ in range(20):
        array = arena.array(1 << 18, INT64, 1)
        view = array[5:]
        del array
        gc.collect()
        arena.sweep()
        assert arena.used == 1 << 21
        assert view.sum() == (1 << 18) - 5
        del view
    arena.sweep()
    assert arena.used == 0
    assert held(arena) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3_000), st.booleans()), max_size=60))
def test_arrays_in_use_never_overlap(steps: list[tuple[int, bool]]) -> None:
    arena = Arena(1 << 20)
    kept: list[np.ndarray] = []
    for number, (rows, lets_go) in enumerate(steps):
        if lets_go and kept:
            kept.pop(number % len(kept))
        try:
            kept.append(arena.array(rows, INT64, number))
        except StoreError:
            assert arena.used + 8 * rows > (1 << 20) - 60 * 4096 * 8
        assert all((each == each[0]).all() for each in kept)
    assert len({int(each[0]) for each in kept}) == len(kept)
    kept.clear()
    arena.sweep()
    assert arena.used == 0


def test_an_arena_without_room_says_what_to_do() -> None:
    arena = Arena(1 << 16)
    with pytest.raises(StoreError, match="without workers"):
        arena.array(1 << 20, INT64)


def test_the_memory_is_gone_with_the_last_process() -> None:
    arena = Arena(1 << 20)
    path = Path(f"/proc/self/fd/{arena.file}")
    assert "memfd:" in str(path.readlink())
    assert "(deleted)" in str(path.readlink())
