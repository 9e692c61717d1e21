"""How is chance drawn, so that the same seed always gives the same store?

Every chunk of every table family has a Philox stream of its own, keyed by (seed, family, chunk):
no table depends on which was read before it, and no chunk on how far another was read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SLOTS = 65_536
"""Tickets in a lottery: a 16-bit draw is a table lookup, ten times faster than a binary search."""

FAMILIES = (
    "catalogue",
    "buyers",
    "customers",
    "orders",
    "lines",
    "statuses",
    "behaviors",
    "reviews",
    "messages",
    "impressions",
    "points",
)

# INVARIANT: a family's place in FAMILIES is part of its key; new ones are appended.
_FAMILY_NUMBER = {name: number for number, name in enumerate(FAMILIES)}


def stream(seed: int, family: str, chunk: int) -> np.random.Generator:
    """The source of chance of one chunk of one table family."""
    key = np.random.SeedSequence(seed, spawn_key=(_FAMILY_NUMBER[family], chunk))
    return np.random.Generator(np.random.Philox(key))


def lottery(weights: Sequence[float] | NDArray[np.float64]) -> NDArray[np.int8]:
    """Tickets int8[65536]: option i holds its share of them, to within one ticket."""
    shares = np.cumsum(np.asarray(weights, np.float64))
    ends = np.rint(shares / shares[-1] * SLOTS).astype(np.int64)
    return np.repeat(np.arange(len(ends), dtype=np.int8), np.diff(ends, prepend=0))


def draw(rng: np.random.Generator, tickets: NDArray[np.int8], n: int) -> NDArray[np.int8]:
    """So many options of a lottery: int8[n]."""
    return tickets[rng.integers(0, SLOTS, n, dtype=np.uint16)]


def happens(rng: np.random.Generator, n: int, chance: float) -> NDArray[np.bool_]:
    """So many throws, each true with this chance: bool[n]."""
    return rng.random(n, dtype=np.float32) < np.float32(chance)


def waits(rng: np.random.Generator, n: int, mean_seconds: float) -> NDArray[np.int64]:
    """So many exponential waits in whole seconds: int64[n]."""
    return (rng.standard_exponential(n, dtype=np.float32) * mean_seconds).astype(np.int64)
