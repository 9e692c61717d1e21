"""What does a client hear about definitions, and what does it send?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Put:
    """A definition that is to be in force: its section of `store.toml` as a mapping.

    etag: the one that must be in force until then; new: there must be none of its name.
    """

    kind: str
    name: str
    definition: Mapping[str, Any]
    etag: str | None = None
    new: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a definition.

    definition: None where it was deleted, or where it was not asked for. source: `file` where
    store.toml says so, `catalogue` where a call did. as_of: the store's moment when it was made.
    data_version: the first at which it was in force, of the process that made it.
    """

    kind: str
    name: str
    version: int
    definition: Mapping[str, Any] | None
    etag: str
    is_deleted: bool
    source: str
    as_of: datetime
    data_version: int
