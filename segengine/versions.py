"""What was each definition before, and since when is it what it is?

Every change of a segment, a declared trait, a campaign or a page makes a version, numbered from 1.
To define what is in force already makes none: definitions are compared as they are written down
(`written.py`), so `spent>3` and `spent > 3` are two versions, and options left out or given as
they would be anyway are one. Versions are kept in memory for as long as the store is open; those of
`store.toml` are the first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from segengine.definitions import Definitions
from segengine.errors import DefinitionError, UnknownNameError, did_you_mean
from segengine.plain import plain
from segengine.written import (
    CAMPAIGN,
    PAGE,
    SEGMENT,
    TRAIT,
    Defined,
    definition_to_plain,
    kind_of,
)


@dataclass(frozen=True, slots=True)
class Version:
    """One definition as it was from a moment on.

    version: from 1. definition: as `store.toml` would have it. as_of: the store's moment when it
    was made, in UTC. data_version: the first of the store at which it was in force.
    """

    kind: str
    name: str
    version: int
    definition: Mapping[str, Any]
    as_of: datetime
    data_version: int
    # What was given: a rule with an Arrow array has no writing that could be read back.
    given: Defined = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All of it in what JSON has."""
        names = ("kind", "name", "version", "definition", "as_of", "data_version")
        return {name: plain(getattr(self, name)) for name in names}


class Versions:
    """Every version of every definition, in the order made."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Version, ...]] = {}
        self._lock = threading.Lock()

    def note(
        self, kind: str, name: str, given: Defined, as_of: datetime, data_version: int
    ) -> Version:
        """The version in force: a new one, unless the definition is as it was."""
        written = definition_to_plain(kind, given)
        with self._lock:
            before = self._kept.get((kind, name), ())
            if before and before[-1].definition == written:
                return before[-1]
            made = Version(kind, name, len(before) + 1, written, as_of, data_version, given)
            self._kept[kind, name] = (*before, made)
        return made

    def note_all(self, definitions: Definitions, as_of: datetime, data_version: int) -> None:
        """The versions of everything that is defined now."""
        for kind, name, given in everything(definitions):
            self.note(kind, name, given, as_of, data_version)

    def of(self, kind: str, name: str) -> tuple[Version, ...]:
        """All versions of a definition, the oldest first; `UnknownNameError` where there is none.

        `DefinitionError` where `kind` is none of segment, trait, campaign and page.
        """
        kind_of(kind)
        found = self._kept.get((kind, name))
        if found is None:
            known = [each for of, each in self._kept if of == kind]
            hint = did_you_mean(str(name), known)
            listed = hint or ("known: " + ", ".join(known) if known else "none is defined")
            raise UnknownNameError(f"unknown {kind} `{name}`; {listed}", field=kind)
        return found

    def one(self, kind: str, name: str, version: object) -> Version:
        """A version by its number; `DefinitionError` where there is none with it."""
        found = self.of(kind, name)
        whole = isinstance(version, int) and not isinstance(version, bool)
        if not whole or not 1 <= version <= len(found):  # type: ignore[operator]
            many = len(found) > 1
            there = f"there are versions 1 to {len(found)}" if many else "there is version 1 alone"
            raise DefinitionError(f"{kind} `{name}` has no version `{version}`; {there}",
                                  field="version")  # fmt: skip
        return found[version - 1]  # type: ignore[operator]

    def newest(self, kind: str, name: str) -> Version | None:
        """The version in force; None for what was never defined."""
        found = self._kept.get((kind, name))
        return found[-1] if found else None

    def names(self) -> list[tuple[str, str]]:
        """The kind and name of everything that has versions, in the order first defined."""
        return list(self._kept)


def everything(definitions: Definitions) -> Iterator[tuple[str, str, Defined]]:
    """Kind, name and definition of all there are: segments, traits, campaigns, pages."""
    for name, rule in definitions.segments.definitions.items():
        yield SEGMENT, name, rule
    for name, rule in definitions.segments.traits.items():
        yield TRAIT, name, rule
    for name, campaign in definitions.campaigns.items():
        yield CAMPAIGN, name, campaign
    for name, page in definitions.pages.items():
        yield PAGE, name, page
