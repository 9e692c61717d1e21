"""Which of many conjunctions hold for one row? One row of bits per trait, all of them ANDed.

Each trait's values are cut into intervals. An interval owns one bit per conjunction: whether a
value there may satisfy all that the conjunction asks of this trait. Where a bound cuts through an
interval, its conjunction stands in a list beside the row and looks at its own bounds, if it is
still in by then. Values of every type are compared as int64: a float64 by its bits, turned so
that they order as it does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import Words, brief_kernel, inlined, kernel
from segengine.kernels.memory import FLOAT64, load_at
from segengine.kernels.scan import trailing_zeros

MADE = 4
"""In the place of what a trait's array holds: there is none, its key is given."""
ADDRESS, STRIDE, ITEM, MISSING, LIMIT, EDGES, EDGES_END, ROWS, TRAIT_WIDTH = range(9)
"""The columns of a table of traits."""
NO_KEY = -(2**63)
_TURNED = 2**63 - 1
_INFINITE = 0x7FF << 52


@inlined
def key_of(item: int, loaded: int) -> int:
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
    place, rest = begin, end - begin
    while rest > 0:
        half = (rest + 1) >> 1
        # Not a branch: no processor can guess it.
        place += half if edges[place + half - 1] <= key else 0
        rest -= half
    return place - begin


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


@brief_kernel
def match_row(
    row: int,
    traits: NDArray[np.int64],
    edges: NDArray[np.int64],
    rows: NDArray[np.uint64],
    unsure_of: NDArray[np.int32],
    unsure: NDArray[np.int32],
    conjunctions: NDArray[np.int32],
    leaves_of: NDArray[np.int32],
    leaves: NDArray[np.int64],
    bounds: NDArray[np.int64],
    settled: int,
    state: NDArray[np.int64],
    words: Words,
    candidates: NDArray[np.int32],
    out: NDArray[np.uint8],
) -> int:
    """Mark the rules that hold for a row in `out`; how many candidates there are.

    Conjunctions from `settled` on, and those that ask about a value not known when the rows were
    made, are candidates: they go to `candidates`, ascending. The row of bits of each trait goes to
    `state[traits:]`, 0 for a value not known, and to `state[-1]` whether there is such a one.

    traits: int64[traits, TRAIT_WIDTH], see above; a key above `LIMIT` was not known
    edges: int64[e], ascending per trait
    rows: uint64[rows of bits, words of conjunctions]; row 0 has every conjunction; a trait has one
    for a missing value, then one per interval
    unsure_of: int32[rows of bits + 1]: first place in `unsure`
    unsure: int32[u, 2]: a conjunction that may hold there, and the leaf that decides
    conjunctions: int32[conjunctions + 1, 2]: first place in `leaves_of`, and rule, ascending up to
    `settled`
    leaves: int64[leaves, 4]: trait, first and end place in `bounds`, whether missing satisfies
    bounds: int64[b, 2], ascending, disjoint
    state: int64[2 * traits + 1], begins with the keys of traits that are made
    words: uint64[words of conjunctions], begins as the conjunctions to be asked
    candidates: int32[conjunctions]  out: uint8[rules or more], begins as 0
    """
    one = np.uint64(1)
    count, width = traits.shape[0], rows.shape[1]
    # All values first: none waits for what another one decides.
    for trait in range(count):
        item = traits[trait, ITEM]
        if item != MADE:
            place = traits[trait, ADDRESS] + row * traits[trait, STRIDE]
            state[trait] = key_of(item, load_at(item, place))
    some_unknown = False
    for trait in range(count):
        key = state[trait]
        place = traits[trait, ROWS]
        if key > traits[trait, LIMIT]:
            place = 0
            some_unknown = True
        elif key != traits[trait, MISSING]:
            place += 1 + _at_most(edges, traits[trait, EDGES], traits[trait, EDGES_END], key)
        state[count + trait] = place
    trait = 0
    while trait + 4 <= count:
        # Four at once: `words` are read and written a quarter as often.
        a, b = rows[state[count + trait]], rows[state[count + trait + 1]]
        c, d = rows[state[count + trait + 2]], rows[state[count + trait + 3]]
        for word in range(width):
            words[word] &= a[word] & b[word] & c[word] & d[word]
        trait += 4
    while trait < count:
        place = state[count + trait]
        for word in range(width):
            words[word] &= rows[place, word]
        trait += 1
    for trait in range(count):
        place = state[count + trait]
        for index in range(unsure_of[place], unsure_of[place + 1]):
            conjunction = unsure[index, 0]
            bit = one << np.uint64(conjunction & 63)
            if words[conjunction >> 6] & bit and not _is_within(
                unsure[index, 1], state[trait], traits[trait, MISSING], leaves, bounds
            ):
                words[conjunction >> 6] &= ~bit
    found = 0
    for word in range(width):
        rest = words[word]
        while rest != 0:
            conjunction = 64 * word + trailing_zeros(rest)
            rest &= rest - one
            is_open = conjunction >= settled
            if some_unknown and not is_open:
                begin, end = conjunctions[conjunction, 0], conjunctions[conjunction + 1, 0]
                for index in range(begin, end):
                    if state[count + leaves[leaves_of[index], 0]] == 0:
                        is_open = True
            if is_open:
                candidates[found] = conjunction
                found += 1
            else:
                out[conjunctions[conjunction, 1]] = 1
    state[2 * count] = some_unknown
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
    out: NDArray[np.int32],
) -> int:
    """Clear the bit of a conjunction wherever one of its leaves cannot hold.

    Where a leaf holds for a part of an interval, the row of bits, conjunction and leaf go to `out`;
    how many such there are. Every row begins as row 0; shapes as in `match_row`.
    may: uint8[most intervals]  out: int32[n, 3], 2 for each use of each bound
    """
    one = np.uint64(1)
    found = 0
    for conjunction in range(conjunctions.shape[0] - 1):
        bit = one << np.uint64(conjunction & 63)
        word = conjunction >> 6
        for index in range(conjunctions[conjunction, 0], conjunctions[conjunction + 1, 0]):
            leaf = leaves_of[index]
            trait = leaves[leaf, 0]
            begin, end = traits[trait, EDGES], traits[trait, EDGES_END]
            place = traits[trait, ROWS]
            for interval in range(end - begin + 1):
                may[interval] = 0
            for bound in range(leaves[leaf, 1], leaves[leaf, 2]):
                low, high = bounds[bound, 0], bounds[bound, 1]
                first, last = _at_most(edges, begin, end, low), _at_most(edges, begin, end, high)
                for interval in range(first, last + 1):
                    may[interval] |= 1
                if low > -_TURNED and (first == 0 or edges[begin + first - 1] != low):
                    may[first] |= 2
                if high < _TURNED and (begin + last == end or edges[begin + last] - 1 != high):
                    may[last] |= 2
            if leaves[leaf, 3] == 0:
                rows[place, word] &= ~bit
            for interval in range(end - begin + 1):
                if may[interval] == 0:
                    rows[place + 1 + interval, word] &= ~bit
                elif may[interval] & 2:
                    out[found, 0] = place + 1 + interval
                    out[found, 1] = conjunction
                    out[found, 2] = leaf
                    found += 1
    return found
