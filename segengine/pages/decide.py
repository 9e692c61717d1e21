"""Which module fills each slot for this visitor, and why not the others?

Slots are filled in order. Among the candidates of a slot the order is total: higher priority
first, then more leaves, then name. A fallback shows only where nobody else wins. One loop asks
all rules of the page and fills the slots (`visit_loops.py`); what only Python can ask, and pools,
come in between. Only what is shown is put into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segengine.audiences.bucketing import BUCKETS, bucket_of
from segengine.pages.answer import PageAnswer, Placement, Reason
from segengine.pages.bound_page import visitor_of
from segengine.pages.certificate import holds_until
from segengine.pages.ready import CheckedModule, CheckedPage, ready_module, ready_page
from segengine.pages.visit_loops import DIGITS, FIND, fill_page, visit_page
from segengine.rules.frame import BucketsOf
from segengine.rules.segment import View
from segengine.tables.customers import NOBODY

__all__ = [
    "CheckedModule", "CheckedPage", "PageAnswer", "Placement", "Reason", "decide", "ready_module",
    "ready_page",
]  # fmt: skip
_NO_WORDS = np.empty(0, np.uint64)
_NO_SCRATCH = np.empty(0, np.int64)


def decide(
    checked: CheckedPage, view: View, customer_id: int | str | None, context: Mapping[str, str]
) -> PageAnswer:
    """The page for one visitor; an unknown one is a buyer with no history."""
    bound, visitor = checked.bound(view), visitor_of(customer_id)
    if visitor.size == DIGITS and bound.finds:
        row = FIND
    else:
        known = None if customer_id is None else view.population.customers.row_of(customer_id)
        row = NOBODY if known is None else known
    rules, out, left = bound.rules, np.zeros(bound.size, np.uint8), 0
    if rules is None:
        visit_page(bound.table, row, *visitor, _NO_WORDS, _NO_SCRATCH, out)
        row, until, chosen = bound.unpack.unpack_from(out.data)
    else:
        layout = rules.layout
        request = layout.request.left_open(context, rules.of_request)
        scratch = layout.take_scratch()
        left = visit_page(bound.table, row, *visitor, request, scratch.memory, out)
        row, until, chosen = bound.unpack.unpack_from(out.data)
        if left:
            rules.confirm(
                scratch, left, row, context, _buckets(row, customer_id), out[bound.rules_at :]
            )
        layout.scratch.append(scratch)
    visit, barren = checked.pools.visit(view, row), checked.fertile
    if visit is not None:
        barren = checked.pools.barren(visit)
    if left or visit is not None:
        count = len(barren)
        ranks, outcome = np.empty(count, np.int64), np.empty(count, np.uint8)
        fill_page(bound.table, *visitor, barren, not checked.fades, ranks, outcome, out)
        _, _, chosen = bound.unpack.unpack_from(out.data)
    placements = checked.placements(chosen, visitor.size != -1, visit)
    if bound.crossings:
        buckets = _buckets(row, customer_id)
        until = min(until, holds_until(bound.crossings, view, row, context, buckets))
    if visit is not None:
        until = min(until, checked.pools.hold_until(visit))
    return PageAnswer(
        checked.page.name, placements, bound.as_of, view.data_version, bound.moment(until),
        checked.traits, partial(checked.losers, bound.table, bound.active, visitor, barren, out),
    )  # fmt: skip


def _buckets(row: int, customer_id: int | str | None) -> BucketsOf | None:
    """The buckets of a visitor where they are not those of a row."""
    return partial(_own_bucket, customer_id) if row == NOBODY else None


def _own_bucket(customer_id: int | str | None, salt: str) -> NDArray[np.float64]:
    """The bucket of an unknown visitor's id; without an id it is missing."""
    known = np.nan if customer_id is None else bucket_of(salt, customer_id) / BUCKETS
    return np.array([known])
