"""What do traits come from, beside the events and the moment?

From settings, from the calendar of the timezone, and from the code that derives them. All of it is
one fingerprint, which stands beside traits that are kept in a file: where it is another when they
are read, they are derived again. What the messages of campaigns are for is not in it: it may be
told to a running store, which then brings up to date the buyers that it concerns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from segengine.schema.store_config import StoreConfig
from segengine.traits.work import TraitSettings

_OF_NO_TRAIT = frozenset({
    "timezone", "currency", "as_of", "standing_memory_mb", "load", "consent_missing",
    "holdout_share", "caps", "text", "pools", "storage", "range_mix", "constants", "traits",
    "segments", "campaigns", "pages",
})  # fmt: skip
"""Settings that no trait reads; one that is not known here counts as read. Of the timezone its
calendar is what counts."""
_CODE = ("days.py", "kernels", "schema", "tables", "traits")


def fingerprint(settings: TraitSettings) -> str:
    """A hash of all that traits depend on beside the tables, the moment and the goals."""
    digest = hashlib.sha256(_code().encode())
    digest.update(settings.zone.starts.tobytes() + settings.zone.offsets.tobytes())
    for each in fields(StoreConfig):
        if each.name not in _OF_NO_TRAIT:
            digest.update(f"{each.name}={_plain(getattr(settings.config, each.name))}\n".encode())
    return digest.hexdigest()


def _plain(value: Any) -> str:
    """A value as a text that is the same in every process."""
    if is_dataclass(value):
        said = [f"{f.name}={_plain(getattr(value, f.name))}" for f in fields(value)]
        return f"{type(value).__name__}({', '.join(said)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_plain(k)}: {_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(_plain(each) for each in value)) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_plain(each) for each in value) + ")"
    return repr(value)


@cache
def _code() -> str:
    """A hash of the code that derives; the version, where there are no sources to be read."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256(version("segengine").encode())
    for name in _CODE:
        path = root / name
        for source in [path] if path.suffix else sorted(path.glob("*.py")):
            if source.is_file():
                digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()
