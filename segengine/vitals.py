"""What does a monitor want to know of a store?"""

from __future__ import annotations

import numpy as np

from segengine.current import Current
from segengine.storage.durable import Durable

Vitals = dict[str, tuple[str, float | None]]
"""By name: what it is, and its value, None for nothing. Moments are seconds since 1970."""
_NEVER = int(np.iinfo(np.int64).min)


def vitals(current: Current, durable: Durable | None) -> Vitals:
    """The numbers as they are now. durable: the store's files, if it has any."""
    tables = current.tables
    with tables.gate.reading(urgent=True):
        latest = max((t.latest for t in tables.events.values()), default=_NEVER)
        buyers, events = tables.customers.count, sum(t.rows for t in tables.events.values())
    snapshot, log = (None, None) if durable is None else durable.vitals()
    return {
        "buyers": ("Buyers there are.", buyers),
        "event_rows": ("Rows of all event tables.", events),
        "data_version": ("Grows with every change.", current.version),
        "as_of_seconds": ("The moment that answers are true for.", current.as_of / 1e6),
        "latest_event_seconds": (
            "The time of the latest event.", None if latest == _NEVER else latest / 1e6,
        ),
        "snapshot_seconds": ("When the snapshot in use was written.", snapshot),
        "log_bytes": ("Bytes of the log on disk.", log),
    }  # fmt: skip
