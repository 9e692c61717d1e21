"""Who are the first, by a campaign's order, and how far do its limit and its budget reach?

The order is total: by value, missing last, then by customer_id. The cut is found by counting
digits of keys, so only those who stand in the order are sorted, and only where a budget asks.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.audiences import limit_loops
from segengine.audiences.asking import Asking, CheckedCampaign
from segengine.audiences.budget import Budget, reached
from segengine.audiences.ledger import Step, size
from segengine.audiences.letters import letters
from segengine.kernels import bits
from segengine.rules.evaluate import values_of
from segengine.rules.frame import Words
from segengine.rules.segment import View, rows_of
from segengine.schema.kinds import Kind

Keys = NDArray[np.uint64]
_SIGN = np.uint64(1 << 63)


def limited(words: Words, checked: CheckedCampaign, asking: Asking) -> Step:
    """Those within the campaign's limit and budget; nobody is held out yet."""
    campaign, reasons = checked.campaign, []
    if campaign.limit is None and campaign.budget is None:
        return Step(words, "none")
    if campaign.limit is not None:
        reasons.append(f"at most {campaign.limit:,}")
        if size(words) > campaign.limit:
            rows = rows_of(words)
            words = of_rows(rows[_first(rows, campaign.limit, checked, asking.view)], len(words))
    if campaign.budget is not None:
        words, said = _paid(words, campaign.budget, checked, asking)
        reasons.append(said)
    if campaign.order_by:
        reasons.append(f"by {campaign.order_by}")
    return Step(words, ", ".join(reasons))


def of_rows(rows: NDArray[np.int64], words: int) -> Words:
    """The bitmap of these rows."""
    found = np.zeros(words, np.uint64)
    bits.set_rows(rows, found)
    return found


def read_order(order_by: str) -> tuple[str, bool]:
    """An expression and whether it is descending: `amount_365d DESC`."""
    found = re.fullmatch(r"(?is)(.+?)\s+(asc|desc)\s*", order_by)
    return (order_by, False) if found is None else (found[1], found[2].lower() == "desc")


def least(keys: Keys, count: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which keys are surely among the `count` least, and the places of those that tie for the rest.

    Of the tied, `count` less those that are sure are wanted, whichever.
    """
    if count >= len(keys):
        return np.ones(len(keys), np.bool_), np.empty(0, np.int64)
    above, before = np.uint64(0), 0
    for shift in (48, 32, 16, 0):
        counts = np.zeros(1 << 16, np.int64)
        limit_loops.count_digits(keys, above, np.uint64(shift), counts)
        upto = before + np.cumsum(counts)
        digit = int(np.searchsorted(upto, count, side="right"))
        before = int(upto[digit]) - int(counts[digit])
        above = (above << np.uint64(16)) | np.uint64(digit)
        if before == count:
            return keys < (above << np.uint64(shift)), np.empty(0, np.int64)
    return keys < above, np.flatnonzero(keys == above)


def _first(
    rows: NDArray[np.int64], count: int, checked: CheckedCampaign, view: View
) -> NDArray[np.bool_]:
    """Which of these rows, ascending, are the first `count` in the campaign's order."""
    if checked.order_by is None:
        return _by_id(rows, count, view)
    keys, missing = _keys(checked, rows, view)
    taken = np.zeros(len(rows), np.bool_)
    known = np.flatnonzero(~missing)
    if count >= len(known):
        taken[known] = True
        tied = np.flatnonzero(missing)
    else:
        sure, places = least(keys[known], count)
        taken[known[sure]] = True
        tied = known[places]
    rest = count - int(taken.sum())
    if rest:
        taken[tied[_by_id(rows[tied], rest, view)]] = True
    return taken


def _by_id(rows: NDArray[np.int64], count: int, view: View) -> NDArray[np.bool_]:
    """Which of these rows have the `count` smallest customer_ids."""
    taken, _ = least(_of_whole(_ranks_of_ids(rows, view)), count)
    return taken


def _paid(
    words: Words, budget: Budget, checked: CheckedCampaign, asking: Asking
) -> tuple[Words, str]:
    """Those whom a budget reaches. Whoever is held out later is counted too, as for the limit."""
    most = budget.most_parts(asking.policy.price_per_part)
    rows = rows_of(words)
    if len(rows) > most:
        # Nobody takes less than a part.
        rows = rows[_first(rows, most, checked, asking.view)]
    parts = np.ones(len(rows), np.int64)
    if checked.text is not None:
        campaign = checked.campaign
        arms = asking.buckets.arms(campaign.salt, campaign.weights, rows)
        parts = letters(checked.text, asking.view, rows, arms).counted().parts.astype(np.int64)
    if parts.sum() > most:
        order = _order(rows, checked, asking.view)
        paid = order[: reached(parts[order], most)]
        rows, parts = np.sort(rows[paid]), parts[paid]
    return of_rows(rows, len(words)), f"{parts.sum():,} of {most:,} parts"


def _order(rows: NDArray[np.int64], checked: CheckedCampaign, view: View) -> NDArray[np.int64]:
    """Places of the rows in the campaign's order."""
    ranks = _ranks_of_ids(rows, view)
    if checked.order_by is None:
        return np.argsort(ranks, kind="stable")
    keys, missing = _keys(checked, rows, view)
    return np.lexsort((ranks, keys, missing))


def _ranks_of_ids(rows: NDArray[np.int64], view: View) -> NDArray[np.int64]:
    column = view.population.customers.columns["customer_id"]
    if column.kind is Kind.BIGINT:
        return np.asarray(column.values[rows])
    return _ranks(column.to_arrow(rows, view.population.money_scale))


def _keys(
    checked: CheckedCampaign, rows: NDArray[np.int64], view: View
) -> tuple[Keys, NDArray[np.bool_]]:
    """A key of each row, ascending as the campaign's order goes, and which have no value."""
    term = checked.order_by
    assert term is not None
    values: Any = values_of(term, view.population, rows, view.clock)
    if isinstance(values, pa.Array):
        missing = values.is_null().to_numpy(zero_copy_only=False)
        keys = _of_whole(_ranks(values.fill_null("")))
    elif term.kind is Kind.DOUBLE:
        missing = np.isnan(values)
        # -0.0 equals 0.0.
        seen = np.where(missing, 0.0, values) + 0.0
        image = seen.view(np.uint64)
        keys = np.where(image & _SIGN, ~image, image | _SIGN)
    else:
        missing = values == np.iinfo(values.dtype).min
        keys = _of_whole(np.where(missing, 0, values).astype(np.int64))
    return ~keys if checked.descending else keys, missing


def _of_whole(values: NDArray[np.int64]) -> Keys:
    """Whole numbers as keys in the same order."""
    return np.ascontiguousarray(values).view(np.uint64) ^ _SIGN


def _ranks(texts: pa.Array) -> NDArray[np.int64]:
    """Dense ranks of known texts by their UTF-8 bytes."""
    distinct = texts.dictionary_encode()
    order = pa.compute.array_sort_indices(distinct.dictionary.cast(pa.large_binary())).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return np.asarray(ranks[distinct.indices.to_numpy(zero_copy_only=False)])
