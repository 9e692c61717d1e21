"""How is what was acknowledged kept?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.config_reader import Reader, between, one_of


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """What an acknowledgement outlives.

    sync: `full`: a loss of power; `normal`: the end of the process, at a tenth of the wait.
    snapshots: how many are kept, the one in use included.
    snapshot_log_mb, snapshot_minutes: a running server writes the next one once the log after the
    one in use is so large, or there is a change and that one is so old; 0: never for that reason.
    """

    sync: str = "full"
    snapshots: int = 2
    snapshot_log_mb: int = 256
    snapshot_minutes: int = 360


def read_storage(reader: Reader, raw: object) -> StorageSettings:
    """The section `[storage]`."""
    section = reader.section(raw, "storage")
    defaults = StorageSettings()
    sync = reader.take(section, "storage.sync", one_of("full", "normal"), defaults.sync)
    kept = reader.take(section, "storage.snapshots", between(1, 100), defaults.snapshots)
    size = reader.take(
        section, "storage.snapshot_log_mb", between(0, 1_048_576), defaults.snapshot_log_mb
    )
    age = reader.take(
        section, "storage.snapshot_minutes", between(0, 525_600), defaults.snapshot_minutes
    )
    known = ["sync", "snapshots", "snapshot_log_mb", "snapshot_minutes"]
    reader.nothing_left(section, "storage", known)
    return StorageSettings(sync, kept, size, age)
