"""Whatever is defined, deleted, edited in the file and reopened: it is what a dictionary says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import segengine as se
from segengine.publish import Wanted
from segengine.written import definition_from_plain

NAMES = ("a", "b", "c")
KEYS = [*(("segment", name) for name in NAMES), ("campaign", "spring")]
RULES = ("TRUE", "customer_id > 1", *(f"segment('{name}')" for name in NAMES))
keys, rules = st.sampled_from(KEYS), st.sampled_from(RULES)
changes = st.dictionaries(keys, st.none() | rules, min_size=1, max_size=3)

Key = tuple[str, str]


class Twin:
    """What is in force, by kind and name, and what each was: (rule or None, who said so)."""

    def __init__(self) -> None:
        self.versions: dict[Key, list[tuple[str | None, str]]] = {}
        self.file: dict[Key, str] = {}

    def now(self) -> dict[Key, str]:
        newest = {key: said[-1][0] for key, said in self.versions.items()}
        return {key: text for key, text in newest.items() if text is not None}

    def reopened(self) -> None:
        """The file says what its names are; what stood in it and is gone, is gone."""
        for key, text in self.file.items():
            said = self.versions.setdefault(key, [])
            if not said or said[-1] != (text, "file"):
                said.append((text, "file"))
        for key, said in self.versions.items():
            if key not in self.file and said[-1][1] == "file" and said[-1][0] is not None:
                said.append((None, "file"))

    def takes(self, change: dict[Key, str | None]) -> bool:
        """Make a change, where it can be made."""
        before = self.now()
        if any(text is None and key not in before for key, text in change.items()):
            return False
        new = {key: text for key, text in change.items() if before.get(key) != text}
        after = {k: t for k, t in {**before, **change}.items() if t is not None}
        wrong = (
            any(key in self.file for key in new)
            or any(text is not None and not sound(key, after) for key, text in change.items())
            or any(named(text) in change and change[named(text)] is None
                   for text in after.values() if named(text))
            or any(sound(key, before) and not sound(key, after)
                   for key in after if key in before)
        )  # fmt: skip
        if not wrong:
            for key, text in new.items():
                self.versions.setdefault(key, []).append((text, "catalogue"))
        return not wrong


def named(text: str) -> Key | None:
    return ("segment", text[9:-2]) if text.startswith("segment") else None


def sound(key: Key, defined: dict[Key, str]) -> bool:
    """Whether what a definition names is there, and so on, without a circle."""
    seen = set()
    while (used := named(defined[key])) is not None:
        seen.add(key)
        if used not in defined or used in seen:
            return False
        key = used
    return True


class Definitions(RuleBasedStateMachine):
    """One store after the other in one directory, beside the twin."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.twin = Twin()

    @initialize()
    def begins(self) -> None:
        self.write_file()
        self.engine = se.Engine.open(self.folder)

    def write_file(self) -> None:
        parts: dict[str, list[str]] = {"segment": [], "campaign": []}
        for (kind, name), text in self.twin.file.items():
            parts[kind].append(f'{name} = "{text}"' if kind == "segment" else f'segment = "{text}"')
        head = '[store]\nas_of = 2026-03-01T00:00:00Z\n[storage]\nsync = "normal"\n'
        segments = "\n".join(["[segments]", *parts["segment"]])
        spring = ["[campaigns.spring]", *parts["campaign"]] if parts["campaign"] else []
        (self.folder / "store.toml").write_text("\n".join([head, segments, *spring]) + "\n")

    @rule(change=changes)
    def publishes(self, change: dict[Key, str | None]) -> None:
        wanted = []
        for (kind, name), text in change.items():
            written = {"rule" if kind == "segment" else "segment": text}
            given = None if text is None else definition_from_plain(kind, name, written)
            newest = self.twin.versions.get((kind, name))
            etag = None
            if newest and newest[-1][0] is not None:
                etag = self.engine.versions(kind, name)[-1].etag
            wanted.append(Wanted(kind, name, given, etag))
        before = self.engine.data_version
        if self.twin.takes(change):
            self.engine.publish(*wanted)
        else:
            with pytest.raises(se.SegengineError):
                self.engine.publish(*wanted)
            assert self.engine.data_version == before

    @rule(edit=st.dictionaries(keys, st.none() | rules, max_size=2))
    def reopens(self, edit: dict[Key, str | None]) -> None:
        self.engine.claim()
        self.engine.close()
        for key, text in edit.items():
            if text is None:
                self.twin.file.pop(key, None)
            else:
                self.twin.file[key] = text
        self.write_file()
        self.twin.reopened()
        self.engine = se.Engine.open(self.folder)

    @invariant()
    def is_what_the_twin_says(self) -> None:
        engine = self.engine
        assert sorted(engine.defined()) == sorted(self.twin.versions)
        for key, said in self.twin.versions.items():
            found = engine.versions(*key)
            assert [each.version for each in found] == list(range(1, len(said) + 1))
            texts = [next(iter((each.definition or {"": None}).values())) for each in found]
            assert [(t, each.source) for t, each in zip(texts, found, strict=True)] == said
        now = self.twin.now()
        in_force = {("segment", n): d.text for n, d in engine.segments.definitions.items()}
        in_force |= {("campaign", n): str(c.segment) for n, c in engine.campaigns.items()}
        assert in_force == now
        unsound = {f'{kind} "{name}"' for kind, name in now if not sound((kind, name), now)}
        assert {each.place for each in engine.check() if each.severity == "error"} == unsound

    def teardown(self) -> None:
        self.engine.close()
        shutil.rmtree(self.folder)


class TestDefinitions(Definitions.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=8, stateful_step_count=12, deadline=None)


@pytest.mark.prove
class TestManyDefinitions(Definitions.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
