"""What is defined in a directory is there when it is opened again; what cannot be changes nothing.

The file's definitions are the file's, all others the catalogue's.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.errors import (
    AlreadyDefinedError,
    ChangedMeanwhileError,
    InFileError,
    InUseError,
    ManyMistakesError,
    UnknownNameError,
)
from segengine.publish import Wanted
from segengine.storage.backup import copy_store
from segengine.storage.catalogue_file import FILE, read_catalogue
from segengine.versions import Version
from segengine.written import definition_from_plain
from tests.audiences.stores import AS_OF, store

NAIVE = datetime(2024, 5, 1, 9)  # noqa: DTZ001 - in the timezone of the store
HEAD = f"""
[store]
as_of = {AS_OF.isoformat()}
channels = ["sms"]
"""


def folder(path: Path, definitions: str = "") -> Path:
    path.mkdir(exist_ok=True)
    (path / "store.toml").write_text(HEAD + definitions)
    return path


def filled(path: Path, definitions: str = "") -> Path:
    """A store of eight buyers: spent is 10 x id."""
    with se.Engine.open(folder(path, definitions)) as engine:
        ids = list(range(1, 9))
        table = pa.table({"customer_id": ids, "spent": [10 * i for i in ids]})
        engine.load("customers", table, columns={"spent": "spent"})
    return path


def wanted(kind: str, name: str, written: dict[str, Any] | None, **more: Any) -> Wanted:
    given = None if written is None else definition_from_plain(kind, name, written)
    return Wanted(kind, name, given, **more)


def rule(name: str, text: str, **more: Any) -> Wanted:
    return wanted("segment", name, {"rule": text}, **more)


def of_all(engine: se.Engine) -> dict[tuple[str, str], tuple[Version, ...]]:
    return {key: engine.versions(*key) for key in engine.defined()}


# There again


def test_every_kind_of_definition_is_in_force_again_with_all_its_versions(tmp_path: Path) -> None:
    path = filled(tmp_path)
    payload = {
        "at": AS_OF, "day": date(2024, 2, 29), "hour": time(9, 30), "price": Decimal("1.50"),
        "$moment": [1, 1.0, True, None, float("inf")], "": {"名": "值"},
    }  # fmt: skip
    with se.Engine.open(path) as engine:
        engine.define_trait("double", "spent * 2")
        engine.define_segment("rich", se.col("double") > 80, suppress=True)
        engine.define_segment("rich", "double > 60")
        engine.advance(AS_OF + timedelta(hours=1))
        engine.define_campaign(
            se.Campaign("spring", "segment('rich')", variants={"b": 0.5, "a": (0.5, payload)})
        )
        module = se.Module("m", rule="segment('rich')", payload={"$x": [1, "名"]})
        engine.define_page(se.Page("home", [se.Slot("z", [module]), se.Slot("a", [])]))
        engine.define_segment("gone", "TRUE")
        engine.undefine("segment", "gone")
        before = of_all(engine)
        count, page = engine.segment("segment('rich')").count(), engine.page("home", 7)
    with se.Engine.open(path) as engine:
        assert of_all(engine) == before
        assert [v.etag for v in engine.versions("segment", "rich")] == [
            v.etag for v in before["segment", "rich"]
        ]
        assert engine.versions("campaign", "spring")[0].as_of == AS_OF + timedelta(hours=1)
        assert engine.segment("segment('rich')").count() == count == 5
        assert engine.campaigns["spring"].variants[1].payload == payload
        assert engine.page("home", 7).placements == page.placements
        assert [slot.name for slot in engine.pages["home"].slots] == ["z", "a"]
        assert engine.audience("spring").count() == 5
        with pytest.raises(se.RuleError, match="unknown segment `gone`"):
            engine.segment("segment('gone')")
        assert engine.restore("segment", "rich", 1).version == 3
        assert engine.segments.definitions["rich"].suppress
        assert engine.restore("segment", "gone", 1).version == 3
    with se.Engine.open(path) as engine:
        assert engine.segment("segment('gone')").count() == 8


def test_to_define_what_is_in_force_writes_nothing_and_needs_no_right_to(tmp_path: Path) -> None:
    path = filled(tmp_path, '[segments]\nvip = "spent > 50"')
    with se.Engine.open(path) as writer:
        writer.define_segment("rich", "spent > 30")
        held = len(read_catalogue(path))
        with se.Engine.open(path) as reader:
            version = reader.data_version
            reader.define_segment("rich", "spent > 30")
            reader.define_segment("vip", "spent > 50")
            assert reader.data_version == version
            with pytest.raises(se.StoreError, match="in use by another process"):
                reader.define_segment("rich", "spent > 31")
            assert reader.segment("segment('rich')").count() == 5
        assert len(read_catalogue(path)) == held


def test_a_process_that_has_not_seen_a_definition_writes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with se.Engine.open(path) as late:
        with se.Engine.open(path) as writer:
            writer.define_segment("rich", "spent > 30")
        for change in (
            lambda: late.define_segment("poor", "spent < 30"),
            lambda: late.append("customers", pa.table({"customer_id": [1]})),
            late.claim,
        ):
            with pytest.raises(se.StoreError, match=r"has defined something .* open it again"):
                change()
    with se.Engine.open(path) as engine:
        engine.define_segment("poor", "spent < 30")
        assert engine.defined() == [("segment", "rich"), ("segment", "poor")]


def test_a_store_that_is_opened_to_be_read_refuses_every_change(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with se.Engine.open(path, read_only=True) as engine:
        for change in (
            lambda: engine.define_segment("rich", "spent > 30"),
            lambda: engine.append("customers", pa.table({"customer_id": [9]})),
            engine.compact,
            engine.claim,
        ):
            with pytest.raises(se.StoreError, match="was opened to be read alone"):
                change()
        assert engine.segment("spent > 30").count() == 5
        with se.Engine.open(path) as other:
            other.define_segment("rich", "spent > 30")


def test_a_definition_that_needs_what_is_not_there_keeps_no_store_from_opening(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path)
    with se.Engine.open(path) as engine:
        engine.define_campaign(se.Campaign("spring", "spent > 3", channel="sms"))
    (path / "store.toml").write_text(HEAD.replace("sms", "email"))
    with se.Engine.open(path) as engine:
        assert "unknown channel `sms`" in engine.check()[0].message


@pytest.mark.parametrize("payload", [{1: "a"}, object(), {"a": {"b": {1, 2}}}, "\ud800"])
def test_a_payload_that_could_not_be_read_back_is_refused_in_a_directory(
    tmp_path: Path, payload: Any
) -> None:
    campaign = se.Campaign("spring", "spent > 3", payload=payload)
    store().define_campaign(campaign)
    with se.Engine.open(filled(tmp_path)) as engine:
        with pytest.raises(se.DefinitionError, match="campaign `spring` cannot be kept"):
            engine.define_campaign(campaign)
        assert "spring" not in engine.campaigns
        listed = se.col("customer_id").is_in(pa.array([1, 2]))
        with pytest.raises(se.DefinitionError, match="lasts as long as the process"):
            engine.define_segment("listed", listed)
        assert engine.defined() == []


def test_traits_of_a_campaigns_goal_are_the_same_after_reopening_and_after_its_deletion(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path)
    at = AS_OF - timedelta(days=2)
    asked = ["customer_id", "responses_count", "response_rate"]
    with se.Engine.open(path) as engine:
        engine.append("messages", pa.table({"customer_id": [1, 2], "kind": ["sent"] * 2,
            "campaign": ["spring"] * 2, "time": [at] * 2}))  # fmt: skip
        engine.append("behaviors", pa.table({"customer_id": [1, 2], "kind": ["cart", "visit"],
            "time": [at + timedelta(hours=1)] * 2}))  # fmt: skip
        usual = engine.table("customers", asked)
        goal = "count(behaviors) FILTER (WHERE kind = 'cart')"
        engine.define_campaign(se.Campaign("spring", "TRUE", goal="behaviors"))
        judged = engine.table("customers", asked)
        assert judged != usual
        with pytest.raises(se.SegengineError):
            engine.define_campaign(se.Campaign("spring", "nonsense > 1", goal=goal))
    with se.Engine.open(path) as engine:
        assert engine.table("customers", asked) == judged
        engine.undefine("campaign", "spring")
        assert engine.table("customers", asked) == judged
    with se.Engine.open(path) as engine:
        assert "spring" not in engine.campaigns
        assert engine.table("customers", asked) == judged


# The file and the catalogue


def test_an_edit_of_the_file_is_a_version_at_open_and_lasting_with_the_first_change(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path, '[segments]\nvip = "spent > 50"')
    sources = []
    for text, expected in (("spent > 60", 2), ("spent > 60", 2), ("spent>60", 3)):
        folder(path, f'[segments]\nvip = "{text}"')
        with se.Engine.open(path, read_only=True) as reader:
            found = reader.versions("segment", "vip")
        with se.Engine.open(path) as engine:
            assert engine.versions("segment", "vip") == found
            assert len(found) == expected
            engine.claim()
        sources = [each.source for each in found]
    assert sources == ["file"] * 3
    folder(path)
    with se.Engine.open(path) as engine:
        newest = engine.versions("segment", "vip")[-1]
        assert (newest.version, newest.is_deleted, newest.source) == (4, True, "file")
        assert newest.definition is None
        assert "vip" not in engine.segments.definitions
        # From here on it is whoever defines it.
        assert engine.restore("segment", "vip", 1).version == 5
    with se.Engine.open(path) as engine:
        assert engine.segment("segment('vip')").count() == 3
        assert engine.versions("segment", "vip")[-1].source == "catalogue"


def test_what_stands_in_the_file_is_changed_nowhere_else(tmp_path: Path) -> None:
    toml = """
[traits]
double = "spent * 2"
[segments]
vip = "spent > 50"
[campaigns.spring]
segment = "segment('vip')"
[pages.home.slots.banner.modules.a]
rule = "segment('vip')"
"""
    with se.Engine.open(filled(tmp_path, toml)) as engine:
        before, version = of_all(engine), engine.data_version
        for change in (
            lambda: engine.define_trait("double", "spent * 3"),
            lambda: engine.define_segment("vip", "spent > 51"),
            lambda: engine.define_campaign(se.Campaign("spring", "FALSE")),
            lambda: engine.define_page(se.Page("home", [])),
            lambda: engine.undefine("page", "home"),
        ):
            with pytest.raises(InFileError, match=r"stands in store.toml, .* change it there"):
                change()
        assert (of_all(engine), engine.data_version) == (before, version)


def test_the_file_takes_over_a_name_and_takes_it_with_it(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with se.Engine.open(path) as engine:
        engine.define_segment("vip", "spent > 50")
        engine.define_segment("rich", "spent > 30")
    folder(path, '[segments]\nvip = "spent > 70"\nrich = "spent > 30"')
    with se.Engine.open(path) as engine:
        assert engine.segment("segment('vip')").count() == 1
        assert [v.source for v in engine.versions("segment", "vip")] == ["catalogue", "file"]
        engine.claim()
    folder(path)
    with se.Engine.open(path) as engine:
        assert list(engine.segments.definitions) == []
        assert engine.versions("segment", "rich")[-1].is_deleted


def test_another_file_would_leave_what_the_catalogue_has(tmp_path: Path) -> None:
    with se.Engine.open(filled(tmp_path, '[segments]\nvip = "spent > 50"')) as engine:
        engine.define_segment("rich", "spent > 30")
        found = engine.dry_run_all({"segments": {"poor": "NOT segment('rich')"}})
        assert {each.name: each.change for each in found} == {"poor": "new", "vip": "removed"}
        taken = engine.dry_run_all({"segments": {"rich": "spent > 40", "vip": "spent > 50"}})
        assert [(each.name, each.change) for each in taken] == [("rich", "changed")]


def test_in_memory_what_the_configuration_defined_is_changed_as_anything_else() -> None:
    engine = store(segments={"vip": "spent > 50"})
    engine.define_segment("vip", "spent > 60")
    engine.undefine("segment", "vip")
    assert [v.version for v in engine.versions("segment", "vip")] == [1, 2, 3]


# All or none


def test_definitions_of_one_change_may_name_each_other_and_are_in_force_together(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path)
    page = {"slots": {"a": {"modules": {"m": {"rule": "segment('rich')"}}}}}
    with se.Engine.open(path) as engine:
        version = engine.data_version
        made = engine.publish(
            wanted("page", "home", page),
            rule("rich", "double > 60"),
            wanted("trait", "double", {"expression": "spent * 2"}),
        )
        assert [(each.name, each.version) for each in made] == [
            ("home", 1), ("rich", 1), ("double", 1),
        ]  # fmt: skip
        assert engine.data_version == version + 1
        assert {each.data_version for each in made} == {engine.data_version}
        # A name goes, another comes, and whoever named the first names the second.
        page["slots"]["a"]["modules"]["m"]["rule"] = "segment('richer')"
        engine.publish(
            Wanted("segment", "rich", None),
            rule("richer", "double > 90"),
            wanted("page", "home", page),
        )
    with se.Engine.open(path) as engine:
        assert list(engine.segments.definitions) == ["richer"]
        assert engine.page("home", 5).placements[0].module == "m"


def test_of_a_change_with_a_mistake_nothing_is_kept_and_every_mistake_is_said(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path)
    with se.Engine.open(path) as engine:
        engine.define_segment("rich", "spent > 30")
        version = engine.data_version
        with pytest.raises(ManyMistakesError) as refused:
            engine.publish(
                rule("rich", "spent > 31"),
                rule("one", "spnt > 3"),
                wanted("campaign", "spring", {"segment": "TRUE", "channel": "fax"}),
                rule("two", "segment('one')"),
            )
        assert [place for place, _ in refused.value.errors] == [
            'segment "one"', 'campaign "spring"', 'segment "two"',
        ]  # fmt: skip
        for said in ("unknown trait `spnt`", "unknown channel `fax`"):
            assert said in str(refused.value)
        assert engine.data_version == version
    assert len(read_catalogue(path)) == 1


def test_a_change_that_cannot_be_written_is_not_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path)
    with se.Engine.open(path) as engine:
        engine.define_segment("rich", "spent > 30")
        connection = engine._catalogue._kept._connection  # type: ignore[union-attr]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        version = engine.data_version
        with pytest.raises(se.StoreError, match="nothing was defined"):
            engine.define_campaign(se.Campaign("big", "TRUE", payload="x" * 100_000))
        assert (dict(engine.campaigns), engine.data_version) == ({}, version)
        assert engine.defined() == [("segment", "rich")]
        connection.execute("PRAGMA max_page_count = 100000")
        engine.define_campaign(se.Campaign("big", "TRUE", payload="x" * 100_000))


def test_a_name_stands_in_a_change_once() -> None:
    with pytest.raises(se.DefinitionError, match="segment `a` is in one change twice"):
        store().publish(rule("a", "TRUE"), Wanted("segment", "a", None))


# Who has seen what


def test_a_definition_is_changed_by_whoever_has_seen_its_newest_version() -> None:
    engine = store()
    (first,) = engine.publish(rule("rich", "spent > 30", is_new=True))
    with pytest.raises(AlreadyDefinedError, match="is defined already, since version 1"):
        engine.publish(rule("rich", "spent > 40", is_new=True))
    (second,) = engine.publish(rule("rich", "spent > 40", etag=first.etag))
    with pytest.raises(ChangedMeanwhileError, match="was changed since it was read: version 2"):
        engine.publish(rule("rich", "spent > 50", etag=first.etag))
    with pytest.raises(ChangedMeanwhileError):
        engine.publish(Wanted("segment", "rich", None, etag=first.etag))
    # What says the same is no change, and has the same etag.
    assert engine.publish(rule("rich", "spent > 40", etag=second.etag)) == (second,)
    engine.publish(Wanted("segment", "rich", None, etag=second.etag))
    with pytest.raises(ChangedMeanwhileError, match="was deleted since it was read"):
        engine.publish(rule("rich", "spent > 50", etag=second.etag))
    with pytest.raises(UnknownNameError, match="unknown segment `rch`; none is defined"):
        engine.publish(rule("rch", "spent > 50", etag=second.etag))
    # The same again, after it was gone, is another version with another etag.
    (fourth,) = engine.publish(rule("rich", "spent > 40", is_new=True))
    assert fourth.version == 4
    assert fourth.etag not in (first.etag, second.etag)


# Who is in use


@pytest.fixture
def used() -> se.Engine:
    engine = store()
    engine.define_trait("double", "spent * 2")
    engine.define_trait("lone", "spent * 3")
    engine.define_segment("rich", "double > 60")
    engine.define_segment("it's", "spent > 1")
    engine.define_segment("inner", "segment('it''s') AND segment('rich')")
    return engine


@pytest.mark.parametrize(
    ("key", "use", "users"),
    [
        (("segment", "it's"), None, "segment `inner`"),
        (("segment", "inner"), se.Campaign("c", "segment('inner')"), "campaign `c`"),
        (("segment", "inner"), se.Campaign("c", ~se.segment("inner")), "campaign `c`"),
        (("segment", "inner"), se.Campaign("c", "TRUE", exclusions=["segment('inner')"]),
         "campaign `c`"),
        (("segment", "inner"), se.Page("p", [], rule="segment('inner')"), "page `p`"),
        (("segment", "inner"),
         se.Page("p", [se.Slot("s", [se.Module("m", rule="segment('inner')")])]), "page `p`"),
        (("trait", "double"), None, "segment `rich`"),
        (("trait", "lone"), se.Campaign("c", "TRUE", value="lone"), "campaign `c`"),
        (("trait", "lone"), se.Campaign("c", "TRUE", order_by="LONE desc", limit=2),
         "campaign `c`"),
        (("trait", "lone"), se.Campaign("c", "TRUE", text="{lone|0} points"), "campaign `c`"),
    ],
)  # fmt: skip
def test_what_is_in_use_is_not_deleted_and_its_users_are_named(
    used: se.Engine, key: tuple[str, str], use: Any, users: str
) -> None:
    if isinstance(use, se.Campaign):
        used.define_campaign(use)
    elif use is not None:
        used.define_page(use)
    with pytest.raises(InUseError, match=f"{key[0]} `{key[1]}` is in use by {users}"):
        used.undefine(*key)
    assert key in used.defined()
    if isinstance(use, se.Campaign):
        used.publish(Wanted(*key, None), Wanted("campaign", "c", None))
        assert used.versions(*key)[-1].is_deleted


def test_what_nobody_names_is_deleted(used: se.Engine) -> None:
    # A column of an event is no trait, whatever its name.
    used.define_segment("other", "count(orders) FILTER (WHERE amount > 3) > 1 OR city = 'lone'")
    assert used.undefine("trait", "lone").is_deleted
    with pytest.raises(UnknownNameError, match="unknown trait `lone`"):
        used.undefine("trait", "lone")
    with pytest.raises(UnknownNameError, match="unknown segment `inne`; did you mean `inner`"):
        used.undefine("segment", "inne")
    with pytest.raises(se.DefinitionError, match="no kind of definition"):
        used.undefine("segmnt", "inner")


def test_a_change_is_refused_that_leaves_others_unusable(used: se.Engine) -> None:
    used.define_campaign(se.Campaign("c", "segment('inner')"))
    change = wanted("trait", "double", {"expression": "city"})
    with pytest.raises(InUseError) as refused:
        used.publish(change)
    for name in ("segment `rich`", "segment `inner`", "campaign `c`"):
        assert f"{name} could no longer be used" in str(refused.value)
    assert used.segment("segment('inner')").count() == 5
    # A program that defines one thing after the other may pass through such a state.
    used.publish(change, rule("rich", "double = 'Bern'"))
    assert used.segment("segment('inner')").count() == 0


# Files


def test_a_damaged_catalogue_keeps_the_store_from_opening(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with se.Engine.open(path) as engine:
        engine.define_segment("rich", "spent > 30")
    with closing(sqlite3.connect(path / FILE)) as connection, connection:
        connection.execute("UPDATE versions SET definition = replace(definition, '30', '20')")
    with pytest.raises(se.StoreError, match=r"catalogue.sqlite` is damaged at version 1 of all"):
        se.Engine.open(path)


def test_a_backup_carries_what_was_defined(tmp_path: Path) -> None:
    path = filled(tmp_path / "store", '[segments]\nvip = "spent > 50"')
    with se.Engine.open(path) as engine:
        engine.define_segment("rich", "segment('vip') OR spent > 30")
        copy_store(path, tmp_path / "copy")
        engine.define_segment("rich", "FALSE")
        before = engine.versions("segment", "rich")[:1]
    with se.Engine.open(tmp_path / "copy") as engine:
        assert engine.versions("segment", "rich") == before
        assert engine.segment("segment('rich')").count() == 5


KILLED = """
import os, sys
import segengine as se
engine = se.Engine.open(sys.argv[1])
engine.define_segment("rich", "spent > 30")
print(engine.versions("segment", "rich")[-1].etag, flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_was_acknowledged_outlives_its_process(tmp_path: Path) -> None:
    path = filled(tmp_path)
    told = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, check=False
    )
    with se.Engine.open(path) as engine:
        (kept,) = engine.versions("segment", "rich")
        assert kept.etag == told.stdout.strip()
        assert engine.segment("segment('rich')").count() == 5


def test_moments_of_any_zone_are_the_same_moments_after_reopening(tmp_path: Path) -> None:
    path = filled(tmp_path)
    begin = datetime(2024, 3, 1, 9, tzinfo=UTC)
    with se.Engine.open(path) as engine:
        engine.define_campaign(se.Campaign("zoned", "TRUE", starts_at=begin))
        engine.define_campaign(se.Campaign("local", "TRUE", ends_at=NAIVE))
        before = {name: (c.starts_at, c.ends_at) for name, c in engine.campaigns.items()}
    with se.Engine.open(path) as engine:
        assert {n: (c.starts_at, c.ends_at) for n, c in engine.campaigns.items()} == before
