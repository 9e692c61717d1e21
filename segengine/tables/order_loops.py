"""What does an order take from its lines, and is it a purchase? The loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import kernel

_NO_VALUE = np.int64(-(2**63))


@kernel
def settle_orders(
    rows: NDArray[np.int64],
    as_of: np.int64,
    line_heads: NDArray[np.int32],
    line_previous: NDArray[np.int32],
    line_amount: NDArray[np.int64],
    line_time: NDArray[np.int64],
    line_flag: NDArray[np.int8],
    row_given: NDArray[np.int8],
    amount_given: NDArray[np.int8],
    has_status: NDArray[np.int8],
    flag_given: NDArray[np.int8],
    paid_at: NDArray[np.int64],
    closed_at: NDArray[np.int64],
    refunded_at: NDArray[np.int64],
    refund_amount: NDArray[np.int64],
    time: NDArray[np.int64],
    amount: NDArray[np.int64],
    is_purchase: NDArray[np.int8],
    line_is_purchase: NDArray[np.int8],
) -> None:
    """Derive what orders take from their lines up to `as_of`, and whether each is a purchase.

    rows: int64[n] orders to settle. An order without a row of its own takes time = its first
    line's; one without a given amount takes the sum of its lines (missing where the sum leaves
    the int64). An order whose lines all lie ahead has them all, unseen itself until then.
    line_flag, flag_given: int8, 0, 1 or -128 for not given.
    out: time, amount, is_purchase: [orders]  line_is_purchase: int8[lines]
    """
    for index in range(rows.shape[0]):
        order = rows[index]
        first = np.int64(2**63 - 1)
        line = line_heads[order]
        while line >= 0:
            first = min(first, line_time[line])
            line = line_previous[line]
        until = as_of
        if not row_given[order] and first > as_of:
            until = np.int64(2**63 - 1)
        total = np.int64(0)
        known = 0
        overflow = False
        flags = np.int8(-128)
        line = line_heads[order]
        while line >= 0:
            if line_time[line] > until:
                line = line_previous[line]
                continue
            value = line_amount[line]
            if value != _NO_VALUE:
                # Unsigned, so that the compiler may not assume that the sum fits.
                added = np.int64(np.uint64(total) + np.uint64(value))
                if ((total ^ added) & (value ^ added)) < 0:
                    overflow = True
                total = added
                known += 1
            flags = max(flags, line_flag[line])
            line = line_previous[line]
        if line_heads[order] >= 0:
            if not row_given[order]:
                time[order] = first
            if not amount_given[order]:
                amount[order] = total if known > 0 and not overflow else _NO_VALUE
        if flag_given[order] >= 0:
            bought = flag_given[order] > 0
        elif not row_given[order] and flags >= 0:
            bought = flags > 0
        else:
            bought = closed_at[order] == _NO_VALUE
            if has_status[order] and paid_at[order] == _NO_VALUE:
                bought = False
            refund = refund_amount[order]
            if refund == _NO_VALUE:
                if refunded_at[order] != _NO_VALUE:
                    bought = False
            elif refund > 0 and amount[order] != _NO_VALUE and refund >= amount[order]:
                bought = False
        is_purchase[order] = 1 if bought else 0
        line = line_heads[order]
        while line >= 0:
            flag = line_flag[line]
            line_is_purchase[line] = flag if flag >= 0 else is_purchase[order]
            line = line_previous[line]


@kernel
def lines_of(
    orders: NDArray[np.int64],
    last_line: NDArray[np.int32],
    previous: NDArray[np.int32],
    out: NDArray[np.int64],
) -> int:
    """The rows of all lines of these orders, as many as fit; how many there are."""
    count = 0
    for index in range(orders.shape[0]):
        line = last_line[orders[index]]
        while line >= 0:
            if count < out.shape[0]:
                out[count] = line
            count += 1
            line = previous[line]
    return count
