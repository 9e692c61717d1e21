"""The keys of values that are in no column but made for each buyer who is asked about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.calendar import until_birthday
from segengine.kernels.jit import brief_kernel
from segengine.kernels.matching import NO_KEY, key_of
from segengine.kernels.memory import FLOAT64, INT32, INT64, load_at

PLACE, CODE, ROWS, BEGINS, COUNTS, CODES, SCORES, NEW_CODES, NEW_SCORES, LIKED_WIDTH = range(10)
"""The columns of a table of values liked.

PLACE: where the key goes. CODE: of the value. ROWS: how many rows have a list; the rest are the
addresses of the arrays of `list_loops.Lists`.
"""
DATES, STRIDE, MISSING, BIRTHDAY = range(1, 5)
"""The columns of a table of birthdays after PLACE: where dates are, and what a missing one is."""


@brief_kernel
def write_keys(
    row: int,
    today: int,
    liked: NDArray[np.int64],
    birthdays: NDArray[np.int64],
    keys: NDArray[np.int64],
) -> None:
    """Write the key of each made value for one row, see `matching.key_of`.

    `NO_KEY` for a buyer without a list of the kind, and without a date.
    today: days since 1970  liked: int64[n, LIKED_WIDTH]  birthdays: int64[m, BIRTHDAY]: int32 dates
    keys: as `state` of `matching.match_row`
    """
    for value in range(liked.shape[0]):
        key = NO_KEY
        if row < liked[value, ROWS]:
            count = load_at(INT32, liked[value, COUNTS] + 4 * row)
            if count > 0:
                key = 0
                begin = load_at(INT64, liked[value, BEGINS] + 8 * row)
                codes, scores = liked[value, CODES], liked[value, SCORES]
                if begin < 0:
                    begin = ~begin
                    codes, scores = liked[value, NEW_CODES], liked[value, NEW_SCORES]
                for k in range(begin, begin + count):
                    if load_at(INT32, codes + 4 * k) == liked[value, CODE]:
                        key = key_of(FLOAT64, load_at(FLOAT64, scores + 8 * k))
        keys[liked[value, PLACE]] = key
    for date in range(birthdays.shape[0]):
        born = load_at(INT32, birthdays[date, DATES] + row * birthdays[date, STRIDE])
        keys[birthdays[date, PLACE]] = (
            NO_KEY if born == birthdays[date, MISSING] else until_birthday(born, today)
        )
