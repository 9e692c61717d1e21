"""Arrays come back from their files just as they were, and no changed byte passes for another."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from segengine.kernels.checksum import Checksum, checksum
from segengine.storage import array_files
from segengine.storage.array_files import (
    DamagedError,
    map_arrays,
    matrix_over,
    read_odd,
    verify_arrays,
    write_arrays,
    write_odd,
)

TYPES = (np.int8, np.int64, np.float64, np.int32, np.uint64, np.uint8, np.int16)


@pytest.mark.parametrize("rows", [64, 128, 4096])
@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_arrays_are_mapped_as_they_were_each_aligned(tmp_path: Path, rows: int, count: int) -> None:
    path = tmp_path / "a.arrow"
    arrays = {f"c{k}": np.arange(rows).astype(TYPES[k]) for k in range(count)}
    facts = write_arrays(path, arrays)
    assert facts["bytes"] == path.stat().st_size
    verify_arrays([(path, facts)])
    found = map_arrays(path)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert found[name].ctypes.data % 64 == 0
    assert pa.ipc.open_file(path).read_all().column_names == list(arrays)


def test_what_is_written_to_a_mapped_array_never_reaches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    facts = write_arrays(path, {str(k): np.full(256, k, np.int32) for k in range(3)})
    matrix = matrix_over(list(map_arrays(path).values()))
    assert matrix.shape == (3, 256)
    matrix[1] = 77
    verify_arrays([(path, facts)])
    assert np.array_equal(map_arrays(path)["1"], np.full(256, 1))


def test_short_arrays_of_any_length_and_type_share_a_file(tmp_path: Path) -> None:
    arrays = {"none": np.empty(0, np.int64), "one": np.ones(1, np.uint8), "two": np.arange(2) / 3}
    facts = write_odd(tmp_path / "odd.arrow", arrays)
    verify_arrays([(tmp_path / "odd.arrow", facts)])
    found = read_odd(tmp_path / "odd.arrow")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        found[name][:] = 0  # they are whoever's who read them


def test_any_changed_bit_of_any_part_is_noticed_and_the_file_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_files, "PART", 1024)
    rng, path = Random(5), tmp_path / "a.arrow"
    facts = write_arrays(path, {"x": np.arange(512), "y": np.zeros(512, np.int8)})
    assert len(facts["sums"]) == -(-facts["bytes"] // 1024)
    verify_arrays([(path, facts)])
    data = path.read_bytes()
    for place in [0, len(data) - 1, *rng.choices(range(len(data)), k=60)]:
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(DamagedError, match=r"a\.arrow` is damaged"):
            verify_arrays([(path, facts)])
    for other in (data[:-1], data + b"\0", b""):
        path.write_bytes(other)
        with pytest.raises(DamagedError, match="is damaged"):
            verify_arrays([(path, facts)])
    path.unlink()
    with pytest.raises(DamagedError, match="cannot be read: No such file"):
        verify_arrays([(path, facts)])


def plain(data: bytes) -> str:
    """The checksum, word by word in Python's own numbers."""
    whole = 2**64 - 1
    begin, odd = 0x243F6A8885A308D3, 0x9E3779B97F4A7C15

    def take(before: int, word: int) -> int:
        mixed = (before ^ word) * odd & whole
        return mixed ^ (mixed >> 32)

    lanes = [begin * k & whole for k in range(1, 65)]
    padded = data + bytes(-len(data) % 512)
    for place in range(0, len(padded), 8):
        lane = place // 8 % 64
        lanes[lane] = take(lanes[lane], int.from_bytes(padded[place : place + 8], "little"))
    found = begin ^ len(data)
    for lane_value in lanes:
        found = take(found, lane_value)
    return f"{found:016x}"


@pytest.mark.parametrize("size", [0, 1, 8, 511, 512, 513, 5000])
def test_the_checksum_is_what_it_says(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    assert checksum(data) == plain(data.tobytes())
    pieces = Checksum()
    for begin in range(0, size, 512):
        pieces.take(data[begin : begin + 512])
    assert pieces.value() == checksum(data)
    assert checksum(np.append(data, np.uint8(0))) != checksum(data)


def test_two_changed_bits_do_not_cancel_out() -> None:
    data = np.zeros(4096, np.uint8)
    seen = {checksum(data)}
    for first in range(0, 4096, 97):
        for second in (7, 519, 1031, 4095):
            if first != second:
                changed = data.copy()
                changed[first] ^= 128
                changed[second] ^= 128
                seen.add(checksum(changed))
    pairs = {frozenset((a, b)) for a in range(0, 4096, 97) for b in (7, 519, 1031, 4095) if a != b}
    assert len(seen) == 1 + len(pairs)
