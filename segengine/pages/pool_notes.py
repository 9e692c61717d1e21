"""What of a pool is sound, and may still not be what was meant?"""

from __future__ import annotations

from collections.abc import Sequence

from segengine.pages.pool_candidates import ReadyPool
from segengine.pages.pool_shelf import rows_named
from segengine.rules.segment import View

_MOST_NAMED = 5


def notes(ready: ReadyPool, view: View) -> list[str]:
    """Products it names that the shop has not, and that nobody will see its module.

    Neither is a mistake: the catalogue may come later, and stock comes and goes.
    """
    unknown = [
        f"{named} ({done})"
        for named, done in (
            (_unknown(ready.pool.pin, view), "pinned"), (_unknown(ready.pool.ban, view), "banned")
        )
        if named
    ]  # fmt: skip
    found = [f"the shop has no product {', '.join(unknown)}"] if unknown else []
    candidates = ready.candidates(view)
    if not candidates.size and not len(candidates.pins):
        found.append("no product is in it now, so the module shows to nobody")
    return found


def _unknown(ids: Sequence[int | str], view: View) -> str:
    """Those of some product_ids that the shop has not given."""
    rows = rows_named(view, ids)
    missing = [f"`{each}`" for each, row in zip(ids, rows.tolist(), strict=True) if row < 0]
    more = len(missing) - _MOST_NAMED
    return ", ".join(missing[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
