"""A rule that scans alone cannot decide, as a program: a few hundred rows at a time, in cache.

A program is a list of steps over registers. A register holds one value for each row of a block:
a whole number, a float64 kept by its bits, or a truth (0 false, 1 unknown, 2 true), so that AND
is the lesser, OR the greater. The steps are compiled once; a rule is data.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import date_part
from segengine.kernels.jit import JIT_OFF, Words, inlined, kernel
from segengine.kernels.scan import word_within

BLOCK = 512
MISSING = np.int64(-(2**63))
AND_MODE, OR_MODE = 1, 2

(
    LOAD_I8, LOAD_I16, LOAD_I32, LOAD_I64, LOAD_F64, LOAD_TRUTH, LOAD_RAW,
    LOOK_TRUTH, LOOK_I64, LOOK_F64, AT_I32, AT_I64, AT_F64, AT_TRUTH,
    CONST, ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER, NEGATE, ABSOLUTE,
    ADD_F, SUBTRACT_F, MULTIPLY_F, DIVIDE_F, NEGATE_F, ABSOLUTE_F, TO_FLOAT, SHARE,
    EQUAL, LESS, LESS_EQUAL, EQUAL_F, LESS_F, LESS_EQUAL_F, SAME, SAME_F,
    IS_NULL, IS_NULL_F, AND, OR, NOT, CHOOSE, EITHER, EITHER_F,
    LEAST, GREATEST, LEAST_F, GREATEST_F, LOCAL_DAY, YEAR, MONTH, DAY, WEEKDAY,
) = range(55)  # fmt: skip
"""YEAR to WEEKDAY in the order of `calendar`."""

if JIT_OFF:

    def _twin(kind: Any) -> Any:
        size = ctypes.sizeof(kind)
        return lambda address, index: kind.from_address(int(address) + size * int(index)).value

    peek_i8, peek_i16, peek_i32 = (
        _twin(k) for k in (ctypes.c_int8, ctypes.c_int16, ctypes.c_int32)
    )
    peek_i64, peek_f64 = _twin(ctypes.c_int64), _twin(ctypes.c_double)
else:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    def _peek(numba_type: Any, llvm_type: Any) -> Any:
        @intrinsic
        def peek(typingctx, address, index):  # type: ignore[no-untyped-def]
            """The value at `address` + `index` values."""
            signature = numba_type(types.uint64, types.int64)

            def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
                pointer = builder.inttoptr(args[0], llvm_type.as_pointer())
                return builder.load(builder.gep(pointer, [args[1]]))

            return signature, generate

        return peek

    peek_i8 = _peek(types.int8, ir.IntType(8))
    peek_i16 = _peek(types.int16, ir.IntType(16))
    peek_i32 = _peek(types.int32, ir.IntType(32))
    peek_i64 = _peek(types.int64, ir.IntType(64))
    peek_f64 = _peek(types.float64, ir.DoubleType())


@inlined
def _load(op: int, address: Any, row: int, count: int, out: Any, out_f: Any) -> None:
    """Values of rows [row, row + count) of a column."""
    if op == LOAD_I8:
        for i in range(count):
            value = peek_i8(address, row + i)
            out[i] = MISSING if value == -128 else np.int64(value)
    elif op == LOAD_I16:
        for i in range(count):
            out[i] = np.int64(peek_i16(address, row + i))
    elif op == LOAD_I32:
        for i in range(count):
            value = peek_i32(address, row + i)
            out[i] = MISSING if value == -2147483648 else np.int64(value)
    elif op == LOAD_I64:
        for i in range(count):
            out[i] = peek_i64(address, row + i)
    elif op == LOAD_F64:
        for i in range(count):
            out_f[i] = peek_f64(address, row + i)
    elif op == LOAD_TRUTH:
        for i in range(count):
            value = peek_i8(address, row + i)
            out[i] = 1 if value < 0 else (2 if value == 1 else 0)
    else:
        for i in range(count):
            out[i] = np.int64(peek_i32(address, row + i))


@inlined
def _look(op: int, address: Any, count: int, codes: Any, out: Any, out_f: Any) -> None:
    """Entries of a table by code + 1, or of a column by row where a row is known.

    `codes` and `out` may be one register.
    """
    if op == LOOK_TRUTH:
        for i in range(count):
            value = peek_i8(address, codes[i] + 1)
            out[i] = 1 if value < 0 else (2 if value == 1 else 0)
    elif op == LOOK_I64:
        for i in range(count):
            out[i] = peek_i64(address, codes[i] + 1)
    elif op == LOOK_F64:
        for i in range(count):
            out_f[i] = peek_f64(address, codes[i] + 1)
    elif op == AT_I32:
        for i in range(count):
            code = codes[i]
            found = MISSING
            if code >= 0:
                value = peek_i32(address, code)
                if value != -2147483648:
                    found = np.int64(value)
            out[i] = found
    elif op == AT_I64:
        for i in range(count):
            out[i] = peek_i64(address, codes[i]) if codes[i] >= 0 else MISSING
    elif op == AT_F64:
        for i in range(count):
            out_f[i] = peek_f64(address, codes[i]) if codes[i] >= 0 else np.nan
    else:
        for i in range(count):
            code = codes[i]
            found = np.int64(1)
            if code >= 0:
                value = peek_i8(address, code)
                if value >= 0:
                    found = np.int64(2 * value)
            out[i] = found


@inlined
def _whole(op: int, count: int, a: Any, b: Any, out: Any) -> None:
    """Whole-number arithmetic; missing on overflow and by zero. Sums wrap as unsigned."""
    if op == ADD:
        for i in range(count):
            x, y = a[i], b[i]
            total = np.int64(np.uint64(x) + np.uint64(y))
            bad = (x == MISSING) | (y == MISSING) | (((x ^ total) & (y ^ total)) < 0)
            out[i] = MISSING if bad else total
    elif op == SUBTRACT:
        for i in range(count):
            x, y = a[i], b[i]
            total = np.int64(np.uint64(x) - np.uint64(y))
            bad = (x == MISSING) | (y == MISSING) | (((x ^ y) & (x ^ total)) < 0)
            out[i] = MISSING if bad else total
    elif op == MULTIPLY:
        wide = np.int64(0)
        half, full = np.uint64(2147483648), np.uint64(4294967295)
        for i in range(count):
            x, y = a[i], b[i]
            x_wide = (x != MISSING) & ((np.uint64(x) + half) > full)
            y_wide = (y != MISSING) & ((np.uint64(y) + half) > full)
            wide |= np.int64(x_wide) | np.int64(y_wide)
        if wide == 0:
            for i in range(count):
                x, y = a[i], b[i]
                out[i] = MISSING if (x == MISSING) | (y == MISSING) else x * y
        else:
            for i in range(count):
                out[i] = _product(a[i], b[i])
    else:
        for i in range(count):
            x, y = a[i], b[i]
            result = MISSING
            if x != MISSING and y != MISSING and y != 0:
                quotient = abs(x) // abs(y)
                if (x < 0) != (y < 0):
                    quotient = -quotient
                result = quotient if op == DIVIDE else x - quotient * y
            out[i] = result


@inlined
def _product(x: Any, y: Any) -> Any:
    if x == MISSING or y == MISSING:
        return MISSING
    result = np.int64(np.uint64(x) * np.uint64(y))
    if x != 0 and (result // x != y or result == MISSING):
        return MISSING
    return result


@inlined
def _float(op: int, count: int, a: Any, b: Any, out: Any) -> None:
    """float64 arithmetic; what is not finite is missing."""
    for i in range(count):
        if op == ADD_F:
            result = a[i] + b[i]
        elif op == SUBTRACT_F:
            result = a[i] - b[i]
        elif op == MULTIPLY_F:
            result = a[i] * b[i]
        else:
            result = a[i] / b[i] if b[i] != 0 else np.nan
        out[i] = result if abs(result) <= 1.7976931348623157e308 else np.nan


@inlined
def _compare(op: int, count: int, a: Any, b: Any, out: Any) -> None:
    """The truth of a comparison of whole numbers; unknown where either is missing."""
    for i in range(count):
        x, y = a[i], b[i]
        if op == EQUAL:
            hit = x == y
        elif op == LESS:
            hit = x < y
        else:
            hit = x <= y
        truth = np.int64(2) if hit else np.int64(0)
        out[i] = np.int64(1) if (x == MISSING) | (y == MISSING) else truth


@inlined
def _compare_f(op: int, count: int, a: Any, b: Any, out: Any) -> None:
    """The same for float64, of which NaN is missing."""
    for i in range(count):
        x, y = a[i], b[i]
        if op == EQUAL_F:
            hit = x == y
        elif op == LESS_F:
            hit = x < y
        else:
            hit = x <= y
        truth = np.int64(2) if hit else np.int64(0)
        out[i] = np.int64(1) if (x != x) | (y != y) else truth


@inlined
def _extreme(op: int, count: int, a: Any, b: Any, out: Any) -> None:
    for i in range(count):
        x, y = a[i], b[i]
        better = y < x if op == LEAST else y > x
        out[i] = y if (x == MISSING) | (better & (y != MISSING)) else x


@inlined
def _extreme_f(op: int, count: int, a: Any, b: Any, out: Any) -> None:
    for i in range(count):
        x, y = a[i], b[i]
        better = y < x if op == LEAST_F else y > x
        out[i] = y if (x != x) | better else x


@inlined
def _to_float(count: int, a: Any, unit: Any, out: Any) -> bool:
    """Whole numbers as float64, divided by a unit; False where that would round twice."""
    exact = True
    limit = np.int64(9007199254740992)
    for i in range(count):
        x = a[i]
        exact &= (x == MISSING) | ((x <= limit) & (x >= -limit))
        out[i] = np.nan if x == MISSING else np.float64(x) / unit
    return exact


@inlined
def _local_day(starts: Any, offsets: Any, size: int, count: int, a: Any, out: Any) -> None:
    """The local date of instants, in days since 1970; the zone's changes are in two tables."""
    segment = 0
    for i in range(count):
        x = a[i]
        found = MISSING
        if x != MISSING:
            if not (peek_i64(starts, segment) <= x) or (
                segment + 1 < size and x >= peek_i64(starts, segment + 1)
            ):
                low, high = 0, size
                while high - low > 1:
                    middle = (low + high) >> 1
                    if peek_i64(starts, middle) <= x:
                        low = middle
                    else:
                        high = middle
                segment = low
            found = (x + peek_i64(offsets, segment)) // 86_400_000_000
        out[i] = found


@inlined
def _date_part(op: int, count: int, a: Any, out: Any) -> None:
    """A part of a date."""
    for i in range(count):
        out[i] = MISSING if a[i] == MISSING else date_part(op - YEAR, a[i])


@kernel
def run(
    steps: NDArray[np.int64],
    addresses: NDArray[np.uint64],
    constants: NDArray[np.int64],
    whole: NDArray[np.int64],
    floats: NDArray[np.float64],
    truths: NDArray[np.uint64],
    wanted: int,
    rows: int,
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> bool:
    """Words [begin, end): rows for which the last register is `wanted`; False if inexact.

    steps: int64[n, 5] of (op, register, argument, argument, argument)
    addresses: uint64[columns and tables]  constants: int64[m], floats by their bits
    whole, floats, truths: int64, float64 and uint64[registers, BLOCK], the same memory
    out: uint64[words]
    """
    for first in range(begin, end, BLOCK // 64):
        last = min(first + BLOCK // 64, end)
        if mode == AND_MODE:
            found = np.uint64(0)
            for word in range(first, last):
                found |= out[word]
            if found == 0:
                continue
        row = 64 * first
        count = min(64 * last, rows) - row
        for step in range(steps.shape[0]):
            op, target, a, b, c = (
                steps[step, 0], steps[step, 1], steps[step, 2], steps[step, 3], steps[step, 4],
            )  # fmt: skip
            if op <= LOAD_RAW:
                _load(op, addresses[a], row, count, whole[target], floats[target])
            elif op <= AT_TRUTH:
                _look(op, addresses[a], count, whole[b], whole[target], floats[target])
            elif op == CONST:
                for i in range(count):
                    whole[target, i] = constants[a]
            elif op <= REMAINDER:
                _whole(op, count, whole[a], whole[b], whole[target])
            elif op == NEGATE:
                for i in range(count):
                    x = whole[a, i]
                    whole[target, i] = x if x == MISSING else -x
            elif op == ABSOLUTE:
                for i in range(count):
                    x = whole[a, i]
                    whole[target, i] = -x if (x < 0) & (x != MISSING) else x
            elif op <= DIVIDE_F:
                _float(op, count, floats[a], floats[b], floats[target])
            elif op == NEGATE_F:
                for i in range(count):
                    floats[target, i] = -floats[a, i]
            elif op == ABSOLUTE_F:
                for i in range(count):
                    floats[target, i] = abs(floats[a, i])
            elif op == TO_FLOAT:
                if not _to_float(count, whole[a], np.float64(constants[b]), floats[target]):
                    return False
            elif op == SHARE:
                for i in range(count):
                    floats[target, i] = np.float64(whole[a, i]) / np.float64(constants[b])
            elif op <= LESS_EQUAL:
                _compare(op, count, whole[a], whole[b], whole[target])
            elif op <= LESS_EQUAL_F:
                _compare_f(op, count, floats[a], floats[b], whole[target])
            elif op == SAME:
                for i in range(count):
                    whole[target, i] = 2 if whole[a, i] == whole[b, i] else 0
            elif op == SAME_F:
                for i in range(count):
                    x, y = floats[a, i], floats[b, i]
                    whole[target, i] = 2 if (x == y) | ((x != x) & (y != y)) else 0
            elif op == IS_NULL:
                for i in range(count):
                    whole[target, i] = 2 if whole[a, i] == MISSING else 0
            elif op == IS_NULL_F:
                for i in range(count):
                    whole[target, i] = 2 if floats[a, i] != floats[a, i] else 0
            elif op == AND:
                for i in range(count):
                    whole[target, i] = min(whole[a, i], whole[b, i])
            elif op == OR:
                for i in range(count):
                    whole[target, i] = max(whole[a, i], whole[b, i])
            elif op == NOT:
                for i in range(count):
                    whole[target, i] = 2 - whole[a, i]
            elif op == CHOOSE:
                for i in range(count):
                    whole[target, i] = whole[b, i] if whole[a, i] == 2 else whole[c, i]
            elif op == EITHER:
                for i in range(count):
                    whole[target, i] = whole[b, i] if whole[a, i] == MISSING else whole[a, i]
            elif op == EITHER_F:
                for i in range(count):
                    x = floats[a, i]
                    floats[target, i] = floats[b, i] if x != x else x
            elif op == LOCAL_DAY:
                _local_day(addresses[b], addresses[b + 1], constants[c], count, whole[a],
                           whole[target])  # fmt: skip
            elif op >= YEAR:
                _date_part(op, count, whole[a], whole[target])
            elif op <= GREATEST:
                _extreme(op, count, whole[a], whole[b], whole[target])
            else:
                _extreme_f(op, count, floats[a], floats[b], floats[target])
        _gather(truths[steps[steps.shape[0] - 1, 1]], wanted, count, first, last, mode, out)
    return True


@inlined
def _gather(
    truths: Any, wanted: int, count: int, first: int, last: int, mode: int, out: Words
) -> None:
    for word in range(first, last):
        hits = word_within(truths, word - first, np.uint64(wanted), np.uint64(0))
        left = count - 64 * (word - first)
        if left < 64:
            hits &= (np.uint64(1) << np.uint64(left)) - np.uint64(1)
        if mode == AND_MODE:
            out[word] &= hits
        elif mode == OR_MODE:
            out[word] |= hits
        else:
            out[word] = hits
