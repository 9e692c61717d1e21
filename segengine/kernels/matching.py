"""Which of many conjunctions hold for one row? One row of bits per trait, all of them ANDed.

Each trait's values are cut into intervals. An interval owns one bit per conjunction: whether a
value there may satisfy all that the conjunction asks of this trait. Where an interval lies on
one side of every bound, "may" is "does"; where not (a *mixed* one), the few conjunctions that
are left look at their own bounds. Values of every type are compared as int64: a float64 by its
bits, turned so that they order as it does.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import JIT_OFF, Words, inlined, kernel
from segengine.kernels.scan import _trailing_zeros

INT8, INT32, INT64, FLOAT64 = 0, 1, 2, 3
"""What a trait's array holds."""
ADDRESS, STRIDE, ITEM, MISSING, LIMIT, EDGES, EDGES_END, ROWS = range(8)
"""The columns of a table of traits."""
BY_BITS, BY_BOUNDS, UNDECIDED = 0, 1, 2
"""How a trait decides for a row: its bits alone do; bounds must be looked at; nothing here does."""
NO_KEY = -(2**63)
_TURNED = 2**63 - 1
_INFINITE = 0x7FF << 52


def _load_python(item: Any, address: Any) -> int:
    """The value at an address, a float64 as its bits. The twin of the intrinsics."""
    kinds: tuple[Any, ...] = (ctypes.c_int8, ctypes.c_int32, ctypes.c_int64, ctypes.c_int64)
    return int(kinds[int(item)].from_address(int(address)).value)


if JIT_OFF:
    _load = _load_python
else:
    from llvmlite import ir
    from numba import types
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
    def _load(item: Any, address: Any) -> Any:
        if item == INT8:
            return _load_8(address)
        if item == INT32:
            return _load_32(address)
        return _load_64(address)


@inlined
def _key(item: int, loaded: int) -> int:
    """A value as a whole number that orders as it does; NaN, of either sign, as `NO_KEY`."""
    if item != FLOAT64:
        return loaded
    if (loaded & _TURNED) > _INFINITE:
        return NO_KEY
    if loaded == NO_KEY:
        # Minus nothing is nothing.
        return 0
    return loaded if loaded >= 0 else loaded ^ _TURNED


@inlined
def _at_most(edges: NDArray[np.int64], begin: int, end: int, key: int) -> int:
    """How many of the ascending edges [begin, end) are at most the key."""
    low, high = begin, end
    while low < high:
        middle = (low + high) >> 1
        if edges[middle] <= key:
            low = middle + 1
        else:
            high = middle
    return low - begin


@inlined
def _is_within(
    leaf: int, key: int, missing: int, leaves: NDArray[np.int64], bounds: NDArray[np.int64]
) -> bool:
    """Whether a key lies in the ranges of a leaf."""
    if key == missing:
        return leaves[leaf, 3] != 0
    low, high = leaves[leaf, 1], leaves[leaf, 2]
    while low < high:
        middle = (low + high) >> 1
        if bounds[middle, 0] <= key:
            low = middle + 1
        else:
            high = middle
    return low > leaves[leaf, 1] and key <= bounds[low - 1, 1]


@kernel
def match_row(
    row: int,
    traits: NDArray[np.int64],
    edges: NDArray[np.int64],
    mixed: NDArray[np.uint8],
    rows: NDArray[np.uint64],
    conjunctions: NDArray[np.int32],
    leaves_of: NDArray[np.int32],
    leaves: NDArray[np.int64],
    bounds: NDArray[np.int64],
    settled: int,
    state: NDArray[np.int64],
    words: Words,
    out: NDArray[np.int32],
) -> int:
    """How many rules hold for a row; they go to the front of `out`, ascending.

    Conjunctions from `settled` on, and those that ask about a value not known when the rows were
    made, are candidates: they go to the back of `out`, the first last, and their number to
    `state[-1]`; how each trait decided to `state[traits:]`.

    traits: int64[traits, 8], see above; a key above `LIMIT` was not known
    edges: int64[e], ascending per trait  mixed: uint8[rows of bits]
    rows: uint64[rows of bits, words of conjunctions]; row 0 has every conjunction; a trait has one
    for a missing value, then one per interval
    conjunctions: int32[conjunctions + 1, 2]: first place in `leaves_of`, and rule
    leaves: int64[leaves, 4]: trait, first and end place in `bounds`, whether missing satisfies
    bounds: int64[b, 2], ascending, disjoint  state: int64[2 * traits + 1]
    words: uint64[words of conjunctions + words of rules]  out: int32[rules + conjunctions]
    """
    one = np.uint64(1)
    count, width = traits.shape[0], rows.shape[1]
    for trait in range(count):
        item = traits[trait, ITEM]
        place = traits[trait, ADDRESS] + row * traits[trait, STRIDE]
        state[trait] = _key(item, _load(item, place))
    for word in range(width):
        words[word] = rows[0, word]
    for trait in range(count):
        key = state[trait]
        place = traits[trait, ROWS]
        decides = BY_BITS
        if key > traits[trait, LIMIT]:
            place = 0
            decides = UNDECIDED
        elif key != traits[trait, MISSING]:
            place += 1 + _at_most(edges, traits[trait, EDGES], traits[trait, EDGES_END], key)
            if mixed[place]:
                decides = BY_BOUNDS
        state[count + trait] = decides
        for word in range(width):
            words[word] &= rows[place, word]
    for word in range(width, words.shape[0]):
        words[word] = np.uint64(0)
    candidates = 0
    last = out.shape[0] - 1
    for word in range(width):
        rest = words[word]
        while rest != 0:
            conjunction = 64 * word + _trailing_zeros(rest)
            rest &= rest - one
            rule = conjunctions[conjunction, 1]
            if (words[width + (rule >> 6)] >> np.uint64(rule & 63)) & one:
                continue
            holds, open_ = True, conjunction >= settled
            for index in range(conjunctions[conjunction, 0], conjunctions[conjunction + 1, 0]):
                leaf = leaves_of[index]
                trait = leaves[leaf, 0]
                decides = state[count + trait]
                if decides == UNDECIDED:
                    open_ = True
                elif decides == BY_BOUNDS and not _is_within(
                    leaf, state[trait], traits[trait, MISSING], leaves, bounds
                ):
                    holds = False
                    break
            if holds and open_:
                out[last - candidates] = conjunction
                candidates += 1
            elif holds:
                words[width + (rule >> 6)] |= one << np.uint64(rule & 63)
    found = 0
    for word in range(width, words.shape[0]):
        rest = words[word]
        while rest != 0:
            out[found] = 64 * (word - width) + _trailing_zeros(rest)
            found += 1
            rest &= rest - one
    state[2 * count] = candidates
    return found


@kernel
def fill_rows(
    conjunctions: NDArray[np.int32],
    leaves_of: NDArray[np.int32],
    leaves: NDArray[np.int64],
    bounds: NDArray[np.int64],
    traits: NDArray[np.int64],
    edges: NDArray[np.int64],
    may: NDArray[np.uint8],
    rows: NDArray[np.uint64],
) -> None:
    """Clear the bit of a conjunction wherever one of its leaves cannot hold.

    Shapes as in `match_row`; every row begins as row 0.  may: uint8[most intervals + 1]
    """
    one = np.uint64(1)
    for conjunction in range(conjunctions.shape[0] - 1):
        bit = one << np.uint64(conjunction & 63)
        word = conjunction >> 6
        for index in range(conjunctions[conjunction, 0], conjunctions[conjunction + 1, 0]):
            leaf = leaves_of[index]
            trait = leaves[leaf, 0]
            begin, end = traits[trait, EDGES], traits[trait, EDGES_END]
            for interval in range(end - begin + 1):
                may[interval] = 0
            for bound in range(leaves[leaf, 1], leaves[leaf, 2]):
                first = _at_most(edges, begin, end, bounds[bound, 0])
                last = _at_most(edges, begin, end, bounds[bound, 1])
                for interval in range(first, last + 1):
                    may[interval] = 1
            place = traits[trait, ROWS]
            if leaves[leaf, 3] == 0:
                rows[place, word] &= ~bit
            for interval in range(end - begin + 1):
                if may[interval] == 0:
                    rows[place + 1 + interval, word] &= ~bit
