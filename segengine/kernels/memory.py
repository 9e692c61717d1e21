"""What stands at an address? Values, and arrays that whoever gives their addresses keeps alive.

An argument costs a compiled loop what an object costs the interpreter. A loop that reads thirty
arrays for one buyer gets one table of their addresses instead.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import JIT_OFF, inlined

INT8, INT32, INT64, FLOAT64 = 0, 1, 2, 3
"""What an array holds."""


def address_of(array: NDArray[Any]) -> int:
    """Where the values of an array begin."""
    found: int = array.__array_interface__["data"][0]
    return found


def write_places(table: NDArray[np.int64], places: dict[int, NDArray[Any]]) -> None:
    """Write for each array, by its field, its address and behind it how many rows it has."""
    for field, array in places.items():
        table[field] = address_of(array)
        table[field + 1] = len(array)


def _load_python(item: Any, address: Any) -> int:
    """The value at an address, a float64 as its bits. The twin of the intrinsics."""
    kinds: tuple[Any, ...] = (ctypes.c_int8, ctypes.c_int32, ctypes.c_int64, ctypes.c_int64)
    return int(kinds[int(item)].from_address(int(address)).value)


def _view_python(dtype: Any) -> Any:
    def view(address: Any, shape: Any) -> NDArray[Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size == 0:
            return np.empty(shape, dtype)
        memory = (ctypes.c_char * size).from_address(int(address))
        return np.frombuffer(memory, dtype).reshape(shape)

    return view


if JIT_OFF:
    load_at = _load_python
    uint8_at, int32_at = _view_python(np.uint8), _view_python(np.int32)
    int64_at, uint64_at = _view_python(np.int64), _view_python(np.uint64)
else:
    from llvmlite import ir
    from numba import carray, types  # type: ignore[attr-defined]
    from numba.extending import intrinsic

    def _loading(bits: int) -> Any:
        @intrinsic
        def load(typingctx, address):  # type: ignore[no-untyped-def]
            """The whole number of so many bits at an address."""
            signature = types.int64(types.int64)

            def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
                kind = ir.IntType(bits)
                place = builder.inttoptr(args[0], kind.as_pointer())
                loaded = builder.load(place, align=bits // 8)
                return loaded if bits == 64 else builder.sext(loaded, ir.IntType(64))

            return signature, generate

        return load

    _load_8, _load_32, _load_64 = _loading(8), _loading(32), _loading(64)

    @inlined
    def load_at(item: Any, address: Any) -> Any:
        """The value at an address, a float64 as its bits."""
        if item == INT8:
            return _load_8(address)
        if item == INT32:
            return _load_32(address)
        return _load_64(address)

    def _pointing() -> Any:
        @intrinsic
        def point(typingctx, address):  # type: ignore[no-untyped-def]
            """An address as a pointer."""
            signature = types.voidptr(types.int64)

            def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
                return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

            return signature, generate

        return point

    _pointer = _pointing()

    @inlined
    def uint8_at(address: Any, shape: Any) -> Any:
        """The array of this shape at an address: uint8."""
        return carray(_pointer(address), shape, np.uint8)

    @inlined
    def int32_at(address: Any, shape: Any) -> Any:
        """The array of this shape at an address: int32."""
        return carray(_pointer(address), shape, np.int32)

    @inlined
    def int64_at(address: Any, shape: Any) -> Any:
        """The array of this shape at an address: int64."""
        return carray(_pointer(address), shape, np.int64)

    @inlined
    def uint64_at(address: Any, shape: Any) -> Any:
        """The array of this shape at an address: uint64."""
        return carray(_pointer(address), shape, np.uint64)
