"""How long does the census of a page take, and is it every buyer's page?

For some buyers drawn at random, what the census has them see is compared with the page they get;
then it is timed.
"""

# ruff: noqa: SLF001 - a census tells its figures, not what it has each buyer see
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from statistics import median
from typing import Any

from segengine.bench.timing import DifferentAnswersError
from segengine.engine import Engine
from segengine.pages.census_walk import key_of, walk
from segengine.pages.page import Page
from segengine.pages.ready import CheckedPage

OURS = "segengine"
REQUEST = {"device": "mobile", "source": "search", "cart_value": "150"}
_CHECKED = 50
_REPEATS = 3


def census_cases(
    engine: Engine, pages: Sequence[tuple[str, Page]], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A case for each of these pages, by what it is called.

    Raises `DifferentAnswersError` where the census has a buyer see another page than they get.
    """
    return [_timed(engine, what, page, say) for what, page in pages]


def _timed(engine: Engine, what: str, page: Page, say: Callable[[str], None]) -> dict[str, Any]:
    checked = _check(engine, page)
    say(f"{what}: the pages of {checked} buyers are those that they get; timing")
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        census = engine.page_census(page.name, REQUEST)
        seconds.append(time.perf_counter() - began)
    say(f"{what}: {census.different_pages:,} different pages of {census.buyers:,} buyers, "
        f"{len(census.never):,} modules that nobody sees, {median(seconds):.2f} s")  # fmt: skip
    return {
        "case": what, "rule": "", "count": census.buyers, "ms": {OURS: 1000 * median(seconds)},
        "ms_min": {OURS: 1000 * min(seconds)}, "repeats": _REPEATS, "speedup": None, "cannot": {},
    }  # fmt: skip


def _check(engine: Engine, page: Page) -> int:
    """How many buyers were compared; raises where one gets another page."""
    ids = engine.segment("TRUE").ids()
    rng = Random(17)  # noqa: S311 - a sample
    sample = [ids[rng.randrange(len(ids))].as_py() for _ in range(min(_CHECKED, len(ids)))]
    with engine._looking() as view:
        checked = engine._definitions.page(page.name)
        pages = walk(checked, view, REQUEST).pages
        found = {each: int(pages[view.row_of(each)]) for each in sample}
    for each in sample:
        if found[each] != _of_buyer(engine, checked, each, REQUEST):
            raise DifferentAnswersError(
                f"page {page.name}: the census has buyer {each} see another page than they get"
            )
    return len(sample)


def _of_buyer(
    engine: Engine, checked: CheckedPage, customer_id: int | str, request: Mapping[str, str]
) -> int:
    """The 64 bits of the page that a buyer gets."""
    mixed, ends = 0, checked.ends.tolist()
    for slot, placed in enumerate(engine.page(checked.page.name, customer_id, request).placements):
        for choice, each in enumerate(checked.modules[ends[slot] : ends[slot + 1]], 1):
            if each.module.name == placed.module:
                arms = [variant.name for variant in each.module.variants]
                arm = 0 if placed.variant is None else arms.index(placed.variant)
                mixed ^= key_of(slot, choice, arm)
    return mixed
