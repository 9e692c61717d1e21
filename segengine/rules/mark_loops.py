"""Which rules hold for one row? All that no Python is needed for, in one call.

What is read stands in a table of addresses: it is made anew when an array moves, not when somebody
is asked about.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.chain import WIDTH as TEST_WIDTH
from segengine.kernels.chain import rows_where
from segengine.kernels.jit import Words, brief_kernel, inlined
from segengine.kernels.matching import TRAIT_WIDTH, match_row
from segengine.kernels.memory import int32_at, int64_at, uint64_at
from segengine.rules.made_loops import BIRTHDAY, LIKED_WIDTH, write_keys

TODAY, AS_OF, SETTLED, WORDS = range(4)
(
    LIKED, BIRTHDAYS, TRAITS, EDGES, BITS, UNSURE_OF, UNSURE, CONJUNCTIONS, LEAVES_OF, LEAVES,
    BOUNDS, COUNTS, OPEN_OF, OPEN_LEAVES, OPEN_BOUNDS,
) = range(4, 34, 2)  # fmt: skip
WIDTH = 34
"""The places in a table of what one matcher reads.

TODAY: days since 1970. AS_OF: microseconds. SETTLED, TRAITS to BOUNDS: as in `matching.match_row`.
WORDS: words of conjunctions. LIKED, BIRTHDAYS: as in `made_loops.write_keys`. COUNTS: below.
OPEN_OF: int32[open conjunctions + 1], the first leaf of each, counted from SETTLED. OPEN_LEAVES:
int32[leaves, 3], the number of a count, and its first and end place in OPEN_BOUNDS: int64[b, 2].
Arrays have their address, and behind it how many rows they have.
"""
IS_COUNTED = 0
HEADS, PREVIOUS, TIMES, TESTS, TEST_BOUNDS = range(1, 11, 2)
COUNT_WIDTH = 11
"""The columns of a table of counts; arrays as above, shapes as in `chain.rows_where`.

HEADS: int32[buyers], the latest event of each. IS_COUNTED: 0 where tests do not decide it.
"""
NOT_COUNTED = -1
"""In the place of a count's number: a leaf that is asked from Python."""


@inlined
def ints(table: NDArray[np.int64], field: int) -> Any:
    """An array of a table: int64[rows]."""
    return int64_at(table[field], table[field + 1])


@inlined
def rows_of(table: NDArray[np.int64], field: int, width: int) -> Any:
    """An array of a table: int64[rows, width]."""
    return int64_at(table[field], (table[field + 1], width))


@inlined
def short_ints(table: NDArray[np.int64], field: int) -> Any:
    """An array of a table: int32[rows]."""
    return int32_at(table[field], table[field + 1])


@inlined
def short_rows_of(table: NDArray[np.int64], field: int, width: int) -> Any:
    """An array of a table: int32[rows, width]."""
    return int32_at(table[field], (table[field + 1], width))


@inlined
def _count(row: int, source: NDArray[np.int64], as_of: int) -> int:
    """How many of a buyer's events satisfy the tests of a count."""
    heads = short_ints(source, HEADS)
    head = heads[row]
    if head < 0:
        return 0
    return rows_where(
        head, short_ints(source, PREVIOUS), ints(source, TIMES), as_of,
        rows_of(source, TESTS, TEST_WIDTH), rows_of(source, TEST_BOUNDS, 2), np.empty(0, np.int64),
    )  # fmt: skip


@inlined
def _is_within(count: int, first: int, end: int, bounds: NDArray[np.int64]) -> bool:
    for bound in range(first, end):  # noqa: SIM110 - a generator is not compiled
        if bounds[bound, 0] <= count <= bounds[bound, 1]:
            return True
    return False


@brief_kernel
def mark_row(
    table: NDArray[np.int64],
    row: int,
    request: Words,
    scratch: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Mark the rules that hold for a row in `out`; how many conjunctions are left to be asked.

    table: int64[WIDTH], see above  request: uint64[words], the conjunctions that it leaves open
    scratch: int64[n], written over: the state of `matching.match_row`, words, a number for each
    count, and the candidates, int32: those that are left stand at their beginning
    out: uint8[rules or more], begins as 0
    """
    traits, counts = rows_of(table, TRAITS, TRAIT_WIDTH), rows_of(table, COUNTS, COUNT_WIDTH)
    width, count = table[WORDS], traits.shape[0]
    end = 2 * count + 1
    state, words = scratch[:end], scratch[end : end + width].view(np.uint64)
    known = scratch[end + width : end + width + counts.shape[0]]
    candidates = scratch[end + width + counts.shape[0] :].view(np.int32)
    conjunctions = short_rows_of(table, CONJUNCTIONS, 2)
    write_keys(
        row, table[TODAY], rows_of(table, LIKED, LIKED_WIDTH), rows_of(table, BIRTHDAYS, BIRTHDAY),
        state,
    )  # fmt: skip
    for word in range(width):
        words[word] = request[word]
    found = match_row(
        row, traits, ints(table, EDGES), uint64_at(table[BITS], (table[BITS + 1], width)),
        short_ints(table, UNSURE_OF), short_rows_of(table, UNSURE, 2), conjunctions,
        short_ints(table, LEAVES_OF), rows_of(table, LEAVES, 4), rows_of(table, BOUNDS, 2),
        table[SETTLED], state, words, candidates, out,
    )  # fmt: skip
    # With a value that was not known, what the first tier says is not all it has to say.
    if found == 0 or state[end - 1] != 0:
        return found
    open_of, open_leaves = short_ints(table, OPEN_OF), short_rows_of(table, OPEN_LEAVES, 3)
    bounds = rows_of(table, OPEN_BOUNDS, 2)
    for each in range(counts.shape[0]):
        known[each] = -1
    left = 0
    for index in range(found):
        conjunction = candidates[index]
        rule = conjunctions[conjunction, 1]
        if out[rule]:
            continue
        place = conjunction - table[SETTLED]
        may_hold, is_decided = True, True
        for leaf in range(open_of[place], open_of[place + 1]):
            each = open_leaves[leaf, 0]
            if each == NOT_COUNTED or counts[each, IS_COUNTED] == 0:
                is_decided = False
                continue
            if known[each] < 0:
                known[each] = _count(row, counts[each], table[AS_OF])
            if not _is_within(known[each], open_leaves[leaf, 1], open_leaves[leaf, 2], bounds):
                may_hold = False
                break
        if may_hold and is_decided:
            out[rule] = 1
        elif may_hold:
            candidates[left] = conjunction
            left += 1
    return left
