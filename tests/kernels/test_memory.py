"""What stands at an address is what stands in the array, compiled or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segengine.kernels import memory
from segengine.kernels.jit import JIT_OFF

TYPES = {np.int8: memory.INT8, np.int32: memory.INT32, np.int64: memory.INT64,
         np.float64: memory.FLOAT64}  # fmt: skip
VIEWS = {"uint8": memory.uint8_at, "int32": memory.int32_at, "int64": memory.int64_at,
         "uint64": memory.uint64_at}  # fmt: skip


@pytest.mark.skipif(JIT_OFF, reason="there is no intrinsic with the JIT off")
@pytest.mark.parametrize("dtype", TYPES)
def test_a_value_at_an_address_is_what_its_python_twin_loads(dtype: Any) -> None:
    import numba

    @numba.njit
    def loaded(item: int, address: int) -> Any:
        return memory.load_at(item, address)

    values = np.array([-128, -1, 0, 1, 127], dtype)
    for place in range(len(values)):
        address = memory.address_of(values) + place * values.itemsize
        expected = memory._load_python(TYPES[dtype], address)
        assert loaded(TYPES[dtype], address) == expected
        if dtype is not np.float64:
            assert expected == values[place]


@pytest.mark.parametrize("shape", [(6,), (2, 3), (0, 3), (0,)])
@pytest.mark.parametrize("name", VIEWS)
def test_an_array_at_an_address_is_the_array_itself(name: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=name).reshape(shape)
    for view in {VIEWS[name], memory._view_python(name)}:
        found = view(memory.address_of(values), shape)
        assert found.dtype == values.dtype
        assert found.tolist() == values.tolist()
        found += 1
        assert found.tolist() == values.tolist(), "it is the same memory"


def test_places_are_addresses_with_their_rows() -> None:
    arrays = {1: np.zeros(5), 3: np.zeros((2, 7))}
    table = np.zeros(5, np.int64)
    memory.write_places(table, arrays)
    assert table.tolist() == [0, arrays[1].ctypes.data, 5, arrays[3].ctypes.data, 2]
