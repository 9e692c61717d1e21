"""What was shown lately? Modules of the home page in the last two weeks, and clicks on them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from segengine.demo.buyers import Buyers
from segengine.demo.columns import MOMENT, TEXT, blank, moments, text, time_order, words
from segengine.demo.draws import draw, happens, lottery, stream
from segengine.demo.rhythm import DAY, moment_at, work_at
from segengine.demo.setting import Setting

SHOWN_DATES = 14
SHOWN = (
    ("banner", "welcome"),
    ("banner", "season"),
    ("offer", "second_order"),
    ("offer", "best_sellers"),
    ("footer", "help"),
)
_SLOTS = ("banner", "offer", "footer")
_PAGE = words(("home",))
_SLOT_WORDS = words(_SLOTS)
_MODULES = words(tuple(module for _, module in SHOWN))
_SLOT_OF = np.array([_SLOTS.index(slot) for slot, _ in SHOWN])
_KINDS = words(("shown", "clicked"))

SCHEMA = pa.schema(
    [
        ("customer_id", pa.int64()),
        ("time", MOMENT),
        ("page", TEXT),
        ("slot", TEXT),
        ("module", TEXT),
        ("variant", TEXT),
        ("kind", TEXT),
    ]
)


def impression_batch(setting: Setting, chunk: int, buyers: Buyers) -> pa.RecordBatch:
    """One chunk of the impressions table, by time; a click follows what was shown."""
    rng = stream(setting.seed, "impressions", chunk)
    clock = setting.browsing
    since = np.maximum(buyers.joined, setting.end - SHOWN_DATES * DAY)
    present = (buyers.quiet > since).astype(np.float64) + 0.1
    counts = rng.poisson(present * 0.8)
    owner = np.repeat(np.arange(len(counts)), counts)
    n = len(owner)
    low = work_at(clock, since)[owner]
    shown = np.maximum(moment_at(clock, low + rng.random(n) * (clock.total - low)), since[owner])
    module = draw(rng, lottery([14, 26, 16, 24, 20]), n)
    clicks = np.flatnonzero(happens(rng, n, 0.05))
    at = np.concatenate((shown, shown[clicks] + rng.integers(1, 60, len(clicks))))
    which = np.concatenate((np.arange(n), clicks))
    kept = np.flatnonzero(at <= setting.end)
    order = kept[time_order(at[kept], setting.start)]
    row = which[order]
    slots = _SLOT_OF[module[row]]
    return pa.record_batch(
        [
            pa.array(owner[row] + buyers.first_id),
            moments(at[order], setting.end),
            text(np.zeros(len(row), np.int32), _PAGE),
            text(slots, _SLOT_WORDS),
            text(module[row], _MODULES),
            blank(len(row)),
            text((order >= n).astype(np.int32), _KINDS),
        ],
        schema=SCHEMA,
    )
