"""Which module fills each slot for this visitor, and why not the others?

Slots are filled in order. Among the candidates of a slot the order is total: higher priority
first, then more leaves, then name. A fallback shows only where nobody else wins. All rules of
the page are asked at once (`rules/match.py`), the slots are filled by one loop
(`fill_loops.py`), and only what is shown is put into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segengine import days
from segengine.audiences.bucketing import BUCKETS, bucket_of
from segengine.pages.answer import PageAnswer, Placement, Reason
from segengine.pages.certificate import holds_until, reads_of, standing
from segengine.pages.ready import CheckedModule, CheckedPage, Filling, ready_module, ready_page
from segengine.pages.seen import seen_by, watching
from segengine.rules.frame import BucketsOf
from segengine.rules.segment import View
from segengine.tables.customers import NOBODY

__all__ = [
    "CheckedModule", "CheckedPage", "PageAnswer", "Placement", "Reason", "decide", "ready_module",
    "ready_page",
]  # fmt: skip
# Not written to, as the text of an id is not: the loop is compiled once.
_NO_TEXT = np.frombuffer(b"\0", np.uint8)


def decide(
    checked: CheckedPage, view: View, customer_id: int | str | None, context: Mapping[str, str]
) -> PageAnswer:
    """The page for one visitor; an unknown one is a buyer with no history."""
    row = None if customer_id is None else view.population.customers.row_of(customer_id)
    if row is None:
        row = NOBODY
    buckets = partial(_own_bucket, customer_id) if row == NOBODY else None
    holds = np.zeros(len(checked.rules) + 1, np.uint8)
    # The place after the last rule is that of modules without one.
    holds[-1] = 1
    if checked.rules:
        checked.matcher.mark(view, row, context, buckets, holds)
    clock = view.clock
    active = checked.active_at(clock.as_of, clock.zone)
    if customer_id is None:
        text, size = _NO_TEXT, -1
    else:
        said = str(customer_id).encode(errors="surrogatepass")
        text, size = np.frombuffer(said + b"\0", np.uint8), len(said)
    visit = checked.pools.visit(view, row)
    filling = Filling(
        holds, checked.rule is None or bool(holds[0]), active.bits,
        checked.fertile if visit is None else checked.pools.barren(visit),
        _seen(checked, view, row), text, size,
    )  # fmt: skip
    placements = tuple([
        checked.shown_to_all[place] or checked.placement(slot, place, bucket, size >= 0, visit)
        for slot, (place, bucket) in enumerate(checked.filled(filling).tolist())
    ])  # fmt: skip
    until = min(active.until, _until(checked, view, row, context, buckets))
    if visit is not None:
        until = min(until, checked.pools.hold_until(visit))
    return PageAnswer(
        checked.page.name, placements, days.moment(clock.as_of), view.data_version,
        days.moment(until) if until <= days.LAST_INSTANT else None, checked.traits,
        partial(checked.losers, filling),
    )  # fmt: skip


def _own_bucket(customer_id: int | str | None, salt: str) -> NDArray[np.float64]:
    """The bucket of an unknown visitor's id; without an id it is missing."""
    known = np.nan if customer_id is None else bucket_of(salt, customer_id) / BUCKETS
    return np.array([known])


def _seen(checked: CheckedPage, view: View, row: int) -> NDArray[np.int32]:
    """What the visitor has seen of the modules that are capped or make room."""
    if not checked.watches or row == NOBODY:
        return checked.unseen
    kept = checked.kept
    watched = kept.watching
    if watched is None or kept.watched_at is not view:
        watched = kept.watching = watching(checked.watches, view, watched)
        kept.watched_at = view
    return seen_by(row, view, watched, checked.unseen)


def _until(
    checked: CheckedPage,
    view: View,
    row: int,
    context: Mapping[str, str],
    buckets: BucketsOf | None,
) -> int:
    """The moment at which time alone could change what the page's rules and caps say."""
    kept = checked.kept
    reads = kept.reads
    if reads is None:
        derived = view.population.customers.traits
        terms = [rule.term for rule in checked.rules]
        reads = kept.reads = reads_of(terms, derived, capped=bool(checked.watches))
    stands = kept.standing
    if stands is None or stands.view is not view:
        stands = kept.standing = standing(reads, view)
    if not stands.ahead and not reads.crossings:
        return stands.until
    return holds_until(reads, stands, row, context, buckets)
