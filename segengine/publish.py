"""How does a definition come into force, and stay there?

A change is one definition or several: all of it is checked on a draft, then written to the store's
catalogue, then in force at once; or nothing has happened. In a directory the definitions that stand
in `store.toml` are the file's: they come and go with it, and are changed nowhere else. All others
are the catalogue's, and there when the store is opened again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from segengine import days
from segengine.audiences.campaign import Campaign
from segengine.definitions import Definitions
from segengine.errors import (
    AlreadyDefinedError,
    ChangedMeanwhileError,
    DefinitionError,
    InFileError,
    InUseError,
    RuleError,
    SegengineError,
    StoreError,
    UnknownNameError,
    refuse_all,
)
from segengine.named import reached_from, users_of
from segengine.rules.expr import Expr
from segengine.rules.format import format_expr
from segengine.rules.parse import parse
from segengine.schema.response_settings import Goal
from segengine.schema.store_config import FILE_NAME, StoreConfig
from segengine.storage.catalogue_file import CatalogueFile, Kept, read_catalogue
from segengine.versions import CATALOGUE, FILE, Version, Versions, everything, unknown
from segengine.written import (
    CAMPAIGN,
    KINDS,
    Defined,
    expressions_given,
    kind_of,
)

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """A definition that somebody wants in force, or, without one, a name that is to go.

    etag: the version that must be in force until then; None: whichever. is_new: none may be.
    """

    kind: str
    name: str
    given: Defined | None
    etag: str | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """A change that cannot fail any more: the definitions after it, and what is new among them."""

    after: Definitions
    versions: tuple[Version, ...]

    def goals(self) -> dict[str, Goal]:
        """What the messages of the campaigns in it are for; one that goes keeps its goal."""
        return _goals(self.versions)


class Catalogue:
    """The definitions of a store, every version of them, and the file that keeps them.

    Changed by one thread at a time.
    """

    def __init__(self, definitions: Definitions, as_of: datetime, data_version: int) -> None:
        self.definitions = definitions
        self.versions = Versions()
        self._folder: Path | None = None
        self._sync = "full"
        self._kept: CatalogueFile | None = None
        self._held = 0
        """How many versions of the file are in `versions`."""
        self._waiting: tuple[Version, ...] = ()
        """Versions that `store.toml` made, and that are written with the first change."""
        self._in_file = frozenset((kind, name) for kind, name, _ in everything(definitions))
        self.versions.add(self._of_file(as_of, data_version))

    def live_in(self, folder: Path, sync: str, as_of: datetime, data_version: int) -> None:
        """Go on with what a directory keeps; where `store.toml` says otherwise, that is new."""
        self._folder, self._sync = folder, sync
        kept = read_catalogue(folder)
        self._held = len(kept)
        self.versions = Versions()
        self.versions.add(_read(kept))
        for kind, name in self.versions.names():
            newest = self.versions.in_force(kind, name)
            if newest is not None and (kind, name) not in self._in_file and newest.source != FILE:
                self.definitions.take(kind, name, _defined(newest, folder))
        self._waiting = tuple(self._of_file(as_of, data_version))
        self.versions.add(self._waiting)

    def claimed(self) -> None:
        """Open the file to write, now that this process is the one that does.

        Raises `StoreError` where another one has written since it was read.
        """
        if self._folder is None or self._kept is not None:
            return
        if not self._waiting and not self._held:
            # Nothing was ever defined here, as far as is known; that is looked at, not made.
            self._refuse_older(len(read_catalogue(self._folder)))
            return
        self._open(self._folder)

    def _open(self, folder: Path) -> CatalogueFile:
        kept = CatalogueFile.open(folder, sync=self._sync)
        try:
            self._refuse_older(kept.last)
            if self._waiting:
                kept.write([_kept(each) for each in self._waiting])
        except BaseException:
            kept.close()
            raise
        self._held, self._waiting, self._kept = kept.last, (), kept
        return kept

    def _refuse_older(self, written: int) -> None:
        if written != self._held:
            raise StoreError(
                f"another process has defined something in `{self._folder}` since it was opened "
                "here; open it again",
                field="store",
            )

    def close(self) -> None:
        """Let go of the file."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def check(
        self, wanted: Sequence[Wanted], as_of: datetime, data_version: int, *, sound: bool = True
    ) -> Publication:
        """A change with every check, nothing done yet.

        sound: whoever names what is changed must still be usable; a name that is in use cannot go
        in any case. Raises what is wrong with a definition as it stands; `ManyMistakesError` for
        several.
        """
        after = self.draft(wanted)
        versions = []
        for each in wanted:
            made = self.versions.next(
                each.kind, each.name, each.given, CATALOGUE, as_of, data_version
            )
            if made is not None and not self._is_as_in_file(each, made):
                versions.append(made)
        if self._folder is not None:
            for made in versions:
                if (made.kind, made.name) in self._in_file:
                    raise self._in_file_error(made)
                _refuse_unkept(made)
        changed = [(made.kind, made.name) for made in versions]
        _refuse_in_use([key for key, made in zip(changed, versions, strict=True)
                        if made.is_deleted], after)  # fmt: skip
        if sound:
            _refuse_broken(changed, self.definitions, after)
        return Publication(after, tuple(versions))

    def draft(self, wanted: Sequence[Wanted]) -> Definitions:
        """The definitions as a change would leave them, those in it checked; to be looked at.

        Raises as `check` does, but not for what keeps a sound definition from being published.
        """
        self._refuse_twice(wanted)
        for each in wanted:
            self._refuse_conflict(each)
        after = self.definitions.draft()
        _put_all(after, wanted)
        return after

    def with_file(self, config: StoreConfig) -> Definitions:
        """The definitions as they would be with another `store.toml`; unchecked, to be looked at.

        In a directory, what the catalogue has and the file has not stays.
        """
        after = self.definitions.draft_of(config)
        if self._folder is not None:
            there = {(kind, name) for kind, name, _ in everything(after)}
            for kind, name, given in everything(self.definitions):
                if (kind, name) not in self._in_file | there:
                    after.take(kind, name, given)
        return after

    def find(self, kind: str, name: str, version: int | None = None) -> Version:
        """The version in force, or the one with a number; `UnknownNameError` where none is."""
        if version is not None:
            return self.versions.one(kind, name, version)
        kind_of(kind)
        found = self.versions.in_force(kind, name)
        if found is None:
            newest = self.versions.newest(kind, name)
            if newest is None:
                raise unknown(kind, name, self._names(kind))
            raise UnknownNameError(
                f"{kind} `{name}` was deleted, which is version {newest.version}; older versions "
                "say what it was",
                field=kind,
            )
        return found

    def in_force(self) -> list[Version]:
        """Every version in force, by kind, then by name."""
        found = [self.versions.in_force(*key) for key in self.versions.names()]
        known = [each for each in found if each is not None]
        return sorted(known, key=lambda each: (KINDS.index(each.kind), each.name))

    def keep(self, versions: Sequence[Version]) -> None:
        """Make the versions of a checked change lasting, where there is a directory."""
        if self._folder is not None and versions:
            kept = self._kept or self._open(self._folder)
            kept.write([_kept(each) for each in versions])
            self._held = kept.last

    def adopt(self, change: Publication) -> None:
        """Put a change into force; it cannot fail."""
        self.definitions.adopt(change.after, [(v.kind, v.name) for v in change.versions])
        self.versions.add(change.versions)

    def is_in_file(self, kind: str, name: str) -> bool:
        """Whether a definition stands in the `store.toml` of a directory."""
        return self._folder is not None and (kind, name) in self._in_file

    def goals(self) -> dict[str, Goal]:
        """What the messages of all campaigns are for, also of those that were deleted since."""
        return _goals(self.versions.last_defined(CAMPAIGN))

    def _of_file(self, as_of: datetime, data_version: int) -> list[Version]:
        """What `store.toml` changes: what stands there otherwise, and what stood there and is gone.

        That which is defined by a call, and now stands there too, is the file's from then on.
        """
        found = []
        for kind, name, given in everything(self.definitions):
            if (kind, name) in self._in_file:
                found.append(self.versions.next(kind, name, given, FILE, as_of, data_version))
        for kind, name in self.versions.names():
            newest = self.versions.in_force(kind, name)
            if newest is not None and newest.source == FILE and (kind, name) not in self._in_file:
                found.append(self.versions.next(kind, name, None, FILE, as_of, data_version))
        return [each for each in found if each is not None]

    def _is_as_in_file(self, wanted: Wanted, made: Version) -> bool:
        """Whether a definition says what `store.toml` says already."""
        newest = self.versions.in_force(wanted.kind, wanted.name)
        return newest is not None and newest.source == FILE and newest.text == made.text

    def _in_file_error(self, made: Version) -> InFileError:
        what = f"{made.kind} `{made.name}` stands in {FILE_NAME}"
        return InFileError(
            f"{what}, which says what it is; change it there and open the store again, or take it "
            "out there and define it then",
            field=made.kind,
        )

    def _refuse_twice(self, wanted: Sequence[Wanted]) -> None:
        seen: set[tuple[str, str]] = set()
        for each in wanted:
            key = kind_of(each.kind), each.name
            if key in seen:
                raise DefinitionError(
                    f"{each.kind} `{each.name}` is in one change twice; keep one", field=each.kind
                )
            seen.add(key)

    def _refuse_conflict(self, wanted: Wanted) -> None:
        """Whether what is in force is what its caller takes it for."""
        kind, name = wanted.kind, wanted.name
        now = self.versions.in_force(kind, name)
        if wanted.is_new and now is not None:
            raise AlreadyDefinedError(
                f"{kind} `{name}` is defined already, since version {now.version}; to change it, "
                "give its etag",
                field=kind,
            )
        if wanted.etag is not None and (now is None or now.etag != wanted.etag):
            before = self.versions.newest(kind, name)
            if before is None:
                raise unknown(kind, name, self._names(kind))
            done = "was deleted" if now is None else "was changed"
            raise ChangedMeanwhileError(
                f"{kind} `{name}` {done} since it was read: version {before.version} is the newest "
                "now; read it again",
                field=kind,
            )
        if wanted.given is None and now is None:
            raise unknown(kind, name, self._names(kind))

    def _names(self, kind: str) -> list[str]:
        return [name for of, name, _ in everything(self.definitions) if of == kind]


def _goals(versions: Iterable[Version]) -> dict[str, Goal]:
    found = {}
    for each in versions:
        # A deleted one that cannot be read any more is as one that was never there.
        with suppress(SegengineError):
            given = None if each.is_deleted else each.defined()
            if isinstance(given, Campaign):
                found[each.name] = given.aim
    return found


def _put_all(after: Definitions, wanted: Sequence[Wanted]) -> None:
    """Change a draft, then check what is new in it: definitions may name each other."""
    wrong: list[tuple[str, SegengineError]] = []
    put = []
    for each in wanted:
        try:
            if each.given is None:
                after.remove(each.kind, each.name)
            else:
                after.put(each.kind, each.name, each.given)
                put.append(each)
        except SegengineError as error:
            wrong.append((f'{each.kind} "{each.name}"', error))
    for each in put:
        try:
            after.checked(each.kind, each.name)
        except SegengineError as error:
            wrong.append((f'{each.kind} "{each.name}"', error))
    refuse_all(wrong)


def _refuse_in_use(gone: Sequence[tuple[str, str]], after: Definitions) -> None:
    """An `InUseError` where what is left still names what is to go."""
    used = [(key, users) for key, users in users_of(gone, after).items() if users]
    if used:
        said = "\n".join(f"{kind} `{name}` is in use by {_listed(users)}"
                         for (kind, name), users in used)  # fmt: skip
        raise InUseError(f"{said}\nchange or delete those first, or in the same change",
                         field=used[0][0][0])  # fmt: skip


def _refuse_broken(
    changed: Sequence[tuple[str, str]], before: Definitions, after: Definitions
) -> None:
    """An `InUseError` with whoever could be used before the change, and not after it."""
    said = []
    for kind, name in reached_from(changed, after):
        try:
            after.checked(kind, name)
        except SegengineError as error:
            with suppress(SegengineError):
                before.checked(kind, name)
                said.append(f"{kind} `{name}` could no longer be used: {error}")
    if said:
        raise InUseError("\n\n".join(said), field=changed[0][0])


def _listed(users: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(f"{kind} `{name}`" for kind, name in users[:_MOST_NAMED])
    left = len(users) - _MOST_NAMED
    return f"{named} and {left} more" if left > 0 else named


def _read(kept: Iterable[Kept]) -> Iterable[Version]:
    for each in kept:
        yield Version(
            each.kind, each.name, each.version, each.definition, days.moment(each.as_of),
            each.data_version, each.source,
        )  # fmt: skip


def _kept(version: Version) -> Kept:
    # Aware, so that the zone is not asked.
    as_of = days.micros(version.as_of, days.zone("UTC"))
    return Kept(version.kind, version.name, version.version, version.text, version.source, as_of,
                version.data_version)  # fmt: skip


def _refuse_unkept(made: Version) -> None:
    """A `DefinitionError` where what would be kept is not what would be read back."""
    wrong = list(made.unkept)
    rules = [] if made.given is None else expressions_given(made.given)
    if not wrong and any(_unread(rule) for rule in rules):
        wrong.append("a rule has a text that would be read as another one; give it as text")
    if wrong:
        lines = "\n".join(f"  {each}" for each in wrong)
        raise DefinitionError(f"{made.kind} `{made.name}` cannot be kept:\n{lines}",
                              field=made.kind)  # fmt: skip


def _unread(rule: Expr) -> bool:
    """Whether the text of an expression says something else."""
    try:
        return parse(format_expr(rule)) != rule
    except RuleError:
        return True


def _defined(version: Version, folder: Path) -> Defined:
    """A kept definition that is in force; a `StoreError` where this version cannot read it."""
    try:
        return version.defined()
    except SegengineError as error:
        raise StoreError(
            f"the catalogue of `{folder}` holds {version.kind} `{version.name}`, which cannot be "
            f"read: {error}\nopen it with the version of segengine that wrote it",
            field="store",
        ) from error
