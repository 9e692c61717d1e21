"""What was each definition before, and since when is it what it is?

Every change of a segment, a declared trait, a campaign or a page makes a version, numbered from 1;
so does deleting it, and a name that is defined again goes on with its numbers. To define what is
in force already makes none: definitions are compared as they are written down (`written.py`), so
`spent>3` and `spent > 3` are two versions, and options left out or given as they would be anyway
are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
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
    definition_from_plain,
    definition_to_plain,
    kind_of,
)
from segengine.written_text import text_of, written_of

FILE, CATALOGUE = "file", "catalogue"
"""Who makes a version: `store.toml`, or whoever defines by a call."""
_ETAG_DIGITS = 24


@dataclass(frozen=True, slots=True)
class Version:
    """One definition as it was from a moment on.

    version: from 1. text: its writing, see `written_text`; None where it was deleted. as_of: the
    store's moment when it was made, in UTC. data_version: the first at which it was in force, of
    the process that made it. source: `file` for store.toml, `catalogue` for a call.
    """

    kind: str
    name: str
    version: int
    text: str | None
    as_of: datetime
    data_version: int
    source: str = CATALOGUE
    # What was given: a rule with an Arrow array has no writing that could be read back.
    given: Defined | None = field(default=None, repr=False, compare=False)
    unkept: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Why its text cannot be read back."""

    @property
    def is_deleted(self) -> bool:
        """Whether there is no such definition from here on."""
        return self.text is None

    @property
    def definition(self) -> Mapping[str, Any] | None:
        """The definition as `store.toml` would have it; None where it was deleted."""
        if self.given is not None:
            return definition_to_plain(self.kind, self.given)
        return None if self.text is None else written_of(self.text)

    @property
    def etag(self) -> str:
        """A short text that no other version of it has, in any store; it outlives the process."""
        said = "\0".join([self.kind, self.name, str(self.version), self.text or ""])
        return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:_ETAG_DIGITS]

    def defined(self) -> Defined:
        """The definition itself; a `DefinitionError` where it was deleted."""
        if self.given is not None:
            return self.given
        if self.text is None:
            raise DefinitionError(
                f"version {self.version} of {self.kind} `{self.name}` is its deletion; "
                "name an older one",
                field="version",
            )
        return definition_from_plain(self.kind, self.name, written_of(self.text))

    def to_json(self) -> dict[str, Any]:
        """All of it in what JSON has."""
        names = ("kind", "name", "version", "definition", "as_of", "data_version", "source", "etag")
        return {name: plain(getattr(self, name)) for name in names}


class Versions:
    """Every version of every definition, in the order made. Changed by one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Version, ...]] = {}

    def next(
        self, kind: str, name: str, given: Defined | None, source: str, as_of: datetime,
        data_version: int,
    ) -> Version | None:  # fmt: skip
        """The version that a definition, None for its deletion, would be; None: it is in force."""
        text, unkept = None, list[str]()
        if given is not None:
            text, unkept = text_of(definition_to_plain(kind, given))
        before = self.newest(kind, name)
        if before is None:
            return None if text is None else Version(
                kind, name, 1, text, as_of, data_version, source, given, tuple(unkept)
            )  # fmt: skip
        if before.text == text and (text is None or before.source == source):
            return None
        return Version(
            kind, name, before.version + 1, text, as_of, data_version, source, given, tuple(unkept)
        )  # fmt: skip

    def add(self, versions: Iterable[Version]) -> None:
        """Versions that are in force from now on, each the next of its name."""
        kept = dict(self._kept)
        for each in versions:
            key = each.kind, each.name
            kept[key] = (*kept.get(key, ()), each)
        # At once: whoever asks meanwhile sees all of them or none.
        self._kept = kept

    def of(self, kind: str, name: str) -> tuple[Version, ...]:
        """All versions of a definition, the oldest first; `UnknownNameError` where there is none.

        `DefinitionError` where `kind` is none of segment, trait, campaign and page.
        """
        kind_of(kind)
        found = self._kept.get((kind, name))
        if found is None:
            raise unknown(kind, name, [each for of, each in self._kept if of == kind])
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
        """The newest version, which may be a deletion; None for what was never defined."""
        found = self._kept.get((kind, name))
        return found[-1] if found else None

    def in_force(self, kind: str, name: str) -> Version | None:
        """The version in force; None where there is none now."""
        newest = self.newest(kind, name)
        return None if newest is None or newest.is_deleted else newest

    def names(self) -> list[tuple[str, str]]:
        """The kind and name of everything that has versions, in the order first defined."""
        return list(self._kept)

    def last_defined(self, kind: str) -> Iterator[Version]:
        """Of each name of a kind the newest version that is no deletion."""
        for (of, _), found in self._kept.items():
            if of == kind:
                yield next(each for each in reversed(found) if not each.is_deleted)


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


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """What is said of a definition that is not there."""
    names = list(known)
    listed = did_you_mean(str(name), names) or (
        "known: " + ", ".join(names[:20]) if names else "none is defined"
    )
    return UnknownNameError(f"unknown {kind} `{name}`; {listed}", field=kind)
