"""What do all buyers see on a page: how many each module, and which modules nobody?

Every buyer's page is decided (`census_walk.py`), all at one moment and one state of the data, and
counted. Products are not ranked: of a pool it is asked whether it has any for a buyer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.days import moment
from segengine.kernels import bits
from segengine.pages.answer import Reason
from segengine.pages.census_walk import Outcome, Progress, Walked, walk
from segengine.pages.decide import decide
from segengine.pages.ready import CheckedPage
from segengine.rules.segment import View, rows_of

MOST_FREQUENT = 10
_REASONS = {
    "outranked": Reason.OUTRANKED, "already_shown": Reason.ALREADY_SHOWN,
    "held_out": Reason.HELD_OUT, "capped": Reason.CAPPED, "not_eligible": Reason.NOT_ELIGIBLE,
    "inactive": Reason.INACTIVE,
}  # fmt: skip
"""The columns of a module's losses, and the reason that a page gives for each."""
_NEAREST = ("outranked", "held_out", "capped", "inactive", "not_eligible")
"""From those who came nearest to seeing a module to those who were furthest from it."""


@dataclass(frozen=True, slots=True)
class Census:
    """Everybody's page, counted; all of it is true for one moment and one state of the data.

    not_given: what the page's rules read of the request and `context` has not: it is missing for
    all buyers. buyers: how many there are. modules: Table(slot, module, reach, share, and a
    column of buyers for each reason that kept the others from it), so that a row adds up to all
    buyers; in the order in which the modules of a slot are asked. variants: Table(slot, module,
    variant, reach, share). empty: Table(slot, buyers, share), a row per slot. never: the modules
    that nobody sees anywhere. unseen: Table(module, slot, reason, buyers, by, by_buyers), why:
    the reason of those who came nearest to it and how many they are; where outranked, by which
    module most, and how often. different_pages: by modules and variants. frequent:
    Table(buyers, share, placements), the ten most frequent pages.
    """

    page: str
    context: Mapping[str, str]
    not_given: tuple[str, ...]
    buyers: int
    modules: pa.Table
    variants: pa.Table
    empty: pa.Table
    never: tuple[str, ...]
    unseen: pa.Table
    different_pages: int
    frequent: pa.Table
    as_of: datetime
    data_version: int


_COUNTED = [("reach", pa.int64()), ("share", pa.float64())]
_PLACED = [(name, pa.string()) for name in ("slot", "module", "variant", "reason")]
_MODULES = pa.schema([*_PLACED[:2], *_COUNTED, *((name, pa.int64()) for name in _REASONS)])
_VARIANTS = pa.schema([*_PLACED[:3], *_COUNTED])
_EMPTY = pa.schema([("slot", pa.string()), ("buyers", pa.int64()), ("share", pa.float64())])
_UNSEEN = pa.schema([
    ("module", pa.string()), ("slot", pa.string()), ("reason", pa.string()),
    ("buyers", pa.int64()), ("by", pa.string()), ("by_buyers", pa.int64()),
])  # fmt: skip
_FREQUENT = pa.schema([("buyers", pa.int64()), ("share", pa.float64()),
                       ("placements", pa.list_(pa.struct(_PLACED)))])  # fmt: skip


def census(
    checked: CheckedPage,
    view: View,
    context: Mapping[str, str],
    progress: Progress | None = None,
) -> Census:
    """The page of every buyer, counted, as of one request.

    context: keys in lower case. progress: is told how many modules of how many have been asked;
    what it raises ends the census.
    """
    walked = walk(checked, view, context, progress)
    buyers = int(bits.count_bits(walked.live))
    by_name: dict[str, list[tuple[str, Outcome, Sequence[Outcome]]]] = {}
    for slot, some, _ in walked.slots:
        for each in some:
            by_name.setdefault(each.checked.module.name, []).append((slot, each, some))
    never = tuple(n for n, found in by_name.items() if not any(each.reach for _, each, _ in found))
    different, frequent = _frequent(walked, checked, view, context, buyers)
    return Census(
        page=checked.page.name,
        context=dict(context),
        not_given=_not_given(checked, context),
        buyers=buyers,
        modules=_table(_MODULES, [
            {"slot": slot, "module": each.checked.module.name, **_counted(each.reach, buyers)}
            | {name: getattr(each, name) for name in _REASONS}
            for slot, some, _ in walked.slots for each in some
        ]),
        variants=_table(_VARIANTS, [
            {"slot": slot, "module": each.checked.module.name, "variant": variant.name}
            | _counted(int(reach), buyers)
            for slot, some, _ in walked.slots for each in some
            for variant, reach in zip(each.checked.module.variants, each.arms, strict=True)
        ]),
        empty=_table(_EMPTY, [
            {"slot": slot, "buyers": without, "share": _share(without, buyers)}
            for slot, _, without in walked.slots
        ]),
        never=never,
        unseen=_table(_UNSEEN, [
            {"module": name, "slot": slot, **_why(each, some)}
            for name in never for slot, each, some in by_name[name]
        ]),
        different_pages=different,
        frequent=_table(_FREQUENT, frequent),
        as_of=moment(view.clock.as_of),
        data_version=view.data_version,
    )  # fmt: skip


def _not_given(checked: CheckedPage, context: Mapping[str, str]) -> tuple[str, ...]:
    read = {
        str(term.value)
        for rule in checked.rules
        for term in rule.term.walk()
        if term.op == "context"
    }
    return tuple(sorted(read - set(context)))


def _table(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _counted(reach: int, buyers: int) -> dict[str, int | float]:
    return {"reach": reach, "share": _share(reach, buyers)}


def _why(each: Outcome, slot: Sequence[Outcome]) -> dict[str, Any]:
    """What kept a module from the buyers who came nearest to seeing it."""
    column = next((name for name in _NEAREST if getattr(each, name)), _NEAREST[-1])
    by, by_buyers = None, 0
    if column == "outranked":
        most = int(each.seen.argmax())
        by, by_buyers = slot[most - 1].checked.module.name, int(each.seen[most])
    return {"reason": str(_REASONS[column]), "buyers": getattr(each, column), "by": by,
            "by_buyers": by_buyers}  # fmt: skip


def _frequent(
    walked: Walked, checked: CheckedPage, view: View, context: Mapping[str, str], buyers: int
) -> tuple[int, list[dict[str, Any]]]:
    """How many different pages there are, and the most frequent of them, as one buyer sees each."""
    if not buyers:
        return 0, []
    rows = rows_of(walked.live)
    pages = walked.pages[rows]
    kinds, counts = _distinct(pages)
    # Of equal frequency the order is that of the hashes: any, but always the same.
    least = np.sort(counts)[-MOST_FREQUENT:][0]
    chosen = [(-int(counts[k]), int(kinds[k])) for k in np.flatnonzero(counts > least)]
    ties = np.flatnonzero(counts == least)[: MOST_FREQUENT - len(chosen)]
    chosen += [(-int(least), int(kinds[k])) for k in ties]
    found = []
    for negative, kind in sorted(chosen):
        row = rows[int((pages == np.uint64(kind)).argmax())]
        (customer_id,) = view.values("customer_id", np.array([row])).to_pylist()
        placed = decide(checked, view, customer_id, context).placements
        placements = [
            {"slot": p.slot, "module": p.module, "variant": p.variant, "reason": str(p.reason)}
            for p in placed
        ]
        found.append({"buyers": -negative, "share": -negative / buyers, "placements": placements})
    return len(kinds), found


def _distinct(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The different values, ascending, and how often each is there."""
    ordered = np.sort(values)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return ordered[starts], np.diff(np.append(starts, len(ordered)))
