"""Which categories and brands does a buyer care for, and by how much?

Every purchased line, cart, favourite, search and view of a known category or brand counts by its
weight, and half as much for each half-life that has passed since; shares of the sum are the
scores. All of a buyer's scores are kept, none is rounded away: a buyer has as many as the
different values they ever met.
"""

from __future__ import annotations

import numpy as np

from segengine import days
from segengine.schema.tables import ORDER_LINES
from segengine.tables.affinities import KINDS
from segengine.traits import affinity_loops
from segengine.traits.affinity_loops import Doings, Scores
from segengine.traits.trait import Family
from segengine.traits.work import Work

_AT_ONCE = 1 << 16
"""Buyers whose scores are gathered before they are put together with those of the others."""
assert KINDS[affinity_loops.CATEGORY] == "category"
assert KINDS[affinity_loops.BRAND] == "brand"


def _facts(work: Work) -> None:
    settings = work.config.affinity
    weights = dict(settings.weights)
    bought = np.array([0.0, 0.0, weights.pop("purchase")])
    kinds = work.dictionary("behaviors", "kind")
    by_kind = np.zeros(1 + kinds.size, np.float64)
    found = kinds.codes_of(tuple(weights))
    for code, weight in zip(found, weights.values(), strict=True):
        if code >= 0:
            by_kind[code + 1] = weight
    half_life = settings.half_life_days * days.DAY
    behaviors, lines = work.history("behaviors"), work.history(ORDER_LINES)
    of_behavior = [work.values("behaviors", name) for name in ("time", "kind", *KINDS)]
    of_line = [work.values(ORDER_LINES, name) for name in ("time", "is_purchase", *KINDS)]
    categories, brands = (work.dictionary(ORDER_LINES, kind).size for kind in KINDS)
    counts = np.zeros((len(KINDS), len(work.rows)), np.int32)
    parts: dict[int, tuple[Scores, Scores]] = {}

    def loop(begin: int, end: int) -> None:
        for first in range(begin, end, _AT_ONCE):
            last = min(first + _AT_ONCE, end)
            parts[first] = affinity_loops.affinity_facts(
                last - first, work.clock.as_of, half_life,
                Doings(behaviors.begins[first:], behaviors.events, by_kind, *of_behavior),
                Doings(lines.begins[first:], lines.events, bought, *of_line),
                categories, brands, counts[0, first:last], counts[1, first:last],
            )  # fmt: skip

    work.over_buyers(loop)
    in_order = [parts.pop(first) for first in sorted(parts)]
    for place, kind in enumerate(KINDS):
        codes, scores = [np.empty(0, np.int32)], [np.empty(0, np.float64)]
        for part in in_order:
            codes.append(part[place].codes)
            scores.append(part[place].scores)
        lengths = counts[place].copy()
        work.give_lists(kind, lengths, np.concatenate(codes), np.concatenate(scores))


AFFINITY = Family("affinity", "", (), facts=_facts, reads=("behaviors", ORDER_LINES))
