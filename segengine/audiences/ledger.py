"""How many come to each step of a campaign, how many are dropped there, and why?

Each step has the bitmap of those it left in, so the ledger sums exactly and the step that dropped
a buyer can be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from segengine.kernels import bits
from segengine.rules.frame import Words

STEPS = (
    "population",
    "rule",
    "exclusions",
    "consent",
    "suppression",
    "global_holdout",
    "frequency_cap",
    "arbitration",
    "limit",
    "holdout",
)
LEDGER = pa.schema(
    [
        ("step", pa.string()),
        ("entered", pa.int64()),
        ("dropped", pa.int64()),
        ("remaining", pa.int64()),
        ("reasons", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Whom a step left in, and why it dropped the others.

    causes: (text, those it is true of) where there are several; others may be in there too.
    """

    words: Words
    reason: str
    causes: tuple[tuple[str, Words], ...] = ()

    def reason_for(self, row: int) -> str:
        """Why this buyer, whom the step dropped, was."""
        own = [text for text, words in self.causes if has(words, row)]
        return ", ".join(own) or self.reason


def has(words: Words, row: int) -> bool:
    """Whether a row is in a bitmap; one that came later is not."""
    return row < 64 * len(words) and bool(int(words[row >> 6]) >> (row & 63) & 1)


def size(words: Words) -> int:
    """How many rows are in a bitmap."""
    return int(bits.count_bits(words))


def counted_causes(causes: Sequence[tuple[str, Words]], otherwise: str) -> str:
    """`text: how many` for each cause that anybody was dropped by."""
    found = [f"{text}: {size(words):,}" for text, words in causes if words.any()]
    return ", ".join(found) or otherwise


def ledger_of(steps: Sequence[Step]) -> pa.Table:
    """step, entered, dropped, remaining, reasons: all steps, in order, summing exactly."""
    remaining = np.array([size(step.words) for step in steps])
    entered = np.concatenate([remaining[:1], remaining[:-1]])
    rows = [
        list(STEPS), entered, entered - remaining, remaining, [step.reason for step in steps]
    ]  # fmt: skip
    columns = [pa.array(row, field.type) for row, field in zip(rows, LEDGER, strict=True)]
    return pa.table(columns, schema=LEDGER)
