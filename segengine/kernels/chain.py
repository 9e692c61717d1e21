"""Which events of one buyer satisfy some tests? One walk along the buyer's chain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import brief_kernel, inlined
from segengine.kernels.matching import key_of
from segengine.kernels.memory import INT8, load_at

ADDRESS, STRIDE, ITEM, FIRST, END, MISSING, MISSING_HOLDS, TRUTHS, WANTED, WIDTH = range(10)
"""The columns of a table of tests.

ADDRESS, STRIDE, ITEM: where a column's values are and what they are, as in `memory`. FIRST, END:
the test's places in `bounds`; MISSING: the key of a missing value, MISSING_HOLDS: whether it
satisfies. TRUTHS: the address of int8 truths by 1 + code, 0 for a test by bounds; WANTED: which
truth satisfies.
"""


@inlined
def _satisfies(test: int, row: int, tests: NDArray[np.int64], bounds: NDArray[np.int64]) -> Any:
    """Whether the value of a row satisfies one test."""
    item = tests[test, ITEM]
    loaded = load_at(item, tests[test, ADDRESS] + row * tests[test, STRIDE])
    if tests[test, TRUTHS] != 0:
        return load_at(INT8, tests[test, TRUTHS] + 1 + loaded) == tests[test, WANTED]
    key = key_of(item, loaded)
    if key == tests[test, MISSING]:
        return tests[test, MISSING_HOLDS] != 0
    for bound in range(tests[test, FIRST], tests[test, END]):
        if bounds[bound, 0] <= key <= bounds[bound, 1]:
            return True
    return False


@brief_kernel
def rows_where(
    head: int,
    previous: NDArray[np.int32],
    times: NDArray[np.int64],
    as_of: int,
    tests: NDArray[np.int64],
    bounds: NDArray[np.int64],
    out: NDArray[np.int64],
) -> int:
    """The rows of a chain up to as_of that satisfy every test, latest arrival first.

    As many as fit are written; how many there are is what comes back, also of an `out` of none.
    head: the buyer's latest row, -1 for none  previous: int32[rows]  times: int64[rows]
    tests: int64[tests, WIDTH]  bounds: int64[b, 2], keys, both ends within  out: int64[n]
    """
    count, row = 0, head
    while row >= 0:
        holds = times[row] <= as_of
        test = 0
        while holds and test < tests.shape[0]:
            holds = _satisfies(test, row, tests, bounds)
            test += 1
        if holds:
            if count < out.shape[0]:
                out[count] = row
            count += 1
        row = previous[row]
    return count
