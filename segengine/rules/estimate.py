"""For how many rows will a leaf hold, as far as scan codes and samples tell?"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from segengine.rules.block import Clock
from segengine.rules.evaluate import listed_codes
from segengine.rules.frame import Frame, truths
from segengine.rules.plan import AllOf, AnyOf, Entries, Everyone, Node, Ranges
from segengine.rules.term import COLUMNS
from segengine.tables.column import Column

_UNKNOWN = 0.25
_SAMPLE = 4096


def share_of(node: Node, frame: Frame, clock: Clock) -> float:
    """The share of rows, 0 to 1, for which a node probably holds."""
    if isinstance(node, Everyone):
        return float(node.holds)
    if isinstance(node, AllOf):
        return float(np.prod([share_of(part, frame, clock) for part in node.parts]))
    if isinstance(node, AnyOf):
        return 1 - float(np.prod([1 - share_of(part, frame, clock) for part in node.parts]))
    if isinstance(node, Ranges | Entries) and node.source.op in COLUMNS and frame.rows:
        column = frame.column(node.source)
        if not column.is_made:
            if isinstance(node, Ranges):
                return _share_of_ranges(node, column, frame.rows)
            return _share_of_entries(node, column, frame, clock)
    return _UNKNOWN


def _share_of_ranges(node: Ranges, column: Column, rows: int) -> float:
    codes = column.scan_codes(rows)
    bounds, shares = codes.tops, codes.shares
    found = shares[0] if node.missing else 0.0
    for low, high in node.ranges[:64]:
        first, last = bisect_left(bounds, low), bisect_right(bounds, high)
        # Half of the interval that a bound cuts through.
        found += shares[1 + first : 1 + last].sum()
        if last < len(bounds) and (last == 0 or bounds[last - 1] != high):
            found += shares[1 + last] / 2
        if first < len(bounds) and bounds[first] != low:
            found -= shares[1 + first] / 2 if last > first else 0.0
    return float(min(max(found, 0.0), 1.0))


def _share_of_entries(node: Entries, column: Column, frame: Frame, clock: Clock) -> float:
    assert column.dictionary is not None
    sample = column.values[: frame.rows : max(1, frame.rows // _SAMPLE)]
    listed = listed_codes(node, column.dictionary)
    if listed is not None:
        return float(np.isin(sample, listed).mean())
    hits = truths(frame, column.dictionary, node.term, clock) == (1 if node.wanted else 0)
    return float(hits[sample + 1].mean())
