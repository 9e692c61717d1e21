"""How is what was acknowledged kept?"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.config_reader import Reader, one_of


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """What an acknowledgement outlives.

    sync: `full`: a loss of power; `normal`: the end of the process, at a tenth of the wait.
    """

    sync: str = "full"


def read_storage(reader: Reader, raw: object) -> StorageSettings:
    """The section `[storage]`."""
    section = reader.section(raw, "storage")
    sync = reader.take(section, "storage.sync", one_of("full", "normal"), StorageSettings().sync)
    reader.nothing_left(section, "storage", ["sync"])
    return StorageSettings(sync)
