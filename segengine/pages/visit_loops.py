"""What does one visitor see, and until when? All that no Python is needed for, in one call.

A page is decided in microseconds, and behind gRPC each call and each object of the interpreter is
met cold. So a page has one table with the addresses of all that it reads, made anew when the data
or the moment changes, and one buffer for all that comes out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.hashing import find_key
from segengine.kernels.jit import Words, brief_kernel, inlined
from segengine.kernels.matching import NO_KEY
from segengine.kernels.memory import INT64, int32_at, int64_at, load_at, uint8_at
from segengine.pages.fill_loops import WIDTH as MODULE_WIDTH
from segengine.pages.fill_loops import fill_slots
from segengine.pages.seen_loops import FIELDS, count_seen, next_time
from segengine.rules.mark_loops import WIDTH as RULES_WIDTH
from segengine.rules.mark_loops import ints, mark_row, rows_of, short_ints

RULE_COUNT, HAS_RULE, NAMES, IN_ORDER, FILLS, AS_OF, UNTIL, SHOWN, CLICKED, SEEN, NOBODY = range(11)
(
    RULES, MODULES, SLOTS, ACTIVE, BARREN, WATCHES, HEADS, PREVIOUS, TIMES, MODULE_CODES,
    KIND_CODES, AHEAD, MET, KEYS, PLACES,
) = range(11, 41, 2)  # fmt: skip
WIDTH = 41
"""The places in a table of what one page reads; arrays have their address, then their rows.

RULES: the table of `mark_loops`, where there are any (RULE_COUNT); HAS_RULE: the first is the
page's own. MODULES, SLOTS, NAMES, ACTIVE, IN_ORDER: as in `fill_loops`. FILLS: 0 where pools decide
too; BARREN: uint8[modules], where none does. UNTIL: what bounds every visitor's answer. SEEN: rows
of what was seen; WATCHES to KIND_CODES, SHOWN, CLICKED: as in `seen_loops.count_seen`, HEADS
int32[buyers]. AHEAD: int64[n, AHEAD_WIDTH], the tables with events later than AS_OF. MET:
int64[n, MET_WIDTH], the buyer's own times that now() meets. KEYS, PLACES: as `hashing.find_key`
takes the ids of buyers and their table of places; NOBODY: the row of whoever is none of them.
"""
LATER_HEADS, LATER_PREVIOUS, LATER_TIMES = range(0, 6, 2)
AHEAD_WIDTH = 6
ADDRESS, STRIDE, MISSING, SPAN, MET_WIDTH = range(5)
"""The columns of MET: where a column of times is, and how long before now() each is met."""
HEAD_BYTES = 16
"""What comes out begins with the visitor's row and an instant, int64.

Behind them stand int32[slots, 2], the module and its bucket as in `fill_slots`; int32[SEEN, 2] as
in `count_seen`; and uint8[RULE_COUNT + 1], which rules hold, 1 at last for modules without one.
"""
DIGITS = -2
"""In the place of a text's size: it is the number's digits.  -1: there is no id."""
FIND = -1
"""In the place of a row."""


@inlined
def _digits(number: int, out: NDArray[np.uint8]) -> int:
    """A number's decimal text into `out`: uint8[20]; its size."""
    rest = np.uint64(-(number + 1)) + np.uint64(1) if number < 0 else np.uint64(number)
    size = 1 if number < 0 else 0
    left = rest
    while True:
        size += 1
        left //= np.uint64(10)
        if left == 0:
            break
    for place in range(size - 1, -1, -1):
        out[place] = np.uint8(rest % np.uint64(10)) + np.uint8(48)
        rest //= np.uint64(10)
    if number < 0:
        out[0] = np.uint8(45)
    return size


@inlined
def _parts(page: NDArray[np.int64], out: NDArray[np.uint8]) -> Any:
    """What is chosen, what was seen and which rules hold: parts of what comes out."""
    slots, seen = page[SLOTS + 1] - 1, page[SEEN]
    first = HEAD_BYTES + 8 * slots
    end = first + 8 * seen
    return (
        out[HEAD_BYTES:first].view(np.int32).reshape((slots, 2)),
        out[first:end].view(np.int32).reshape((seen, 2)),
        out[end:],
    )


@inlined
def _look_back(page: NDArray[np.int64], row: int, seen: NDArray[np.int32]) -> int:
    """Write what the visitor has seen; until when their own events and times stand."""
    as_of = page[AS_OF]
    if page[WATCHES + 1] > 0:
        head = short_ints(page, HEADS)[row]
        if head >= 0:
            count_seen(
                head, short_ints(page, PREVIOUS), ints(page, TIMES),
                short_ints(page, MODULE_CODES), short_ints(page, KIND_CODES), page[SHOWN],
                page[CLICKED], as_of, rows_of(page, WATCHES, FIELDS),
                np.empty(page[WATCHES + 1], np.int64), seen,
            )  # fmt: skip
    until = page[UNTIL]
    ahead = rows_of(page, AHEAD, AHEAD_WIDTH)
    for table in range(ahead.shape[0]):
        head = short_ints(ahead[table], LATER_HEADS)[row]
        if head >= 0:
            later = next_time(
                head, short_ints(ahead[table], LATER_PREVIOUS), ints(ahead[table], LATER_TIMES),
                as_of,
            )  # fmt: skip
            until = min(until, later)
    met = rows_of(page, MET, MET_WIDTH)
    for each in range(met.shape[0]):
        time = load_at(INT64, met[each, ADDRESS] + row * met[each, STRIDE])
        if time != met[each, MISSING] and time - met[each, SPAN] >= as_of:
            until = min(until, max(time - met[each, SPAN], as_of + 1))
    return until


@brief_kernel
def fill_page(
    page: NDArray[np.int64],
    number: int,
    text: NDArray[np.uint8],
    size: int,
    barren: NDArray[np.uint8],
    in_order: bool,
    ranks: NDArray[np.int64],
    outcome: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Fill the slots of a visitor whose rules are all decided.

    Of the page it reads MODULES, SLOTS, NAMES, ACTIVE, HAS_RULE, RULE_COUNT and SEEN.
    number, text, size: as `visit_page` takes them  out: as it and whoever marked more rules left it
    The others are as `fill_slots` takes them.
    """
    chosen, seen, holds = _parts(page, out)
    said = text
    if size == DIGITS:
        said = np.empty(20, np.uint8)
        size = _digits(number, said)
    modules = int64_at(page[MODULES], (MODULE_WIDTH, page[MODULES + 1])).T
    fill_slots(
        modules, int32_at(page[SLOTS], page[SLOTS + 1]), page[NAMES], holds,
        page[HAS_RULE] == 0 or holds[0] != 0, uint8_at(page[ACTIVE], page[ACTIVE + 1]), barren,
        seen, said, size, in_order, ranks, outcome, chosen,
    )  # fmt: skip


@brief_kernel
def visit_page(
    page: NDArray[np.int64],
    row: int,
    number: int,
    text: NDArray[np.uint8],
    size: int,
    request: Words,
    scratch: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Decide a page; how many conjunctions are left to be asked, see `mark_loops.mark_row`.

    Where some are left, or a module has a pool, no slot is filled yet.
    page: int64[WIDTH], see above  row: the visitor's, or `FIND` for the one whose id is the number
    number, text, size: the visitor's id as a text, see `fill_slots`; or a number and `DIGITS`
    request, scratch: as `mark_row` takes them  out: uint8[n], see above, begins as 0
    """
    _, seen, holds = _parts(page, out)
    if row == FIND:
        keys = ints(page, KEYS)
        row = page[NOBODY]
        # What is missing is no id, but stands where a deleted buyer's was.
        if number != NO_KEY:
            found = find_key(number, number, keys, keys, short_ints(page, PLACES))
            row = found if found >= 0 else row
    holds[page[RULE_COUNT]] = 1
    left = 0
    if page[RULE_COUNT] > 0:
        left = mark_row(int64_at(page[RULES], RULES_WIDTH), row, request, scratch, holds)
    head = out[:HEAD_BYTES].view(np.int64)
    head[0], head[1] = row, _look_back(page, row, seen)
    if left == 0 and page[FILLS] != 0:
        modules = page[MODULES + 1]
        fill_page(
            page, number, text, size, uint8_at(page[BARREN], page[BARREN + 1]),
            page[IN_ORDER] != 0, np.empty(modules, np.int64), np.empty(modules, np.uint8), out,
        )  # fmt: skip
    return left
