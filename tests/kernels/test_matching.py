"""A match finds the conjunctions all of whose ranges hold, whichever of their edges are chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segengine.kernels import matching
from segengine.kernels.matching import NO_KEY
from segengine.kernels.memory import FLOAT64, INT8, INT32, INT64

GREATEST = 2**63 - 1
TYPES = {np.int8: INT8, np.int32: INT32, np.int64: INT64, np.float64: FLOAT64}
LEAVES = 12


@given(st.integers(0, 2**32 - 1))
def test_a_match_is_what_every_range_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = [rng.integers(-9, 9, 50).astype(dtype) for dtype in TYPES for _ in range(2)]
    missing = [-9 if v.dtype.kind == "i" else NO_KEY for v in values]
    for column in values[-2:]:
        column[::7] = rng.choice([np.nan, -0.0, -np.nan, np.inf, -np.inf])
    leaves, bounds = _leaves(rng, len(values))
    parts = [rng.choice(LEAVES, rng.integers(0, 5), replace=False) for _ in range(150)]
    conjunctions = np.zeros((len(parts) + 1, 2), np.int32)
    conjunctions[1:, 0] = np.cumsum([len(part) for part in parts])
    conjunctions[:-1, 1] = np.arange(len(parts)) // 2
    leaves_of = np.concatenate(parts).astype(np.int32)
    traits, edges = _traits(rng, values, missing, leaves, bounds)
    every = np.packbits(np.arange(192) < len(parts), bitorder="little").view(np.uint64)
    rows = np.tile(
        every, (1 + sum(traits[:, matching.EDGES_END] - traits[:, matching.EDGES] + 2), 1)
    )
    unsure = np.zeros((2 * len(bounds) * len(parts), 3), np.int32)
    count = matching.fill_rows(conjunctions, leaves_of, leaves, bounds, traits, edges,
                               np.zeros(64, np.uint8), rows, unsure)  # fmt: skip
    unsure = unsure[:count][np.argsort(unsure[:count, 0], kind="stable")]
    unsure_of = np.searchsorted(unsure[:, 0], np.arange(len(rows) + 1)).astype(np.int32)
    settled = 120
    state, words = np.zeros(2 * len(values) + 1, np.int64), np.zeros(3, np.uint64)
    candidates = np.zeros(150, np.int32)
    for row in range(50):
        words[:], out = rows[0], np.zeros(75, np.uint8)
        found = matching.match_row(
            row, traits, edges, rows, unsure_of, np.ascontiguousarray(unsure[:, 1:]), conjunctions,
            leaves_of, leaves, bounds, settled, state, words, candidates, out,
        )  # fmt: skip
        hold = [all(_holds(leaves[leaf], bounds, values, missing, row) for leaf in part)
                for part in parts]  # fmt: skip
        assert set(np.flatnonzero(out)) == {n // 2 for n in range(settled) if hold[n]}
        assert candidates[:found].tolist() == [n for n in range(settled, 150) if hold[n]]


def _leaves(rng: Any, traits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Leaves of some ascending, disjoint ranges; those of floats as keys."""
    leaves, bounds = np.zeros((LEAVES, 4), np.int64), []
    for leaf in range(LEAVES):
        trait = rng.integers(0, traits)
        ends = np.sort(rng.choice(np.arange(-10, 11), 2 * rng.integers(0, 4), replace=False))
        keys = [_key(float(end)) if trait >= traits - 2 else int(end) for end in ends]
        if keys and rng.random() < 0.3:
            keys[0] = -GREATEST
        if keys and rng.random() < 0.3:
            keys[-1] = GREATEST
        begin = len(bounds)
        bounds += list(zip(keys[::2], keys[1::2], strict=True))
        leaves[leaf] = trait, begin, len(bounds), rng.random() < 0.5
    return leaves, np.array(bounds, np.int64).reshape(len(bounds), 2)


def _traits(
    rng: Any, values: list[Any], missing: list[int], leaves: Any, bounds: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The table of traits; of the edges where some leaf changes, some are chosen."""
    traits, chosen, row = np.zeros((len(values), 8), np.int64), [], 1
    for trait, column in enumerate(values):
        edges = set()
        for _, begin, end, _ in leaves[leaves[:, 0] == trait]:
            for low, high in bounds[begin:end].tolist():
                edges |= {low} | ({high + 1} if high < GREATEST else set())
        kept = [edge for edge in sorted(edges) if rng.random() < 0.5]
        ends = len(chosen), len(chosen) + len(kept)
        place = column.ctypes.data, column.itemsize
        traits[trait] = *place, TYPES[column.dtype.type], missing[trait], GREATEST, *ends, row
        chosen += kept
        row += 2 + len(kept)
    return traits, np.array(chosen, np.int64)


def _key(value: float) -> int:
    bits = int(np.float64(value + 0.0).view(np.int64))
    return bits if bits >= 0 else bits ^ GREATEST


def _holds(leaf: Any, bounds: Any, values: list[Any], missing: list[int], row: int) -> bool:
    value = values[leaf[0]][row]
    if np.isnan(value) or value == missing[leaf[0]]:
        return bool(leaf[3])
    key = _key(value) if values[leaf[0]].dtype.kind == "f" else int(value)
    return any(low <= key <= high for low, high in bounds[leaf[1] : leaf[2]].tolist())
